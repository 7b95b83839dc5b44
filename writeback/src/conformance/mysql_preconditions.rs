//! Damage that a table owner without further rights can do: nothing is written, or written wrongly. Each case
//! is tried under a running writer, before a writer starts, and between the row lock and the receipt.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::contract::{SideEffectAck, SideEffectWrite};
use synapsor_domain::foreign_code::{Acknowledged, CodeForm};
use synapsor_domain::schema::TableSchema;
use synapsor_domain::writeback::{RECEIPT_TABLE, mysql_procedures_ddl, receipt_table_ddl};
use synapsor_engine::Access;
use synapsor_source::{PreflightTarget, StoredReceipt};

use crate::transaction::{CheckTarget, RecordError, Transaction};
use crate::violation::CheckError;

use super::behaviors::{AT, Account, Db, TestDatabase as _, change, int, invoice, receipt};
use super::mysql::{self, MysqlDatabase, PASSWORD, blocking, connect, owner};
use super::preconditions::{Case, CaseKind, cases};
use super::servers::{MARIADB, MARIADB_118, MYSQL, ServerVersion};

const CASES: &str = include_str!("../../../e2e/fixtures/preconditions/mysql.sql");
const CASES_MYSQL: &str = include_str!("../../../e2e/fixtures/preconditions/mysql-only.sql");
const CASES_MARIADB: &str = include_str!("../../../e2e/fixtures/preconditions/mariadb-only.sql");
const FEE: &str = "SELECT fee FROM invoices WHERE id = 'INV-1'";

/// A database whose tables belong to an account without any other right.
struct Owned {
    database: Arc<MysqlDatabase>,
    db: Db,
    writer: Account,
    cases: Vec<Case>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        let account = self.database.account('u');
        owner(
            &self.database.url('o'),
            &format!("DROP USER IF EXISTS `{account}`"),
        );
    }
}

impl Owned {
    fn new(server: &ServerVersion, more: &'static str) -> Option<Self> {
        if !server.is_there() {
            return None;
        }
        let database = mysql::fresh(server);
        let (name, account) = (database.schema(), database.account('u'));
        // On a server with a binary log, an owner without further rights may define functions only with this
        // setting.
        owner(
            &database.url('o'),
            &format!(
                "SET GLOBAL log_bin_trust_function_creators = 1; CREATE USER `{account}`@`%` IDENTIFIED BY '{PASSWORD}';
                 GRANT ALL ON `{name}`.* TO `{account}`@`%`"
            ),
        );
        let all = [cases(CASES, "fee", ""), cases(more, "fee", "")].concat();
        let cases = all.into_iter().map(|case| Case {
            sql: case.sql.replace("{db}", &name),
            ..case
        });
        let db: Db = database.clone();
        let owned = Self {
            writer: db.engine(Access::Write, None),
            cases: cases.collect(),
            database,
            db,
        };
        owned.reset();
        Some(owned)
    }

    fn on_all() -> impl Iterator<Item = Self> {
        [
            (&MYSQL, CASES_MYSQL),
            (&MARIADB, CASES_MARIADB),
            (&MARIADB_118, CASES_MARIADB),
        ]
        .into_iter()
        .filter_map(|(server, more)| Self::new(server, more))
    }

    fn of_kind(&self, kind: CaseKind) -> Vec<Case> {
        self.cases
            .iter()
            .filter(|case| case.kind == kind)
            .cloned()
            .collect()
    }

