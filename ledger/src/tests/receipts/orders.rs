//! Receipt orders: the incidents that they end, their refusals, and their verification by a writer.

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{ReceiptAction, verify_receipt_order_at};
use synapsor_domain::event::EventKind;
use synapsor_domain::log::verify_checkpoint;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_domain::writeback::{ReceiptDiscrepancy, ReceiptRef};

use super::{Scene, Settled, lost};
use crate::test_kit::{BOB_KEY, LEDGER_KEY, NOBODY_KEY, ORIGIN, key, trust_file};

impl Scene {
    /// Adds a writer key that is retired at the newest head.
    pub(super) fn retire_a_writer(&self) {
        let head = self.world.ledger.store.head().borrow().clone();
        self.write_trust(|trust| {
            let old = key(NOBODY_KEY);
            trust["writers"].as_array_mut().unwrap().push(json!({
                "key_id": old.key_id(), "public_key": old.public_key(), "retired": true,
                "retired_at_size": head.size, "retired_at_root": hex::encode(head.root),
            }));
        });
    }

    fn write_trust(&self, change: impl FnOnce(&mut Json)) {
        let path = self.world.dir.path().join("trust.json");
        let mut trust: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut trust);
        std::fs::write(path, trust.to_string()).unwrap();
    }

    async fn unproven(&mut self) -> (crate::test_kit::Draft, Settled) {
        let (draft, id) = self.started("0").await;
        self.retire_a_writer();
        let receipt = self.receipt(&draft, id, NOBODY_KEY);
        (draft, receipt)
    }
}

#[tokio::test]
async fn receipt_of_retired_key_is_settled_after_it_was_adopted() {
    let mut scene = Scene::new();
    let (draft, receipt) = scene.unproven().await;
    for _ in 0..3 {
        let refused = scene.settle(&draft, &receipt).await;
        assert_eq!(refused, Err(ErrorCode::RefusedReceiptUnproven));
    }
    // One alarm, however often the receipt is presented.
    assert_eq!(scene.count(EventKind::ReceiptAlarm).await, 1);
    let kind = "receipt_unproven".to_owned();
    let id = receipt.named.proposal_id.to_string();
    assert_eq!(scene.incidents().await, [(kind, id)]);
    // It is already recorded, under another kind.
    let orphan = ReceiptDiscrepancy::OrphanReceipt;
    assert_eq!(scene.find(orphan, &[&receipt.named]).await, Ok(0));

    scene
        .order(ReceiptAction::Adopt, &[&receipt.named], None)
        .await
        .unwrap();
    assert_eq!(scene.incidents().await, []);
    scene.settle(&draft, &receipt).await.unwrap();
    assert_eq!(scene.newest().await, Some(scene.seq_of(&receipt).await));
    scene.verify().await;
}

#[tokio::test]
async fn adoption_under_a_revoked_key_settles_nothing() {
    let mut scene = Scene::new();
    let (draft, receipt) = scene.unproven().await;
    scene.settle(&draft, &receipt).await.unwrap_err();
    scene
        .order(ReceiptAction::Adopt, &[&receipt.named], None)
        .await
        .unwrap();
    scene.write_trust(|trust| trust["operators"][0]["revoked"] = true.into());
    let refused = scene.settle(&draft, &receipt).await;
    assert_eq!(refused, Err(ErrorCode::RefusedReceiptUnproven));
}

#[tokio::test]
async fn rejects_order_about_unknown_receipts() {
    let mut scene = Scene::new();
    let settled = scene.applied("0").await;
    let other = ReceiptRef {
        receipt_digest: settled.named.receipt_digest,
        proposal_id: synapsor_domain::ids::ProposalId::from_random([7; 10]),
    };
    for (action, named) in [
        (ReceiptAction::GiveUp, &other),
        (ReceiptAction::Adopt, &other),
        // Settled and never reported.
        (ReceiptAction::Adopt, &settled.named),
    ] {
        let refused = scene.order(action, &[named], None).await;
        assert_eq!(refused, Err(ErrorCode::RefusedReceiptUnknown), "{action:?}");
    }
    assert_eq!(scene.count(EventKind::ReceiptsOrdered).await, 0);
}

