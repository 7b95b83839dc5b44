//! A discontinuity is recorded only by the ledger of the log that it keeps.

use synapsor_domain::approval::{Discontinuity, SignerInfo, SignerTreeHead};
use synapsor_domain::log::TreeHead;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::trust::{DeploymentEnvironment, RECOVERY};

use crate::store::StoreTxError;
use crate::test_kit::{ANN_KEY, OPERATOR, ORIGIN, TestLedger, caller, key, seal};

fn signed(world: &TestLedger, kept: TreeHead) -> DsseEnvelope {
    let head = |head: TreeHead| SignerTreeHead {
        origin: ORIGIN.to_owned(),
        size: head.size,
        root: hex::encode(head.root),
    };
    let lost = TreeHead {
        size: kept.size + 9,
        root: [3; 32],
    };
    let object = Discontinuity {
        v: 1,
        deployment_id: "dep-test".to_owned(),
        environment: DeploymentEnvironment::Dev,
        kept: head(kept),
        lost: vec![head(lost)],
        approver: SignerInfo {
            key_id: key(ANN_KEY).key_id(),
            person: "ann".to_owned(),
            role: RECOVERY.to_owned(),
        },
        issued_at: world.now(),
        nonce: "0".repeat(32),
        reason: None,
    };
    seal(ObjectKind::Discontinuity, &object, ANN_KEY)
}

#[tokio::test]
async fn discontinuity_keeps_a_head_of_this_log_only() {
    let world = TestLedger::new();
    world.read(&world.draft("read")).await;
    let newest = world.ledger.store.head().borrow().clone();
    let (size, root) = (newest.size, newest.root);
    for kept in [
        TreeHead { size, root: [7; 32] },
        TreeHead { size: size + 1, root },
    ] {
        let recorded = world
            .ledger
            .record_discontinuity(caller(OPERATOR), signed(&world, kept))
            .await;
        match recorded {
            Err(StoreTxError::Refused(refused)) => assert_eq!(refused.code.as_str(), "refused:malformed"),
            other => panic!("{other:?}"),
        }
    }
    let kept = TreeHead { size, root };
    let seq = world
        .ledger
        .record_discontinuity(caller(OPERATOR), signed(&world, kept))
        .await
        .unwrap();
    assert_eq!(seq, size);
    world.ledger.verify_store().await.unwrap();
}
