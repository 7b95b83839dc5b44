//! Runs one leased proposal from its first check to its report. The order of the steps is the protocol: verify,
//! look up the receipt, authorize, announce, write, report.

mod authorize;
pub(crate) mod availability;
mod dry_run;
pub(crate) mod slots;
pub(crate) mod source;
mod step;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{Decision, DecisionKind};
use synapsor_domain::error::PublicError;
use synapsor_domain::log::{Checkpoint, ProvenEntry};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{AttemptResult, ReceiptDiscrepancy, Unauthorized};
use synapsor_writeback::crash_point::{CrashPoint, hit};
use synapsor_writeback::{EndPermit, LeaseRef, UnprovenReceipt, WritePermit};
use tokio_util::sync::CancellationToken;

pub(crate) use dry_run::{DryRuns, preview};

use self::authorize::{AuthorizeResult, SchemaView, authorize_job};
use self::slots::{Need, Slot};
use self::source::AtSource;
use self::step::{AttemptStep, ChangedRow, step_of};
use crate::writer::Writer;
use crate::writer::controls::AttemptGuard;
use crate::writer::ledger::client::{Lease, LeasedJob};
use crate::writer::ledger::report::{AttemptEnd, is_transient, refused, report, report_doubt, settled};
use crate::writer::receipts::finding::{ComparedSource, report_finding};
use crate::writer::receipts::orders::{is_adopted, may_be_missing, ref_of};
use crate::writer::receipts::unproven::present;
use crate::writer::retry::{BackoffClass, RetryBudget};
use crate::writer::stops::reject;

/// Renewals per lease period.
const RENEWALS_PER_LEASE: u32 = 3;

/// Reason of an attempt that could not reach its source.
const SOURCE_AWAY: ErrorCode = ErrorCode::RetryableDatabaseUnavailable;

/// State of one job in progress.
struct AttemptRun<'a> {
    writer: &'a Writer,
    job: &'a LeasedJob,
    flight: &'a AttemptGuard,
    /// The source state; absent for a source that this writer does not write.
    at: Option<&'a AtSource>,
    /// Tenant whose slot at the source the attempt takes.
    tenant: String,
    /// Instant until which the lease is known to last.
    leased_until: Mutex<Instant>,
    /// Signals shutdown: no attempt then waits for an unreachable source.
    stop: &'a CancellationToken,
}

/// Runs a job until its report. Runs in a task of its own that is never canceled, so that no COMMIT is ever
/// abandoned midway.
pub(crate) async fn run(
    writer: &Writer,
    job: LeasedJob,
    checkpoint: Result<Checkpoint, PublicError>,
    at: Option<&AtSource>,
    stop: &CancellationToken,
) {
    let leased_until = Mutex::new(Instant::now() + job.lease.ttl);
    let flight = writer.switches.register_attempt(&job.lease.proposal_id).await;
    let work = AttemptRun {
        writer,
        job: &job,
        flight: &flight,
        at,
        tenant: job.tenant.clone(),
        leased_until,
        stop,
    };
    for rejection in job.decisions.iter().filter_map(rejection_of) {
        keep_rejection(writer, &job, &rejection).await;
    }
    tokio::select! {
        () = work.run(checkpoint) => {}
        () = work.keep_lease() => {}
    }
}

