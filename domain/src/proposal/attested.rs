//! Proposal whose bytes, digest and reader signature are verified.

use synapsor_codes::ErrorCode;

use super::Proposal;
use crate::digest::Digest;
use crate::error::PublicError;
use crate::signing::{DsseEnvelope, EnvelopeError, ObjectKind};
use crate::trust::{Position, TrustFile};

/// Proof that a reader of this deployment signed exactly these bytes. Only verification creates it.
#[derive(Debug, Clone)]
pub struct VerifiedProposal {
    proposal: Proposal,
    digest: Digest,
    envelope: DsseEnvelope,
}

impl VerifiedProposal {
    /// Verifies a newly presented proposal: the reader's key must not be retired.
    pub fn verify(envelope: DsseEnvelope, trust: &TrustFile) -> Result<Self, PublicError> {
        Self::verify_at(envelope, trust, &Position::Unproven)
    }

    /// Verifies a proposal that can still have an effect. A signature of a retired reader key counts if
    /// `position` proves that the log held the proposal before the retirement.
    pub fn verify_at(
        envelope: DsseEnvelope,
        trust: &TrustFile,
        position: &Position<'_>,
    ) -> Result<Self, PublicError> {
        let key = envelope.signer().ok().and_then(|id| trust.reader(id));
        if let Some(Err(retired)) = key.map(|key| key.standing().check(position)) {
            return Err(PublicError::new(
                ErrorCode::RefusedAttestation,
                format!("signed by a retired reader key: {retired}; submit a new proposal"),
            ));
        }
        Self::verify_historical(envelope, trust)
    }

    /// Verifies a historical proposal, which can have no effect: the standing of the key is not checked.
    pub fn verify_historical(envelope: DsseEnvelope, trust: &TrustFile) -> Result<Self, PublicError> {
        envelope
            .check_sizes()
            .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))?;
        let signer = envelope.signer().map_err(|e| refusal(&e))?;
        let key = trust.reader(signer).ok_or_else(|| {
            PublicError::new(
                ErrorCode::RefusedAttestation,
                "not signed by a reader of this deployment's trust file",
            )
        })?;
        let proposal: Proposal = envelope
            .verify_and_decode(ObjectKind::Proposal, &key.public_key)
            .map_err(|e| refusal(&e))?;
        if !proposal.has_known_version() {
            return Err(PublicError::new(
                ErrorCode::RefusedMalformed,
                "created by a release with another proposal version",
            ));
        }
        if proposal.ledger_origin != trust.ledger_origin() || proposal.environment != trust.environment {
            return Err(PublicError::new(
                ErrorCode::RefusedAttestation,
                "made for another deployment or environment",
            ));
        }
        let digest = Digest::of(ObjectKind::Proposal, &envelope.payload);
        Ok(Self {
            proposal,
            digest,
            envelope,
        })
    }

    pub const fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    pub const fn digest(&self) -> Digest {
        self.digest
    }

    pub const fn envelope(&self) -> &DsseEnvelope {
        &self.envelope
    }
}

fn refusal(error: &EnvelopeError) -> PublicError {
    let code = match error {
        EnvelopeError::Malformed(_) | EnvelopeError::WrongType => ErrorCode::RefusedMalformed,
        EnvelopeError::SignatureCount
        | EnvelopeError::WrongKey
        | EnvelopeError::BadSignature
        | EnvelopeError::BatchNotAllowed => ErrorCode::RefusedAttestation,
    };
    PublicError::new(code, format!("proposal failed verification: {error}"))
}
