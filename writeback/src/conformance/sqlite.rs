//! The harness of SQLite, and tests of conditions that only a database file has.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::value::{ColumnValue, Value, ValueKind};
use synapsor_domain::writeback::{RECEIPT_TABLE, receipt_table_ddl};
use synapsor_engine::sqlite::SqliteEngine;
use synapsor_engine::{Access, Credential, EngineConfig, EngineLimits};
use synapsor_source::Engine;
use synapsor_source::error::EngineErrorKind;
use synapsor_source::{ReceiptTable, RowPlan};

use super::behaviors::{
    Account, Db, Fixture, Sample, TestDatabase, begin, change, dec, float, invoice, sample,
};
use crate::transaction::CommitError;

struct SqliteDatabase {
    folder: tempfile::TempDir,
}

/// Creates a new, empty file.
pub(crate) fn fresh() -> Arc<dyn TestDatabase> {
    let database = SqliteDatabase {
        folder: tempfile::tempdir().unwrap(),
    };
    database.execute("PRAGMA journal_mode = WAL;");
    Arc::new(database)
}

impl SqliteDatabase {
    fn path(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    fn invoices(&self, clauses: (&str, &str), more: &str) {
        let (of_columns, of_table) = clauses;
        let receipts = receipt_table_ddl(EngineKind::Sqlite, "main", RECEIPT_TABLE).unwrap();
        self.execute(&format!(
            "CREATE TABLE invoices (id TEXT NOT NULL PRIMARY KEY, tenant TEXT NOT NULL, status TEXT, \
               fee INTEGER NOT NULL, version INTEGER NOT NULL{of_columns}) {of_table};
             INSERT INTO invoices VALUES ('INV-1', 'acme', 'open', 5500, 7), ('INV-2', 'acme', 'paid', 0, 1),
               ('INV-3', 'globex', 'due', 100, 2);
             {more}
             {receipts}"
        ));
    }
}

impl TestDatabase for SqliteDatabase {
    fn create(&self, fixture: Fixture) {
        match fixture {
            Fixture::Invoices => self.invoices(("", "STRICT"), ""),
            Fixture::RaisesVersion => self.invoices(
                ("", ""),
                "CREATE TRIGGER raise AFTER UPDATE ON invoices WHEN new.version = old.version BEGIN \
                   UPDATE invoices SET version = old.version + 1 WHERE id = new.id; END;",
            ),
            Fixture::WritesElsewhere => self.invoices(
                ("", ""),
                "CREATE TABLE journal (line TEXT); CREATE TRIGGER note AFTER UPDATE ON invoices BEGIN \
                   INSERT INTO journal VALUES (new.id); END;",
            ),
            Fixture::ChangesOthers => self.invoices(
                ("", ""),
                "CREATE TRIGGER spread AFTER UPDATE OF fee ON invoices BEGIN \
                   UPDATE invoices SET status = 'touched' WHERE id <> new.id; END;",
            ),
            Fixture::RewritesColumn => self.invoices(
                ("", ""),
                "CREATE TRIGGER rewrite AFTER UPDATE OF status ON invoices WHEN new.status <> 'rewritten' BEGIN \
                   UPDATE invoices SET status = 'rewritten' WHERE id = new.id; END;",
            ),
            Fixture::Cascades => self.invoices(
                (", UNIQUE (status)", ""),
                "CREATE TABLE notes (status TEXT REFERENCES invoices (status) ON UPDATE CASCADE); \
                 INSERT INTO notes VALUES ('open');",
            ),
            Fixture::CascadesUnseen => self.invoices(
                (", UNIQUE (status)", ""),
                "CREATE TABLE notes (status TEXT PRIMARY KEY REFERENCES invoices (status) ON UPDATE CASCADE) \
                   WITHOUT ROWID; INSERT INTO notes VALUES ('open');",
            ),
            Fixture::ReplacesOnConflict => self.invoices((", UNIQUE (status) ON CONFLICT REPLACE", ""), ""),
            Fixture::ClusteredKey => self.invoices(("", "WITHOUT ROWID"), ""),
            Fixture::Checked => self.invoices((", CHECK (fee >= 0)", ""), ""),
            Fixture::FoldedKeys => self.execute(
                "CREATE TABLE folded (id TEXT COLLATE NOCASE PRIMARY KEY, tenant TEXT COLLATE NOCASE, body TEXT);
                 INSERT INTO folded VALUES ('Key', 'Acme', 'one'), ('trail ', 'Acme ', 'two');",
            ),
            Fixture::IntegerKeys => self.execute(
                "CREATE TABLE numbered (id INTEGER PRIMARY KEY, tenant TEXT, body TEXT);
                 INSERT INTO numbered VALUES (1, 'acme', 'one'), (12, 'acme', 'twelve');",
            ),
            Fixture::TextKeys => self.execute(
                "CREATE TABLE lettered (id TEXT, tenant TEXT, body TEXT);
                 INSERT INTO lettered VALUES ('1', 'acme', 'one'), ('01', 'acme', 'padded'), ('1 ', 'acme', 'spaced');",
            ),
            Fixture::Twins => self.execute(
                "CREATE TABLE twins (id TEXT, tenant TEXT, body TEXT);
                 INSERT INTO twins VALUES ('same', 'acme', 'a'), ('same', 'acme', 'b'), ('same', 'acme', 'c');",
            ),
            Fixture::Kinds => self.execute(KINDS),
            Fixture::Wide => self.execute(
                "CREATE TABLE wide (id TEXT PRIMARY KEY, tenant TEXT, a TEXT, b TEXT, c TEXT, d TEXT);
                 INSERT INTO wide (id, tenant, a) VALUES ('limit', 'acme', printf('%.65536c', 'x')),
                   ('value', 'acme', printf('%.65537c', 'x'));
                 INSERT INTO wide SELECT 'row', 'acme', t, t, t, t FROM (SELECT printf('%.61440c', 'x') AS t);",
            ),
            Fixture::Broken => self.execute(
                "CREATE TABLE broken (id TEXT PRIMARY KEY, tenant TEXT, body TEXT);
                 INSERT INTO broken VALUES ('k', 'acme', CAST(x'ff41' AS TEXT));",
            ),
            Fixture::Slow => self.execute(
                "CREATE VIEW slow AS SELECT 'k' AS id, 'acme' AS tenant, (WITH RECURSIVE c(x) AS \
                   (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000000000) SELECT max(x) FROM c) AS body;",
            ),
        }
    }

