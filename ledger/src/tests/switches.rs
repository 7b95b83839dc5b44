//! Freezes, lifts and late rejections: recorded, in force, and sent to writers.

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{DecisionKind, Freeze, SignerInfo, Unfreeze};
use synapsor_domain::digest::Digest;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::writeback::SwitchConfirmation;

use super::lease::{Jobs, next, next_message, open};
use crate::lease::Leased;
use crate::switches::Stops;
use crate::test_kit::{ANN_KEY, BOB_KEY, OPERATOR, TestLedger, WRITER, WRITER_KEY, caller, key, seal};

fn approver(person: &str, seed: u8, role: &str) -> SignerInfo {
    SignerInfo {
        key_id: key(seed).key_id(),
        person: person.into(),
        role: role.into(),
    }
}

/// Returns a freeze by bob, who has only the viewer role.
fn freeze(world: &TestLedger) -> (DsseEnvelope, Digest) {
    let freeze = Freeze {
        v: 1,
        deployment_id: "dep-test".into(),
        environment: DeploymentEnvironment::Dev,
        approver: approver("bob", BOB_KEY, "viewer"),
        issued_at: world.now(),
        nonce: random::hex_id(32),
        reason: None,
    };
    let envelope = seal(ObjectKind::Freeze, &freeze, BOB_KEY);
    let digest = envelope.digest(ObjectKind::Freeze).unwrap();
    (envelope, digest)
}

fn lift(world: &TestLedger, freeze: Digest) -> DsseEnvelope {
    let lift = Unfreeze {
        v: 1,
        deployment_id: "dep-test".into(),
        environment: DeploymentEnvironment::Dev,
        writer: String::new(),
        approver: approver("ann", ANN_KEY, "applier"),
        issued_at: world.now(),
        expires_at: world.now() + Span::minutes(5),
        nonce: random::hex_id(32),
        freeze_digest: Some(freeze),
    };
    seal(ObjectKind::Unfreeze, &lift, ANN_KEY)
}

async fn submit(world: &TestLedger, signed: &DsseEnvelope) -> Result<u64, ErrorCode> {
    let done = world.ledger.submit_switch(caller(OPERATOR), signed.clone()).await;
    done.map(|done| done.value).map_err(|e| crate::refusal_of(e).code)
}

async fn stops(jobs: &mut Jobs) -> Stops {
    match next_message(jobs).await.unwrap() {
        Leased::Stops(stops) => stops,
        Leased::Job(_) => panic!("a job arrived before the freezes"),
    }
}

#[tokio::test]
async fn freeze_is_in_force_until_the_lift_that_names_it() {
    let world = TestLedger::new();
    let (frozen, digest) = freeze(&world);
    let seq = submit(&world, &frozen).await.unwrap();
    assert_eq!(
        submit(&world, &frozen).await,
        Ok(seq),
        "the repeated freeze is already recorded"
    );
    let found = world.ledger.switches(None).await.unwrap();
    assert_eq!((found.signed, found.newest), (vec![frozen.clone()], Some(digest)));
    let (second, second_digest) = freeze(&world);
    submit(&world, &second).await.unwrap();
    let lifted = lift(&world, digest);
    submit(&world, &lifted).await.unwrap();
    let found = world.ledger.switches(None).await.unwrap();
    assert_eq!(found.signed, [second, lifted]);
    assert_ne!(found.newest, Some(second_digest));
    // A second lift of the same freeze is recorded beside the first, which may have expired before it reached a
    // writer.
    let again = lift(&world, digest);
    submit(&world, &again).await.unwrap();
    let found = world.ledger.switches(None).await.unwrap();
    assert_eq!((found.signed.len(), found.signed.last()), (3, Some(&again)));
    world.ledger.store.verify_full().await.unwrap();
    let world = world.restart().await;
    assert_eq!(world.ledger.switches(None).await.unwrap().signed.len(), 3);
}

#[tokio::test]
async fn rejects_freeze_without_an_operator_signature() {
    let world = TestLedger::new();
    let (frozen, _) = freeze(&world);
    let forged = DsseEnvelope {
        signatures: seal(ObjectKind::Freeze, &serde_json::json!({}), BOB_KEY).signatures,
        ..frozen.clone()
    };
    assert_eq!(submit(&world, &forged).await, Err(ErrorCode::RefusedSignature));
    let expired = lift(&world, frozen.digest(ObjectKind::Freeze).unwrap());
    world.clock.advance_ms(6 * 60_000);
    assert_eq!(submit(&world, &expired).await, Err(ErrorCode::RefusedExpired));
}

#[tokio::test]
async fn stream_sends_a_freeze_before_any_job() {
    let world = TestLedger::new();
    let (frozen, _) = freeze(&world);
    submit(&world, &frozen).await.unwrap();
    world.ordered(&world.draft("0")).await;
    let mut jobs = open(&world, WRITER, 4);
    assert_eq!(stops(&mut jobs).await.switches, std::slice::from_ref(&frozen));
    assert_eq!(next(&mut jobs).await.unwrap().switches, [frozen]);
    // A later freeze is sent without a job.
    let (later, _) = freeze(&world);
    submit(&world, &later).await.unwrap();
    assert_eq!(stops(&mut jobs).await.switches.last(), Some(&later));
}

#[tokio::test]
async fn late_rejection_is_sent_to_every_writer_of_the_source() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    let mut jobs = open(&world, WRITER, 1);
    let id = world.ordered(&draft).await;
    let job = next(&mut jobs).await.unwrap();
    world
        .ledger
        .start(caller(WRITER), id, job.token.to_vec())
        .await
        .unwrap();
    let rejection = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Reject),
        BOB_KEY,
    );
    // Under ann's name it would be refused, because bob signed it.
    let decided = world
        .ledger
        .decide(caller(OPERATOR), "no", rejection.clone())
        .await;
    assert!(decided.unwrap().value.is_err());
    let rejection = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Reject),
        ANN_KEY,
    );
    let decided = world
        .ledger
        .decide(caller(OPERATOR), "yes", rejection.clone())
        .await;
    decided.unwrap().value.unwrap();
    let (proposal, _, _) = draft.signed();
    assert_eq!(
        stops(&mut jobs).await.rejections,
        [(proposal.clone(), rejection.clone())]
    );
    let mut other = open(&world, super::lease::OTHER_WRITER, 1);
    assert_eq!(stops(&mut other).await.rejections, [(proposal, rejection)]);
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn newest_confirmation_is_kept_for_each_writer() {
    let world = TestLedger::new();
    let (frozen, digest) = freeze(&world);
    submit(&world, &frozen).await.unwrap();
    let confirmation = |writer: &str| SwitchConfirmation {
        v: 1,
        deployment_id: "dep-test".into(),
        environment: DeploymentEnvironment::Dev,
        switch_digest: digest,
        writer: writer.into(),
        frozen: true,
        committing: Vec::new(),
        recorded: Vec::new(),
        unrecorded: Vec::new(),
        at: world.now(),
    };
    for writer in ["w1", "w2", "w1"] {
        let signed = seal(ObjectKind::SwitchConfirmation, &confirmation(writer), WRITER_KEY);
        world.ledger.confirm_switch(caller(WRITER), signed).await.unwrap();
    }
    let forged = seal(ObjectKind::SwitchConfirmation, &confirmation("w3"), ANN_KEY);
    assert!(world.ledger.confirm_switch(caller(WRITER), forged).await.is_err());
    let found = world.ledger.switches(Some(digest)).await.unwrap();
    assert_eq!(found.confirmations.len(), 2);
}
