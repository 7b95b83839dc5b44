//! Foreign code that changes its session: it replaces prepared statements, leaves settings, or has effects
//! that a conflict would commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use synapsor_domain::foreign_code::Acknowledged;
use synapsor_source::SHAPE_AGE_MAX;

use super::behaviors::{
    AT, Db, Fixture, TestDatabase as _, acknowledge, all_code, begin, change, commit, int, invoice, plan,
    receipt, text, update,
};
use super::postgres::{PostgresDatabase, database};
use super::servers::POSTGRES;
use crate::transaction::{CheckTarget, Transaction};
use crate::violation::{CheckError, ViolationKind};

const FEE: &str = "SELECT fee FROM invoices WHERE id = 'INV-1'";

/// A function that replaces prepared statements of the protocol by SQL ones, except the statements that it may run in,
/// while the table `toggle` has a row.
const REPLACING: &str = "CREATE TABLE toggle (id integer); \
    CREATE FUNCTION replace_statements() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ DECLARE s record; BEGIN \
      IF NOT EXISTS (SELECT FROM public.toggle) THEN RETURN; END IF; \
      FOR s IN SELECT p.name, p.statement, p.parameter_types FROM pg_catalog.pg_prepared_statements p \
          WHERE NOT p.from_sql AND p.statement NOT LIKE '%UPDATE ONLY%' AND p.statement NOT LIKE '%FOR UPDATE%' LOOP \
        EXECUTE 'DEALLOCATE ' || pg_catalog.quote_ident(s.name); \
        EXECUTE pg_catalog.format('PREPARE %I(%s) AS %s', s.name, \
          pg_catalog.array_to_string(s.parameter_types, ','), s.statement); \
      END LOOP; END $f$";
const TRIGGER: &str = "CREATE FUNCTION after_update() RETURNS trigger LANGUAGE plpgsql AS \
      $f$ BEGIN PERFORM public.replace_statements(); RETURN NEW; END $f$; \
    CREATE TRIGGER after_update AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION after_update()";
const POLICY: &str = "CREATE FUNCTION seen() RETURNS boolean LANGUAGE plpgsql AS \
      $f$ BEGIN PERFORM public.replace_statements(); RETURN true; END $f$; \
    CREATE POLICY seen ON invoices USING (seen()); ALTER TABLE invoices ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
/// More than the number of connections that the earlier reads opened.
const LATER_READS: usize = 8;
const LIMIT: Duration = Duration::from_secs(10);
const ON: &str = "INSERT INTO toggle VALUES (1)";

fn invoices() -> Option<(Arc<PostgresDatabase>, Db)> {
    if !POSTGRES.is_there() {
        return None;
    }
    let database = database(&POSTGRES);
    database.set_up(Fixture::Invoices);
    Some((database.clone(), database))
}

