//! What other people wrote, made safe to print: it cannot drive the terminal or disguise itself.

use std::fmt::Write as _;

use huddle_domain::UnixMillis;

const MILLIS_PER_SECOND: i64 = 1_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// `text` with control characters and those that turn the direction of text written as escapes. A text stays one line.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if needs_escape(character) { safe.extend(character.escape_default()) } else { safe.push(character) }
    }
    safe
}

/// JSON `text` in which nothing drives the terminal: what JSON leaves as it is becomes a JSON escape. Such characters
/// appear within strings only.
pub(crate) fn escaped_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if needs_escape(character) {
            // All of them are below U+10000, so one escape is enough.
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// C0, DEL and C1, the line and paragraph separators, and the explicit bidirectional controls (UAX #9, section 2).
fn needs_escape(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// `time` in UTC, to the second: `2026-01-31 23:59:59Z`.
pub(crate) fn time_text(time: UnixMillis) -> String {
    let seconds = time.0.div_euclid(MILLIS_PER_SECOND);
    let (year, month, day) = date_of(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date_of(day: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    // Days from 0000-03-01, with which the algorithm begins its years.
    let day = day.saturating_add(719_468);
    let (era, day_of_era) = (day.div_euclid(DAYS_PER_ERA), day.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        assert_eq!(escaped("red \u{1b}[31m\r\nnext\u{9b}2J"), "red \\u{1b}[31m\\r\\nnext\\u{9b}2J");
        assert_eq!(escaped("a\u{202e}b ü 漢 🎉"), "a\\u{202e}b ü 漢 🎉");
        let json = serde_json::to_string("\u{1b}[31m\u{9b}\u{7f}ü").unwrap();
        let safe = escaped_json(&json);
        assert!(!safe.chars().any(char::is_control), "{safe:?}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), "\u{1b}[31m\u{9b}\u{7f}ü");
    }

    #[test]
    fn times_are_shown_in_utc() {
        let cases = [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399_999, "2000-02-28 23:59:59Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (1_735_689_599_000, "2024-12-31 23:59:59Z"),
            (-1, "1969-12-31 23:59:59Z"),
        ];
        for (millis, text) in cases {
            assert_eq!(time_text(UnixMillis(millis)), text);
        }
    }
}
