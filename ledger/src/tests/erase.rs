//! Erasure: what an order erases, what stays, and what a full check finds when a body is missing without an order.

use rusqlite::Connection;
use synapsor_chassis::random;
use synapsor_domain::approval::{DecisionKind, ErasureOrder, ErasureSelection, SignerInfo};
use synapsor_domain::log::NoteKeys;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::{DeploymentEnvironment, ERASER};

use crate::store::{Store, StoreError, StoreTxError, verify_under};
use crate::test_kit::{ANN_KEY, BOB_KEY, LEDGER_KEY, OPERATOR, ORIGIN, TestLedger, caller, key, seal};

fn order(world: &TestLedger, selection: ErasureSelection, seed: u8) -> DsseEnvelope {
    let key = key(seed);
    let order = ErasureOrder {
        v: 1,
        deployment_id: "dep-test".to_owned(),
        environment: DeploymentEnvironment::Dev,
        selection,
        approver: SignerInfo {
            key_id: key.key_id(),
            person: if seed == ANN_KEY { "ann" } else { "bob" }.to_owned(),
            role: ERASER.to_owned(),
        },
        issued_at: world.now(),
        nonce: "0".repeat(32),
        reason: None,
    };
    seal(ObjectKind::ErasureOrder, &order, seed)
}

fn keys() -> NoteKeys {
    NoteKeys::from(&key(LEDGER_KEY).public_key())
}

/// Everything that was recorded until now.
fn until_now(world: &TestLedger) -> ErasureSelection {
    ErasureSelection::Before {
        before: world.now() + Span::seconds(1),
    }
}

/// Ledger with many reads and one open proposal, of which the reads are erased.
async fn erased() -> TestLedger {
    let world = TestLedger::new();
    for n in 0..40 {
        world.read(&world.draft(&format!("read-{n}"))).await;
    }
    world.propose(&world.draft("open")).await;
    world.clock.advance_ms(2_000);
    let selected = order(&world, ErasureSelection::Before { before: world.now() }, ANN_KEY);
    let counted = world
        .ledger
        .count_erasable(ErasureSelection::Before { before: world.now() })
        .await
        .unwrap();
    assert_eq!((counted.proposals, counted.kept), (0, 1));
    assert_eq!(counted.records, 40);
    let done = world.ledger.erase(caller(OPERATOR), selected).await.unwrap();
    assert_eq!((done.proposals, done.bodies), (0, 40));
    world
}

#[tokio::test]
async fn store_with_erased_bodies_is_whole() {
    let world = erased().await;
    world.ledger.store.verify_full().await.unwrap();
    // New records follow, also in the segment that was derived again.
    world.read(&world.draft("later")).await;
    world.propose(&world.draft("other")).await;
    let stats = world.ledger.store.stats().await.unwrap();
    let rows = |name: &str| stats.tables.iter().find(|(table, _)| *table == name).unwrap().1;
    assert_eq!(rows("erased_ranges"), 1);
    assert_eq!(rows("evidence"), 3);
    world.ledger.store.verify_full().await.unwrap();
}

/// Erases everything that has ended, and checks the store and its backup.
pub(super) async fn erase_ended(world: &TestLedger, proposals: u64) {
    world.clock.advance_ms(2_000);
    let selected = order(world, ErasureSelection::Before { before: world.now() }, ANN_KEY);
    let done = world.ledger.erase(caller(OPERATOR), selected).await.unwrap();
    assert_eq!(done.proposals, proposals);
    world.ledger.verify_store().await.unwrap();
    let path = world.dir.path().join("restored.db");
    let _ = std::fs::remove_file(&path);
    crate::store::restore::copy(&world.ledger.store, &path);
    verify_under(&path, ORIGIN, &keys()).unwrap();
}

#[tokio::test]
async fn proposals_that_ended_without_a_writer_are_erased() {
    let world = TestLedger::new();
    let mut draft = world.draft("expired");
    draft.proposal.not_after = world.now() + Span::minutes(60);
    world.propose(&draft).await;
    let rejected = world.draft("rejected");
    world.propose(&rejected).await;
    let decision = seal(
        ObjectKind::Decision,
        &world.decision(&rejected, DecisionKind::Reject),
        ANN_KEY,
    );
    world
        .ledger
        .decide(caller(OPERATOR), &random::hex_id(16), decision)
        .await
        .unwrap();
    world.clock.advance_ms(Span::minutes(61).as_millis());
    world.ledger.sweep().await.unwrap();
    erase_ended(&world, 2).await;
    // Ids stay taken.
    world.propose(&world.draft("next")).await;
    world.ledger.verify_store().await.unwrap();
}

