//! Behaviors of the check for the newest known receipts: a database that lost one is not written.

use synapsor_domain::approval::{
    ReceiptAction, ReceiptOrder, SignerInfo, VerifiedReceiptOrder, verify_receipt_order_at,
};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::trust::{DeploymentEnvironment, Position, TrustFile};
use synapsor_domain::writeback::{Receipt, ReceiptOutcome, ReceiptRef};
use synapsor_source::StoredReceipt;

use super::behaviors::{AT, Db, Fixture, begin, commit, proposal_id};
use crate::known_receipts::{KnownReceipt, KnownReceipts};

const SOURCE: &str = "main";
/// After [`AT`].
const LATER: &str = "2026-01-03T00:00:00.000Z";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32].into())
}

/// Returns a genuine receipt.
pub(crate) fn known(n: u8) -> KnownReceipt {
    known_of(n, "the same")
}

/// Like [`known`], for the database with this identity.
fn known_of(n: u8, identity: &str) -> KnownReceipt {
    let receipt = Receipt {
        v: 1,
        proposal_id: proposal_id(n).parse().unwrap(),
        proposal_digest: format!("sha256:{}", format!("{n:02x}").repeat(32))
            .parse()
            .unwrap(),
        outcome: ReceiptOutcome::Applied,
        reason: String::new(),
        constraint: None,
        rows_affected: 1,
        previous_version: None,
        new_version: None,
        order_digest: None,
        fence: 1,
        attempt: 1,
        writer: "writer-1".to_owned(),
        ledger_size: 1,
        ledger_root: "00".repeat(32),
        database_identity: identity.to_owned(),
        created_at: AT.parse().unwrap(),
    };
    let envelope = DsseEnvelope::sign(ObjectKind::Receipt, &receipt, &key()).unwrap();
    let stored = StoredReceipt::from_envelope(&envelope).unwrap();
    KnownReceipt::of(receipt, &envelope, stored)
}

/// Returns the proposals whose receipts are missing before the proposal 9 is written.
async fn missed(db: &Db, receipts: &KnownReceipts) -> Vec<String> {
    let gate = receipts.gate(SOURCE);
    let mut transaction = begin(db).await.transaction;
    let found = transaction
        .find_receipts(&proposal_id(9), &gate.keys())
        .await
        .unwrap();
    transaction.roll_back().await;
    assert_eq!(found.receipt, None);
    let id = |lost: KnownReceipt| lost.stored().proposal_id.clone();
    gate.missing(&found).into_iter().map(id).collect()
}

/// Creates a database with the receipts 1 and 2, the newest known.
pub(crate) async fn with_two(db: &Db) -> KnownReceipts {
    db.set_up(Fixture::Invoices);
    let receipts = KnownReceipts::default();
    for n in [1, 2] {
        commit(begin(db).await.transaction, known(n).stored()).await;
    }
    receipts.committed(SOURCE, known(1));
    receipts.show(SOURCE, known(2));
    receipts
}

fn delete(db: &Db, n: u8) {
    db.execute(&format!(
        "DELETE FROM synapsor_writeback_receipts WHERE proposal_id = '{}'",
        proposal_id(n)
    ));
}

pub(crate) async fn a_complete_source_lacks_nothing(db: Db) {
    let receipts = with_two(&db).await;
    assert_eq!(missed(&db, &receipts).await, Vec::<String>::new());
}

pub(crate) async fn a_deleted_newest_receipt_is_missed(db: Db) {
    let receipts = with_two(&db).await;
    delete(&db, 1);
    assert_eq!(missed(&db, &receipts).await, [proposal_id(1)]);
    delete(&db, 2);
    assert_eq!(missed(&db, &receipts).await, [proposal_id(1), proposal_id(2)]);
}

pub(crate) async fn an_older_lost_receipt_is_missed(db: Db) {
    let receipts = with_two(&db).await;
    commit(begin(&db).await.transaction, known(3).stored()).await;
    delete(&db, 3);
    assert_eq!(missed(&db, &receipts).await, Vec::<String>::new());
    receipts.lost(SOURCE, &known(3));
    assert_eq!(missed(&db, &receipts).await, [proposal_id(3)]);
    receipts.recovered(SOURCE, &known(3).receipt().proposal_id);
    assert_eq!(missed(&db, &receipts).await, Vec::<String>::new());
}

