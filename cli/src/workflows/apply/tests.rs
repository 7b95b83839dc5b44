//! Apply results come only from records that a writer of the trust file signed about this order.

use synapsor_codes::{ErrorCode, Exit};
use synapsor_domain::context_ticket::{self, ContextTicket, RecordKind, TicketContext};
use synapsor_domain::event::{AttemptFinishedBody, EventKind, EventRecord};
use synapsor_domain::timestamp::Span;
use synapsor_domain::writeback::Receipt;

use super::*;
use crate::sign::fixture::{attested, checkpoint, key, now as then, trust};

const WRITER: u8 = 2;
const STRANGER: u8 = 9;

fn view(trust: &TrustFile) -> ProposalView {
    ProposalView {
        attested: attested("plain", trust),
        state: ProposalState::PendingWorker,
        started: false,
        updated_at: then(),
        decisions: Vec::new(),
        lapsed: Vec::new(),
        orders: 1,
        attempt: None,
        receipt: None,
        withdrawal: None,
        human_action: None,
        known_switch: None,
        checkpoint: checkpoint(),
    }
}

fn order(n: u8) -> Digest {
    Digest::of_typed("text/plain", &[n])
}

fn report(view: &ProposalView, answers: Digest, result: AttemptResult) -> AttemptReport {
    AttemptReport {
        v: 1,
        proposal_id: view.attested.proposal().id.clone(),
        proposal_digest: view.attested.digest(),
        order_digest: Some(answers),
        writer: "w1".to_owned(),
        fence: 1,
        attempt: 1,
        result,
        message: "why".to_owned(),
        receipt_digest: None,
        at: then(),
    }
}

fn receipt(view: &ProposalView, outcome: ReceiptOutcome) -> Receipt {
    Receipt {
        v: 1,
        proposal_id: view.attested.proposal().id.clone(),
        proposal_digest: view.attested.digest(),
        outcome,
        reason: String::new(),
        constraint: None,
        rows_affected: 1,
        previous_version: None,
        new_version: None,
        order_digest: Some(order(1)),
        fence: 1,
        attempt: 1,
        writer: "w1".to_owned(),
        ledger_size: 1,
        ledger_root: String::new(),
        database_identity: String::new(),
        created_at: then(),
    }
}

fn released(report: &AttemptReport, seed: u8) -> EventBody {
    EventBody::Attempt(DsseEnvelope::sign(ObjectKind::Attempt, report, &key(seed)).unwrap())
}

fn settled(report: &AttemptReport, receipt: &Receipt, seed: u8) -> EventBody {
    EventBody::Settled(Box::new(AttemptFinishedBody {
        attempt: DsseEnvelope::sign(ObjectKind::Attempt, report, &key(seed)).unwrap(),
        receipt: DsseEnvelope::sign(ObjectKind::Receipt, receipt, &key(seed)).unwrap(),
    }))
}

fn outcome(body: &EventBody) -> Result<Option<Status>, Exit> {
    let trust = trust("dev");
    let view = view(&trust);
    let mut follow = OutcomeWatcher {
        trust: &trust,
        view: &view,
        order_digest: order(1),
        started: false,
        doubt: None,
    };
    follow
        .outcome_of(body)
        .map(|o| o.map(|a| a.status))
        .map_err(|f| f.exit())
}

#[test]
fn wait_ends_only_on_report_of_this_order() {
    let view = view(&trust("dev"));
    let refused = AttemptResult::of_code(ErrorCode::RefusedFrozen);
    assert_eq!(
        outcome(&released(&report(&view, order(1), refused.clone()), WRITER)),
        Ok(Some(Status::Refused))
    );
    assert_eq!(
        outcome(&released(&report(&view, order(2), refused), WRITER)),
        Ok(None)
    );
    assert_eq!(
        outcome(&released(
            &report(&view, order(1), AttemptResult::InDoubt),
            WRITER
        )),
        Ok(None)
    );
}

#[test]
fn rejects_report_without_trusted_writer_signature() {
    let view = view(&trust("dev"));
    let applied = report(&view, order(1), AttemptResult::Applied);
    let receipt = receipt(&view, ReceiptOutcome::Applied);
    assert_eq!(
        outcome(&settled(&applied, &receipt, WRITER)),
        Ok(Some(Status::Applied))
    );
    assert_eq!(
        outcome(&settled(&applied, &receipt, STRANGER)),
        Err(Exit::Tampered)
    );
    assert_eq!(outcome(&released(&applied, STRANGER)), Err(Exit::Tampered));
}

#[test]
fn rejects_receipt_of_other_proposal_or_report() {
    let view = view(&trust("dev"));
    let (mut applied, mut foreign) = (
        report(&view, order(1), AttemptResult::Applied),
        receipt(&view, ReceiptOutcome::Applied),
    );
    foreign.proposal_digest = order(7);
    assert_eq!(outcome(&settled(&applied, &foreign, WRITER)), Err(Exit::Tampered));
    applied.receipt_digest = Some(order(8));
    assert_eq!(
        outcome(&settled(
            &applied,
            &receipt(&view, ReceiptOutcome::Applied),
            WRITER
        )),
        Err(Exit::Tampered)
    );
    applied.proposal_digest = order(9);
    assert_eq!(outcome(&released(&applied, WRITER)), Err(Exit::Tampered));
}

