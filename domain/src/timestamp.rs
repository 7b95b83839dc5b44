//! UTC timestamps with millisecond precision, in one spelling: `2026-01-02T03:04:05.678Z`.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

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
        let at = PrimitiveDateTime::parse(text, FORM)
            .map_err(|_| InvalidTimestamp)?
            .assume_utc();
        let millis = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| InvalidTimestamp)?;
        let this = Self(millis);
        if !(0..=Self::MAX).contains(&millis) || this.to_string() != text {
            return Err(InvalidTimestamp);
        }
        Ok(this)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
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
        ] {
            assert!(other.parse::<Timestamp>().is_err(), "{other}");
        }
    }
}
