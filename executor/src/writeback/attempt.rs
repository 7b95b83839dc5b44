//! One leased proposal from its first check to its report. The order of the steps is the protocol:
//! verify, look for a receipt, authorize, announce, write, report.

use std::time::Duration;

use synapsor_chassis::random;
use synapsor_domain::approval::{Judge, verify_decision};
use synapsor_domain::contract::Contract;
use synapsor_domain::digest::Digest;
use synapsor_domain::log::Checkpoint;
use synapsor_domain::proposal::Attested;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::schema::TableShape;
use synapsor_domain::signing::{Envelope, Kind};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::{
    AttemptReport, AttemptResult, Authorization, Facts, LedgerProof, Outcome, Receipt, authorize,
};

use super::Writer;
use super::apply::{self, Context, Ended};
use super::ledger::{Job, Lease};
use super::switches::FlightGuard;
use crate::engine::Engine;
use crate::failpoint::hit;

/// Whole transactions that one lease may try.
const ROUNDS_MAX: u32 = 5;
/// Rounds while the outcome of a COMMIT is unknown; with the pauses between them about a minute.
const ROUNDS_IN_DOUBT_MAX: u32 = 12;
const PAUSE_FIRST_MS: u64 = 20;
const PAUSE_MAX_MS: u64 = 1_000;
const PAUSE_IN_DOUBT_MAX_MS: u64 = 8_000;
/// A lease is renewed when a third of it is gone.
const HEARTBEATS_PER_LEASE: u32 = 3;
const SETTLE_TRIES_MAX: u32 = 6;

