//! Handles receipts of retired writer keys: one that the source holds and the log does not is sent to the
//! ledger, which records an alarm. Before a key is retired, every receipt of it is reported again.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, KeyId};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::{AttemptResult, Receipt};
use synapsor_source::receipt::check_key_in_use;
use synapsor_source::{Engine, StoredReceipt};

use crate::writer::Writer;
use crate::writer::ledger::report::{AttemptEnd, seal_report};
use crate::writer::receipts::orders::is_adopted;
use crate::writer::receipts::reconcile::{report_receipt, subject_of};

/// Receipts per statement.
const PAGE_ROWS: u32 = 500;
/// Maximum number of ids that a response lists for one source.
const UNREPORTED_MAX: usize = 100;

/// Sends a receipt of a retired key to the ledger, with this writer's own report that it does not count. Unless
/// the ledger holds it, the ledger rejects it and records the alarm; an attempt is then reported as refused,
/// without the receipt.
pub(crate) async fn present(
    writer: &Writer,
    token: &[u8],
    receipt: &Receipt,
    envelope: DsseEnvelope,
) -> Result<(), PublicError> {
    let id = &receipt.proposal_id;
    let subject = subject_of(receipt);
    let end = AttemptEnd {
        result: AttemptResult::of_code(ErrorCode::RefusedReceiptUnproven),
        message: "the source holds a receipt of a retired writer key that the log does not hold".to_owned(),
        receipt: Some(envelope),
    };
    let Some(report) = seal_report(writer, subject, &end) else {
        return Ok(());
    };
    let presented = writer
        .ledger
        .settle(id, token, &report, end.receipt.as_ref())
        .await;
    // The ledger's rejection is the alarm; only a failed delivery needs a log line here.
    presented.inspect_err(|refusal| {
        tracing::error!(proposal = %id, code = %refusal.code, "unproven receipt sent to the ledger");
    })
}

async fn report(
    writer: &Writer,
    source: &str,
    stored: &StoredReceipt,
    trust: &TrustFile,
) -> Result<(), PublicError> {
    let (receipt, envelope) = stored.verify_past(trust)?;
    if check_key_in_use(&envelope, trust).is_err() && !is_adopted(writer, source, &receipt, &envelope).await {
        // The ledger accepts a receipt that it holds.
        return present(writer, &[], &receipt, envelope).await;
    }
    let (fence, attempt) = (receipt.fence, receipt.attempt);
    report_receipt(writer, &receipt, envelope, fence, attempt).await
}

/// Result of reporting one key's receipts in one source.
#[derive(Debug, Default)]
pub(crate) struct ReportedReceipts {
    /// Receipts that the log holds.
    pub(crate) reported: u64,
    /// Ids of proposals whose receipts the ledger did not take, up to a limit.
    pub(crate) unreported: Vec<String>,
    /// Reason code if the receipts could not be read.
    pub(crate) unavailable: Option<&'static str>,
}

/// Reports every receipt of a key in one source to the ledger, which accepts a known one without a change.
pub(crate) async fn report_receipts(
    writer: &Writer,
    (source, engine): (&str, &dyn Engine),
    key: &KeyId,
) -> Result<ReportedReceipts, PublicError> {
    let (trust, _) = (writer.trust)()?;
    let mut done = ReportedReceipts::default();
    let mut from = Timestamp::from_unix_millis(0);
    loop {
        let page = match engine.receipts_since(from, PAGE_ROWS).await {
            Ok(page) => page,
            Err(error) => {
                done.unavailable = Some(error.reason());
                return Ok(done);
            }
        };
        let is_last = page.len() < usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX);
        let newest = page
            .last()
            .and_then(|stored| stored.created_at.parse::<Timestamp>().ok());
        for stored in page.iter().filter(|stored| stored.executor_key == key.as_str()) {
            match report(writer, source, stored, &trust).await {
                Ok(()) => done.reported += 1,
                Err(refusal) => {
                    tracing::warn!(proposal = stored.proposal_id, code = %refusal.code, "receipt not in the log");
                    if done.unreported.len() < UNREPORTED_MAX {
                        done.unreported.push(stored.proposal_id.clone());
                    }
                }
            }
        }
        match newest {
            _ if is_last => return Ok(done),
            Some(newest) if newest > from => from = newest,
            // All receipts of the page have the same millisecond: the next page would be the same.
            Some(_) | None => {
                done.unavailable = Some("too_many_at_once");
                return Ok(done);
            }
        }
    }
}
