//! Preflight of the writer's account: whether it has the rights that a writeback needs, and no broader ones.
//! Runs every statement once, with a condition that no row meets, rolled back, and reads the rights from the
//! catalog.

use std::sync::Arc;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_engine::mysql::account_powers::account_powers;
use synapsor_engine::mysql::check::MysqlPreflight;
use synapsor_engine::mysql::column::ColumnType;
use synapsor_engine::mysql::dialect::{qualified, quote};
use synapsor_engine::mysql::inspect::{Described, Shapes};
use synapsor_engine::mysql::pool::{MysqlPool, PooledConnection};
use synapsor_engine::mysql::receipts;
use synapsor_engine::mysql::session::{BindValue, Cells, MysqlStatementError};
use synapsor_source::db_error_message::explain;
use synapsor_source::{EngineError, EngineErrorKind, Finding, PreflightTarget};

use crate::fitness::misfit;

const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of rights on the whole server from which on an account counts as an administrator's.
const SERVER_RIGHTS_OF_ADMINISTRATORS: usize = 4;

/// The account's own rights on one table: the level, the right, and the column for a column right.
const RIGHTS: &str = "\
    SELECT 'server', PRIVILEGE_TYPE, '' FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ? \
    UNION ALL SELECT 'schema', PRIVILEGE_TYPE, '' FROM information_schema.SCHEMA_PRIVILEGES \
      WHERE GRANTEE = ? AND ? LIKE TABLE_SCHEMA \
    UNION ALL SELECT 'table', PRIVILEGE_TYPE, '' FROM information_schema.TABLE_PRIVILEGES \
      WHERE GRANTEE = ? AND TABLE_SCHEMA = ? AND TABLE_NAME = ? \
    UNION ALL SELECT 'column', PRIVILEGE_TYPE, COLUMN_NAME FROM information_schema.COLUMN_PRIVILEGES \
      WHERE GRANTEE = ? AND TABLE_SCHEMA = ? AND TABLE_NAME = ?";

/// Settings of the server, in the order in which they are checked.
const SETTINGS: &str = "SELECT CAST(@@global.innodb_flush_log_at_trx_commit AS CHAR), \
    CAST(@@global.log_bin AS CHAR), CAST(@@global.sync_binlog AS CHAR), @@global.sql_mode, CURRENT_USER()";

/// One right of the account.
struct Right {
    level: String,
    word: String,
    column: String,
}

/// Runs the write path under this account, rolled back, and reports weak settings.
pub(crate) async fn check(
    pool: &Arc<MysqlPool>,
    shapes: &Arc<Shapes>,
    targets: &[PreflightTarget],
) -> Result<Vec<Finding>, EngineError> {
    let mut held = take(pool).await?;
    let mut report = server(&mut held).await?;
    if !held.session().server()?.has_marker {
        report.findings.push(Finding::missing_identity());
    }
    let checked = receipt_table(pool, shapes, &mut held, &mut report).await;
    or_unchecked(
        pool,
        &mut held,
        &mut report,
        (pool.connector.receipt_table(), checked),
    )
    .await?;
    for target in targets {
        let checked = check_target(pool, shapes, &mut held, &mut report, target).await;
        or_unchecked(pool, &mut held, &mut report, (&target.table, checked)).await?;
    }
    account(pool, &mut held, &mut report, targets).await?;
    held.release();
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(report.findings)
}

/// Reports a table that is locked by another session; the others are checked all the same.
async fn or_unchecked(
    pool: &Arc<MysqlPool>,
    held: &mut PooledConnection,
    report: &mut MysqlPreflight,
    (table, checked): (&str, Result<(), EngineError>),
) -> Result<(), EngineError> {
    let Err(error) = checked else {
        return Ok(());
    };
    let Some(found) = Finding::unchecked_table(table, &error) else {
        return Err(error);
    };
    report.add(found.severity, found.code, found.text, found.fix);
    // The failed statement may have ended its connection.
    *held = take(pool).await?;
    Ok(())
}