/// What one round came to.
enum Round {
    Report(Report),
    /// The database was busy or away.
    Again(&'static str),
    /// What was judged has changed in between: judge again.
    Outdated,
    Doubt,
}

/// The end of the attempt.
pub(super) struct Report {
    pub(super) result: AttemptResult,
    pub(super) message: String,
    pub(super) receipt: Option<Envelope>,
}

/// Works a job to its report. Runs in a task of its own that nobody cancels, so that no COMMIT is ever
/// abandoned half-way.
pub(super) async fn run(writer: &Writer, job: Job, checkpoint: Result<Checkpoint, Refusal>) {
    let flight = writer.switches.take_off(&job.lease.proposal_id).await;
    tokio::select! {
        () = work(writer, &job, checkpoint, &flight) => {}
        () = keep_lease(writer, &job) => {}
    }
}

/// Renews the lease and takes denies to heart; never ends by itself.
async fn keep_lease(writer: &Writer, job: &Job) {
    let lease = &job.lease;
    loop {
        tokio::time::sleep(lease.ttl / HEARTBEATS_PER_LEASE).await;
        match writer.ledger.heartbeat(lease).await {
            Ok(None) => {}
            Ok(Some(deny)) => take_to_heart(writer, job, &deny),
            // Losing the lease is no danger: the receipt key decides. The attempt goes on.
            Err(refusal) => {
                tracing::warn!(proposal = %lease.proposal_id, code = %refusal.code, "heartbeat failed");
            }
        }
    }
}

/// Keeps a deny that a person signed. What merely claims to be one is the ledger's word, and that stops nothing
/// for good.
fn take_to_heart(writer: &Writer, job: &Job, deny: &Envelope) {
    let verified = (writer.trust)().and_then(|(trust, _)| {
        let envelope = Envelope::from_bytes(&job.proposal.body)
            .map_err(|e| Refusal::new("refused:malformed", e.to_string()))?;
        let attested = Attested::verify(envelope, &trust)?;
        let (proposal, proposal_digest) = (attested.proposal(), attested.digest());
        let judge = Judge {
            trust: &trust,
            now: writer.now(),
            proposal,
            proposal_digest,
        };
        verify_decision(deny, &judge)
    });
    match verified {
        Ok(decision) if decision.is_deny() => {
            if let Err(error) = writer.switches.deny(&job.lease.proposal_id) {
                tracing::error!(proposal = %job.lease.proposal_id, code = error.code(), "a deny could not be kept");
            }
        }
        Ok(_) => {}
        Err(refusal) => {
            tracing::warn!(proposal = %job.lease.proposal_id, code = %refusal.code, "a deny does not verify");
        }
    }
}

async fn work(writer: &Writer, job: &Job, checkpoint: Result<Checkpoint, Refusal>, flight: &FlightGuard<'_>) {
    let checkpoint = match checkpoint {
        Ok(checkpoint) => checkpoint,
        Err(refusal) => return report(writer, job, 0, refused(&refusal)).await,
    };
    let mut number = 0;
    let mut in_doubt = job.unfinished;
    let mut doubted = false;
    let mut last = "database_busy";
    for round in 0.. {
        if round >= if doubted { ROUNDS_IN_DOUBT_MAX } else { ROUNDS_MAX } {
            break;
        }
        match one_round(writer, job, &checkpoint, flight, &mut number, in_doubt).await {
            Round::Report(end) => return report(writer, job, number, end).await,
            Round::Again(reason) => last = reason,
            Round::Outdated => continue,
            Round::Doubt => {
                in_doubt = true;
                if !doubted {
                    doubted = true;
                    report_doubt(writer, job, number).await;
                }
            }
        }
        pause(round, doubted).await;
    }
    // In doubt stays in doubt: the ledger hands it out again, and the reconciler looks for the receipt.
    if !doubted {
        let message = "the database did not let the change through in time; nothing was written".to_owned();
        let end = Report {
            result: AttemptResult::Retryable(last.to_owned()),
            message,
            receipt: None,
        };
        report(writer, job, number, end).await;
    }
}

async fn one_round(
    writer: &Writer,
    job: &Job,
    checkpoint: &Checkpoint,
    flight: &FlightGuard<'_>,
    number: &mut u32,
    in_doubt: bool,
) -> Round {
    match judge(writer, job, checkpoint).await {
        Err(round) => round,
        Ok(Judged::Refused { attested, refusal }) if in_doubt => {
            resolve_refused(writer, job, &attested, checkpoint, &refusal).await
        }
        Ok(Judged::Refused { refusal, .. }) => Round::Report(refused(&refusal)),
        Ok(Judged::Authorized(authorization)) => {
            if let Err(refusal) = announce(writer, &job.lease, number).await {
                return Round::Report(refused(&refusal));
            }
            let Ok(engine) = writer.engine(&authorization.proposal().source.id) else {
                return Round::Outdated;
            };
            let context = context(&authorization, &job.lease, *number);
            let ended = apply::apply(writer, engine.as_ref(), &authorization, &context, flight).await;
            round_of(ended)
        }
    }
}

/// Whether the writer may write, before anything is announced.
enum Judged {
    Authorized(Box<Authorization>),
    Refused {
        attested: Box<Attested>,
        refusal: Refusal,
    },
}

async fn judge(writer: &Writer, job: &Job, checkpoint: &Checkpoint) -> Result<Judged, Round> {
    let report = |refusal: Refusal| Round::Report(refused(&refusal));
    hit("F1").await.map_err(|_| Round::Again("injected"))?;
    let (trust, trust_digest) = (writer.trust)().map_err(report)?;
    let envelope = Envelope::from_bytes(&job.proposal.body)
        .map_err(|e| report(Refusal::new("refused:malformed", e.to_string())))?;
    let attested = Attested::verify(envelope, &trust).map_err(report)?;
    let engine = writer.engine(&attested.proposal().source.id).map_err(report)?;
    if let Some(end) = known_outcome(engine.as_ref(), &attested, &trust).await? {
        return Err(Round::Report(end));
    }
    hit("F2").await.map_err(|_| Round::Again("injected"))?;
    let target = &attested.proposal().target;
    let shape = match engine.shape(&target.schema, &target.table).await {
        Ok(shape) => shape,
        Err(error) => return Err(unusable(&error)),
    };
    let identity = engine.identity().await.map_err(|e| unusable(&e))?;
    let Some(order) = &job.order else {
        let refusal = Refusal::new("refused:expired", "no apply order is in force");
        return Ok(Judged::Refused {
            attested: Box::new(attested),
            refusal,
        });
    };
    let proof = LedgerProof {
        checkpoint,
        proposal: &job.proposal,
        decisions: &job.decisions,
        order,
        consistency: &job.consistency,
    };
    let own = Own {
        trust: &trust,
        trust_digest,
        shape: &shape,
        identity: &identity,
    };
    Ok(
        match with_facts(writer, engine.as_ref(), &attested, &own, |facts| {
            authorize(attested.clone(), &proof, facts)
        }) {
            Ok(authorization) => Judged::Authorized(Box::new(authorization)),
            Err(refusal) => Judged::Refused {
                attested: Box::new(attested),
                refusal,
            },
        },
    )
}

/// What the writer has just read of its own.
pub(super) struct Own<'a> {
    pub(super) trust: &'a TrustFile,
    pub(super) trust_digest: Digest,
    pub(super) shape: &'a TableShape,
    pub(super) identity: &'a str,
}

/// Calls a judgement with the writer's own facts about this proposal.
pub(super) fn with_facts<T>(
    writer: &Writer,
    engine: &dyn Engine,
    attested: &Attested,
    own: &Own<'_>,
    judgement: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let now = writer.now();
    let fit = |column: &_, value: &_| engine.fit(column, value);
    let contract: &Contract = &writer.contract;
    judgement(&Facts {
        trust: own.trust,
        trust_digest: own.trust_digest,
        contract,
        now,
        high_water: writer.switches.high_water(now),
        database_identity: own.identity,
        shape: own.shape,
        fit: &fit,
        frozen: writer.switches.is_frozen(),
        denied_here: writer.switches.is_denied(&attested.proposal().id),
    })
}

