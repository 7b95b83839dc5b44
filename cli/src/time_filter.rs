//! Times of filters: dates, times, and times before now.

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_domain::timestamp::Timestamp;

const DAY_MS: i64 = 86_400_000;
/// Longest time before now: a hundred years.
const AGO_MS_MAX: i64 = 36_525 * DAY_MS;

/// Maximum log position that a ledger accepts.
const POSITION_MAX: u64 = (1 << 53) - 1;

/// Forms that are accepted, for help texts.
pub(crate) const FORMS: &str = "2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday";

/// End of a part of the log: a position, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogBound {
    Seq(u64),
    At(Timestamp),
}

/// Parses the end of a part of the log: digits are a position, anything else is a time.
pub(crate) fn parse_bound(text: &str) -> Result<LogBound, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seq = text.parse().ok().filter(|seq| *seq <= POSITION_MAX);
        let seq = seq.ok_or_else(|| format!("expected a log position up to {POSITION_MAX}, or {FORMS}"))?;
        return Ok(LogBound::Seq(seq));
    }
    let at = parse_time(text).map_err(|_| format!("expected a log position, {FORMS}"))?;
    Ok(LogBound::At(at))
}

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
    fn bound_of_digits_is_a_position() {
        assert_eq!(parse_bound("17"), Ok(LogBound::Seq(17)));
        assert_eq!(parse_bound("20260102"), Ok(LogBound::Seq(20_260_102)));
        let midnight = "2026-01-02T00:00:00.000Z".parse().map(LogBound::At);
        assert_eq!(parse_bound("2026-01-02").ok(), midnight.ok());
        for text in ["", "9007199254740992", "1 7", "next week"] {
            assert!(parse_bound(text).is_err(), "{text}");
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
