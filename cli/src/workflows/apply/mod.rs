//! Submits an apply order and follows the proposal to its outcome. The CLI never connects to the source; a
//! writer pulls the order, and only its signed outcome is trusted.

use std::time::Duration;

use synapsor_chassis::random;
use synapsor_chassis::refusal_cause::RefusalCause;
use synapsor_chassis::run::ExitError;
use synapsor_codes::{ErrorCode, Exit};
use synapsor_domain::approval::{VerificationContext, VerifiedDecision, verify_order};
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::replay::{Entry, EventBody};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_domain::writeback::{AttemptReport, AttemptResult, ReceiptOutcome};

use super::fetch_proposal::{
    ProposalView, SignedReceipt, Withdrawal, open_attempt_at, open_receipt, open_receipt_at, open_withdrawal,
};
use super::{now, still_open};
use crate::Context;
use crate::arguments::Global;
use crate::clients::{
    CurrentLease, DryRunOutcome, EventQuery, EventStream, LedgerClient, WriterClient, fix_of, refused,
    verification_failed,
};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::sign::{self, Terms};

/// Status of an apply when the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Applied,
    /// A receipt existed before this order.
    AlreadyApplied,
    Conflict,
    /// A check of the writer failed; nothing was written.
    Refused,
    /// The database was busy or unreachable; nothing was written.
    Retryable,
    /// An attempt has started and its outcome is unknown.
    InDoubt,
    /// No writer leased the job in time.
    NoWriter,
    Failed,
    /// Ended without an effect: rejected, canceled, expired or abandoned.
    Canceled,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::AlreadyApplied => "already_applied",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Retryable => "retryable",
            Self::InDoubt => "in_doubt",
            Self::NoWriter => "no_writer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub(crate) const fn exit(self) -> Exit {
        match self {
            Self::Applied | Self::AlreadyApplied => Exit::Ok,
            Self::Retryable | Self::Failed => Exit::Failure,
            Self::Conflict => Exit::Conflict,
            Self::Refused | Self::Canceled => Exit::Refused,
            Self::InDoubt => Exit::InDoubt,
            Self::NoWriter => Exit::Unreachable,
        }
    }
}

/// Result of `apply`.
#[derive(Debug)]
pub(crate) struct ApplyOutcome {
    pub(crate) status: Status,
    /// Result word of the writer; `no_writer` without one.
    pub(crate) result: String,
    /// Code of the result, if it has one.
    pub(crate) code: Option<ErrorCode>,
    /// One-line message for the operator.
    pub(crate) message: String,
    /// Fix, if known.
    pub(crate) fix: Option<String>,
    /// Cause that a writer of this command recorded, if nothing was applied. No part of any record.
    pub(crate) cause: Option<RefusalCause>,
    /// Digest of the submitted order; absent when the proposal had already ended.
    pub(crate) order_digest: Option<Digest>,
    /// Time until which the order is valid.
    pub(crate) order_valid_until: Option<Timestamp>,
    pub(crate) receipt: Option<SignedReceipt>,
}

/// Signs an order for exactly the approvals that are valid now, submits it, and waits for a writer's signed
/// outcome.
pub(crate) async fn apply(
    session: &mut LedgerConnection,
    context: &Context,
    view: &ProposalView,
    signer: &Signer,
    wait: Duration,
) -> Result<ApplyOutcome, ExitError> {
    if let Some(ended) = ended_before(view, &context.global)? {
        return Ok(ended);
    }
    let (envelope, valid_until) = ordered(session, view, signer)?;
    let order_digest = Digest::of(ObjectKind::ApplyOrder, &envelope.payload);
    // The order is submitted even without a writer, because one may start before its deadline.
    let writer = session.ensure_writer(context).await;
    let submitted = LedgerClient::of(session).request_apply(&envelope).await?;
    let follow = OutcomeWatcher {
        trust: session.trust(),
        view,
        order_digest,
        started: false,
        doubt: None,
    };
    let wait = if writer.is_err() && !submitted.writer_present {
        Duration::ZERO
    } else {
        wait
    };
    let mut outcome = follow.until(session, context, submitted.seq, wait).await?;
    outcome.order_digest = Some(order_digest);
    outcome.order_valid_until = Some(valid_until);
    if outcome.status == Status::NoWriter {
        outcome.message = no_writer_text(context.stop.is_cancelled(), submitted.lease.as_ref());
        if let Err(failure) = writer {
            outcome.message = format!("{} ({})", outcome.message, failure.message());
            outcome.fix = failure.fix().map(str::to_owned);
        }
    }
    if matches!(
        outcome.status,
        Status::Refused | Status::Retryable | Status::NoWriter | Status::InDoubt | Status::Failed
    ) {
        outcome.cause = session
            .writer_cause()
            .filter(|cause| is_cause_of(cause, &outcome));
    }
    Ok(outcome)
}

