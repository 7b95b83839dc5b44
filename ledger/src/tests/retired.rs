//! Objects signed by a retired key count if the log contains them from before its retirement, and not otherwise.

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::event::EventKind;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{AttemptResult, ReceiptOutcome};

use crate::finish_attempt::FinishedAttempt;
use crate::store::Store;
use crate::store::events::{self, TailFilter};
use crate::test_kit::{
    ANN_KEY, BOB_KEY, LEDGER_KEY, NOBODY_KEY, OPERATOR, ORIGIN, TestLedger, WRITER, caller, key, seal,
    trust_file,
};

/// Tree head at which a key is retired.
enum At {
    /// At the newest head.
    Now,
    /// At the newest size, in another log.
    OtherLog,
    /// The trust file names no tree head.
    Bare,
}

/// Retires the first key of a list.
fn retire(world: &TestLedger, list: &str, at: &At) {
    let head = world.ledger.store.head().borrow().clone();
    let mut trust: Json = serde_json::from_str(&trust_file(false)).unwrap();
    trust["operators"][1]["roles"] = json!(["applier"]);
    let entry = &mut trust[list][0];
    entry["retired"] = true.into();
    let root = match at {
        At::Bare => None,
        At::Now => Some(hex::encode(head.root)),
        At::OtherLog => Some(hex::encode([9; 32])),
    };
    if let Some(root) = root {
        entry["retired_at_size"] = head.size.into();
        entry["retired_at_root"] = root.into();
    }
    std::fs::write(world.dir.path().join("trust.json"), trust.to_string()).unwrap();
}

async fn decide(world: &TestLedger, signed: DsseEnvelope) -> Result<u32, ErrorCode> {
    let id = synapsor_chassis::random::hex_id(16);
    let done = world.ledger.decide(caller(OPERATOR), &id, signed).await.unwrap();
    done.value
        .map(|decided| decided.approvals)
        .map_err(|refusal| refusal.code)
}

async fn order(world: &TestLedger, signed: DsseEnvelope) -> Result<(), ErrorCode> {
    let id = synapsor_chassis::random::hex_id(16);
    let done = world
        .ledger
        .request_apply(caller(OPERATOR), &id, signed)
        .await
        .unwrap();
    done.value.map(|_| ()).map_err(|refusal| refusal.code)
}

#[tokio::test]
async fn approval_of_retired_key_counts_only_from_before() {
    for (at, expected) in [
        (At::Now, Ok(())),
        (At::Bare, Ok(())),
        (At::OtherLog, Err(ErrorCode::RefusedKey)),
    ] {
        let world = TestLedger::new();
        let draft = world.draft("0");
        world.propose(&draft).await;
        let approval = seal(
            ObjectKind::Decision,
            &world.decision(&draft, DecisionKind::Approve),
            ANN_KEY,
        );
        assert_eq!(decide(&world, approval.clone()).await, Ok(1));
        retire(&world, "operators", &at);
        let mut signed = world.order(&draft, &[approval.digest(ObjectKind::Decision).unwrap()]);
        signed.approver.key_id = key(BOB_KEY).key_id();
        signed.approver.person = "bob".to_owned();
        assert_eq!(
            order(&world, seal(ObjectKind::ApplyOrder, &signed, BOB_KEY)).await,
            expected
        );
    }
}

#[tokio::test]
async fn retired_operator_key_signs_only_rejections() {
    let world = TestLedger::new();
    let (first, second) = (world.draft("0"), world.draft("1"));
    world.propose(&first).await;
    world.propose(&second).await;
    retire(&world, "operators", &At::Now);
    let approval = seal(
        ObjectKind::Decision,
        &world.decision(&first, DecisionKind::Approve),
        ANN_KEY,
    );
    assert_eq!(decide(&world, approval).await, Err(ErrorCode::RefusedKey));
    let rejection = seal(
        ObjectKind::Decision,
        &world.decision(&second, DecisionKind::Reject),
        ANN_KEY,
    );
    assert!(decide(&world, rejection).await.is_ok());
}

#[tokio::test]
async fn rejects_new_submission_of_a_retired_reader_key() {
    for at in [At::Now, At::Bare] {
        let world = TestLedger::new();
        world.propose(&world.draft("0")).await;
        retire(&world, "readers", &at);
        let (proposal, evidence, audit) = world.draft("1").signed();
        let record = crate::intake::CallRecordBody::Proposal {
            proposal,
            evidence,
            audit,
        };
        assert!(world.submit("again", record).await.is_err());
    }
}

