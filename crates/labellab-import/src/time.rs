//! Owns the reading of timestamps as databases and their exports write them.

use huddle_domain::UnixMillis;

const SECONDS_PER_DAY: i64 = 86_400;

/// Reads `2021-07-03 10:11:12`, with a `T` in the middle, with a fraction of a second of any length, and with an offset
/// from UTC (`Z`, `+00`, `+02:00`). Without an offset it is UTC, as LabelLab writes it. What is finer than a millisecond
/// is cut off.
pub(crate) fn parse(text: &str) -> Option<UnixMillis> {
    let text = text.trim();
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix([' ', 'T'])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (millis, rest) = fraction(rest)?;
    let days = days(date)?;
    let seconds = days * SECONDS_PER_DAY + seconds(clock)? - offset(rest)?;
    Some(UnixMillis(seconds * 1_000 + millis))
}

/// The milliseconds of a fraction with its point, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let mut millis = digits.bytes().map(|digit| i64::from(digit - b'0')).chain([0, 0]);
    let first = millis.next().filter(|_| !digits.is_empty())?;
    Some((first * 100 + millis.next()? * 10 + millis.next()?, rest))
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let in_month = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || year == 0 || !(1..=in_month).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

/// Seconds since midnight.
fn seconds(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let (hour, minute, second) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    valid.then_some((hour * 60 + minute) * 60 + second)
}

/// Seconds east of UTC.
fn offset(text: &str) -> Option<i64> {
    if text.is_empty() || text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) => (number(hours, 2)?, number(minutes, 2)?),
        None => (number(rest, 2)?, 0),
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_to_the_millisecond() {
        for (text, millis) in [
            ("1970-01-01 00:00:00", 0),
            ("1970-01-01 00:00:00.0019", 1),
            ("1969-12-31 23:59:59.999999", -1),
            ("2021-07-03 10:11:12.345678", 1_625_307_072_345),
            ("2021-07-03T10:11:12.3Z", 1_625_307_072_300),
            ("2021-07-03 10:11:12+00", 1_625_307_072_000),
            ("2021-07-03 12:11:12+02:00", 1_625_307_072_000),
            ("2021-07-03 08:41:12.345-01:30", 1_625_307_072_345),
            ("2000-02-29 23:59:59", 951_868_799_000),
            ("9999-12-31 23:59:59.999", 253_402_300_799_999),
        ] {
            assert_eq!(parse(text), Some(UnixMillis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_none() {
        for text in [
            "",
            "2021-07-03",
            "0000-00-00 00:00:00",
            "2021-02-29 00:00:00",
            "2021-13-01 00:00:00",
            "2021-07-03 24:00:00",
            "2021-07-03 10:11:12.",
            "2021-07-03 10:11:12 GMT",
            "2021-07-03 10:11",
            "infinity",
            "2021-07-0é 10:11:12",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
