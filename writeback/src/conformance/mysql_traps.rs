//! Traps of MySQL and MariaDB only, each on both servers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::transaction::RecordError;
use crate::transaction::Transaction;
use crate::violation::CheckError;
use synapsor_domain::value::{ColumnValue, Value, ValueKind};
use synapsor_engine::Access;
use synapsor_source::EngineErrorKind;
use synapsor_source::{PreflightTarget, RowPlan};

use super::behaviors::{
    AT, Account, Db, Fixture, begin, change, dec, int, invoice, plan, receipt, record, text, update,
};
use super::mysql::{self, Holder, MysqlDatabase};
use super::proxy::{Rewriting, counting_changed};
use super::servers::{MARIADB, MARIADB_118, MYSQL, ServerVersion};

const FEE: &str = "SELECT fee FROM invoices WHERE id = 'INV-1'";
const RECEIPTS: &str = "SELECT count(*) FROM synapsor_writeback_receipts";

/// Returns the available servers.
fn servers() -> impl Iterator<Item = &'static ServerVersion> {
    [&MYSQL, &MARIADB, &MARIADB_118]
        .into_iter()
        .filter(|server| server.is_there())
}

fn made(server: &ServerVersion, sql: &str) -> Arc<MysqlDatabase> {
    let database = mysql::fresh(server);
    database.make(sql);
    database
}

fn with(database: &Arc<MysqlDatabase>) -> Db {
    database.clone()
}

async fn count(db: &Db, plan: &RowPlan) -> usize {
    db.reader().read(plan).await.unwrap().rows.len()
}

async fn set(db: &Db, transaction: &mut dyn Transaction, plan: &RowPlan, new: ColumnValue) -> ColumnValue {
    let name = new.column.clone();
    assert_eq!(update(transaction, plan, &[new], None).await, 1);
    let mut again = plan.clone();
    again.columns = vec![name];
    let _ = db;
    transaction.reread(&again).await.unwrap().remove(0).remove(0)
}

#[tokio::test]
async fn text_column_is_never_compared_with_a_number() {
    for server in servers() {
        let database = made(
            server,
            "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, tenant VARCHAR(9), body TEXT);
             INSERT INTO t VALUES ('abc', 'x', 'a'), ('1x', '0', 'b'), ('0', '1x', 'c');",
        );
        let db = with(&database);
        for (key, tenant) in [(int("id", 0), int("tenant", 0)), (int("id", 1), int("tenant", 1))] {
            let mut plan = plan(&db, "t", "", "", &["body"]);
            (plan.keys, plan.tenant) = (vec![key], Some(tenant));
            assert_eq!(count(&db, &plan).await, 0);
            let mut transaction = begin(&db).await.transaction;
            assert_eq!(
                update(transaction.as_mut(), &plan, &[text("body", "!")], None).await,
                0
            );
        }
        assert_eq!(count(&db, &plan(&db, "t", "0", "1x", &["body"])).await, 1);
    }
}

#[tokio::test]
async fn accents_case_and_blanks_distinguish_tenants() {
    for server in servers() {
        let database = made(
            server,
            "CREATE TABLE t (id VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, \
               tenant VARCHAR(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci, fee INT);
             INSERT INTO t VALUES ('a', 'acme', 1), ('b', 'ACMÉ ', 2);",
        );
        let db = with(&database);
        assert_eq!(count(&db, &plan(&db, "t", "a", "acme", &["fee"])).await, 1);
        assert_eq!(count(&db, &plan(&db, "t", "b", "ACMÉ ", &["fee"])).await, 1);
        for (id, tenant) in [
            ("a", "ACME"),
            ("a", "acmé"),
            ("a", "acme "),
            ("A", "acme"),
            ("b", "acme"),
            ("b", "Ł"),
        ] {
            let plan = plan(&db, "t", id, tenant, &["fee"]);
            assert_eq!(count(&db, &plan).await, 0, "{id} {tenant}");
            let mut transaction = begin(&db).await.transaction;
            assert!(transaction.lock(&plan).await.unwrap().is_empty());
            assert_eq!(
                update(transaction.as_mut(), &plan, &[int("fee", 9)], None).await,
                0
            );
        }
    }
}