#[tokio::test]
async fn receipt_of_retired_writer_key_not_in_log_raises_alarm() {
    for at in [At::Now, At::Bare] {
        let world = TestLedger::new();
        let draft = world.draft("0");
        let id = world.ordered(&draft).await;
        let receipt = seal(
            ObjectKind::Receipt,
            &world.receipt(&draft, ReceiptOutcome::Applied),
            NOBODY_KEY,
        );
        // The old key signed the receipt, and a writer with a new key presents it.
        retire_writer_for(&world, &at);
        let report = world.report(&draft, AttemptResult::AlreadyApplied, Some(&receipt));
        let settlement = FinishedAttempt {
            id: id.clone(),
            token: Vec::new(),
            attempt: report,
            receipt: Some(receipt),
        };
        let settled = world.ledger.settle(caller(WRITER), settlement).await.unwrap();
        assert_eq!(settled.value.unwrap_err().code, ErrorCode::RefusedReceiptUnproven);
        assert_eq!(alarms(&world).await, 1);
    }
}

/// Adds a writer key that is retired at the newest head.
fn retire_writer_for(world: &TestLedger, at: &At) {
    let head = world.ledger.store.head().borrow().clone();
    let mut trust: Json = serde_json::from_str(&trust_file(false)).unwrap();
    let old = key(NOBODY_KEY);
    let mut entry = json!({ "key_id": old.key_id(), "public_key": old.public_key(), "retired": true });
    if !matches!(at, At::Bare) {
        entry["retired_at_size"] = head.size.into();
        entry["retired_at_root"] = hex::encode(head.root).into();
    }
    trust["writers"].as_array_mut().unwrap().push(entry);
    std::fs::write(world.dir.path().join("trust.json"), trust.to_string()).unwrap();
}

async fn alarms(world: &TestLedger) -> usize {
    let filter = TailFilter {
        proposal: None,
        kind: Some(EventKind::ReceiptAlarm),
        ..Default::default()
    };
    let alarms = world.ledger.store.read(move |r| {
        Ok(events::tail(r.conn(), (0, u64::from(u32::MAX)), &filter)?
            .events
            .len())
    });
    alarms.await.unwrap()
}

#[tokio::test]
async fn store_of_retired_ledger_key_opens_under_its_successor() {
    let world = TestLedger::new();
    world.propose(&world.draft("0")).await;
    let head = world.ledger.store.head().borrow().clone();
    let path = world.store_path();
    let trusted = |size: u64, root: String| {
        let mut trust: Json = serde_json::from_str(&trust_file(false)).unwrap();
        trust["ledgers"][0]["retired_at_size"] = size.into();
        trust["ledgers"][0]["retired_at_root"] = root.into();
        let new = key(NOBODY_KEY);
        let entry = json!({ "key_id": new.key_id(), "public_key": new.public_key() });
        trust["ledgers"].as_array_mut().unwrap().push(entry);
        synapsor_domain::trust::TrustFile::parse(trust.to_string().as_bytes()).unwrap()
    };
    let TestLedger { dir, ledger, .. } = world;
    drop(ledger);
    let open = |trust: &synapsor_domain::trust::TrustFile| {
        let lock = loop {
            let lock = synapsor_chassis::files::FileLock::try_exclusive(&dir.path().join("lock")).unwrap();
            if let Some(lock) = lock {
                break lock;
            }
        };
        Store::open_locked(&path, trust, key(NOBODY_KEY), lock)
            .map(drop)
            .map_err(|e| e.code())
    };
    assert_eq!(open(&trusted(head.size, hex::encode(head.root))), Ok(()));
    // Retired before the newest head that it signed, or in another log.
    assert_eq!(
        open(&trusted(1, hex::encode(head.root))),
        Err(ErrorCode::StoreTampered)
    );
    assert_eq!(
        open(&trusted(head.size, hex::encode([9; 32]))),
        Err(ErrorCode::StoreTampered)
    );
    assert_ne!(key(LEDGER_KEY).key_id(), key(NOBODY_KEY).key_id());
    assert_eq!(head.note.lines().next(), Some(ORIGIN));
}
