//! Behaviors of the writing transaction.

use std::time::{Duration, Instant};

use crate::result::RefusedBy;
use crate::transaction::{CheckTarget, Transaction};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::value::{ColumnValue, Value, ValueKind};
use synapsor_domain::writeback::ConstraintClass;
use synapsor_source::ErrorCause;
use synapsor_source::error::EngineErrorKind;

use super::behaviors::{
    AT, Db, Fixture, acknowledge, begin, change, commit, int, invoice, locked, nothing_else_changed, plan,
    receipt, record, text, update,
};

const FEE: &str = "SELECT fee FROM invoices WHERE id = 'INV-1'";
const RECEIPTS: &str = "SELECT count(*) FROM synapsor_writeback_receipts";

async fn waive(db: &Db, transaction: &mut dyn Transaction) -> u64 {
    update(
        transaction,
        &invoice(db),
        &[int("fee", 0)],
        Some(&int("version", 7)),
    )
    .await
}

pub(crate) async fn what_fits_is_what_the_column_holds(db: Db) {
    db.set_up(Fixture::Kinds);
    let row = plan(&db, "kinds", "k", "acme", &[]);
    let shape = db.reader().table_schema(&db.schema(), "kinds").await.unwrap();
    let values = [
        Value::null(),
        Value::bool(true),
        Value::int(0),
        Value::int(i64::MAX.into()),
        Value::int(-7),
        Value::exact(ValueKind::Dec, "0.1"),
        Value::exact(ValueKind::Dec, "12345678901234567890.5"),
        Value::text(""),
        Value::text("12"),
        Value::text("012"),
        Value::text("1e5"),
        Value::text(" 7 "),
        Value::text("NULL"),
        Value::text("Ünïcode \u{1F600}"),
        Value::text("0x10"),
        Value::text("+5"),
        Value::text("nan"),
        Value::text("Infinity"),
    ];
    let mut fitted = 0;
    for column in shape
        .columns
        .iter()
        .filter(|c| !matches!(c.name.as_str(), "id" | "tenant"))
    {
        for value in &values {
            let Ok(exact) = db.reader().fit(column, value) else {
                continue;
            };
            let mut transaction = begin(&db).await.transaction;
            let new = ColumnValue::new(&column.name, exact);
            assert_eq!(
                transaction
                    .update(&row, change(std::slice::from_ref(&new), None))
                    .await
                    .unwrap(),
                1
            );
            let mut again = row.clone();
            again.columns = vec![column.name.clone()];
            assert_eq!(
                transaction.reread(&again).await.unwrap(),
                [vec![new]],
                "{} {value:?}",
                column.name
            );
            transaction.roll_back().await;
            fitted += 1;
        }
    }
    assert!(fitted > 40, "{fitted}");
}

pub(crate) async fn one_row_changes_with_its_receipt(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    let before = transaction.lock(&invoice(&db)).await.unwrap();
    assert_eq!(
        before,
        [vec![text("status", "open"), int("fee", 5500), int("version", 7)]]
    );
    let set = [int("fee", 0), text("status", "waived"), int("version", 8)];
    assert_eq!(
        update(
            transaction.as_mut(),
            &invoice(&db),
            &set,
            Some(&int("version", 7))
        )
        .await,
        1
    );
    assert_eq!(db.text(FEE), "5500", "other connections do not see it yet");
    let after = transaction.reread(&invoice(&db)).await.unwrap();
    assert_eq!(
        after,
        [vec![text("status", "waived"), int("fee", 0), int("version", 8)]]
    );
    nothing_else_changed(transaction.as_mut(), &invoice(&db)).await;
    let recorded = record(transaction, &receipt(1, AT)).await.unwrap();
    assert_eq!(db.text(RECEIPTS), "0");
    recorded.commit().await.unwrap();
    assert_eq!(
        (db.text(FEE), db.text(RECEIPTS)),
        ("0".to_owned(), "1".to_owned())
    );
    assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-2'"), "0");
    assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-3'"), "100");
}