#[tokio::test]
async fn rejects_numbers_that_the_server_would_round_or_clip() {
    for server in servers() {
        let database = made(
            server,
            "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, tenant VARCHAR(9), price DECIMAL(5,2), many TINYINT, \
               big BIGINT UNSIGNED); INSERT INTO t VALUES ('a', 'x', 1.50, 1, 18446744073709551615);",
        );
        let db = with(&database);
        let engine = db.writer();
        let shape = engine.table_schema(&db.schema(), "t").await.unwrap();
        let fit = |column: &str, value: &Value| engine.fit(shape.column(column).unwrap(), value);
        assert!(fit("price", &dec("1.239")).is_err());
        assert!(fit("price", &dec("99999")).is_err());
        assert!(fit("many", &Value::int(128)).is_err());
        // A value that still gets this far is an error of the server, not another value.
        for new in [int("many", 128), ColumnValue::new("price", dec("1.239"))] {
            let row = plan(&db, "t", "a", "x", &["many"]);
            let mut transaction = begin(&db).await.transaction;
            assert!(transaction.update(&row, change(&[new], None)).await.is_err());
            assert!(record(transaction, &receipt(1, AT)).await.is_err());
        }
        assert_eq!(db.text("SELECT CONCAT(price, '/', many) FROM t"), "1.50/1");
        // One less is another number, although a float could not represent the difference.
        let row = plan(&db, "t", "a", "x", &["many"]);
        let guard = |n: &str| ColumnValue::new("big", Value::exact(ValueKind::Int, n));
        let mut transaction = begin(&db).await.transaction;
        let set = [int("many", 2)];
        let stale = guard("18446744073709551614");
        assert_eq!(update(transaction.as_mut(), &row, &set, Some(&stale)).await, 0);
        let now = guard("18446744073709551615");
        assert_eq!(update(transaction.as_mut(), &row, &set, Some(&now)).await, 1);
    }
}

#[tokio::test]
async fn change_to_equal_values_matches_its_row() {
    for server in servers() {
        let db: Db = mysql::fresh(server);
        db.set_up(Fixture::Invoices);
        let mut transaction = begin(&db).await.transaction;
        let same = [int("fee", 5500)];
        assert_eq!(
            update(
                transaction.as_mut(),
                &invoice(&db),
                &same,
                Some(&int("version", 7))
            )
            .await,
            1
        );
    }
}

#[tokio::test]
async fn whole_second_version_waits_for_the_next_tick() {
    for server in servers() {
        let database = made(
            server,
            "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, tenant VARCHAR(9), fee INT, \
               at DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, \
               fine DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), now TIMESTAMP(3) NULL);
             INSERT INTO t (id, tenant, fee) VALUES ('a', 'x', 1);",
        );
        let db = with(&database);
        let shape = db.reader().table_schema(&db.schema(), "t").await.unwrap();
        let declared = |name: &str| shape.column(name).unwrap().declared_type.clone();
        assert_eq!(declared("at"), "datetime on update CURRENT_TIMESTAMP");
        assert_eq!(declared("fine"), "datetime(6) on update CURRENT_TIMESTAMP(6)");
        let row = plan(&db, "t", "a", "x", &["fine", "now"]);
        let mut transaction = begin(&db).await.transaction;
        let before = transaction.lock(&row).await.unwrap();
        let set = [int("fee", 2)];
        let mut moving = change(&set, None);
        moving.now = Some("now");
        assert_eq!(transaction.update(&row, moving).await.unwrap(), 1);
        let after = transaction.reread(&row).await.unwrap();
        assert_ne!(before[0][0], after[0][0]);
        assert_eq!(after[0][1].value.kind(), ValueKind::Tstz);
        let digits = after[0][1].value.as_text().unwrap();
        assert!(digits.len() == "2026-01-02 03:04:05.678+00".len(), "{digits}");
    }
}

