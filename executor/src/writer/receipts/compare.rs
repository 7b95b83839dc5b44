//! Compares the ledger's receipts with those in a source: the newest each minute, all of them in pages. A
//! receipt that is missing, or stored with other bytes, is a lost effect; nothing is written because of it.
//! Every receipt of a source must be in the database that serves it now: a database restored from a backup has
//! another identity, and a moved one still has the rows.
//!
//! The ledger's claims count only as far as a writer key of the trust file signed them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::ReceiptDiscrepancy;
use synapsor_source::EngineError;
use synapsor_writeback::KnownReceipt;

use crate::writer::Writer;
use crate::writer::ledger::receipt_requests::ReceiptPage;
use crate::writer::receipts::finding::{ComparedSource, report_finding};
use crate::writer::receipts::orders::take_orders;

/// Pages after the newest that one pass reads while each has lost receipts, so that one incident is one finding.
const LOST_PAGES_MAX: usize = 20;
/// Pages of older receipts that are compared each minute: 2,000 receipts, or 2.9 million a day.
const OLDER_PAGES: usize = 4;
/// Interval between reads of older pages, and between a complete pass and the next.
const OLDER_EVERY: Duration = Duration::from_secs(55);
const PASS_EVERY: Duration = Duration::from_secs(3_600);

/// Reason why a page could not be compared.
#[derive(Debug)]
pub(crate) enum NotCompared {
    Ledger(PublicError),
    Source(EngineError),
}

/// Result of comparing one page.
#[derive(Debug, Default)]
pub(crate) struct ComparedPage {
    /// Identity that the database reported.
    pub(crate) identity: String,
    pub(crate) compared: usize,
    /// Receipts that the source does not hold, and whether the ledger has recorded that.
    pub(crate) lost: Vec<(KnownReceipt, bool)>,
    pub(crate) next_before_seq: Option<u64>,
    pub(crate) archived_before: Option<Timestamp>,
}

/// Compares one page of the ledger's receipts with the source.
pub(crate) async fn compare_page(
    writer: &Writer,
    source: &str,
    before_seq: Option<u64>,
) -> Result<ComparedPage, NotCompared> {
    let page = writer.ledger.source_receipts(source, before_seq).await;
    let page = page.map_err(NotCompared::Ledger)?;
    let (next_before_seq, archived_before) = (page.next_before_seq, page.archived_before);
    let claimed = verified(writer, page)?;
    let engine = writer.engine(source).map_err(NotCompared::Ledger)?;
    let ids: Vec<ProposalId> = claimed
        .iter()
        .map(|(known, _)| known.receipt().proposal_id.clone())
        .collect();
    let found = engine.find_receipts(&ids).await.map_err(NotCompared::Source)?;
    let rows: BTreeMap<&str, _> = found
        .receipts
        .iter()
        .map(|row| (row.proposal_id.as_str(), row))
        .collect();
    let mut done = ComparedPage {
        next_before_seq,
        archived_before,
        ..ComparedPage::default()
    };
    let mut present = Vec::new();
    for (known, is_reported) in claimed {
        done.compared += 1;
        if rows.get(known.stored().proposal_id.as_str()) == Some(&known.stored()) {
            present.push(known.receipt().proposal_id.clone());
            writer.ledger.settled.add(&known.receipt().proposal_id);
        } else {
            done.lost.push((known, is_reported));
        }
    }
    done.lost = without_allowed(writer, source, done.lost).await;
    let lost: Vec<_> = done.lost.iter().map(|(known, _)| known.clone()).collect();
    writer.receipts.compared(source, &present, &lost);
    for id in &present {
        writer.core.known().recovered(source, id);
    }
    if let Some(lost) = lost.first() {
        writer.core.known().lost(source, lost);
    }
    done.identity = found.identity;
    Ok(done)
}

fn verified(writer: &Writer, page: ReceiptPage) -> Result<Vec<(KnownReceipt, bool)>, NotCompared> {
    let (trust, _) = (writer.trust)().map_err(NotCompared::Ledger)?;
    let mut claimed = Vec::new();
    for receipt in page.receipts {
        match KnownReceipt::verify(&receipt.envelope, &trust) {
            Ok(known) => claimed.push((known, receipt.is_reported_lost)),
            Err(refusal) => {
                tracing::warn!(code = %refusal.code, "receipt of the ledger failed verification: {}", refusal.public);
            }
        }
    }
    Ok(claimed)
}

