//! What people sign: decisions and apply orders, and the one verification of both.
//!
//! The ledger runs it when a decision arrives and the writer runs it again before it writes, each with its
//! own trust file.

mod freeze;
mod lift;
mod quorum;
mod reason;
mod receipt_order;
mod refusal;
mod verify;

use serde::{Deserialize, Serialize};

pub use freeze::{Freeze, VerifiedFreeze, verify_freeze};
pub use lift::{LiftClock, Unfreeze, VerifiedLift, verify_lift, verify_unfreeze};
pub use quorum::{VerifiedApproval, verify_quorum};
pub use reason::{check_reason, check_text};
pub use receipt_order::{
    ReceiptAction, ReceiptOrder, VerifiedReceiptOrder, verify_receipt_order, verify_receipt_order_at,
};
pub use refusal::{ApprovalRefusal, ApprovalRule};
pub use verify::{
    VerificationContext, VerifiedDecision, VerifiedOrder, verify_decision, verify_decision_at, verify_order,
    verify_order_at,
};

use crate::digest::Digest;
use crate::ids::ProposalId;
use crate::signing::KeyId;
use crate::timestamp::Timestamp;
use crate::trust::DeploymentEnvironment;

/// The name and version of the document that a person reviews.
pub const RENDERER: &str = "cli/1";

/// A person's yes or no to one exact proposal (`Kind::Decision`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub v: u32,
    pub decision: DecisionKind,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    pub contract_digest: Digest,
    pub audience: SignatureAudience,
    pub approver: SignerInfo,
    pub render: ReviewedDocument,
    /// The newest state of the log that the person's machine had verified.
    pub seen_checkpoint: Option<SignerTreeHead>,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
    pub reason: Option<String>,
    /// The newest freeze or lift that the signer knew; a writer that does not know it refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_switch: Option<Digest>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    Approve,
    #[serde(rename = "deny")]
    Reject,
}

/// A person's order to apply a proposal on the strength of exactly these decisions (`Kind::ApplyOrder`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyOrder {
    pub v: u32,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    pub contract_digest: Digest,
    /// Digests of the decisions that it counts on, sorted, each once.
    pub decision_digests: Vec<Digest>,
    pub audience: SignatureAudience,
    pub approver: SignerInfo,
    pub seen_checkpoint: Option<SignerTreeHead>,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    pub nonce: String,
    /// The newest freeze or lift that the signer knew; a writer that does not know it refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_switch: Option<Digest>,
}

/// Where a signature means something; nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureAudience {
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    pub source_id: String,
}

/// Who signs, in which role. Person and role are believed only as far as the verifier's trust file says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerInfo {
    pub key_id: KeyId,
    pub person: String,
    pub role: String,
}

/// The document that the person saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewedDocument {
    pub renderer: String,
    pub digest: Digest,
}

/// A state of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerTreeHead {
    pub origin: String,
    pub size: u64,
    /// 64 hex digits.
    pub root: String,
}
