//! Attempts that began and were never reported: the receipt in the target database says how they ended.
//!
//! Absence of a receipt proves nothing, so nothing is concluded from it here; the ledger hands such a
//! proposal out again, and the protocol itself wins or loses the receipt's key.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::join::join_all;
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::Attested;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Envelope;
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::writeback::Receipt;
use tokio_util::sync::CancellationToken;

use super::Writer;
use super::report::{Subject, is_passing, seal_report, settled};
use synapsor_writeback::receipt;

const EVERY: Duration = Duration::from_secs(60);
/// Receipts this much older than the last complete look are looked at again: the clocks of writers differ.
const OVERLAP: Span = Span::minutes(10);
/// Receipts of one page.
const PAGE: u32 = 500;

/// Runs at start and every minute, for all sources at once: one that hangs delays no other.
pub(super) async fn run(writer: Arc<Writer>, stop: CancellationToken) {
    let start = writer.now() + Span::minutes(-OVERLAP.as_seconds() / 60);
    let mut sources: Vec<Source> = writer
        .source_ids()
        .into_iter()
        .map(|name| Source { name, from: start })
        .collect();
    loop {
        let look = join_all(sources.iter_mut().map(|source| source.look(&writer)));
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One source and how far its receipts are known to have been reported.
struct Source {
    name: String,
    from: Timestamp,
}

impl Source {
    async fn look(&mut self, writer: &Writer) {
        if let Err(refusal) = unfinished(writer, &self.name).await {
            tracing::warn!(
                source = self.name, code = %refusal.code,
                "unfinished attempts could not be resolved: {}", refusal.public
            );
        }
        let now = writer.now();
        if scan(writer, &self.name, self.from).await.is_ok() {
            self.from = self.from.max(now + Span::minutes(-OVERLAP.as_seconds() / 60));
        }
    }
}

/// Resolves the attempts that the ledger knows the beginning of, newest first, page by page. One that cannot be
/// resolved keeps no other from it.
async fn unfinished(writer: &Writer, source: &str) -> Result<(), Refusal> {
    let engine = writer.engine(source)?;
    let mut before = None;
    loop {
        let (page, next) = writer.ledger.unfinished(vec![source.to_owned()], before).await?;
        let (trust, _) = (writer.trust)()?;
        for attempt in page {
            let Ok(attested) = Attested::verify_past(attempt.proposal, &trust) else {
                continue;
            };
            let id = &attested.proposal().id;
            let found = match engine.find_receipt(id).await {
                Ok(Some(stored)) => receipt::verify(&stored, &trust, attested.digest()),
                Ok(None) => continue,
                // The source is away; nothing of it can be resolved now.
                Err(_) => return Ok(()),
            };
            let told = match found {
                Ok((receipt, envelope)) => {
                    tell(writer, &receipt, envelope, attempt.fence, attempt.attempt).await
                }
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = told {
                tracing::warn!(proposal = %id, code = %refusal.code, "an unfinished attempt stays so: {}", refusal.public);
                if is_passing(&refusal.code) {
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

/// Reports receipts that the ledger has not taken from this process, newest first: their attempt's report was lost with
/// the ledger away. An error means that the next look has to begin where this one did.
async fn scan(writer: &Writer, source: &str, from: Timestamp) -> Result<(), ()> {
    let mut unsettled = unsettled_since(writer, source, from).await?;
    while let Some((receipt, envelope)) = unsettled.pop() {
        let (fence, attempt) = (receipt.fence, receipt.attempt);
        match tell(writer, &receipt, envelope, fence, attempt).await {
            Ok(()) => {}
            Err(refusal) if is_passing(&refusal.code) => return Err(()),
            // The ledger has judged it, and would judge it so again.
            Err(_) => writer.ledger.settled.add(&receipt.proposal_id),
        }
    }
    Ok(())
}

/// Oldest first.
async fn unsettled_since(
    writer: &Writer,
    source: &str,
    mut from: Timestamp,
) -> Result<Vec<(Receipt, Envelope)>, ()> {
    let engine = writer.engine(source).map_err(drop)?;
    let (trust, _) = (writer.trust)().map_err(drop)?;
    let (mut unsettled, mut found, mut rows_max) = (Vec::new(), HashSet::new(), PAGE);
    loop {
        let page = engine.receipts_since(from, rows_max).await.map_err(drop)?;
        let is_last = u32::try_from(page.len()).is_ok_and(|len| len < rows_max);
        let mut newest = from;
        for stored in page.into_iter().filter(|stored| !stored.is_switch()) {
            let Ok(digest) = stored.proposal_digest.parse::<Digest>() else {
                continue;
            };
            let Ok((receipt, envelope)) = receipt::verify(&stored, &trust, digest) else {
                continue;
            };
            newest = newest.max(receipt.created_at);
            let id = &receipt.proposal_id;
            if !writer.ledger.settled.has(id) && found.insert(id.clone()) {
                unsettled.push((receipt, envelope));
            }
        }
        if is_last {
            return Ok(unsettled);
        }
        // A page that is full of one moment is asked for again, larger.
        if newest == from {
            rows_max = rows_max.saturating_mul(2);
        } else {
            (from, rows_max) = (newest, PAGE);
        }
    }
}

/// Reports a committed receipt to the ledger, outside of a lease.
pub(super) async fn tell(
    writer: &Writer,
    receipt: &Receipt,
    envelope: Envelope,
    fence: u64,
    attempt: u32,
) -> Result<(), Refusal> {
    let subject = Subject {
        proposal_id: receipt.proposal_id.clone(),
        proposal_digest: receipt.proposal_digest,
        order_digest: receipt.order_digest,
        fence,
        attempt,
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