async fn take(pool: &Arc<MysqlPool>) -> Result<PooledConnection, EngineError> {
    let mut held = pool.take(STATEMENT_TIMEOUT).await?;
    held.session().limit(STATEMENT_TIMEOUT);
    Ok(held)
}

async fn server(held: &mut PooledConnection) -> Result<MysqlPreflight, EngineError> {
    let answer = held.session().rows(SETTINGS, Vec::new()).await?;
    let cells = answer
        .first()
        .ok_or_else(|| EngineError::new(EngineErrorKind::Unavailable, "no answer"))?;
    let mut report = MysqlPreflight::of(&cells.text(4)?);
    let mut weak = |setting: &str, consequence: &str| {
        report.add(
            FindingSeverity::Warning,
            ErrorCode::DurabilityWeak,
            format!("the server runs with {setting} other than 1: {consequence}"),
            Some(format!("SET GLOBAL {setting} = 1;")),
        );
    };
    if cells.text(0)? != "1" {
        weak(
            "innodb_flush_log_at_trx_commit",
            "a crash of the machine may lose what was committed",
        );
    }
    if cells.text(1)? == "1" && cells.text(2)? != "1" {
        weak(
            "sync_binlog",
            "a crash of the machine may lose what replicas and backups need",
        );
    }
    if !cells.text(3)?.contains("STRICT_") {
        report.add(
            FindingSeverity::Warning,
            ErrorCode::StrictModeMissing,
            "the server's SQL mode is not strict: other sessions may store truncated or rounded values; writebacks set it for \
             themselves"
                .to_owned(),
            None,
        );
    }
    Ok(report)
}

async fn receipt_table(
    pool: &Arc<MysqlPool>,
    shapes: &Shapes,
    held: &mut PooledConnection,
    report: &mut MysqlPreflight,
) -> Result<(), EngineError> {
    let (schema, table) = (pool.connector.receipt_schema()?, pool.connector.receipt_table());
    let problems = receipts::problems(held.session(), &pool.connector, shapes).await?;
    let is_missing = problems
        .iter()
        .any(|problem| problem.code == ErrorCode::ReceiptTableMissing);
    report.findings.extend(problems);
    if is_missing {
        return Ok(());
    }
    let table_name = qualified(&schema, table);
    for (right, sql) in [
        ("SELECT", format!("SELECT * FROM {table_name} WHERE FALSE")),
        (
            "INSERT",
            format!("INSERT INTO {table_name} SELECT * FROM {table_name} WHERE FALSE"),
        ),
    ] {
        if let Err(failed) = preflight(pool, &sql).await {
            let text = format!("the account lacks {right} on the receipt table");
            denied(report, failed, text, right, &table_name)?;
        }
    }
    let rights = rights(held, report, &schema, table).await?;
    if is_administrator(report, &rights) {
        return Ok(());
    }
    for right in rights
        .iter()
        .filter(|right| !matches!(right.word.as_str(), "SELECT" | "INSERT" | "USAGE"))
    {
        let text = format!(
            "the account has {} on the receipt table, which is append-only",
            right.word
        );
        let on = level(right, &schema, table);
        report.excessive(text, &right.word, &on);
    }
    Ok(())
}

/// Rights with which the account could bypass the checks of its own transaction.
async fn account(
    pool: &Arc<MysqlPool>,
    held: &mut PooledConnection,
    report: &mut MysqlPreflight,
    targets: &[PreflightTarget],
) -> Result<(), EngineError> {
    let receipts = (pool.connector.receipt_schema()?, pool.connector.receipt_table());
    let mut tables = vec![(receipts.0.as_str(), receipts.1)];
    tables.extend(
        targets
            .iter()
            .map(|target| (target.schema.as_str(), target.table.as_str())),
    );
    let grants = held.session().grants().await?;
    for power in account_powers(&grants, &tables) {
        report.add(
            FindingSeverity::Warning,
            ErrorCode::WriterAccountTooPowerful,
            format!("the account {power}: it can bypass every check of its own transaction, and is refused outside of dev"),
            None,
        );
    }
    Ok(())
}

