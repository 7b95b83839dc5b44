//! Signs and submits approvals and rejections.

use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{Decision, DecisionKind, VerificationContext, verify_decision};
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::{DsseEnvelope, KeyId, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::RejectEffect;

use super::fetch_proposal::{ProposalView, SignedReceipt, fetch_proposal_by_reference, open_receipt};
use super::{check_reason, now};
use crate::Context;
use crate::clients::{LedgerClient, WriterClient, refused, verification_failed};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::safe;
use crate::readable;
use crate::sign::{self, Terms};

/// A submitted approval.
#[derive(Debug)]
pub(crate) struct Approved {
    pub(crate) decision_digest: Digest,
    pub(crate) person: String,
    pub(crate) key_id: KeyId,
    pub(crate) role: String,
    pub(crate) expires_at: Timestamp,
    /// State and number of valid approvals afterwards, as the ledger reports them.
    pub(crate) state: ProposalState,
    pub(crate) approvals: u32,
    pub(crate) quorum: u32,
}

/// A submitted rejection.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) decision_digest: Digest,
    pub(crate) person: String,
    pub(crate) key_id: KeyId,
    /// State afterwards; absent when only a writer could still stop the proposal.
    pub(crate) state: Option<ProposalState>,
    /// Effect on the writer; absent when no call was needed.
    pub(crate) writer: Option<RejectEffect>,
    /// Reason why the writer could not be notified.
    pub(crate) writer_problem: Option<String>,
    pub(crate) receipt: Option<SignedReceipt>,
}

/// Signs an approval of exactly the content of `looked`, for `minutes` or the default validity, and submits it.
pub(crate) async fn approve(
    session: &LedgerConnection,
    view: &ProposalView,
    signer: &Signer,
    reason: Option<&str>,
    minutes: Option<u32>,
) -> Result<Approved, ExitError> {
    still_open(view, ErrorCode::ProposalNotPendingReview)?;
    let (decision, envelope) = sealed(session, view, signer, DecisionKind::Approve, (reason, minutes))?;
    let submitted = match LedgerClient::of(session).decide(&envelope).await {
        Ok(submitted) => submitted,
        Err(failure) => return Err(with_earlier_decision(session, view, failure).await),
    };
    Ok(Approved {
        decision_digest: Digest::of(ObjectKind::Decision, &envelope.payload),
        person: signer.person.clone(),
        key_id: signer.key.key_id(),
        role: decision.approver.role,
        expires_at: decision.expires_at,
        state: submitted.state,
        approvals: submitted.approvals,
        quorum: submitted.quorum,
    })
}

/// Signs and submits a rejection, and sends it to the writer when an attempt may have started.
pub(crate) async fn reject(
    session: &mut LedgerConnection,
    context: &Context,
    view: &ProposalView,
    signer: &Signer,
    reason: &str,
) -> Result<Rejected, ExitError> {
    still_open(view, ErrorCode::ProposalNotRejectable)?;
    let (_, envelope) = sealed(session, view, signer, DecisionKind::Reject, (Some(reason), None))?;
    let mut rejected = Rejected {
        decision_digest: Digest::of(ObjectKind::Decision, &envelope.payload),
        person: signer.person.clone(),
        key_id: signer.key.key_id(),
        state: None,
        writer: None,
        writer_problem: None,
        receipt: None,
    };
    match LedgerClient::of(session).decide(&envelope).await {
        Ok(submitted) => rejected.state = Some(submitted.state),
        Err(failure) if failure.code() == ErrorCode::WritebackStarted => {}
        Err(failure) => return Err(with_earlier_decision(session, view, failure).await),
    }
    let may_have_started =
        view.started || matches!(view.state, ProposalState::PendingWorker | ProposalState::InDoubt);
    if rejected.state.is_some() && !may_have_started {
        return Ok(rejected);
    }
    match denied(session, context, view, &envelope).await {
        Ok((effect, receipt)) => (rejected.writer, rejected.receipt) = (Some(effect), receipt),
        // The ledger has the rejection, so it allows no new attempt. A writer that ignores the ledger can still
        // be notified later.
        Err(failure) if rejected.state.is_some() => {
            rejected.writer_problem = Some(failure.message().to_owned())
        }
        Err(failure) => return Err(failure),
    }
    Ok(rejected)
}

