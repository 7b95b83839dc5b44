//! Damage that a table owner who is not a superuser can do: nothing is written, or written wrongly. Each case
//! is tried before the writer starts, under a running writer with cached check results, and between the row
//! lock and the receipt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use synapsor_domain::contract::EngineKind;
use synapsor_domain::contract::{SideEffectAck, SideEffectWrite};
use synapsor_domain::foreign_code::Acknowledged;
use synapsor_domain::writeback::receipt_table_ddl;
use synapsor_engine::Access;
use synapsor_source::{EngineError, StoredReceipt};

use crate::transaction::{CheckTarget, CommitError, RecordError, Transaction};
use crate::violation::{CheckError, ViolationKind};

use super::behaviors::{AT, Account, Db, TestDatabase as _, change, int, invoice, receipt};
use super::postgres::{PostgresDatabase, database};
use super::preconditions::{Case, CaseKind, cases};
use super::servers::{POSTGRES, ServerVersion, on_every_postgres};

const CASES: &str = include_str!("../../../e2e/fixtures/preconditions/postgres.sql");
const FEE: &str = "SELECT fee FROM invoices WHERE id = 'INV-1'";
/// Gives the rows their first fee without running the code of a case.
const UNCHANGED: &str = "SET session_replication_role = replica;
    UPDATE public.invoices SET fee = 5500 WHERE fee = 777";

/// A database whose tables belong to an ordinary role.
pub(super) struct Owned {
    postgres: Arc<PostgresDatabase>,
    db: Db,
    pub(super) engine: Account,
}

impl Owned {
    pub(super) fn new(server: &'static ServerVersion) -> Option<Self> {
        if !server.is_there() {
            return None;
        }
        let postgres = database(server);
        postgres.alter("SELECT 1");
        let db: Db = postgres.clone();
        let engine = db.engine(Access::Write, None);
        let owned = Self { postgres, db, engine };
        owned.reset();
        Some(owned)
    }

    /// Creates the tables again; the writer continues.
    pub(super) fn reset(&self) {
        let owner = self.postgres.owner_role();
        let receipts =
            receipt_table_ddl(EngineKind::Postgres, "public", "synapsor_writeback_receipts").unwrap();
        self.postgres.execute(&format!(
            "DROP SCHEMA IF EXISTS public, aside CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC;
             GRANT CREATE ON SCHEMA public TO {owner};
             DO $d$ BEGIN EXECUTE 'GRANT CREATE ON DATABASE ' || current_database() || ' TO {owner}'; END $d$;
             SET ROLE {owner};
             CREATE TABLE invoices (id text NOT NULL PRIMARY KEY, tenant text NOT NULL, status text,
               fee bigint NOT NULL, version bigint NOT NULL);
             INSERT INTO invoices VALUES ('INV-1', 'acme', 'open', 5500, 7), ('INV-2', 'acme', 'paid', 0, 1),
               ('INV-3', 'globex', 'due', 100, 2);
             {receipts} RESET ROLE"
        ));
    }

    /// Runs statements as the owner; returns whether a lock of the writer blocked them.
    pub(super) fn as_owner(&self, sql: &str) -> bool {
        let owner = self.postgres.owner_role();
        self.postgres.try_alter(&format!(
            "SET lock_timeout = '300ms'; SET ROLE {owner}; SET search_path = public; {sql}"
        ))
    }

    pub(super) fn state(&self) -> (String, String) {
        let receipts = if self
            .db
            .text("SELECT to_regclass('public.synapsor_writeback_receipts') IS NULL")
            == "true"
        {
            "0".to_owned()
        } else {
            self.db
                .text("SELECT count(*) FROM public.synapsor_writeback_receipts")
        };
        (self.db.text(FEE), receipts)
    }

    /// Runs every step of a writeback, with a callback between the row lock and the UPDATE.
    pub(super) async fn write(
        &self,
        n: u8,
        allowed: &Acknowledged,
        meanwhile: impl FnOnce(),
    ) -> Result<(), String> {
        let begun = self.engine.begin().await.map_err(|e| e.detail)?;
        let mut transaction = begun.transaction;
        let steps = self
            .steps(&mut *transaction, receipt(n, AT), allowed, meanwhile)
            .await;
        if let Err(error) = steps {
            transaction.roll_back().await;
            return Err(error);
        }
        transaction.commit().await.map_err(|error| match error {
            CommitError::NotCommitted(error) | CommitError::Doubt(error) => error.detail,
            CommitError::Violation(violation) => format!("{violation:?}"),
        })
    }

    /// Runs an UPDATE with the code of the table acknowledged; returns its error.
    pub(super) async fn failed_update(&self) -> EngineError {
        self.failed_acknowledged_update().await.1
    }