impl AttemptRun<'_> {
    /// Renews the lease and applies rejections; never ends by itself.
    async fn keep_lease(&self) {
        let (writer, lease) = (self.writer, &self.job.lease);
        loop {
            tokio::time::sleep(lease.ttl / RENEWALS_PER_LEASE).await;
            let asked_at = Instant::now();
            let answer = writer.ledger.renew_lease(lease).await;
            if answer.is_ok() {
                *self.leased_until.lock().unwrap_or_else(PoisonError::into_inner) = asked_at + lease.ttl;
            }
            match answer {
                Ok(None) => {}
                Ok(Some(rejection)) => keep_rejection(writer, self.job, &rejection).await,
                // Losing the lease is safe: the receipt key decides. A transaction in progress continues.
                Err(refusal) => {
                    tracing::warn!(proposal = %lease.proposal_id, code = %refusal.code, "lease not renewed");
                }
            }
        }
    }

    fn is_leased(&self) -> bool {
        Instant::now() < *self.leased_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, checkpoint: Result<Checkpoint, PublicError>) {
        let (writer, job) = (self.writer, self.job);
        let checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(refusal) => return report(writer, job, 0, refused(&refusal)).await,
        };
        let mut number = 0;
        let mut budget = RetryBudget::begin(Instant::now());
        let mut view = SchemaView::Cached;
        loop {
            if !self.source_answers(&budget).await {
                return self.release_job(&budget, number, SOURCE_AWAY).await;
            }
            let in_doubt = job.has_open_attempt || budget.is_in_doubt();
            let round = self.round(&checkpoint, &mut number, in_doubt, view).await;
            let (code, pace) = match self.with_orders(round).await {
                // A report would record an end for an attempt whose outcome is unknown: only the receipt shows
                // the outcome of a COMMIT without a response, and a later rejection does not.
                AttemptStep::Report(end) if budget.is_in_doubt() && end.receipt.is_none() => {
                    (ErrorCode::RetryableInDoubt, BackoffClass::Contention)
                }
                AttemptStep::Report(end) => {
                    if end.receipt.is_some() {
                        writer.switches.end_rejection(&job.lease.proposal_id).await;
                    }
                    return report(writer, job, number, end).await;
                }
                AttemptStep::Retry(code, pace) => (code, pace),
                AttemptStep::Outdated => {
                    view = SchemaView::Fresh;
                    (ErrorCode::RetryableOutdated, BackoffClass::Contention)
                }
                AttemptStep::Doubt
                | AttemptStep::Unproven(_)
                | AttemptStep::RowChanged(_)
                | AttemptStep::EffectLost(_) => {
                    if budget.enter_in_doubt(Instant::now()) {
                        report_doubt(writer, job, number).await;
                    }
                    (ErrorCode::RetryableInDoubt, BackoffClass::Contention)
                }
            };
            // Another writer may hold the lease by now: without it, this writer ends only an attempt that it left
            // in doubt itself.
            let may_retry = budget.is_in_doubt() || self.is_leased();
            if let (BackoffClass::Outage, Some(at)) = (pace, self.at) {
                at.availability.suspect();
            }
            let may_retry = may_retry && !self.is_stopping_while_away();
            match budget.next(pace, Instant::now()).filter(|_| may_retry) {
                // No slot and no connection is held meanwhile.
                Some(pause) => self.pause(pause).await,
                None => return self.release_job(&budget, number, code).await,
            }
        }
    }

    /// Waits while the source is unreachable; returns false when the retries or the lease end first.
    async fn source_answers(&self, budget: &RetryBudget) -> bool {
        let Some(at) = self.at else { return true };
        let answers = async {
            tokio::select! {
                () = at.availability.answers() => true,
                () = self.stopped_while_away() => false,
            }
        };
        tokio::time::timeout_at(budget.ends_at().into(), answers)
            .await
            .unwrap_or(false)
            && (budget.is_in_doubt() || self.is_leased())
    }

    /// Returns when the process shuts down while the source does not answer: the next start reconciles open
    /// attempts.
    async fn stopped_while_away(&self) {
        self.stop.cancelled().await;
        match self.at {
            Some(at) => at.availability.fails().await,
            None => std::future::pending().await,
        }
    }

    fn is_stopping_while_away(&self) -> bool {
        self.stop.is_cancelled() && self.at.is_some_and(|at| at.availability.is_failing())
    }

    async fn pause(&self, pause: Duration) {
        let Some(at) = self.at else {
            return tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = at.availability.comes_back() => {}
            () = self.stopped_while_away() => {}
        }
    }

    async fn slot(&self, in_doubt: bool) -> Option<Slot> {
        let at = self.at?;
        let need = if in_doubt { Need::Reserved } else { Need::Ordinary };
        Some(at.slots.take(&self.tenant, need).await)
    }

    /// An attempt in doubt stays in doubt: the ledger leases it again, and the reconciler looks for the receipt.
    async fn release_job(&self, budget: &RetryBudget, number: u32, code: ErrorCode) {
        let (writer, job) = (self.writer, self.job);
        if budget.is_in_doubt() {
            tracing::error!(proposal = %job.lease.proposal_id, "commit outcome still unknown");
            return;
        }
        if job.has_open_attempt {
            return report_doubt(writer, job, number).await;
        }
        let end = AttemptEnd {
            result: AttemptResult::of_code(code),
            message: released_message(code).to_owned(),
            receipt: None,
        };
        report(writer, job, number, end).await;
    }

    async fn round(
        &self,
        checkpoint: &Checkpoint,
        number: &mut u32,
        in_doubt: bool,
        view: SchemaView,
    ) -> AttemptStep {
        let (writer, job) = (self.writer, self.job);
        let slot = tokio::select! {
            slot = self.slot(in_doubt) => slot,
            () = self.stopped_while_away() => return AttemptStep::Retry(SOURCE_AWAY, BackoffClass::Outage),
        };
        let authorizing = authorize_job(writer, job, checkpoint, in_doubt, view);
        let authorized = match self.at {
            None => authorizing.await,
            // Nothing was announced yet. A connection wait that began before the outage cannot succeed.
            Some(at) => tokio::select! {
                authorized = authorizing => authorized,
                () = at.availability.comes_back() => Err(AttemptStep::Retry(SOURCE_AWAY, BackoffClass::Contention)),
                () = self.stopped_while_away() => Err(AttemptStep::Retry(SOURCE_AWAY, BackoffClass::Outage)),
            },
        };
        match authorized {
            Err(step) => step,
            Ok(AuthorizeResult::Unauthorized(unauthorized)) if in_doubt => {
                end_proposal(writer, job, *unauthorized, job.lease.attempt).await
            }
            // What the target can never take ends the proposal, in an attempt that the ledger knows.
            Ok(AuthorizeResult::Unauthorized(unauthorized)) if unauthorized.is_by_target() => {
                if let Err(step) = start_attempt(writer, &job.lease, number).await {
                    return step;
                }
                end_proposal(writer, job, *unauthorized, *number).await
            }
            Ok(AuthorizeResult::Unauthorized(unauthorized)) => {
                AttemptStep::Report(refused(unauthorized.refusal()))
            }
            Ok(AuthorizeResult::Authorized(authorization)) => {
                if let Err(step) = start_attempt(writer, &job.lease, number).await {
                    return step;
                }
                let lease = LeaseRef {
                    fence: job.lease.fence,
                    attempt: *number,
                };
                let permit = WritePermit::new(*authorization, lease);
                let result = writer.core.apply(permit, self.flight).await;
                drop(slot);
                step_of(writer, result)
            }
        }
    }

    /// Applies an operator's order about receipts to the result of a step. No slot is held meanwhile.
    async fn with_orders(&self, round: AttemptStep) -> AttemptStep {
        let (writer, source) = (self.writer, self.job.source.as_str());
        match round {
            AttemptStep::Unproven(unproven) => {
                let UnprovenReceipt {
                    receipt,
                    envelope,
                    refusal,
                } = *unproven;
                if is_adopted(writer, source, &receipt, &envelope).await {
                    return AttemptStep::Report(settled(&receipt, envelope, false));
                }
                let _ = present(writer, &self.job.lease.token, &receipt, envelope).await;
                AttemptStep::Report(refused(&refusal))
            }
            AttemptStep::RowChanged(changed) => {
                if changed.is_new {
                    keep_changed(writer, source, &changed).await;
                } else if is_adopted(writer, source, &changed.receipt, &changed.envelope).await {
                    return AttemptStep::Report(settled(&changed.receipt, changed.envelope, false));
                }
                AttemptStep::Report(refused(&changed.refusal))
            }
            AttemptStep::EffectLost(lost) => {
                if may_be_missing(writer, &lost).await {
                    return AttemptStep::Retry(ErrorCode::RetryableReceiptsGivenUp, BackoffClass::Contention);
                }
                writer.receipts.compared(source, &[], &lost.receipts);
                writer.receipts.compare_now();
                AttemptStep::Report(refused(&lost.refusal()))
            }
            other => other,
        }
    }
}

