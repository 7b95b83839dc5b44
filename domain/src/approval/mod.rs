//! Objects that operators sign, decisions and apply orders, and the shared verification of both.
//!
//! The ledger runs it when a decision arrives and the writer runs it again before it writes, each with its
//! own trust file.

mod discontinuity;
mod erasure_order;
mod freeze;
mod lift;
mod quorum;
mod reason;
mod receipt_order;
mod refusal;
mod statement;
mod verify;

use serde::{Deserialize, Serialize};

pub use discontinuity::{
    Discontinuity, LOST_HEADS_MAX, VerifiedDiscontinuity, recovered_head, recovery_quorum,
    verify_discontinuity,
};
pub use erasure_order::{
    ErasureOrder, ErasureSelection, VerifiedErasureOrder, verify_erasure_order, verify_erasure_order_at,
};
pub use freeze::{Freeze, VerifiedFreeze, verify_freeze};
pub use lift::{LiftClock, Unfreeze, VerifiedLift, verify_lift, verify_unfreeze};
pub use quorum::{VerifiedApproval, verify_quorum};
pub use reason::{check_reason, check_text};
pub use receipt_order::{
    ReceiptAction, ReceiptOrder, VerifiedReceiptOrder, verify_receipt_order, verify_receipt_order_at,
};
pub use refusal::{ApprovalRefusal, ApprovalRule};
pub(crate) use statement::OperatorStatement;
pub use verify::{
    VerificationContext, VerifiedDecision, VerifiedOrder, verify_decision, verify_decision_at, verify_order,
    verify_order_at,
};

use crate::digest::Digest;
use crate::ids::ProposalId;
use crate::signing::KeyId;
use crate::timestamp::Timestamp;
use crate::trust::DeploymentEnvironment;

/// Error text for an object whose signer is not a valid operator.
const SIGNER_NOT_VALID: &str = "not signed by a valid operator key of the trust file";

/// An operator's approval or rejection of one exact proposal (`ObjectKind::Decision`).
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
    /// Newest state of the log that the signer's machine had verified.
    pub seen_checkpoint: Option<SignerTreeHead>,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
    pub reason: Option<String>,
    /// Newest freeze or lift that the signer knew; a writer that does not know it rejects the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_switch: Option<Digest>,
}

/// Approval or rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    Approve,
    #[serde(rename = "deny")]
    Reject,
}

impl DecisionKind {
    pub const ALL: [Self; 2] = [Self::Approve, Self::Reject];

    /// Returns the stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "deny",
        }
    }

    /// Returns the kind with this stored name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An operator's order to apply a proposal, based on exactly these decisions (`ObjectKind::ApplyOrder`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyOrder {
    pub v: u32,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    pub contract_digest: Digest,
    /// Digests of the decisions that it is based on, sorted, without duplicates.
    pub decision_digests: Vec<Digest>,
    pub audience: SignatureAudience,
    pub approver: SignerInfo,
    pub seen_checkpoint: Option<SignerTreeHead>,
    pub issued_at: Timestamp,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    pub nonce: String,
    /// Newest freeze or lift that the signer knew; a writer that does not know it rejects the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_switch: Option<Digest>,
}

/// Audience of a signature; the signature is valid nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureAudience {
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    pub source_id: String,
}

/// Signer and role. A verifier accepts both only if its trust file confirms them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerInfo {
    pub key_id: KeyId,
    pub person: String,
    pub role: String,
}

/// The document that the operator reviewed.
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