/// Locks and updates the invoice and inserts its receipt, with all code acknowledged.
async fn updated(db: &Db) -> (Box<dyn Transaction>, Acknowledged) {
    let (mut transaction, plan) = (begin(db).await.transaction, invoice(db));
    assert_eq!(transaction.lock(&plan).await.unwrap().len(), 1);
    let allowed = acknowledge(transaction.as_mut(), &plan).await;
    let fee = [int("fee", 0)];
    let matched = transaction.update(&plan, change(&fee, None)).await;
    assert_eq!(matched.unwrap(), 1);
    transaction.insert_receipt(&receipt(1, AT)).await.unwrap();
    (transaction, allowed)
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_trigger_that_replaces_prepared_statements() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(&format!("{REPLACING}; {TRIGGER}; {ON}"));
    let (mut transaction, allowed) = updated(&db).await;
    let (plan, receipt) = (invoice(&db), receipt(1, AT));
    let check = CheckTarget {
        plan: &plan,
        allowed: &allowed,
    };
    let checked = transaction.last_check(Some(check), &receipt).await;
    let Err(CheckError::Violation(violation)) = checked else {
        panic!("{checked:?}");
    };
    assert_eq!(violation.kind, ViolationKind::SettingChanged);
    assert_eq!(db.text(FEE), "5500");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_replaced_in_the_last_check_commit_nothing() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(&format!("{REPLACING}; {POLICY}"));
    let (mut transaction, allowed) = updated(&db).await;
    let (plan, receipt) = (invoice(&db), receipt(1, AT));
    let check = CheckTarget {
        plan: &plan,
        allowed: &allowed,
    };
    // The policy runs when the row is read again, after the count of statements.
    postgres.alter(ON);
    let checked = transaction.last_check(Some(check), &receipt).await;
    assert_eq!(checked.unwrap().len(), 1);
    assert!(transaction.commit().await.is_err());
    assert_eq!(db.text(FEE), "5500");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_with_replaced_statements_is_not_reused() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(&format!("{REPLACING}; {POLICY}"));
    let writer = db.writer();
    let mut transaction = writer.begin().await.unwrap().transaction;
    let plan = invoice(&db);
    let allowed = all_code(transaction.as_mut(), &plan).await;
    let check = CheckTarget {
        plan: &plan,
        allowed: &allowed,
    };
    transaction.first_check(Some(check)).await.unwrap();
    postgres.alter(ON);
    assert_eq!(transaction.lock(&plan).await.unwrap().len(), 1);
    transaction.roll_back().await;
    postgres.execute(
        "DROP POLICY seen ON invoices; ALTER TABLE invoices DISABLE ROW LEVEL SECURITY; DELETE FROM toggle",
    );
    let mut transaction = writer.begin().await.unwrap().transaction;
    let fee = [int("fee", 0)];
    assert_eq!(update(transaction.as_mut(), &plan, &fee, None).await, 1);
    commit(transaction, &receipt(1, AT)).await;
    assert_eq!(db.text(FEE), "0");
}

/// Code of one table's owner that runs during a read does not affect later reads on the connection.
#[tokio::test(flavor = "multi_thread")]
async fn code_during_a_read_cannot_change_later_reads() {
    for (code, is_kept) in [
        ("PERFORM public.replace_statements()", false),
        ("EXECUTE 'DEALLOCATE ALL'", false),
        (
            "PERFORM pg_catalog.set_config('TimeZone', 'Asia/Tokyo', false)",
            true,
        ),
        (
            "PERFORM pg_catalog.set_config('search_path', 'public, pg_catalog', false)",
            true,
        ),
        (
            "PERFORM pg_catalog.set_config('default_transaction_read_only', 'off', false)",
            true,
        ),
        (
            "EXECUTE 'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE'; EXECUTE 'SET TIME ZONE LOCAL'",
            true,
        ),
        (
            "PERFORM pg_catalog.set_config('role', current_setting('app.other'), false)",
            true,
        ),
        ("PERFORM public.as_superuser()", true),
    ] {
        let Some((postgres, db)) = invoices() else { return };
        let (reader, other) = (postgres.reader_role(), postgres.owner_role());
        postgres.execute(&format!(
            "{REPLACING}; {ON}; \
             CREATE FUNCTION as_superuser() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS \
               $f$ BEGIN PERFORM pg_catalog.set_config('session_replication_role', 'replica', false); END $f$; \
             CREATE FUNCTION seen() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN {code}; RETURN true; END $f$; \
             CREATE POLICY seen ON invoices USING (seen()); \
             ALTER TABLE invoices ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
             GRANT {other} TO {reader}; ALTER ROLE {reader} SET app.other = '{other}'; \
             CREATE VIEW sessions AS SELECT 'k'::text AS id, 'acme'::text AS tenant, \
               pg_backend_pid()::text AS process, concat_ws(' ', current_setting('TimeZone'), \
                 current_setting('default_transaction_read_only'), current_setting('search_path'), \
                 current_setting('role'), current_setting('session_replication_role'), \
                 (SELECT count(*) FROM pg_prepared_statements WHERE from_sql)) AS state"
        ));
        let reader = postgres.reader_of(1);
        let look = async || {
            let plan = plan(&db, "sessions", "k", "acme", &["process", "state"]);
            let mut rows = reader.read(&plan).await.unwrap().rows;
            rows.remove(0)
        };
        let before = look().await;
        assert_eq!(
            before[1],
            text("state", "UTC on pg_catalog, pg_temp none origin 0")
        );
        assert_eq!(reader.read(&invoice(&db)).await.unwrap().rows.len(), 1, "{code}");
        for _ in 0..LATER_READS {
            let after = look().await;
            assert_eq!(after[1], before[1], "{code}");
            assert_eq!(after[0] == before[0], is_kept, "{code}");
        }
    }
}

