//! The receipt order: a signed instruction about receipts that differ between a source and the transparency log.
//!
//! It permits no write. A lost receipt that is given up no longer blocks its source. An adopted receipt is valid
//! although its writer key is retired. An archived receipt may be missing. Role `applier`.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::freeze::foreign;
use super::reason::check_length;
use super::{OperatorStatement, SignerInfo};
use crate::digest::Digest;
use crate::error::PublicError;
use crate::ids::ProposalId;
use crate::limits::RECEIPT_REFS_MAX;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{APPLIER, DeploymentEnvironment, Position, TrustFile};
use crate::writeback::{Receipt, ReceiptRef};

/// Action of a receipt order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptAction {
    /// The named receipts are permanently missing in the source; their effects are lost too.
    GiveUp,
    /// The named receipts are valid, although their writer key is retired or their COMMIT left another row
    /// version.
    Adopt,
    /// Receipts that were created before a time may be missing in the source.
    Archive,
}

/// An operator's instruction about the receipts of one source (`ObjectKind::ReceiptOrder`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptOrder {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    pub source: String,
    pub action: ReceiptAction,
    /// Sorted by proposal, each once; empty for `archive`.
    pub receipts: Vec<ReceiptRef>,
    /// For `archive` only: receipts whose signed `created_at` is before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    pub approver: SignerInfo,
    pub issued_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A receipt order whose signature, signer and content were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceiptOrder {
    digest: Digest,
    order: ReceiptOrder,
    person: String,
}

impl VerifiedReceiptOrder {
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    pub const fn order(&self) -> &ReceiptOrder {
        &self.order
    }
    /// Operator of the key, from the verifier's trust file.
    pub fn person(&self) -> &str {
        &self.person
    }

    /// Whether a receipt may be missing in the source.
    pub fn allows_missing(&self, source: &str, receipt: &Receipt, digest: Digest) -> bool {
        self.order.source == source
            && match self.order.action {
                ReceiptAction::GiveUp => self.names(&receipt.proposal_id, digest),
                ReceiptAction::Archive => self
                    .order
                    .before
                    .is_some_and(|before| receipt.created_at < before),
                ReceiptAction::Adopt => false,
            }
    }

    /// Whether a receipt of a retired key is valid.
    pub fn adopts(&self, source: &str, proposal: &ProposalId, digest: Digest) -> bool {
        self.order.source == source
            && self.order.action == ReceiptAction::Adopt
            && self.names(proposal, digest)
    }

    fn names(&self, proposal: &ProposalId, digest: Digest) -> bool {
        self.order
            .receipts
            .iter()
            .any(|named| named.proposal_id == *proposal && named.receipt_digest == digest)
    }
}

/// Verifies a receipt order as it is submitted: signed now, by a key that is in use.
///
/// # Errors
/// `refused:malformed`, `refused:key`, `refused:signature`, `refused:audience`, `refused:role`, `refused:future`
/// or `refused:expired`.
pub fn verify_receipt_order(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    now: Timestamp,
) -> Result<VerifiedReceiptOrder, PublicError> {
    let verified = verify_receipt_order_at(envelope, trust, &Position::Unproven)?;
    statement(envelope, &verified.order).check_recent("receipt order", now)?;
    Ok(verified)
}

/// Verifies a receipt order that the transparency log holds at `position`. It was submitted in time, so no clock
/// is consulted.
///
/// # Errors
/// As [`verify_receipt_order`], without the two about time.
pub fn verify_receipt_order_at(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    position: &Position<'_>,
) -> Result<VerifiedReceiptOrder, PublicError> {
    let order: ReceiptOrder = envelope
        .decode_unverified(ObjectKind::ReceiptOrder)
        .map_err(|e| malformed(&e.to_string()))?;
    check_content(&order)?;
    let operator = statement(envelope, &order).verify(trust, position)?;
    if order.deployment_id != trust.deployment_id || order.environment != trust.environment {
        return Err(foreign());
    }
    if order.approver.role != APPLIER || !operator.has_role(APPLIER) {
        return Err(PublicError::new(
            ErrorCode::RefusedRole,
            "a receipt order needs the role `applier`",
        ));
    }
    Ok(VerifiedReceiptOrder {
        digest: Digest::of(ObjectKind::ReceiptOrder, &envelope.payload),
        person: operator.person.clone(),
        order,
    })
}

fn statement<'a>(envelope: &'a DsseEnvelope, order: &'a ReceiptOrder) -> OperatorStatement<'a> {
    OperatorStatement {
        envelope,
        kind: ObjectKind::ReceiptOrder,
        signer: &order.approver,
        issued_at: order.issued_at,
    }
}

fn check_content(order: &ReceiptOrder) -> Result<(), PublicError> {
    if order.v != 1 {
        return Err(malformed("v must be 1"));
    }
    let is_archive = order.action == ReceiptAction::Archive;
    if order.before.is_some() != is_archive || order.receipts.is_empty() != is_archive {
        return Err(malformed(
            "`archive` takes `before` and no receipts; the other actions take receipts and no `before`",
        ));
    }
    if order.before.is_some_and(|before| before > order.issued_at) {
        return Err(malformed("`before` is after the signature"));
    }
    if order.receipts.len() > RECEIPT_REFS_MAX {
        return Err(malformed(&format!(
            "more than {RECEIPT_REFS_MAX} receipts; sign several orders"
        )));
    }
    if !order.receipts.is_sorted_by(|a, b| a.proposal_id < b.proposal_id) {
        return Err(malformed("the receipts are not sorted by proposal, each once"));
    }
    check_length(order.reason.as_deref())
}

fn malformed(problem: &str) -> PublicError {
    PublicError::new(ErrorCode::RefusedMalformed, problem.to_owned())
}
