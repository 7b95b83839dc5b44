//! Preflight of the writer's account: whether it has the rights that a writeback needs, and no broader ones.
//! Reads the rights from the catalog and runs every statement once, with a condition that no row meets,
//! rolled back.

use synapsor_codes::ErrorCode;
use synapsor_domain::change::unwritable_trait;
use synapsor_domain::schema::TableSchema;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_engine::postgres::PostgresEngine;
use synapsor_engine::postgres::check::{
    PgPreflight, Rights, check_account, check_columns, missing_rights, one, rights, text,
};
use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::dialect::{qualified, quote};
use synapsor_engine::postgres::inspect::{self, receipt_schema};
use synapsor_engine::postgres::read;
use synapsor_engine::postgres::session::{EXACT_SETTINGS, local_settings, timeouts};
use synapsor_engine::postgres::system_rights;
use synapsor_engine::postgres::types::Family;
use synapsor_source::db_error_message::explain;
use synapsor_source::{EngineError, EngineErrorKind, ErrorCause, Finding, PreflightTarget};

use crate::fitness::misfit;

/// Settings under which a COMMIT may not survive a crash of the server's machine.
const DURABILITY: [(&str, &str); 3] = [
    (
        "fsync",
        "a crash of the machine may lose or damage what was committed",
    ),
    (
        "full_page_writes",
        "a crash of the machine may damage what was committed",
    ),
    (
        "synchronous_commit",
        "a crash may lose other sessions' changes; writebacks set it on for their own transactions",
    ),
];

/// A setting as a new session has it, whether the role has a value of its own, and the database.
const RESET_VALUE: &str = "SELECT s.reset_val, EXISTS (SELECT 1 FROM pg_db_role_setting d JOIN pg_roles r \
    ON r.oid = d.setrole, unnest(d.setconfig) c WHERE r.rolname = current_user \
      AND c LIKE s.name || '=%')::text, current_database()::text \
    FROM pg_settings s WHERE s.name = $1::text";

/// Start of the check of one table.
const SAVEPOINT: &str = "SAVEPOINT table_check";

pub(crate) async fn check(
    engine: &PostgresEngine,
    targets: &[PreflightTarget],
) -> Result<Vec<Finding>, EngineError> {
    let Some(writers) = &engine.writers else {
        return Err(EngineError::new(
            EngineErrorKind::Denied,
            "this credential is for reading",
        ));
    };
    let (mut lease, _) = writers.lease().await?;
    let mut settings: Vec<_> = EXACT_SETTINGS
        .map(|(name, value)| (name, value.to_owned()))
        .into();
    settings.extend(timeouts(writers.statement_timeout()));
    lease
        .batch(format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {}",
            local_settings(&settings)
        ))
        .await?;
    let mut report = PgPreflight::of(&mut lease).await?;
    report.power_code = ErrorCode::WriterAccountTooPowerful;
    for grant in system_rights::missing_grants(&mut lease).await? {
        let text = format!(
            "the role `{}` lacks a right on the server's own functions or catalogs that this program needs",
            report.role
        );
        report.add(FindingSeverity::Error, ErrorCode::GrantMissing, text, Some(grant));
    }
    durability(&mut lease, &mut report).await?;
    lease.batch(SAVEPOINT.to_owned()).await?;
    let checked = receipts(engine, &mut lease, &mut report).await;
    or_unchecked(&mut lease, &mut report, &engine.receipts.table, checked).await?;
    for target in targets {
        lease.batch(SAVEPOINT.to_owned()).await?;
        let checked = check_target(&mut lease, &mut report, target).await;
        or_unchecked(&mut lease, &mut report, &target.table, checked).await?;
    }
    // Probes of a table can run code of its owner, so no writeback may reuse this connection.
    drop(lease);
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(report.findings)
}

/// Reports a table that is locked by another session; the others are checked all the same.
async fn or_unchecked(
    lease: &mut PgPooledConnection,
    report: &mut PgPreflight,
    table: &str,
    checked: Result<(), EngineError>,
) -> Result<(), EngineError> {
    let Err(error) = checked else {
        return Ok(());
    };
    let Some(found) = Finding::unchecked_table(table, &error) else {
        return Err(error);
    };
    report.add(found.severity, found.code, found.text, found.fix);
    lease
        .batch("ROLLBACK TO SAVEPOINT table_check".to_owned())
        .await?;
    Ok(())
}

