//! The lift: what ends a freeze; signed, role `applier`, for a short time.
//!
//! A lift names the digest of the freeze that it ends and ends no other, so that an old one cannot be replayed.
//! Without a digest it ends only the unsigned freeze of one writer, which remembers its nonce.

use serde::{Deserialize, Serialize};

use super::SignerInfo;
use super::freeze::foreign;
use crate::digest::Digest;
use crate::error::PublicError;
use crate::limits::CLOCK_SKEW_SECONDS;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::{Span, Timestamp};
use crate::trust::{APPLIER, DeploymentEnvironment, TrustFile};

/// A person's word that writing may go on (`Kind::Unfreeze`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfreeze {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    /// The writer's name: without `freeze_digest` it resumes no other. Empty beside a digest.
    pub writer: String,
    pub approver: SignerInfo,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
    /// The signed freeze that it ends, at every writer of the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_digest: Option<Digest>,
}

/// Which clock a lift is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiftClock {
    /// It arrives now, and must be in force now.
    Now(Timestamp),
    /// It was accepted in time and recorded beside the data by a writer; only its own times must agree.
    Recorded,
}

/// A lift whose signature, signer and times were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLift {
    digest: Digest,
    freeze_digest: Digest,
    person: String,
    envelope: DsseEnvelope,
}

impl VerifiedLift {
    /// The lift as it was signed.
    pub const fn envelope(&self) -> &DsseEnvelope {
        &self.envelope
    }
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    /// The one freeze that it ends.
    pub const fn freeze_digest(&self) -> Digest {
        self.freeze_digest
    }
    pub fn person(&self) -> &str {
        &self.person
    }
}

/// Verifies a lift of a signed freeze.
///
/// # Errors
/// `refused:malformed` without a digest, and what [`verify_unfreeze`] refuses.
pub fn verify_lift(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    clock: LiftClock,
) -> Result<VerifiedLift, PublicError> {
    let unfreeze = decoded(envelope)?;
    let Some(freeze_digest) = unfreeze.freeze_digest else {
        return Err(PublicError::new(
            "refused:malformed",
            "it names no freeze; sign a lift that names the digest of the freeze",
        ));
    };
    if !unfreeze.writer.is_empty() {
        return Err(PublicError::new(
            "refused:malformed",
            "a lift that names a freeze names no writer",
        ));
    }
    let person = verified(envelope, &unfreeze, trust, clock)?;
    Ok(VerifiedLift {
        digest: Digest::of(ObjectKind::Unfreeze, &envelope.payload),
        freeze_digest,
        person,
        envelope: envelope.clone(),
    })
}

/// Verifies an unfreeze for one writer, which ends an unsigned freeze of that writer only; role `applier`.
/// Gives the person.
///
/// # Errors
/// `refused:malformed`, `refused:key`, `refused:signature`, `refused:audience`, `refused:role`, `refused:future`
/// or `refused:expired`.
pub fn verify_unfreeze(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    writer: &str,
    now: Timestamp,
) -> Result<String, PublicError> {
    let unfreeze = decoded(envelope)?;
    if unfreeze.freeze_digest.is_some() {
        return Err(PublicError::new(
            "refused:malformed",
            "it names a freeze and ends no other",
        ));
    }
    let person = verified(envelope, &unfreeze, trust, LiftClock::Now(now))?;
    if unfreeze.writer != writer {
        return Err(foreign());
    }
    Ok(person)
}

fn decoded(envelope: &DsseEnvelope) -> Result<Unfreeze, PublicError> {
    envelope
        .decode_unverified(ObjectKind::Unfreeze)
        .map_err(|e| PublicError::new("refused:malformed", e.to_string()))
}

fn verified(
    envelope: &DsseEnvelope,
    unfreeze: &Unfreeze,
    trust: &TrustFile,
    clock: LiftClock,
) -> Result<String, PublicError> {
    let refused = |code, text: &str| PublicError::new(code, text);
    let signer = envelope
        .signer()
        .map_err(|e| PublicError::new("refused:key", e.to_string()))?;
    let valid_at = match clock {
        LiftClock::Now(now) => now,
        LiftClock::Recorded => unfreeze.issued_at,
    };
    let operator = trust
        .operator(signer)
        .filter(|o| o.is_valid_at(valid_at) && o.person == unfreeze.approver.person)
        .ok_or_else(|| {
            refused(
                "refused:key",
                "not signed by a valid operator key of the trust file",
            )
        })?;
    envelope
        .verify_and_decode::<serde::de::IgnoredAny>(ObjectKind::Unfreeze, &operator.public_key)
        .map_err(|e| PublicError::new("refused:signature", e.to_string()))?;
    if unfreeze.deployment_id != trust.deployment_id || unfreeze.environment != trust.environment {
        return Err(foreign());
    }
    if unfreeze.approver.role != APPLIER || !operator.has_role(APPLIER) {
        return Err(refused(
            "refused:role",
            "resuming a writer needs the role `applier`",
        ));
    }
    if unfreeze.expires_at - unfreeze.issued_at > trust.order_ceiling() {
        return Err(refused(
            "refused:expired",
            "claims a longer life than an apply order may have",
        ));
    }
    if let LiftClock::Now(now) = clock {
        if unfreeze.issued_at > now + Span::seconds(CLOCK_SKEW_SECONDS) {
            return Err(refused(
                "refused:future",
                "signed for a later time than now; check the clocks",
            ));
        }
        if now >= unfreeze.expires_at {
            return Err(refused("refused:expired", "the lift expired; sign it again"));
        }
    }
    Ok(operator.person.clone())
}
