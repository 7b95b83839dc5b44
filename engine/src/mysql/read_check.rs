//! Checks whether a reader's account can read the columns of a target: a statement that no row meets names
//! each of them. The catalog hides the columns that an account cannot read, and ignores its roles.

use super::MysqlEngine;
use super::check::MysqlPreflight;
use super::column::ColumnType;
use super::dialect::{qualified, quote};
use super::inspect::Described;
use synapsor_codes::ErrorCode;
use synapsor_domain::schema::TableColumn;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::{Finding, PreflightTarget};

pub async fn check(engine: &MysqlEngine, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError> {
    let mut held = engine.take().await?;
    let current = held.session().rows("SELECT CURRENT_USER()", Vec::new()).await;
    let current = engine.finish(held, current)?;
    let first = current
        .first()
        .ok_or_else(|| EngineError::new(EngineErrorKind::Unavailable, "no answer"))?;
    let mut report = MysqlPreflight::of(&first.text(0)?);
    let mut held = engine.take().await?;
    let found = engine
        .shapes
        .fresh(held.session(), &target.schema, &target.table)
        .await;
    let described = match engine.finish(held, found) {
        Ok(described) => Some(described),
        Err(error) if error.kind == EngineErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (unreadable, target) = without_unreadable(target, described.as_deref());
    let all = tried(engine, &target, &target.reads).await?;
    if all != ColumnAccess::Fine {
        one_by_one(engine, &mut report, &target, described.as_deref()).await?;
    }
    for column in unreadable {
        let text = format!(
            "values of the column `{}` of `{}` cannot be read exactly: it is declared `{}`",
            column.name, target.table, column.declared_type
        );
        let fix = "remove the column from the contract's capabilities".to_owned();
        report.add(
            FindingSeverity::Error,
            ErrorCode::ValueUnreadable,
            text,
            Some(fix),
        );
    }
    Ok(report.findings)
}

/// Splits off the columns whose types cannot be read; the driver would fail on a statement that names one.
fn without_unreadable(
    target: &PreflightTarget,
    described: Option<&Described>,
) -> (Vec<TableColumn>, PreflightTarget) {
    let column = |name: &String| described.and_then(|described| described.shape.column(name));
    let is_readable = |name: &&String| column(name).is_none_or(|column| ColumnType::of(column).is_readable());
    let (readable, others): (Vec<&String>, Vec<&String>) = target.reads.iter().partition(is_readable);
    let readable = PreflightTarget {
        reads: readable.into_iter().cloned().collect(),
        ..target.clone()
    };
    (others.into_iter().filter_map(column).cloned().collect(), readable)
}

/// Result of a statement that names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnAccess {
    Fine,
    Absent,
    Denied,
}

async fn tried(
    engine: &MysqlEngine,
    target: &PreflightTarget,
    columns: &[String],
) -> Result<ColumnAccess, EngineError> {
    let list: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    let table = qualified(&target.schema, &target.table);
    let sql = format!("SELECT {} FROM {table} WHERE FALSE", list.join(", "));
    let mut held = engine.take().await?;
    let answer = held.session().rows(&sql, Vec::new()).await;
    match engine.finish(held, answer) {
        Ok(_) => Ok(ColumnAccess::Fine),
        Err(error) if error.kind == EngineErrorKind::Denied => Ok(ColumnAccess::Denied),
        Err(error) if error.kind == EngineErrorKind::NotFound => Ok(ColumnAccess::Absent),
        Err(error) => Err(error),
    }
}

async fn one_by_one(
    engine: &MysqlEngine,
    report: &mut MysqlPreflight,
    target: &PreflightTarget,
    described: Option<&Described>,
) -> Result<(), EngineError> {
    let (mut denied, mut absent) = (Vec::new(), Vec::new());
    for column in &target.reads {
        match tried(engine, target, std::slice::from_ref(column)).await? {
            ColumnAccess::Fine => {}
            ColumnAccess::Absent => absent.push(column),
            ColumnAccess::Denied => denied.push(quote(column)),
        }
    }
    if described.is_none() && absent.len() == target.reads.len() {
        let text = format!("there is no table `{}.{}`", target.schema, target.table);
        report.add(FindingSeverity::Error, ErrorCode::TableMissing, text, None);
        return Ok(());
    }
    for column in absent {
        let text = format!("the table `{}` has no column `{column}`", target.table);
        report.add(FindingSeverity::Error, ErrorCode::ColumnMissing, text, None);
    }
    if !denied.is_empty() {
        let list = denied.join(", ");
        // The server does not reveal to an account without rights whether a table exists.
        let doubt = if described.is_none() {
            ", if there is such a table"
        } else {
            ""
        };
        let text = format!("the account lacks SELECT on {list} of `{}`{doubt}", target.table);
        report.missing(
            text,
            &format!("SELECT ({list})"),
            &qualified(&target.schema, &target.table),
        );
    }
    Ok(())
}
