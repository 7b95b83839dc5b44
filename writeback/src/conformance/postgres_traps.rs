//! Traps of PostgreSQL only: row security, deferred triggers, truncated tables, rows that are deleted and
//! re-inserted while their lock is awaited, and column rights.

use std::sync::Arc;

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_engine::Access;
use synapsor_source::error::EngineErrorKind;
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::{Finding, PreflightTarget, preflight};

use super::behaviors::{
    AT, Account, Db, Fixture, TestDatabase as _, acknowledge, all_code, begin, change, int, invoice, receipt,
    record, text, update,
};
use super::postgres::{PostgresDatabase, database};
use super::proxy::{Emptying, Rewriting};
use super::servers::POSTGRES;
use crate::transaction::CheckTarget;
use crate::violation::{CheckError, ViolationKind};

/// A contract that reads invoices.
const READING: &str = r#"{"version": 1, "mode": "read_only", "result_format": 2,
    "sources": {"db": {"engine": "postgres", "read_url_env": "R"}},
    "trusted_context": {"provider": "environment"},
    "capabilities": [{"name": "a.inspect", "kind": "read", "source": "db",
      "target": {"schema": "public", "table": "invoices", "primary_key": "id", "tenant_key": "tenant"},
      "args": {"id": {"type": "string"}}, "lookup": {"id_from_arg": "id"}, "visible_columns": ["id", "fee"]}]}"#;

/// Creates a database with invoices, if there is a server; `postgres_15_conforms` reports a missing one.
fn invoices() -> Option<(Arc<PostgresDatabase>, Db)> {
    if !POSTGRES.is_there() {
        return None;
    }
    let database = database(&POSTGRES);
    database.set_up(Fixture::Invoices);
    Some((database.clone(), database))
}

async fn found(db: &Db) -> Vec<Finding> {
    found_about(db, "invoices").await
}

