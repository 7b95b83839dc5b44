//! UTC timestamps with millisecond precision, in one spelling: `2026-01-02T03:04:05.678Z`.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::borrowed_text::BorrowedText;

const FORM: &[FormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Milliseconds since 1970-01-01T00:00:00Z, between the years 1970 and 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// String or number that is not a time between 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time: expected the form 2026-01-02T03:04:05.678Z")]
pub struct InvalidTimestamp;

/// Duration in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

impl Span {
    pub const fn millis(n: i64) -> Self {
        Self(n)
    }
    pub const fn seconds(n: i64) -> Self {
        Self(n * 1_000)
    }
    pub const fn minutes(n: i64) -> Self {
        Self(n * 60_000)
    }
    pub const fn days(n: i64) -> Self {
        Self(n * 86_400_000)
    }
    pub const fn as_seconds(self) -> i64 {
        self.0 / 1_000
    }
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

/// Returns the error text for an object that was issued later than the clock of this process allows. Another process may
/// print it, so it does not call this clock its own.
pub(crate) fn issued_in_future(issued_at: Timestamp, now: Timestamp) -> String {
    format!(
        "issued at {issued_at}, and the clock of the process that verified it shows {now}; check the clocks of both machines"
    )
}

impl Timestamp {
    const MAX: i64 = 253_402_300_799_999;

    /// Converts Unix milliseconds from the clock; clamps to the range.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.clamp(0, Self::MAX))
    }

    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_unix_millis(self.0.saturating_add(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span(self.0 - earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .map_err(|_| fmt::Error)?;
        f.write_str(&at.format(FORM).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let at = parse(text).ok_or(InvalidTimestamp)?.assume_utc();
        let millis = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| InvalidTimestamp)?;
        if !(0..=Self::MAX).contains(&millis) {
            return Err(InvalidTimestamp);
        }
        Ok(Self(millis))
    }
}

/// Reads the one spelling: each digit and each separator at its position. Every record has times, so that this is faster
/// than a description of the form.
fn parse(text: &str) -> Option<PrimitiveDateTime> {
    const SPELLING: &[u8; 24] = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let text: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let is_spelled = text.iter().zip(SPELLING).all(|(byte, wanted)| match wanted {
        b'd' => byte.is_ascii_digit(),
        _ => byte == wanted,
    });
    let number = |from: usize, to: usize| {
        let digits = text[from..to].iter();
        digits.fold(0_u16, |n, digit| n * 10 + u16::from(digit & 0x0f))
    };
    let small = |from: usize| u8::try_from(number(from, from + 2)).ok();
    let month = Month::try_from(small(5)?).ok()?;
    let date = Date::from_calendar_date(i32::from(number(0, 4)), month, small(8)?).ok()?;
    let time = Time::from_hms_milli(small(11)?, small(14)?, small(17)?, number(20, 23)).ok()?;
    is_spelled.then(|| PrimitiveDateTime::new(date, time))
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BorrowedText::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamp_has_one_spelling() {
        let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(at.to_string(), "2026-01-02T03:04:05.678Z");
        for other in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.678+00:00",
            "2026-01-02 03:04:05.678Z",
            "1960-01-01T00:00:00.000Z",
            "2026-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:00:60.000Z",
            "2026-01-01t00:00:00.000Z",
            "2026-01-01T00:00:00.00:Z",
            "+026-01-01T00:00:00.000Z",
        ] {
            assert!(other.parse::<Timestamp>().is_err(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_read_from_its_spelling(millis in 0..=Timestamp::MAX, at in 0..24_usize, byte in "[0-9:.TZ+-]") {
            let time = Timestamp::from_unix_millis(millis);
            let mut text = time.to_string();
            prop_assert_eq!(text.parse(), Ok(time));
            text.replace_range(at..=at, &byte);
            // Whatever is read has no other spelling.
            if let Ok(other) = text.parse::<Timestamp>() {
                prop_assert_eq!(other.to_string(), text);
            }
        }
    }
}
