//! Whole transactions on files with damaged receipt tables, damaging triggers and harmless ones: only the
//! approved change is committed, and every refusal has a name.

use std::sync::Arc;

use synapsor_domain::contract::EngineKind;
use synapsor_domain::contract::{SideEffectAck, SideEffectWrite};
use synapsor_domain::value::Value;
use synapsor_domain::writeback::receipt_table_ddl;
use tokio::sync::Semaphore;

use synapsor_engine::sqlite::connect::DatabaseFile;

use super::super::write::{insert, open, update};
use super::*;
use synapsor_domain::value::ColumnValue;

use crate::transaction::{RecordError, RowChange};

#[path = "../../../../e2e/src/proofs/preconditions/sqlite_cases.rs"]
mod cases;

use cases::{DAMAGING_TRIGGERS, HARMLESS_TRIGGERS, RECEIPT_TABLES};

const RECEIPTS: &str = "synapsor_writeback_receipts";

/// Creates a file with three invoices, the migration and these statements of its owner.
struct Case {
    folder: tempfile::TempDir,
}

/// Result of one transaction.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Applied,
    /// The code of the table was not acknowledged; no transaction was begun.
    Unacknowledged,
    Violation(ViolationKind),
    /// The update did not match exactly one row, or the row is not as requested.
    Failed,
    /// The database rejected a statement.
    Database,
}

impl From<EngineError> for Ended {
    fn from(_: EngineError) -> Self {
        Self::Database
    }
}

impl From<CheckError> for Ended {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Violation(violation) => Self::Violation(violation.kind),
            CheckError::Engine(_) => Self::Database,
        }
    }
}

impl Case {
    fn new(sql: &str) -> Self {
        let case = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let receipts = receipt_table_ddl(EngineKind::Sqlite, SCHEMA, RECEIPTS).unwrap();
        let table = "CREATE TABLE invoices (id TEXT NOT NULL PRIMARY KEY, status TEXT, version INTEGER);
            INSERT INTO invoices VALUES ('INV-1', 'open', 7), ('INV-2', 'due', 1), ('INV-3', 'due', 2);";
        let old = format!(
            "INSERT INTO {RECEIPTS} VALUES ('old', 'd', 'applied', '', 1, NULL, NULL, 1, 'w', 1, 'r', 'i', 't', '{{}}', \
             'k', 's');"
        );
        case.execute(&format!("{table} {receipts} {old} {sql}"));
        case
    }

    fn owner(&self) -> Connection {
        Connection::open(self.folder.path().join("app.db")).unwrap()
    }

    fn execute(&self, sql: &str) {
        self.owner().execute_batch(sql).unwrap();
    }

    fn session(&self) -> Result<SqliteTxConn, EngineError> {
        let url = format!("sqlite://{}/app.db", self.folder.path().display());
        let turn = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let file = DatabaseFile::of_url(&url).unwrap();
        open(&file, RECEIPTS.to_owned(), turn).map(|(session, _, _)| session)
    }

    /// Acknowledgement that the contract would contain with these rows for every trigger that needs an entry.
    fn acknowledged(&self, writes: &[(&str, u32)]) -> Acknowledged {
        self.try_acknowledge(writes).unwrap()
    }

    /// `None` for code that no entry can acknowledge.
    fn try_acknowledge(&self, writes: &[(&str, u32)]) -> Option<Acknowledged> {
        let shape = inspect::shape(&self.owner(), SCHEMA, "invoices").unwrap();
        let open = shape
            .foreign_code
            .iter()
            .filter(|code| code.form == synapsor_domain::foreign_code::CodeForm::Acknowledgeable);
        let entries: Vec<SideEffectAck> = open
            .map(|code| SideEffectAck {
                name: code.name.clone(),
                digest: code.digest,
                functions: code.functions.clone(),
                writes: writes
                    .iter()
                    .map(|(table, rows)| SideEffectWrite {
                        table: (*table).to_owned(),
                        rows: *rows,
                    })
                    .collect(),
            })
            .collect();
        Acknowledged::acknowledge(&shape.foreign_code, &entries).ok()
    }

    /// Runs one writeback without an acknowledgement.
    fn write(&self) -> Ended {
        let shape = inspect::shape(&self.owner(), SCHEMA, "invoices").unwrap();
        match Acknowledged::acknowledge(&shape.foreign_code, &[]) {
            Ok(allowed) => self.write_with(&allowed, |_| {}),
            Err(_) => Ended::Unacknowledged,
        }
    }