pub(crate) async fn a_dropped_transaction_leaves_nothing(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(waive(&db, transaction.as_mut()).await, 1);
    drop(transaction);
    assert_eq!(db.text(FEE), "5500");
    // The lock was released with it.
    locked(&db).await.unwrap().roll_back().await;
}

pub(crate) async fn a_rolled_back_one_leaves_nothing(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(waive(&db, transaction.as_mut()).await, 1);
    transaction.roll_back().await;
    assert_eq!(db.text(FEE), "5500");
    db.execute("UPDATE invoices SET fee = 1 WHERE id = 'INV-1'");
}

pub(crate) async fn a_dropped_record_leaves_nothing(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    waive(&db, transaction.as_mut()).await;
    drop(record(transaction, &receipt(1, AT)).await.unwrap());
    assert_eq!(
        (db.text(FEE), db.text(RECEIPTS)),
        ("5500".to_owned(), "0".to_owned())
    );
}

pub(crate) async fn a_stale_guard_matches_nothing(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    for stale in [int("version", 6), int("version", 8), text("version", "7")] {
        assert_eq!(
            update(
                transaction.as_mut(),
                &invoice(&db),
                &[int("fee", 0)],
                Some(&stale)
            )
            .await,
            0
        );
    }
    nothing_else_changed(transaction.as_mut(), &invoice(&db)).await;
}

pub(crate) async fn another_tenants_row_is_not_updated(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    for (id, tenant) in [
        ("INV-3", "acme"),
        ("INV-1", "globex"),
        ("INV-1", "ACME"),
        ("inv-1", "acme"),
        ("INV-1 ", "acme"),
    ] {
        let plan = plan(&db, "invoices", id, tenant, &["fee"]);
        assert_eq!(
            update(transaction.as_mut(), &plan, &[int("fee", 0)], None).await,
            0,
            "{id:?} {tenant:?}"
        );
    }
}

pub(crate) async fn a_null_guard_is_refused(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    let guard = ColumnValue::new("version", Value::null());
    assert!(
        transaction
            .update(&invoice(&db), change(&[int("fee", 0)], Some(&guard)))
            .await
            .is_err()
    );
    assert!(record(transaction, &receipt(1, AT)).await.is_err());
    assert_eq!(db.text(FEE), "5500");
}

pub(crate) async fn sees_agrees_with_the_lock(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut transaction = begin(&db).await.transaction;
    assert!(transaction.is_visible_unlocked(&invoice(&db)).await.unwrap());
    let foreign = plan(&db, "invoices", "INV-3", "acme", &["fee"]);
    assert!(transaction.lock(&foreign).await.unwrap().is_empty());
    assert!(!transaction.is_visible_unlocked(&foreign).await.unwrap());
}

pub(crate) async fn a_trigger_on_the_row_is_no_collateral(db: Db) {
    if !db.set_up(Fixture::RaisesVersion) {
        return;
    }
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(waive(&db, transaction.as_mut()).await, 1);
    nothing_else_changed(transaction.as_mut(), &invoice(&db)).await;
    let after = transaction.reread(&invoice(&db)).await.unwrap();
    assert_eq!(after[0][2], int("version", 8));
    commit(transaction, &receipt(1, AT)).await;
    assert_eq!(db.text(FEE), "0");
}

async fn is_collateral(db: &Db, set: ColumnValue) {
    let (mut transaction, plan) = (begin(db).await.transaction, invoice(db));
    let allowed = acknowledge(transaction.as_mut(), &plan).await;
    assert_eq!(update(transaction.as_mut(), &plan, &[set], None).await, 1);
    if transaction.side_effects(&plan).await.unwrap().is_empty() {
        // An engine without per-statement counts counts the rows of the transaction at the last check.
        let receipt = receipt(1, AT);
        transaction.insert_receipt(&receipt).await.unwrap();
        let check = CheckTarget {
            plan: &plan,
            allowed: &allowed,
        };
        assert!(transaction.last_check(Some(check), &receipt).await.is_err());
    }
}