/// A committed, genuine receipt is the answer whatever the ledger says; its absence proves nothing.
async fn known_outcome(
    engine: &dyn Engine,
    attested: &Attested,
    trust: &TrustFile,
) -> Result<Option<Report>, Round> {
    let found = engine
        .find_receipt(&attested.proposal().id)
        .await
        .map_err(|e| unusable(&e))?;
    let Some(stored) = found else { return Ok(None) };
    match apply::genuine(&stored, trust, attested.digest()) {
        Ok((receipt, envelope)) => Ok(Some(settled(&receipt, envelope, false))),
        Err(refusal) => Ok(Some(refused(&refusal))),
    }
}

/// Durably tells the ledger before the target is touched; no ledger, no write.
async fn announce(writer: &Writer, lease: &Lease, number: &mut u32) -> Result<(), Refusal> {
    if *number > 0 {
        return Ok(());
    }
    let injected = |_| Refusal::new("retryable:ledger_unavailable", "injected");
    hit("F3a").await.map_err(injected)?;
    *number = writer.ledger.start(lease).await?;
    hit("F3b").await.map_err(injected)
}

/// An earlier attempt may still be alive, and what people signed no longer allows another one: only winning
/// the receipt's key ends it. Refusals about anything else than people's word wait.
async fn resolve_refused(
    writer: &Writer,
    job: &Job,
    attested: &Attested,
    checkpoint: &Checkpoint,
    refusal: &Refusal,
) -> Round {
    let outcome = match refusal.code.as_ref() {
        "refused:denied" => Outcome::Denied,
        "refused:expired" => Outcome::Expired,
        "refused:key" | "refused:role" | "refused:quorum" | "refused:sod" | "refused:order" => {
            Outcome::Abandoned
        }
        _ => return Round::Report(refused(refusal)),
    };
    let Ok(engine) = writer.engine(&attested.proposal().source.id) else {
        return Round::Report(refused(refusal));
    };
    let context = Context {
        proposal_digest: attested.digest(),
        order_digest: None,
        fence: job.lease.fence,
        attempt: job.lease.attempt,
        ledger_size: checkpoint.size,
        ledger_root: checkpoint.root,
    };
    round_of(apply::tombstone(writer, engine.as_ref(), attested.proposal(), &context, outcome).await)
}

fn context(authorization: &Authorization, lease: &Lease, number: u32) -> Context {
    Context {
        proposal_digest: authorization.proposal_digest(),
        order_digest: Some(authorization.order_digest()),
        fence: lease.fence,
        attempt: number,
        ledger_size: authorization.ledger_size(),
        ledger_root: *authorization.ledger_root(),
    }
}

fn round_of(ended: Ended) -> Round {
    match ended {
        Ended::Receipt {
            receipt,
            envelope,
            fresh,
        } => Round::Report(settled(&receipt, envelope, fresh)),
        Ended::Retryable(error) => Round::Again(error.reason()),
        Ended::NotYet => Round::Again(apply::VERSION_NOT_ADVANCED),
        Ended::Outdated => Round::Outdated,
        Ended::Refused(refusal) => Round::Report(refused(&refusal)),
        Ended::Doubt => Round::Doubt,
    }
}

fn unusable(error: &crate::engine::EngineError) -> Round {
    tracing::warn!(reason = error.reason(), detail = %error.detail, "the database cannot be used");
    if error.is_retryable() {
        Round::Again(error.reason())
    } else {
        let text = format!("the writer's database refused: {}", error.reason());
        Round::Report(refused(&Refusal::new("refused:database", text)))
    }
}

/// The report for a receipt that is committed.
pub(super) fn settled(receipt: &Receipt, envelope: Envelope, fresh: bool) -> Report {
    let result = match (receipt.outcome, fresh) {
        (Outcome::Applied, false) => AttemptResult::AlreadyApplied,
        (outcome, _) => AttemptResult::from_outcome(outcome, &receipt.reason),
    };
    let message = match receipt.outcome {
        Outcome::Applied => "1 row changed, receipt committed with it".to_owned(),
        Outcome::Conflict => "the row is no longer the one that was reviewed; nothing was written".to_owned(),
        Outcome::Failed => "the write was rolled back; nothing was written".to_owned(),
        Outcome::Denied | Outcome::Cancelled | Outcome::Expired | Outcome::Abandoned => {
            "ended without a write; no writer can apply it any more".to_owned()
        }
    };
    Report {
        result,
        message,
        receipt: Some(envelope),
    }
}