/// Prevents a receipt whose COMMIT left another row from being reported as applied, and reports the finding.
async fn keep_changed(writer: &Writer, source: &str, changed: &ChangedRow) {
    let found = ref_of(&changed.receipt, &changed.envelope);
    writer.receipts.add_changed(source, &found.proposal_id);
    let kept = writer.changed_rows.add(found.clone()).await;
    let compared = ComparedSource {
        source,
        identity: &changed.receipt.database_identity,
    };
    let reported = report_finding(
        writer,
        compared,
        ReceiptDiscrepancy::RowChangedInCommit,
        vec![found],
    )
    .await;
    for refusal in [kept, reported].into_iter().filter_map(Result::err) {
        let proposal = &changed.receipt.proposal_id;
        tracing::error!(%proposal, code = %refusal.code, "changed row not recorded: {}", refusal.public);
    }
}

/// Stores a rejection that came with a job or its lease.
async fn keep_rejection(writer: &Writer, job: &LeasedJob, rejection: &DsseEnvelope) {
    match DsseEnvelope::from_bytes(&job.proposal.body) {
        Ok(proposal) => reject::apply_sent(writer, proposal, rejection).await,
        Err(_) => tracing::warn!(proposal = %job.lease.proposal_id, "rejection of a malformed proposal"),
    }
}

