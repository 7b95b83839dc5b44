//! The two checks of a transaction on a file: before the first write, and after the receipt. The lock on the
//! whole file is held since BEGIN, so no other process changes a definition meanwhile, and SQLite runs no
//! code inside COMMIT.

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use synapsor_domain::foreign_code::Acknowledged;

use synapsor_engine::sqlite::dialect::SCHEMA;
use synapsor_engine::sqlite::error_map::map_driver_error;
use synapsor_engine::sqlite::{inspect, read, receipts};
use synapsor_source::{EngineError, RowPlan, StoredReceipt};

use super::write::SqliteTxConn;
use crate::transaction::Rows;
use crate::violation::{CheckError, RECEIPT_DIFFERS, Violation, ViolationKind};

/// Settings of the connection with their required values. No code in a file can change one; they are compared
/// anyway.
const SETTINGS: [(&str, &str); 10] = [
    ("foreign_keys", "1"),
    ("recursive_triggers", "0"),
    ("synchronous", "2"),
    ("fullfsync", "1"),
    ("checkpoint_fullfsync", "1"),
    ("defer_foreign_keys", "0"),
    ("ignore_check_constraints", "0"),
    ("query_only", "0"),
    ("read_uncommitted", "0"),
    ("trusted_schema", "0"),
];
/// Journal modes that can roll an interrupted transaction back.
const JOURNALS: [&str; 4] = ["delete", "truncate", "persist", "wal"];
const SWITCHES: [(DbConfig, bool, &str); 5] = [
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true, "defensive"),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true, "enable_trigger"),
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false, "dqs_dml"),
    (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false, "dqs_ddl"),
    (
        DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA,
        false,
        "writable_schema",
    ),
];

/// Rows of the schema table about target and receipt table: type, name, page and text.
pub(super) type Definitions = Vec<(String, String, i64, Option<String>)>;

/// Runs the check before the first write. Rejects unchecked objects: a receipt table other than the
/// migration's, other code on the target, tables that no code may write, other settings. Afterwards the
/// declared tables may be written.
pub(super) fn first(
    session: &mut SqliteTxConn,
    plan: &RowPlan,
    allowed: &Acknowledged,
) -> Result<(), CheckError> {
    let connection = &session.connection;
    receipt_table(session)?;
    let shape = inspect::shape(connection, &plan.schema, &plan.table)?;
    let number = inspect::row_number_name(&shape);
    if let Some(number) = number
        && read::rows(connection, plan)? != read::rows_by_number(connection, plan, number)?
    {
        let text = format!(
            "an index of the table `{}` does not agree with the table; run `PRAGMA integrity_check`, then REINDEX",
            plan.table
        );
        return Err(violation(ViolationKind::ReadBack, text));
    }
    if shape.foreign_code != allowed.code() {
        let text = format!(
            "the code of the table `{}` differs from the checked code; run `writeback doctor --check-db`",
            plan.table
        );
        return Err(violation(ViolationKind::ForeignCode, text));
    }
    for (table, _) in allowed.writes() {
        check_declared(session, table)?;
    }
    let definitions = definitions(connection, &plan.table, &session.receipt_table)?;
    session.definitions = Some(definitions);
    session.row_number = number;
    session.changes().allow(allowed);
    Ok(())
}

/// Checks settings and receipt table.
pub(super) fn receipt_table(session: &SqliteTxConn) -> Result<(), CheckError> {
    check_settings(&session.connection)?;
    if receipts::has_shared_pages(&session.connection)? {
        let text = "two tables or indexes of the file share a page; run `PRAGMA integrity_check` and restore a backup";
        return Err(violation(ViolationKind::TargetChanged, text));
    }
    match receipts::problems(&session.connection, &session.receipt_table)?.first() {
        // The doctor prints the statements that create a valid one.
        Some(problem) => {
            let text = format!(
                "{}; `writeback doctor --check-db` prints the statements that fix it",
                problem.text
            );
            Err(violation(ViolationKind::ReceiptTable, text))
        }
        None => Ok(()),
    }
}

