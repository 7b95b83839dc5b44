//! Times of filters: dates, times, and times before now.

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_domain::timestamp::Timestamp;

const DAY_MS: i64 = 86_400_000;
/// Longest time before now: a hundred years.
const AGO_MS_MAX: i64 = 36_525 * DAY_MS;

/// Forms that are accepted, for help texts.
pub(crate) const FORMS: &str = "2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday";

/// Parses the time of a filter.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    parse_at(text, SystemClock.now_ms())
}

fn parse_at(text: &str, now_ms: i64) -> Result<Timestamp, String> {
    let midnight = now_ms - now_ms.rem_euclid(DAY_MS);
    let ms = match text {
        "now" => Some(now_ms),
        "today" => Some(midnight),
        "yesterday" => Some(midnight - DAY_MS),
        text => ago_ms(text).map(|ago| now_ms - ago),
    };
    if let Some(ms) = ms {
        return Ok(Timestamp::from_unix_millis(ms));
    }
    let full = match text.len() {
        10 => format!("{text}T00:00:00.000Z"),
        20 => text.replace('Z', ".000Z"),
        _ => text.to_owned(),
    };
    full.parse().map_err(|_| format!("expected {FORMS}"))
}

/// Parses a duration such as `90s`, `15min`, `2h`, `3d` or `1w`; `m` means minutes.
pub(crate) fn ago_ms(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return None,
    };
    let ms = number.parse::<i64>().ok()?.checked_mul(unit_ms)?;
    (ms <= AGO_MS_MAX).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        // 2026-03-04T05:06:07.000Z
        parse_at(text, 1_772_600_767_000).map_or_else(|why| why, |at| at.to_string())
    }

    #[test]
    fn dates_times_and_durations_are_parsed() {
        for (text, expected) in [
            ("2026-01-02", "2026-01-02T00:00:00.000Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
            ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z"),
            ("now", "2026-03-04T05:06:07.000Z"),
            ("today", "2026-03-04T00:00:00.000Z"),
            ("yesterday", "2026-03-03T00:00:00.000Z"),
            ("90s", "2026-03-04T05:04:37.000Z"),
            ("6m", "2026-03-04T05:00:07.000Z"),
            ("6min", "2026-03-04T05:00:07.000Z"),
            ("2h", "2026-03-04T03:06:07.000Z"),
            ("2d", "2026-03-02T05:06:07.000Z"),
            ("1w", "2026-02-25T05:06:07.000Z"),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_forms() {
        for text in [
            "",
            "h",
            "2",
            "2y",
            "-2h",
            "2 h",
            "99999999999999999999d",
            "36526d",
            "tomorrow",
            "2026-13-01",
        ] {
            assert!(at(text).contains("yesterday"), "{text}: {}", at(text));
        }
    }
}