/// Returns why the attempts of a job ended without a result.
const fn released_message(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::RetryableVersionNotAdvanced => "version column did not advance; nothing was written",
        // The operator's command adds the cause.
        ErrorCode::RetryableDatabaseUnavailable => "database not usable; nothing was written",
        _ => "timed out waiting for the database; nothing was written",
    }
}

/// Returns the decision of a log entry that claims to reject.
fn rejection_of(record: &ProvenEntry) -> Option<DsseEnvelope> {
    let envelope = DsseEnvelope::from_bytes(&record.body).ok()?;
    let decision: Decision = envelope.decode_unverified(ObjectKind::Decision).ok()?;
    (decision.decision == DecisionKind::Reject).then_some(envelope)
}

/// Durably announces the attempt to the ledger before the target is touched; no ledger, no write. A repeated
/// announcement under one lease is the same attempt.
async fn start_attempt(writer: &Writer, lease: &Lease, number: &mut u32) -> Result<(), AttemptStep> {
    if *number > 0 {
        return Ok(());
    }
    let away = || AttemptStep::Retry(ErrorCode::RetryableLedgerUnavailable, BackoffClass::Outage);
    hit(CrashPoint::BeforeStart).await.map_err(|_| away())?;
    *number = writer.ledger.start(lease).await.map_err(|refusal| {
        if is_transient(refusal.code) {
            tracing::warn!(proposal = %lease.proposal_id, code = %refusal.code, "{}", refusal.public);
            away()
        } else {
            AttemptStep::Report(refused(&refusal))
        }
    })?;
    hit(CrashPoint::AfterStart).await.map_err(|_| away())
}

/// Ends a proposal whose write is not authorized. An earlier attempt may still be running, so only winning the
/// receipt's key ends it. Errors unrelated to the signatures and the target wait.
async fn end_proposal(
    writer: &Writer,
    job: &LeasedJob,
    unauthorized: Unauthorized,
    attempt: u32,
) -> AttemptStep {
    let ending = match unauthorized.into_ending() {
        Ok(ending) => ending,
        Err(refusal) => return AttemptStep::Report(refused(&refusal)),
    };
    let lease = LeaseRef {
        fence: job.lease.fence,
        attempt,
    };
    step_of(writer, writer.core.end(EndPermit::new(ending, lease)).await)
}