    fn execute(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn text(&self, sql: &str) -> String {
        let connection = Connection::open(self.path()).unwrap();
        connection
            .query_row(&format!("SELECT CAST(({sql}) AS TEXT)"), [], |row| row.get(0))
            .unwrap()
    }

    fn schema(&self) -> String {
        "main".to_owned()
    }

    fn another(&self) -> Db {
        fresh()
    }

    fn drop_trigger(&self, name: &str) {
        self.execute(&format!("DROP TRIGGER {name}"));
    }

    fn engine(&self, access: Access, timeout: Option<Duration>) -> Account {
        let url = format!("sqlite://{}", self.path().display());
        open(&url, access, timeout)
    }

    fn hold_lock(&self) -> Box<dyn Send> {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Box::new(connection)
    }

    fn change_identity(&self) {
        self.execute("UPDATE synapsor_database_identity SET instance = 'another-one'");
    }

    fn bad_receipt_tables(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            (
                "without STRICT",
                "ALTER TABLE synapsor_writeback_receipts RENAME TO x; CREATE TABLE synapsor_writeback_receipts AS SELECT * FROM x;",
            ),
            (
                "a trigger",
                "CREATE TRIGGER t AFTER INSERT ON synapsor_writeback_receipts BEGIN SELECT 1; END;",
            ),
            (
                "another column",
                "ALTER TABLE synapsor_writeback_receipts ADD COLUMN extra TEXT;",
            ),
            (
                "a missing column",
                "ALTER TABLE synapsor_writeback_receipts DROP COLUMN reason;",
            ),
            (
                "a second unique index",
                "CREATE UNIQUE INDEX u ON synapsor_writeback_receipts (executor_id);",
            ),
            (
                "a view",
                "DROP TABLE synapsor_writeback_receipts; CREATE VIEW synapsor_writeback_receipts AS SELECT 1 AS proposal_id;",
            ),
            ("a conflict clause", REPLACING),
            ("a wider key", WIDER),
        ]
    }