fn refused(refusal: &Refusal) -> Report {
    let result = match refusal.code.split_once(':') {
        Some(("refused", reason)) => AttemptResult::Refused(reason.to_owned()),
        Some(("retryable", reason)) => AttemptResult::Retryable(reason.to_owned()),
        Some(_) | None => AttemptResult::Retryable("ledger_unavailable".to_owned()),
    };
    tracing::warn!(code = %refusal.code, detail = refusal.detail, "{}", refusal.public);
    Report {
        result,
        message: refusal.public.clone(),
        receipt: None,
    }
}

async fn report(writer: &Writer, job: &Job, number: u32, end: Report) {
    if hit("F12a").await.is_err() {
        return;
    }
    let lease = &job.lease;
    let Some(envelope) = sealed(writer, job, number, &end) else {
        return;
    };
    settle(writer, lease, &envelope, end.receipt.as_ref()).await;
    // Nothing follows that could fail; the points exist so that the proofs can stop the process here.
    let _ = hit("F12b").await;
    tracing::info!(proposal = %lease.proposal_id, result = %end.result, "attempt ended");
    let _ = hit("F12c").await;
}

/// Tells the ledger, as long as telling can help. What is lost here the reconciler tells later.
async fn settle(writer: &Writer, lease: &Lease, attempt: &Envelope, receipt: Option<&Envelope>) {
    let mut token = lease.token.as_slice();
    for round in 0..SETTLE_TRIES_MAX {
        let Err(refusal) = writer
            .ledger
            .settle(&lease.proposal_id, token, attempt, receipt)
            .await
        else {
            return;
        };
        tracing::warn!(proposal = %lease.proposal_id, code = %refusal.code, "{}", refusal.public);
        match refusal.code.as_ref() {
            // The lease was granted anew meanwhile; a receipt needs none.
            "LEASE_NOT_HELD" if receipt.is_some() && !token.is_empty() => token = &[],
            "UNREACHABLE" | "DEADLINE_EXCEEDED" | "STORE_BUSY" | "STORE_FULL" | "STORE_FAILED"
            | "STORE_CLOSED" => {
                pause(round, true).await;
            }
            _ => return,
        }
    }
}

async fn report_doubt(writer: &Writer, job: &Job, number: u32) {
    let message = "the answer to COMMIT was lost; being resolved".to_owned();
    let end = Report {
        result: AttemptResult::InDoubt,
        message,
        receipt: None,
    };
    let Some(envelope) = sealed(writer, job, number, &end) else {
        return;
    };
    if let Err(refusal) = writer.ledger.report_in_doubt(&job.lease, &envelope).await {
        tracing::warn!(proposal = %job.lease.proposal_id, code = %refusal.code, "{}", refusal.public);
    }
}

fn sealed(writer: &Writer, job: &Job, number: u32, end: &Report) -> Option<Envelope> {
    let proposal = Envelope::from_bytes(&job.proposal.body)
        .ok()?
        .digest(Kind::Proposal)
        .ok()?;
    let order = job
        .order
        .as_ref()
        .and_then(|o| Envelope::from_bytes(&o.body).ok());
    let lease = &job.lease;
    let subject = Subject {
        proposal_id: lease.proposal_id.clone(),
        proposal_digest: proposal,
        order_digest: order.and_then(|o| o.digest(Kind::ApplyOrder).ok()),
        fence: lease.fence,
        attempt: number,
    };
    seal_report(writer, subject, end)
}

/// What an attempt report is about.
pub(super) struct Subject {
    pub(super) proposal_id: synapsor_domain::ids::ProposalId,
    pub(super) proposal_digest: Digest,
    pub(super) order_digest: Option<Digest>,
    pub(super) fence: u64,
    pub(super) attempt: u32,
}

pub(super) fn seal_report(writer: &Writer, subject: Subject, end: &Report) -> Option<Envelope> {
    let receipt_digest = end.receipt.as_ref().and_then(|r| r.digest(Kind::Receipt).ok());
    let report = AttemptReport {
        v: 1,
        proposal_id: subject.proposal_id,
        proposal_digest: subject.proposal_digest,
        order_digest: subject.order_digest,
        writer: writer.name.clone(),
        fence: subject.fence,
        attempt: subject.attempt,
        result: end.result.clone(),
        message: end.message.clone(),
        receipt_digest,
        at: writer.now(),
    };
    Envelope::seal(Kind::Attempt, &report, &writer.key)
        .inspect_err(|error| tracing::error!(%error, "an attempt report could not be sealed"))
        .ok()
}

async fn pause(round: u32, long: bool) {
    let cap = if long { PAUSE_IN_DOUBT_MAX_MS } else { PAUSE_MAX_MS };
    let full = PAUSE_FIRST_MS.saturating_mul(1 << round.min(10)).min(cap);
    // Half fixed, half random, so that writers that failed together do not try again together.
    let jitter = random::number() % (full / 2 + 1);
    tokio::time::sleep(Duration::from_millis(full / 2 + jitter)).await;
}
