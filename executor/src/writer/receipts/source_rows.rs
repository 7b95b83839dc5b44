//! Reports rows of one source's receipt table that the ledger has not taken from this process: the newest each
//! minute and all of them in pages. A receipt that the ledger rejects is an orphan.

use std::time::{Duration, Instant};

use synapsor_codes::{AttemptKind, ErrorCode};
use synapsor_domain::database_identity::IdentityRelation;
use synapsor_domain::digest::Digest;
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::{ReceiptDiscrepancy, ReceiptRef};
use synapsor_source::receipt::check_key_in_use;
use synapsor_source::{EngineError, RowMark, StoredReceipt};

use crate::writer::Writer;
use crate::writer::ledger::report::is_transient;
use crate::writer::receipts::finding::{ComparedSource, report_finding};
use crate::writer::receipts::orders::{is_adopted, ref_of};
use crate::writer::receipts::reconcile::report_receipt;
use crate::writer::receipts::unproven::present;

/// Overlap with the last complete pass, because the clocks of writers differ.
const OVERLAP: Span = Span::minutes(10);
/// Rows per page.
pub(crate) const PAGE: u32 = 500;
/// Interval between reads of older pages, and between a complete pass and the next: 720,000 rows a day.
const OLDER_EVERY: Duration = Duration::from_secs(55);
const PASS_EVERY: Duration = Duration::from_secs(3_600);

/// Result of settling some rows.
#[derive(Debug, Default)]
pub(crate) struct SettledRows {
    pub(crate) looked_at: u64,
    /// Receipts that the ledger rejected.
    pub(crate) orphans: Vec<ReceiptRef>,
    /// Rows that no writer key of this deployment signed for this database.
    pub(crate) foreign: u64,
    /// The ledger is unreachable: rows after the last one counted here were not checked.
    pub(crate) is_cut_short: bool,
}

/// Progress of reporting the rows of one source.
#[derive(Debug)]
pub(crate) struct SourceRows {
    /// Receipts before it are known to have been reported, or are left to the pass over all.
    from: Timestamp,
    older: Option<RowMark>,
    is_in_pass: bool,
    read_older_at: Option<Instant>,
    pass_ended_at: Option<Instant>,
}

impl SourceRows {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            from: earlier(now),
            older: None,
            is_in_pass: false,
            read_older_at: None,
            pass_ended_at: None,
        }
    }

    /// Reports new rows, and a page of older ones.
    pub(crate) async fn compare(&mut self, writer: &Writer, source: &str) {
        let now = writer.now();
        match settle_since(writer, source, self.from).await {
            Ok(done) if !done.is_cut_short => self.from = self.from.max(earlier(now)),
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(source, reason = error.reason(), "receipts not read");
                return;
            }
        }
        let is_recent = |at: Option<Instant>, pause| at.is_some_and(|at| at.elapsed() < pause);
        if is_recent(self.read_older_at, OLDER_EVERY)
            || (!self.is_in_pass && is_recent(self.pass_ended_at, PASS_EVERY))
        {
            return;
        }
        self.read_older_at = Some(Instant::now());
        match settle_page(writer, source, self.older.as_ref()).await {
            Ok((done, next)) if !done.is_cut_short => {
                self.is_in_pass = next.is_some();
                if next.is_none() {
                    self.pass_ended_at = Some(Instant::now());
                }
                self.older = next;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(source, reason = error.reason(), "receipts not read"),
        }
    }
}

fn earlier(now: Timestamp) -> Timestamp {
    now + Span::minutes(-OVERLAP.as_seconds() / 60)
}

/// Reports the rows since a time, newest first, and the orphans among them.
async fn settle_since(
    writer: &Writer,
    source: &str,
    mut from: Timestamp,
) -> Result<SettledRows, EngineError> {
    let Ok(engine) = writer.engine(source) else {
        return Ok(SettledRows::default());
    };
    let (mut rows, mut rows_max) = (Vec::new(), PAGE);
    loop {
        let page = engine.receipts_since(from, rows_max).await?;
        let is_last = u32::try_from(page.len()).is_ok_and(|len| len < rows_max);
        let newest = page
            .last()
            .and_then(|row| row.created_at.parse::<Timestamp>().ok());
        rows.extend(page.into_iter().filter(|row| !is_settled(writer, row)));
        match newest {
            _ if is_last => break,
            Some(newest) if newest > from => (from, rows_max) = (newest, PAGE),
            // A page full of rows with one timestamp is read again with a larger limit.
            Some(_) | None => rows_max = rows_max.saturating_mul(2),
        }
    }
    rows.dedup_by(|a, b| a.proposal_id == b.proposal_id);
    rows.reverse();
    settle_rows(writer, source, &rows).await
}

/// Reports a page of rows before a position; returns the start of the next page.
pub(crate) async fn settle_page(
    writer: &Writer,
    source: &str,
    before: Option<&RowMark>,
) -> Result<(SettledRows, Option<RowMark>), EngineError> {
    let Ok(engine) = writer.engine(source) else {
        return Ok((SettledRows::default(), None));
    };
    let rows = engine.receipts_before(before, PAGE).await?;
    let is_last = u32::try_from(rows.len()).is_ok_and(|len| len < PAGE);
    let next = rows.last().filter(|_| !is_last).map(RowMark::of);
    Ok((settle_rows(writer, source, &rows).await?, next))
}

