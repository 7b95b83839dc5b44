//! Record ids: a fixed prefix and twenty random hex digits.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of random bytes in an id.
pub const ID_BYTES: usize = 10;

/// Kind of record that an id names; defines its prefix.
pub trait IdKind {
    const PREFIX: &'static str;
}

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
}
impl IdKind for AuditName {
    const PREFIX: &'static str = "qa_";
}

pub type ProposalId = Id<ProposalName>;
pub type EvidenceId = Id<EvidenceName>;
/// Also the correlation id of a failed call.
pub type AuditId = Id<AuditName>;

/// String that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected `{0}` and 20 lower-case hex digits")]
pub struct InvalidId(pub &'static str);

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

impl<N: IdKind> FromStr for Id<N> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix(N::PREFIX).ok_or(InvalidId(N::PREFIX))?;
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.len() != 2 * ID_BYTES || !digits.bytes().all(is_hex) {
            return Err(InvalidId(N::PREFIX));
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
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
