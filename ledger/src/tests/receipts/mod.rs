//! Receipts by source, the findings of writers about them, and the orders of operators.

mod orders;

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{ReceiptAction, ReceiptOrder, SignerInfo};
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::writeback::{
    AttemptResult, ReceiptDiscrepancy, ReceiptFinding, ReceiptOutcome, ReceiptRef,
};

use super::lease::{Jobs, next, open};
use crate::finish_attempt::FinishedAttempt;
use crate::store::events::{self, TailFilter};
use crate::store::receipts;
use crate::test_kit::{
    ANN_KEY, Draft, NOBODY_KEY, OPERATOR, TestLedger, WRITER, WRITER_KEY, caller, key, seal,
};

struct Scene {
    world: TestLedger,
    jobs: Jobs,
}

/// A receipt that the ledger settled.
#[derive(Debug, Clone)]
struct Settled {
    named: ReceiptRef,
    signed: DsseEnvelope,
}

impl Scene {
    fn new() -> Self {
        let world = TestLedger::new();
        let jobs = open(&world, WRITER, 1);
        Self { world, jobs }
    }

    async fn started(&mut self, value: &str) -> (Draft, ProposalId) {
        let draft = self.world.draft(value);
        let id = self.world.ordered(&draft).await;
        let token = next(&mut self.jobs).await.unwrap().token.to_vec();
        self.world
            .ledger
            .start(caller(WRITER), id.clone(), token)
            .await
            .unwrap();
        (draft, id)
    }

    /// Applies a change; its receipt has the clock's time.
    async fn applied(&mut self, value: &str) -> Settled {
        let (draft, id) = self.started(value).await;
        let settled = self.receipt(&draft, id, WRITER_KEY);
        self.settle(&draft, &settled).await.unwrap();
        settled
    }

    fn receipt(&self, draft: &Draft, proposal_id: ProposalId, seed: u8) -> Settled {
        let signed = seal(
            ObjectKind::Receipt,
            &self.world.receipt(draft, ReceiptOutcome::Applied),
            seed,
        );
        let receipt_digest = signed.digest(ObjectKind::Receipt).unwrap();
        Settled {
            named: ReceiptRef {
                proposal_id,
                receipt_digest,
            },
            signed,
        }
    }

    async fn settle(&self, draft: &Draft, settled: &Settled) -> Result<(), ErrorCode> {
        let attempt = self
            .world
            .report(draft, AttemptResult::Applied, Some(&settled.signed));
        let settlement = FinishedAttempt {
            id: settled.named.proposal_id.clone(),
            token: Vec::new(),
            attempt,
            receipt: Some(settled.signed.clone()),
        };
        let done = self
            .world
            .ledger
            .settle(caller(WRITER), settlement)
            .await
            .unwrap();
        done.value.map(|_| ()).map_err(|refusal| refusal.code)
    }

    async fn newest(&self) -> Option<u64> {
        let read = self
            .world
            .ledger
            .store
            .read(|reader| Ok(receipts::newest_expected(reader.conn(), "main")?));
        read.await.unwrap()
    }

    async fn seq_of(&self, settled: &Settled) -> u64 {
        let named = settled.named.clone();
        let read = self
            .world
            .ledger
            .store
            .read(move |reader| Ok(receipts::settled(reader.conn(), "main", &named)?));
        read.await.unwrap().expect("a settled receipt")
    }

    async fn find(&self, discrepancy: ReceiptDiscrepancy, named: &[&ReceiptRef]) -> Result<u32, ErrorCode> {
        self.find_as("w1", discrepancy, named).await
    }

    async fn find_as(
        &self,
        writer: &str,
        discrepancy: ReceiptDiscrepancy,
        named: &[&ReceiptRef],
    ) -> Result<u32, ErrorCode> {
        let mut receipts: Vec<ReceiptRef> = named.iter().map(|named| (*named).clone()).collect();
        receipts.sort();
        let finding = ReceiptFinding {
            v: 1,
            deployment_id: "dep-test".into(),
            environment: DeploymentEnvironment::Dev,
            writer: writer.into(),
            source: "main".into(),
            discrepancy,
            receipts,
            database_identity: "sqlite:test".into(),
            at: self.world.now(),
        };
        let signed = seal(ObjectKind::ReceiptFinding, &finding, WRITER_KEY);
        let recorded = self.world.ledger.record_finding(caller(WRITER), signed).await;
        recorded.map_err(|error| crate::refusal_of(error).code)
    }