/// A view of the session's settings.
const SETTINGS_VIEW: &str = "CREATE VIEW settings AS SELECT 'k'::text AS id, 'acme'::text AS tenant, \
    concat_ws(' ', current_setting('TimeZone'), current_setting('IntervalStyle')) AS state";
/// A policy whose function changes settings of its session.
const CHANGING: &str = "CREATE FUNCTION change_session() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN \
      PERFORM pg_catalog.set_config('TimeZone', 'Asia/Tokyo', false); \
      PERFORM pg_catalog.set_config('IntervalStyle', 'sql_standard', false); RETURN true; END $f$; \
    CREATE POLICY change_session ON invoices USING (change_session()); \
    ALTER TABLE invoices ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
const UNCHANGING: &str = "DROP POLICY change_session ON invoices; DROP FUNCTION change_session; \
    ALTER TABLE invoices DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY";

/// Connection of a reader on a table whose owner adds code after its shape was read.
#[tokio::test(flavor = "multi_thread")]
async fn code_added_after_the_shape_changes_no_other_table() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(SETTINGS_VIEW);
    let reader = postgres.reader_of(1);
    let settings = async || {
        let plan = plan(&db, "settings", "k", "acme", &["state"]);
        reader.read(&plan).await.unwrap().rows.remove(0)
    };
    let opened = settings().await;
    assert_eq!(opened, [text("state", "UTC postgres")]);
    assert_eq!(reader.read(&invoice(&db)).await.unwrap().rows.len(), 1);
    postgres.alter(CHANGING);
    assert_eq!(reader.read(&invoice(&db)).await.unwrap().rows.len(), 1);
    assert_eq!(settings().await, opened);
}

/// The same when the code is gone again before the shape is read again, on another connection.
#[tokio::test(flavor = "multi_thread")]
async fn connection_is_reset_when_the_shape_is_read_again() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute("ALTER TABLE invoices ADD COLUMN term interval DEFAULT '1 day 2 hours'");
    let reader = postgres.reader_of(2);
    let term = async || {
        let plan = plan(&db, "invoices", "INV-1", "acme", &["term"]);
        reader.read(&plan).await.unwrap().rows.remove(0)
    };
    let connections = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        postgres.reader_role()
    );
    while db.text(&connections) != "2" {
        tokio::join!(term(), term());
    }
    let opened = term().await;
    // A connection that has served no table since its reset reads the shape again.
    reader.identity().await.unwrap();
    postgres.alter(CHANGING);
    let changed = term().await;
    postgres.alter(UNCHANGING);
    assert_ne!(changed, opened);
    let deadline = Instant::now() + 3 * SHAPE_AGE_MAX;
    while term().await != opened {
        assert!(
            Instant::now() < deadline,
            "the settings of the code are still there"
        );
    }
}