    /// Runs one writeback; `between` runs between the receipt and the last check.
    fn write_with(&self, allowed: &Acknowledged, between: impl FnOnce(&Connection)) -> Ended {
        self.try_write(allowed, between).unwrap_or_else(|ended| ended)
    }

    fn try_write(&self, allowed: &Acknowledged, between: impl FnOnce(&Connection)) -> Result<Ended, Ended> {
        let mut session = self.session()?;
        let plan = plan();
        first(&mut session, &plan, allowed)?;
        let set = [ColumnValue::new("version", Value::int(8))];
        let change = RowChange {
            set: &set,
            guard: None,
            now: None,
        };
        if update(&session, &plan, change)? != 1 {
            return Ok(Ended::Failed);
        }
        let receipt = receipt();
        insert(&session, &receipt).map_err(|error| match error {
            RecordError::Exists => Ended::Failed,
            RecordError::Engine(error) => error.into(),
        })?;
        between(&session.connection);
        let rows = last(&mut session, Some(&plan), &receipt)?;
        let approved = [("id", "INV-1"), ("status", "open")]
            .map(|(name, text)| ColumnValue::new(name, Value::text(text)));
        if rows != [[&approved[..], &set[..]].concat()] {
            return Ok(Ended::Failed);
        }
        session.connection.execute_batch("COMMIT").unwrap();
        Ok(Ended::Applied)
    }

    /// Returns all stored rows besides the approved row and its receipt.
    fn rest(&self) -> Vec<String> {
        let owner = self.owner();
        let tables: Vec<String> = owner
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'search_%' ORDER BY name")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let mut rows = Vec::new();
        for table in tables {
            let mut statement = owner.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
            let columns = statement.column_count();
            let mut found = statement.query([]).unwrap();
            while let Some(row) = found.next().unwrap() {
                let values: Vec<String> = (0..columns)
                    .map(|at| format!("{:?}", row.get::<_, rusqlite::types::Value>(at).unwrap()))
                    .collect();
                rows.push(format!("{table}: {}", values.join(", ")));
            }
        }
        let is_approved =
            |row: &String| row.starts_with("invoices: Text(\"INV-1\")") || row.contains("wrp_1");
        rows.retain(|row| !is_approved(row));
        rows
    }