pub(crate) async fn altered_bytes_of_a_receipt_are_missed(db: Db) {
    for column in ["receipt", "executor_sig", "outcome"] {
        let db = db.another();
        let receipts = with_two(&db).await;
        db.execute(&format!(
            "UPDATE synapsor_writeback_receipts SET {column} = 'altered' WHERE proposal_id = '{}'",
            proposal_id(2)
        ));
        assert_eq!(missed(&db, &receipts).await, [proposal_id(2)], "{column}");
    }
}

/// A backup that was restored into a new database has another identity, and a moved database has its rows.
pub(crate) async fn a_receipt_of_an_earlier_database_of_the_source_is_looked_for(db: Db) {
    let receipts = with_two(&db).await;
    let earlier = known_of(3, "an earlier one");
    receipts.show(SOURCE, earlier.clone());
    assert_eq!(missed(&db, &receipts).await, [proposal_id(3)]);
    commit(begin(&db).await.transaction, earlier.stored()).await;
    assert_eq!(missed(&db, &receipts).await, Vec::<String>::new());
}

pub(crate) async fn a_receipt_that_was_given_up_may_be_missing(db: Db) {
    let receipts = with_two(&db).await;
    delete(&db, 1);
    delete(&db, 2);
    let refs = vec![known(1).to_ref()];
    receipts.take_order(
        "elsewhere",
        &order("elsewhere", ReceiptAction::GiveUp, refs.clone()),
    );
    receipts.take_order(SOURCE, &order(SOURCE, ReceiptAction::Adopt, refs.clone()));
    assert_eq!(missed(&db, &receipts).await, [proposal_id(1), proposal_id(2)]);
    receipts.take_order(SOURCE, &order(SOURCE, ReceiptAction::GiveUp, refs));
    assert_eq!(missed(&db, &receipts).await, [proposal_id(2)]);
    // A job that was leased before the order still names it.
    receipts.take_order(
        SOURCE,
        &order(SOURCE, ReceiptAction::GiveUp, vec![known(2).to_ref()]),
    );
    receipts.show(SOURCE, known(2));
    assert_eq!(missed(&db, &receipts).await, Vec::<String>::new());
    receipts.show(SOURCE, known(3));
    assert_eq!(missed(&db, &receipts).await, [proposal_id(3)]);
}

pub(crate) async fn an_archived_receipt_may_be_missing(db: Db) {
    let receipts = with_two(&db).await;
    delete(&db, 1);
    receipts.take_order(SOURCE, &archive(AT));
    assert_eq!(
        missed(&db, &receipts).await,
        [proposal_id(1)],
        "created at the cut"
    );
    receipts.take_order(SOURCE, &archive(LATER));
    assert_eq!(missed(&db, &receipts).await, Vec::<String>::new());
}

fn archive(before: &str) -> VerifiedReceiptOrder {
    signed(ReceiptOrder {
        before: Some(before.parse().unwrap()),
        ..unsigned(SOURCE, ReceiptAction::Archive, Vec::new())
    })
}

fn order(source: &str, action: ReceiptAction, receipts: Vec<ReceiptRef>) -> VerifiedReceiptOrder {
    signed(unsigned(source, action, receipts))
}

fn unsigned(source: &str, action: ReceiptAction, receipts: Vec<ReceiptRef>) -> ReceiptOrder {
    ReceiptOrder {
        v: 1,
        deployment_id: "shop".to_owned(),
        environment: DeploymentEnvironment::Dev,
        source: source.to_owned(),
        action,
        receipts,
        before: None,
        approver: SignerInfo {
            key_id: key().key_id(),
            person: "alice".to_owned(),
            role: "applier".to_owned(),
        },
        issued_at: LATER.parse().unwrap(),
        nonce: "00".repeat(16),
        reason: None,
    }
}

fn signed(order: ReceiptOrder) -> VerifiedReceiptOrder {
    let key = key();
    let trust = serde_json::json!({
        "version": 1, "deployment_id": "shop", "environment": "dev", "readers": [], "writers": [], "ledgers": [],
        "operators": [{
            "key_id": key.key_id(), "public_key": key.public_key(), "person": "alice", "roles": ["applier"],
            "not_before": "2026-01-01T00:00:00.000Z", "not_after": "2026-12-31T00:00:00.000Z"
        }]
    });
    let trust = TrustFile::parse(trust.to_string().as_bytes()).unwrap();
    let envelope = DsseEnvelope::sign(ObjectKind::ReceiptOrder, &order, &key).unwrap();
    verify_receipt_order_at(&envelope, &trust, &Position::Unproven).unwrap()
}
