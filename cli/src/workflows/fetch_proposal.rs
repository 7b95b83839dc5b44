//! Fetches and verifies one proposal: reader signature, inclusion in a log that extends the pinned checkpoint,
//! decisions, receipt.

use serde::Serialize;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    Decision, VerificationContext, VerifiedDecision, verify_decision_at, verify_receipt_order_at,
};
use synapsor_domain::context_ticket::verify_withdrawal;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::log::{Checkpoint, ProvenEntry, TreeHead};
use synapsor_domain::proposal::{ProposalState, VerifiedProposal};
use synapsor_domain::replay::{Entry, EventBody};
use synapsor_domain::shadow::{VerifiedHumanAction, verify_human_action_at};
use synapsor_domain::signing::{DsseEnvelope, KeyId, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_domain::writeback::{AttemptReport, Receipt};

use super::ledger::continued;
use super::now;
use super::switches::newest_switch;
use crate::clients::{LedgerClient, ProposalRecord, ProposalWithProofs, verification_failed};
use crate::connection::LedgerConnection;
use crate::pinned_checkpoint::CheckpointPin;

/// A proposal with verified signatures and proofs. State and times are unverified claims of the ledger.
#[derive(Debug)]
pub(crate) struct ProposalView {
    pub(crate) attested: VerifiedProposal,
    pub(crate) state: ProposalState,
    pub(crate) started: bool,
    pub(crate) updated_at: Timestamp,
    /// Decisions that are valid now.
    pub(crate) decisions: Vec<VerifiedDecision>,
    /// Recorded decisions that are not valid now.
    pub(crate) lapsed: Vec<IneffectiveDecision>,
    /// Number of apply orders in the log.
    pub(crate) orders: usize,
    /// Newest attempt report of a writer.
    pub(crate) attempt: Option<AttemptReport>,
    pub(crate) receipt: Option<SignedReceipt>,
    /// Present if its caller withdrew it.
    pub(crate) withdrawal: Option<Withdrawal>,
    /// Newest human action in place of a shadow proposal.
    pub(crate) human_action: Option<RecordedHumanAction>,
    /// Checkpoint of the log that includes all these records.
    pub(crate) checkpoint: Checkpoint,
    /// Newest freeze or lift of the deployment, for signatures based on this state.
    pub(crate) known_switch: Option<Digest>,
}

/// A decision in the log that is not valid now, and the reason.
#[derive(Debug)]
pub(crate) struct IneffectiveDecision {
    pub(crate) decision: Decision,
    pub(crate) refusal: PublicError,
}

/// A caller's withdrawal of a proposal, signed by a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Withdrawal {
    pub(crate) at: Timestamp,
    /// Certificate identity of the gateway that sent it.
    pub(crate) gateway: String,
}

/// A human action that the log holds.
#[derive(Debug, Clone)]
pub(crate) struct RecordedHumanAction {
    /// Position in the log.
    pub(crate) seq: u64,
    /// Time at which the ledger recorded it.
    pub(crate) at: Timestamp,
    pub(crate) verified: VerifiedHumanAction,
}

/// A receipt with a verified signature.
#[derive(Debug, Clone)]
pub(crate) struct SignedReceipt {
    pub(crate) digest: Digest,
    pub(crate) writer_key: KeyId,
    pub(crate) receipt: Receipt,
}

impl ProposalView {
    /// Distinct operators whose approval is valid now.
    pub(crate) fn approvers(&self) -> std::collections::BTreeSet<&str> {
        self.decisions
            .iter()
            .filter(|d| !d.is_deny())
            .map(VerifiedDecision::person)
            .collect()
    }

    /// Whether the valid approvals form a quorum, without any rejection.
    pub(crate) fn is_approved(&self) -> bool {
        let quorum = usize::try_from(self.attested.proposal().approval.quorum.max(1)).unwrap_or(usize::MAX);
        self.approvers().len() >= quorum && !self.decisions.iter().any(VerifiedDecision::is_deny)
    }
}