    fn alter_receipts(&self) {
        self.execute(
            "CREATE TRIGGER alter_it AFTER INSERT ON synapsor_writeback_receipts BEGIN \
               UPDATE synapsor_writeback_receipts SET reason = 'altered'; END;",
        );
    }

    fn kinds(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("i", Value::int(42)),
            ("r", float("0.1")),
            ("n", float("10.5")),
            ("t", Value::text("Zoë \"q\"")),
            ("b", Value::bytes(&[0, 255])),
            ("u", Value::null()),
            ("due", Value::text("2026-01-02")),
        ]
    }

    fn fits(&self) -> Vec<(&'static str, Value, Value)> {
        vec![
            ("i", Value::bool(true), Value::int(1)),
            ("flag", Value::bool(false), Value::int(0)),
            ("r", dec("10.5"), float("10.5")),
            ("r", Value::int(3), float("3.0")),
            ("t", Value::text("7"), Value::text("7")),
            ("b", Value::text("00FF"), Value::bytes(&[0, 255])),
            ("due", Value::text("2026-01-02"), Value::text("2026-01-02")),
            ("u", Value::null(), Value::null()),
        ]
    }

    fn misfits(&self) -> Vec<(&'static str, Value)> {
        let int = |text: &str| Value::exact(ValueKind::Int, text);
        vec![
            ("i", dec("1.5")),
            ("i", Value::text("1.0")),
            ("i", int("9223372036854775808")),
            ("i", Value::bytes(&[1])),
            ("big", int("-9223372036854775809")),
            ("r", dec("0.1000000000000000055511151231257827")),
            ("r", int("9007199254740993")),
            ("r", Value::text("1")),
            ("n", Value::text("1")),
            ("n", Value::text(" 1e3 ")),
            ("n", int("18446744073709551616")),
            ("t", Value::int(7)),
            ("t", Value::bool(true)),
            ("t", Value::text("a\0b")),
            ("t", Value::text("x".repeat(64 * 1024 + 1))),
            ("b", Value::text("00f")),
            ("need", Value::null()),
        ]
    }

    fn samples(&self) -> Vec<Sample> {
        vec![
            sample("INTEGER", "-1", Value::int(-1), true),
            sample("REAL", "1e300", float("1e300"), true),
            sample("REAL", "9e999", float("inf"), true),
            sample("TEXT", "'Zo\u{eb}'", Value::text("Zo\u{eb}"), true),
            sample("TEXT", "'Zoe\u{308}'", Value::text("Zoe\u{308}"), true),
            sample("TEXT", "'\u{1F600}'", Value::text("\u{1F600}"), true),
            sample("TEXT", "''", Value::text(""), true),
            sample("TEXT", "' a '", Value::text(" a "), true),
            sample("CHAR(8)", "'ab'", Value::text("ab"), true),
            sample("BLOB", "x'00ff'", Value::bytes(&[0, 255]), true),
            sample("NUMERIC", "'1.50'", float("1.5"), false),
            sample(
                "TIMESTAMP",
                "'2026-01-02 03:04:05.000006'",
                Value::text("2026-01-02 03:04:05.000006"),
                true,
            ),
            sample(
                "JSON",
                "'{\"b\": 1, \"a\": 2}'",
                Value::text("{\"b\": 1, \"a\": 2}"),
                true,
            ),
        ]
    }

    fn running_reads(&self) -> Option<u64> {
        // Statements run in this process, and the behaviors measure when they end.
        None
    }
}

const KINDS: &str = "CREATE TABLE kinds (id TEXT PRIMARY KEY, tenant TEXT, i INTEGER, big BIGINT, r REAL, n NUMERIC, \
    t TEXT, v VARCHAR(3), b BLOB, u, flag BOOLEAN, due DATE, need TEXT NOT NULL DEFAULT '');
    INSERT INTO kinds VALUES ('k', 'acme', 42, 9223372036854775807, 0.1, 10.5, 'Zoë \"q\"', 'longer', x'00ff', NULL, \
      1, '2026-01-02', '');
    INSERT INTO kinds (id, tenant, i, big, r) VALUES ('low', 'acme', -1, -9223372036854775808, 1e300);";

