//! Replay of one proposal from the log, the bundle that carries its proofs, and offline verification of a bundle
//! with only a trust file.

mod bundle;
mod chain;
mod entry;
mod markdown;
mod report;
mod verify;

#[cfg(test)]
mod tests;

use synapsor_codes::ErrorCode;

pub use bundle::{BUNDLE_BYTES_MAX, ProofBundle};
pub use entry::{Entry, EventBody};
pub use markdown::markdown;
pub use report::{
    AttemptLine, DecisionSummary, EventLine, EvidenceSummary, HumanActionLine, OrderLine, ReceiptLine,
    ReplayColumnChange, ReplayContext, ReplayReport, Request, WithdrawalLine,
};
pub use verify::{VerifiedBundle, verify, verify_bundle};

use crate::error::PublicError;
use crate::log::LogError;

/// Reason why a bundle failed verification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("file is not a bundle in canonical form: {0}")]
    Malformed(String),
    #[error("bundle is from the log `{0}`, but the trust file names another log")]
    OtherLog(String),
    #[error("checkpoint: {0}")]
    Checkpoint(LogError),
    #[error("record {position} of the bundle: {error}")]
    Record { position: usize, error: LogError },
    #[error("records are duplicated or not in log order")]
    RecordOrder,
    #[error("event {0} belongs to another proposal")]
    Foreign(u64),
    #[error("event {seq}: invalid body for its kind: {problem}")]
    Body { seq: u64, problem: String },
    #[error("proposal: {0}")]
    Proposal(String),
    #[error("evidence: {0}")]
    Evidence(String),
    #[error("decision of event {seq}: {refusal}")]
    Decision { seq: u64, refusal: PublicError },
    #[error("apply order of event {seq}: {refusal}")]
    Order { seq: u64, refusal: PublicError },
    #[error("withdrawal of event {seq}: {problem}")]
    Withdrawal { seq: u64, problem: String },
    #[error("attempt report of event {seq}: {problem}")]
    Attempt { seq: u64, problem: String },
    #[error("receipt of event {seq}: {problem}")]
    Receipt { seq: u64, problem: String },
    #[error("human action of event {seq}: {refusal}")]
    HumanAction { seq: u64, refusal: PublicError },
}

impl BundleError {
    /// Returns the stable error code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) => ErrorCode::BundleMalformed,
            Self::OtherLog(_) => ErrorCode::BundleOtherLog,
            Self::Checkpoint(_) => ErrorCode::BundleCheckpoint,
            Self::Record { .. } => ErrorCode::BundleRecord,
            Self::RecordOrder => ErrorCode::BundleRecordOrder,
            Self::Foreign(_) => ErrorCode::BundleRecordForeign,
            Self::Body { .. } => ErrorCode::BundleBody,
            Self::Proposal(_) => ErrorCode::BundleProposal,
            Self::Evidence(_) => ErrorCode::BundleEvidence,
            Self::Decision { .. } => ErrorCode::BundleDecision,
            Self::Order { .. } => ErrorCode::BundleOrder,
            Self::Withdrawal { .. } => ErrorCode::BundleWithdrawal,
            Self::Attempt { .. } => ErrorCode::BundleAttempt,
            Self::Receipt { .. } => ErrorCode::BundleReceipt,
            Self::HumanAction { .. } => ErrorCode::BundleHumanAction,
        }
    }
}
