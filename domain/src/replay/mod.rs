//! What happened to one proposal, told from the log: its story, the bundle that carries the proofs, and the
//! check of such a bundle with nothing but a trust file.

mod bundle;
mod chain;
mod entry;
mod markdown;
mod report;
mod verify;

#[cfg(test)]
mod tests;

pub use bundle::{BUNDLE_BYTES_MAX, ProofBundle};
pub use entry::{Entry, EventBody};
pub use markdown::markdown;
pub use report::{
    AttemptLine, DecisionSummary, EventLine, EvidenceSummary, OrderLine, ReceiptLine, ReplayColumnChange,
    ReplayContext, ReplayReport, Request, WithdrawalLine,
};
pub use verify::{VerifiedBundle, verify, verify_bundle};

use crate::error::PublicError;
use crate::log::LogError;

/// Why a bundle is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    #[error("the file is not a bundle in canonical form: {0}")]
    Malformed(String),
    #[error("the bundle is of the log `{0}`, the trust file of another")]
    OtherLog(String),
    #[error("the checkpoint: {0}")]
    Checkpoint(LogError),
    #[error("record {position} of the bundle: {error}")]
    Record { position: usize, error: LogError },
    #[error("the records do not stand in the order of the log, each once")]
    RecordOrder,
    #[error("event {0} belongs to another proposal")]
    Foreign(u64),
    #[error("event {seq}: its body is not what its kind demands: {problem}")]
    Body { seq: u64, problem: String },
    #[error("the proposal: {0}")]
    Proposal(String),
    #[error("the evidence: {0}")]
    Evidence(String),
    #[error("the decision of event {seq}: {refusal}")]
    Decision { seq: u64, refusal: PublicError },
    #[error("the apply order of event {seq}: {refusal}")]
    Order { seq: u64, refusal: PublicError },
    #[error("the withdrawal of event {seq}: {problem}")]
    Withdrawal { seq: u64, problem: String },
    #[error("the writer's report of event {seq}: {problem}")]
    Attempt { seq: u64, problem: String },
    #[error("the receipt of event {seq}: {problem}")]
    Receipt { seq: u64, problem: String },
}

impl BundleError {
    /// The stable code for people and programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "BUNDLE_MALFORMED",
            Self::OtherLog(_) => "BUNDLE_OTHER_LOG",
            Self::Checkpoint(_) => "BUNDLE_CHECKPOINT",
            Self::Record { .. } => "BUNDLE_RECORD",
            Self::RecordOrder => "BUNDLE_RECORD_ORDER",
            Self::Foreign(_) => "BUNDLE_RECORD_FOREIGN",
            Self::Body { .. } => "BUNDLE_BODY",
            Self::Proposal(_) => "BUNDLE_PROPOSAL",
            Self::Evidence(_) => "BUNDLE_EVIDENCE",
            Self::Decision { .. } => "BUNDLE_DECISION",
            Self::Order { .. } => "BUNDLE_ORDER",
            Self::Withdrawal { .. } => "BUNDLE_WITHDRAWAL",
            Self::Attempt { .. } => "BUNDLE_ATTEMPT",
            Self::Receipt { .. } => "BUNDLE_RECEIPT",
        }
    }
}
