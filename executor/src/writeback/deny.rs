//! A deny that reaches the writer directly: kept at once, and made final by a tombstone in the target
//! database, so that not even a forgotten attempt can still commit.

use synapsor_domain::approval::{Judge, verify_decision};
use synapsor_domain::proposal::Attested;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Envelope;
use synapsor_domain::writeback::Outcome;

use super::Writer;
use super::apply::{self, Context, Ended};
use super::report::{Subject, seal_report, settled};
use super::switches::Flight;

/// How far a deny got.
#[derive(Debug, Clone)]
pub enum Denied {
    /// A tombstone is committed.
    Killed(Envelope),
    /// The proposal had ended before.
    EndedBefore(Envelope),
    /// An attempt is past the point of no return.
    InFlight,
    /// The database is away; this writer will not apply it.
    BlockedHere,
}

/// Takes a signed deny of one proposal.
pub async fn deny(writer: &Writer, proposal: Envelope, decision: &Envelope) -> Result<Denied, Refusal> {
    let (trust, _) = (writer.trust)()?;
    let attested = Attested::verify_past(proposal, &trust)?;
    let judge = Judge {
        trust: &trust,
        now: writer.now(),
        proposal: attested.proposal(),
        proposal_digest: attested.digest(),
    };
    if !verify_decision(decision, &judge)?.is_deny() {
        return Err(Refusal::new("refused:malformed", "the decision is not a deny"));
    }
    let id = &attested.proposal().id;
    let flight = writer
        .switches
        .deny(id)
        .map_err(|e| Refusal::new("STATE_NOT_WRITABLE", e.to_string()))?;
    if flight == Some(Flight::Committing) {
        return Ok(Denied::InFlight);
    }
    let engine = writer.engine(&attested.proposal().source.id)?;
    let context = Context {
        proposal_digest: attested.digest(),
        order_digest: None,
        fence: 0,
        attempt: 0,
        ledger_size: 0,
        ledger_root: [0; 32],
    };
    match apply::tombstone(
        writer,
        engine.as_ref(),
        attested.proposal(),
        &context,
        Outcome::Denied,
    )
    .await
    {
        Ended::Receipt {
            receipt,
            envelope,
            fresh,
        } => {
            let subject = Subject {
                proposal_id: id.clone(),
                proposal_digest: attested.digest(),
                order_digest: None,
                fence: 0,
                attempt: 0,
            };
            let end = settled(&receipt, envelope.clone(), fresh);
            if let Some(report) = seal_report(writer, subject, &end) {
                // The tombstone stands whether or not the ledger hears of it now; the reconciler tells it later.
                if let Err(refusal) = writer.ledger.settle(id, &[], &report, end.receipt.as_ref()).await {
                    tracing::warn!(proposal = %id, code = %refusal.code, "{}", refusal.public);
                }
            }
            Ok(if fresh {
                Denied::Killed(envelope)
            } else {
                Denied::EndedBefore(envelope)
            })
        }
        Ended::Retryable(_) | Ended::NotYet | Ended::Outdated | Ended::Doubt => Ok(Denied::BlockedHere),
        Ended::Refused(refusal) => Err(refusal),
    }
}
