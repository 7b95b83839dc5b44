//! Applies operators' signed orders about receipts to attempts: a receipt of a retired key, a COMMIT that left
//! another row, a source that lost receipts.

use synapsor_domain::approval::VerifiedReceiptOrder;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{Receipt, ReceiptRef};
use synapsor_writeback::{KnownReceipt, LostReceipts};

use crate::writer::Writer;
use crate::writer::ledger::receipt_requests::PAGE_RECEIPTS;

/// Returns the verified orders about these receipts; none while the ledger is unreachable. Receipts that they
/// permit to be missing are no longer looked up in the source.
pub(crate) async fn take_orders(
    writer: &Writer,
    source: &str,
    proposals: &[ProposalId],
) -> Vec<VerifiedReceiptOrder> {
    let mut orders = Vec::new();
    for proposals in proposals.chunks(PAGE_RECEIPTS as usize) {
        match ask(writer, source, proposals).await {
            Ok(found) => orders.extend(found),
            Err(refusal) => {
                tracing::warn!(source, code = %refusal.code, "receipt orders not available: {}", refusal.public);
            }
        }
    }
    for order in &orders {
        writer.core.known().take_order(source, order);
    }
    orders
}

async fn ask(
    writer: &Writer,
    source: &str,
    proposals: &[ProposalId],
) -> Result<Vec<VerifiedReceiptOrder>, PublicError> {
    let (trust, _) = (writer.trust)()?;
    writer.ledger.receipt_orders(source, proposals, &trust).await
}

/// Returns whether operators signed that all lost receipts may be missing: then the next transaction proceeds.
pub(crate) async fn may_be_missing(writer: &Writer, lost: &LostReceipts) -> bool {
    let source = &lost.source;
    let orders = take_orders(writer, source, &lost.proposals()).await;
    let is_allowed = |lost: &KnownReceipt| orders.iter().any(|order| lost.may_be_missing(source, order));
    let (allowed, still_lost): (Vec<_>, Vec<_>) = lost.receipts.iter().partition(|lost| is_allowed(lost));
    let allowed = allowed.iter().map(|lost| &lost.receipt().proposal_id);
    writer.receipts.settled(source, allowed);
    still_lost.is_empty()
}

/// Returns whether an operator signed that this receipt counts.
pub(crate) async fn is_adopted(
    writer: &Writer,
    source: &str,
    receipt: &Receipt,
    envelope: &DsseEnvelope,
) -> bool {
    let id = &receipt.proposal_id;
    let digest = digest_of(envelope);
    let orders = take_orders(writer, source, std::slice::from_ref(id)).await;
    let is_adopted = orders.iter().any(|order| order.adopts(source, id, digest));
    if is_adopted && writer.changed_rows.has(id, digest) {
        // At worst it stays in the list, and the orders are requested again.
        if let Err(refusal) = writer.changed_rows.remove(id).await {
            tracing::warn!(proposal = %id, code = %refusal.code, "{}", refusal.public);
        }
        writer.receipts.settled(source, [id]);
    }
    is_adopted
}

/// Returns a receipt reference without its content.
pub(crate) fn ref_of(receipt: &Receipt, envelope: &DsseEnvelope) -> ReceiptRef {
    ReceiptRef {
        proposal_id: receipt.proposal_id.clone(),
        receipt_digest: digest_of(envelope),
    }
}

pub(crate) fn digest_of(envelope: &DsseEnvelope) -> Digest {
    Digest::of(ObjectKind::Receipt, &envelope.payload)
}
