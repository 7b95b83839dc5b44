//! Reconciles and compares receipts of each source: attempts that began and were never reported, receipts that
//! the ledger has not taken, and receipts that the source has lost.
//!
//! Absence of a receipt proves nothing about an attempt, so no conclusion is drawn from it; the ledger leases
//! such a proposal again, and the protocol itself wins or loses the receipt's key.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::join::join_all;
use synapsor_domain::error::PublicError;
use synapsor_domain::proposal::VerifiedProposal;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::writeback::Receipt;
use synapsor_writeback::{Unusable, receipt};
use tokio_util::sync::CancellationToken;

use crate::writer::Writer;
use crate::writer::ledger::report::{Subject, is_transient, seal_report, settled};
use crate::writer::receipts::changed_rows::row_changed;
use crate::writer::receipts::compare::{Comparison, NotCompared};
use crate::writer::receipts::orders::{digest_of, is_adopted};
use crate::writer::receipts::source_rows::SourceRows;

const EVERY: Duration = Duration::from_secs(60);
/// Minimum interval between two comparisons when one is requested immediately.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Runs at start, every minute, and when an attempt found that receipts are lost. Handles all sources
/// concurrently: one that hangs delays no other.
pub(crate) async fn run(writer: Arc<Writer>, stop: CancellationToken) {
    let new = |name| Source {
        rows: SourceRows::new(writer.now()),
        comparison: Comparison::default(),
        name,
    };
    let mut sources: Vec<Source> = writer.source_ids().into_iter().map(new).collect();
    loop {
        let compare = join_all(sources.iter_mut().map(|source| source.compare(&writer)));
        tokio::select! {
            () = stop.cancelled() => return,
            _ = compare => {}
        }
        let wanted = async {
            tokio::time::sleep(AT_ONCE).await;
            writer.receipts.comparison_wanted().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
            () = wanted => {}
        }
    }
}

/// One source, and the progress of settling and comparing its receipts.
struct Source {
    name: String,
    rows: SourceRows,
    comparison: Comparison,
}

impl Source {
    async fn compare(&mut self, writer: &Writer) {
        if let Err(refusal) = resolve_open_attempts(writer, &self.name).await {
            tracing::warn!(
                source = self.name, code = %refusal.code,
                "open attempts not resolved: {}", refusal.public
            );
        }
        // Open receipts are settled before the comparison.
        self.rows.compare(writer, &self.name).await;
        match self.comparison.compare(writer, &self.name).await {
            Ok(()) => {}
            Err(NotCompared::Ledger(refusal)) => {
                tracing::warn!(source = self.name, code = %refusal.code, "receipts not compared: {}", refusal.public);
            }
            Err(NotCompared::Source(error)) => {
                tracing::warn!(source = self.name, reason = error.reason(), detail = %error.detail, "receipts not compared");
            }
        }
    }
}

/// Resolves attempts of one source that the ledger has only the announcement of, newest first; one failure does
/// not block the others.
async fn resolve_open_attempts(writer: &Writer, source: &str) -> Result<(), PublicError> {
    let engine = writer.engine(source)?;
    let mut before = None;
    loop {
        let (page, next) = writer
            .ledger
            .open_attempts(vec![source.to_owned()], before)
            .await?;
        let (trust, _) = (writer.trust)()?;
        // A source that does not report its identity is unreachable; nothing of it can be resolved now.
        let Ok(identity) = engine.identity().await else {
            return Ok(());
        };
        for attempt in page {
            let Ok(attested) = VerifiedProposal::verify_historical(attempt.proposal, &trust) else {
                continue;
            };
            let id = &attested.proposal().id;
            let found = match engine.find_receipt(id).await {
                Ok(Some(stored)) => receipt::verify(&stored, &trust, attested.digest(), &identity),
                Ok(None) => continue,
                Err(_) => return Ok(()),
            };
            let told = match countable(writer, source, found).await {
                Ok((receipt, envelope)) => {
                    report_receipt(writer, &receipt, envelope, attempt.fence, attempt.attempt).await
                }
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = told {
                tracing::warn!(proposal = %id, code = %refusal.code, "open attempt not resolved: {}", refusal.public);
                if is_transient(refusal.code) {
                    return Ok(());
                }
            }
        }
        match next {
            Some(next) => before = Some(next),
            None => return Ok(()),
        }
    }
}

/// Returns whether a found receipt counts, by itself or by an operator's order.
async fn countable(
    writer: &Writer,
    source: &str,
    found: Result<(Receipt, DsseEnvelope), Unusable>,
) -> Result<(Receipt, DsseEnvelope), PublicError> {
    let (receipt, envelope, refusal) = match found {
        Ok((receipt, envelope)) => {
            if !writer
                .changed_rows
                .has(&receipt.proposal_id, digest_of(&envelope))
            {
                return Ok((receipt, envelope));
            }
            (receipt, envelope, row_changed())
        }
        Err(Unusable::Unproven(unproven)) => (unproven.receipt, unproven.envelope, unproven.refusal),
        Err(Unusable::NotGenuine(refusal) | Unusable::OtherDatabase(refusal)) => return Err(refusal),
    };
    if is_adopted(writer, source, &receipt, &envelope).await {
        Ok((receipt, envelope))
    } else {
        Err(refusal)
    }
}

/// Reports a committed receipt to the ledger, outside of a lease.
pub(crate) async fn report_receipt(
    writer: &Writer,
    receipt: &Receipt,
    envelope: DsseEnvelope,
    fence: u64,
    attempt: u32,
) -> Result<(), PublicError> {
    let subject = Subject {
        fence,
        attempt,
        ..subject_of(receipt)
    };
    let end = settled(receipt, envelope, false);
    let Some(report) = seal_report(writer, subject, &end) else {
        return Ok(());
    };
    writer
        .ledger
        .settle(&receipt.proposal_id, &[], &report, end.receipt.as_ref())
        .await
}

/// Returns the subject of a report about a found receipt.
pub(crate) fn subject_of(receipt: &Receipt) -> Subject {
    Subject {
        proposal_id: receipt.proposal_id.clone(),
        proposal_digest: receipt.proposal_digest,
        order_digest: receipt.order_digest,
        fence: receipt.fence,
        attempt: receipt.attempt,
    }
}