/// Removes receipts whose absence operators permitted by a signed order.
async fn without_allowed(
    writer: &Writer,
    source: &str,
    mut lost: Vec<(KnownReceipt, bool)>,
) -> Vec<(KnownReceipt, bool)> {
    if lost.is_empty() {
        return lost;
    }
    let ids: Vec<_> = lost
        .iter()
        .map(|(lost, _)| lost.receipt().proposal_id.clone())
        .collect();
    let orders = take_orders(writer, source, &ids).await;
    lost.retain(|(lost, _)| !orders.iter().any(|order| lost.may_be_missing(source, order)));
    lost
}

/// Reports lost receipts that the ledger has not recorded as lost.
pub(crate) async fn report_lost(
    writer: &Writer,
    source: ComparedSource<'_>,
    lost: &[(KnownReceipt, bool)],
) -> Result<(), PublicError> {
    let new = lost.iter().filter(|(_, is_reported)| !is_reported);
    let refs = new.map(|(known, _)| known.to_ref()).collect();
    report_finding(writer, source, ReceiptDiscrepancy::EffectLost, refs).await
}

/// Progress of comparing one source.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Start of the next older page while a pass is in progress.
    older: Option<u64>,
    read_older_at: Option<Instant>,
    pass_ended_at: Option<Instant>,
}

impl Comparison {
    /// Compares the newest receipts, and some older ones; reports what is lost.
    pub(crate) async fn compare(&mut self, writer: &Writer, source: &str) -> Result<(), NotCompared> {
        let mut page = compare_page(writer, source, None).await?;
        let identity = std::mem::take(&mut page.identity);
        let mut lost = std::mem::take(&mut page.lost);
        let mut has_lost = !lost.is_empty();
        let mut next = page.next_before_seq;
        for _ in 0..LOST_PAGES_MAX {
            let (true, Some(seq)) = (has_lost, next) else {
                break;
            };
            let page = compare_page(writer, source, Some(seq)).await?;
            has_lost = !page.lost.is_empty();
            next = page.next_before_seq;
            lost.extend(page.lost);
        }
        let older = self.compare_older(writer, source, next, &mut lost).await;
        let compared = ComparedSource {
            source,
            identity: &identity,
        };
        report_lost(writer, compared, &lost)
            .await
            .map_err(NotCompared::Ledger)?;
        compare_again(writer, source, &lost).await?;
        older
    }

    /// Compares a bounded number of older receipts; a pass runs from the second page to the oldest.
    async fn compare_older(
        &mut self,
        writer: &Writer,
        source: &str,
        second: Option<u64>,
        lost: &mut Vec<(KnownReceipt, bool)>,
    ) -> Result<(), NotCompared> {
        let is_recent = |at: Option<Instant>, pause| at.is_some_and(|at| at.elapsed() < pause);
        if is_recent(self.read_older_at, OLDER_EVERY) {
            return Ok(());
        }
        if self.older.is_none() && !is_recent(self.pass_ended_at, PASS_EVERY) {
            self.older = second;
        }
        self.read_older_at = Some(Instant::now());
        for _ in 0..OLDER_PAGES {
            let Some(seq) = self.older else { break };
            let page = compare_page(writer, source, Some(seq)).await?;
            lost.extend(page.lost);
            self.older = page.next_before_seq;
            if self.older.is_none() {
                self.pass_ended_at = Some(Instant::now());
            }
        }
        Ok(())
    }
}

/// Checks receipts again that were lost before and are in no page of this pass: an operator may have signed that
/// they are given up, or restored a backup that holds them.
async fn compare_again(
    writer: &Writer,
    source: &str,
    lost_now: &[(KnownReceipt, bool)],
) -> Result<(), NotCompared> {
    let now: BTreeSet<&ProposalId> = lost_now
        .iter()
        .map(|(known, _)| &known.receipt().proposal_id)
        .collect();
    let mut before = writer.receipts.lost(source);
    before.retain(|known| !now.contains(&known.receipt().proposal_id));
    before.truncate(synapsor_source::RECEIPTS_PER_STATEMENT_MAX);
    if before.is_empty() {
        return Ok(());
    }
    let ids: Vec<ProposalId> = before
        .iter()
        .map(|known| known.receipt().proposal_id.clone())
        .collect();
    let orders = take_orders(writer, source, &ids).await;
    let engine = writer.engine(source).map_err(NotCompared::Ledger)?;
    let found = engine.find_receipts(&ids).await.map_err(NotCompared::Source)?;
    let is_settled = |known: &&KnownReceipt| {
        found.receipts.contains(known.stored())
            || orders.iter().any(|order| known.may_be_missing(source, order))
    };
    let settled = before.iter().filter(is_settled);
    let settled: Vec<_> = settled.map(|known| &known.receipt().proposal_id).collect();
    for id in &settled {
        writer.core.known().recovered(source, id);
    }
    writer.receipts.settled(source, settled);
    Ok(())
}