async fn durability(lease: &mut PgPooledConnection, report: &mut PgPreflight) -> Result<(), EngineError> {
    for (setting, consequence) in DURABILITY {
        let row = one(lease, RESET_VALUE, &[setting]).await?;
        if text(&row, 0) == "off" {
            let role = quote(&report.role);
            let is_of_role = text(&row, 1) == "true";
            let (whose, fix) = if is_of_role {
                (
                    "the account",
                    format!(
                        "ALTER ROLE {role} RESET {setting};\nALTER ROLE {role} IN DATABASE {} RESET {setting};",
                        quote(&text(&row, 2))
                    ),
                )
            } else {
                (
                    "the server",
                    format!("ALTER SYSTEM SET {setting} = on;\nSELECT pg_reload_conf();"),
                )
            };
            report.add(
                FindingSeverity::Warning,
                ErrorCode::DurabilityWeak,
                format!("{whose} runs with {setting} off: {consequence}"),
                Some(fix),
            );
        }
    }
    Ok(())
}

async fn receipts(
    engine: &PostgresEngine,
    lease: &mut PgPooledConnection,
    report: &mut PgPreflight,
) -> Result<(), EngineError> {
    let (schema, table) = (receipt_schema(&engine.receipts), engine.receipts.table.clone());
    let problems = inspect::receipt_problems(lease, &engine.receipts).await?;
    let is_missing = problems
        .iter()
        .any(|problem| problem.code == ErrorCode::ReceiptTableMissing);
    report.findings.extend(problems);
    check_account(lease, report, schema).await?;
    if is_missing {
        return Ok(());
    }
    let name = read::receipt_table(&engine.receipts);
    let rights = rights(lease, schema, &table).await?;
    for right in ["SELECT", "INSERT"] {
        if !rights.has(right) {
            report.missing(
                format!("the account lacks {right} on the receipt table"),
                right,
                &name,
            );
        }
    }
    for right in ["UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] {
        if rights.has(right) {
            report.excessive(
                format!("the account has {right} on the receipt table, which is append-only"),
                right,
                &name,
                rights.is_public(right),
            );
        }
    }
    owner(report, &rights, &name);
    preflight(
        lease,
        report,
        &format!("SELECT proposal_id FROM {name} WHERE false"),
        "read a receipt",
    )
    .await?;
    let insert = format!("INSERT INTO {name} SELECT * FROM {name} WHERE false");
    preflight(lease, report, &insert, "add a receipt").await
}

async fn check_target(
    lease: &mut PgPooledConnection,
    report: &mut PgPreflight,
    target: &PreflightTarget,
) -> Result<(), EngineError> {
    check_account(lease, report, &target.schema).await?;
    let Some(shape) = check_columns(lease, report, target).await? else {
        return Ok(());
    };
    table_notes(report, target, &shape);
    let rights = rights(lease, &target.schema, &target.table).await?;
    missing_rights(report, target, &shape, &rights);
    excessive_rights(report, target, &rights);
    row_version(report, target, &shape, &rights);
    let mut wanted = target.reads.iter().chain(&target.writes);
    if wanted.all(|name| shape.column(name).is_some()) {
        preflight_target(lease, report, target).await?;
    }
    Ok(())
}

/// Checks whether a change inside COMMIT would be detected: the version of the row is read again with it. A table that
/// is never written needs no such right, and a view has no such columns to grant.
fn row_version(report: &mut PgPreflight, target: &PreflightTarget, shape: &TableSchema, rights: &Rights) {
    if target.writes.is_empty()
        || unwritable_trait(shape).is_some()
        || ["ctid", "xmin"]
            .iter()
            .all(|column| rights.has_on("SELECT", column))
    {
        return;
    }
    let fix = format!(
        "GRANT SELECT (\"ctid\", \"xmin\") ON {} TO {};",
        qualified(&target.schema, &target.table),
        quote(&report.role)
    );
    let what = format!(
        "the account cannot read row versions of `{}`, so COMMIT is not checked against them",
        target.table
    );
    report.add(
        FindingSeverity::Warning,
        ErrorCode::RowVersionUnreadable,
        what,
        Some(fix),
    );
}