#[test]
fn earlier_receipt_yields_already_applied() {
    let view = view(&trust("dev"));
    let earlier = Receipt {
        order_digest: Some(order(2)),
        ..receipt(&view, ReceiptOutcome::Applied)
    };
    for answers in [order(1), order(2)] {
        let found = report(&view, answers, AttemptResult::AlreadyApplied);
        assert_eq!(
            outcome(&settled(&found, &earlier, WRITER)),
            Ok(Some(Status::AlreadyApplied))
        );
    }
}

#[test]
fn receipt_of_this_order_is_applied_in_every_report() {
    let view = view(&trust("dev"));
    let receipt = receipt(&view, ReceiptOutcome::Applied);
    let found_again = report(&view, order(1), AttemptResult::AlreadyApplied);
    let reconciled = AttemptReport {
        order_digest: None,
        ..found_again.clone()
    };
    for reported in [found_again, reconciled] {
        assert_eq!(
            outcome(&settled(&reported, &receipt, WRITER)),
            Ok(Some(Status::Applied))
        );
    }
}

fn taken_back(principal: &str, seed: u8) -> Result<Option<(Status, String)>, Exit> {
    let trust = trust("dev");
    let view = view(&trust);
    let ticket = ContextTicket {
        audience: context_ticket::TicketAudience::Ledger,
        contexts: vec![TicketContext {
            principal: principal.to_owned(),
            tenant: "acme".to_owned(),
        }],
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        expires_at: then() + Span::minutes(5),
        gateway: "spiffe://d1/gateway/g1".to_owned(),
        issued_at: then(),
        kinds: vec![RecordKind::Proposal],
        ledger_origin: trust.ledger_origin(),
        may_withdraw: true,
        v: 1,
        visible: std::collections::BTreeMap::new(),
    };
    let entry = Entry {
        event: EventRecord {
            actor: ticket.gateway.clone(),
            at: then(),
            body_digest: order(0),
            kind: EventKind::ProposalWithdrawn,
            proposal_id: Some(view.attested.proposal().id.clone()),
            seq: 9,
            trace_id: None,
        },
        body: EventBody::Withdrawn(
            DsseEnvelope::sign(ObjectKind::ContextTicket, &ticket, &key(seed)).unwrap(),
        ),
    };
    let follow = OutcomeWatcher {
        trust: &trust,
        view: &view,
        order_digest: order(1),
        started: false,
        doubt: None,
    };
    follow
        .withdrawn_outcome(&entry)
        .map(|o| o.map(|a| (a.status, a.result)))
        .map_err(|f| f.exit())
}

#[test]
fn wait_ends_only_on_reader_signed_withdrawal() {
    const READER: u8 = 1;
    let canceled = (Status::Canceled, "tombstoned:cancelled".to_owned());
    assert_eq!(taken_back("agent", READER), Ok(Some(canceled)));
    assert_eq!(taken_back("other", READER), Err(Exit::Tampered));
    assert_eq!(taken_back("agent", WRITER), Err(Exit::Tampered));
    assert_eq!(taken_back("agent", STRANGER), Err(Exit::Tampered));
}

#[test]
fn cause_of_another_failure_is_not_shown() {
    let trust = trust("dev");
    let view = view(&trust);
    let cause = |code| RefusalCause {
        code,
        correlation_id: None,
        text: None,
        fix: None,
    };
    let ended = |code| by_report(&report(&view, order(1), AttemptResult::of_code(code)), None);
    let (image, source) = (ErrorCode::FailedPostImage, ErrorCode::SourceUnavailable);
    assert!(is_cause_of(&cause(image), &ended(image)));
    assert!(!is_cause_of(&cause(source), &ended(image)));
    // The code of a retry is its class, and its cause has a code of its own.
    let retried = ended(ErrorCode::RetryableDatabaseUnavailable);
    assert!(is_cause_of(&cause(source), &retried));
}

#[test]
fn apply_status_maps_to_exit_code() {
    let exits = [
        (Status::Applied, Exit::Ok),
        (Status::AlreadyApplied, Exit::Ok),
        (Status::Failed, Exit::Failure),
        (Status::Retryable, Exit::Failure),
        (Status::Conflict, Exit::Conflict),
        (Status::Refused, Exit::Refused),
        (Status::Canceled, Exit::Refused),
        (Status::InDoubt, Exit::InDoubt),
        (Status::NoWriter, Exit::Unreachable),
    ];
    for (status, exit) in exits {
        assert_eq!(status.exit(), exit, "{status:?}");
    }
}

#[test]
fn lease_of_an_earlier_attempt_is_named_with_its_end() {
    let expires_at = Timestamp::from_unix_millis(0);
    let lease = CurrentLease {
        writer: "spiffe://dep-test/writer/w1".to_owned(),
        expires_at,
    };
    let text = no_writer_text(false, Some(&lease));
    assert!(text.contains(&lease.writer), "{text}");
    assert!(text.contains(&expires_at.to_string()), "{text}");
    assert!(!no_writer_text(false, None).contains("lease of"));
}

#[test]
fn rejects_order_without_quorum() {
    let trust = trust("dev");
    let refused = ended_before(&view(&trust), &Global::default()).unwrap_err();
    assert_eq!(
        (refused.code(), refused.exit()),
        (ErrorCode::ProposalNotApproved, Exit::Refused)
    );
}