fn is_settled(writer: &Writer, row: &StoredReceipt) -> bool {
    let id = row.proposal_id.parse();
    row.is_switch() || id.is_ok_and(|id| writer.ledger.settled.has(&id))
}

async fn settle_rows(
    writer: &Writer,
    source: &str,
    rows: &[StoredReceipt],
) -> Result<SettledRows, EngineError> {
    let mut done = SettledRows::default();
    if rows.is_empty() {
        return Ok(done);
    }
    let (Ok(engine), Ok((trust, _))) = (writer.engine(source), (writer.trust)()) else {
        return Ok(done);
    };
    let identity = engine.identity().await?;
    for row in rows.iter().filter(|row| !row.is_switch()) {
        match settle_row(writer, (source, &identity), row, &trust).await {
            Settled::Known => {}
            Settled::Foreign => done.foreign += 1,
            Settled::Orphan(orphan) => done.orphans.push(orphan),
            Settled::Later => {
                done.is_cut_short = true;
                break;
            }
        }
        done.looked_at += 1;
    }
    let compared = ComparedSource {
        source,
        identity: &identity,
    };
    let reported = report_finding(
        writer,
        compared,
        ReceiptDiscrepancy::OrphanReceipt,
        done.orphans.clone(),
    );
    if let Err(refusal) = reported.await {
        tracing::warn!(source, code = %refusal.code, "orphan receipts not recorded: {}", refusal.public);
    }
    Ok(done)
}

/// Result of settling one row.
enum Settled {
    /// The ledger holds it, or it must not be sent to the ledger.
    Known,
    Foreign,
    Orphan(ReceiptRef),
    /// The ledger is unreachable.
    Later,
}

async fn settle_row(
    writer: &Writer,
    (source, identity): (&str, &str),
    row: &StoredReceipt,
    trust: &TrustFile,
) -> Settled {
    let Ok((receipt, envelope)) = row.verify_past(trust) else {
        return Settled::Foreign;
    };
    if !IdentityRelation::of(&receipt.database_identity, identity).is_same_database() {
        return Settled::Foreign;
    }
    let (id, found) = (receipt.proposal_id.clone(), ref_of(&receipt, &envelope));
    let is_orphan = writer.receipts.is_orphan(source, &id);
    if (writer.ledger.settled.has(&id) && !is_orphan) || is_changed(writer, &found) {
        return Settled::Known;
    }
    let (fence, attempt) = (receipt.fence, receipt.attempt);
    // An adopted one is reported like any other; the ledger has the order.
    let is_unproven =
        check_key_in_use(&envelope, trust).is_err() && !is_adopted(writer, source, &receipt, &envelope).await;
    let told = if is_unproven {
        present(writer, &[], &receipt, envelope.clone()).await
    } else {
        report_receipt(writer, &receipt, envelope.clone(), fence, attempt).await
    };
    let refusal = match told {
        Ok(()) => {
            writer.receipts.settled(source, [&id]);
            return Settled::Known;
        }
        Err(refusal) => refusal,
    };
    if is_transient(refusal.code) {
        return Settled::Later;
    }
    if !is_verdict(refusal.code) {
        // It is sent to the ledger again, and blocks no other receipt.
        tracing::warn!(proposal = %id, code = %refusal.code, "receipt not settled: {}", refusal.public);
        return Settled::Known;
    }
    // Checked before it counts as settled: a concurrent comparison would otherwise skip it.
    let is_adopted = !is_unproven && is_adopted(writer, source, &receipt, &envelope).await;
    // An unproven receipt has its own kind of alarm at the ledger.
    let is_orphan = !is_unproven && !is_adopted;
    if is_orphan {
        writer.receipts.add_orphan(source, &id);
    } else {
        writer.receipts.settled(source, [&id]);
    }
    // The ledger has decided on it, and would decide the same again.
    writer.ledger.settled.add(&id);
    if is_orphan {
        Settled::Orphan(found)
    } else {
        Settled::Known
    }
}

fn is_changed(writer: &Writer, found: &ReceiptRef) -> bool {
    let digest: Digest = found.receipt_digest;
    writer.changed_rows.has(&found.proposal_id, digest)
}

/// Returns whether the ledger decided on a receipt, and did not merely fail.
fn is_verdict(code: ErrorCode) -> bool {
    let is_of_ledger = matches!(
        code,
        ErrorCode::ProposalNotFound
            | ErrorCode::ProposalEnded
            | ErrorCode::ProposalForeign
            | ErrorCode::ProposalNotApproved
            | ErrorCode::ProposalNotAttested
            | ErrorCode::ProposalNotInLog
            | ErrorCode::ProposalNotLeased
            | ErrorCode::ProposalNotPendingReview
            | ErrorCode::ProposalNotRejectable
            | ErrorCode::ReceiptDiffers
            | ErrorCode::Malformed
    );
    is_of_ledger || code.attempt_kind() == Some(AttemptKind::Refused)
}
