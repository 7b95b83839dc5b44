//! Behaviors of common faults between an UPDATE and its receipt.

use crate::transaction::RowChange;
use synapsor_domain::value::ColumnValue;
use synapsor_source::StoredReceipt;

use super::behaviors::{
    AT, Db, Fixture, acknowledge, begin, change, commit, int, invoice, nothing_else_changed, plan,
    proposal_id, receipt, text, update,
};

pub(crate) async fn a_row_that_stays_as_it_is_was_matched(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    let same = [int("fee", 5500)];
    acknowledge(transaction.as_mut(), &invoice(&db)).await;
    let matched = transaction
        .update(&invoice(&db), change(&same, Some(&int("version", 7))))
        .await;
    assert_eq!(matched.unwrap(), 1);
    nothing_else_changed(transaction.as_mut(), &invoice(&db)).await;
    commit(transaction, &receipt(1, AT)).await;
}

pub(crate) async fn a_missing_row_matches_nothing(db: Db) {
    db.set_up(Fixture::Invoices);
    let missing = plan(&db, "invoices", "INV-404", "acme", &["fee"]);
    let mut transaction = begin(&db).await.transaction;
    assert!(transaction.lock(&missing).await.unwrap().is_empty());
    assert_eq!(
        update(transaction.as_mut(), &missing, &[int("fee", 0)], None).await,
        0
    );
    nothing_else_changed(transaction.as_mut(), &missing).await;
    commit(transaction, &receipt(1, AT)).await;
}

pub(crate) async fn two_rows_of_one_key_are_both_locked(db: Db) {
    db.set_up(Fixture::Twins);
    let mut transaction = begin(&db).await.transaction;
    let rows = transaction
        .lock(&plan(&db, "twins", "same", "acme", &["body"]))
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    transaction.roll_back().await;
}

pub(crate) async fn a_column_moves_to_the_present(db: Db) {
    db.execute("CREATE TABLE moved (id VARCHAR(20) NOT NULL PRIMARY KEY, tenant VARCHAR(20), moved_at TIMESTAMP NULL);");
    db.execute("INSERT INTO moved (id, tenant) VALUES ('k', 'acme');");
    let row = plan(&db, "moved", "k", "acme", &["moved_at"]);
    let begun = begin(&db).await;
    let (mut transaction, now) = (begun.transaction, begun.database_now.to_string());
    let forward = RowChange {
        set: &[],
        guard: None,
        now: Some("moved_at"),
    };
    assert_eq!(transaction.update(&row, forward).await.unwrap(), 1);
    let rows = transaction.reread(&row).await.unwrap();
    let moved = rows[0][0].value.as_text().unwrap().to_owned();
    // The day before and after midnight differ; the century does not.
    assert_eq!(moved[..2], now[..2], "{moved} {now}");
    assert!(moved.len() >= "2026-01-02 03:04:05".len(), "{moved}");
    transaction.roll_back().await;
}

pub(crate) async fn nobody_reads_what_is_not_committed(db: Db) {
    db.set_up(Fixture::Invoices);
    let reader = db.reader();
    let fee = async || reader.read(&invoice(&db)).await.unwrap().rows[0][1].clone();
    let mut transaction = begin(&db).await.transaction;
    acknowledge(transaction.as_mut(), &invoice(&db)).await;
    transaction
        .update(&invoice(&db), change(&[int("fee", 1)], None))
        .await
        .unwrap();
    assert_eq!(fee().await, int("fee", 5500));
    commit(transaction, &receipt(1, AT)).await;
    assert_eq!(fee().await, int("fee", 1));
}

pub(crate) async fn many_transactions_leave_nothing_behind(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.writer();
    for n in 0..40 {
        let mut transaction = engine.begin().await.unwrap().transaction;
        let set = [int("fee", n)];
        assert_eq!(update(transaction.as_mut(), &invoice(&db), &set, None).await, 1);
        nothing_else_changed(transaction.as_mut(), &invoice(&db)).await;
        transaction.roll_back().await;
    }
    assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-1'"), "5500");
}

pub(crate) async fn one_transaction_after_another_is_accounted_alone(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.writer();
    for n in 1..6 {
        let mut transaction = engine.begin().await.unwrap().transaction;
        let set = [int("fee", n.into())];
        assert_eq!(update(transaction.as_mut(), &invoice(&db), &set, None).await, 1);
        nothing_else_changed(transaction.as_mut(), &invoice(&db)).await;
        commit(transaction, &receipt(n, AT)).await;
    }
    assert_eq!(db.text("SELECT count(*) FROM synapsor_writeback_receipts"), "5");
}

async fn reads_back(db: &Db, written: StoredReceipt) {
    commit(begin(db).await.transaction, &written).await;
    let id = written.proposal_id.parse().unwrap();
    assert_eq!(db.writer().find_receipt(&id).await.unwrap(), Some(written));
}

pub(crate) async fn a_receipt_of_any_characters_reads_back(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut written = receipt(1, AT);
    written.receipt = "{\"a\":\"' \\\\ \u{1F600} e\u{308} \u{eb} \u{7f} \\u0000 ; -- $1 ? %s\"}".to_owned();
    written.reason = " a reason ".to_owned();
    reads_back(&db, written).await;
}

pub(crate) async fn a_long_receipt_reads_back(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut written = receipt(1, AT);
    written.receipt = format!("{{\"a\":\"{}\"}}", "x".repeat(200_000));
    reads_back(&db, written).await;
}

pub(crate) async fn the_largest_numbers_of_a_receipt_read_back(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut written = receipt(1, AT);
    written.fence = u64::try_from(i64::MAX).unwrap();
    written.ledger_size = u64::try_from(i64::MAX).unwrap();
    reads_back(&db, written).await;
}

pub(crate) async fn receipts_of_one_moment_come_by_id(db: Db) {
    db.set_up(Fixture::Invoices);
    for n in [3, 1, 2] {
        commit(begin(&db).await.transaction, &receipt(n, AT)).await;
    }
    let found = db.writer().receipts_since(AT.parse().unwrap(), 10).await.unwrap();
    let ids: Vec<_> = found.into_iter().map(|r| r.proposal_id).collect();
    assert_eq!(ids, [proposal_id(1), proposal_id(2), proposal_id(3)]);
}

pub(crate) async fn a_guard_of_text_is_compared_exactly(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    for other in ["Open", "open ", "OPEN", "opén"] {
        let guard = text("status", other);
        let matched = transaction
            .update(&invoice(&db), change(&[int("fee", 0)], Some(&guard)))
            .await;
        assert_eq!(matched.unwrap(), 0, "{other}");
    }
    let guard: ColumnValue = text("status", "open");
    let matched = transaction
        .update(&invoice(&db), change(&[int("fee", 0)], Some(&guard)))
        .await;
    assert_eq!(matched.unwrap(), 1);
    transaction.roll_back().await;
}
