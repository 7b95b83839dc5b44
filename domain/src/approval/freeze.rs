//! The freeze: a signed order that stops all writes of a deployment until a lift ends it.
//!
//! A freeze depends on no clock, role or validity window: each operator key of the trust file that is not revoked
//! can sign one. Only a lift (see [`super::lift`]) needs the role `applier`.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::SignerInfo;
use super::reason::check_length;
use crate::digest::Digest;
use crate::error::PublicError;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{DeploymentEnvironment, OperatorKey, TrustFile};

/// An operator's order that stops every writer of the deployment from sending an UPDATE (`ObjectKind::Freeze`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    /// Recorded only: verification uses the key and needs no role.
    pub approver: SignerInfo,
    /// The signer's clock; recorded only.
    pub issued_at: Timestamp,
    /// 32 hex digits, so that two freezes of the same time differ.
    pub nonce: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A freeze with verified signature and audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedFreeze {
    digest: Digest,
    freeze: Freeze,
    person: String,
    envelope: DsseEnvelope,
}

impl VerifiedFreeze {
    /// The freeze as it was signed.
    pub const fn envelope(&self) -> &DsseEnvelope {
        &self.envelope
    }
    /// The digest that a lift must name to end this freeze.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    pub const fn freeze(&self) -> &Freeze {
        &self.freeze
    }
    /// Operator of the key, from the verifier's trust file.
    pub fn person(&self) -> &str {
        &self.person
    }
}

/// Verifies a freeze under any operator key that is not revoked. No clock is consulted.
///
/// # Errors
/// `refused:malformed`, `refused:key`, `refused:signature` or `refused:audience`.
pub fn verify_freeze(envelope: &DsseEnvelope, trust: &TrustFile) -> Result<VerifiedFreeze, PublicError> {
    let freeze: Freeze = envelope
        .decode_unverified(ObjectKind::Freeze)
        .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))?;
    if freeze.v != 1 {
        return Err(PublicError::new(ErrorCode::RefusedMalformed, "v must be 1"));
    }
    check_length(freeze.reason.as_deref())?;
    let operator = stopping_key(envelope, trust)?;
    envelope
        .verify_and_decode::<serde::de::IgnoredAny>(ObjectKind::Freeze, &operator.public_key)
        .map_err(|e| PublicError::new(ErrorCode::RefusedSignature, e.to_string()))?;
    if freeze.deployment_id != trust.deployment_id || freeze.environment != trust.environment {
        return Err(foreign());
    }
    Ok(VerifiedFreeze {
        digest: Digest::of(ObjectKind::Freeze, &envelope.payload),
        person: operator.person.clone(),
        freeze,
        envelope: envelope.clone(),
    })
}

/// Returns the operator key that signed: any key of the trust file that is not revoked, for any role and validity.
pub(super) fn stopping_key<'a>(
    envelope: &DsseEnvelope,
    trust: &'a TrustFile,
) -> Result<&'a OperatorKey, PublicError> {
    let signer = envelope
        .signer()
        .map_err(|e| PublicError::new(ErrorCode::RefusedKey, e.to_string()))?;
    let operator = trust.operator(signer).ok_or_else(|| {
        let text = format!("{signer} is not an operator key of this deployment's trust file");
        PublicError::new(ErrorCode::RefusedKey, text)
    })?;
    if operator.revoked {
        return Err(PublicError::new(
            ErrorCode::RefusedKey,
            format!("the key {signer} is revoked"),
        ));
    }
    Ok(operator)
}

pub(super) fn foreign() -> PublicError {
    PublicError::new(
        ErrorCode::RefusedAudience,
        "signed for another deployment, environment or writer",
    )
}
