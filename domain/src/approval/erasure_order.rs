//! The erasure order: a signed instruction to erase bodies of the log, by tenant, by object or by age.
//!
//! The events and their places in the tree stay, so that every proof stays valid. Nothing that a writer still needs is
//! erased: open proposals and receipts stay. Role `eraser`.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::freeze::foreign;
use super::reason::check_length;
use super::{OperatorStatement, SignerInfo};
use crate::digest::Digest;
use crate::error::PublicError;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{DeploymentEnvironment, ERASER, Position, TrustFile};

/// Maximum length of a name in a selection, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// Maximum number of tables of one object.
const TABLES_MAX: usize = 64;

/// What is erased. Each selection takes ended proposals with their evidence, and records of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum ErasureSelection {
    /// Everything of one tenant.
    Tenant { tenant: String },
    /// Everything about one object in these tables, each `schema.table`.
    Object { object_id: String, tables: Vec<String> },
    /// What ended or was recorded before a time.
    Before { before: Timestamp },
}

/// An operator's instruction to erase bodies (`ObjectKind::ErasureOrder`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureOrder {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    pub selection: ErasureSelection,
    pub approver: SignerInfo,
    pub issued_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An erasure order whose signature, signer and content were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedErasureOrder {
    digest: Digest,
    order: ErasureOrder,
    person: String,
}

impl VerifiedErasureOrder {
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    pub const fn order(&self) -> &ErasureOrder {
        &self.order
    }
    /// Operator of the key, from the verifier's trust file.
    pub fn person(&self) -> &str {
        &self.person
    }
}

/// Verifies an erasure order as it is submitted: signed now, by a key that is in use.
///
/// # Errors
/// `refused:malformed`, `refused:key`, `refused:signature`, `refused:audience`, `refused:role`, `refused:future` or
/// `refused:expired`.
pub fn verify_erasure_order(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    now: Timestamp,
) -> Result<VerifiedErasureOrder, PublicError> {
    let verified = verify_erasure_order_at(envelope, trust, &Position::Unproven)?;
    statement(envelope, &verified.order).check_recent("erasure order", now)?;
    Ok(verified)
}

/// Verifies an erasure order that the transparency log holds at `position`. It was submitted in time, so no clock is
/// consulted.
///
/// # Errors
/// As [`verify_erasure_order`], without the two about time.
pub fn verify_erasure_order_at(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    position: &Position<'_>,
) -> Result<VerifiedErasureOrder, PublicError> {
    let order: ErasureOrder = envelope
        .decode_unverified(ObjectKind::ErasureOrder)
        .map_err(|e| malformed(&e.to_string()))?;
    check_content(&order)?;
    let operator = statement(envelope, &order).verify(trust, position)?;
    if order.deployment_id != trust.deployment_id || order.environment != trust.environment {
        return Err(foreign());
    }
    if order.approver.role != ERASER || !operator.has_role(ERASER) {
        let text = "an erasure order needs the role `eraser`";
        return Err(PublicError::new(ErrorCode::RefusedRole, text));
    }
    Ok(VerifiedErasureOrder {
        digest: Digest::of(ObjectKind::ErasureOrder, &envelope.payload),
        person: operator.person.clone(),
        order,
    })
}

fn statement<'a>(envelope: &'a DsseEnvelope, order: &'a ErasureOrder) -> OperatorStatement<'a> {
    OperatorStatement {
        envelope,
        kind: ObjectKind::ErasureOrder,
        signer: &order.approver,
        issued_at: order.issued_at,
    }
}

fn check_content(order: &ErasureOrder) -> Result<(), PublicError> {
    if order.v != 1 {
        return Err(malformed("v must be 1"));
    }
    let is_name = |name: &String| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    match &order.selection {
        // What was erased already has no tenant any more.
        ErasureSelection::Tenant { tenant } if !is_name(tenant) => {
            return Err(malformed("`tenant` is empty or too long"));
        }
        ErasureSelection::Object { object_id, tables } => {
            let is_list = (1..=TABLES_MAX).contains(&tables.len()) && tables.iter().all(is_name);
            if !is_name(object_id) || !is_list {
                let text = format!("an object needs an id and 1 to {TABLES_MAX} tables");
                return Err(malformed(&text));
            }
        }
        ErasureSelection::Before { before } if *before > order.issued_at => {
            return Err(malformed("`before` is after the signature"));
        }
        ErasureSelection::Tenant { .. } | ErasureSelection::Before { .. } => {}
    }
    check_length(order.reason.as_deref())
}

fn malformed(problem: &str) -> PublicError {
    PublicError::new(ErrorCode::RefusedMalformed, problem.to_owned())
}
