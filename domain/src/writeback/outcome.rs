//! Results of an attempt: a closed set of words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synapsor_codes::{AttemptKind, ErrorCode};

use super::receipt::Receipt;
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
    /// An operator rejected the proposal after a writer could have started.
    Rejected,
    Cancelled,
    Expired,
    Abandoned,
    Conflict(Reason),
    Failed(Reason),
    /// A check refused it; nothing was written and the proposal can be tried again.
    Refused(Reason),
    /// The database was busy or unavailable; nothing was written.
    Retryable(Reason),
    InDoubt,
}

/// Reason of a result: always a code of that kind of result, so only this file creates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(StoredReason);

#[derive(Debug, Clone, PartialEq, Eq)]
enum StoredReason {
    Code(ErrorCode),
    /// Records of another release may have a word that is no code of this release.
    Unlisted(String),
}

impl Reason {
    /// Returns the word that records store.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            StoredReason::Code(code) => code.reason(),
            StoredReason::Unlisted(word) => word,
        }
    }

    fn of(kind: AttemptKind, word: &str) -> Self {
        let code = format!("{}:{word}", kind.as_str()).parse();
        Self(code.map_or_else(|_| StoredReason::Unlisted(word.to_owned()), StoredReason::Code))
    }
}

impl AttemptResult {
    /// Returns the result of an attempt that changed nothing and ended with this code. The code of a service that
    /// did not answer is no result: the job can be tried again.
    pub fn of_code(code: ErrorCode) -> Self {
        let (kind, code) = match code.attempt_kind() {
            Some(kind) => (kind, code),
            None => (AttemptKind::Retryable, ErrorCode::RetryableLedgerUnavailable),
        };
        Self::of_kind(kind, Reason(StoredReason::Code(code)))
    }

    const fn of_kind(kind: AttemptKind, reason: Reason) -> Self {
        match kind {
            AttemptKind::Conflict => Self::Conflict(reason),
            AttemptKind::Failed => Self::Failed(reason),
            AttemptKind::Refused => Self::Refused(reason),
            AttemptKind::Retryable => Self::Retryable(reason),
        }
    }

    /// Returns the result that a receipt records.
    pub fn of_receipt(receipt: &Receipt) -> Self {
        let reason_of = |kind| Self::of_kind(kind, Reason::of(kind, &receipt.reason));
        match receipt.outcome {
            ReceiptOutcome::Applied => Self::Applied,
            ReceiptOutcome::Conflict => reason_of(AttemptKind::Conflict),
            ReceiptOutcome::Failed => reason_of(AttemptKind::Failed),
            ReceiptOutcome::Rejected => Self::Rejected,
            ReceiptOutcome::Cancelled => Self::Cancelled,
            ReceiptOutcome::Expired => Self::Expired,
            ReceiptOutcome::Abandoned => Self::Abandoned,
        }
    }

    /// Returns the code of a result that changed nothing, as far as this release has one.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Conflict(Reason(StoredReason::Code(code)))
            | Self::Failed(Reason(StoredReason::Code(code)))
            | Self::Refused(Reason(StoredReason::Code(code)))
            | Self::Retryable(Reason(StoredReason::Code(code))) => Some(*code),
            _ => None,
        }
    }

    /// Returns whether the result ends the proposal.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Applied
            | Self::AlreadyApplied
            | Self::Rejected
            | Self::Cancelled
            | Self::Expired
            | Self::Abandoned
            | Self::Conflict(_)
            | Self::Failed(_) => true,
            Self::Refused(_) | Self::Retryable(_) | Self::InDoubt => false,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(plain) = Self::PLAIN.into_iter().find(|plain| plain.name() == text) {
            return Some(plain);
        }
        let (name, word) = text.split_once(':')?;
        let kind = AttemptKind::ALL.into_iter().find(|kind| kind.as_str() == name)?;
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        (!word.is_empty() && word.bytes().all(is_word)).then(|| Self::of_kind(kind, Reason::of(kind, word)))
    }

    /// Results without a reason.
    const PLAIN: [Self; 7] = [
        Self::Applied,
        Self::AlreadyApplied,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
        Self::Abandoned,
        Self::InDoubt,
    ];

    const fn name(&self) -> &'static str {
        match self {
            Self::Applied => ReceiptOutcome::Applied.as_str(),
            Self::AlreadyApplied => "already_applied",
            Self::Rejected => ReceiptOutcome::Rejected.as_str(),
            Self::Cancelled => ReceiptOutcome::Cancelled.as_str(),
            Self::Expired => ReceiptOutcome::Expired.as_str(),
            Self::Abandoned => ReceiptOutcome::Abandoned.as_str(),
            Self::Conflict(_) => AttemptKind::Conflict.as_str(),
            Self::Failed(_) => AttemptKind::Failed.as_str(),
            Self::Refused(_) => AttemptKind::Refused.as_str(),
            Self::Retryable(_) => AttemptKind::Retryable.as_str(),
            Self::InDoubt => "in_doubt",
        }
    }
}

impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(reason)
            | Self::Failed(reason)
            | Self::Refused(reason)
            | Self::Retryable(reason) => write!(f, "{}:{}", self.name(), reason.as_str()),
            _ => f.write_str(self.name()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_results_keep_their_text() {
        for text in [
            "applied",
            "already_applied",
            "in_doubt",
            "tombstoned:denied",
            "tombstoned:cancelled",
            "tombstoned:expired",
            "tombstoned:abandoned",
            "conflict:version_changed",
            "failed:collateral",
            "refused:expired",
            "retryable:outdated",
            "refused:of_another_release",
        ] {
            let result: AttemptResult = serde_json::from_value(text.into()).unwrap();
            assert_eq!(serde_json::to_value(&result).unwrap(), text);
            assert_eq!(result.to_string(), text);
        }
        for text in [
            "",
            "conflict",
            "conflict:",
            "conflict:Two words",
            "applied:x",
            "tombstoned:x",
            "x:y",
        ] {
            assert!(
                serde_json::from_value::<AttemptResult>(text.into()).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn only_reasons_of_this_release_have_a_code() {
        for code in ErrorCode::ALL.iter().copied() {
            let result = AttemptResult::of_code(code);
            if code.attempt_kind().is_none() {
                assert_eq!(result.code(), Some(ErrorCode::RetryableLedgerUnavailable));
                continue;
            }
            assert_eq!(result.code(), Some(code));
            assert_eq!(result.to_string(), code.as_str());
            assert_eq!(AttemptResult::parse(code.as_str()), Some(result));
        }
        let other = AttemptResult::parse("failed:of_another_release").unwrap();
        assert_eq!(other.code(), None);
        assert!(other.is_terminal());
    }
}