async fn check_target(
    pool: &Arc<MysqlPool>,
    shapes: &Shapes,
    held: &mut PooledConnection,
    report: &mut MysqlPreflight,
    target: &PreflightTarget,
) -> Result<(), EngineError> {
    let described = match shapes.fresh(held.session(), &target.schema, &target.table).await {
        Ok(described) => described,
        Err(failed) if failed.error.kind == EngineErrorKind::NotFound => {
            let text = format!(
                "there is no table `{}.{}`, or no right on it",
                target.schema, target.table
            );
            report.add(FindingSeverity::Error, ErrorCode::TableMissing, text, None);
            return Ok(());
        }
        Err(failed) => return Err(failed.error),
    };
    let absent = |name: &&String| described.shape.column(name).is_none();
    let absent: Vec<&String> = target.reads.iter().chain(&target.writes).filter(absent).collect();
    for name in &absent {
        let text = format!("the table `{}` has no column `{name}`", target.table);
        report.add(FindingSeverity::Error, ErrorCode::ColumnMissing, text, None);
    }
    notes(report, target, &described);
    let held_rights = rights(held, report, &target.schema, &target.table).await?;
    if absent.is_empty() {
        // The driver fails on a statement that names a column whose type it cannot read.
        let is_readable = |name: &&String| {
            let column = described.shape.column(name);
            column.is_none_or(|column| ColumnType::of(column).is_readable())
        };
        let target = PreflightTarget {
            reads: target.reads.iter().filter(is_readable).cloned().collect(),
            ..target.clone()
        };
        preflight_target(pool, report, &target, &held_rights).await?;
    }
    excess(report, target, &held_rights);
    Ok(())
}

async fn preflight_target(
    pool: &Arc<MysqlPool>,
    report: &mut MysqlPreflight,
    target: &PreflightTarget,
    held: &[Right],
) -> Result<(), EngineError> {
    let table_name = qualified(&target.schema, &target.table);
    let list = |columns: &[String]| columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
    let same: Vec<String> = target
        .writes
        .iter()
        .map(|c| format!("{0} = {0}", quote(c)))
        .collect();
    let mut probes = vec![(
        "SELECT",
        &target.reads,
        format!("SELECT {} FROM {table_name} WHERE FALSE", list(&target.reads)),
    )];
    if !target.writes.is_empty() {
        let update = format!("UPDATE {table_name} SET {} WHERE FALSE", same.join(", "));
        probes.push(("UPDATE", &target.writes, update));
    }
    for (right, columns, sql) in probes {
        let Err(failed) = preflight(pool, &sql).await else {
            continue;
        };
        let has = |column: &String| {
            held.iter()
                .any(|r| r.word == right && (r.column.is_empty() || r.column == *column))
        };
        let missing: Vec<String> = columns.iter().filter(|column| !has(column)).cloned().collect();
        let text = format!(
            "the account lacks {right} on {} of `{}`",
            list(&missing),
            target.table
        );
        denied(
            report,
            failed,
            text,
            &format!("{right} ({})", list(&missing)),
            &table_name,
        )?;
    }
    Ok(())
}

/// A probe that failed for lack of a right names it; any other failure is its own finding.
fn denied(
    report: &mut MysqlPreflight,
    failed: MysqlStatementError,
    text: String,
    right: &str,
    on: &str,
) -> Result<(), EngineError> {
    match failed.error.kind {
        EngineErrorKind::Denied if !right.ends_with("()") => report.missing(text, right, on),
        EngineErrorKind::Unavailable | EngineErrorKind::Busy | EngineErrorKind::Timeout => {
            return Err(failed.error);
        }
        _ => {
            let text = format!("{text}: {} ({})", failed.error.reason(), failed.error.detail);
            let fix = explain(&failed.error).fix.into_owned();
            report.add(
                FindingSeverity::Error,
                ErrorCode::PreflightFailed,
                text,
                Some(fix),
            );
        }
    }
    Ok(())
}

