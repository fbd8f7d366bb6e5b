//! Numbers for people.

/// Names that are listed one by one.
const NAMED_MAX: usize = 8;

/// `bytes` in the unit that fits, to one decimal.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// How many hundredths `part` is of `whole`.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

/// `partition 3`, or `partitions 0, 1, 2 and 5 more`.
pub(crate) fn partitions(numbers: &[u16]) -> String {
    let named: Vec<String> = numbers.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = numbers.len().saturating_sub(NAMED_MAX);
    let named = named.join(", ");
    match (numbers.len(), more) {
        (1, _) => format!("partition {named}"),
        (_, 0) => format!("partitions {named}"),
        (_, more) => format!("partitions {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn many_partitions_are_counted() {
        assert_eq!(partitions(&[3]), "partition 3");
        assert_eq!(partitions(&[0, 1]), "partitions 0, 1");
        assert_eq!(partitions(&(0..10).collect::<Vec<_>>()), "partitions 0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!(percent(1, 0), 0);
    }
}