const REPLACING: &str = "DROP TABLE synapsor_writeback_receipts; CREATE TABLE synapsor_writeback_receipts (\
    proposal_id TEXT NOT NULL PRIMARY KEY ON CONFLICT REPLACE, proposal_digest TEXT NOT NULL, outcome TEXT NOT NULL, \
    reason TEXT NOT NULL, rows_affected INTEGER NOT NULL, previous_version TEXT, new_version TEXT, \
    fence INTEGER NOT NULL, executor_id TEXT NOT NULL, ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, \
    db_identity TEXT NOT NULL, created_at TEXT NOT NULL, receipt TEXT NOT NULL, executor_key TEXT NOT NULL, \
    executor_sig TEXT NOT NULL) STRICT;";
const WIDER: &str = "DROP TABLE synapsor_writeback_receipts; CREATE TABLE synapsor_writeback_receipts (\
    proposal_id TEXT NOT NULL, proposal_digest TEXT NOT NULL, outcome TEXT NOT NULL, \
    reason TEXT NOT NULL, rows_affected INTEGER NOT NULL, previous_version TEXT, new_version TEXT, \
    fence INTEGER NOT NULL, executor_id TEXT NOT NULL, ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, \
    db_identity TEXT NOT NULL, created_at TEXT NOT NULL, receipt TEXT NOT NULL, executor_key TEXT NOT NULL, \
    executor_sig TEXT NOT NULL, PRIMARY KEY (proposal_id, outcome)) STRICT;";

fn refused(url: &str) -> String {
    let refusal = SqliteEngine::new(url, RECEIPT_TABLE, EngineLimits::default()).unwrap_err();
    let shown = format!("{refusal} {refusal:?} {:?}", refusal.detail);
    assert!(!shown.contains("secret"), "{shown}");
    refusal.code.to_string()
}

#[test]
fn rejects_urls_without_a_regular_file_and_hides_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
    for url in [
        "secret.db",
        "sqlite:secret.db",
        "sqlite://secret.db",
        "postgres://u:secret@h/d",
        "sqlite:///",
    ] {
        assert_eq!(refused(url), "SOURCE_URL_INVALID", "{url}");
    }
    for name in ["secret.db?mode=rwc", "secret%2edb", "secret#x", "x/../secret.db"] {
        assert_eq!(refused(&at(name)), "SOURCE_URL_INVALID", "{name}");
    }
    assert_eq!(refused(&at("secret.db")), "SOURCE_FILE_MISSING");
    assert!(
        !folder.path().join("secret.db").exists(),
        "nothing may be created"
    );
    std::fs::write(folder.path().join("real.db"), b"").unwrap();
    std::os::unix::fs::symlink(folder.path().join("real.db"), folder.path().join("secret.db")).unwrap();
    assert_eq!(refused(&at("secret.db")), "SOURCE_FILE_MISSING");
    std::fs::create_dir(folder.path().join("secret")).unwrap();
    assert_eq!(refused(&at("secret")), "SOURCE_FILE_MISSING");
}

#[tokio::test]
async fn ledger_store_is_rejected_as_source() {
    let store = "PRAGMA application_id = 0x53796e4c; CREATE TABLE t (x);";
    // An application may have tables of these names.
    let other = "CREATE TABLE events (x); CREATE TABLE nodes (x); CREATE TABLE checkpoints (x);";
    for (sql, is_refused) in [(store, true), (other, false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let url = format!("sqlite://{}", path.display());
        for access in [Access::Read, Access::Write] {
            let refused = open(&url, access, None).identity().await.err();
            let is_denied = refused.is_some_and(|error| error.kind == EngineErrorKind::Denied);
            assert_eq!(is_denied, is_refused, "{sql}");
        }
    }
}

#[tokio::test]
async fn replaced_database_file_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let marked = |path: &PathBuf, instance: &str| {
        let sql = format!(
            "CREATE TABLE synapsor_database_identity (id INTEGER PRIMARY KEY, instance TEXT);
             INSERT INTO synapsor_database_identity VALUES (1, '{instance}');"
        );
        Connection::open(path).unwrap().execute_batch(&sql).unwrap();
    };
    marked(&path, "first-instance");
    let url = format!("sqlite://{}", path.display());
    let engine = SqliteEngine::new(&url, RECEIPT_TABLE, EngineLimits::default()).unwrap();
    assert_eq!(engine.identity().await.unwrap(), "sqlite:first-instance");
    let other = folder.path().join("other.db");
    marked(&other, "second-instance");
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(engine.identity().await.unwrap(), "sqlite:second-instance");
}

