//! Watches: every change of the ticket's tenants, in order, once, and nothing else.

use std::time::Duration;

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::signing::ObjectKind;
use synapsor_domain::timestamp::Span;
use synapsor_domain::writeback::{AttemptResult, ReceiptOutcome};
use synapsor_proto::ledger::v1::watch_response::Message;
use synapsor_proto::ledger::v1::{WatchChange, WatchResponse};
use tonic::Streaming;

use super::{ANN, BEN, NORA, Scene, code, sign};
use crate::finish_attempt::FinishedAttempt;
use crate::test_kit::{
    ANN_KEY, Draft, OPERATOR, TestLedger, WRITER, WRITER_KEY, caller, seal, with_evidence,
};
use crate::tests::lease;

type Stream = Streaming<WatchResponse>;

async fn next(stream: &mut Stream) -> Option<Message> {
    tokio::time::timeout(Duration::from_secs(20), stream.message())
        .await
        .expect("a message in time")
        .expect("no error")
        .map(|m| m.message.expect("a message"))
}

async fn position(stream: &mut Stream) -> u64 {
    match next(stream).await {
        Some(Message::Position(position)) => position.seq,
        other => panic!("{other:?}"),
    }
}

async fn change(stream: &mut Stream) -> WatchChange {
    match next(stream).await {
        Some(Message::Change(change)) => change,
        other => panic!("{other:?}"),
    }
}

async fn states(stream: &mut Stream, count: usize) -> Vec<&'static str> {
    let mut states = Vec::new();
    for _ in 0..count {
        states.push(super::word(change(stream).await.state));
    }
    states
}

async fn decide(world: &TestLedger, draft: &Draft, verdict: DecisionKind) {
    let signed = seal(ObjectKind::Decision, &world.decision(draft, verdict), ANN_KEY);
    let done = world
        .ledger
        .decide(caller(OPERATOR), &random::hex_id(16), signed)
        .await;
    done.unwrap().value.unwrap();
}

/// Runs all steps from submission to applied, as the real roles would.
async fn apply(world: &TestLedger, draft: &Draft, result: AttemptResult) {
    let mut jobs = lease::open(world, WRITER, 1);
    let id = world.ordered(draft).await;
    let job = lease::next(&mut jobs).await.unwrap();
    let token = job.token.to_vec();
    world
        .ledger
        .start(caller(WRITER), id.clone(), token.clone())
        .await
        .unwrap();
    let doubt = FinishedAttempt {
        id: id.clone(),
        token: token.clone(),
        attempt: world.report(draft, AttemptResult::InDoubt, None),
        receipt: None,
    };
    world.ledger.report_in_doubt(caller(WRITER), doubt).await.unwrap();
    let receipt = seal(
        ObjectKind::Receipt,
        &world.receipt(draft, ReceiptOutcome::Applied),
        WRITER_KEY,
    );
    let settlement = FinishedAttempt {
        id,
        token,
        attempt: world.report(draft, result, Some(&receipt)),
        receipt: Some(receipt),
    };
    world
        .ledger
        .settle(caller(WRITER), settlement)
        .await
        .unwrap()
        .value
        .unwrap();
}

#[tokio::test]
async fn every_change_after_the_first_message_arrives_once_in_order() {
    let scene = Scene::new().await;
    let world = &scene.world;
    world.propose(&scene.draft(ANN, "before")).await;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    let mut stream = gateway.watch(&ticket, None).await.unwrap();
    let start = position(&mut stream).await;
    assert_eq!(start + 1, world.ledger.store.head().borrow().size);
    // No client reads meanwhile: the watch reports each intermediate state, not only the last one.
    apply(world, &scene.draft(ANN, "0"), AttemptResult::Applied).await;
    let rejected = scene.draft(ANN, "1");
    world.propose(&rejected).await;
    decide(world, &rejected, DecisionKind::Reject).await;
    let withdrawn = world.propose(&scene.draft(ANN, "2")).await;
    gateway.withdraw(&ticket, withdrawn.as_str()).await.unwrap();
    let mut expiring = scene.draft(ANN, "3");
    expiring.proposal.not_after = world.now() + Span::seconds(1);
    world.propose(&with_evidence(expiring)).await;
    world.clock.advance_ms(1_000);
    world.ledger.sweep().await.unwrap();
    let expected = [
        "review_required",
        "approved",
        "approved",
        "in_doubt",
        "applied",
        "review_required",
        "rejected",
        "review_required",
        "canceled",
        "review_required",
        "expired",
    ];
    let mut last = start;
    for state in expected {
        let change = change(&mut stream).await;
        assert_eq!(super::word(change.state), state);
        assert!(change.seq > last, "{change:?}");
        assert!(change.is_own);
        let open = ["review_required", "approved", "in_doubt"];
        assert_eq!(change.is_final, !open.contains(&state));
        last = change.seq;
    }
}