    async fn order(
        &self,
        action: ReceiptAction,
        named: &[&ReceiptRef],
        before: Option<Timestamp>,
    ) -> Result<(u64, u64), ErrorCode> {
        self.submit(&self.signed_order(action, named, before)).await
    }

    fn signed_order(
        &self,
        action: ReceiptAction,
        named: &[&ReceiptRef],
        before: Option<Timestamp>,
    ) -> DsseEnvelope {
        let mut receipts: Vec<ReceiptRef> = named.iter().map(|named| (*named).clone()).collect();
        receipts.sort();
        let order = ReceiptOrder {
            v: 1,
            deployment_id: "dep-test".into(),
            environment: DeploymentEnvironment::Dev,
            source: "main".into(),
            action,
            receipts,
            before,
            approver: SignerInfo {
                key_id: key(ANN_KEY).key_id(),
                person: "ann".into(),
                role: "applier".into(),
            },
            issued_at: self.world.now(),
            nonce: random::hex_id(32),
            reason: None,
        };
        seal(ObjectKind::ReceiptOrder, &order, ANN_KEY)
    }

    async fn submit(&self, signed: &DsseEnvelope) -> Result<(u64, u64), ErrorCode> {
        let done = self
            .world
            .ledger
            .submit_receipt_order(caller(OPERATOR), signed.clone())
            .await;
        done.map(|done| (done.value.seq, done.value.receipts))
            .map_err(|error| crate::refusal_of(error).code)
    }

    async fn incidents(&self) -> Vec<(String, String)> {
        let read = self
            .world
            .ledger
            .store
            .read(|reader| Ok(receipts::open_incidents(reader.conn(), (None, None), None, 100)?));
        let found = read.await.unwrap();
        found
            .into_iter()
            .map(|incident| (incident.kind.as_str().to_owned(), incident.proposal_id))
            .collect()
    }

    async fn count(&self, kind: EventKind) -> usize {
        let filter = TailFilter {
            proposal: None,
            kind: Some(kind),
            ..Default::default()
        };
        let read = self.world.ledger.store.read(move |reader| {
            Ok(events::tail(reader.conn(), (0, u64::from(u32::MAX)), &filter)?
                .events
                .len())
        });
        read.await.unwrap()
    }

    /// Checks that the tables equal the ones derived again from the events.
    async fn verify(&self) {
        self.world.ledger.store.verify_full().await.unwrap();
    }
}

fn lost(settled: &Settled) -> (String, String) {
    ("effect_lost".to_owned(), settled.named.proposal_id.to_string())
}

#[tokio::test]
async fn job_carries_newest_receipt_of_its_source() {
    let mut scene = Scene::new();
    let first = scene.world.draft("0");
    scene.world.ordered(&first).await;
    let job = next(&mut scene.jobs).await.unwrap();
    assert_eq!(job.newest_receipt, None);
    let settled = scene.receipt(&first, first.proposal.id.clone(), WRITER_KEY);
    scene
        .world
        .ledger
        .start(caller(WRITER), first.proposal.id.clone(), job.token.to_vec())
        .await
        .unwrap();
    scene.settle(&first, &settled).await.unwrap();
    scene.world.ordered(&scene.world.draft("1")).await;
    let job = next(&mut scene.jobs).await.unwrap();
    assert_eq!(job.newest_receipt, Some(settled.signed));
}

#[tokio::test]
async fn lost_receipt_is_recorded_once_and_first_until_given_up() {
    let mut scene = Scene::new();
    let (first, second) = (scene.applied("0").await, scene.applied("1").await);
    assert_eq!(scene.newest().await, Some(scene.seq_of(&second).await));
    let found = ReceiptDiscrepancy::EffectLost;
    assert_eq!(scene.find(found, &[&first.named]).await, Ok(1));
    // The second receipt does not hide the loss of the first.
    assert_eq!(scene.newest().await, Some(scene.seq_of(&first).await));
    assert_eq!(scene.find(found, &[&first.named]).await, Ok(0));
    assert_eq!(scene.find(found, &[&first.named, &second.named]).await, Ok(1));
    assert_eq!(scene.count(EventKind::EffectLost).await, 2);
    assert_eq!(scene.incidents().await.len(), 2);
    let page = scene
        .world
        .ledger
        .source_receipts("main".into(), None, 10)
        .await
        .unwrap();
    let shown: Vec<_> = page.receipts.iter().map(|r| (&r.signed, r.is_lost)).collect();
    assert_eq!(shown, [(&second.signed, true), (&first.signed, true)]);

    let both = [&first.named, &second.named];
    scene.order(ReceiptAction::GiveUp, &both, None).await.unwrap();
    assert_eq!((scene.newest().await, scene.incidents().await), (None, vec![]));
    let page = scene
        .world
        .ledger
        .source_receipts("main".into(), None, 10)
        .await
        .unwrap();
    assert!(page.receipts.is_empty());
    // A receipt that was given up does not become lost again.
    assert_eq!(scene.find(found, &both).await, Ok(0));
    scene.verify().await;
}

