//! Behaviors of receipts and of the receipt table.

use crate::transaction::RecordError;
use synapsor_codes::ErrorCode;
use synapsor_domain::ids::ProposalId;
use synapsor_source::StoredReceipt;

use super::behaviors::{AT, Db, Fixture, begin, commit, proposal_id, receipt, record};

async fn write(db: &Db, receipt: &StoredReceipt) {
    commit(begin(db).await.transaction, receipt).await;
}

fn id(n: u8) -> ProposalId {
    proposal_id(n).parse().unwrap()
}

pub(crate) async fn a_second_receipt_exists(db: Db) {
    db.set_up(Fixture::Invoices);
    write(&db, &receipt(1, AT)).await;
    let mut other = receipt(1, AT);
    other.outcome = "failed".to_owned();
    let error = record(begin(&db).await.transaction, &other).await.err().unwrap();
    assert_eq!(error, RecordError::Exists);
    assert_eq!(
        db.writer().find_receipt(&id(1)).await.unwrap(),
        Some(receipt(1, AT))
    );
}

pub(crate) async fn two_racing_receipts_leave_one(db: Db) {
    db.set_up(Fixture::Invoices);
    let racers: Vec<_> = (0..6)
        .map(|n| {
            let engine = db.writer();
            tokio::spawn(async move {
                let mut own = receipt(1, AT);
                own.fence = n;
                let recorded = record(engine.begin().await.ok()?.transaction, &own).await.ok()?;
                recorded.commit().await.ok()
            })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        won += usize::from(racer.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
    assert_eq!(db.text("SELECT count(*) FROM synapsor_writeback_receipts"), "1");
}

pub(crate) async fn a_receipt_reads_back(db: Db) {
    db.set_up(Fixture::Invoices);
    let written = receipt(2, AT);
    let mut begun = begin(&db).await;
    assert_eq!(
        begun.transaction.find_receipt(&proposal_id(2)).await.unwrap(),
        None
    );
    commit(begun.transaction, &written).await;
    assert_eq!(
        begin(&db)
            .await
            .transaction
            .find_receipt(&proposal_id(2))
            .await
            .unwrap(),
        Some(written.clone())
    );
    assert_eq!(db.writer().find_receipt(&id(2)).await.unwrap(), Some(written));
    assert_eq!(db.writer().find_receipt(&id(3)).await.unwrap(), None);
}

pub(crate) async fn receipts_come_by_time(db: Db) {
    db.set_up(Fixture::Invoices);
    for (n, at) in [
        (3, "2026-01-03T00:00:00.000Z"),
        (1, "2026-01-01T00:00:00.000Z"),
        (2, "2026-01-02T00:00:00.000Z"),
    ] {
        write(&db, &receipt(n, at)).await;
    }
    let from = "2026-01-02T00:00:00.000Z".parse().unwrap();
    let found = db.writer().receipts_since(from, 10).await.unwrap();
    let ids: Vec<_> = found.into_iter().map(|r| r.proposal_id).collect();
    assert_eq!(ids, [proposal_id(2), proposal_id(3)]);
    assert_eq!(db.writer().receipts_since(from, 1).await.unwrap().len(), 1);
}

pub(crate) async fn a_missing_table_is_reported(db: Db) {
    db.set_up(Fixture::Invoices);
    db.execute("DROP TABLE synapsor_writeback_receipts");
    let problems = db.writer().receipt_problems().await.unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, ErrorCode::ReceiptTableMissing);
    let cure = problems[0].fix.clone().unwrap();
    // The migration can be run again, as after an upgrade of the product.
    for _ in 0..2 {
        db.execute(&cure);
    }
    assert_eq!(db.writer().receipt_problems().await.unwrap(), Vec::new());
}

pub(crate) async fn every_bad_table_is_reported(db: Db) {
    for (what, sql) in db.bad_receipt_tables() {
        let fresh = db.another();
        fresh.set_up(Fixture::Invoices);
        fresh.execute(sql);
        assert!(
            !fresh.writer().receipt_problems().await.unwrap().is_empty(),
            "{what}"
        );
    }
}

pub(crate) async fn an_altered_receipt_is_not_recorded(db: Db) {
    db.set_up(Fixture::Invoices);
    db.alter_receipts();
    let recorded = record(begin(&db).await.transaction, &receipt(1, AT)).await;
    assert!(matches!(recorded, Err(RecordError::Engine(_))));
    assert_eq!(db.text("SELECT count(*) FROM synapsor_writeback_receipts"), "0");
}

pub(crate) async fn a_good_table_has_no_problems(db: Db) {
    db.set_up(Fixture::Invoices);
    assert_eq!(db.writer().receipt_problems().await.unwrap(), Vec::new());
    assert_eq!(db.reader().receipt_problems().await.unwrap(), Vec::new());
}