#[tokio::test]
async fn first_of_two_approvals_is_not_an_approval() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let mut gateway = scene.gateway("g1");
    let mut stream = gateway.watch(&scene.signed(&[ANN]), None).await.unwrap();
    position(&mut stream).await;
    let mut draft = scene.draft(ANN, "0");
    draft.proposal.approval.quorum = 2;
    world.propose(&draft).await;
    decide(world, &draft, DecisionKind::Approve).await;
    decide(world, &draft, DecisionKind::Reject).await;
    assert_eq!(
        states(&mut stream, 3).await,
        ["review_required", "review_required", "rejected"]
    );
}

#[tokio::test]
async fn watch_reports_its_tenants_and_marks_own_proposals() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let mut gateway = scene.gateway("g1");
    let mut ann = gateway.watch(&scene.signed(&[ANN]), None).await.unwrap();
    let mut nora = gateway.watch(&scene.signed(&[NORA]), None).await.unwrap();
    position(&mut ann).await;
    position(&mut nora).await;
    world.propose(&scene.draft(NORA, "0")).await;
    world.propose(&scene.draft(BEN, "1")).await;
    let own = world.propose(&scene.draft(ANN, "2")).await;
    let last = world.propose(&scene.draft(NORA, "3")).await;
    let first = change(&mut ann).await;
    assert!(!first.is_own, "a colleague's");
    let second = change(&mut ann).await;
    assert_eq!((second.proposal_id.as_str(), second.is_own), (own.as_str(), true));
    change(&mut nora).await;
    assert_eq!(change(&mut nora).await.proposal_id, last.as_str());
}

#[tokio::test]
async fn watch_resumes_after_another_ended() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    world.propose(&scene.draft(ANN, "0")).await;
    let mut stream = gateway.watch(&ticket, None).await.unwrap();
    let seen = position(&mut stream).await;
    drop(stream);
    let missed = world.propose(&scene.draft(ANN, "1")).await;
    let mut stream = gateway.watch(&ticket, Some(seen)).await.unwrap();
    assert_eq!(position(&mut stream).await, seen);
    assert_eq!(change(&mut stream).await.proposal_id, missed.as_str());
    // A position after the end of the log is rejected.
    let ahead = gateway.watch(&ticket, Some(seen + 1_000)).await;
    assert_eq!(code(ahead), ErrorCode::WatchOutOfRange);
}

#[tokio::test]
async fn more_changes_than_one_query_returns_all_arrive() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    world.propose(&scene.draft(NORA, "start")).await;
    let start = world.ledger.store.head().borrow().size - 1;
    let mut submitted = Vec::new();
    for n in 0..210 {
        let who = format!("agent-{}", n / 40);
        let draft = scene.draft((ANN.0, &who), &n.to_string());
        submitted.push(world.propose(&draft).await.to_string());
    }
    let mut stream = gateway.watch(&ticket, Some(start)).await.unwrap();
    assert_eq!(position(&mut stream).await, start);
    for id in submitted {
        assert_eq!(change(&mut stream).await.proposal_id, id);
    }
}

#[tokio::test]
async fn watch_ends_with_its_ticket_and_returns_its_position() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let mut gateway = scene.gateway("g1");
    let mut stream = gateway.watch(&scene.signed(&[ANN]), None).await.unwrap();
    position(&mut stream).await;
    world.propose(&scene.draft(ANN, "0")).await;
    let seen = change(&mut stream).await.seq;
    world.clock.advance_ms(5 * 60_000);
    // The next notification arrives after the ticket expired, and the watch no longer reports it.
    let missed = world.propose(&scene.draft(ANN, "1")).await;
    let reported = position(&mut stream).await;
    assert!(reported >= seen);
    assert_eq!(next(&mut stream).await, None);
    let mut stream = gateway
        .watch(&scene.signed(&[ANN]), Some(reported))
        .await
        .unwrap();
    position(&mut stream).await;
    assert_eq!(change(&mut stream).await.proposal_id, missed.as_str());
}

#[tokio::test]
async fn idle_watch_ends_with_its_ticket() {
    let scene = Scene::new().await;
    let mut ticket = scene.ticket(&[ANN]);
    ticket.expires_at = ticket.issued_at + Span::seconds(1);
    let mut gateway = scene.gateway("g1");
    let mut stream = gateway.watch(&sign(&ticket), None).await.unwrap();
    position(&mut stream).await;
    // The watch's own timer wakes it; by then the clock has advanced as well.
    scene.world.clock.advance_ms(1_000);
    position(&mut stream).await;
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test]
async fn watches_per_gateway_are_limited_and_released() {
    let scene = Scene::new().await;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut stream = gateway.watch(&ticket, None).await.unwrap();
        position(&mut stream).await;
        open.push(stream);
    }
    assert_eq!(
        code(gateway.watch(&ticket, None).await),
        ErrorCode::WatchesExceeded
    );
    let mut other = scene.ticket(&[ANN]);
    other.gateway = "spiffe://dep-test/gateway/g2".to_owned();
    assert!(scene.gateway("g2").watch(&sign(&other), None).await.is_ok());
    open.clear();
    let again = tokio::time::timeout(Duration::from_secs(20), async {
        while gateway.watch(&ticket, None).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    again.await.expect("a permit is released when a watch ends");
}