#[tokio::test]
async fn erasure_without_the_order_of_an_operator_is_found() {
    let world = erased().await;
    world.ledger.verify_store().await.unwrap();
    // The key that signed the order has no role any more.
    world.revoke_ann();
    let refused = world.ledger.verify_store().await;
    assert!(
        matches!(refused, Err(StoreTxError::Store(StoreError::Tampered(_)))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn store_is_not_verified_without_the_trust_file() {
    let world = erased().await;
    std::fs::remove_file(world.dir.path().join("trust.json")).unwrap();
    let refused = world.ledger.verify_store().await;
    assert!(matches!(refused, Err(StoreTxError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn body_that_no_order_erased_is_missed() {
    let world = erased().await;
    let edits = [
        // The body of the open proposal.
        ("DROP TRIGGER block_bodies_only_erased", true),
        ("UPDATE erased_ranges SET last = last - 1", false),
        ("DELETE FROM erased_ranges", false),
        ("DELETE FROM event_index WHERE kind = 'bodies_erased'", false),
    ];
    for (sql, empties_a_body) in edits {
        let path = world.dir.path().join("copy.db");
        let _ = std::fs::remove_file(&path);
        let original = Connection::open(world.store_path()).unwrap();
        original
            .execute("VACUUM INTO ?1", [path.to_str().unwrap()])
            .unwrap();
        verify_under(&path, ORIGIN, &keys()).unwrap();
        let copy = Connection::open(&path).unwrap();
        let trigger: String = copy
            .query_row(
                "SELECT sql FROM sqlite_schema WHERE name = 'block_bodies_only_erased'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        copy.execute_batch(sql).unwrap();
        if empties_a_body {
            crate::store::empty_body(&copy, 42);
            copy.execute_batch(&trigger).unwrap();
        }
        drop(copy);
        let found = verify_under(&path, ORIGIN, &keys());
        assert!(matches!(found, Err(StoreError::Tampered(_))), "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn store_without_an_unerased_body_does_not_open() {
    let world = erased().await;
    for (seq, opens) in [(None, true), (Some(42), false)] {
        let path = world.dir.path().join("copy.db");
        let _ = std::fs::remove_file(&path);
        let original = Connection::open(world.store_path()).unwrap();
        original
            .execute("VACUUM INTO ?1", [path.to_str().unwrap()])
            .unwrap();
        if let Some(seq) = seq {
            crate::store::empty_body(&Connection::open(&path).unwrap(), seq);
        }
        let opened = Store::open(&path, ORIGIN, key(LEDGER_KEY));
        match opened {
            Ok(_) => assert!(opens),
            Err(error) => assert!(!opens && matches!(error, StoreError::Tampered(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn order_of_another_deployment_or_role_erases_nothing() {
    let world = TestLedger::new();
    world.read(&world.draft("read")).await;
    let mut foreign: ErasureOrder = order(&world, until_now(&world), ANN_KEY)
        .decode_unverified(ObjectKind::ErasureOrder)
        .unwrap();
    foreign.selection = ErasureSelection::Tenant {
        tenant: "acme".to_owned(),
    };
    foreign.deployment_id = "other".to_owned();
    let foreign = seal(ObjectKind::ErasureOrder, &foreign, ANN_KEY);
    let future = order(&world, until_now(&world), ANN_KEY);
    let tenant = ErasureSelection::Tenant {
        tenant: "acme".to_owned(),
    };
    let without_role = order(&world, tenant, BOB_KEY);
    for (signed, code) in [
        (foreign, "refused:audience"),
        (future, "refused:malformed"),
        (without_role, "refused:role"),
    ] {
        match world.ledger.erase(caller(OPERATOR), signed).await {
            Err(StoreTxError::Refused(refused)) => assert_eq!(refused.code.as_str(), code, "{refused:?}"),
            other => panic!("{code}: {other:?}"),
        }
    }
    let stats = world.ledger.store.stats().await.unwrap();
    assert!(stats.tables.contains(&("erased_ranges", 0)));
}