    /// As [`Self::failed_update`], with what was acknowledged.
    pub(super) async fn failed_acknowledged_update(&self) -> (Acknowledged, EngineError) {
        let shape = self.engine.table_schema("public", "invoices").await.unwrap();
        let allowed = self.acknowledge(&shape, &[]);
        let plan = invoice(&self.db);
        let mut transaction = self.engine.begin().await.unwrap().transaction;
        transaction.lock(&plan).await.unwrap();
        let target = CheckTarget {
            plan: &plan,
            allowed: &allowed,
        };
        transaction.first_check(Some(target)).await.unwrap();
        let fee = [int("fee", 0)];
        let error = transaction.update(&plan, change(&fee, None)).await.unwrap_err();
        transaction.roll_back().await;
        (allowed, error)
    }

    pub(super) async fn steps(
        &self,
        transaction: &mut dyn Transaction,
        receipt: StoredReceipt,
        allowed: &Acknowledged,
        meanwhile: impl FnOnce(),
    ) -> Result<(), String> {
        let plan = invoice(&self.db);
        let found = transaction.lock(&plan).await.map_err(|e| e.detail)?;
        assert_eq!(found.len(), 1);
        let check = CheckTarget { plan: &plan, allowed };
        let checked = transaction.first_check(Some(check)).await;
        checked.map_err(|error| shown(&error))?;
        meanwhile();
        let fee = [int("fee", i128::from(0))];
        let matched = transaction
            .update(&plan, change(&fee, None))
            .await
            .map_err(|e| e.detail)?;
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
        let checked = transaction.last_check(Some(check), &receipt).await;
        if checked.map_err(|error| shown(&error))? != rows {
            return Err("refused:read_back".to_owned());
        }
        Ok(())
    }

    /// Returns the changes besides the row that an update makes, as the writer reports them.
    async fn side_effects(&self, allowed: &Acknowledged) -> Vec<String> {
        let plan = invoice(&self.db);
        let mut transaction = self.engine.begin().await.unwrap().transaction;
        transaction.lock(&plan).await.unwrap();
        let check = CheckTarget { plan: &plan, allowed };
        transaction.first_check(Some(check)).await.unwrap();
        let fee = [int("fee", 1)];
        transaction.update(&plan, change(&fee, None)).await.unwrap();
        let effects = transaction.side_effects(&plan).await.unwrap();
        transaction.roll_back().await;
        effects
    }

    pub(super) fn acknowledge(
        &self,
        shape: &synapsor_domain::schema::TableSchema,
        writes: &[(&str, u32)],
    ) -> Acknowledged {
        let entries: Vec<SideEffectAck> = shape
            .foreign_code
            .iter()
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
        Acknowledged::acknowledge(&shape.foreign_code, &entries).unwrap()
    }
}

fn shown(error: &CheckError) -> String {
    match error {
        CheckError::Engine(error) => error.detail.clone(),
        CheckError::Violation(violation) => format!("{}: {}", violation.kind.code(), violation.detail),
    }
}

fn of_kind(owned: &Owned, kind: CaseKind) -> Vec<Case> {
    let all = cases(CASES, "fee", &owned.postgres.writer_role());
    all.into_iter().filter(|case| case.kind == kind).collect()
}