#[tokio::test]
async fn same_receipt_order_is_recorded_once() {
    let mut scene = Scene::new();
    let settled = scene.applied("0").await;
    let signed = scene.signed_order(ReceiptAction::GiveUp, &[&settled.named], None);
    let first = scene.submit(&signed).await.unwrap();
    assert_eq!(scene.submit(&signed).await, Ok(first));
    assert_eq!(scene.count(EventKind::ReceiptsOrdered).await, 1);
    // Another signer's order is refused.
    let viewer = DsseEnvelope::sign(
        ObjectKind::ReceiptOrder,
        &signed
            .decode_unverified::<Json>(ObjectKind::ReceiptOrder)
            .unwrap(),
        &key(BOB_KEY),
    );
    assert_eq!(scene.submit(&viewer.unwrap()).await, Err(ErrorCode::RefusedKey));
    scene.later(Span::minutes(16));
    let again = scene.signed_order(ReceiptAction::GiveUp, &[&settled.named], None);
    scene.later(Span::minutes(16));
    assert_eq!(scene.submit(&again).await, Err(ErrorCode::RefusedExpired));
}

#[tokio::test]
async fn archive_ends_incidents_before_its_cut_and_never_moves_back() {
    let mut scene = Scene::new();
    let old = scene.applied("0").await;
    let cut = scene.later(Span::minutes(10));
    let young = scene.applied("1").await;
    let both = [&old.named, &young.named];
    let found = ReceiptDiscrepancy::EffectLost;
    assert_eq!(scene.find(found, &both).await, Ok(2));
    let (_, concerned) = scene.order(ReceiptAction::Archive, &[], Some(cut)).await.unwrap();
    assert_eq!(concerned, 1);
    assert_eq!(scene.incidents().await, [lost(&young)]);
    let page = scene
        .world
        .ledger
        .source_receipts("main".into(), None, 10)
        .await
        .unwrap();
    assert_eq!(page.archived_before, Some(cut));
    assert_eq!(page.receipts.len(), 1);
    assert_eq!(
        scene.find(found, &both).await,
        Ok(0),
        "an archived receipt is not lost"
    );

    let back = scene.order(ReceiptAction::Archive, &[], Some(cut + Span::minutes(-1)));
    assert_eq!(back.await, Err(ErrorCode::RefusedArchiveCut));
    let later = scene.later(Span::minutes(1));
    scene
        .order(ReceiptAction::Archive, &[], Some(later))
        .await
        .unwrap();
    assert_eq!((scene.newest().await, scene.incidents().await), (None, vec![]));
    scene.verify().await;
}

#[tokio::test]
async fn receipts_behind_a_long_archive_are_found_by_time() {
    let mut scene = Scene::new();
    let young = scene.applied("0").await;
    scene.world.clock.set_ms(crate::test_kit::NOW_MS - 600_000);
    // Settled later, and created before.
    scene.applied("1").await;
    scene.world.clock.set_ms(crate::test_kit::NOW_MS);
    let cut = scene.world.now();
    scene.order(ReceiptAction::Archive, &[], Some(cut)).await.unwrap();
    assert_eq!(scene.newest().await, Some(scene.seq_of(&young).await));
}

#[tokio::test]
async fn found_orders_verify_under_the_checkpoint() {
    let mut scene = Scene::new();
    let (first, second) = (scene.applied("0").await, scene.applied("1").await);
    let known = scene.world.ledger.store.head().borrow().size;
    scene
        .order(ReceiptAction::GiveUp, &[&first.named, &second.named], None)
        .await
        .unwrap();
    for minutes in [20, 10] {
        let cut = scene.world.now() + Span::minutes(-minutes);
        scene.order(ReceiptAction::Archive, &[], Some(cut)).await.unwrap();
    }
    let ledger = &scene.world.ledger;
    let asked = vec![first.named.proposal_id.clone()];
    let found = ledger
        .find_receipt_orders("main".into(), asked, known)
        .await
        .unwrap();
    let head = verify_checkpoint(&found.checkpoint, ORIGIN, &key(LEDGER_KEY).public_key()).unwrap();
    let trust = TrustFile::parse(trust_file(false).as_bytes()).unwrap();
    let mut actions = Vec::new();
    for logged in &found.orders {
        let event = logged.verify(&head).unwrap();
        assert_eq!(event.kind, EventKind::ReceiptsOrdered);
        let envelope = DsseEnvelope::from_bytes(&logged.body).unwrap();
        let verified = verify_receipt_order_at(&envelope, &trust, &Position::Unproven).unwrap();
        actions.push((verified.order().action, verified.order().before));
    }
    let newest = scene.world.now() + Span::minutes(-10);
    let expected = [
        (ReceiptAction::GiveUp, None),
        (ReceiptAction::Archive, Some(newest)),
    ];
    assert_eq!(actions, expected);
    assert!(found.consistency.is_some());

    let none = ledger
        .find_receipt_orders("other".into(), Vec::new(), 0)
        .await
        .unwrap();
    assert!(none.orders.is_empty() && none.consistency.is_none());
}