async fn found_about(db: &Db, table: &str) -> Vec<Finding> {
    let target = PreflightTarget {
        schema: "public".to_owned(),
        table: table.to_owned(),
        keys: vec!["id".to_owned()],
        tenant: Some("tenant".to_owned()),
        reads: ["id", "tenant", "status", "fee", "version"]
            .map(str::to_owned)
            .to_vec(),
        writes: vec!["fee".to_owned()],
    };
    db.writer().check(&[target]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_right_is_reported_with_its_grant() {
    let Some((postgres, db)) = invoices() else { return };
    let role = postgres.writer_role();
    let grant = format!("GRANT UPDATE (\"fee\") ON \"public\".\"invoices\" TO \"{role}\";");
    assert!(
        !found(&db)
            .await
            .iter()
            .any(|f| f.severity == FindingSeverity::Error)
    );
    postgres.alter(&format!(
        "REVOKE UPDATE ON invoices FROM {role}; REVOKE UPDATE (status, fee, version, id, tenant) ON invoices FROM {role}"
    ));
    let findings = found(&db).await;
    let missing = findings
        .iter()
        .find(|f| f.code == ErrorCode::GrantMissing)
        .unwrap();
    assert_eq!(missing.fix.as_deref(), Some(grant.as_str()));
    assert!(findings.iter().any(|f| f.code == ErrorCode::PreflightFailed));
    postgres.alter(&grant);
    assert!(
        !found(&db)
            .await
            .iter()
            .any(|f| f.severity == FindingSeverity::Error)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn excessive_right_is_reported_with_its_revoke() {
    let Some((postgres, db)) = invoices() else { return };
    let role = postgres.writer_role();
    postgres.alter(&format!(
        "GRANT DELETE ON invoices TO {role}; GRANT UPDATE ON synapsor_writeback_receipts TO {role}"
    ));
    let findings = found(&db).await;
    let fixes: Vec<_> = findings.iter().filter_map(|f| f.fix.clone()).collect();
    for wanted in [
        format!("REVOKE DELETE ON \"public\".\"invoices\" FROM \"{role}\";"),
        format!("REVOKE UPDATE ON \"public\".\"synapsor_writeback_receipts\" FROM \"{role}\";"),
    ] {
        assert!(fixes.contains(&wanted), "{fixes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_version_right_is_advised_for_tables_only() {
    let Some((postgres, db)) = invoices() else { return };
    let role = postgres.writer_role();
    postgres.alter(&format!(
        "REVOKE SELECT (ctid, xmin) ON invoices FROM {role}; CREATE VIEW seen AS SELECT * FROM invoices; \
         GRANT SELECT, UPDATE ON seen TO {role}"
    ));
    let advised = |findings: &[Finding]| {
        let mut fixes = findings.iter().filter_map(|f| f.fix.as_deref());
        fixes.find(|fix| fix.contains("ctid")).map(str::to_owned)
    };
    let of_table = advised(&found(&db).await).unwrap();
    postgres.alter(&of_table);
    assert_eq!(advised(&found(&db).await), None);
    let of_view = found_about(&db, "seen").await;
    assert_eq!(advised(&of_view), None);
    assert!(of_view.iter().any(|f| f.code == ErrorCode::TableUnfit));
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_identity_names_only_the_denied_functions() {
    const OF_TIMELINE: [&str; 2] = ["pg_current_wal_lsn()", "pg_walfile_name(pg_lsn)"];
    let contract = Contract::parse(READING.as_bytes()).unwrap().contract;
    for denied in [&OF_TIMELINE[..1], &OF_TIMELINE[1..], &OF_TIMELINE] {
        let Some((postgres, db)) = invoices() else { return };
        for name in denied {
            postgres.alter(&format!(
                "REVOKE EXECUTE ON FUNCTION pg_catalog.{name} FROM PUBLIC"
            ));
        }
        let report = preflight::reader(&*db.reader(), "db", &contract).await;
        let [weak] = report.findings.as_slice() else {
            panic!("{denied:?}: {report:?}");
        };
        assert_eq!(weak.code, ErrorCode::IdentityWeak);
        let fix = weak.fix.as_deref().unwrap();
        for name in OF_TIMELINE {
            let is_named = [weak.text.contains(name), fix.contains(name)];
            assert_eq!(is_named, [denied.contains(&name); 2], "{denied:?}: {weak:?}");
        }
        postgres.alter(fix);
        let report = preflight::reader(&*db.reader(), "db", &contract).await;
        assert_eq!(report.findings, [], "{denied:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_database_is_not_written() {
    let Some((postgres, db)) = invoices() else { return };
    let role = postgres.writer_role();
    postgres.alter(&format!(
        "ALTER ROLE {role} SET default_transaction_read_only = on"
    ));
    let error = db.writer().begin().await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_hidden_from_updates_is_read_but_not_locked() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(
        "ALTER TABLE invoices ENABLE ROW LEVEL SECURITY; CREATE POLICY seen ON invoices FOR SELECT USING (true); \
         CREATE POLICY changed ON invoices FOR UPDATE USING (id <> 'INV-1')",
    );
    let mut transaction = begin(&db).await.transaction;
    assert!(transaction.lock(&invoice(&db)).await.unwrap().is_empty());
    assert!(transaction.is_visible_unlocked(&invoice(&db)).await.unwrap());
    assert_eq!(
        update(transaction.as_mut(), &invoice(&db), &[int("fee", 0)], None).await,
        0
    );
    transaction.roll_back().await;
}

const JOURNAL: &str = "CREATE TABLE journal (line text); INSERT INTO journal VALUES ('x')";

#[tokio::test(flavor = "multi_thread")]
async fn new_deferred_trigger_is_detected_before_commit() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(JOURNAL);
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(transaction.lock(&invoice(&db)).await.unwrap().len(), 1);
    let allowed = acknowledge(transaction.as_mut(), &invoice(&db)).await;
    postgres.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
           $f$ BEGIN INSERT INTO public.journal VALUES (NEW.id); RETURN NEW; END $f$; \
         CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON invoices DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION note()",
    );
    let fee = [int("fee", 0)];
    let matched = transaction.update(&invoice(&db), change(&fee, None)).await;
    assert_eq!(matched.unwrap(), 1);
    let receipt = receipt(1, AT);
    transaction.insert_receipt(&receipt).await.unwrap();
    let plan = invoice(&db);
    let check = CheckTarget {
        plan: &plan,
        allowed: &allowed,
    };
    let checked = transaction.last_check(Some(check), &receipt).await;
    let Err(CheckError::Violation(violation)) = checked else {
        panic!("{checked:?}");
    };
    assert_eq!(violation.kind, ViolationKind::TargetChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn table_truncated_by_a_trigger_is_detected() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(JOURNAL);
    postgres.execute(
        "CREATE FUNCTION wipe() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
           $f$ BEGIN TRUNCATE public.journal; RETURN NEW; END $f$; \
         CREATE TRIGGER wipe AFTER UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION wipe()",
    );
    let mut transaction = begin(&db).await.transaction;
    let fee = [int("fee", 0)];
    assert_eq!(update(transaction.as_mut(), &invoice(&db), &fee, None).await, 1);
    let lines = transaction.side_effects(&invoice(&db)).await.unwrap();
    assert!(lines.iter().any(|line| line.contains("journal")), "{lines:?}");
    transaction.roll_back().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_write_during_the_lock_is_detected_before_update() {
    let Some((postgres, db)) = invoices() else { return };
    postgres.execute(JOURNAL);
    postgres.execute(
        "CREATE FUNCTION seen(id text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS \
           $f$ BEGIN INSERT INTO public.journal VALUES (id); RETURN true; END $f$; \
         CREATE POLICY seen ON invoices USING (seen(id::text)); ALTER TABLE invoices ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE invoices FORCE ROW LEVEL SECURITY",
    );
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(transaction.lock(&invoice(&db)).await.unwrap().len(), 1);
    let plan = invoice(&db);
    let allowed = all_code(transaction.as_mut(), &plan).await;
    let check = CheckTarget {
        plan: &plan,
        allowed: &allowed,
    };
    let checked = transaction.first_check(Some(check)).await;
    let Err(CheckError::Violation(violation)) = checked else {
        panic!("{checked:?}");
    };
    assert_eq!(violation.kind, ViolationKind::LockElsewhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_reinserted_during_the_wait_is_found_by_a_second_read() {
    let Some((postgres, db)) = invoices() else { return };
    let held = postgres.hold(
        "BEGIN; DELETE FROM invoices WHERE id = 'INV-1'; \
         INSERT INTO invoices VALUES ('INV-1', 'acme', 'open', 1, 8)",
        "COMMIT",
    );
    let mut transaction = begin(&db).await.transaction;
    let plan = invoice(&db);
    let waiting = tokio::spawn(async move {
        let first = transaction.lock(&plan).await.unwrap();
        (first, transaction.lock(&plan).await.unwrap())
    });
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = '{}'",
        postgres.writer_role()
    );
    while postgres.text(&waits) == "0" {
        tokio::task::yield_now().await;
    }
    drop(held);
    let (first, second) = waiting.await.unwrap();
    assert!(first.is_empty());
    assert_eq!(second[0][1], int("fee", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_change_counts_is_not_written() {
    let Some((postgres, db)) = invoices() else { return };
    let role = postgres.writer_role();
    postgres.alter(&format!("ALTER ROLE {role} SET track_counts = off"));
    assert_eq!(
        db.writer().begin().await.unwrap_err().kind,
        EngineErrorKind::Denied
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writeback_is_durable_under_any_role_setting() {
    let Some((postgres, db)) = invoices() else { return };
    let role = postgres.writer_role();
    postgres.alter(&format!(
        "ALTER ROLE {role} SET synchronous_commit = off; \
         CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS \
           $f$ BEGIN NEW.status := pg_catalog.current_setting('synchronous_commit'); RETURN NEW; END $f$; \
         CREATE TRIGGER warn BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION warn()"
    ));
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(
        update(transaction.as_mut(), &invoice(&db), &[int("fee", 0)], None).await,
        1
    );
    let after = transaction.reread(&invoice(&db)).await.unwrap();
    assert_eq!(after[0][0], text("status", "on"));
    transaction.roll_back().await;
}

/// The driver panics at a row with fewer values than columns.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_row_is_an_error_of_its_connection() {
    let Some((postgres, db)) = invoices() else { return };
    let proxy = Emptying::start(postgres.address()).await;
    let reader = postgres.engine_through(proxy.address(), Access::Read, None);
    let writer = postgres.engine_through(proxy.address(), Access::Write, None);
    assert_eq!(reader.read(&invoice(&db)).await.unwrap().rows.len(), 1);
    proxy.empties(true);
    for refused in [
        reader.read(&invoice(&db)).await.map(drop),
        reader.catalog(None).await.map(drop),
        writer.begin().await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.cause, ErrorCause::OtherProtocol, "{error}");
    }
    proxy.empties(false);
    assert_eq!(reader.read(&invoice(&db)).await.unwrap().rows.len(), 1);
    writer.begin().await.unwrap().transaction.roll_back().await;
}

/// A writer that connects through a proxy that rewrites its statements.
async fn proxied(
    postgres: &PostgresDatabase,
    access: Access,
    from: &'static str,
    to: &'static str,
) -> (Account, Rewriting) {
    let proxy = Rewriting::start(postgres.address(), from, to).await;
    (postgres.engine_through(proxy.address(), access, None), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_that_ends_in_a_rollback_is_in_doubt() {
    let Some((postgres, db)) = invoices() else { return };
    let (engine, proxy) = proxied(&postgres, Access::Write, "COMMIT;", "ABORT; ").await;
    let mut transaction = engine.begin().await.unwrap().transaction;
    assert_eq!(
        update(transaction.as_mut(), &invoice(&db), &[int("fee", 0)], None).await,
        1
    );
    let recorded = record(transaction, &receipt(1, AT)).await.unwrap();
    proxy.rewrites(true);
    assert!(recorded.commit().await.is_err());
    assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-1'"), "5500");
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_connection_writes_nothing() {
    let Some((postgres, db)) = invoices() else { return };
    let (engine, proxy) = proxied(
        &postgres,
        Access::Write,
        "pg_catalog.pg_backend_pid()",
        "1                          ",
    )
    .await;
    let fee = [int("fee", 0)];
    let mut transaction = engine.begin().await.unwrap().transaction;
    proxy.rewrites(true);
    let matched = transaction.update(&invoice(&db), change(&fee, None)).await;
    assert_eq!(matched.unwrap(), 0);
    // The rewritten statement is already prepared on its connection.
    drop(transaction);

    proxy.rewrites(false);
    let mut transaction = engine.begin().await.unwrap().transaction;
    let plan = invoice(&db);
    let allowed = acknowledge(transaction.as_mut(), &plan).await;
    let matched = transaction.update(&plan, change(&fee, None)).await;
    assert_eq!(matched.unwrap(), 1);
    let receipt = receipt(1, AT);
    transaction.insert_receipt(&receipt).await.unwrap();
    proxy.rewrites(true);
    let check = CheckTarget {
        plan: &plan,
        allowed: &allowed,
    };
    assert!(transaction.last_check(Some(check), &receipt).await.is_err());
    drop(transaction);
    assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-1'"), "5500");
}

#[tokio::test(flavor = "multi_thread")]
async fn writable_read_connection_is_not_used() {
    let Some((postgres, db)) = invoices() else { return };
    let setting = (
        "default_transaction_read_only=on",
        "default_transaction_read_only=no",
    );
    let (engine, proxy) = proxied(&postgres, Access::Read, setting.0, setting.1).await;
    proxy.rewrites(true);
    let error = engine.read(&invoice(&db)).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Unavailable);
    proxy.rewrites(false);
    assert_eq!(engine.read(&invoice(&db)).await.unwrap().rows.len(), 1);
}