/// Fetches and verifies a proposal by id, prefix, short code or `latest`.
pub(crate) async fn fetch_proposal_by_reference(
    session: &LedgerConnection,
    reference: &str,
) -> Result<ProposalView, ExitError> {
    check_reference(reference)?;
    let mut pin = CheckpointPin::lock_and_load(&session.pin_path(), session.trust()).await?;
    let shown = LedgerClient::of(session).proposal(reference, pin.known()).await?;
    let checkpoint = pin.accept(&shown.checkpoint, shown.consistency.as_ref())?;
    let continued = continued(session, &mut pin).await?;
    drop(pin);
    let continues = |head: &TreeHead| continued.contains(head);
    let log = Log {
        continues: &continues,
        checkpoint,
    };
    let mut view = verify_record(shown, reference, session.trust(), log)?;
    view.known_switch = newest_switch(session).await;
    Ok(view)
}

/// Resolves the `--proposal` option of a list to an id, which is all that the ledger's filters take; empty without the
/// option.
pub(crate) async fn proposal_filter(
    session: &LedgerConnection,
    reference: Option<&str>,
) -> Result<String, ExitError> {
    let Some(reference) = reference else {
        return Ok(String::new());
    };
    let view = fetch_proposal_by_reference(session, reference).await?;
    Ok(view.attested.proposal().id.to_string())
}

/// The log as verified by this command.
struct Log<'a> {
    checkpoint: Checkpoint,
    /// Whether it extends a tree head at which a key was retired.
    continues: &'a (dyn Fn(&TreeHead) -> bool + Sync),
}

impl Log<'_> {
    /// Position of the log entry that `holds` accepts.
    fn position(&self, entries: &[Entry], holds: impl Fn(&EventBody) -> bool) -> Position<'_> {
        entries
            .iter()
            .find(|entry| holds(&entry.body))
            .map_or(Position::Unproven, |entry| self.at(entry.event.seq))
    }

    fn at(&self, index: u64) -> Position<'_> {
        Position::Logged {
            index,
            continues: self.continues,
        }
    }
}

fn verify_record(
    shown: ProposalWithProofs,
    reference: &str,
    trust: &TrustFile,
    log: Log<'_>,
) -> Result<ProposalView, ExitError> {
    let ProposalWithProofs { record, records, .. } = shown;
    let entries = logged(&records, &log.checkpoint)?;
    let submitted = log.position(
        &entries,
        |body| matches!(body, EventBody::Proposal(p) if *p == record.proposal),
    );
    let attested = VerifiedProposal::verify_at(record.proposal.clone(), trust, &submitted)
        .map_err(|e| verification_failed(ErrorCode::ProposalNotAttested, e))?;
    check_named(&attested, reference)?;
    check_logged(&attested, &record, &entries)?;
    let (decisions, lapsed) = verified(&entries, &attested, trust, &log)?;
    let receipt = record
        .receipt
        .as_ref()
        .map(|receipt| {
            let holds = |body: &EventBody| matches!(body, EventBody::Settled(s) if s.receipt == *receipt);
            if is_adopted(receipt, &attested, &entries, trust, &log) {
                return open_receipt(receipt, trust);
            }
            open_receipt_at(receipt, trust, &log.position(&entries, holds))
        })
        .transpose()?;
    let withdrawal = withdrawn(&entries, &attested, trust, &log)?;
    let human_action = human_action(&record, &entries, &attested, trust, &log)?;
    check_end(&attested, record.state, receipt.as_ref(), withdrawal.as_ref())?;
    let attempt = record
        .attempt
        .as_ref()
        .map(|attempt| {
            let holds = |body: &EventBody| match body {
                EventBody::Attempt(reported) => reported == attempt,
                EventBody::Settled(settled) => settled.attempt == *attempt,
                _ => false,
            };
            open_attempt_at(attempt, trust, &log.position(&entries, holds))
        })
        .transpose()?;
    let orders = entries
        .iter()
        .filter(|e| e.event.kind == EventKind::ApplyRequested)
        .count();
    Ok(ProposalView {
        attested,
        state: record.state,
        started: record.started,
        updated_at: record.updated_at,
        decisions,
        lapsed,
        orders,
        attempt,
        receipt,
        withdrawal,
        human_action,
        checkpoint: log.checkpoint,
        known_switch: None,
    })
}