/// A read is followed by a reset unless the table has nothing that could run code of others.
#[tokio::test(flavor = "multi_thread")]
async fn only_tables_without_code_in_reads_need_no_reset() {
    const OWN: &str = "CREATE FUNCTION own(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS \
        $f$ BEGIN RETURN $1; END $f$; CREATE DOMAIN word AS text; CREATE TYPE mood AS ENUM ('good')";
    const SECURED: &str = "ALTER TABLE invoices ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
    for (code, is_reset) in [
        ("SELECT 1".to_owned(), false),
        ("CREATE INDEX plain ON invoices (status)".to_owned(), false),
        ("ALTER TABLE invoices ADD COLUMN mood mood".to_owned(), false),
        (
            "ALTER TABLE invoices ADD CONSTRAINT checked CHECK (own('x') = 'x')".to_owned(),
            false,
        ),
        (
            "CREATE FUNCTION on_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER on_update BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION on_update()"
                .to_owned(),
            false,
        ),
        (
            "CREATE INDEX lowered ON invoices (lower(status))".to_owned(),
            true,
        ),
        (
            "CREATE INDEX part ON invoices (status) WHERE own('x') = 'x'".to_owned(),
            true,
        ),
        (
            "CREATE STATISTICS owned (ndistinct) ON (own('x') || status), status FROM invoices".to_owned(),
            true,
        ),
        (
            format!("CREATE POLICY every ON invoices USING (true); {SECURED}"),
            true,
        ),
        ("ALTER TABLE invoices ADD COLUMN word word".to_owned(), true),
        ("CREATE TABLE child () INHERITS (invoices)".to_owned(), true),
    ] {
        let Some((postgres, db)) = invoices() else { return };
        postgres.execute(&format!("{OWN}; {code}"));
        let last = format!(
            "SELECT query FROM pg_stat_activity WHERE usename = '{}'",
            postgres.reader_role()
        );
        let reader = postgres.reader_of(1);
        for _ in 0..2 {
            assert_eq!(reader.read(&invoice(&db)).await.unwrap().rows.len(), 1, "{code}");
        }
        // A reset follows the answer of a read.
        let deadline = Instant::now() + if is_reset { LIMIT } else { LIMIT / 50 };
        let mut found = false;
        while !found && Instant::now() < deadline {
            found = db.text(&last).contains("RESET");
        }
        assert_eq!(found, is_reset, "{code}");
    }
}

/// A read that waits for a change of the table can run code that its shape does not know.
#[tokio::test(flavor = "multi_thread")]
async fn connection_is_reset_after_a_read_longer_than_its_shape() {
    let Some((postgres, db)) = invoices() else { return };
    let account = format!("usename = '{}'", postgres.reader_role());
    let waiting =
        format!("SELECT count(*) FROM pg_stat_activity WHERE {account} AND wait_event_type = 'Lock'");
    let last = format!("SELECT query FROM pg_stat_activity WHERE {account}");
    let reader = Arc::new(postgres.reader_of(1));
    let shape_from = Instant::now();
    for _ in 0..2 {
        assert_eq!(reader.read(&invoice(&db)).await.unwrap().rows.len(), 1);
    }
    // The reader waits for a lock for two seconds only.
    while shape_from.elapsed() < SHAPE_AGE_MAX / 2 {
        assert!(!db.text(&last).is_empty());
    }
    let change = postgres.hold("BEGIN; LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE", "COMMIT");
    let read = tokio::spawn({
        let (reader, plan) = (reader.clone(), invoice(&db));
        async move { reader.read(&plan).await.map(|found| found.rows.len()) }
    });
    while shape_from.elapsed() < SHAPE_AGE_MAX + SHAPE_AGE_MAX / 8 {
        assert!(!db.text(&waiting).is_empty());
    }
    assert_eq!(db.text(&waiting), "1");
    drop(change);
    assert_eq!(read.await.unwrap().unwrap(), 1);
    let deadline = Instant::now() + LIMIT;
    while !db.text(&last).contains("RESET") {
        assert!(Instant::now() < deadline, "{}", db.text(&last));
    }
}

/// Also when the role of the reader asks the planner for it.
#[tokio::test(flavor = "multi_thread")]
async fn planning_a_read_evaluates_no_check() {
    let Some((postgres, db)) = invoices() else { return };
    let role = postgres.reader_role();
    postgres.execute(&format!(
        "CREATE FUNCTION checked(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN \
           IF session_user = '{role}' THEN RAISE 'code of the owner'; END IF; RETURN true; END $f$; \
         ALTER TABLE invoices ADD CHECK (checked('x')); ALTER ROLE {role} SET constraint_exclusion = on"
    ));
    let read = postgres.reader_of(1).read(&invoice(&db)).await;
    assert_eq!(read.unwrap().rows.len(), 1);
}
