//! Verifies that a stored receipt is genuine, belongs to the proposal, and was signed for this database.

use synapsor_codes::ErrorCode;
use synapsor_domain::database_identity::IdentityRelation;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::Receipt;
use synapsor_source::StoredReceipt;
use synapsor_source::receipt::check_key_in_use;

/// Reasons why a stored receipt is invalid.
#[derive(Debug, Clone)]
pub enum Unusable {
    /// No writer of this deployment signed it for this proposal.
    NotGenuine(PublicError),
    /// It was signed for another database and copied into this one.
    OtherDatabase(PublicError),
    /// A retired writer key signed it, and the database does not prove the time of signing.
    Unproven(Box<UnprovenReceipt>),
}

/// A receipt that is genuine except that its key is retired. It is valid only by an operator's order.
#[derive(Debug, Clone)]
pub struct UnprovenReceipt {
    pub receipt: Receipt,
    pub envelope: DsseEnvelope,
    pub refusal: PublicError,
}

impl Unusable {
    /// Returns the reported error.
    pub const fn refusal(&self) -> &PublicError {
        match self {
            Self::NotGenuine(refusal) | Self::OtherDatabase(refusal) => refusal,
            Self::Unproven(unproven) => &unproven.refusal,
        }
    }
}

/// Verifies that a writer of this deployment signed a stored receipt for exactly this proposal in this database.
///
/// # Errors
/// [`Unusable`], which is logged as an alarm.
pub fn verify(
    stored: &StoredReceipt,
    trust: &TrustFile,
    digest: Digest,
    identity: &str,
) -> Result<(Receipt, DsseEnvelope), Unusable> {
    let verified = verify_all(stored, trust, digest, identity);
    verified.inspect_err(|unusable| {
        let refusal = unusable.refusal();
        tracing::error!(proposal = stored.proposal_id, code = %refusal.code, "{}", refusal.public);
    })
}

fn verify_all(
    stored: &StoredReceipt,
    trust: &TrustFile,
    digest: Digest,
    identity: &str,
) -> Result<(Receipt, DsseEnvelope), Unusable> {
    let (receipt, envelope) = stored.verify_past(trust).map_err(Unusable::NotGenuine)?;
    if receipt.proposal_digest != digest {
        return Err(Unusable::NotGenuine(PublicError::new(
            ErrorCode::RefusedReceiptIntegrity,
            "the receipt in the source database is for another digest",
        )));
    }
    if !IdentityRelation::of(&receipt.database_identity, identity).is_same_database() {
        return Err(Unusable::OtherDatabase(PublicError::new(
            ErrorCode::RefusedReceiptIdentity,
            "the receipt in the source database was signed for another database; find out who copied it there",
        )));
    }
    match check_key_in_use(&envelope, trust) {
        Ok(()) => Ok((receipt, envelope)),
        Err(refusal) => Err(Unusable::Unproven(Box::new(UnprovenReceipt {
            receipt,
            envelope,
            refusal,
        }))),
    }
}
