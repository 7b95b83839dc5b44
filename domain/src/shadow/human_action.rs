//! The human action: a signed statement of the values that a person wrote where an agent had proposed others.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use crate::approval::{OperatorStatement, SignatureAudience, SignerInfo, check_reason, check_text};
use crate::contract::is_secret_like;
use crate::digest::Digest;
use crate::error::PublicError;
use crate::ids::ProposalId;
use crate::proposal::{Proposal, ProposalMode};
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{OperatorKey, Position, TrustFile};
use crate::value::ColumnValue;

/// Maximum number of columns of a patch.
const COLUMNS_MAX: usize = 100;
/// Maximum length of a column name, in bytes.
const COLUMN_BYTES_MAX: usize = 128;

/// What a person did where an agent made a shadow proposal (`ObjectKind::HumanAction`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumanAction {
    pub v: u32,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    pub audience: SignatureAudience,
    pub operator: SignerInfo,
    /// Values that the person wrote, sorted by column, each once. Empty: the person changed nothing.
    pub patch: Vec<ColumnValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    pub issued_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
}

/// A human action whose signature, signer and content were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHumanAction {
    digest: Digest,
    action: HumanAction,
    person: String,
}

impl VerifiedHumanAction {
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    pub const fn action(&self) -> &HumanAction {
        &self.action
    }
    /// Operator of the key, from the verifier's trust file.
    pub fn person(&self) -> &str {
        &self.person
    }
}

/// Verifies a human action as it is submitted: signed now, by a key that is in use.
///
/// # Errors
/// `NOT_SHADOW_PROPOSAL`, `SECRET_MATERIAL_REJECTED`, `refused:malformed`, `refused:digest`, `refused:key`,
/// `refused:signature`, `refused:audience`, `refused:role`, `refused:future` or `refused:expired`.
pub fn verify_human_action(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    now: Timestamp,
    subject: (&Proposal, Digest),
) -> Result<VerifiedHumanAction, PublicError> {
    let verified = verify_human_action_at(envelope, trust, &Position::Unproven, subject)?;
    let action = &verified.action;
    check_human_patch(&action.patch)?;
    check_reason(action.notes.as_deref())?;
    statement(envelope, action).check_recent("human action", now)?;
    Ok(verified)
}

/// Verifies a human action that the log holds at `position`. It was submitted in time, so no clock is consulted.
///
/// # Errors
/// As [`verify_human_action`], without those about time and secrets.
pub fn verify_human_action_at(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    position: &Position<'_>,
    (proposal, digest): (&Proposal, Digest),
) -> Result<VerifiedHumanAction, PublicError> {
    let action: HumanAction = envelope
        .decode_unverified(ObjectKind::HumanAction)
        .map_err(|e| malformed(&e.to_string()))?;
    check_content(&action)?;
    if action.proposal_id != proposal.id || action.proposal_digest != digest {
        return Err(PublicError::new(
            ErrorCode::RefusedDigest,
            "the signature is for another proposal",
        ));
    }
    if proposal.mode != ProposalMode::Shadow {
        return Err(PublicError::new(
            ErrorCode::NotShadowProposal,
            "the proposal is not a shadow proposal: what a person does with it is a decision",
        ));
    }
    let operator = statement(envelope, &action).verify(trust, position)?;
    let audience = &action.audience;
    if audience.deployment_id != trust.deployment_id
        || audience.environment != trust.environment
        || audience.source_id != proposal.source.id
    {
        return Err(PublicError::new(
            ErrorCode::RefusedAudience,
            "signed for another deployment, environment or source",
        ));
    }
    check_role(operator, &action, proposal)?;
    Ok(VerifiedHumanAction {
        digest: Digest::of(ObjectKind::HumanAction, &envelope.payload),
        person: operator.person.clone(),
        action,
    })
}

/// Checks the patch of a human action before it is recorded, because the log cannot delete it.
///
/// # Errors
/// `SECRET_MATERIAL_REJECTED` for a column name that suggests a secret, and for a value that looks like one.
pub fn check_human_patch(patch: &[ColumnValue]) -> Result<(), PublicError> {
    for change in patch {
        if is_secret_like(&change.column) {
            let text =
                "a column name of the patch suggests that it holds secrets, which the log must not hold";
            return Err(PublicError::new(ErrorCode::SecretMaterialRejected, text));
        }
        check_text("a value of the patch", change.value.as_text().unwrap_or_default())?;
        check_text("a column name of the patch", &change.column)?;
    }
    Ok(())
}

fn statement<'a>(envelope: &'a DsseEnvelope, action: &'a HumanAction) -> OperatorStatement<'a> {
    OperatorStatement {
        envelope,
        kind: ObjectKind::HumanAction,
        signer: &action.operator,
        issued_at: action.issued_at,
    }
}

/// The signer needs the role and the scope that a decision on the proposal would need.
fn check_role(operator: &OperatorKey, action: &HumanAction, proposal: &Proposal) -> Result<(), PublicError> {
    let role = &proposal.approval.required_role;
    if action.operator.role != *role || !operator.has_role(role) {
        let text = format!("{} does not hold the role `{role}`", operator.person);
        return Err(PublicError::new(ErrorCode::RefusedRole, text));
    }
    if !operator.covers(&proposal.capability, &proposal.requested_by.tenant) {
        let text = format!(
            "the key of {} does not cover this capability and tenant",
            operator.person
        );
        return Err(PublicError::new(ErrorCode::RefusedRole, text));
    }
    Ok(())
}

fn check_content(action: &HumanAction) -> Result<(), PublicError> {
    if action.v != 1 {
        return Err(malformed("v must be 1"));
    }
    if action.nonce.len() != 32 || !action.nonce.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(malformed("the nonce must be 32 hex digits"));
    }
    if action.patch.len() > COLUMNS_MAX {
        return Err(malformed(&format!("more than {COLUMNS_MAX} columns")));
    }
    let is_name = |change: &ColumnValue| (1..=COLUMN_BYTES_MAX).contains(&change.column.len());
    if !action.patch.iter().all(is_name) {
        return Err(malformed("a column name is empty or too long"));
    }
    if !action.patch.is_sorted_by(|a, b| a.column < b.column) {
        return Err(malformed("the patch is not sorted by column, each once"));
    }
    Ok(())
}

fn malformed(problem: &str) -> PublicError {
    PublicError::new(ErrorCode::RefusedMalformed, problem.to_owned())
}