pub(crate) async fn a_write_elsewhere_is_collateral(db: Db) {
    if !db.set_up(Fixture::WritesElsewhere) {
        return;
    }
    is_collateral(&db, int("fee", 0)).await;
    assert_eq!(db.text("SELECT count(*) FROM journal"), "0");
}

pub(crate) async fn a_change_of_other_rows_is_collateral(db: Db) {
    if !db.set_up(Fixture::ChangesOthers) {
        return;
    }
    is_collateral(&db, int("fee", 0)).await;
}

pub(crate) async fn a_rewritten_column_shows(db: Db) {
    if !db.set_up(Fixture::RewritesColumn) {
        return;
    }
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(
        update(
            transaction.as_mut(),
            &invoice(&db),
            &[text("status", "waived")],
            None
        )
        .await,
        1
    );
    assert_eq!(
        transaction.reread(&invoice(&db)).await.unwrap()[0][0],
        text("status", "rewritten")
    );
}

pub(crate) async fn a_cascade_is_collateral(db: Db) {
    if !db.set_up(Fixture::Cascades) {
        return;
    }
    is_collateral(&db, text("status", "waived")).await;
}

pub(crate) async fn an_unseen_cascade_is_collateral(db: Db) {
    if !db.set_up(Fixture::CascadesUnseen) {
        return;
    }
    is_collateral(&db, text("status", "waived")).await;
}

pub(crate) async fn a_conflict_clause_replaces_nothing(db: Db) {
    if !db.set_up(Fixture::ReplacesOnConflict) {
        return;
    }
    let mut transaction = begin(&db).await.transaction;
    let error = transaction
        .update(&invoice(&db), change(&[text("status", "paid")], None))
        .await
        .unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(db.text("SELECT count(*) FROM invoices"), "3");
}

pub(crate) async fn a_clustered_key_is_written(db: Db) {
    if !db.set_up(Fixture::ClusteredKey) {
        return;
    }
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(waive(&db, transaction.as_mut()).await, 1);
    nothing_else_changed(transaction.as_mut(), &invoice(&db)).await;
    commit(transaction, &receipt(1, AT)).await;
    assert_eq!(db.text(FEE), "0");
}

pub(crate) async fn after_an_error_nothing_commits(db: Db) {
    if !db.set_up(Fixture::Checked) {
        return;
    }
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(
        update(
            transaction.as_mut(),
            &invoice(&db),
            &[text("status", "half")],
            None
        )
        .await,
        1
    );
    let error = transaction
        .update(&invoice(&db), change(&[int("fee", -1)], None))
        .await
        .unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Constraint);
    assert!(transaction.lock(&invoice(&db)).await.is_err());
    assert!(record(transaction, &receipt(1, AT)).await.is_err());
    assert_eq!(db.text("SELECT status FROM invoices WHERE id = 'INV-1'"), "open");
    assert_eq!(db.text(RECEIPTS), "0");
}

pub(crate) async fn after_an_unusable_value_nothing_commits(db: Db) {
    db.set_up(Fixture::Invoices);
    db.set_up(Fixture::Wide);
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(waive(&db, transaction.as_mut()).await, 1);
    // The database answered successfully, but the answer exceeds the size limit.
    let row = plan(&db, "wide", "value", "acme", &["a"]);
    let error = transaction.lock(&row).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::TooLarge);
    assert!(record(transaction, &receipt(1, AT)).await.is_err());
    assert_eq!(db.text(FEE), "5500");
}

pub(crate) async fn a_held_lock_is_retryable(db: Db) {
    db.set_up(Fixture::Invoices);
    let held = db.hold_lock();
    let begun = Instant::now();
    let error = locked(&db).await.err().unwrap();
    assert!(error.is_retryable());
    assert_eq!(error.kind, EngineErrorKind::Busy);
    assert!(begun.elapsed() < Duration::from_secs(8));
    drop(held);
    locked(&db).await.unwrap().roll_back().await;
}