#[test]
fn sample_is_created_once_and_is_writable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.db");
    synapsor_engine::sqlite::sample::create(&path).unwrap();
    let fee: i64 = Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT late_fee_cents FROM invoices WHERE id = 'INV-3001'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(fee, 5500);
    let again = synapsor_engine::sqlite::sample::create(&path).unwrap_err();
    assert_eq!(again.code(), ErrorCode::FileExists);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = format!("sqlite://{}", path.display());
    let engine = SqliteEngine::new(&url, RECEIPT_TABLE, EngineLimits::default()).unwrap();
    assert_eq!(runtime.block_on(engine.receipt_problems()).unwrap(), Vec::new());
}

/// Opens the database of a URL behind one credential.
fn open(url: &str, access: Access, timeout: Option<Duration>) -> Account {
    let opening = EngineConfig {
        name: "source `test`".to_owned(),
        kind: EngineKind::Sqlite,
        credential: Credential::of_variable("URL", &EnvVars::fixed([("URL", url)])),
        receipts: ReceiptTable {
            schema: None,
            table: RECEIPT_TABLE.to_owned(),
        },
        limits: EngineLimits {
            statement_timeout: timeout,
            connections: None,
        },
    };
    Account::open(opening, access)
}

#[tokio::test]
async fn rejected_commit_is_not_in_doubt() {
    let db = fresh();
    db.set_up(Fixture::Invoices);
    db.execute(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY);
         ALTER TABLE invoices ADD COLUMN parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED;",
    );
    let (plan, set) = (invoice(&db), [ColumnValue::new("parent", Value::int(9))]);
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(transaction.update(&plan, change(&set, None)).await.unwrap(), 1);
    match transaction.commit().await {
        Err(CommitError::NotCommitted(error)) => assert_eq!(error.kind, EngineErrorKind::Constraint),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        db.text("SELECT count(*) FROM invoices WHERE parent IS NOT NULL"),
        "0"
    );
}

#[tokio::test]
async fn commit_with_an_active_reader_is_busy_not_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let owner = Connection::open(&path).unwrap();
    owner
        .execute_batch("PRAGMA journal_mode = DELETE; CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER); INSERT INTO t VALUES ('a', 1);")
        .unwrap();
    let engine = open(&format!("sqlite://{}", path.display()), Access::Write, None);
    let mut transaction = engine.begin().await.unwrap().transaction;
    let plan = RowPlan {
        schema: "main".to_owned(),
        table: "t".to_owned(),
        keys: vec![ColumnValue::new("id", Value::text("a"))],
        tenant: None,
        columns: vec!["v".to_owned()],
    };
    let set = [ColumnValue::new("v", Value::int(2))];
    assert_eq!(transaction.update(&plan, change(&set, None)).await.unwrap(), 1);
    owner.execute_batch("BEGIN; SELECT * FROM t;").unwrap();
    let committed = transaction.commit().await;
    owner.execute_batch("COMMIT").unwrap();
    match committed {
        Err(CommitError::NotCommitted(error)) => assert_eq!(error.kind, EngineErrorKind::Busy),
        other => panic!("{other:?}"),
    }
    let value: i64 = owner.query_row("SELECT v FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(value, 1);
}

