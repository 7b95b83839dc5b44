//! Signs the findings of receipt comparisons and submits them to the ledger.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::RECEIPT_REFS_MAX;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{ReceiptDiscrepancy, ReceiptFinding, ReceiptRef};

use crate::writer::Writer;

/// Source and its identity at the time of the comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComparedSource<'a> {
    pub(crate) source: &'a str,
    /// Identity that the database reported.
    pub(crate) identity: &'a str,
}

/// Reports receipts on which the ledger and a source disagree, in as few findings as possible. A disagreement on
/// file creates no new event.
pub(crate) async fn report_finding(
    writer: &Writer,
    compared: ComparedSource<'_>,
    discrepancy: ReceiptDiscrepancy,
    mut receipts: Vec<ReceiptRef>,
) -> Result<(), PublicError> {
    receipts.sort();
    receipts.dedup_by(|a, b| a.proposal_id == b.proposal_id);
    let (trust, _) = (writer.trust)()?;
    for receipts in receipts.chunks(RECEIPT_REFS_MAX) {
        tracing::error!(
            source = compared.source,
            receipts = receipts.len(),
            first = %receipts[0].proposal_id,
            "{}", discrepancy.as_str()
        );
        let finding = ReceiptFinding {
            v: 1,
            deployment_id: trust.deployment_id.clone(),
            environment: trust.environment,
            writer: writer.name.clone(),
            source: compared.source.to_owned(),
            discrepancy,
            receipts: receipts.to_vec(),
            database_identity: compared.identity.to_owned(),
            at: writer.now(),
        };
        let envelope = DsseEnvelope::sign(ObjectKind::ReceiptFinding, &finding, &writer.key)
            .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))?;
        writer.ledger.report_finding(&envelope).await?;
    }
    Ok(())
}