fn excessive_rights(report: &mut PgPreflight, target: &PreflightTarget, rights: &Rights) {
    let name = qualified(&target.schema, &target.table);
    for right in ["INSERT", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] {
        if rights.has(right) {
            report.excessive(
                format!(
                    "the account has {right} on `{}`, which writebacks never use",
                    target.table
                ),
                right,
                &name,
                rights.is_public(right),
            );
        }
    }
    let more: Vec<String> = rights
        .columns
        .iter()
        .filter(|(right, column)| right == "UPDATE" && !target.writes.contains(column))
        .map(|(_, column)| quote(column))
        .collect();
    if rights.has("UPDATE") {
        let of_everyone = match rights.is_public("UPDATE") {
            true => format!("REVOKE UPDATE ON {name} FROM PUBLIC; "),
            false => String::new(),
        };
        let fix = format!(
            "{of_everyone}REVOKE UPDATE ON {name} FROM {role}; GRANT UPDATE ({}) ON {name} TO {role};",
            target
                .writes
                .iter()
                .map(|c| quote(c))
                .collect::<Vec<_>>()
                .join(", "),
            role = quote(&report.role)
        );
        let what = format!("the account has UPDATE on every column of `{}`", target.table);
        report.add(
            FindingSeverity::Warning,
            ErrorCode::GrantExcessive,
            what,
            Some(fix),
        );
    } else if !more.is_empty() {
        let list = more.join(", ");
        report.excessive(
            format!(
                "the account has UPDATE on {list} of `{}`, which the contract does not need",
                target.table
            ),
            &format!("UPDATE ({list})"),
            &name,
            false,
        );
    }
    owner(report, rights, &name);
}

fn owner(report: &mut PgPreflight, rights: &Rights, name: &str) {
    if rights.has("OWNER") {
        report.add(
            FindingSeverity::Warning,
            report.power_code,
            format!("the account owns {name}, so it can alter it and grant itself every right"),
            Some(format!("ALTER TABLE {name} OWNER TO another_role;")),
        );
    }
}

fn table_notes(report: &mut PgPreflight, target: &PreflightTarget, shape: &TableSchema) {
    if let Some(found) = misfit(target, shape, |column| Family::of(column).is_writable()) {
        report.add(found.severity, found.code, found.text, found.fix);
    }
    let mut note = |code, text: String| report.add(FindingSeverity::Warning, code, text, None);
    let table = &target.table;
    if shape.traits.iter().any(|t| t == "row_security") {
        note(
            ErrorCode::RowSecurity,
            format!("`{table}` has row security: rows that it hides are not written"),
        );
    }
    for effect in shape.effects_of_update() {
        let found = Finding::side_effect(table, &effect);
        report.add(found.severity, found.code, found.text, found.fix);
    }
}

async fn preflight_target(
    lease: &mut PgPooledConnection,
    report: &mut PgPreflight,
    target: &PreflightTarget,
) -> Result<(), EngineError> {
    let name = qualified(&target.schema, &target.table);
    let quoted = |columns: &[String]| columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
    let select = format!("SELECT {} FROM {name} WHERE false", quoted(&target.reads));
    preflight(lease, report, &select, &format!("read `{}`", target.table)).await?;
    if target.writes.is_empty() {
        return Ok(());
    }
    let lock = format!("{select} FOR UPDATE");
    preflight(lease, report, &lock, &format!("lock a row of `{}`", target.table)).await?;
    let same: Vec<String> = target
        .writes
        .iter()
        .map(|c| format!("{0} = {0}", quote(c)))
        .collect();
    let is_readable = target.writes.iter().all(|column| target.reads.contains(column));
    if is_readable {
        let update = format!("UPDATE {name} SET {} WHERE false", same.join(", "));
        preflight(lease, report, &update, &format!("change `{}`", target.table)).await?;
    }
    Ok(())
}

/// Runs a statement that touches no row; a failure is reported and rolled back.
async fn preflight(
    lease: &mut PgPooledConnection,
    report: &mut PgPreflight,
    sql: &str,
    what: &str,
) -> Result<(), EngineError> {
    lease.batch("SAVEPOINT probe".to_owned()).await?;
    if let Err(error) = lease.batch(sql.to_owned()).await {
        if error.cause == ErrorCause::TakesNoWrites
            || matches!(error.kind, EngineErrorKind::Busy | EngineErrorKind::Timeout)
        {
            return Err(error);
        }
        report.add(
            FindingSeverity::Error,
            ErrorCode::PreflightFailed,
            format!("the account cannot {what}: {} ({})", error.reason(), error.detail),
            Some(explain(&error).fix.into_owned()),
        );
    }
    lease
        .batch("ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe".to_owned())
        .await
        .map(|_| ())
}
