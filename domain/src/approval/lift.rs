//! The lift: a signed order that ends a freeze; role `applier`, valid for a short time.
//!
//! A lift ends only the freeze whose digest it names, so that an old lift cannot be replayed.
//! Without a digest it ends only the unsigned freeze of one writer, which stores its nonce.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::freeze::foreign;
use super::{SIGNER_NOT_VALID, SignerInfo};
use crate::digest::Digest;
use crate::error::PublicError;
use crate::limits::CLOCK_SKEW_SECONDS;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::{Span, Timestamp, issued_in_future};
use crate::trust::{APPLIER, DeploymentEnvironment, TrustFile};

/// An operator's order that permits writes again (`ObjectKind::Unfreeze`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfreeze {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    /// Name of the only writer that resumes, without `freeze_digest`. Empty with a digest.
    pub writer: String,
    pub approver: SignerInfo,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
    /// Digest of the signed freeze that it ends, at every writer of the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_digest: Option<Digest>,
}

/// Time against which a lift is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiftClock {
    /// Received now; must be valid now.
    Now(Timestamp),
    /// Accepted in time and recorded in the source by a writer; only its own times must be consistent.
    Recorded,
}

/// A lift with verified signature, signer and times.
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
/// `refused:malformed` without a digest; otherwise as [`verify_unfreeze`].
pub fn verify_lift(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    clock: LiftClock,
) -> Result<VerifiedLift, PublicError> {
    let unfreeze = decoded(envelope)?;
    let Some(freeze_digest) = unfreeze.freeze_digest else {
        return Err(PublicError::new(
            ErrorCode::RefusedMalformed,
            "it names no freeze; sign a lift that names the digest of the freeze",
        ));
    };
    if !unfreeze.writer.is_empty() {
        return Err(PublicError::new(
            ErrorCode::RefusedMalformed,
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
/// Returns the operator.
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
            ErrorCode::RefusedMalformed,
            "it names a freeze and ends only that one",
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
        .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))
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
        .map_err(|e| PublicError::new(ErrorCode::RefusedKey, e.to_string()))?;
    let valid_at = match clock {
        LiftClock::Now(now) => now,
        LiftClock::Recorded => unfreeze.issued_at,
    };
    let operator = trust
        .operator(signer)
        .filter(|o| o.is_valid_at(valid_at) && o.person == unfreeze.approver.person)
        .ok_or_else(|| refused(ErrorCode::RefusedKey, SIGNER_NOT_VALID))?;
    envelope
        .verify_and_decode::<serde::de::IgnoredAny>(ObjectKind::Unfreeze, &operator.public_key)
        .map_err(|e| PublicError::new(ErrorCode::RefusedSignature, e.to_string()))?;
    if unfreeze.deployment_id != trust.deployment_id || unfreeze.environment != trust.environment {
        return Err(foreign());
    }
    if unfreeze.approver.role != APPLIER || !operator.has_role(APPLIER) {
        return Err(refused(
            ErrorCode::RefusedRole,
            "resuming a writer needs the role `applier`",
        ));
    }
    if unfreeze.expires_at - unfreeze.issued_at > trust.order_ceiling() {
        return Err(refused(
            ErrorCode::RefusedExpired,
            "validity period exceeds the maximum of an apply order",
        ));
    }
    if let LiftClock::Now(now) = clock {
        if unfreeze.issued_at > now + Span::seconds(CLOCK_SKEW_SECONDS) {
            return Err(PublicError::new(
                ErrorCode::RefusedFuture,
                issued_in_future(unfreeze.issued_at, now),
            ));
        }
        if now >= unfreeze.expires_at {
            return Err(refused(
                ErrorCode::RefusedExpired,
                "the lift expired; sign it again",
            ));
        }
    }
    Ok(operator.person.clone())
}