/// Whether a recorded cause can be that of the outcome: a writer of this command can have failed at another proposal
/// before. The code of a receipt is that of its own attempt.
fn is_cause_of(cause: &RefusalCause, outcome: &ApplyOutcome) -> bool {
    outcome.status != Status::Failed || outcome.code == Some(cause.code)
}

/// Message for an order that no writer has started. A lease of an earlier attempt keeps other writers from it.
fn no_writer_text(is_interrupted: bool, lease: Option<&CurrentLease>) -> String {
    match lease {
        _ if is_interrupted => {
            "interrupted; the order stays recorded, and a writer can still apply it".to_owned()
        }
        Some(CurrentLease { writer, expires_at }) => format!(
            "the lease of {writer}, which may have ended, keeps other writers from the order until {expires_at}; the \
             order stays recorded"
        ),
        None => "no writer has leased the order; it stays recorded".to_owned(),
    }
}

/// Makes the writer run the change in a transaction that it rolls back.
pub(crate) async fn preview(
    session: &mut LedgerConnection,
    context: &Context,
    view: &ProposalView,
) -> Result<DryRunOutcome, ExitError> {
    let link = session.writer(context).await?;
    let previewed = WriterClient::at(&link).preview(view.attested.envelope()).await;
    previewed.map_err(|error| match session.writer_cause() {
        Some(RefusalCause {
            text: Some(text),
            fix,
            ..
        }) => {
            let caused = ExitError::new(error.code(), format!("{}: {text}", error.message()));
            match fix {
                Some(fix) => caused.with_fix(fix),
                None => caused,
            }
        }
        _ => error,
    })
}

fn ended_before(view: &ProposalView, global: &Global) -> Result<Option<ApplyOutcome>, ExitError> {
    if let Some(receipt) = &view.receipt {
        return Ok(Some(by_receipt(receipt.clone(), true)));
    }
    still_open(view, ErrorCode::ProposalNotApproved)?;
    if !view.is_approved() {
        let (have, need) = (
            view.approvers().len(),
            view.attested.proposal().approval.quorum.max(1),
        );
        let id = &view.attested.proposal().id;
        let text = format!("{have} of {need} required approvals are valid");
        return Err(ExitError::new(ErrorCode::ProposalNotApproved, text)
            .with_fix(global.command(&format!("proposals approve {id}"))));
    }
    Ok(None)
}

fn ordered(
    session: &LedgerConnection,
    view: &ProposalView,
    signer: &Signer,
) -> Result<(DsseEnvelope, Timestamp), ExitError> {
    let trust = session.trust();
    let attested = &view.attested;
    let terms = Terms {
        trust,
        seen: &view.checkpoint,
        key_id: signer.key.key_id(),
        person: &signer.person,
        now: now(),
        nonce: random::bytes(),
        minutes: None,
        known_switch: view.known_switch,
    };
    let order = sign::order(attested, &view.decisions, &terms)?;
    let envelope = DsseEnvelope::sign(ObjectKind::ApplyOrder, &order, &signer.key)
        .map_err(|e| ExitError::new(ErrorCode::OrderUnsignable, e.to_string()))?;
    let verification = VerificationContext {
        trust,
        now: terms.now,
        proposal: attested.proposal(),
        proposal_digest: attested.digest(),
    };
    verify_order(&envelope, &verification).map_err(|refusal| refused(refusal.into()))?;
    let approvals = view
        .decisions
        .iter()
        .map(|d: &VerifiedDecision| d.decision().expires_at);
    let valid_until = approvals
        .chain([order.expires_at])
        .min()
        .unwrap_or(order.expires_at);
    Ok((envelope, valid_until))
}

