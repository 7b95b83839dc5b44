//! Comparison of receipts between log and sources: receipts that a source must hold, and discrepancies that
//! writers found.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{ReceiptFinding, verify_receipt_finding};

use crate::store::events::ANSWER_BYTES_MAX;
use crate::store::{
    NewEvent, ParsedBody, ReadTransaction, StoreTxError, WriteTransaction, kind_of_finding, receipts, records,
};
use crate::trust::Trust;
use crate::{Ledger, RequestContext};

/// Maximum number of receipts in one response.
pub(crate) const SOURCE_RECEIPTS_MAX: u32 = 500;

/// Receipts that a source must hold, newest first.
#[derive(Debug, Default)]
pub(crate) struct LedgerReceiptPage {
    pub(crate) receipts: Vec<ReportedReceipt>,
    /// The position before which the next page begins.
    pub(crate) next_before: Option<u64>,
    pub(crate) archived_before: Option<Timestamp>,
}

#[derive(Debug)]
pub(crate) struct ReportedReceipt {
    pub(crate) seq: u64,
    pub(crate) signed: DsseEnvelope,
    pub(crate) is_lost: bool,
}

impl Ledger {
    /// Returns a page of the receipts that a source must hold, of those settled before an event.
    pub(crate) async fn source_receipts(
        &self,
        source: String,
        before: Option<u64>,
        limit: u32,
    ) -> Result<LedgerReceiptPage, StoreTxError> {
        self.store
            .read(move |reader| page(reader, &source, before, limit))
            .await
    }

    /// Records a writer's finding, and returns the number of receipts not yet recorded with this discrepancy.
    ///
    /// # Errors
    /// Any verification error; `refused:key` for a finding in the name of another writer.
    pub(crate) async fn record_finding(
        &self,
        caller: RequestContext,
        signed: DsseEnvelope,
    ) -> Result<u32, StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let finding = verify_receipt_finding(&signed, &trust.file)?;
        let name = caller.identity.rsplit('/').next().unwrap_or_default();
        if finding.writer != name && finding.writer != caller.identity {
            return Err(PublicError::new(
                ErrorCode::RefusedKey,
                "the finding names a writer other than the caller's certificate",
            )
            .into());
        }
        let body = signed
            .to_bytes()
            .map_err(|e| PublicError::new(ErrorCode::Malformed, format!("finding: {e}")))?;
        let now = self.now();
        let recorded = self
            .write(move |step| record(step, &finding, &body, (&caller, now)))
            .await?;
        Ok(recorded.value)
    }
}

fn page(
    reader: &ReadTransaction<'_>,
    source: &str,
    before: Option<u64>,
    limit: u32,
) -> Result<LedgerReceiptPage, StoreTxError> {
    let conn = reader.conn();
    let (rows, mut next_before) = receipts::expected(conn, source, before, limit)?;
    let (mut found, mut bytes) = (Vec::with_capacity(rows.len()), 0);
    for row in rows {
        let signed = records::settle_body(conn, row.seq)?.receipt;
        bytes += signed.payload.len() + 256;
        if bytes > ANSWER_BYTES_MAX && !found.is_empty() {
            next_before = Some(row.seq + 1);
            break;
        }
        found.push(ReportedReceipt {
            seq: row.seq,
            signed,
            is_lost: row.is_lost,
        });
    }
    Ok(LedgerReceiptPage {
        receipts: found,
        next_before,
        archived_before: receipts::archived_before(conn, source)?,
    })
}

fn record(
    step: &mut WriteTransaction<'_>,
    finding: &ReceiptFinding,
    body: &[u8],
    (caller, now): (&RequestContext, Timestamp),
) -> Result<u32, StoreTxError> {
    let fresh = receipts::fresh(step.conn(), finding)?;
    let Some(first) = fresh.first() else {
        return Ok(0);
    };
    let kind: EventKind = kind_of_finding(finding.discrepancy);
    tracing::error!(
        source = %finding.source.escape_debug(),
        proposal = %first.named.proposal_id,
        receipts = fresh.len(),
        code = kind.as_str(),
        "receipts of a source differ from the log"
    );
    step.append(&NewEvent {
        kind,
        at: now,
        actor: &caller.identity,
        proposal_id: None,
        body,
        read: ParsedBody::No,
        trace_id: caller.trace_id.as_deref(),
    })?;
    Ok(u32::try_from(fresh.len()).unwrap_or(u32::MAX))
}