/// Runs a statement that touches no row, in its own transaction, which is rolled back.
async fn preflight(pool: &Arc<MysqlPool>, sql: &str) -> Result<(), MysqlStatementError> {
    let mut held = take(pool).await?;
    let session = held.session();
    session.command("START TRANSACTION READ WRITE".to_owned()).await?;
    session.rows(sql, Vec::new()).await?;
    session.command("ROLLBACK".to_owned()).await?;
    held.release();
    Ok(())
}

fn notes(report: &mut MysqlPreflight, target: &PreflightTarget, described: &Described) {
    let (shape, table) = (&described.shape, &target.table);
    if let Some(found) = misfit(target, shape, |column| ColumnType::of(column).is_writable()) {
        report.add(found.severity, found.code, found.text, found.fix);
    }
    if !described.is_complete {
        let text = format!(
            "triggers and foreign keys of `{table}` are not visible; create the procedure of the migration in its \
             database as an owner with the rights TRIGGER and PROCESS"
        );
        report.add(FindingSeverity::Error, ErrorCode::CatalogIncomplete, text, None);
    }
    for effect in shape.effects_of_update() {
        let found = Finding::side_effect(table, &effect);
        report.add(found.severity, found.code, found.text, found.fix);
    }
}

/// Reports an account with several rights on the whole server by one finding: statements for each would not make it an
/// account for this purpose, and could be executed for an administrator's.
fn is_administrator(report: &mut MysqlPreflight, held: &[Right]) -> bool {
    let on_server = held
        .iter()
        .filter(|right| right.level == "server" && right.word != "USAGE");
    let count = on_server.count();
    if count < SERVER_RIGHTS_OF_ADMINISTRATORS {
        return false;
    }
    let text =
        format!("the account has {count} rights on the whole server, which the contract does not need");
    let fix =
        "give the writer an account of its own, with the statements of `synapsor-runner writeback grants`";
    report.add(
        FindingSeverity::Warning,
        ErrorCode::GrantExcessive,
        text,
        Some(fix.to_owned()),
    );
    true
}

fn excess(report: &mut MysqlPreflight, target: &PreflightTarget, held: &[Right]) {
    if is_administrator(report, held) {
        return;
    }
    for right in held {
        let is_needed = match (right.word.as_str(), right.column.as_str()) {
            ("SELECT" | "USAGE", _) => right.level != "server" || right.word == "USAGE",
            ("UPDATE", "") => false,
            ("UPDATE", column) => target.writes.iter().any(|write| write == column),
            _ => false,
        };
        if is_needed {
            continue;
        }
        let column = if right.column.is_empty() {
            String::new()
        } else {
            format!(" ({})", quote(&right.column))
        };
        let text = format!(
            "the account has {}{column} on `{}`, which the contract does not need",
            right.word, target.table
        );
        let on = level(right, &target.schema, &target.table);
        report.excessive(text, &format!("{}{column}", right.word), &on);
    }
}

/// Scope of a right.
fn level(right: &Right, schema: &str, table: &str) -> String {
    match right.level.as_str() {
        "server" => "*.*".to_owned(),
        "schema" => format!("{}.*", quote(schema)),
        _ => qualified(schema, table),
    }
}

async fn rights(
    held: &mut PooledConnection,
    report: &MysqlPreflight,
    schema: &str,
    table: &str,
) -> Result<Vec<Right>, EngineError> {
    let who = report.grantee.as_str();
    let args = [who, who, schema, who, schema, table, who, schema, table];
    let args = args.map(|text| BindValue::Text(text.to_owned()));
    let rows = held.session().rows(RIGHTS, args.into()).await?;
    let right = |row: &Cells| {
        Ok(Right {
            level: row.text(0)?,
            word: row.text(1)?,
            column: row.text(2)?,
        })
    };
    rows.iter().map(right).collect()
}