/// Watches one proposal's events for the outcome of one order.
struct OutcomeWatcher<'a> {
    trust: &'a TrustFile,
    view: &'a ProposalView,
    order_digest: Digest,
    /// Whether a writer has reported an attempt on this order.
    started: bool,
    /// The last report that the result of COMMIT was lost.
    doubt: Option<AttemptReport>,
}

impl OutcomeWatcher<'_> {
    async fn until(
        mut self,
        session: &LedgerConnection,
        context: &Context,
        from_seq: u64,
        wait: Duration,
    ) -> Result<ApplyOutcome, ExitError> {
        let filter = EventQuery {
            from_seq,
            proposal_id: self.view.attested.proposal().id.to_string(),
            follow: true,
            ..EventQuery::default()
        };
        let mut tail = LedgerClient::of(session).tail(&filter).await?;
        tokio::select! {
            outcome = self.watch(&mut tail) => outcome,
            () = tokio::time::sleep(wait) => Ok(self.unfinished()),
            () = context.stop.cancelled() => Ok(self.unfinished()),
        }
    }

    async fn watch(&mut self, tail: &mut EventStream) -> Result<ApplyOutcome, ExitError> {
        while let Some(shown) = tail.next().await? {
            let entry =
                Entry::read(&shown.event, &shown.body).map_err(|e| verification_failed(e.code(), e))?;
            if let Some(outcome) = self.withdrawn_outcome(&entry)? {
                return Ok(outcome);
            }
            if let Some(outcome) = self.outcome_of(&entry.body)? {
                return Ok(outcome);
            }
        }
        // The stream ended while it was followed; the result uses the events received so far.
        Ok(self.unfinished())
    }

    fn withdrawn_outcome(&self, entry: &Entry) -> Result<Option<ApplyOutcome>, ExitError> {
        let EventBody::Withdrawn(ticket) = &entry.body else {
            return Ok(None);
        };
        let withdrawal = open_withdrawal(&entry.event, ticket, &self.view.attested, self.trust)?;
        Ok(Some(withdrawn(&withdrawal)))
    }

    fn outcome_of(&mut self, body: &EventBody) -> Result<Option<ApplyOutcome>, ExitError> {
        match body {
            EventBody::Started(start) if start.order_digest == Some(self.order_digest) => self.started = true,
            EventBody::Attempt(envelope) => {
                let report = self.own(open_attempt_at(envelope, self.trust, &Position::Unproven)?)?;
                if report.order_digest == Some(self.order_digest) {
                    if report.result != AttemptResult::InDoubt {
                        return Ok(Some(by_report(&report, None)));
                    }
                    // The writer continues to resolve it; the outcome may still arrive during the wait.
                    self.doubt = Some(report);
                }
            }
            EventBody::Settled(settled) => {
                let report = self.own(open_attempt_at(
                    &settled.attempt,
                    self.trust,
                    &Position::Unproven,
                )?)?;
                // A writer report with an active key names the receipt. A receipt of a retired key was adopted,
                // if it verified.
                let digest = Digest::of(ObjectKind::Receipt, &settled.receipt.payload);
                let receipt = if report.receipt_digest == Some(digest) {
                    open_receipt(&settled.receipt, self.trust)?
                } else {
                    open_receipt_at(&settled.receipt, self.trust, &Position::Unproven)?
                };
                let same = receipt.receipt.proposal_digest == self.view.attested.digest();
                if !same || report.receipt_digest.is_some_and(|named| named != receipt.digest) {
                    return Err(verification_failed(
                        ErrorCode::ReceiptForeign,
                        "receipt digest differs from the writer's report",
                    ));
                }
                // The receipt names the order under which it was committed: an attempt that lost
                // the response to its COMMIT finds its own receipt, and the reconciler can report before the attempt.
                let is_earlier = receipt.receipt.order_digest != Some(self.order_digest);
                let ours = report.order_digest == Some(self.order_digest);
                return Ok(Some(if ours && report.result != AttemptResult::AlreadyApplied {
                    by_report(&report, Some(receipt))
                } else {
                    by_receipt(receipt, is_earlier)
                }));
            }
            _ => {}
        }
        Ok(None)
    }

    fn own(&self, report: AttemptReport) -> Result<AttemptReport, ExitError> {
        if report.proposal_digest == self.view.attested.digest() {
            Ok(report)
        } else {
            Err(verification_failed(
                ErrorCode::AttemptForeign,
                "writer report belongs to another proposal",
            ))
        }
    }

    fn unfinished(&self) -> ApplyOutcome {
        let (status, message) = match &self.doubt {
            Some(report) => (Status::InDoubt, report.message.clone()),
            None if self.started || self.view.state == ProposalState::InDoubt => (
                Status::InDoubt,
                "an attempt has started and its outcome is not reported yet".to_owned(),
            ),
            None => (Status::NoWriter, String::new()),
        };
        ApplyOutcome {
            status,
            result: status.as_str().to_owned(),
            code: None,
            message,
            fix: None,
            cause: None,
            order_digest: None,
            order_valid_until: None,
            receipt: None,
        }
    }
}