/// Whether an order in the log adopts the receipt, which is then valid although its key is retired.
fn is_adopted(
    receipt: &DsseEnvelope,
    attested: &VerifiedProposal,
    entries: &[Entry],
    trust: &TrustFile,
    log: &Log<'_>,
) -> bool {
    let proposal = attested.proposal();
    let digest = Digest::of(ObjectKind::Receipt, &receipt.payload);
    entries.iter().any(|entry| match &entry.body {
        EventBody::ReceiptOrder(order) => verify_receipt_order_at(order, trust, &log.at(entry.event.seq))
            .is_ok_and(|order| order.adopts(&proposal.source.id, &proposal.id, digest)),
        _ => false,
    })
}

fn logged(records: &[ProvenEntry], checkpoint: &Checkpoint) -> Result<Vec<Entry>, ExitError> {
    let read = |logged: &ProvenEntry| {
        let event = logged
            .verify(checkpoint)
            .map_err(|e| verification_failed(e.code(), e))?;
        Entry::of(event, &logged.body).map_err(|e| verification_failed(e.code(), e))
    };
    records.iter().map(read).collect()
}

/// Splits decisions into valid ones and others.
fn verified(
    entries: &[Entry],
    attested: &VerifiedProposal,
    trust: &TrustFile,
    log: &Log<'_>,
) -> Result<(Vec<VerifiedDecision>, Vec<IneffectiveDecision>), ExitError> {
    let verification = VerificationContext {
        trust,
        now: now(),
        proposal: attested.proposal(),
        proposal_digest: attested.digest(),
    };
    let (mut decisions, mut lapsed) = (Vec::new(), Vec::new());
    for entry in entries {
        let Some(envelope) = decision_of(entry) else {
            continue;
        };
        match verify_decision_at(envelope, &verification, &log.at(entry.event.seq)) {
            Ok(verified) => decisions.push(verified),
            Err(refusal) => {
                let decision = envelope
                    .decode_unverified(ObjectKind::Decision)
                    .map_err(|e| verification_failed(ErrorCode::DecisionMalformed, e))?;
                lapsed.push(IneffectiveDecision {
                    decision,
                    refusal: refusal.into(),
                });
            }
        }
    }
    Ok((decisions, lapsed))
}

/// Returns the newest human action of the records, which must be the one that the ledger names.
fn human_action(
    record: &ProposalRecord,
    entries: &[Entry],
    attested: &VerifiedProposal,
    trust: &TrustFile,
    log: &Log<'_>,
) -> Result<Option<RecordedHumanAction>, ExitError> {
    let wrong = |problem: String| verification_failed(ErrorCode::HumanActionNotGenuine, problem);
    let newest = entries.iter().rev().find_map(|entry| match &entry.body {
        EventBody::HumanAction(envelope) => Some((&entry.event, envelope)),
        _ => None,
    });
    if newest.map(|(_, envelope)| envelope) != record.human_action.as_ref().map(|(_, envelope)| envelope) {
        return Err(wrong("human action is not the one in the log".to_owned()));
    }
    let Some((event, envelope)) = newest else {
        return Ok(None);
    };
    let subject = (attested.proposal(), attested.digest());
    let verified = verify_human_action_at(envelope, trust, &log.at(event.seq), subject)
        .map_err(|refusal| wrong(refusal.detail.unwrap_or(refusal.public)))?;
    Ok(Some(RecordedHumanAction {
        seq: event.seq,
        at: event.at,
        verified,
    }))
}

fn withdrawn(
    entries: &[Entry],
    attested: &VerifiedProposal,
    trust: &TrustFile,
    log: &Log<'_>,
) -> Result<Option<Withdrawal>, ExitError> {
    let found = entries.iter().find_map(|entry| match &entry.body {
        EventBody::Withdrawn(ticket) => Some((&entry.event, ticket)),
        _ => None,
    });
    found
        .map(|(event, ticket)| open_withdrawal_at(event, ticket, (attested, trust), &log.at(event.seq)))
        .transpose()
}

