//! Applies rejections at the writer: effective at once, and final by a tombstone in the source, so that not even
//! an unknown attempt can still commit. A tombstone that the database does not take now is retried until it
//! does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use synapsor_chassis::retry::Backoff;
use synapsor_domain::approval::{VerificationContext, verify_decision};
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::VerifiedProposal;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::writeback::{Ending, RejectEffect};
use synapsor_writeback::{ApplyResult, EndPermit, LeaseRef};
use tokio_util::sync::CancellationToken;

use crate::writer::Writer;
use crate::writer::controls::AttemptPhase;
use crate::writer::ledger::report::{Subject, seal_report, settled};
use crate::writer::receipts::orders::digest_of;

/// Pauses between retries of tombstones.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(4),
};
/// Rejections per retry pass.
const PAGE: usize = 64;

/// Applies a signed rejection of one proposal. Returns its effect, and the receipt that ended the proposal if the
/// database holds one.
///
/// # Errors
/// Verification errors; `STATE_NOT_WRITABLE` when neither the state directory nor the database could store it.
pub(crate) async fn reject(
    writer: &Writer,
    proposal: DsseEnvelope,
    decision: &DsseEnvelope,
) -> Result<(RejectEffect, Option<DsseEnvelope>), PublicError> {
    let ending = verified(writer, proposal, decision)?;
    let id = &ending.proposal().id;
    let kept = writer
        .switches
        .reject(id, ending.attested().envelope(), decision)
        .await;
    if let Ok(Some(AttemptPhase::Committing)) = kept {
        return Ok((RejectEffect::CommitInProgress, None));
    }
    match tombstone(writer, ending).await? {
        // The database holds the tombstone, whether or not the file was written.
        Some((envelope, true)) => Ok((RejectEffect::Tombstoned, Some(envelope))),
        Some((envelope, false)) => Ok((RejectEffect::AlreadyFinal, Some(envelope))),
        None => kept.map(|_| (RejectEffect::BlockedLocally, None)),
    }
}

fn verified(writer: &Writer, proposal: DsseEnvelope, decision: &DsseEnvelope) -> Result<Ending, PublicError> {
    let (trust, _) = (writer.trust)()?;
    let attested = VerifiedProposal::verify_historical(proposal, &trust)?;
    let verification = VerificationContext {
        trust: &trust,
        now: writer.now(),
        proposal: attested.proposal(),
        proposal_digest: attested.digest(),
    };
    let verified = verify_decision(decision, &verification)?;
    Ending::rejected(attested, &verified)
}

/// Applies a rejection that the ledger sent. One that fails verification stops nothing; a genuine one is
/// followed by its tombstone.
pub(crate) async fn apply_sent(writer: &Writer, proposal: DsseEnvelope, decision: &DsseEnvelope) {
    let ending = match verified(writer, proposal, decision) {
        Ok(ending) => ending,
        Err(refusal) => {
            tracing::warn!(code = %refusal.code, "rejection failed verification: {}", refusal.public);
            return;
        }
    };
    let id = &ending.proposal().id;
    let kept = writer
        .switches
        .reject(id, ending.attested().envelope(), decision)
        .await;
    if let Err(refusal) = kept {
        tracing::error!(proposal = %id, code = %refusal.code, "rejection not durable");
    }
}

/// Ends the proposal in its source; returns the receipt that is there afterwards, and whether it is this
/// tombstone. `None` while the database does not take it.
async fn tombstone(writer: &Writer, ending: Ending) -> Result<Option<(DsseEnvelope, bool)>, PublicError> {
    let (id, digest) = (ending.proposal().id.clone(), ending.attested().digest());
    writer.engine(&ending.proposal().source.id)?;
    let permit = EndPermit::new(ending, LeaseRef { fence: 0, attempt: 0 });
    let (receipt, envelope, is_new) = match writer.core.end(permit).await {
        ApplyResult::Receipt {
            receipt,
            envelope,
            is_new,
            ..
        } => (receipt, envelope, is_new),
        ApplyResult::Retryable(..)
        | ApplyResult::VersionNotAdvanced
        | ApplyResult::Stale
        | ApplyResult::InDoubt => return Ok(None),
        ApplyResult::RowChanged { violation, .. } => return Err(violation.refusal()),
        ApplyResult::Refused(by) => return Err(by.refusal()),
    };
    writer.switches.end_rejection(&id).await;
    let subject = Subject {
        proposal_id: id.clone(),
        proposal_digest: digest,
        order_digest: None,
        fence: 0,
        attempt: 0,
    };
    if writer.changed_rows.has(&id, digest_of(&envelope)) {
        return Ok(Some((envelope, is_new)));
    }
    let end = settled(&receipt, envelope.clone(), is_new);
    if let Some(report) = seal_report(writer, subject, &end) {
        let receipt = end.receipt.as_ref();
        // The tombstone exists whether or not the ledger knows it now; the reconciler reports it later.
        if let Err(refusal) = writer.ledger.settle(&id, &[], &report, receipt).await {
            tracing::warn!(proposal = %id, code = %refusal.code, "{}", refusal.public);
        }
    }
    Ok(Some((envelope, is_new)))
}

/// Sources whose last tombstone was not taken, with the pause before the next try.
type Pauses = BTreeMap<String, (Instant, u32)>;

/// Writes the tombstones of stored rejections as soon as their databases take them.
pub(crate) async fn run(writer: Arc<Writer>, stop: CancellationToken) {
    let mut pauses = Pauses::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN.first) => {}
        }
        let mut after: Option<ProposalId> = None;
        loop {
            let page = writer.switches.rejections_after(after.as_ref(), PAGE);
            let Some(last) = page.last().cloned() else { break };
            for id in &page {
                if stop.is_cancelled() {
                    return;
                }
                try_again(&writer, id, &mut pauses).await;
            }
            after = Some(last);
        }
    }
}

async fn try_again(writer: &Writer, id: &ProposalId, pauses: &mut Pauses) {
    if pauses.len() == writer.core.databases().count()
        && pauses.values().all(|(until, _)| Instant::now() < *until)
    {
        return;
    }
    let Some(ending) = kept_ending(writer, id) else {
        return;
    };
    let source = ending.proposal().source.id.clone();
    let now = Instant::now();
    let tries = match pauses.get(&source) {
        Some((until, _)) if now < *until => return,
        Some((_, tries)) => tries + 1,
        None => 0,
    };
    match tombstone(writer, ending).await {
        Ok(Some((_, fresh))) => {
            pauses.remove(&source);
            tracing::info!(proposal = %id, fresh, "rejected proposal ended in its source");
        }
        Ok(None) => {
            pauses.insert(source, (Instant::now() + AGAIN.bound(tries), tries));
        }
        Err(refusal) => {
            tracing::warn!(proposal = %id, code = %refusal.code, "tombstone refused: {}", refusal.public);
            pauses.insert(source, (Instant::now() + AGAIN.longest, u32::MAX - 1));
        }
    }
}

/// Returns the authorization to end a proposal by the rejection that this writer stores, verified again.
fn kept_ending(writer: &Writer, id: &ProposalId) -> Option<Ending> {
    let (proposal, decision) = writer.switches.rejection(id)?;
    verified(writer, proposal, &decision).ok()
}
