//! Withdrawal: it ends a proposal before an attempt starts, not afterwards, and one step decides it.

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::context_ticket::ContextTicket;
use synapsor_domain::event::EventKind;
use synapsor_domain::proposal::{ProposalMode, ProposalState};
use synapsor_domain::signing::ObjectKind;
use synapsor_domain::timestamp::Span;
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_domain::writeback::{AttemptResult, ReceiptOutcome};
use synapsor_proto::ledger::v1::{self as wire, WithdrawResponse};

use super::{ANN, BEN, GATEWAY, Scene, code, envelope, json, sign};
use crate::finish_attempt::FinishedAttempt;
use crate::store::events::{self, TailFilter};
use crate::store::proposals;
use crate::test_kit::{
    ANN_KEY, Draft, OPERATOR, TestLedger, WRITER, WRITER_KEY, caller, seal, with_evidence,
};
use crate::tests::lease;

fn withdrawn() -> WithdrawResponse {
    WithdrawResponse {
        withdrawn: true,
        state: wire::AgentProposalState::Canceled.into(),
        code: None,
    }
}

fn refused(state: wire::AgentProposalState, code: ErrorCode) -> WithdrawResponse {
    WithdrawResponse {
        withdrawn: false,
        state: state.into(),
        code: Some(code.to_string()),
    }
}

async fn approve(world: &TestLedger, draft: &Draft) -> Result<ProposalState, ErrorCode> {
    let signed = seal(
        ObjectKind::Decision,
        &world.decision(draft, DecisionKind::Approve),
        ANN_KEY,
    );
    let done = world
        .ledger
        .decide(caller(OPERATOR), &random::hex_id(16), signed)
        .await
        .unwrap();
    done.value.map(|d| d.state).map_err(|e| e.code)
}