#[tokio::test]
async fn effect_lost_counts_only_for_receipts_in_the_ledger() {
    let mut scene = Scene::new();
    let held = scene.applied("0").await;
    let (draft, id) = scene.started("1").await;
    let unsettled = scene.receipt(&draft, id, WRITER_KEY);
    let other_digest = ReceiptRef {
        receipt_digest: unsettled.named.receipt_digest,
        ..held.named.clone()
    };
    let found = ReceiptDiscrepancy::EffectLost;
    assert_eq!(scene.find(found, &[&unsettled.named]).await, Ok(0));
    assert_eq!(scene.find(found, &[&other_digest]).await, Ok(0));
    assert_eq!(scene.count(EventKind::EffectLost).await, 0);
    assert_eq!(scene.find(found, &[&unsettled.named, &held.named]).await, Ok(1));
    assert_eq!(scene.incidents().await, [lost(&held)]);
    scene.verify().await;
}

#[tokio::test]
async fn finding_counts_only_from_the_writer_of_the_certificate() {
    let mut scene = Scene::new();
    let held = scene.applied("0").await;
    let found = ReceiptDiscrepancy::EffectLost;
    for name in ["w2", "", "spiffe://dep-test/writer/w2"] {
        let refused = scene.find_as(name, found, &[&held.named]).await;
        assert_eq!(refused, Err(ErrorCode::RefusedKey), "{name}");
    }
    assert_eq!(scene.find_as(WRITER, found, &[&held.named]).await, Ok(1));
    let forged = seal(ObjectKind::ReceiptFinding, &serde_json::json!({}), NOBODY_KEY);
    let refused = scene.world.ledger.record_finding(caller(WRITER), forged).await;
    assert_eq!(super::lease::code(refused), ErrorCode::RefusedKey);
}

#[tokio::test]
async fn orphan_of_unknown_proposal_is_recorded_until_adopted() {
    let mut scene = Scene::new();
    let settled = scene.applied("0").await;
    let stranger = ReceiptRef {
        proposal_id: ProposalId::from_random(random::bytes()),
        receipt_digest: settled.named.receipt_digest,
    };
    let found = ReceiptDiscrepancy::OrphanReceipt;
    // A receipt that the log contains is not an orphan.
    assert_eq!(scene.find(found, &[&settled.named]).await, Ok(0));
    assert_eq!(scene.find(found, &[&stranger, &settled.named]).await, Ok(1));
    assert_eq!(scene.find(found, &[&stranger]).await, Ok(0));
    assert_eq!(scene.count(EventKind::OrphanReceipt).await, 1);
    scene
        .order(ReceiptAction::Adopt, &[&stranger], None)
        .await
        .unwrap();
    assert_eq!(scene.incidents().await, []);
    assert_eq!(scene.find(found, &[&stranger]).await, Ok(0));
    scene.verify().await;
}

#[tokio::test]
async fn changed_row_is_not_applied_until_adopted() {
    let mut scene = Scene::new();
    let (draft, id) = scene.started("0").await;
    let receipt = scene.receipt(&draft, id, WRITER_KEY);
    let found = ReceiptDiscrepancy::RowChangedInCommit;
    assert_eq!(scene.find(found, &[&receipt.named]).await, Ok(1));
    for _ in 0..2 {
        let refused = scene.settle(&draft, &receipt).await;
        assert_eq!(refused, Err(ErrorCode::RefusedRowChangedInCommit));
    }
    assert_eq!(
        (
            scene.count(EventKind::RowChangedInCommit).await,
            scene.count(EventKind::ReceiptAlarm).await
        ),
        (1, 0)
    );
    scene
        .order(ReceiptAction::Adopt, &[&receipt.named], None)
        .await
        .unwrap();
    scene.settle(&draft, &receipt).await.unwrap();
    assert_eq!(scene.incidents().await, []);
    assert_eq!(scene.newest().await, Some(scene.seq_of(&receipt).await));
    scene.verify().await;
}

