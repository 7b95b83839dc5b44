//! Edits of single stored values by SQL. The triggers are removed for the edit and restored exactly, so that only
//! the edit itself can be detected.

use std::path::Path;

use anyhow::bail;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::judge::RECORDS;
use crate::proofs::SeededRng;

/// Event tables are chosen this many times as often as view tables.
const TRUTH_WEIGHT: usize = 3;
const TRUTH: usize = 3;
/// Some random values cannot be stored in the chosen column.
const TRIES_MAX: usize = 1_000;

/// Opens a store as an attacker: no triggers, no foreign keys, no checks.
pub(super) fn attack(
    path: &Path,
    work: impl FnOnce(&Connection) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let store = Connection::open(path)?;
    store.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; \
         BEGIN IMMEDIATE",
    )?;
    let triggers: Vec<(String, String)> = store
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (name, _) in &triggers {
        store.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    let what = work(&store)?;
    for (_, sql) in &triggers {
        store.execute_batch(sql)?;
    }
    store.execute_batch("COMMIT")?;
    store.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    store.close().map_err(|(_, error)| error)?;
    Ok(what)
}

/// Changes one random value; returns its description.
pub(super) fn edit_one_value(store: &Connection, dice: &mut SeededRng) -> anyhow::Result<String> {
    for _ in 0..TRIES_MAX {
        let place = dice.below(TRUTH * TRUTH_WEIGHT + RECORDS.len() - TRUTH);
        let table = RECORDS[if place < TRUTH * TRUTH_WEIGHT {
            place / TRUTH_WEIGHT
        } else {
            place - TRUTH * (TRUTH_WEIGHT - 1)
        }];
        if let Some(what) = try_table(store, table, dice)? {
            return Ok(what);
        }
    }
    bail!("no value could be edited")
}

fn try_table(store: &Connection, table: &str, dice: &mut SeededRng) -> anyhow::Result<Option<String>> {
    let columns: Vec<(String, bool)> = store
        .prepare("SELECT name, pk > 0 FROM pragma_table_info(?1) ORDER BY cid")?
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let Some(row) = random_row(store, table, &columns, dice)? else {
        return Ok(None);
    };
    let at = dice.below(columns.len());
    let new = changed(&row[at], dice);
    if new == row[at] {
        return Ok(None);
    }
    let keys = columns.iter().zip(&row).filter(|((_, is_key), _)| *is_key);
    let condition: Vec<String> = keys
        .clone()
        .enumerate()
        .map(|(i, ((name, _), _))| format!("{name} = ?{}", i + 2))
        .collect();
    let column = &columns[at].0;
    let sql = format!(
        "UPDATE {table} SET {column} = ?1 WHERE {}",
        condition.join(" AND ")
    );
    let parameters = std::iter::once(&new).chain(keys.map(|(_, value)| value));
    // A value that the table rejects (another type, a duplicate) is not an edit.
    match store.execute(&sql, params_from_iter(parameters)) {
        Ok(1) => Ok(Some(format!(
            "{table}.{column}: {} -> {}",
            short(&row[at]),
            short(&new)
        ))),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn random_row(
    store: &Connection,
    table: &str,
    columns: &[(String, bool)],
    dice: &mut SeededRng,
) -> anyhow::Result<Option<Vec<Value>>> {
    let rows: i64 = store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    let rows = usize::try_from(rows)?;
    if rows == 0 {
        return Ok(None);
    }
    let sql = format!("SELECT * FROM {table} LIMIT 1 OFFSET {}", dice.below(rows));
    let read = |row: &rusqlite::Row<'_>| {
        (0..columns.len())
            .map(|i| row.get(i))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(Some(store.query_row(&sql, [], read)?))
}

fn changed(value: &Value, dice: &mut SeededRng) -> Value {
    match value {
        Value::Null => dice
            .pick(&[Value::Integer(1), Value::Text("x".to_owned())])
            .clone(),
        Value::Integer(number) => dice
            .pick(&[number + 1, number - 1, number + 1_000_000, 1 - number])
            .to_owned()
            .into(),
        Value::Real(number) => Value::Real(number + 1.0),
        Value::Text(text) => {
            String::from_utf8(changed_bytes(text.as_bytes(), dice, 0x01)).map_or(Value::Null, Value::Text)
        }
        Value::Blob(bytes) => {
            let bit = 1 << dice.below(8);
            Value::Blob(changed_bytes(bytes, dice, bit))
        }
    }
}

/// Flips bits of one byte, removes the last byte, or appends one.
fn changed_bytes(bytes: &[u8], dice: &mut SeededRng, bit: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match dice.below(8) {
        0 => bytes.push(b'0'),
        1 => {
            bytes.pop();
        }
        _ if bytes.is_empty() => bytes.push(b'0'),
        _ => {
            let at = dice.below(bytes.len());
            bytes[at] ^= bit;
        }
    }
    bytes
}

fn short(value: &Value) -> String {
    let text = format!("{value:?}");
    if text.len() > 120 {
        format!(
            "{}… ({} characters)",
            text.chars().take(80).collect::<String>(),
            text.len()
        )
    } else {
        text
    }
}
