//! The discontinuity: operators sign that the log continues from an earlier head, because the events after it were lost.
//!
//! Reader, writer and CLI refuse a log that ends before what they have seen, or continues differently: after the restore of
//! a backup as in an attack. A discontinuity names exactly the heads that they have pinned and the head from which the log
//! continues. It moves these pins and no others, so that it cannot be used again. Role `recovery`; outside `dev` two persons.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::freeze::foreign;
use super::reason::check_length;
use super::{OperatorStatement, SignerInfo, SignerTreeHead};
use crate::digest::Digest;
use crate::error::PublicError;
use crate::log::TreeHead;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{DeploymentEnvironment, Position, RECOVERY, TrustFile};

/// Maximum number of pinned heads in one discontinuity.
pub const LOST_HEADS_MAX: usize = 64;

/// An operator's statement that the log continues from an earlier head (`ObjectKind::Discontinuity`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discontinuity {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    /// Head from which the log continues.
    pub kept: SignerTreeHead,
    /// Pinned heads that the log no longer continues, in ascending order.
    pub lost: Vec<SignerTreeHead>,
    pub approver: SignerInfo,
    pub issued_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A discontinuity whose signature, signer and content were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDiscontinuity {
    digest: Digest,
    person: String,
    kept: TreeHead,
    lost: BTreeSet<TreeHead>,
    reason: Option<String>,
}

impl VerifiedDiscontinuity {
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    /// Operator of the key, from the verifier's trust file.
    pub fn person(&self) -> &str {
        &self.person
    }
    /// Head from which the log continues.
    pub const fn kept(&self) -> TreeHead {
        self.kept
    }
    /// Pinned heads that it moves.
    pub const fn lost(&self) -> &BTreeSet<TreeHead> {
        &self.lost
    }
}

/// Returns the number of persons who must sign the same discontinuity.
pub const fn recovery_quorum(environment: DeploymentEnvironment) -> usize {
    match environment {
        DeploymentEnvironment::Dev => 1,
        DeploymentEnvironment::Staging | DeploymentEnvironment::Production => 2,
    }
}

/// Returns the head to which a pinned head moves: one that enough operators signed in the trust file for exactly this pin.
pub fn recovered_head(trust: &TrustFile, pinned: &TreeHead) -> Option<TreeHead> {
    let signed: Vec<_> = trust
        .recoveries
        .iter()
        .filter_map(|envelope| verify_discontinuity(envelope, trust).ok())
        .filter(|verified| verified.lost.contains(pinned))
        .collect();
    let is_enough = |candidate: &&VerifiedDiscontinuity| {
        let same = signed
            .iter()
            .filter(|other| other.kept == candidate.kept && other.lost == candidate.lost);
        let persons: BTreeSet<&str> = same.map(|other| other.person.as_str()).collect();
        persons.len() >= recovery_quorum(trust.environment)
    };
    signed.iter().find(is_enough).map(|verified| verified.kept)
}

/// Verifies a discontinuity by a key that is in use.
///
/// # Errors
/// `refused:malformed`, `refused:key`, `refused:signature`, `refused:audience` or `refused:role`.
pub fn verify_discontinuity(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
) -> Result<VerifiedDiscontinuity, PublicError> {
    let object: Discontinuity = envelope
        .decode_unverified(ObjectKind::Discontinuity)
        .map_err(|e| malformed(&e.to_string()))?;
    let statement = OperatorStatement {
        envelope,
        kind: ObjectKind::Discontinuity,
        signer: &object.approver,
        issued_at: object.issued_at,
    };
    let operator = statement.verify(trust, &Position::Unproven)?;
    if object.deployment_id != trust.deployment_id || object.environment != trust.environment {
        return Err(foreign());
    }
    if object.approver.role != RECOVERY || !operator.has_role(RECOVERY) {
        let text = "a discontinuity needs the role `recovery`";
        return Err(PublicError::new(ErrorCode::RefusedRole, text));
    }
    let (kept, lost) = heads(&object, &trust.ledger_origin())?;
    Ok(VerifiedDiscontinuity {
        digest: Digest::of(ObjectKind::Discontinuity, &envelope.payload),
        person: operator.person.clone(),
        kept,
        lost,
        reason: object.reason,
    })
}

fn heads(object: &Discontinuity, origin: &str) -> Result<(TreeHead, BTreeSet<TreeHead>), PublicError> {
    if object.v != 1 {
        return Err(malformed("v must be 1"));
    }
    check_length(object.reason.as_deref())?;
    if !(1..=LOST_HEADS_MAX).contains(&object.lost.len()) {
        return Err(malformed(&format!("1 to {LOST_HEADS_MAX} lost heads")));
    }
    let head = |signed: &SignerTreeHead| {
        let mut root = [0; 32];
        let is_root = hex::decode_to_slice(&signed.root, &mut root).is_ok();
        let is_head = is_root && signed.origin == origin && signed.size > 0;
        is_head
            .then_some(TreeHead {
                size: signed.size,
                root,
            })
            .ok_or_else(|| malformed("a head of another log, or none"))
    };
    let (kept, lost) = (
        head(&object.kept)?,
        object.lost.iter().map(head).collect::<Result<Vec<_>, _>>()?,
    );
    if !lost.is_sorted_by(|a, b| a < b) || lost.contains(&kept) {
        return Err(malformed(
            "the lost heads are not in order, each once, without the kept one",
        ));
    }
    Ok((kept, lost.into_iter().collect()))
}

fn malformed(problem: &str) -> PublicError {
    PublicError::new(ErrorCode::RefusedMalformed, problem.to_owned())
}