#[tokio::test]
async fn incidents_survive_a_restart_and_a_migration() {
    let mut scene = Scene::new();
    let (first, second) = (scene.applied("0").await, scene.applied("1").await);
    scene
        .find(ReceiptDiscrepancy::EffectLost, &[&first.named])
        .await
        .unwrap();
    let Scene { world, jobs } = scene;
    drop(jobs);
    let world = world.restart().await;
    let jobs = open(&world, WRITER, 1);
    let scene = Scene { world, jobs };
    assert_eq!(scene.incidents().await, [lost(&first)]);

    // The same file as an earlier build would have left it: without the tables, and without findings.
    let mut scene = Scene::new();
    let third = scene.applied("2").await;
    let (draft, id) = scene.started("3").await;
    scene.retire_a_writer();
    let unproven = scene.receipt(&draft, id, NOBODY_KEY);
    scene.settle(&draft, &unproven).await.unwrap_err();
    let before = (scene.newest().await, scene.incidents().await);
    assert_eq!(before.1.len(), 1);
    let Scene { world, jobs } = scene;
    drop(jobs);
    let TestLedger { dir, clock, ledger } = world;
    let path = dir.path().join("local.db");
    ledger.store.read_records(|_| Ok(())).await.unwrap();
    drop(ledger);
    crate::store::migrate::older::out_of_blocks(&path);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    conn.execute_batch(
        "DROP TABLE source_receipts; DROP TABLE receipt_incidents; DROP TABLE receipt_orders; \
         DROP TABLE receipt_order_refs; PRAGMA user_version = 5",
    )
    .unwrap();
    drop(conn);
    let ledger = crate::test_kit::open(&dir, clock.clone());
    let world = TestLedger { dir, clock, ledger };
    let jobs = open(&world, WRITER, 1);
    let scene = Scene { world, jobs };
    assert_eq!((scene.newest().await, scene.incidents().await), before);
    assert_eq!(before.0, Some(scene.seq_of(&third).await));
    scene.verify().await;
    drop(second);
}

#[tokio::test]
async fn altered_tables_of_receipts_fail_verification() {
    for sql in [
        "UPDATE source_receipts SET is_given_up = 1",
        "DELETE FROM receipt_incidents",
        "UPDATE receipt_incidents SET ended_seq = 1",
        "INSERT INTO receipt_orders VALUES (x'01', 9000, 'main', 'archive', 1, 'ann')",
        "INSERT INTO receipt_order_refs VALUES ('main', 'wrp_x', 'sha256:00', 'adopt', 1)",
    ] {
        let mut scene = Scene::new();
        let settled = scene.applied("0").await;
        scene
            .find(ReceiptDiscrepancy::EffectLost, &[&settled.named])
            .await
            .unwrap();
        scene.verify().await;
        let conn = rusqlite::Connection::open(scene.world.store_path()).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        assert_eq!(conn.execute(sql, []).unwrap(), 1, "{sql}");
        let verified = scene.world.ledger.store.verify_full().await;
        assert!(verified.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn pages_of_a_source_end_and_hold_each_receipt_once() {
    let mut scene = Scene::new();
    let mut expected = Vec::new();
    for value in ["0", "1", "2", "3", "4"] {
        expected.insert(0, scene.applied(value).await.signed);
    }
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = scene
            .world
            .ledger
            .source_receipts("main".into(), before, 2)
            .await
            .unwrap();
        assert!(page.receipts.len() <= 2);
        found.extend(page.receipts.into_iter().map(|receipt| receipt.signed));
        before = page.next_before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
    let other = scene
        .world
        .ledger
        .source_receipts("other".into(), None, 2)
        .await
        .unwrap();
    assert!(other.receipts.is_empty() && other.next_before.is_none());
}

impl Scene {
    fn later(&self, by: Span) -> Timestamp {
        self.world.clock.advance_ms(by.as_millis());
        self.world.now()
    }
}
