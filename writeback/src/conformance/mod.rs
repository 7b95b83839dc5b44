//! Conformance tests, run against every engine of this build. A complete engine passes all that apply to it; a new
//! engine adds a harness and no new list.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "environment variables name the servers, and skipped tests are reported on stderr"
)]

mod behaviours;
mod looking;
mod lost_receipts;
mod mysql;
mod mysql_preconditions;
mod mysql_traps;
mod postgres;
mod postgres_deferred;
mod postgres_preconditions;
mod postgres_sessions;
mod postgres_traps;
mod preconditions;
mod properties;
mod proxy;
mod published;
mod reading;
mod receipts;
mod sqlite;
mod traps;
mod values;
mod writing;

use std::sync::Arc;

use behaviours::{ALL, LATER_POSTGRES, TestDatabase, is_there};
use published::BehaviourResult;

/// Maximum number of concurrent behaviours.
const PARALLEL: usize = 8;

async fn run_all(engine: &'static str, fresh: fn() -> Arc<dyn TestDatabase>) {
    let mut results = Vec::new();
    for group in ALL.chunks(PARALLEL) {
        let running: Vec<_> = group
            .iter()
            .map(|(_, behaviour)| tokio::spawn(published::observed(behaviour(fresh()))))
            .collect();
        for task in running {
            results.push(match task.await {
                Ok(None) => BehaviourResult::Holds,
                Ok(Some(reason)) => BehaviourResult::NotApplicable(reason),
                Err(_) => BehaviourResult::Fails,
            });
        }
    }
    let names = ALL.iter().map(|(name, _)| *name).zip(&results);
    let failed: Vec<_> = names
        .filter(|(_, result)| **result == BehaviourResult::Fails)
        .map(|(name, _)| name)
        .collect();
    let is_current = published::record(engine, results.clone());
    assert!(failed.is_empty(), "failed behaviours: {failed:#?}");
    assert!(
        is_current,
        "docs/engine-conformance.md did not match the results and has been rewritten; commit it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_conforms() {
    run_all("SQLite", sqlite::fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_conforms() {
    const URL: &str = "SYNAPSOR_TEST_POSTGRES_URL";
    if is_there(URL) {
        run_all("PostgreSQL 15", || postgres::fresh(URL)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn later_postgres_conforms() {
    if is_there(LATER_POSTGRES) {
        run_all("PostgreSQL 18", || postgres::fresh(LATER_POSTGRES)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mysql_conforms() {
    if mysql::MYSQL.is_there() {
        run_all("MySQL", || mysql::MYSQL.fresh()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mariadb_conforms() {
    if mysql::MARIADB.is_there() {
        run_all("MariaDB", || mysql::MARIADB.fresh()).await;
    }
}

#[test]
fn behaviour_names_are_unique() {
    let mut names: Vec<_> = ALL.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    assert!(ALL.len() >= 80);
}