    /// Creates the tables again; the writer continues.
    fn reset(&self) {
        let name = self.database.schema();
        let receipts = receipt_table_ddl(EngineKind::Mysql, &name, RECEIPT_TABLE).unwrap();
        owner(
            &self.database.url('o'),
            &format!(
                "DROP DATABASE `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            ),
        );
        self.db.execute(&format!(
            "CREATE TABLE invoices (id VARCHAR(64) NOT NULL PRIMARY KEY, tenant VARCHAR(64) NOT NULL, \
               status VARCHAR(64), fee BIGINT NOT NULL, version BIGINT NOT NULL) ENGINE=InnoDB;
             INSERT INTO invoices VALUES ('INV-1', 'acme', 'open', 5500, 7), ('INV-2', 'acme', 'paid', 0, 1),
               ('INV-3', 'globex', 'due', 100, 2);
             {receipts}"
        ));
    }

    /// Runs statements as the owner of the tables; `false` if the writer's locks blocked them.
    fn as_owner(&self, sql: &str) -> bool {
        let (url, sql) = (self.database.url('u'), sql.to_owned());
        let lock_wait_timeout_reached = blocking(async move {
            let mut connection = connect(&url).await;
            sqlx::raw_sql("SET SESSION lock_wait_timeout = 1")
                .execute(&mut connection)
                .await
                .unwrap();
            let done = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
                .execute(&mut connection)
                .await;
            match done {
                Ok(_) => false,
                Err(sqlx::Error::Database(error)) if error.message().contains("Lock wait timeout") => true,
                Err(error) => panic!("{error}\n{sql}"),
            }
        });
        !lock_wait_timeout_reached
    }

    /// Returns the fee, and the number of receipts in all tables.
    fn state(&self) -> (String, String) {
        let table = self.db.text(&format!(
            "SELECT COALESCE(MAX(IF(TABLE_NAME = 'moved', 'moved', TABLE_NAME)), 'dual') FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = '{}' AND TABLE_NAME IN ('moved', '{RECEIPT_TABLE}') \
             AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')",
            self.database.schema()
        ));
        let receipts = format!("SELECT count(*) FROM {table}");
        (self.db.text(FEE), self.db.text(&receipts))
    }

    /// Runs every step of a writeback, with a callback between the first check and the UPDATE.
    async fn write(&self, n: u8, allowed: &Acknowledged, meanwhile: impl FnOnce()) -> Result<(), String> {
        let begun = self.writer.begin().await.map_err(|e| e.detail)?;
        let mut transaction = begun.transaction;
        let steps = self
            .steps(&mut *transaction, receipt(n, AT), allowed, meanwhile)
            .await;
        if let Err(error) = steps {
            transaction.roll_back().await;
            return Err(error);
        }
        transaction
            .commit()
            .await
            .map_err(|error| error.into_engine().detail)
    }

    async fn steps(
        &self,
        transaction: &mut dyn Transaction,
        receipt: StoredReceipt,
        allowed: &Acknowledged,
        meanwhile: impl FnOnce(),
    ) -> Result<(), String> {
        let plan = invoice(&self.db);
        let found = transaction.lock(&plan).await.map_err(|e| e.detail)?;
        assert_eq!(found.len(), 1);
        let found = transaction.find_receipt(&receipt.proposal_id).await;
        assert_eq!(found.map_err(|e| e.detail)?, None);
        let target = Some(CheckTarget { plan: &plan, allowed });
        let checked = transaction.first_check(target).await;
        checked.map_err(shown)?;
        meanwhile();
        let fee = [int("fee", 0)];
        let matched = transaction.update(&plan, change(&fee, None)).await;
        let matched = matched.map_err(|e| e.detail)?;
        if matched != 1 {
            return Err(format!("{matched} rows"));
        }
        let rows = transaction.reread(&plan).await.map_err(|e| e.detail)?;
        if rows.len() != 1 || rows[0][1] != fee[0] {
            return Err("another row".to_owned());
        }
        let recorded = transaction.insert_receipt(&receipt).await;
        recorded.map_err(|error| match error {
            RecordError::Exists => "exists".to_owned(),
            RecordError::Engine(error) => error.detail,
        })?;
        let checked = transaction.last_check(target, &receipt).await.map_err(shown)?;
        if checked != rows {
            return Err("the row differs from the checked one".to_owned());
        }
        Ok(())
    }

    async fn shape(&self) -> TableSchema {
        let schema = self.database.schema();
        self.writer.table_schema(&schema, "invoices").await.unwrap()
    }
}

/// Returns every definition of the table, with the tables that it may write.
fn acknowledged(shape: &TableSchema, writes: &[(&str, u32)]) -> Acknowledged {
    let writes = writes.iter().map(|(table, rows)| SideEffectWrite {
        table: (*table).to_owned(),
        rows: *rows,
    });
    let writes: Vec<SideEffectWrite> = writes.collect();
    let open = shape
        .foreign_code
        .iter()
        .filter(|code| code.form != CodeForm::Closed);
    let entries: Vec<SideEffectAck> = open
        .map(|code| SideEffectAck {
            name: code.name.clone(),
            digest: code.digest,
            functions: code.functions.clone(),
            writes: writes.clone(),
        })
        .collect();
    Acknowledged::acknowledge(&shape.foreign_code, &entries).unwrap()
}

fn shown(error: CheckError) -> String {
    match error {
        CheckError::Engine(error) => error.detail,
        CheckError::Violation(violation) => format!("{}: {}", violation.kind.code(), violation.detail),
    }
}

fn untouched() -> (String, String) {
    ("5500".to_owned(), "0".to_owned())
}

fn applied() -> (String, String) {
    ("0".to_owned(), "1".to_owned())
}

/// Asserts that nothing is written on tables of this kind, whenever they were changed.
async fn refuses_all(kind: CaseKind) {
    let nobody = Acknowledged::default();
    let mut wrong = Vec::new();
    for mut owned in Owned::on_all() {
        for case in owned.of_kind(kind) {
            owned.reset();
            // A running writer has checked valid tables on this connection.
            owned.write(1, &nobody, || {}).await.unwrap();
            owner(
                &owned.database.url('o'),
                &format!("UPDATE invoices SET fee = 5500; DELETE FROM {RECEIPT_TABLE}"),
            );
            assert!(owned.as_owner(&case.sql), "{}", case.name);
            let running = owned.write(2, &nobody, || {}).await;
            if running.is_ok() || owned.state() != untouched() {
                wrong.push((case.name, "running", running, owned.state()));
                continue;
            }
            owned.writer = owned.db.engine(Access::Write, None);
            let before = owned.write(3, &nobody, || {}).await;
            if before.is_ok() || owned.state() != untouched() {
                wrong.push((case.name, "before", before, owned.state()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Like [`refuses_all`], between the first check and the UPDATE: the locks of the writer block all of it.
async fn waits_under_the_lock(kind: CaseKind) {
    let nobody = Acknowledged::default();
    let mut wrong = Vec::new();
    for owned in Owned::on_all() {
        for case in owned.of_kind(kind) {
            owned.reset();
            let mut is_made = false;
            let written = owned
                .write(1, &nobody, || is_made = owned.as_owner(&case.sql))
                .await;
            if is_made || written.is_err() || owned.state() != applied() {
                wrong.push((case.name, is_made, written, owned.state()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_every_damaged_receipt_table() {
    refuses_all(CaseKind::Receipts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unacknowledged_code() {
    refuses_all(CaseKind::Code).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_code_never_runs() {
    let nobody = Acknowledged::default();
    for owned in Owned::on_all() {
        for (table, event) in [("invoices", "BEFORE UPDATE"), (RECEIPT_TABLE, "BEFORE INSERT")] {
            owned.reset();
            // A rollback does not remove a line from this journal.
            let trigger = format!(
                "CREATE TABLE journal (line INT) ENGINE=MyISAM;
                 CREATE TRIGGER t {event} ON {table} FOR EACH ROW INSERT INTO journal VALUES (1)"
            );
            assert!(owned.as_owner(&trigger));
            let written = owned.write(1, &nobody, || {}).await;
            let refused = written.unwrap_err();
            assert!(refused.starts_with("refused:"), "{table}: {refused}");
            assert_eq!(owned.state(), untouched(), "{table}");
            assert_eq!(owned.db.text("SELECT count(*) FROM journal"), "0", "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_table_changes_wait_for_the_writer() {
    waits_under_the_lock(CaseKind::Receipts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_code_waits_for_the_writer() {
    waits_under_the_lock(CaseKind::Code).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admits_harmless_definitions() {
    let mut wrong = Vec::new();
    for owned in Owned::on_all() {
        for case in owned.of_kind(CaseKind::Harmless) {
            owned.reset();
            assert!(owned.as_owner(&case.sql), "{}", case.name);
            let shape = owned.shape().await;
            let Ok(allowed) = Acknowledged::acknowledge(&shape.foreign_code, &[]) else {
                wrong.push((case.name, Err("not admitted".to_owned()), owned.state()));
                continue;
            };
            let written = owned.write(1, &allowed, || {}).await;
            if written.is_err() || owned.state() != applied() {
                wrong.push((case.name, written, owned.state()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Acknowledged code neither changes nor hides anything else, and leaves no state for the next proposal.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_code_cannot_alter_or_hide_results() {
    let mut wrong = Vec::new();
    for owned in Owned::on_all() {
        for case in owned.of_kind(CaseKind::Code) {
            if case.findings.is_empty() {
                continue;
            }
            owned.reset();
            assert!(owned.as_owner(&case.sql), "{}", case.name);
            let allowed = acknowledged(&owned.shape().await, &[]);
            let written = owned.write(1, &allowed, || {}).await;
            let is_found = |error: &String| {
                let named = |finding: &&str| error.contains(&format!("refused:{finding}"));
                case.findings.iter().any(named)
            };
            if !written.as_ref().err().is_some_and(is_found) || owned.state() != untouched() {
                wrong.push((case.name, written, owned.state()));
                continue;
            }
            // The next proposal of the same writer finds no state of the code.
            owned.reset();
            let next = owned.write(2, &Acknowledged::default(), || {}).await;
            if next.is_err() || owned.state() != applied() {
                wrong.push((case.name, next, owned.state()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_code_writes_only_declared_rows() {
    let journal = "CREATE TABLE journal (line TEXT) ENGINE=InnoDB;
        CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW INSERT INTO journal VALUES ('x'), ('y');";
    for owned in Owned::on_all() {
        let table = format!("{}.journal", owned.database.schema());
        for (rows, is_enough) in [(1, false), (2, true)] {
            owned.reset();
            assert!(owned.as_owner(journal));
            let allowed = acknowledged(&owned.shape().await, &[(&table, rows)]);
            let written = owned.write(1, &allowed, || {}).await;
            assert_eq!(written.is_ok(), is_enough, "{written:?}");
            let lines = if is_enough { "2" } else { "0" };
            assert_eq!(owned.db.text("SELECT count(*) FROM journal"), lines);
            if let Err(error) = written {
                assert!(error.contains("refused:rows_elsewhere"), "{error}");
            }
        }
    }
}

/// Creates a function that leaves a temporary table and settings on the connection that calls it, and a row
/// that no rollback removes.
const HAUNT: &str = "CREATE TABLE calls (line TEXT) ENGINE=MyISAM; CREATE TABLE shadow LIKE invoices; \
    INSERT INTO shadow SELECT * FROM invoices;
    CREATE FUNCTION haunt() RETURNS BIGINT MODIFIES SQL DATA
      BEGIN INSERT INTO {db}.calls VALUES ('x'); SET SESSION lock_wait_timeout = 7;
      CREATE TEMPORARY TABLE IF NOT EXISTS {db}.invoices (PRIMARY KEY (id)) SELECT * FROM {db}.shadow; RETURN 1; END;";
const CALLS: &str = "SELECT count(*) FROM calls";

impl Owned {
    /// Replaces a table by a view that calls the function.
    fn haunt(&self, table: &str) {
        self.db.execute(&format!(
            "{} RENAME TABLE {table} TO kept; CREATE VIEW {table} AS SELECT * FROM kept WHERE haunt() = 1;",
            HAUNT.replace("{db}", &self.database.schema())
        ));
    }

    fn restore(&self, table: &str) {
        let sql = format!("DROP VIEW {table}; RENAME TABLE kept TO {table};");
        self.db.execute(&sql);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn view_that_replaces_a_table_is_never_read() {
    for owned in Owned::on_all() {
        let (plan, nobody) = (invoice(&owned.db), Acknowledged::default());
        for table in ["synapsor_database_identity", "invoices", RECEIPT_TABLE] {
            owned.reset();
            owned.write(1, &nobody, || {}).await.unwrap();
            owned.haunt(table);
            if let Ok(begun) = owned.writer.begin().await {
                let mut transaction = begun.transaction;
                let is_locked = transaction.lock(&plan).await.is_ok();
                let is_found = transaction.find_receipt("wrp_x").await.is_ok();
                assert!(!(is_locked && is_found), "{table}");
                transaction.roll_back().await;
            }
            // Nor does a new connection.
            let writer = owned.db.engine(Access::Write, None);
            assert_eq!(
                writer.begin().await.is_ok(),
                table != "synapsor_database_identity"
            );
            assert_eq!(owned.db.text(CALLS), "0", "{table}");
        }
    }
}

/// The view is created after the check of the table and before the read.
#[tokio::test(flavor = "multi_thread")]
async fn code_during_a_read_ends_connection_and_attempt() {
    for owned in Owned::on_all() {
        let (plan, nobody) = (invoice(&owned.db), Acknowledged::default());
        for has_target in [true, false] {
            owned.reset();
            let mut transaction = owned.writer.begin().await.unwrap().transaction;
            owned.haunt("invoices");
            transaction.reread(&plan).await.unwrap();
            assert_ne!(owned.db.text(CALLS), "0");
            let target = CheckTarget {
                plan: &plan,
                allowed: &nobody,
            };
            let checked = transaction.first_check(has_target.then_some(target)).await;
            let error = shown(checked.unwrap_err());
            assert!(error.starts_with("refused:schema_drift"), "{error}");
            transaction.roll_back().await;
            owned.restore("invoices");
            owned.write(2, &nobody, || {}).await.unwrap();
            assert_eq!(owned.state(), applied());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn view_read_leaves_no_state_behind() {
    for owned in Owned::on_all() {
        owned.reset();
        owned.db.execute(
            "ALTER TABLE invoices ADD COLUMN at TIMESTAMP NOT NULL DEFAULT '2026-01-01 00:00:00';
             CREATE FUNCTION late() RETURNS BIGINT DETERMINISTIC BEGIN SET SESSION time_zone = '+05:00'; RETURN 1; END;
             CREATE VIEW seen AS SELECT * FROM invoices WHERE late() = 1;",
        );
        let reader = owned.db.reader();
        let mut plan = invoice(&owned.db);
        plan.columns = vec!["at".to_owned()];
        let before = reader.read(&plan).await.unwrap();
        let mut through = plan.clone();
        through.table = "seen".to_owned();
        reader.read(&through).await.unwrap();
        assert_eq!(reader.read(&plan).await.unwrap().rows, before.rows);
    }
}

/// Nothing was updated: the receipt is the one row that a conflict may commit, regardless of
/// acknowledgements.
#[tokio::test(flavor = "multi_thread")]
async fn conflict_commits_only_its_receipt() {
    for owned in Owned::on_all() {
        let schema = owned.database.schema();
        for (more, is_fine) in [("", true), ("INSERT INTO journal VALUES ('more');", false)] {
            owned.reset();
            assert!(owned.as_owner(
                "CREATE TABLE journal (line TEXT) ENGINE=InnoDB;
                 CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW INSERT INTO journal VALUES ('x');"
            ));
            let allowed = acknowledged(&owned.shape().await, &[(&format!("{schema}.journal"), 9)]);
            owned.db.execute(&format!(
                "DROP PROCEDURE synapsor_table_catalogue;
                 CREATE PROCEDURE synapsor_table_catalogue (IN wanted VARCHAR(64)) \
                   BEGIN {more} CALL synapsor_table_catalogue_body(wanted); END;"
            ));
            let (plan, receipt) = (invoice(&owned.db), receipt(1, AT));
            let target = Some(CheckTarget {
                plan: &plan,
                allowed: &allowed,
            });
            let mut transaction = owned.writer.begin().await.unwrap().transaction;
            transaction.lock(&plan).await.unwrap();
            transaction.first_check(target).await.unwrap();
            transaction.insert_receipt(&receipt).await.unwrap();
            let checked = transaction.last_check(target, &receipt).await.map_err(shown);
            match checked {
                Ok(_) => transaction.commit().await.unwrap(),
                Err(ref error) => {
                    assert!(error.starts_with("refused:rows_elsewhere"), "{error}");
                    transaction.roll_back().await;
                }
            }
            assert_eq!(checked.is_ok(), is_fine);
            assert_eq!(owned.db.text("SELECT count(*) FROM journal"), "0");
        }
    }
}

/// A transaction begins without the state that was left on a pooled connection.
#[tokio::test(flavor = "multi_thread")]
async fn changed_connection_is_replaced() {
    let nobody = Acknowledged::default();
    for owned in Owned::on_all() {
        let schema = owned.database.schema();
        for (left, is_refused_once) in [
            ("SET SESSION timestamp = 1000000000", false),
            ("SET SESSION lock_wait_timeout = 7", false),
            ("SET SESSION sql_select_limit = 0", false),
            (
                "CREATE TEMPORARY TABLE synapsor_database_identity (id INT, instance INT)",
                false,
            ),
            (
                "CREATE TEMPORARY TABLE synapsor_writeback_receipts (id INT)",
                false,
            ),
            ("CREATE TEMPORARY TABLE invoices SELECT * FROM shadow", true),
        ] {
            owned.reset();
            owned.writer.table_schema(&schema, "invoices").await.unwrap();
            // The connection of the last read is pooled, and runs a replaced procedure.
            owned.db.execute(&format!(
                "CREATE TABLE shadow SELECT * FROM invoices; DROP PROCEDURE synapsor_table_catalogue;
                 CREATE PROCEDURE synapsor_table_catalogue (IN wanted VARCHAR(64)) \
                   BEGIN {left}; CALL synapsor_table_catalogue_body(wanted); END;"
            ));
            owned.writer.table_schema(&schema, "invoices").await.unwrap();
            let ddl = mysql_procedures_ddl(&schema, (&schema, RECEIPT_TABLE));
            owned.db.execute(&ddl);
            let first = owned.write(1, &nobody, || {}).await;
            assert_eq!(first.is_err(), is_refused_once, "{left}: {first:?}");
            if first.is_err() {
                assert_eq!(owned.state(), untouched(), "{left}");
                owned.write(1, &nobody, || {}).await.unwrap();
            }
            assert_eq!(owned.state(), applied(), "{left}");
        }
    }
}

/// An acknowledgement is valid until a routine that the code calls changes.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledgement_covers_called_routines() {
    let made = "CREATE TABLE journal (line TEXT) ENGINE=InnoDB;
        CREATE PROCEDURE deep(x BIGINT) INSERT INTO journal VALUES ('x');
        CREATE FUNCTION note(x BIGINT, y BIGINT) RETURNS BIGINT MODIFIES SQL DATA BEGIN CALL deep(x); RETURN x; END;
        CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW SET @noted = note(NEW.fee, 1);";
    for owned in Owned::on_all() {
        let (schema, journal) = (
            owned.database.schema(),
            format!("{}.journal", owned.database.schema()),
        );
        for replaced in [
            "",
            "DROP PROCEDURE deep; CREATE PROCEDURE deep(x BIGINT) UPDATE invoices SET fee = 999999 WHERE id = 'INV-2';",
            "DROP PROCEDURE deep; CREATE PROCEDURE deep(x BIGINT) SQL SECURITY INVOKER INSERT INTO journal VALUES ('x');",
            "DROP FUNCTION note; CREATE FUNCTION note(y BIGINT, x BIGINT) RETURNS BIGINT MODIFIES SQL DATA
               BEGIN CALL deep(x); RETURN x; END;",
            "DROP FUNCTION note; CREATE FUNCTION note(x BIGINT, y BIGINT) RETURNS INT MODIFIES SQL DATA
               BEGIN CALL deep(x); RETURN x; END;",
            "SET SESSION sql_mode = 'PIPES_AS_CONCAT'; DROP PROCEDURE deep;
               CREATE PROCEDURE deep(x BIGINT) INSERT INTO journal VALUES ('x');",
        ] {
            owned.reset();
            assert!(owned.as_owner(made));
            let allowed = acknowledged(&owned.shape().await, &[(&journal, 1)]);
            assert!(owned.as_owner(if replaced.is_empty() { "SELECT 1" } else { replaced }));
            let written = owned.write(1, &allowed, || {}).await;
            if replaced.is_empty() {
                written.unwrap();
                continue;
            }
            let error = written.unwrap_err();
            assert!(error.starts_with("refused:foreign_code"), "{replaced}: {error}");
            assert_eq!(owned.state(), untouched(), "{replaced}");
        }
        for (hidden, reason) in [
            (
                "DROP PROCEDURE synapsor_routines".to_owned(),
                "run `writeback migration`",
            ),
            (
                format!(
                    "DROP TRIGGER t; CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW SET @x = `{schema}_2`.note(1)"
                ),
                "cannot read",
            ),
            (
                "DROP TRIGGER t; CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW SET @x = gone/**/.note(1)".to_owned(),
                "called routine is ambiguous",
            ),
        ] {
            owned.reset();
            assert!(owned.as_owner(made));
            owner(&owned.database.url('o'), &hidden);
            let shape = owned.db.engine(Access::Write, None).table_schema(&schema, "invoices").await.unwrap();
            let [trigger] = &shape.foreign_code[..] else {
                panic!("{:?}", shape.foreign_code);
            };
            assert!(
                matches!(trigger.form, CodeForm::Never(why) if why.contains(reason)),
                "{:?}",
                trigger.form
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_above_the_checks_is_named() {
    for owned in Owned::on_all() {
        let (name, account) = (owned.database.schema(), owned.database.account('w'));
        for (right, on, power) in [
            ("", "", None),
            (
                "ALTER",
                format!("`{name}`.*").as_str(),
                Some("has the right ALTER on"),
            ),
            (
                "TRIGGER",
                format!("`{name}`.`{RECEIPT_TABLE}`").as_str(),
                Some("has the right TRIGGER on"),
            ),
            ("SUPER", "*.*", Some("has the right SUPER on *.*")),
        ] {
            if power.is_some() {
                let grant = format!("GRANT {right} ON {on} TO `{account}`@`%`");
                owner(&owned.database.url('o'), &grant);
            }
            // Global rights stay as they were at the login.
            let writer = owned.db.engine(Access::Write, None);
            let mut transaction = writer.begin().await.unwrap().transaction;
            let (plan, allowed) = (invoice(&owned.db), Acknowledged::default());
            let target = CheckTarget {
                plan: &plan,
                allowed: &allowed,
            };
            transaction.first_check(Some(target)).await.unwrap();
            let powers = transaction.account_powers().to_vec();
            transaction.roll_back().await;
            let is_found = |power: &str| powers.iter().any(|found| found.starts_with(power));
            assert!(power.map_or(powers.is_empty(), is_found), "{right}: {powers:?}");
            let table = PreflightTarget {
                schema: name.clone(),
                table: "invoices".to_owned(),
                keys: vec!["id".to_owned()],
                tenant: None,
                reads: Vec::new(),
                writes: Vec::new(),
            };
            let findings = writer.check(&[table]).await.unwrap();
            let is_warned = findings
                .iter()
                .any(|f| f.code == synapsor_codes::ErrorCode::WriterAccountTooPowerful);
            assert_eq!(is_warned, power.is_some(), "{right}: {findings:?}");
            if power.is_some() {
                let revoke = format!("REVOKE {right} ON {on} FROM `{account}`@`%`");
                owner(&owned.database.url('o'), &revoke);
            }
        }
    }
}

#[test]
fn case_names_are_unique() {
    for more in [CASES_MYSQL, CASES_MARIADB] {
        let cases = [cases(CASES, "fee", ""), cases(more, "fee", "")].concat();
        let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases.len());
        let count = |kind| cases.iter().filter(|case| case.kind == kind).count();
        assert!(count(CaseKind::Receipts) >= 24 && count(CaseKind::Code) >= 20);
        assert!(count(CaseKind::Harmless) >= 10);
    }
}