async fn events_of(world: &TestLedger, kind: EventKind) -> usize {
    let filter = TailFilter {
        proposal: None,
        kind: Some(kind),
        ..Default::default()
    };
    world
        .ledger
        .store
        .read(move |r| {
            Ok(events::tail(r.conn(), (0, u64::from(u32::MAX)), &filter)?
                .events
                .len())
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn withdrawal_event_carries_the_ticket_and_counts_once() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let id = world.propose(&scene.draft(ANN, "0")).await;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    let request = random::hex_id(16);
    for _ in 0..2 {
        let answer = gateway.withdraw_as(&ticket, id.as_str(), &request).await.unwrap();
        assert_eq!(answer, withdrawn());
    }
    // Another request, with a new ticket.
    scene.world.clock.advance_ms(1_000);
    let again = gateway
        .withdraw(&scene.signed(&[ANN]), id.as_str())
        .await
        .unwrap();
    assert_eq!(again, withdrawn());
    assert_eq!(events_of(world, EventKind::ProposalWithdrawn).await, 1);
    let filter = TailFilter {
        proposal: Some(id.clone()),
        kind: Some(EventKind::ProposalWithdrawn),
        ..Default::default()
    };
    let shown = world
        .ledger
        .store
        .read(move |r| {
            Ok(events::tail(r.conn(), (0, u64::from(u32::MAX)), &filter)?
                .events
                .remove(0))
        })
        .await
        .unwrap();
    assert_eq!(json(&shown.bytes)["actor"], GATEWAY);
    assert_eq!(shown.body, envelope(ticket).to_bytes().unwrap());
    let body = synapsor_domain::signing::DsseEnvelope::from_bytes(&shown.body).unwrap();
    assert!(
        body.decode_unverified::<ContextTicket>(ObjectKind::ContextTicket)
            .is_ok()
    );
    let fresh = scene.signed(&[ANN]);
    let record = gateway.proposal(&fresh, id.as_str()).await.unwrap();
    assert_eq!((super::word(record.state), record.is_final), ("canceled", true));
    let record = json(&record.record_json);
    assert_eq!(record["events"][1]["kind"], "proposal_withdrawn");
    assert_eq!(record["proposal"]["source_database_changed"], false);
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn request_id_names_one_request() {
    let scene = Scene::new().await;
    let mut gateway = scene.gateway("g1");
    let ticket = scene.signed(&[ANN]);
    let one = scene.world.propose(&scene.draft(ANN, "0")).await;
    let two = scene.world.propose(&scene.draft(ANN, "1")).await;
    let request = random::hex_id(16);
    gateway
        .withdraw_as(&ticket, one.as_str(), &request)
        .await
        .unwrap();
    let reused = gateway.withdraw_as(&ticket, two.as_str(), &request).await;
    assert_eq!(code(reused), ErrorCode::RequestIdReused);
    assert_eq!(
        code(gateway.withdraw_as(&ticket, two.as_str(), "").await),
        ErrorCode::Malformed
    );
}

#[tokio::test]
async fn withdrawn_proposal_rejects_approval_order_and_rejection() {
    let scene = Scene::new().await;
    let (world, mut gateway) = (&scene.world, scene.gateway("g1"));
    let ticket = scene.signed(&[ANN]);
    let draft = scene.draft(ANN, "0");
    let id = world.propose(&draft).await;
    gateway.withdraw(&ticket, id.as_str()).await.unwrap();
    assert_eq!(
        approve(world, &draft).await,
        Err(ErrorCode::ProposalNotPendingReview)
    );
    let deny = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Reject),
        ANN_KEY,
    );
    let denied = world
        .ledger
        .decide(caller(OPERATOR), &random::hex_id(16), deny)
        .await;
    assert_eq!(
        denied.unwrap().value.unwrap_err().code,
        ErrorCode::ProposalNotRejectable
    );
    // The other sequence: approved first, then withdrawn, then ordered.
    let draft = scene.draft(ANN, "1");
    let id = world.propose(&draft).await;
    let decision = world.decision(&draft, DecisionKind::Approve);
    let signed = seal(ObjectKind::Decision, &decision, ANN_KEY);
    let digest = signed.digest(ObjectKind::Decision).unwrap();
    let decided = world
        .ledger
        .decide(caller(OPERATOR), &random::hex_id(16), signed)
        .await;
    assert_eq!(decided.unwrap().value.unwrap().state, ProposalState::Approved);
    assert_eq!(gateway.withdraw(&ticket, id.as_str()).await.unwrap(), withdrawn());
    let order = seal(ObjectKind::ApplyOrder, &world.order(&draft, &[digest]), ANN_KEY);
    let ordered = world
        .ledger
        .request_apply(caller(OPERATOR), &random::hex_id(16), order)
        .await;
    let refusal = ordered.unwrap().value.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ProposalNotApproved);
    assert!(refusal.public.contains("canceled"), "{refusal}");
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn concurrent_approval_never_outlives_a_withdrawal() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let ticket = scene.signed(&[ANN]);
    for n in 0..20 {
        let draft = scene.draft(ANN, &n.to_string());
        let id = world.propose(&draft).await;
        let mut gateway = scene.gateway("g1");
        let (taken, approved) = tokio::join!(gateway.withdraw(&ticket, id.as_str()), approve(world, &draft));
        assert_eq!(taken.unwrap(), withdrawn());
        assert!(
            approved == Ok(ProposalState::Approved) || approved == Err(ErrorCode::ProposalNotPendingReview),
            "{approved:?}"
        );
        let row = world
            .ledger
            .store
            .read(move |r| proposals::get(r.conn(), &id))
            .await;
        assert_eq!(row.unwrap().state, ProposalState::Canceled);
    }
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn withdrawn_proposal_is_not_leased_and_does_not_start() {
    let scene = Scene::new().await;
    let (world, mut gateway) = (&scene.world, scene.gateway("g1"));
    let ticket = scene.signed(&[ANN]);
    let first = world.ordered(&scene.draft(ANN, "0")).await;
    let second = world.ordered(&scene.draft(ANN, "1")).await;
    // Ordered and longest waiting: without the withdrawal it would be the first job.
    assert_eq!(
        gateway.withdraw(&ticket, first.as_str()).await.unwrap(),
        withdrawn()
    );
    let mut jobs = lease::open(world, WRITER, 2);
    let job = lease::next(&mut jobs).await.unwrap();
    let proposal = synapsor_domain::signing::DsseEnvelope::from_bytes(&job.proposal.body).unwrap();
    let proposal: synapsor_domain::proposal::Proposal =
        proposal.decode_unverified(ObjectKind::Proposal).unwrap();
    assert_eq!(proposal.id, second);
    // Leased and not started: the withdrawal still applies, and the start fails.
    assert_eq!(
        gateway.withdraw(&ticket, second.as_str()).await.unwrap(),
        withdrawn()
    );
    let started = world
        .ledger
        .start(caller(WRITER), second, job.token.to_vec())
        .await;
    assert_eq!(lease::code(started), ErrorCode::ProposalEnded);
    assert!(jobs.try_recv().is_err(), "no other job");
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn withdrawal_after_a_start_returns_only_the_state() {
    let scene = Scene::new().await;
    let (world, mut gateway) = (&scene.world, scene.gateway("g1"));
    let ticket = scene.signed(&[ANN]);
    let draft = scene.draft(ANN, "0");
    let mut jobs = lease::open(world, WRITER, 1);
    let id = world.ordered(&draft).await;
    let job = lease::next(&mut jobs).await.unwrap();
    world
        .ledger
        .start(caller(WRITER), id.clone(), job.token.to_vec())
        .await
        .unwrap();
    assert_eq!(
        gateway.withdraw(&ticket, id.as_str()).await.unwrap(),
        refused(wire::AgentProposalState::Approved, ErrorCode::WritebackStarted)
    );
    let receipt = seal(
        ObjectKind::Receipt,
        &world.receipt(&draft, ReceiptOutcome::Applied),
        WRITER_KEY,
    );
    let settlement = FinishedAttempt {
        id: id.clone(),
        token: job.token.to_vec(),
        attempt: world.report(&draft, AttemptResult::Applied, Some(&receipt)),
        receipt: Some(receipt),
    };
    world
        .ledger
        .settle(caller(WRITER), settlement)
        .await
        .unwrap()
        .value
        .unwrap();
    assert_eq!(
        gateway.withdraw(&ticket, id.as_str()).await.unwrap(),
        refused(wire::AgentProposalState::Applied, ErrorCode::ProposalEnded)
    );
    let record = gateway.proposal(&ticket, id.as_str()).await.unwrap();
    assert_eq!(
        json(&record.record_json)["proposal"]["source_database_changed"],
        true
    );
    assert_eq!(events_of(world, EventKind::ProposalWithdrawn).await, 0);
}

#[tokio::test]
async fn concurrent_start_and_withdrawal_have_one_winner() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let ticket = scene.signed(&[ANN]);
    let mut jobs = lease::open(world, WRITER, 64);
    for n in 0..16 {
        let mut draft = scene.draft(ANN, &n.to_string());
        // Each has its own row, because a started proposal keeps its row.
        for target in [&mut draft.proposal.target, &mut draft.evidence.target] {
            target.keys = vec![ColumnValue::new("id", Value::int(n))];
        }
        let id = world.ordered(&with_evidence(draft)).await;
        let job = lease::next(&mut jobs).await.unwrap();
        let mut gateway = scene.gateway("g1");
        let (taken, started) = tokio::join!(
            gateway.withdraw(&ticket, id.as_str()),
            world.ledger.start(caller(WRITER), id.clone(), job.token.to_vec())
        );
        let taken = taken.unwrap();
        assert_ne!(taken.withdrawn, started.is_ok(), "{taken:?}");
        let expected = if taken.withdrawn {
            withdrawn()
        } else {
            refused(wire::AgentProposalState::Approved, ErrorCode::WritebackStarted)
        };
        assert_eq!(taken, expected);
    }
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn withdrawal_keeps_states_set_by_decision_or_expiry() {
    let scene = Scene::new().await;
    let (world, mut gateway) = (&scene.world, scene.gateway("g1"));
    let draft = scene.draft(ANN, "0");
    let id = world.propose(&draft).await;
    let deny = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Reject),
        ANN_KEY,
    );
    let denied = world
        .ledger
        .decide(caller(OPERATOR), &random::hex_id(16), deny)
        .await;
    assert!(denied.unwrap().value.is_ok());
    assert_eq!(
        gateway
            .withdraw(&scene.signed(&[ANN]), id.as_str())
            .await
            .unwrap(),
        refused(wire::AgentProposalState::Rejected, ErrorCode::ProposalEnded)
    );
    let mut draft = scene.draft(ANN, "1");
    draft.proposal.not_after = world.now() + Span::minutes(1);
    let id = world.propose(&with_evidence(draft)).await;
    world.clock.advance_ms(60_000);
    assert_eq!(
        gateway
            .withdraw(&scene.signed(&[ANN]), id.as_str())
            .await
            .unwrap(),
        refused(wire::AgentProposalState::Expired, ErrorCode::ProposalEnded)
    );
}