/// Verifies that a reader of the trust file signed the ticket of a withdrawal whose log position is not proven.
pub(super) fn open_withdrawal(
    event: &EventRecord,
    ticket: &DsseEnvelope,
    attested: &VerifiedProposal,
    trust: &TrustFile,
) -> Result<Withdrawal, ExitError> {
    open_withdrawal_at(event, ticket, (attested, trust), &Position::Unproven)
}

fn open_withdrawal_at(
    event: &EventRecord,
    ticket: &DsseEnvelope,
    (attested, trust): (&VerifiedProposal, &TrustFile),
    position: &Position<'_>,
) -> Result<Withdrawal, ExitError> {
    verify_withdrawal(ticket, event, attested.proposal(), trust, position).map_err(|refusal| {
        verification_failed(
            ErrorCode::WithdrawalNotGenuine,
            refusal.detail.unwrap_or(refusal.public),
        )
    })?;
    Ok(Withdrawal {
        at: event.at,
        gateway: event.actor.clone(),
    })
}

/// Checks that a state which requires a receipt or a withdrawal comes with one, and that a receipt belongs to
/// its proposal.
fn check_end(
    attested: &VerifiedProposal,
    state: ProposalState,
    receipt: Option<&SignedReceipt>,
    withdrawal: Option<&Withdrawal>,
) -> Result<(), ExitError> {
    let by_receipt = match state {
        ProposalState::Applied | ProposalState::Conflict | ProposalState::Failed => true,
        ProposalState::Canceled => withdrawal.is_none(),
        ProposalState::PendingReview
        | ProposalState::Approved
        | ProposalState::Rejected
        | ProposalState::PendingWorker
        | ProposalState::Expired
        | ProposalState::InDoubt => false,
    };
    match receipt {
        None if by_receipt => {
            let text = format!("ledger reports `{state}` without a writer receipt");
            Err(ExitError::new(ErrorCode::ReceiptMissing, text)
                .with_fix("contact the ledger operator; the source database has the receipt"))
        }
        Some(signed) if signed.receipt.proposal_digest != attested.digest() => Err(verification_failed(
            ErrorCode::ReceiptForeign,
            "receipt belongs to another proposal",
        )),
        Some(_) if !state.is_terminal() => Err(verification_failed(
            ErrorCode::StateNotBelieved,
            format!("`{state}` beside a receipt"),
        )),
        Some(_) | None => Ok(()),
    }
}

fn decision_of(entry: &Entry) -> Option<&DsseEnvelope> {
    match &entry.body {
        EventBody::Decision(envelope) => Some(envelope),
        _ => None,
    }
}

/// The ledger selects the response; the response must at least match the request.
pub(super) fn check_named(attested: &VerifiedProposal, reference: &str) -> Result<(), ExitError> {
    let id = attested.proposal().id.as_str();
    let plain = |text: &str| text.replace('-', "").to_ascii_uppercase();
    let named = reference == "latest"
        || id.starts_with(reference)
        || plain(&attested.digest().short_code()) == plain(reference)
        || attested.digest().to_string() == reference;
    if named {
        Ok(())
    } else {
        Err(verification_failed(
            ErrorCode::ProposalForeign,
            format!("requested `{reference}`, the ledger returned {id}"),
        ))
    }
}

fn check_logged(
    attested: &VerifiedProposal,
    record: &ProposalRecord,
    entries: &[Entry],
) -> Result<(), ExitError> {
    let logged = entries
        .iter()
        .any(|e| matches!(&e.body, EventBody::Proposal(p) if p == attested.envelope()));
    if !logged {
        return Err(verification_failed(
            ErrorCode::ProposalNotInLog,
            "proposal is not in the log",
        ));
    }
    let id = &attested.proposal().id;
    if entries
        .iter()
        .any(|e| e.event.proposal_id.as_ref().is_some_and(|other| other != id))
    {
        return Err(verification_failed(
            ErrorCode::RecordForeign,
            "record belongs to another proposal",
        ));
    }
    let in_log: Vec<&DsseEnvelope> = entries.iter().filter_map(decision_of).collect();
    if record.decisions.iter().any(|d| !in_log.contains(&d)) {
        return Err(verification_failed(
            ErrorCode::DecisionNotInLog,
            "decision is not in the log",
        ));
    }
    Ok(())
}