/// Asserts that nothing is written on tables of this kind, whenever they were changed.
async fn refuses_all(server: &'static ServerVersion, kind: CaseKind) {
    let Some(mut owned) = Owned::new(server) else {
        return;
    };
    let nobody = Acknowledged::default();
    let mut wrong = Vec::new();
    for case in of_kind(&owned, kind) {
        owned.reset();
        // A running writer has checked valid tables on this connection.
        owned.write(1, &nobody, || {}).await.unwrap();
        owned
            .postgres
            .alter("UPDATE public.invoices SET fee = 5500; DELETE FROM public.synapsor_writeback_receipts");
        assert!(owned.as_owner(&case.sql), "{}", case.name);
        // An index is built over rows too that another connection may still see, and its function then runs for them.
        owned.postgres.alter(UNCHANGED);
        let running = owned.write(2, &nobody, || {}).await;
        if running.is_ok() || owned.state() != ("5500".to_owned(), "0".to_owned()) {
            wrong.push((case.name, "running", running, owned.state()));
            continue;
        }
        owned.engine = owned.db.engine(Access::Write, None);
        let before = owned.write(3, &nobody, || {}).await;
        if before.is_ok() || owned.state() != ("5500".to_owned(), "0".to_owned()) {
            wrong.push((case.name, "before", before, owned.state()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Like [`refuses_all`], between the row lock and the UPDATE. Statements that the writer's locks block have
/// no effect.
async fn refuses_all_under_the_lock(server: &'static ServerVersion, kind: CaseKind) {
    let Some(owned) = Owned::new(server) else { return };
    let nobody = Acknowledged::default();
    let (mut wrong, mut made) = (Vec::new(), 0);
    for case in of_kind(&owned, kind) {
        owned.reset();
        let mut is_made = false;
        let written = owned
            .write(1, &nobody, || is_made = owned.as_owner(&case.sql))
            .await;
        made += u32::from(is_made);
        let expected = if is_made { ("5500", "0") } else { ("0", "1") };
        let state = owned.state();
        if written.is_ok() == is_made || (state.0.as_str(), state.1.as_str()) != expected {
            wrong.push((case.name, is_made, written, state));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(made >= 5, "{made}");
}

async fn admits_all(server: &'static ServerVersion) {
    let Some(owned) = Owned::new(server) else { return };
    let nobody = Acknowledged::default();
    let mut wrong = Vec::new();
    for case in of_kind(&owned, CaseKind::Harmless) {
        owned.reset();
        assert!(owned.as_owner(&case.sql), "{}", case.name);
        let written = owned.write(1, &nobody, || {}).await;
        if written.is_err() || owned.state() != ("0".to_owned(), "1".to_owned()) {
            wrong.push((case.name, written, owned.state()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Acknowledged code neither changes nor hides anything else, and leaves nothing for COMMIT.
async fn stops_acknowledged_code(server: &'static ServerVersion) {
    let Some(owned) = Owned::new(server) else { return };
    let mut wrong = Vec::new();
    for case in of_kind(&owned, CaseKind::Code) {
        if case.findings.is_empty() {
            continue;
        }
        owned.reset();
        assert!(owned.as_owner(&case.sql), "{}", case.name);
        let shape = owned.engine.table_schema("public", "invoices").await.unwrap();
        let allowed = owned.acknowledge(&shape, &[]);
        let written = owned.write(1, &allowed, || {}).await;
        let is_found = |error: &String| {
            case.findings
                .iter()
                .any(|finding| error.contains(&format!("refused:{finding}")))
        };
        if !written.as_ref().err().is_some_and(is_found)
            || owned.state() != ("5500".to_owned(), "0".to_owned())
        {
            wrong.push((case.name, written, owned.state()));
            continue;
        }
        // The next proposal on a connection of the same writer finds no setting that the code left.
        owned.reset();
        let next = owned.write(2, &Acknowledged::default(), || {}).await;
        if next.is_err() || owned.state() != ("0".to_owned(), "1".to_owned()) {
            wrong.push((case.name, next, owned.state()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_every_damaged_receipt_table() {
    on_every_postgres(|server| refuses_all(server, CaseKind::Receipts)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_receipt_tables_damaged_under_the_lock() {
    on_every_postgres(|server| refuses_all_under_the_lock(server, CaseKind::Receipts)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unacknowledged_code() {
    on_every_postgres(|server| refuses_all(server, CaseKind::Code)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_code_created_under_the_lock() {
    on_every_postgres(|server| refuses_all_under_the_lock(server, CaseKind::Code)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admits_harmless_definitions() {
    on_every_postgres(admits_all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_code_cannot_alter_or_hide_results() {
    on_every_postgres(stops_acknowledged_code).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_code_writes_only_declared_rows() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    let journal = "CREATE TABLE journal (n bigserial PRIMARY KEY, line text);
        CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
          INSERT INTO public.journal (line) VALUES ('x'), ('y'); RETURN NULL; END $f$;
        CREATE TRIGGER t AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION t();";
    for (rows, is_enough) in [(1, false), (2, true)] {
        owned.reset();
        assert!(owned.as_owner(journal));
        let shape = owned.engine.table_schema("public", "invoices").await.unwrap();
        let allowed = owned.acknowledge(&shape, &[("public.journal", rows)]);
        let written = owned.write(1, &allowed, || {}).await;
        assert_eq!(written.is_ok(), is_enough, "{written:?}");
        let lines = if is_enough { "2" } else { "0" };
        assert_eq!(owned.db.text("SELECT count(*) FROM journal"), lines);
        assert_eq!(owned.side_effects(&allowed).await.is_empty(), is_enough);
        if let Err(error) = written {
            assert!(error.contains("refused:rows_elsewhere"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_above_the_checks_is_named() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    let (writer, owner) = (owned.postgres.writer_role(), owned.postgres.owner_role());
    let powers = async || {
        let mut transaction = owned.db.writer().begin().await.unwrap().transaction;
        let plan = invoice(&owned.db);
        let check = CheckTarget {
            plan: &plan,
            allowed: &Acknowledged::default(),
        };
        transaction.first_check(Some(check)).await.unwrap();
        let powers = transaction.account_powers().to_vec();
        transaction.roll_back().await;
        powers
    };
    assert_eq!(powers().await, Vec::<String>::new());
    for (given, taken, power) in [
        (
            format!("GRANT {owner} TO {writer}"),
            format!("REVOKE {owner} FROM {writer}"),
            "owns invoices",
        ),
        (
            format!("ALTER ROLE {writer} BYPASSRLS"),
            format!("ALTER ROLE {writer} NOBYPASSRLS"),
            "bypasses row security",
        ),
        (
            format!("ALTER ROLE {writer} SUPERUSER"),
            format!("ALTER ROLE {writer} NOSUPERUSER"),
            "is a superuser",
        ),
    ] {
        owned.postgres.alter(&given);
        let found = powers().await;
        assert!(found.iter().any(|found| found == power), "{power}: {found:?}");
        let findings = owned.db.writer().check(&[]).await.unwrap();
        assert!(
            findings
                .iter()
                .any(|f| f.code == synapsor_codes::ErrorCode::WriterAccountTooPowerful),
            "{power}"
        );
        owned.postgres.alter(&taken);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writeback_statements_never_scan_a_table() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    owned.reset();
    owned.postgres.alter(
        "INSERT INTO invoices (id, tenant, status, fee, version) \
         SELECT 'M-' || n, 'acme', 'open', 0, 1 FROM generate_series(1, 5000) n; ANALYZE invoices",
    );
    // A connection reports its counts when it ends.
    let counted = async |updates: &str| {
        owned.postgres.end_session();
        owned.postgres.execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
            owned.postgres.writer_role()
        ));
        let updated = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'invoices'";
        let until = Instant::now() + Duration::from_secs(20);
        while owned.db.text(updated) != updates {
            assert!(Instant::now() < until, "{}", owned.db.text(updated));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        owned.db.text(
            "SELECT string_agg(relname || ' ' || seq_scan, ', ' ORDER BY relname) FROM pg_stat_user_tables \
             WHERE relname IN ('invoices', 'synapsor_writeback_receipts')",
        )
    };
    let nobody = Acknowledged::default();
    owned.write(1, &nobody, || {}).await.unwrap();
    let before = counted("1").await;
    for n in 2..4 {
        owned
            .postgres
            .alter("UPDATE invoices SET fee = 5500 WHERE id = 'INV-1'");
        owned.write(n, &nobody, || {}).await.unwrap();
    }
    let after = counted("5").await;
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_change_after_the_last_check_raises_an_alarm() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    let plan = invoice(&owned.db);
    for (is_changed, fee) in [(false, "0"), (true, "777")] {
        owned.reset();
        let mut transaction = owned.engine.begin().await.unwrap().transaction;
        let nobody = Acknowledged::default();
        let steps = owned.steps(&mut *transaction, receipt(1, AT), &nobody, || {});
        steps.await.unwrap();
        if is_changed {
            // Only a superuser's code inside COMMIT could do this.
            let other = [int("fee", 777)];
            let matched = transaction.update(&plan, change(&other, None)).await;
            assert_eq!(matched.unwrap(), 1);
        }
        let committed = transaction.commit().await;
        let is_alarm = matches!(&committed, Err(CommitError::Violation(found))
            if found.kind == ViolationKind::RowChangedInCommit);
        assert_eq!(
            (is_alarm, committed.is_ok()),
            (is_changed, !is_changed),
            "{committed:?}"
        );
        assert_eq!(owned.db.text(FEE), fee);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_ran_foreign_code_is_closed() {
    let Some(owned) = Owned::new(&POSTGRES) else {
        return;
    };
    let connections = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        owned.postgres.writer_role()
    );
    owned.write(1, &Acknowledged::default(), || {}).await.unwrap();
    assert_eq!(
        owned.db.text(&connections),
        "1",
        "a clean connection returns to the pool"
    );
    owned.reset();
    assert!(owned.as_owner(
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.status := lower('X'); RETURN NEW; END $f$;
         CREATE TRIGGER t BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION t();"
    ));
    let shape = owned.engine.table_schema("public", "invoices").await.unwrap();
    let allowed = owned.acknowledge(&shape, &[]);
    owned.write(2, &allowed, || {}).await.unwrap();
    assert_eq!(owned.state(), ("0".to_owned(), "1".to_owned()));
    let begun = Instant::now();
    // `shape` is read on a separate kind of connection.
    while owned.db.text(&connections) != "1" {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the connection returned to the pool"
        );
        tokio::task::yield_now().await;
    }
}
