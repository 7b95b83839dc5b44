//! Whether a stored receipt is genuine and about one proposal.

use synapsor_domain::digest::Digest;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Envelope;
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::Receipt;
use synapsor_source::StoredReceipt;

/// Verifies that a writer of this deployment signed a stored receipt for exactly this proposal.
///
/// # Errors
/// `refused:receipt_integrity`, which is logged as an alarm.
pub fn verify(
    stored: &StoredReceipt,
    trust: &TrustFile,
    digest: Digest,
) -> Result<(Receipt, Envelope), Refusal> {
    let verified = stored.verify(trust).and_then(|(receipt, envelope)| {
        if receipt.proposal_digest == digest {
            Ok((receipt, envelope))
        } else {
            Err(Refusal::new(
                "refused:receipt_integrity",
                "the receipt in the target database is for another digest",
            ))
        }
    });
    verified.inspect_err(|refusal| tracing::error!(code = %refusal.code, "{}", refusal.public))
}