#[tokio::test]
async fn file_replaced_during_the_lock_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("app.db"), folder.path().join("copy.db"));
    let owner = Connection::open(&path).unwrap();
    let sql = format!(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER); INSERT INTO t VALUES ('a', 1);
         VACUUM INTO '{}'; BEGIN IMMEDIATE;",
        copy.display()
    );
    owner.execute_batch(&sql).unwrap();
    let engine = open(&format!("sqlite://{}", path.display()), Access::Write, None);
    let waiting = tokio::spawn(async move { engine.begin().await.err().map(|error| error.kind) });
    // The writer waits for the lock when the log appears once more among the process's descriptors.
    let own = std::fs::metadata(folder.path().join("app.db-wal")).unwrap();
    let is_same = |entry: &std::fs::DirEntry| {
        std::fs::metadata(entry.path())
            .is_ok_and(|other| (other.dev(), other.ino()) == (own.dev(), own.ino()))
    };
    let opened = || {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter(is_same)
            .count()
    };
    while opened() < 2 {
        tokio::task::yield_now().await;
    }
    for suffix in ["", "-wal", "-shm"] {
        let from = folder.path().join(format!("app.db{suffix}"));
        std::fs::rename(from, folder.path().join(format!("away.db{suffix}"))).unwrap();
    }
    std::fs::rename(&copy, &path).unwrap();
    owner.execute_batch("ROLLBACK").unwrap();
    assert_eq!(waiting.await.unwrap(), Some(EngineErrorKind::Unavailable));
}

#[tokio::test]
async fn rejects_a_pipe_beside_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE t (x);")
        .unwrap();
    for suffix in ["-journal", "-wal"] {
        let pipe = folder.path().join(format!("app.db{suffix}"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let refused = open(&format!("sqlite://{}", path.display()), Access::Write, None)
            .begin()
            .await;
        assert_eq!(
            refused.err().map(|error| error.kind),
            Some(EngineErrorKind::Unavailable),
            "{suffix}"
        );
        std::fs::remove_file(&pipe).unwrap();
    }
}

#[tokio::test]
async fn file_with_a_second_name_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("app.db"), folder.path().join("link.db"));
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE t (x);")
        .unwrap();
    std::fs::hard_link(&path, &link).unwrap();
    for path in [&path, &link] {
        let url = format!("sqlite://{}", path.display());
        let refused = open(&url, Access::Write, None).begin().await;
        assert_eq!(
            refused.err().map(|error| error.kind),
            Some(EngineErrorKind::Denied)
        );
    }
}

#[tokio::test]
async fn damaged_file_is_reported_as_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    std::fs::write(&path, [0x5a; 8192]).unwrap();
    let engine = open(&format!("sqlite://{}", path.display()), Access::Read, None);
    assert_eq!(
        engine.identity().await.unwrap_err().kind,
        EngineErrorKind::Damaged
    );
}

#[tokio::test]
async fn reset_schema_number_hides_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let owner = Connection::open(&path).unwrap();
    owner
        .execute_batch("CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('a', 'first');")
        .unwrap();
    let engine = open(&format!("sqlite://{}", path.display()), Access::Read, None);
    let plan = RowPlan {
        schema: "main".to_owned(),
        table: "t".to_owned(),
        keys: vec![ColumnValue::new("id", Value::text("a"))],
        tenant: None,
        columns: vec!["v".to_owned()],
    };
    let value = async || engine.read(&plan).await.unwrap().rows[0][0].value.clone();
    assert_eq!(value().await, Value::text("first"));
    let number: i64 = owner
        .query_row("PRAGMA schema_version", [], |row| row.get(0))
        .unwrap();
    let change = format!(
        "ALTER TABLE t RENAME TO old; CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT);
         INSERT INTO t VALUES ('a', 'second'); PRAGMA schema_version = {number};"
    );
    owner.execute_batch(&change).unwrap();
    assert_eq!(value().await, Value::text("second"));
}

#[tokio::test]
async fn commit_to_a_replaced_file_is_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sql = format!(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER); INSERT INTO t VALUES ('a', 1);
         VACUUM INTO '{}';",
        at("copy.db").display()
    );
    let owner = Connection::open(at("app.db")).unwrap();
    owner.execute_batch(&sql).unwrap();
    let engine = open(
        &format!("sqlite://{}", at("app.db").display()),
        Access::Write,
        None,
    );
    let transaction = engine.begin().await.unwrap().transaction;
    for suffix in ["", "-wal", "-shm"] {
        std::fs::rename(at(&format!("app.db{suffix}")), at(&format!("away.db{suffix}"))).unwrap();
    }
    std::fs::rename(at("copy.db"), at("app.db")).unwrap();
    let committed = transaction.commit().await;
    assert!(matches!(committed, Err(CommitError::Doubt(_))), "{committed:?}");
}
