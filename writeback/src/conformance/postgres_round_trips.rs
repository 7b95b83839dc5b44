//! Number of round trips of a writing transaction on PostgreSQL: each is a wait under the row lock.

use synapsor_domain::foreign_code::Acknowledged;
use synapsor_engine::Access;
use synapsor_source::RowPlan;

use super::behaviors::{
    AT, Account, Db, Fixture, TestDatabase as _, change, int, invoice, proposal_id, receipt,
};
use super::postgres::database;
use super::proxy::Counting;
use super::servers::POSTGRES;
use crate::transaction::CheckTarget;

/// BEGIN, row lock, receipts with the first check, UPDATE, INSERT of the receipt, last check, COMMIT.
const ROUND_TRIPS: usize = 7;

/// Applies one change, with every step of the core.
async fn apply(account: &Account, plan: &RowPlan, n: u8) {
    let (nothing, receipt) = (Acknowledged::default(), receipt(n, AT));
    let check = CheckTarget {
        plan,
        allowed: &nothing,
    };
    let mut transaction = account.begin().await.unwrap().transaction;
    assert_eq!(transaction.lock(plan).await.unwrap().len(), 1);
    let found = transaction.find_receipts(&proposal_id(n), &[]).await.unwrap();
    assert!(found.receipt.is_none());
    transaction.first_check(Some(check)).await.unwrap();
    let fee = [int("fee", n.into())];
    assert_eq!(transaction.update(plan, change(&fee, None)).await.unwrap(), 1);
    let after = transaction.reread(plan).await.unwrap();
    assert!(after[0].contains(&fee[0]), "{after:?}");
    assert!(transaction.side_effects(plan).await.unwrap().is_empty());
    transaction.insert_receipt(&receipt).await.unwrap();
    let rows = transaction.last_check(Some(check), &receipt).await.unwrap();
    assert_eq!(rows, after);
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_a_table_without_code_has_few_round_trips() {
    if !POSTGRES.is_there() {
        return;
    }
    let postgres = database(&POSTGRES);
    postgres.set_up(Fixture::Invoices);
    let proxy = Counting::start(postgres.address()).await;
    let account = postgres.engine_through(proxy.address(), Access::Write, None);
    let db: Db = postgres.clone();
    let plan = invoice(&db);
    let mut fewest = usize::MAX;
    // The first transaction prepares its statements, and some later ones read the cached shape of the table again.
    for n in 1..=6 {
        let before = proxy.count();
        apply(&account, &plan, n).await;
        fewest = fewest.min(proxy.count() - before);
    }
    assert_eq!(fewest, ROUND_TRIPS);
}