#[tokio::test]
async fn zero_dates_are_read_unchanged_and_never_written() {
    for server in servers() {
        let database = made(
            server,
            "SET SESSION sql_mode = ''; CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, tenant VARCHAR(9), d DATE, \
               at DATETIME(3), ts TIMESTAMP NULL, fee INT);
             INSERT INTO t VALUES ('a', 'x', '0000-00-00', '0000-00-00', '0000-00-00', 1), \
               ('b', 'x', '2026-00-01', NULL, NULL, 1);",
        );
        let db = with(&database);
        let columns = ["d", "at", "ts"];
        let found = db
            .reader()
            .read(&plan(&db, "t", "a", "x", &columns))
            .await
            .unwrap()
            .rows;
        assert_eq!(
            found,
            [vec![
                text("d", "0000-00-00"),
                text("at", "0000-00-00 00:00:00.000"),
                text("ts", "0000-00-00 00:00:00")
            ]]
        );
        let found = db
            .reader()
            .read(&plan(&db, "t", "b", "x", &["d"]))
            .await
            .unwrap()
            .rows;
        assert_eq!(found, [vec![text("d", "2026-00-01")]]);
        let engine = db.writer();
        let shape = engine.table_schema(&db.schema(), "t").await.unwrap();
        for name in columns {
            let column = shape.column(name).unwrap();
            assert!(engine.fit(column, &Value::text("0000-00-00")).is_err());
            assert!(engine.fit(column, &Value::text("0000-00-00 00:00:00")).is_err());
        }
        // Other columns of a row with a zero date can still be changed.
        let row = plan(&db, "t", "a", "x", &["fee"]);
        let mut transaction = begin(&db).await.transaction;
        assert_eq!(
            set(&db, transaction.as_mut(), &row, int("fee", 2)).await,
            int("fee", 2)
        );
    }
}

#[tokio::test]
async fn json_is_read_as_each_server_stores_it() {
    for server in servers() {
        let database = made(
            server,
            "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, tenant VARCHAR(9), j JSON);
             INSERT INTO t VALUES ('a', 'x', '{\"b\":1,\"a\":12345678901234567890123}');",
        );
        let db = with(&database);
        let engine = db.writer();
        let row = engine
            .read(&plan(&db, "t", "a", "x", &["j"]))
            .await
            .unwrap()
            .rows
            .remove(0);
        let shape = engine.table_schema(&db.schema(), "t").await.unwrap();
        let column = shape.column("j").unwrap();
        if engine.product().await.unwrap().starts_with("MySQL") {
            assert_eq!(row[0].value.kind(), ValueKind::Json);
            let refusal = engine.fit(column, &Value::text("{}")).unwrap_err();
            assert!(refusal.public.contains("json"), "{}", refusal.public);
        } else {
            assert_eq!(row, [text("j", "{\"b\":1,\"a\":12345678901234567890123}")]);
            assert!(engine.fit(column, &Value::text("{}")).is_ok());
        }
    }
}

#[tokio::test]
async fn table_without_transactions_is_reported() {
    for server in servers() {
        let database = made(
            server,
            "CREATE TABLE t (id VARCHAR(9) PRIMARY KEY, tenant VARCHAR(9), fee INT) ENGINE = MyISAM;",
        );
        let db = with(&database);
        let shape = db.reader().table_schema(&db.schema(), "t").await.unwrap();
        assert!(
            shape.traits.iter().any(|word| word == "engine:MyISAM"),
            "{:?}",
            shape.traits
        );
    }
}

