//! Record ids: a fixed prefix and random hex digits. Ids of evidence and audit records begin with their time, so that the
//! ledger stores new ones next to each other.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::borrowed_text::BorrowedText;
use crate::timestamp::Timestamp;

/// Number of random bytes in an id.
pub const ID_BYTES: usize = 10;

/// Number of hex digits of the time in an id, in milliseconds since 1970.
const TIME_DIGITS: usize = 12;

/// Kind of record that an id names; defines its prefix.
pub trait IdKind {
    const PREFIX: &'static str;
    /// Whether its ids can begin with a time; those of 0.1.x and earlier releases have none.
    const CAN_BE_TIMED: bool = false;
    /// Numbers of hex digits that its ids can have, in words.
    const DIGITS: &'static str = if Self::CAN_BE_TIMED { "32 or 20" } else { "20" };
}

/// Kind of record whose new ids begin with their time.
pub trait TimedIdKind: IdKind {}

/// Id of one kind of record.
pub struct Id<N> {
    text: String,
    named: PhantomData<fn() -> N>,
}

/// Marker of [`ProposalId`].
#[derive(Debug)]
pub enum ProposalName {}
/// Marker of [`EvidenceId`].
#[derive(Debug)]
pub enum EvidenceName {}
/// Marker of [`AuditId`].
#[derive(Debug)]
pub enum AuditName {}

impl IdKind for ProposalName {
    const PREFIX: &'static str = "wrp_";
}
impl IdKind for EvidenceName {
    const PREFIX: &'static str = "ev_";
    const CAN_BE_TIMED: bool = true;
}
impl TimedIdKind for EvidenceName {}
impl IdKind for AuditName {
    const PREFIX: &'static str = "qa_";
    const CAN_BE_TIMED: bool = true;
}
impl TimedIdKind for AuditName {}

pub type ProposalId = Id<ProposalName>;
pub type EvidenceId = Id<EvidenceName>;
/// Also the correlation id of a failed call.
pub type AuditId = Id<AuditName>;

/// String that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected `{0}` and {1} lower-case hex digits")]
pub struct InvalidId(pub &'static str, pub &'static str);

impl<N: IdKind> Id<N> {
    pub fn from_random(bytes: [u8; ID_BYTES]) -> Self {
        Self {
            text: format!("{}{}", N::PREFIX, hex::encode(bytes)),
            named: PhantomData,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<N: TimedIdKind> Id<N> {
    /// Creates an id that sorts after those of earlier milliseconds.
    pub fn at(time: Timestamp, random: [u8; ID_BYTES]) -> Self {
        // Times before 1970 do not occur, and 48 bits last to the year 10889.
        let millis = time.as_unix_millis().clamp(0, (1 << (4 * TIME_DIGITS)) - 1);
        Self {
            text: format!("{}{millis:0TIME_DIGITS$x}{}", N::PREFIX, hex::encode(random)),
            named: PhantomData,
        }
    }
}

impl<N: IdKind> FromStr for Id<N> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text
            .strip_prefix(N::PREFIX)
            .ok_or(InvalidId(N::PREFIX, N::DIGITS))?;
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is_timed = N::CAN_BE_TIMED && digits.len() == TIME_DIGITS + 2 * ID_BYTES;
        if !(is_timed || digits.len() == 2 * ID_BYTES) || !digits.bytes().all(is_hex) {
            return Err(InvalidId(N::PREFIX, N::DIGITS));
        }
        Ok(Self {
            text: text.to_owned(),
            named: PhantomData,
        })
    }
}

impl<N> Clone for Id<N> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            named: PhantomData,
        }
    }
}
impl<N> PartialEq for Id<N> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<N> Eq for Id<N> {}
impl<N> std::hash::Hash for Id<N> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl<N> PartialOrd for Id<N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<N> Ord for Id<N> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl<N> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl<N> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl<N> Serialize for Id<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de, N: IdKind> Deserialize<'de> for Id<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BorrowedText::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_records_sort_by_their_time() {
        let at = |millis, random| EvidenceId::at(Timestamp::from_unix_millis(millis), random);
        let ids = [
            at(1, [0xff; ID_BYTES]),
            at(0xffff, [0; ID_BYTES]),
            at(1_796_000_000_000, [0; ID_BYTES]),
        ];
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[0].as_str(), "ev_000000000001ffffffffffffffffffff");
        for id in &ids {
            assert_eq!(id.as_str().parse().as_ref(), Ok(id));
        }
    }

    #[test]
    fn only_ids_of_records_can_have_a_time() {
        let (random, time) = ("0123456789abcdef0123", "0123456789ab");
        assert!(format!("ev_{random}").parse::<EvidenceId>().is_ok());
        assert!(format!("qa_{time}{random}").parse::<AuditId>().is_ok());
        assert!(format!("wrp_{random}").parse::<ProposalId>().is_ok());
        assert!(format!("wrp_{time}{random}").parse::<ProposalId>().is_err());
        for digits in [
            &random[1..],
            &format!("{random}0"),
            &format!("{time}{}A", &random[1..]),
        ] {
            assert!(format!("ev_{digits}").parse::<EvidenceId>().is_err(), "{digits}");
        }
    }
}