    fn status(&self) -> String {
        let sql = "SELECT status || version FROM invoices WHERE id = 'INV-1'";
        self.owner().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn plan() -> RowPlan {
    RowPlan {
        schema: SCHEMA.to_owned(),
        table: "invoices".to_owned(),
        keys: vec![ColumnValue::new("id", Value::text("INV-1"))],
        tenant: None,
        columns: ["id", "status", "version"].map(str::to_owned).to_vec(),
    }
}

fn receipt() -> StoredReceipt {
    StoredReceipt {
        proposal_id: "wrp_1".to_owned(),
        proposal_digest: "d".to_owned(),
        outcome: "applied".to_owned(),
        reason: String::new(),
        rows_affected: 1,
        previous_version: None,
        new_version: None,
        fence: 1,
        executor_id: "writer".to_owned(),
        ledger_size: 1,
        ledger_root: "r".to_owned(),
        db_identity: "i".to_owned(),
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
        receipt: "{}".to_owned(),
        executor_key: "k".to_owned(),
        executor_sig: "s".to_owned(),
    }
}

#[test]
fn rejects_damaged_receipt_tables_before_the_first_write() {
    for case in RECEIPT_TABLES {
        let file = Case::new(case.sql);
        let before = file.rest();
        assert_eq!(
            file.write(),
            Ended::Violation(ViolationKind::ReceiptTable),
            "{} ({})",
            case.name,
            case.kind
        );
        assert_eq!(
            (file.status().as_str(), file.rest()),
            ("open7", before),
            "{}",
            case.name
        );
    }
}

#[test]
fn definition_changes_apply_from_the_next_transaction() {
    for case in RECEIPT_TABLES.iter().chain(DAMAGING_TRIGGERS) {
        let file = Case::new("");
        let session = file.session().unwrap();
        let owner = file.owner();
        owner.busy_timeout(std::time::Duration::ZERO).unwrap();
        assert!(owner.execute_batch(case.sql).is_err(), "{}", case.name);
        drop(session);
        assert_eq!(
            file.rest(),
            Case::new("").rest_with_identity_of(&file),
            "{}",
            case.name
        );
        file.execute(case.sql);
        assert_ne!(file.write(), Ended::Applied, "{}", case.name);
    }
}

impl Case {
    /// Returns the rows of a file without statements of its owner, with the identity of another.
    fn rest_with_identity_of(&self, other: &Self) -> Vec<String> {
        let identity = |case: &Self| -> String {
            let sql = "SELECT instance FROM synapsor_database_identity";
            case.owner().query_row(sql, [], |row| row.get(0)).unwrap()
        };
        let (own, other) = (identity(self), identity(other));
        self.rest().iter().map(|row| row.replace(&own, &other)).collect()
    }
}

#[test]
fn damaging_triggers_never_have_an_effect() {
    for case in DAMAGING_TRIGGERS {
        let file = Case::new(case.sql);
        let before = file.rest();
        let ended = file.write();
        assert!(
            matches!(ended, Ended::Unacknowledged | Ended::Failed),
            "{}: {ended:?}",
            case.name
        );
        // Acknowledged, but with side effects beyond the acknowledgement.
        let Some(allowed) = file.try_acknowledge(&[]) else {
            continue;
        };
        let ended = file.write_with(&allowed, |_| {});
        assert!(
            matches!(
                ended,
                Ended::Failed | Ended::Database | Ended::Violation(ViolationKind::RowsElsewhere)
            ),
            "{}: {ended:?}",
            case.name
        );
        assert_eq!(
            (file.status().as_str(), file.rest()),
            ("open7", before),
            "{}",
            case.name
        );
    }
}

#[test]
fn harmless_triggers_are_admitted() {
    for case in HARMLESS_TRIGGERS {
        let file = Case::new(case.sql);
        let before = file.rest();
        assert_eq!(file.write(), Ended::Applied, "{}", case.name);
        assert_eq!(
            (file.status().as_str(), file.rest()),
            ("open8", before),
            "{}",
            case.name
        );
    }
}

#[test]
fn only_acknowledged_rows_are_written() {
    let journal = DAMAGING_TRIGGERS
        .iter()
        .find(|case| case.name == "writes a journal")
        .unwrap();
    let file = Case::new(journal.sql);
    let allowed = file.acknowledged(&[("main.journal", 1)]);
    assert_eq!(file.write_with(&allowed, |_| {}), Ended::Applied);
    assert_eq!(file.status(), "open8");
    assert!(file.rest().iter().any(|row| row.starts_with("journal:")));

    let spread = DAMAGING_TRIGGERS
        .iter()
        .find(|case| case.name == "changes other rows")
        .unwrap();
    for (rows, ended) in [
        (1, Ended::Violation(ViolationKind::RowsElsewhere)),
        (2, Ended::Applied),
    ] {
        let file = Case::new(spread.sql);
        let allowed = file.acknowledged(&[("main.invoices", rows)]);
        assert_eq!(file.write_with(&allowed, |_| {}), ended, "{rows}");
    }
}

#[test]
fn rejects_declared_tables_without_change_reports() {
    let journal = DAMAGING_TRIGGERS
        .iter()
        .find(|case| case.name == "writes a journal")
        .unwrap();
    let more =
        "CREATE TABLE clustered (id TEXT PRIMARY KEY) WITHOUT ROWID; CREATE VIEW seen AS SELECT 1 AS x;";
    for table in [
        "main.synapsor_writeback_receipts",
        "main.SYNAPSOR_WRITEBACK_RECEIPTS",
        "main.synapsor_database_identity",
        "main.clustered",
        "main.seen",
        "main.missing",
        "temp.journal",
    ] {
        let file = Case::new(&format!("{} {more}", journal.sql));
        let allowed = file.acknowledged(&[(table, 1)]);
        let ended = file.write_with(&allowed, |_| {});
        assert_eq!(ended, Ended::Violation(ViolationKind::ForeignCode), "{table}");
    }
}

#[test]
fn rejects_code_that_differs_from_the_checked_code() {
    let file = Case::new(HARMLESS_TRIGGERS[0].sql);
    let verified = file.acknowledged(&[]);
    file.execute("DROP TRIGGER touch;");
    let ended = file.write_with(&verified, |_| {});
    assert_eq!(ended, Ended::Violation(ViolationKind::ForeignCode));
    assert_eq!(file.status(), "open7");
}

#[test]
fn last_check_finds_every_change_after_the_receipt() {
    use ViolationKind::{ReceiptTable, RowsElsewhere, SettingChanged, TargetChanged};
    for (what, sql, kind) in [
        ("setting", "PRAGMA recursive_triggers = ON", SettingChanged),
        ("checks", "PRAGMA ignore_check_constraints = ON", SettingChanged),
        ("foreign keys", "PRAGMA defer_foreign_keys = ON", SettingChanged),
        (
            "trigger",
            "CREATE TRIGGER late AFTER UPDATE ON invoices BEGIN SELECT 1; END",
            TargetChanged,
        ),
        (
            "index of the receipts",
            "CREATE INDEX late ON synapsor_writeback_receipts (outcome)",
            ReceiptTable,
        ),
        (
            "other row",
            "UPDATE invoices SET status = 'x' WHERE id = 'INV-2'",
            RowsElsewhere,
        ),
        (
            "receipt",
            "UPDATE synapsor_writeback_receipts SET reason = 'x'",
            RowsElsewhere,
        ),
        (
            "second receipt",
            "INSERT INTO synapsor_writeback_receipts SELECT 'other', proposal_digest, outcome, reason, \
            rows_affected, previous_version, new_version, fence, executor_id, ledger_size, ledger_root, db_identity, \
            created_at, receipt, executor_key, executor_sig FROM synapsor_writeback_receipts WHERE proposal_id = 'wrp_1'",
            RowsElsewhere,
        ),
        (
            "temporary table",
            "CREATE TEMP TABLE synapsor_writeback_receipts (x)",
            ReceiptTable,
        ),
    ] {
        let file = Case::new("");
        let ended = file.write_with(&file.acknowledged(&[]), |connection| {
            connection.execute_batch(sql).unwrap();
        });
        assert_eq!(ended, Ended::Violation(kind), "{what}");
        assert_eq!(file.status(), "open7", "{what}");
    }
    // Changes of the row itself are visible in the rows read.
    for sql in [
        "UPDATE invoices SET status = 'free' WHERE id = 'INV-1'",
        "UPDATE invoices SET id = 'INV-9' WHERE id = 'INV-1'",
    ] {
        let file = Case::new("");
        let ended = file.write_with(&file.acknowledged(&[]), |connection| {
            connection.execute_batch(sql).unwrap();
        });
        assert_eq!(ended, Ended::Failed, "{sql}");
    }
}

/// Returns the rows of `invoices`, read from the table and not from an index.
fn table_rows(file: &Case) -> Vec<String> {
    file.rest()
        .into_iter()
        .chain([file.status()])
        .filter(|row| !row.starts_with("synapsor_database_identity"))
        .collect()
}

#[test]
fn rejects_a_self_referencing_key_with_an_action() {
    for action in ["CASCADE", "SET NULL", "SET DEFAULT"] {
        let file = Case::new(&format!(
            "CREATE UNIQUE INDEX v ON invoices (version);
             ALTER TABLE invoices ADD COLUMN other INTEGER REFERENCES invoices (version) ON UPDATE {action};
             UPDATE invoices SET other = 7 WHERE id = 'INV-1';"
        ));
        let before = table_rows(&file);
        assert_eq!(
            file.write(),
            Ended::Violation(ViolationKind::RowsElsewhere),
            "{action}"
        );
        assert_eq!(table_rows(&file), before, "{action}");
    }
    let file = Case::new(
        "CREATE UNIQUE INDEX s ON invoices (status, id);
         ALTER TABLE invoices ADD COLUMN other TEXT REFERENCES invoices (id) ON UPDATE CASCADE;",
    );
    assert_eq!(
        file.write(),
        Ended::Applied,
        "the key references a column that does not change"
    );
}

/// Edits the schema table like an owner who knows the file format.
fn edit_schema(file: &Case, sql: &str) {
    let owner = file.owner();
    let version: i64 = owner
        .query_row("PRAGMA schema_version", [], |row| row.get(0))
        .unwrap();
    let edit = format!(
        "PRAGMA writable_schema = ON; {sql} PRAGMA schema_version = {};",
        version + 1
    );
    owner.execute_batch(&edit).unwrap();
}

#[test]
fn rejects_an_index_that_points_to_another_row() {
    let file = Case::new(
        "CREATE TABLE decoy (id TEXT NOT NULL PRIMARY KEY);
         INSERT INTO decoy VALUES ('INV-2'), ('INV-1'), ('INV-3');",
    );
    edit_schema(
        &file,
        "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema
           WHERE name IN ('sqlite_autoindex_invoices_1', 'sqlite_autoindex_decoy_1')) - rootpage
         WHERE name IN ('sqlite_autoindex_invoices_1', 'sqlite_autoindex_decoy_1');",
    );
    assert_eq!(file.write(), Ended::Violation(ViolationKind::ReadBack));
    let changed: i64 = file
        .owner()
        .query_row(
            "SELECT count(*) FROM invoices NOT INDEXED WHERE version = 8",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(changed, 0);
}

#[test]
fn rejects_an_index_that_shares_its_page_with_a_table() {
    let file = Case::new(
        "CREATE TABLE payments (cents INTEGER, id INTEGER, PRIMARY KEY (cents, id)) WITHOUT ROWID;
         INSERT INTO payments VALUES (7, 1), (2500, 2); CREATE INDEX by_version ON invoices (version);",
    );
    edit_schema(
        &file,
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'payments')
         WHERE name = 'by_version';",
    );
    assert_eq!(file.write(), Ended::Violation(ViolationKind::TargetChanged));
    let kept: i64 = file
        .owner()
        .query_row(
            "SELECT count(*) FROM payments WHERE cents = 7 AND id = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(kept, 1);
}

#[test]
fn byte_order_mark_hides_no_trigger() {
    let file = Case::new(
        "CREATE TABLE secrets (word TEXT); INSERT INTO secrets VALUES ('x');
         CREATE TRIGGER hidden AFTER \u{feff}UPDATE ON invoices BEGIN
           UPDATE invoices SET status = (\u{feff}SELECT word \u{feff}FROM secrets) WHERE id = NEW.id; END;",
    );
    assert_eq!(file.write(), Ended::Unacknowledged);
    assert_eq!(file.status(), "open7");
}

#[test]
fn rejects_acknowledgement_of_unreported_writes() {
    let virtual_table = "CREATE VIRTUAL TABLE found USING fts5(status);
        CREATE TRIGGER sync AFTER UPDATE ON invoices BEGIN
          INSERT OR REPLACE INTO found (rowid, status) VALUES (NEW.rowid, NEW.status); END;";
    let without_numbers = "CREATE TABLE log (id TEXT PRIMARY KEY) WITHOUT ROWID;
        CREATE TRIGGER sync AFTER UPDATE ON invoices BEGIN DELETE FROM LOG WHERE id = NEW.id; END;";
    for sql in [virtual_table, without_numbers] {
        let shape = inspect::shape(&Case::new(sql).owner(), SCHEMA, "invoices").unwrap();
        let forms: Vec<_> = shape.foreign_code.iter().map(|code| code.form).collect();
        assert!(
            matches!(forms[..], [synapsor_domain::foreign_code::CodeForm::Never(_)]),
            "{sql}: {forms:?}"
        );
    }
}

#[test]
fn rejects_triggers_of_a_target_without_row_numbers() {
    let file = Case::new(
        "CREATE TABLE keyed (id TEXT PRIMARY KEY, at TEXT) WITHOUT ROWID;
         CREATE TRIGGER stamp AFTER UPDATE ON keyed BEGIN UPDATE keyed SET at = 'x' WHERE id = NEW.id; END;",
    );
    let shape = inspect::shape(&file.owner(), SCHEMA, "keyed").unwrap();
    let forms: Vec<_> = shape.foreign_code.iter().map(|code| code.form).collect();
    assert!(
        matches!(forms[..], [synapsor_domain::foreign_code::CodeForm::Never(_)]),
        "{forms:?}"
    );
}

#[test]
fn rejects_a_file_replaced_before_the_last_check() {
    let file = Case::new("PRAGMA journal_mode = WAL;");
    let folder = file.folder.path();
    std::fs::copy(folder.join("app.db"), folder.join("copy.db")).unwrap();
    let ended = file.write_with(&file.acknowledged(&[]), |_| {
        for suffix in ["", "-wal", "-shm"] {
            let from = folder.join(format!("app.db{suffix}"));
            std::fs::rename(from, folder.join(format!("away.db{suffix}"))).unwrap();
        }
        std::fs::rename(folder.join("copy.db"), folder.join("app.db")).unwrap();
    });
    assert_eq!(ended, Ended::Database);
    assert_eq!(file.status(), "open7");
}