#[tokio::test]
async fn receipt_timeout_rolls_the_change_back() {
    for server in servers() {
        let db: Db = mysql::fresh(server);
        db.set_up(Fixture::Invoices);
        let mut first = begin(&db).await.transaction;
        first
            .lock(&plan(&db, "invoices", "INV-2", "acme", &["fee"]))
            .await
            .unwrap();
        let first = record(first, &receipt(1, AT)).await.unwrap();
        let mut second = begin(&db).await.transaction;
        assert_eq!(
            second
                .update(&invoice(&db), change(&[int("fee", 0)], None))
                .await
                .unwrap(),
            1
        );
        let begun = Instant::now();
        // Error 1205 ends the statement and leaves a transaction with the change open on the server.
        let error = record(second, &receipt(1, AT)).await.err().unwrap();
        assert!(
            matches!(&error, RecordError::Engine(e) if e.kind == EngineErrorKind::Busy),
            "{error:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(first);
        assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-1'"), "5500");
        assert_eq!(db.text(RECEIPTS), "0");
    }
}

#[tokio::test]
async fn killed_connection_commits_nothing() {
    for server in servers() {
        let database = mysql::fresh(server);
        let db = with(&database);
        db.set_up(Fixture::Invoices);
        let mut transaction = begin(&db).await.transaction;
        assert_eq!(
            update(transaction.as_mut(), &invoice(&db), &[int("fee", 0)], None).await,
            1
        );
        let recorded = record(transaction, &receipt(1, AT)).await.unwrap();
        let writer = database.account('w');
        let sql =
            format!("SELECT CAST(ID AS CHAR) FROM information_schema.PROCESSLIST WHERE USER = '{writer}'");
        for id in database.lines(&sql) {
            crate::conformance::mysql::owner(&database.url('o'), &format!("KILL {id}"));
        }
        assert!(recorded.commit().await.is_err());
        assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-1'"), "5500");
        assert_eq!(db.text(RECEIPTS), "0");
    }
}

#[tokio::test]
async fn interrupted_read_returns_an_error() {
    for server in servers() {
        let database = made(
            server,
            "CREATE VIEW busy AS SELECT 'k' AS id, 'acme' AS tenant, \
               CAST(BENCHMARK(2000000000, SHA2('x', 256)) AS CHAR) AS body;",
        );
        let db = with(&database);
        let engine = db.hurried_reader(Duration::from_millis(200));
        let begun = Instant::now();
        let error = engine
            .read(&plan(&db, "busy", "k", "acme", &["body"]))
            .await
            .unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn limited_accounts_read_the_same_shape() {
    for server in servers() {
        let database = mysql::fresh(server);
        let db = with(&database);
        db.set_up(Fixture::WritesElsewhere);
        let reader = database.account('r');
        let schema = db.schema();
        crate::conformance::mysql::owner(
            &database.url('o'),
            &format!("REVOKE SELECT (status), SELECT (version) ON `{schema}`.invoices FROM `{reader}`@`%`"),
        );
        let (read, written) = (
            db.reader().table_schema(&schema, "invoices").await,
            db.writer().table_schema(&schema, "invoices").await,
        );
        let (read, written) = (read.unwrap(), written.unwrap());
        assert_eq!(read.fingerprint(), written.fingerprint());
        assert_eq!(read.columns.len(), 5);
        assert!(read.traits.iter().any(|word| word == "unobservable_triggers"));
        let error = db.reader().read(&invoice(&db)).await.unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Denied);
    }
}

#[tokio::test]
async fn hidden_triggers_count_as_unobservable() {
    for server in servers() {
        let database = mysql::fresh(server);
        let db = with(&database);
        db.set_up(Fixture::Invoices);
        let seen = db.writer().table_schema(&db.schema(), "invoices").await.unwrap();
        assert_eq!(seen.traits, Vec::<String>::new());
        crate::conformance::mysql::owner(
            &database.url('o'),
            &format!("DROP PROCEDURE `{}`.synapsor_table_catalogue", db.schema()),
        );
        let unseen = db.writer().table_schema(&db.schema(), "invoices").await.unwrap();
        assert_eq!(unseen.traits, ["unobservable_triggers"]);
        let mut transaction = begin(&db).await.transaction;
        let checked = transaction.first_check(None).await;
        assert!(matches!(checked, Err(CheckError::Violation(_))), "{checked:?}");
        transaction.roll_back().await;
        assert!(!db.writer().receipt_problems().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn preflight_finds_missing_and_excessive_rights() {
    for server in servers() {
        let database = mysql::fresh(server);
        let db = with(&database);
        db.set_up(Fixture::Invoices);
        let target = PreflightTarget {
            schema: db.schema(),
            table: "invoices".to_owned(),
            keys: vec!["id".to_owned()],
            tenant: Some("tenant".to_owned()),
            reads: ["id", "tenant", "fee", "version"].map(str::to_owned).to_vec(),
            writes: ["id", "tenant", "status", "fee", "version"]
                .map(str::to_owned)
                .to_vec(),
        };
        let codes = |findings: &[synapsor_source::Finding]| {
            let of =
                |f: &synapsor_source::Finding| format!("{} {}", f.code, f.fix.clone().unwrap_or_default());
            findings
                .iter()
                .map(of)
                .filter(|line| line.starts_with("GRANT_"))
                .collect::<Vec<_>>()
        };
        let writer = database.account('w');
        let found = db.writer().check(std::slice::from_ref(&target)).await.unwrap();
        let found = codes(&found);
        assert!(found.iter().all(|line| line.contains("SHOW VIEW")), "{found:?}");
        let change = |sql: &str| crate::conformance::mysql::owner(&database.url('o'), sql);
        change(&format!(
            "REVOKE UPDATE (fee) ON invoices FROM `{writer}`@`%`; GRANT DELETE ON invoices TO `{writer}`@`%`"
        ));
        let found = codes(&db.writer().check(&[target]).await.unwrap());
        let table = format!("`{}`.`invoices`", db.schema());
        assert!(
            found.contains(&format!(
                "GRANT_MISSING GRANT UPDATE (`fee`) ON {table} TO `{writer}`@`%`;"
            )),
            "{found:?}"
        );
        assert!(
            found.contains(&format!(
                "GRANT_EXCESSIVE REVOKE DELETE ON {table} FROM `{writer}`@`%`;"
            )),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn foreign_lock_is_awaited_only_briefly() {
    for server in servers() {
        let database = mysql::fresh(server);
        let db = with(&database);
        db.set_up(Fixture::Invoices);
        let held = Holder::new(
            database.url('o'),
            "START TRANSACTION; UPDATE invoices SET fee = 1 WHERE id = 'INV-1'",
        );
        let begun = Instant::now();
        let mut transaction = begin(&db).await.transaction;
        let error = transaction.lock(&invoice(&db)).await.unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Busy);
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(record(transaction, &receipt(1, AT)).await.is_err());
        drop(held);
    }
}

#[tokio::test]
async fn rejects_a_connection_that_counts_changed_rows() {
    for server in servers() {
        let database = mysql::fresh(server);
        let db = with(&database);
        db.set_up(Fixture::Invoices);
        // A first direct login, so that later logins need no TLS.
        begin(&db).await.transaction.roll_back().await;
        let (direct, address) = (database.url('w'), database.address());
        let through = direct.replace(&address, &counting_changed(address.clone()).await);
        assert_ne!(direct, through);
        let engine = database.engine_at(&through, Access::Write, None);
        let mut transaction = engine.begin().await.unwrap().transaction;
        transaction.lock(&invoice(&db)).await.unwrap();
        // A change to equal values matches its row, but such a connection reports that it does not.
        let error = transaction
            .update(&invoice(&db), change(&[int("fee", 5500)], None))
            .await
            .unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Denied);
        assert!(record(transaction, &receipt(1, AT)).await.is_err());
    }
}

/// A writer that connects through a proxy that rewrites its statements.
async fn proxied(
    database: &Arc<MysqlDatabase>,
    from: &'static str,
    to: &'static str,
) -> (Account, Rewriting) {
    let db = with(database);
    db.set_up(Fixture::Invoices);
    // A first direct login, so that later logins need no TLS.
    begin(&db).await.transaction.roll_back().await;
    let proxy = Rewriting::start(database.address(), from, to).await;
    let url = database.url('w').replace(&database.address(), proxy.address());
    (database.engine_at(&url, Access::Write, None), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_connection_neither_writes_nor_reports_success() {
    for server in servers() {
        let database = mysql::fresh(server);
        let db = with(&database);
        let (engine, proxy) = proxied(&database, "CONNECTION_ID()", "'1234567890123'").await;
        let fee = [int("fee", 0)];

        engine.identity().await.unwrap();
        proxy.rewrites(true);
        assert_eq!(
            engine.begin().await.unwrap_err().kind,
            EngineErrorKind::Unavailable
        );

        proxy.rewrites(false);
        let mut transaction = engine.begin().await.unwrap().transaction;
        proxy.rewrites(true);
        assert!(
            transaction
                .update(&invoice(&db), change(&fee, None))
                .await
                .is_err()
        );
        drop(transaction);
        assert_eq!(db.text(FEE), "5500");

        proxy.rewrites(false);
        let mut transaction = engine.begin().await.unwrap().transaction;
        assert_eq!(update(transaction.as_mut(), &invoice(&db), &fee, None).await, 1);
        proxy.rewrites(true);
        assert!(record(transaction, &receipt(1, AT)).await.is_err());
        assert_eq!(
            (db.text(FEE), db.text(RECEIPTS)),
            ("5500".to_owned(), "0".to_owned())
        );

        proxy.rewrites(false);
        let mut transaction = engine.begin().await.unwrap().transaction;
        assert_eq!(update(transaction.as_mut(), &invoice(&db), &fee, None).await, 1);
        let recorded = record(transaction, &receipt(1, AT)).await.unwrap();
        proxy.rewrites(true);
        assert!(
            recorded.commit().await.is_err(),
            "the connection of the COMMIT is unknown"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_server_is_not_written() {
    for server in servers() {
        let database = mysql::fresh(server);
        let (engine, proxy) = proxied(&database, "@@innodb_read_only", "1                 ").await;
        proxy.rewrites(true);
        assert_eq!(
            engine.begin().await.unwrap_err().kind,
            EngineErrorKind::Unavailable
        );
    }
}
