//! Conformance tests, run against every engine of this build. A complete engine passes all that apply to it; a new
//! engine adds a harness and no new list.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "environment variables name the servers, and skipped tests are reported on stderr"
)]

mod behaviors;
mod catalog_rights;
mod checking;
mod lost_receipts;
mod mysql;
mod mysql_preconditions;
mod mysql_traps;
mod postgres;
mod postgres_deferred;
mod postgres_preconditions;
mod postgres_rejections;
mod postgres_round_trips;
mod postgres_sessions;
mod postgres_traps;
mod preconditions;
mod properties;
mod proxy;
mod published;
mod reading;
mod receipts;
mod servers;
mod sqlite;
mod table_locks;
mod traps;
mod values;
mod writing;

use behaviors::{ALL, Db, Fixture};
use published::BehaviorResult;
use servers::{
    MARIADB, MARIADB_118, MYSQL, POSTGRES, POSTGRES_13, POSTGRES_14, POSTGRES_17, POSTGRES_18, ServerVersion,
};

/// Maximum number of concurrent behaviors.
const PARALLEL: usize = 8;

async fn run_all(label: &'static str, fresh: impl Fn() -> Db) {
    let mut results = Vec::new();
    for group in ALL.chunks(PARALLEL) {
        let running: Vec<_> = group
            .iter()
            .map(|(_, behavior)| tokio::spawn(published::observed(behavior(fresh()))))
            .collect();
        for task in running {
            results.push(match task.await {
                Ok(None) => BehaviorResult::Holds,
                Ok(Some(reason)) => BehaviorResult::NotApplicable(reason),
                Err(_) => BehaviorResult::Fails,
            });
        }
    }
    let names = ALL.iter().map(|(name, _)| *name).zip(&results);
    let failed: Vec<_> = names
        .filter(|(_, result)| **result == BehaviorResult::Fails)
        .map(|(name, _)| name)
        .collect();
    let database = fresh();
    database.set_up(Fixture::Invoices);
    let product = database.reader().product().await.unwrap();
    let is_current = published::record(label, &product, results);
    assert!(failed.is_empty(), "failed behaviors: {failed:#?}");
    assert!(
        is_current,
        "docs/engine-conformance.md did not match the results and has been rewritten; commit it"
    );
}

async fn run_on_postgres(server: &'static ServerVersion) {
    if server.is_there() {
        run_all(server.label, || postgres::fresh(server)).await;
    }
}

async fn run_on_mysql(server: &'static ServerVersion) {
    if server.is_there() {
        run_all(server.label, || mysql::fresh(server)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_conforms() {
    run_all(published::SQLITE, sqlite::fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_13_conforms() {
    run_on_postgres(&POSTGRES_13).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_14_conforms() {
    run_on_postgres(&POSTGRES_14).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_15_conforms() {
    run_on_postgres(&POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_17_conforms() {
    run_on_postgres(&POSTGRES_17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_18_conforms() {
    run_on_postgres(&POSTGRES_18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mysql_conforms() {
    run_on_mysql(&MYSQL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mariadb_10_11_conforms() {
    run_on_mysql(&MARIADB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mariadb_11_8_conforms() {
    run_on_mysql(&MARIADB_118).await;
}

#[test]
fn behavior_names_are_unique() {
    let mut names: Vec<_> = ALL.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    assert!(ALL.len() >= 80);
}
