//! Dates and times as the servers print them, and as callers may write them: only real ones, and with no more
//! digits than the column stores.

/// Maximum number of days of the months.
const DAYS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const HOURS_MAX: u32 = 838;
/// The range of a TIMESTAMP, in UTC and without fractions.
const TIMESTAMP_MIN: &str = "1970-01-01 00:00:01";
const TIMESTAMP_MAX: &str = "2038-01-19 03:14:07";

/// Parses a calendar date from the year 1000 to 9999: `2026-01-02`.
pub fn date(text: &str) -> Option<String> {
    let is_shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !is_shaped {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<u32>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = DAYS.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let days = if month == 2 && is_leap { 29 } else { *days };
    (year >= 1000 && (1..=days).contains(&day)).then(|| text.to_owned())
}

/// Parses a timestamp without a zone, with exactly this many fractional digits: `2026-01-02 03:04:05.120`.
pub fn date_time(text: &str, digits: usize) -> Option<String> {
    let (day, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix([' ', 'T'])?;
    let (seconds, fraction) = split_fraction(clock, digits)?;
    let (hours, rest) = seconds.split_once(':')?;
    let hours = two_digits(hours).filter(|h| *h <= 23)?;
    let rest = minutes_and_seconds(rest)?;
    Some(format!("{} {hours:02}:{rest}{fraction}", date(day)?))
}

/// Parses a timestamp with its required UTC offset: `2026-01-02 03:04:05+00`.
pub fn timestamp(text: &str, digits: usize) -> Option<String> {
    let bare = ["Z", "+00:00", "+00"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone))?;
    let moment = date_time(bare, digits)?;
    let whole = moment.get(..19)?;
    (TIMESTAMP_MIN..=TIMESTAMP_MAX)
        .contains(&whole)
        .then(|| format!("{moment}+00"))
}

/// Parses a span of hours, minutes and seconds: `-838:59:59`.
pub fn time(text: &str, digits: usize) -> Option<String> {
    let (sign, span) = text.strip_prefix('-').map_or(("", text), |span| ("-", span));
    let (seconds, fraction) = split_fraction(span, digits)?;
    let (hours, rest) = seconds.split_once(':')?;
    if !matches!(hours.len(), 2 | 3) || !hours.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: u32 = hours.parse().ok().filter(|h| *h <= HOURS_MAX)?;
    let rest = minutes_and_seconds(rest)?;
    let is_beyond =
        hours == HOURS_MAX && rest == "59:59" && fraction.bytes().any(|b| matches!(b, b'1'..=b'9'));
    let shown = format!("{hours:02}:{rest}{fraction}");
    let is_zero = !shown.bytes().any(|b| matches!(b, b'1'..=b'9'));
    let is_negative_zero = is_zero && sign == "-";
    (!is_beyond && !is_negative_zero).then(|| format!("{sign}{shown}"))
}

/// Whether a string of the server is a calendar date or timestamp without zero parts.
pub fn is_real(text: &str) -> bool {
    text.get(..10)
        .is_some_and(|day| day.get(..4).is_some_and(|year| year != "0000") && !day.contains("-00"))
}

/// Splits off the fraction, with exactly this many digits, point included.
fn split_fraction(text: &str, digits: usize) -> Option<(&str, String)> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = fraction.trim_end_matches('0');
    if kept.len() > digits {
        return None;
    }
    if digits == 0 {
        return Some((whole, String::new()));
    }
    Some((whole, format!(".{kept:0<digits$}")))
}

fn minutes_and_seconds(text: &str) -> Option<String> {
    let (minutes, seconds) = text.split_once(':')?;
    let minutes = two_digits(minutes).filter(|m| *m <= 59)?;
    let seconds = two_digits(seconds).filter(|s| *s <= 59)?;
    Some(format!("{minutes:02}:{seconds:02}"))
}

fn two_digits(text: &str) -> Option<u32> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calendar_dates_are_accepted() {
        for real in [
            "2026-01-02",
            "2024-02-29",
            "2000-02-29",
            "9999-12-31",
            "1000-01-01",
        ] {
            assert_eq!(date(real).as_deref(), Some(real));
        }
        for other in [
            "0000-00-00",
            "2026-00-01",
            "2026-01-00",
            "2023-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-1-2",
            "2026/01/02",
            "20260102",
            "0999-01-01",
            " 2026-01-02",
            "2026-01-02 ",
        ] {
            assert_eq!(date(other), None, "{other}");
        }
        assert!(is_real("2026-01-02 00:00:00") && !is_real("0000-00-00") && !is_real("2026-00-01"));
    }

    #[test]
    fn timestamps_get_exactly_their_digits() {
        let shown = |text, digits| date_time(text, digits);
        assert_eq!(
            shown("2026-01-02T03:04:05.12", 3).unwrap(),
            "2026-01-02 03:04:05.120"
        );
        assert_eq!(
            shown("2026-01-02 03:04:05.000", 0).unwrap(),
            "2026-01-02 03:04:05"
        );
        for (text, digits) in [
            ("2026-01-02 03:04:05.5", 0),
            ("2026-01-02 03:04:05.1234567", 6),
            ("2026-01-02 24:00:00", 0),
            ("2026-01-02 03:04:60", 0),
            ("2026-01-02 03:04", 0),
            ("2026-01-02 03:04:05Z", 0),
            ("2026-01-02 03:04:05.", 6),
            ("2026-01-02", 0),
        ] {
            assert_eq!(shown(text, digits), None, "{text}");
        }
        assert_eq!(
            timestamp("2026-01-02T03:04:05Z", 0).unwrap(),
            "2026-01-02 03:04:05+00"
        );
        for text in [
            "2026-01-02 03:04:05",
            "2026-01-02 03:04:05+01",
            "2038-01-19 03:14:08Z",
            "1970-01-01 00:00:00Z",
        ] {
            assert_eq!(timestamp(text, 0), None, "{text}");
        }
    }

    #[test]
    fn time_range_equals_the_servers() {
        assert_eq!(time("-838:59:59", 0).unwrap(), "-838:59:59");
        assert_eq!(time("03:04:05.1", 6).unwrap(), "03:04:05.100000");
        for text in [
            "839:00:00",
            "838:59:59.1",
            "3:04:05",
            "-00:00:00",
            "03:60:00",
            "03:04",
            "0838:00:00",
        ] {
            assert_eq!(time(text, 6), None, "{text}");
        }
    }
}