/// Verifies a receipt under a writer key of the trust file, retired ones included: for history in lists.
pub(crate) fn open_receipt(envelope: &DsseEnvelope, trust: &TrustFile) -> Result<SignedReceipt, ExitError> {
    let receipt = open_of_writer(envelope, ObjectKind::Receipt, trust, None)?;
    signed_receipt(envelope, receipt)
}

/// Verifies a receipt that the log holds at `position`.
pub(crate) fn open_receipt_at(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    position: &Position<'_>,
) -> Result<SignedReceipt, ExitError> {
    let receipt = open_of_writer(envelope, ObjectKind::Receipt, trust, Some(position))?;
    signed_receipt(envelope, receipt)
}

fn signed_receipt(envelope: &DsseEnvelope, receipt: Receipt) -> Result<SignedReceipt, ExitError> {
    let signer = envelope
        .signer()
        .map_err(|e| verification_failed(ErrorCode::ReceiptNotGenuine, e))?;
    Ok(SignedReceipt {
        digest: Digest::of(ObjectKind::Receipt, &envelope.payload),
        writer_key: signer.clone(),
        receipt,
    })
}

/// Verifies an attempt report that the log holds at `position`.
pub(super) fn open_attempt_at(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    position: &Position<'_>,
) -> Result<AttemptReport, ExitError> {
    open_of_writer(envelope, ObjectKind::Attempt, trust, Some(position))
}

/// Verifies a writer's signed record; with a position it also checks that the key was not retired there.
fn open_of_writer<T: serde::de::DeserializeOwned>(
    envelope: &DsseEnvelope,
    kind: ObjectKind,
    trust: &TrustFile,
    position: Option<&Position<'_>>,
) -> Result<T, ExitError> {
    let code = if kind == ObjectKind::Receipt {
        ErrorCode::ReceiptNotGenuine
    } else {
        ErrorCode::AttemptNotGenuine
    };
    let wrong = |problem: String| verification_failed(code, problem);
    let signer = envelope.signer().map_err(|e| wrong(e.to_string()))?;
    let key = trust
        .writer(signer)
        .ok_or_else(|| wrong("not signed by a writer key in the trust file".to_owned()))?;
    if let Some(Err(retired)) = position.map(|position| key.standing().check(position)) {
        return Err(wrong(format!("signed by {signer}: {retired}")));
    }
    envelope
        .verify_and_decode(kind, &key.public_key)
        .map_err(|e| wrong(e.to_string()))
}

fn check_reference(reference: &str) -> Result<(), ExitError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':');
    if (1..=128).contains(&reference.len()) && reference.bytes().all(fits) {
        return Ok(());
    }
    Err(ExitError::new(
        ErrorCode::ProposalNameInvalid,
        "use a proposal id, an id prefix, a short code, or `latest`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::fixture::{attested, now as then, trust};

    #[test]
    fn canceled_state_requires_receipt_or_withdrawal() {
        let attested = attested("plain", &trust("dev"));
        let withdrawal = Withdrawal {
            at: then(),
            gateway: "spiffe://d1/gateway/g1".to_owned(),
        };
        let end = |state, withdrawal| {
            check_end(&attested, state, None, withdrawal).map_err(|failure| failure.code())
        };
        assert_eq!(end(ProposalState::Canceled, Some(&withdrawal)), Ok(()));
        assert_eq!(end(ProposalState::Canceled, None), Err(ErrorCode::ReceiptMissing));
        // A withdrawal does not replace the receipt that other states require.
        for state in [
            ProposalState::Applied,
            ProposalState::Conflict,
            ProposalState::Failed,
        ] {
            assert_eq!(end(state, Some(&withdrawal)), Err(ErrorCode::ReceiptMissing));
        }
    }
}
