//! Dates and times in the server's text form. Other spellings of the same time are converted to that form. A
//! value that the server would round, shift or roll over is rejected.

/// Parses `2026-01-31`, or infinity.
pub fn date(text: &str) -> Option<String> {
    (is_endless(text) || is_date(text)).then(|| text.to_owned())
}

/// Parses `13:05:59.5`, with at most `digits` after the point.
pub fn time(text: &str, digits: usize) -> Option<String> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_clock(clock) || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match fraction.trim_end_matches('0') {
        "" => Some(clock.to_owned()),
        fraction if fraction.len() <= digits => Some(format!("{clock}.{fraction}")),
        _ => None,
    }
}

/// Parses `2026-01-31 13:05:59.5`; a `T` is accepted as separator.
pub fn timestamp(text: &str, digits: usize) -> Option<String> {
    if is_endless(text) {
        return Some(text.to_owned());
    }
    let (day, clock) = text.split_once([' ', 'T'])?;
    Some(format!(
        "{} {}",
        date(day).filter(|_| is_date(day))?,
        time(clock, digits)?
    ))
}

/// Like [`timestamp`], but the UTC offset is required; returns it as `+00`.
pub fn timestamp_utc(text: &str, digits: usize) -> Option<String> {
    if is_endless(text) {
        return Some(text.to_owned());
    }
    let bare = ["Z", "+00:00", "+00"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone))?;
    Some(format!(
        "{}+00",
        timestamp(bare, digits).filter(|_| !is_endless(bare))?
    ))
}

fn is_endless(text: &str) -> bool {
    matches!(text, "infinity" | "-infinity")
}

fn is_clock(text: &str) -> bool {
    let Some([hour, minute, second]) = numbers(text, ':', [2, 2, 2]) else {
        return false;
    };
    hour < 24 && minute < 60 && second < 60
}

fn is_date(text: &str) -> bool {
    let Some([year, month, day]) = numbers(text, '-', [4, 2, 2]) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

/// Parses three numbers of the given lengths.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (number, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_normalized_or_rejected() {
        for (text, expected) in [
            ("2026-01-31 13:05:59", Some("2026-01-31 13:05:59")),
            ("2026-01-31T13:05:59.123000", Some("2026-01-31 13:05:59.123")),
            ("2024-02-29 00:00:00.000001", Some("2024-02-29 00:00:00.000001")),
            ("infinity", Some("infinity")),
            ("2023-02-29 00:00:00", None),
            ("2026-01-31 24:00:00", None),
            ("2026-01-31 23:59:60", None),
            ("2026-01-31 13:05:59.1234567", None),
            ("2026-01-31 13:05", None),
            ("2026-1-31 13:05:59", None),
            ("infinity 13:05:59", None),
            ("0000-01-01 00:00:00", None),
        ] {
            assert_eq!(timestamp(text, 6).as_deref(), expected, "{text}");
        }
        assert_eq!(timestamp("2026-01-31 13:05:59.1234", 3), None);
        for zone in ["Z", "+00", "+00:00"] {
            let text = format!("2026-01-31 13:05:59{zone}");
            assert_eq!(timestamp_utc(&text, 6).as_deref(), Some("2026-01-31 13:05:59+00"));
        }
        for text in ["2026-01-31 13:05:59", "2026-01-31 13:05:59+01", "infinityZ"] {
            assert_eq!(timestamp_utc(text, 6), None, "{text}");
        }
    }
}