pub(crate) async fn a_second_writer_waits(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut first = begin(&db).await.transaction;
    waive(&db, first.as_mut()).await;
    let waiting = db.clone();
    let second = tokio::spawn(async move { locked(&waiting).await });
    commit(first, &receipt(1, AT)).await;
    let mut second = second.await.unwrap().unwrap();
    assert_eq!(
        second.lock(&invoice(&db)).await.unwrap()[0][1],
        int("fee", 0),
        "it sees the first one's change"
    );
}

pub(crate) async fn a_transaction_held_too_long_is_ended(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut held = begin(&db).await.transaction;
    waive(&db, held.as_mut()).await;
    let begun = Instant::now();
    let next = loop {
        match locked(&db).await {
            Ok(next) => break next,
            Err(error) => assert!(error.is_retryable()),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the lock is still held"
        );
    };
    next.roll_back().await;
    assert!(record(held, &receipt(1, AT)).await.is_err());
    assert_eq!(db.text(FEE), "5500");
}

pub(crate) async fn a_violated_constraint_is_reported(db: Db) {
    db.set_up(Fixture::Invoices);
    db.execute(
        "CREATE TABLE limited (id VARCHAR(20) PRIMARY KEY, tenant VARCHAR(20) NOT NULL, fee INTEGER NOT NULL \
         CHECK (fee > 100)); INSERT INTO limited VALUES ('k', 'acme', 200)",
    );
    let mut transaction = begin(&db).await.transaction;
    let plan = plan(&db, "limited", "k", "acme", &["fee"]);
    acknowledge(transaction.as_mut(), &plan).await;
    let fee = [int("fee", 0)];
    let error = transaction.update(&plan, change(&fee, None)).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Constraint);
    match error.cause {
        ErrorCause::ConstraintViolated(violation) => {
            assert_eq!(violation.constraint.class, ConstraintClass::Check);
        }
        other => panic!("{other:?}"),
    }
    drop(transaction);
    assert_eq!(db.text("SELECT fee FROM limited"), "200");
}

pub(crate) async fn an_error_that_a_trigger_raises_is_reported(db: Db) {
    db.set_up(Fixture::Invoices);
    db.execute(match db.reader().kind() {
        EngineKind::Postgres => {
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE 'a secret'; END $f$;
             CREATE TRIGGER no BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION no()"
        }
        EngineKind::Mysql => {
            "CREATE TRIGGER no BEFORE UPDATE ON invoices FOR EACH ROW \
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a secret'"
        }
        EngineKind::Sqlite => {
            "CREATE TRIGGER no BEFORE UPDATE ON invoices BEGIN SELECT RAISE(ABORT, 'a secret'); END"
        }
    });
    let mut transaction = begin(&db).await.transaction;
    let plan = invoice(&db);
    acknowledge(transaction.as_mut(), &plan).await;
    let fee = [int("fee", 0)];
    let error = transaction.update(&plan, change(&fee, None)).await.unwrap_err();
    assert!(
        matches!(error.cause, ErrorCause::RaisedByCode(_)),
        "{:?}",
        error.cause
    );
    let refusal = RefusedBy::Database(error).refusal();
    assert_eq!(refusal.code, ErrorCode::RefusedConstraint);
    assert!(
        refusal.public.contains("rejected the row") && !refusal.public.contains("secret"),
        "{}",
        refusal.public
    );
    drop(transaction);
    assert_eq!(db.text(FEE), "5500");
}

pub(crate) async fn facts_come_from_inside(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut begun = begin(&db).await;
    assert_eq!(begun.identity, db.reader().identity().await.unwrap());
    let apart = begun.database_now.as_unix_millis() - SystemClock.now_ms();
    assert!(apart.abs() < 60_000, "{apart}");
    let inside = begun.transaction.shape(&db.schema(), "invoices").await.unwrap();
    assert_eq!(
        inside,
        db.reader().table_schema(&db.schema(), "invoices").await.unwrap()
    );
}
