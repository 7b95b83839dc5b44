//! Signing and filing a yes or a no.

use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_domain::approval::{Decision, DecisionKind, VerificationContext, verify_decision};
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::{DsseEnvelope, KeyId, ObjectKind};
use synapsor_domain::timestamp::Timestamp;

use super::look::{Looked, SignedReceipt, open_receipt};
use super::{check_reason, now};
use crate::Context;
use crate::clients::{DenyEffect, EXIT_REFUSED, Ledger, Writer, not_believed, refused};
use crate::operator_key::Signer;
use crate::session::Session;
use crate::sign::{self, Terms};

/// A filed approval.
#[derive(Debug)]
pub(crate) struct Approved {
    pub(crate) decision_digest: Digest,
    pub(crate) person: String,
    pub(crate) key_id: KeyId,
    pub(crate) role: String,
    pub(crate) expires_at: Timestamp,
    /// The state after it, and the approvals that count, as the ledger has them.
    pub(crate) state: ProposalState,
    pub(crate) approvals: u32,
    pub(crate) quorum: u32,
}

/// A filed rejection.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) decision_digest: Digest,
    pub(crate) person: String,
    pub(crate) key_id: KeyId,
    /// The state after it; absent when only a writer could still stop it.
    pub(crate) state: Option<ProposalState>,
    /// What the writer did; absent when it was not needed.
    pub(crate) writer: Option<DenyEffect>,
    /// Why the writer could not be told.
    pub(crate) writer_problem: Option<String>,
    pub(crate) receipt: Option<SignedReceipt>,
}

/// Signs an approval of exactly what `looked` holds, for `minutes` or as long as usual, and files it.
pub(crate) async fn approve(
    session: &Session,
    looked: &Looked,
    signer: &Signer,
    reason: Option<&str>,
    minutes: Option<u32>,
) -> Result<Approved, ExitError> {
    still_open(looked, "PROPOSAL_NOT_PENDING_REVIEW")?;
    let (decision, envelope) = sealed(session, looked, signer, DecisionKind::Approve, (reason, minutes))?;
    let filed = Ledger::of(session).decide(&envelope).await?;
    Ok(Approved {
        decision_digest: Digest::of(ObjectKind::Decision, &envelope.payload),
        person: signer.person.clone(),
        key_id: signer.key.key_id(),
        role: decision.approver.role,
        expires_at: decision.expires_at,
        state: filed.state,
        approvals: filed.approvals,
        quorum: filed.quorum,
    })
}

/// Signs a rejection, files it, and takes it to the writer when one may have started.
pub(crate) async fn reject(
    session: &mut Session,
    context: &Context,
    looked: &Looked,
    signer: &Signer,
    reason: &str,
) -> Result<Rejected, ExitError> {
    still_open(looked, "PROPOSAL_NOT_REJECTABLE")?;
    let (_, envelope) = sealed(
        session,
        looked,
        signer,
        DecisionKind::Reject,
        (Some(reason), None),
    )?;
    let mut rejected = Rejected {
        decision_digest: Digest::of(ObjectKind::Decision, &envelope.payload),
        person: signer.person.clone(),
        key_id: signer.key.key_id(),
        state: None,
        writer: None,
        writer_problem: None,
        receipt: None,
    };
    match Ledger::of(session).decide(&envelope).await {
        Ok(filed) => rejected.state = Some(filed.state),
        Err(failure) if failure.code() == "WRITEBACK_STARTED" => {}
        Err(failure) => return Err(failure),
    }
    let may_have_started = looked.started
        || matches!(
            looked.state,
            ProposalState::PendingWorker | ProposalState::InDoubt
        );
    if rejected.state.is_some() && !may_have_started {
        return Ok(rejected);
    }
    match denied(session, context, looked, &envelope).await {
        Ok((effect, receipt)) => (rejected.writer, rejected.receipt) = (Some(effect), receipt),
        // The ledger has it, so no writer may start any more; one that believes no ledger can still be told later.
        Err(failure) if rejected.state.is_some() => {
            rejected.writer_problem = Some(failure.message().to_owned())
        }
        Err(failure) => return Err(failure),
    }
    Ok(rejected)
}

async fn denied(
    session: &mut Session,
    context: &Context,
    looked: &Looked,
    decision: &DsseEnvelope,
) -> Result<(DenyEffect, Option<SignedReceipt>), ExitError> {
    let link = session.writer(context).await?;
    let answer = Writer::at(&link)
        .deny(looked.attested.envelope(), decision)
        .await?;
    let receipt = answer
        .receipt
        .as_ref()
        .map(|e| open_receipt(e, session.trust()))
        .transpose()?;
    if receipt
        .as_ref()
        .is_some_and(|r| r.receipt.proposal_digest != looked.attested.digest())
    {
        return Err(not_believed(
            "RECEIPT_FOREIGN",
            "the receipt belongs to another proposal",
        ));
    }
    Ok((answer.effect, receipt))
}

/// Nothing can be decided about a proposal that has ended; said before anybody is asked for a signature.
pub(crate) fn still_open(looked: &Looked, code: &'static str) -> Result<(), ExitError> {
    if !looked.state.is_terminal() && looked.receipt.is_none() {
        return Ok(());
    }
    Err(
        ExitError::new(code, format!("the proposal has ended as `{}`", looked.state))
            .with_fix("make a new proposal if the change is still wanted")
            .with_exit(EXIT_REFUSED),
    )
}

fn sealed(
    session: &Session,
    looked: &Looked,
    signer: &Signer,
    verdict: DecisionKind,
    (reason, minutes): (Option<&str>, Option<u32>),
) -> Result<(Decision, DsseEnvelope), ExitError> {
    check_reason(reason)?;
    let trust = session.trust();
    let terms = Terms {
        trust,
        seen: &looked.checkpoint,
        key_id: signer.key.key_id(),
        person: &signer.person,
        now: now(),
        nonce: random::bytes(),
        minutes,
        known_switch: looked.known_switch,
    };
    let decision = sign::decision(&looked.attested, verdict, reason, &terms)?;
    let envelope = DsseEnvelope::sign(ObjectKind::Decision, &decision, &signer.key)
        .map_err(|e| ExitError::new("DECISION_UNSIGNABLE", e.to_string()).with_exit(EXIT_REFUSED))?;
    // The same judge as ledger and writer, so that a refusal comes before anything is filed.
    let judge = VerificationContext {
        trust,
        now: terms.now,
        proposal: looked.attested.proposal(),
        proposal_digest: looked.attested.digest(),
    };
    verify_decision(&envelope, &judge).map_err(|refusal| refused(refusal.into()))?;
    Ok((decision, envelope))
}