async fn denied(
    session: &mut LedgerConnection,
    context: &Context,
    view: &ProposalView,
    decision: &DsseEnvelope,
) -> Result<(RejectEffect, Option<SignedReceipt>), ExitError> {
    let link = session.writer(context).await?;
    let answer = WriterClient::at(&link)
        .reject(view.attested.envelope(), decision)
        .await?;
    let receipt = answer
        .receipt
        .as_ref()
        .map(|e| open_receipt(e, session.trust()))
        .transpose()?;
    if receipt
        .as_ref()
        .is_some_and(|r| r.receipt.proposal_digest != view.attested.digest())
    {
        return Err(verification_failed(
            ErrorCode::ReceiptForeign,
            "receipt belongs to another proposal",
        ));
    }
    Ok((answer.effect, receipt))
}

/// Rejects decisions and apply orders about a proposal that has ended, before anything is signed.
pub(crate) fn still_open(view: &ProposalView, code: ErrorCode) -> Result<(), ExitError> {
    if !view.state.is_terminal() && view.receipt.is_none() {
        return Ok(());
    }
    Err(ended(view, code))
}

/// Error about a proposal that has ended, with the decision that ended it.
fn ended(view: &ProposalView, code: ErrorCode) -> ExitError {
    let mut text = format!("the proposal has ended as `{}`", view.state);
    if let Some(decision) = view.decisions.iter().rev().find(|d| d.is_deny()) {
        let signed = decision.decision();
        text.push_str(&format!(
            "; {} rejected it at {}",
            safe(decision.person()),
            signed.issued_at
        ));
        if let Some(reason) = &signed.reason {
            text.push_str(&format!(": {}", readable::in_one_line(reason)));
        }
    }
    if let Some(receipt) = &view.receipt {
        let (outcome, at) = (&receipt.receipt.outcome, receipt.receipt.created_at);
        text.push_str(&format!("; receipt {outcome} of {at}"));
    }
    ExitError::new(code, text).with_fix("submit a new proposal if the change is still needed")
}

/// Returns the error of a decision that came too late, with the decision that came first. The proposal was open when
/// this command read it.
async fn with_earlier_decision(
    session: &LedgerConnection,
    view: &ProposalView,
    failure: ExitError,
) -> ExitError {
    let id = view.attested.proposal().id.as_str();
    match fetch_proposal_by_reference(session, id).await {
        Ok(newer) if newer.state.is_terminal() || newer.receipt.is_some() => ended(&newer, failure.code()),
        Ok(_) | Err(_) => failure,
    }
}

fn sealed(
    session: &LedgerConnection,
    view: &ProposalView,
    signer: &Signer,
    verdict: DecisionKind,
    (reason, minutes): (Option<&str>, Option<u32>),
) -> Result<(Decision, DsseEnvelope), ExitError> {
    check_reason(reason)?;
    let trust = session.trust();
    let terms = Terms {
        trust,
        seen: &view.checkpoint,
        key_id: signer.key.key_id(),
        person: &signer.person,
        now: now(),
        nonce: random::bytes(),
        minutes,
        known_switch: view.known_switch,
    };
    let decision = sign::decision(&view.attested, verdict, reason, &terms)?;
    let envelope = DsseEnvelope::sign(ObjectKind::Decision, &decision, &signer.key)
        .map_err(|e| ExitError::new(ErrorCode::DecisionUnsignable, e.to_string()))?;
    // Uses the same verification as ledger and writer, so that an error occurs before anything is submitted.
    let verification = VerificationContext {
        trust,
        now: terms.now,
        proposal: view.attested.proposal(),
        proposal_digest: view.attested.digest(),
    };
    verify_decision(&envelope, &verification).map_err(|refusal| refused(refusal.into()))?;
    Ok((decision, envelope))
}