/// Result for a proposal that no writer can apply any longer.
fn withdrawn(withdrawal: &Withdrawal) -> ApplyOutcome {
    ApplyOutcome {
        status: Status::Canceled,
        result: AttemptResult::Cancelled.to_string(),
        code: None,
        message: format!("its caller withdrew the proposal at {}", withdrawal.at),
        fix: None,
        cause: None,
        order_digest: None,
        order_valid_until: None,
        receipt: None,
    }
}

fn by_report(report: &AttemptReport, receipt: Option<SignedReceipt>) -> ApplyOutcome {
    let status = match &report.result {
        AttemptResult::Applied => Status::Applied,
        AttemptResult::AlreadyApplied => Status::AlreadyApplied,
        AttemptResult::Conflict(_) => Status::Conflict,
        AttemptResult::Failed(_) => Status::Failed,
        AttemptResult::Rejected
        | AttemptResult::Cancelled
        | AttemptResult::Expired
        | AttemptResult::Abandoned => Status::Canceled,
        AttemptResult::Refused(_) => Status::Refused,
        AttemptResult::Retryable(_) => Status::Retryable,
        AttemptResult::InDoubt => Status::InDoubt,
    };
    ApplyOutcome {
        status,
        result: report.result.to_string(),
        code: report.result.code(),
        message: report.message.clone(),
        fix: report.result.code().and_then(fix_of).map(str::to_owned),
        cause: None,
        order_digest: None,
        order_valid_until: None,
        receipt,
    }
}

/// Result from a receipt; `is_earlier` if it was committed under another order.
fn by_receipt(signed: SignedReceipt, is_earlier: bool) -> ApplyOutcome {
    let receipt = &signed.receipt;
    let status = match receipt.outcome {
        ReceiptOutcome::Applied if is_earlier => Status::AlreadyApplied,
        ReceiptOutcome::Applied => Status::Applied,
        ReceiptOutcome::Conflict => Status::Conflict,
        ReceiptOutcome::Failed => Status::Failed,
        ReceiptOutcome::Rejected
        | ReceiptOutcome::Cancelled
        | ReceiptOutcome::Expired
        | ReceiptOutcome::Abandoned => Status::Canceled,
    };
    let result = match status {
        Status::AlreadyApplied => status.as_str().to_owned(),
        _ => AttemptResult::of_receipt(receipt).to_string(),
    };
    let mut message = if is_earlier {
        format!("the proposal had already ended at {}", receipt.created_at)
    } else {
        format!("the proposal ended at {}", receipt.created_at)
    };
    if let Some(violated) = &receipt.constraint {
        message.push_str(&format!(": the {violated} rejected the change"));
    }
    ApplyOutcome {
        status,
        result,
        code: AttemptResult::of_receipt(receipt).code(),
        message,
        fix: None,
        cause: None,
        order_digest: None,
        order_valid_until: None,
        receipt: Some(signed),
    }
}

#[cfg(test)]
mod tests;