#[tokio::test]
async fn rejects_withdrawal_under_a_read_only_ticket() {
    let scene = Scene::new().await;
    let (world, mut gateway) = (&scene.world, scene.gateway("g1"));
    let own = world.propose(&scene.draft(ANN, "0")).await;
    let other = world.propose(&scene.draft(BEN, "1")).await;
    let mut reads = scene.ticket(&[ANN]);
    reads.may_withdraw = false;
    let reads = sign(&reads);
    assert!(gateway.proposal(&reads, own.as_str()).await.is_ok());
    let refused = gateway.withdraw(&reads, own.as_str()).await;
    assert_eq!(code(refused), ErrorCode::WithdrawalNotAllowed);
    for hidden in [other.as_str(), "wrp_ffffffffffffffffffff"] {
        assert_eq!(
            code(gateway.withdraw(&reads, hidden).await),
            ErrorCode::RecordNotFound
        );
    }
    assert_eq!(events_of(world, EventKind::ProposalWithdrawn).await, 0);
    let full = scene.signed(&[ANN]);
    assert_eq!(gateway.withdraw(&full, own.as_str()).await.unwrap(), withdrawn());
}

#[tokio::test]
async fn withdrawal_frees_quota_and_allows_the_same_change_again() {
    let scene = Scene::new().await;
    let (world, mut gateway) = (&scene.world, scene.gateway("g1"));
    let ticket = scene.signed(&[ANN]);
    let draft = scene.draft(ANN, "0");
    let first = world.propose(&draft).await;
    gateway.withdraw(&ticket, first.as_str()).await.unwrap();
    let second = world.propose(&scene.draft(ANN, "0")).await;
    assert_ne!(first, second, "a withdrawn proposal is no longer open");
    let open = world
        .ledger
        .store
        .read(|r| Ok(proposals::count_open(r.conn(), ANN.0, ANN.1)?))
        .await;
    assert_eq!(open.unwrap(), 1);
}

#[tokio::test]
async fn shadow_proposal_can_be_withdrawn() {
    let scene = Scene::new().await;
    let mut draft = scene.draft(ANN, "0");
    draft.proposal.mode = ProposalMode::Shadow;
    let id = scene.world.propose(&draft).await;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    let before = gateway.proposal(&ticket, id.as_str()).await.unwrap();
    assert_eq!(super::word(before.state), "shadow_proposal_created");
    assert_eq!(gateway.withdraw(&ticket, id.as_str()).await.unwrap(), withdrawn());
}
