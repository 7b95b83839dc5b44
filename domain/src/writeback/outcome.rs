//! Results of an attempt: a closed set of words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synapsor_codes::ErrorCode;

use crate::digest::Digest;
use crate::ids::ProposalId;
use crate::timestamp::Timestamp;

/// Terminal outcome that a receipt records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptOutcome {
    Applied,
    Conflict,
    Failed,
    /// An operator rejected it after a writer could have started.
    #[serde(rename = "denied")]
    Rejected,
    Cancelled,
    Expired,
    /// Resolved from in doubt: no earlier attempt can still commit.
    Abandoned,
}

impl ReceiptOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Applied,
        Self::Conflict,
        Self::Failed,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
        Self::Abandoned,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Rejected => "tombstoned:denied",
            Self::Cancelled => "tombstoned:cancelled",
            Self::Expired => "tombstoned:expired",
            Self::Abandoned => "tombstoned:abandoned",
        }
    }
}

/// String that is not an outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown outcome")]
pub struct UnknownOutcome;

impl FromStr for ReceiptOutcome {
    type Err = UnknownOutcome;

    /// Parses the result of [`ReceiptOutcome::as_str`].
    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or(UnknownOutcome)
    }
}

impl fmt::Display for ReceiptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Result of one writer attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    Applied,
    /// A receipt already existed; it has this outcome.
    AlreadyApplied,
    Conflict(String),
    Failed(String),
    Tombstoned(String),
    /// A check refused it; nothing was written and the proposal can be tried again.
    Refused(String),
    /// The database was busy or unavailable; nothing was written.
    Retryable(String),
    InDoubt,
}

impl AttemptResult {
    /// Returns the result for a receipt that was just written.
    pub fn from_outcome(outcome: ReceiptOutcome, reason: &str) -> Self {
        match outcome {
            ReceiptOutcome::Applied => Self::Applied,
            ReceiptOutcome::Conflict => Self::Conflict(reason.to_owned()),
            ReceiptOutcome::Failed => Self::Failed(reason.to_owned()),
            ReceiptOutcome::Rejected => Self::Tombstoned("denied".to_owned()),
            ReceiptOutcome::Cancelled => Self::Tombstoned("cancelled".to_owned()),
            ReceiptOutcome::Expired => Self::Tombstoned("expired".to_owned()),
            ReceiptOutcome::Abandoned => Self::Tombstoned("abandoned".to_owned()),
        }
    }

    /// Returns the code of a rejection by the writer.
    pub fn refused_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(reason) => ErrorCode::refused(reason),
            _ => None,
        }
    }

    /// Returns whether the result ends the proposal.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Applied
            | Self::AlreadyApplied
            | Self::Conflict(_)
            | Self::Failed(_)
            | Self::Tombstoned(_) => true,
            Self::Refused(_) | Self::Retryable(_) | Self::InDoubt => false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (word, reason) = text.split_once(':').unwrap_or((text, ""));
        let is_word = !reason.is_empty()
            && reason
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        match (word, is_word) {
            ("applied", false) if text == word => Some(Self::Applied),
            ("already_applied", false) if text == word => Some(Self::AlreadyApplied),
            ("in_doubt", false) if text == word => Some(Self::InDoubt),
            ("conflict", true) => Some(Self::Conflict(reason.to_owned())),
            ("failed", true) => Some(Self::Failed(reason.to_owned())),
            ("tombstoned", true) => Some(Self::Tombstoned(reason.to_owned())),
            ("refused", true) => Some(Self::Refused(reason.to_owned())),
            ("retryable", true) => Some(Self::Retryable(reason.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => f.write_str("applied"),
            Self::AlreadyApplied => f.write_str("already_applied"),
            Self::InDoubt => f.write_str("in_doubt"),
            Self::Conflict(reason) => write!(f, "conflict:{reason}"),
            Self::Failed(reason) => write!(f, "failed:{reason}"),
            Self::Tombstoned(reason) => write!(f, "tombstoned:{reason}"),
            Self::Refused(reason) => write!(f, "refused:{reason}"),
            Self::Retryable(reason) => write!(f, "retryable:{reason}"),
        }
    }
}

impl Serialize for AttemptResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttemptResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("unknown attempt result"))
    }
}

/// Writer's report of one attempt, signed by the writer (`ObjectKind::Attempt`), so that the applier need not
/// trust the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptReport {
    pub v: u32,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    /// The apply order of the attempt; absent for the reconciler's own attempts.
    pub order_digest: Option<Digest>,
    pub writer: String,
    pub fence: u64,
    pub attempt: u32,
    pub result: AttemptResult,
    /// One line for an operator: the failed check, and the fix.
    pub message: String,
    /// Digest of the receipt, for results that end the proposal.
    pub receipt_digest: Option<Digest>,
    pub at: Timestamp,
}
