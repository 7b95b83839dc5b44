//! Attempts that began and were never reported: the receipt in the target database says how they ended.
//!
//! Absence of a receipt proves nothing, so nothing is concluded from it here; the ledger hands such a
//! proposal out again, and the protocol itself wins or loses the receipt's key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::Attested;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Envelope;
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::writeback::Receipt;
use tokio_util::sync::CancellationToken;

use super::Writer;
use super::report::{Subject, seal_report, settled};
use synapsor_writeback::receipt;

const EVERY: Duration = Duration::from_secs(60);
/// Receipts are looked at again for this long, in case their report was lost.
const OVERLAP: Span = Span::minutes(10);
const RECEIPTS_MAX: u32 = 500;

/// Runs at start and every minute.
pub(super) async fn run(writer: Arc<Writer>, stop: CancellationToken) {
    let mut seen = BTreeSet::new();
    loop {
        if let Err(refusal) = unfinished(&writer).await {
            tracing::warn!(code = %refusal.code, "unfinished attempts could not be resolved: {}", refusal.public);
        }
        scan(&writer, &mut seen).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn unfinished(writer: &Writer) -> Result<(), Refusal> {
    let (trust, _) = (writer.trust)()?;
    for attempt in writer.ledger.unfinished(writer.source_ids()).await? {
        let Ok(attested) = Attested::verify_past(attempt.proposal, &trust) else {
            continue;
        };
        let proposal = attested.proposal();
        let Ok(engine) = writer.engine(&proposal.source.id) else {
            continue;
        };
        let Ok(Some(stored)) = engine.find_receipt(&proposal.id).await else {
            continue;
        };
        let (receipt, envelope) = receipt::verify(&stored, &trust, attested.digest())?;
        tell(writer, &receipt, envelope, attempt.fence, attempt.attempt).await?;
    }
    Ok(())
}

/// Tells the ledger of receipts that it may not know: their attempt's report was lost with the ledger away.
async fn scan(writer: &Writer, seen: &mut BTreeSet<(Timestamp, ProposalId)>) {
    let from = writer.now() + Span::minutes(-OVERLAP.as_seconds() / 60);
    *seen = seen.split_off(&(from, ProposalId::from_random([0; 10])));
    let Ok((trust, _)) = (writer.trust)() else { return };
    for (_, database) in writer.core.databases() {
        let Ok(receipts) = database.reading().receipts_since(from, RECEIPTS_MAX).await else {
            continue;
        };
        for stored in receipts {
            let Ok(digest) = stored.proposal_digest.parse::<Digest>() else {
                continue;
            };
            let Ok((receipt, envelope)) = receipt::verify(&stored, &trust, digest) else {
                continue;
            };
            let key = (receipt.created_at, receipt.proposal_id.clone());
            if seen.contains(&key) {
                continue;
            }
            let (fence, attempt) = (receipt.fence, receipt.attempt);
            if tell(writer, &receipt, envelope, fence, attempt).await.is_ok() {
                seen.insert(key);
            }
        }
    }
}

async fn tell(
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