/// Runs the check after the receipt: only the row, the receipt and the declared rows changed, and the receipt
/// reads back. Returns the rows of the plan as they will be committed; without a plan only the receipt
/// changed.
pub(super) fn last(
    session: &mut SqliteTxConn,
    plan: Option<&RowPlan>,
    receipt: &StoredReceipt,
) -> Result<Rows, CheckError> {
    let connection = &session.connection;
    receipt_table(session)?;
    if let Some(plan) = plan {
        let now = definitions(connection, &plan.table, &session.receipt_table)?;
        if session.definitions.as_ref() != Some(&now) {
            let text = "a definition of target or receipt table changed since the first check; submit a new proposal";
            return Err(violation(ViolationKind::TargetChanged, text));
        }
    }
    if let Some(line) = session.side_effects().first() {
        return Err(violation(ViolationKind::RowsElsewhere, line));
    }
    let found = read::receipts(connection, &session.receipt_table, &receipt.proposal_id, &[])?;
    let stored = found.of_key(&receipt.proposal_id);
    if stored.as_ref() != Some(receipt) {
        return Err(violation(ViolationKind::ReadBack, RECEIPT_DIFFERS));
    }
    session.files.check_in_place(&session.file)?;
    Ok(match (plan, session.row_number) {
        (Some(plan), Some(number)) => read::rows_by_number(connection, plan, number)?,
        (Some(plan), None) => read::rows(connection, plan)?,
        (None, _) => Rows::new(),
    })
}

fn violation(kind: ViolationKind, detail: impl Into<String>) -> CheckError {
    Violation::new(kind, detail).into()
}

/// Requires a declared table to be an ordinary one whose changes SQLite reports, and not one of the
/// protocol's own.
fn check_declared(session: &SqliteTxConn, declared: &str) -> Result<(), CheckError> {
    let wrong = |why: &str| {
        let text = format!("`{declared}` of `side_effects_ack` {why}");
        Err(violation(ViolationKind::ForeignCode, text))
    };
    let Some((SCHEMA, table)) = declared.split_once('.') else {
        return wrong("is not in an SQLite schema; name it `main.table`");
    };
    if table.eq_ignore_ascii_case(&session.receipt_table) || table.eq_ignore_ascii_case(read::IDENTITY_TABLE)
    {
        return wrong("belongs to the protocol and cannot be declared");
    }
    match inspect::kind(&session.connection, table)? {
        Some(kind) if kind.is_reported => Ok(()),
        Some(_) => wrong("has no row numbers, and SQLite does not report changes there"),
        None => wrong("does not exist"),
    }
}

fn check_settings(connection: &Connection) -> Result<(), CheckError> {
    let changed = |name: &str| {
        let text = format!("the setting `{name}` does not have the value that the protocol requires");
        Err(violation(ViolationKind::SettingChanged, text))
    };
    for (name, value) in SETTINGS {
        if setting(connection, name)? != value {
            return changed(name);
        }
    }
    if !JOURNALS.contains(&setting(connection, "journal_mode")?.as_str()) {
        return changed("journal_mode");
    }
    for (switch, value, name) in SWITCHES {
        if connection.db_config(switch).map_err(map_driver_error)? != value {
            return changed(name);
        }
    }
    Ok(())
}

fn setting(connection: &Connection, name: &str) -> Result<String, EngineError> {
    connection
        .query_row(&format!("PRAGMA {name}"), [], |row| {
            let value: rusqlite::types::Value = row.get(0)?;
            Ok(match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text.to_ascii_lowercase(),
                _ => String::new(),
            })
        })
        .map_err(map_driver_error)
}

fn definitions(connection: &Connection, target: &str, receipts: &str) -> Result<Definitions, EngineError> {
    let sql = "SELECT type, name, rootpage, sql FROM main.sqlite_schema \
               WHERE tbl_name = ?1 COLLATE NOCASE OR tbl_name = ?2 COLLATE NOCASE ORDER BY type, name";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_map([target, receipts], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?
                .collect()
        })
        .map_err(map_driver_error)
}

#[cfg(test)]
mod tests;
