//! The doctor's check of a table that another session has locked: it is named with the cause and the fix, and the
//! other tables are checked all the same.

use rusqlite::Connection;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::writeback::{FindingSeverity, RECEIPT_TABLE};
use synapsor_engine::EngineLimits;
use synapsor_engine::sqlite::SqliteEngine;
use synapsor_source::{Finding, PreflightTarget, preflight};

use super::behaviors::{Db, Fixture};
use super::mysql::{self, Holder};
use super::postgres::database;
use super::servers::{MARIADB, MARIADB_118, MYSQL, POSTGRES, POSTGRES_18, ServerVersion};

fn target(db: &Db, table: &str, column: &str) -> PreflightTarget {
    PreflightTarget {
        schema: db.schema(),
        table: table.to_owned(),
        keys: vec!["id".to_owned()],
        tenant: Some("tenant".to_owned()),
        reads: vec!["id".to_owned(), "tenant".to_owned(), column.to_owned()],
        writes: vec![column.to_owned()],
    }
}

/// Creates the tables `invoices`, and `others` with a column that no target needs.
fn set_up(db: &Db) {
    db.set_up(Fixture::Invoices);
    db.execute("CREATE TABLE others (id VARCHAR(20) PRIMARY KEY, tenant VARCHAR(20) NOT NULL, body INTEGER)");
}

async fn reports_the_locked_table(db: &Db) {
    let targets = [target(db, "invoices", "fee"), target(db, "others", "absent")];
    let findings = db.writer().check(&targets).await.unwrap();
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|found| found.severity == FindingSeverity::Error)
        .collect();
    let locked = errors
        .iter()
        .find(|found| found.code == ErrorCode::SourceBusy)
        .unwrap();
    assert!(
        locked.text.contains("`invoices`") && locked.text.contains("another session holds a lock"),
        "{}",
        locked.text
    );
    assert!(locked.fix.as_deref().unwrap().contains("end it"), "{locked:?}");
    assert!(
        errors.iter().any(|found| found.code == ErrorCode::ColumnMissing),
        "{errors:?}"
    );
    assert_eq!(errors.len(), 2, "{errors:?}");
}

async fn postgres_reports_its_lock(server: &'static ServerVersion) {
    if !server.is_there() {
        return;
    }
    let postgres = database(server);
    let db: Db = postgres.clone();
    set_up(&db);
    let held = postgres.hold("BEGIN; LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE", "ROLLBACK");
    reports_the_locked_table(&db).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_postgres_table_is_named_with_the_fix() {
    for server in [&POSTGRES, &POSTGRES_18] {
        postgres_reports_its_lock(server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_mysql_table_is_named_with_the_fix() {
    for server in [&MYSQL, &MARIADB, &MARIADB_118] {
        if !server.is_there() {
            continue;
        }
        let database = mysql::fresh(server);
        let db: Db = database.clone();
        set_up(&db);
        let held = Holder::new(database.url('o'), "LOCK TABLES invoices WRITE");
        reports_the_locked_table(&db).await;
        drop(held);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_sqlite_file_is_reported_with_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.db");
    let held = Connection::open(&path).unwrap();
    held.execute_batch(
        "CREATE TABLE invoices (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, fee INTEGER NOT NULL) STRICT;
         BEGIN EXCLUSIVE",
    )
    .unwrap();
    let url = format!("sqlite://{}", path.display());
    let engine = SqliteEngine::new(&url, RECEIPT_TABLE, EngineLimits::default()).unwrap();
    let contract = Contract::parse(
        br#"{"version": 1, "mode": "review", "result_format": 2,
             "sources": {"s": {"engine": "sqlite", "read_url_env": "R", "write_url_env": "W"}},
             "trusted_context": {"provider": "environment", "values": {"tenant_id_env": "T", "principal_env": "P"}},
             "capabilities": [{"name": "s.read", "kind": "read", "source": "s",
               "target": {"schema": "main", "table": "invoices", "primary_key": "id", "tenant_key": "tenant"},
               "args": {"id": {"type": "string"}}, "lookup": {"id_from_arg": "id"}, "visible_columns": ["fee"]}]}"#,
    );
    let contract = contract.unwrap().contract;
    let report = preflight::reader(&engine, "s", &contract).await;
    let found = &report.findings[0];
    assert_eq!(found.code, ErrorCode::SourceBusy);
    assert!(
        found.text.contains("another session holds a lock"),
        "{}",
        found.text
    );
    assert!(
        found
            .fix
            .as_deref()
            .unwrap()
            .contains("the program that has the file open"),
        "{found:?}"
    );
}
