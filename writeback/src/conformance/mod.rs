//! Conformance tests, run against every engine of this build. A complete engine passes all of them; a new
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

/// Maximum number of concurrent behaviours.
const PARALLEL: usize = 8;

async fn run_all(fresh: fn() -> Arc<dyn TestDatabase>) {
    let mut failed = Vec::new();
    for group in ALL.chunks(PARALLEL) {
        let running: Vec<_> = group
            .iter()
            .map(|(name, behaviour)| (name, tokio::spawn(behaviour(fresh()))))
            .collect();
        for (name, task) in running {
            if task.await.is_err() {
                failed.push(*name);
            }
        }
    }
    assert!(failed.is_empty(), "failed behaviours: {failed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_conforms() {
    run_all(sqlite::fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_conforms() {
    const URL: &str = "SYNAPSOR_TEST_POSTGRES_URL";
    if is_there(URL) {
        run_all(|| postgres::fresh(URL)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn later_postgres_conforms() {
    if is_there(LATER_POSTGRES) {
        run_all(|| postgres::fresh(LATER_POSTGRES)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mysql_conforms() {
    if mysql::MYSQL.is_there() {
        run_all(|| mysql::MYSQL.fresh()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mariadb_conforms() {
    if mysql::MARIADB.is_there() {
        run_all(|| mysql::MARIADB.fresh()).await;
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
