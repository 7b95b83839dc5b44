//! Receipts of retired writer keys: what the database holds and the log does not is presented to the ledger, which
//! records an alarm; before a key is retired, every receipt of it is reported again.

use synapsor_domain::proposal::Attested;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::{Envelope, KeyId};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::TrustFile;
use synapsor_source::{Engine, StoredReceipt};

use super::Writer;
use super::ledger::Job;
use super::reconcile::tell;

/// The result of an attempt that found such a receipt.
pub(super) const RECEIPT_UNPROVEN: &str = "receipt_unproven";

/// Receipts that one statement reads.
const PAGE_ROWS: u32 = 500;
/// Ids that an answer names for one source.
const UNREPORTED_MAX: usize = 100;

/// Presents the unproven receipt of a job's proposal to the ledger. It refuses it and records the alarm; the job is
/// reported as refused afterwards.
pub(super) async fn raise_alarm(writer: &Writer, job: &Job) {
    let presented = async {
        let (trust, _) = (writer.trust)()?;
        let envelope = Envelope::from_bytes(&job.proposal.body)
            .map_err(|e| Refusal::new("refused:malformed", e.to_string()))?;
        let attested = Attested::verify_past(envelope, &trust)?;
        let engine = writer.engine(&attested.proposal().source.id)?;
        let found = engine.find_receipt(&attested.proposal().id).await;
        let Ok(Some(stored)) = found else { return Ok(()) };
        report(writer, &stored, &trust).await
    };
    // The ledger's refusal is the alarm; only one that never got there is worth a line here.
    if let Err(refusal) = presented.await {
        tracing::error!(proposal = %job.lease.proposal_id, code = %refusal.code, "unproven receipt presented to the ledger");
    }
}

async fn report(writer: &Writer, stored: &StoredReceipt, trust: &TrustFile) -> Result<(), Refusal> {
    let (receipt, envelope) = stored.verify_past(trust)?;
    let (fence, attempt) = (receipt.fence, receipt.attempt);
    tell(writer, &receipt, envelope, fence, attempt).await
}

/// What became of one key's receipts in one source.
#[derive(Debug, Default)]
pub struct ReportedReceipts {
    /// Receipts that the log holds.
    pub reported: u64,
    /// Ids of proposals whose receipts the ledger did not take; the first of them.
    pub unreported: Vec<String>,
    /// Why the receipts could not be read, as one word.
    pub unavailable: Option<&'static str>,
}

/// Reports every receipt of a key in one source to the ledger, which takes a known one without a change.
pub async fn report_receipts(
    writer: &Writer,
    engine: &dyn Engine,
    key: &KeyId,
) -> Result<ReportedReceipts, Refusal> {
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
            match report(writer, stored, &trust).await {
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
            // A page of receipts of one millisecond: the next one would be the same.
            Some(_) | None => {
                done.unavailable = Some("too_many_at_once");
                return Ok(done);
            }
        }
    }
}
