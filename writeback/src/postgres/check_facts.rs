//! Reads the server's facts about a transaction in one statement on the system catalogs: the stamp of both
//! tables, settings, accounts, cursors, locks, triggers that could run later, and row counts.
//!
//! Foreign code cannot answer any part of it: every function, operator and type is qualified with the
//! server's schema, and this program does the comparison. The check before the first write and the last check
//! before COMMIT use the same statement.

use std::collections::{BTreeMap, BTreeSet};

use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::dialect::Statement;
use synapsor_engine::postgres::session::STATEMENT_SETTINGS;
use synapsor_source::{EngineError, EngineErrorKind};

use super::stamp::{Covered, Stamp};

/// Settings of a write transaction besides those of every statement: its durability, isolation, duration, and the
/// counts that it compares.
const TRANSACTION_SETTINGS: [&str; 5] = [
    "transaction_timeout",
    "synchronous_commit",
    "transaction_isolation",
    "transaction_deferrable",
    "track_counts",
];

/// The setting under which triggers run as usual.
pub(super) const REPLICATION_ROLE: (&str, &str) = ("session_replication_role", "origin");

/// Lock modes that neither a read nor a row lock takes.
const WRITING: [&str; 6] = [
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

/// Settings and accounts by name.
pub(super) type Settings = BTreeMap<String, String>;

/// A lock that this transaction holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldLock {
    /// Kind of the locked object: `relation`, `advisory`, `object` and so on.
    pub(super) kind: String,
    /// The relation's OID, if it belongs to this database.
    pub(super) relation: Option<u32>,
    pub(super) name: String,
    pub(super) mode: String,
}

impl HeldLock {
    /// Whether this is a write lock on anything but its own transaction and the allowed relations, or a
    /// stronger lock than a change of rows takes.
    pub(super) fn is_writing_elsewhere(&self, is_allowed: impl Fn(u32) -> bool) -> bool {
        WRITING.contains(&self.mode.as_str())
            && match self.kind.as_str() {
                "transactionid" | "virtualxid" => false,
                "relation" => self.mode != "RowExclusiveLock" || !self.relation.is_some_and(is_allowed),
                _ => true,
            }
    }
}

/// Rows inserted, updated and deleted in one table.
pub(super) type RowCounts = [i64; 3];

/// Everything that the checks read in one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckFacts {
    pub(super) stamp: Stamp,
    pub(super) settings: Settings,
    /// Cursors except that of the statement itself, which has no name.
    pub(super) cursors: Vec<String>,
    pub(super) locks: Vec<HeldLock>,
    /// Deferrable triggers on the watched tables, except the server's own.
    pub(super) deferrable: Vec<String>,
    /// By the table's OID; includes earlier transactions of the session.
    pub(super) counts: BTreeMap<u32, RowCounts>,
    /// Reasons why the account is above every check: attributes of its role, and tables that it owns.
    pub(super) powers: Vec<String>,
    /// Whether the account can read `xmin` and `ctid` of the target.
    pub(super) may_read_version: bool,
    pub(super) process_id: i32,
    pub(super) transaction_id: Option<u64>,
}

/// Returns settings and accounts in one row; for a message without parameters.
pub(super) fn settings_statement() -> String {
    let settings = || STATEMENT_SETTINGS.iter().chain(&TRANSACTION_SETTINGS);
    let names: Vec<String> = settings().map(|name| format!("'{name}'")).collect();
    let values: Vec<String> = settings()
        .map(|name| format!("pg_catalog.current_setting('{name}', true)"))
        .collect();
    let (names, values) = (names.join(", "), values.join(", "));
    format!(
        "SELECT 'settings', pg_catalog.json_object(\
           ARRAY[{names}, 'session_user', 'current_user']::pg_catalog.text[], \
           ARRAY[{values}, SESSION_USER::pg_catalog.text, CURRENT_USER::pg_catalog.text]::pg_catalog.text[]\
         )::pg_catalog.text, NULL, NULL, NULL"
    )
}

/// Returns the settings among rows; empty if they are unreadable, which equals no real settings.
pub(super) fn settings_of(rows: &[impl AsRef<[Option<String>]>]) -> Settings {
    let mut rows = rows.iter().map(AsRef::as_ref);
    let found = rows.find(|row| text(row, 0) == "settings");
    let settings: Option<BTreeMap<String, Option<String>>> =
        found.and_then(|row| serde_json::from_str(text(row, 1)).ok());
    let settings = settings.into_iter().flatten();
    settings
        .map(|(name, value)| (name, value.unwrap_or_default()))
        .collect()
}

/// Returns the names of settings that differ, in their order.
pub(super) fn changed<'a>(before: &'a Settings, after: &'a Settings) -> Vec<&'a str> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(String::as_str)
        .collect()
}

/// Reads all facts about the tables that a stamp covers and about `watched` tables besides them. Reads locks
/// only where they affect the result: the server lists those of all its sessions.
pub(super) async fn read(
    lease: &mut PgPooledConnection,
    covered: &Covered,
    watched: &[u32],
    has_locks: bool,
) -> Result<CheckFacts, EngineError> {
    facts(&lease.fetch(select(covered, watched, has_locks)).await?)
}

/// Columns of [`select`].
pub(super) const FACT_COLUMNS: usize = 5;

/// Returns the statement of [`read`].
pub(super) fn select(covered: &Covered, watched: &[u32], has_locks: bool) -> Statement {
    let mut parameters = covered.parameters();
    let watched: Vec<String> = [covered.target, covered.receipts]
        .iter()
        .chain(watched)
        .map(ToString::to_string)
        .collect();
    parameters.push(Some(format!("{{{}}}", watched.join(","))));
    Statement {
        sql: sql(covered, has_locks),
        parameters,
    }
}

/// The server's own deferrable check `g` of a key runs foreign code if it compares through a cast of the
/// key's type.
const KEY_WITH_CAST: &str = "SELECT FROM pg_catalog.pg_constraint k \
    JOIN pg_catalog.pg_attribute a \
      ON (a.attrelid OPERATOR(pg_catalog.=) k.conrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (k.conkey)) \
        OR (a.attrelid OPERATOR(pg_catalog.=) k.confrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (k.confkey)) \
    JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) a.atttypid \
    WHERE k.oid OPERATOR(pg_catalog.=) g.tgconstraint \
      AND (y.typbasetype OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
        OR EXISTS (SELECT FROM pg_catalog.pg_cast s \
          WHERE s.castsource OPERATOR(pg_catalog.=) ANY (ARRAY[y.oid, y.typelem]) \
            AND s.castfunc OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))";
/// The server's own deferrable check `g` of an index runs the code that its expressions call. The catalogs
/// record no dependency on built-in objects, which have smaller OIDs.
const FOREIGN_EXPRESSION: &str = "SELECT FROM pg_catalog.pg_depend d \
    WHERE d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid \
      AND d.objid OPERATOR(pg_catalog.=) g.tgconstrindid \
      AND d.refobjid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid \
      AND d.refclassid OPERATOR(pg_catalog.=) ANY (ARRAY[1247, 1255, 2617]::pg_catalog.oid[])";

const LOCKS: &str = "UNION ALL SELECT 'lock', l.locktype, l.mode, \
    CASE WHEN l.database OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN l.relation::pg_catalog.text END, \
    (SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) l.relation) \
    FROM pg_catalog.pg_locks l WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
      AND l.mode OPERATOR(pg_catalog.<>) 'AccessShareLock'::pg_catalog.text";

/// `OFFSET 0` keeps a lookup by OID a lookup: the generic plan would read a whole catalog for a list of unknown length.
fn sql(covered: &Covered, has_locks: bool) -> String {
    const WATCHED: &str = "$7::pg_catalog.text::pg_catalog.oid[]";
    format!(
        "SELECT 'stamp', s.version, NULL, NULL, NULL FROM ({stamp}) s(version) \
         UNION ALL {settings} \
         UNION ALL SELECT 'process', pg_catalog.pg_backend_pid()::pg_catalog.text, \
           pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, NULL, NULL \
         UNION ALL SELECT 'cursor', c.name, NULL, NULL, NULL FROM pg_catalog.pg_cursors c \
           WHERE c.is_holdable OR c.name OPERATOR(pg_catalog.<>) ''::pg_catalog.text \
         {locks} \
         UNION ALL SELECT 'deferrable', g.tgname::pg_catalog.text, NULL, NULL, NULL FROM pg_catalog.pg_trigger g \
           JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid \
           WHERE g.tgrelid OPERATOR(pg_catalog.=) ANY ({WATCHED}) AND g.tgdeferrable \
             AND NOT (p.prolang OPERATOR(pg_catalog.=) 12::pg_catalog.oid \
               AND p.pronamespace OPERATOR(pg_catalog.=) 11::pg_catalog.oid \
               AND ((pg_catalog.starts_with(p.proname::pg_catalog.text, 'RI_FKey_'::pg_catalog.text) \
                   AND NOT EXISTS ({KEY_WITH_CAST})) \
                 OR (p.proname OPERATOR(pg_catalog.=) 'unique_key_recheck'::pg_catalog.name \
                   AND NOT EXISTS ({FOREIGN_EXPRESSION})))) \
         UNION ALL SELECT 'count', w.oid::pg_catalog.text, \
           pg_catalog.pg_stat_get_xact_tuples_inserted(w.oid)::pg_catalog.text, \
           pg_catalog.pg_stat_get_xact_tuples_updated(w.oid)::pg_catalog.text, \
           pg_catalog.pg_stat_get_xact_tuples_deleted(w.oid)::pg_catalog.text \
           FROM pg_catalog.unnest({WATCHED}) w(oid) \
         UNION ALL SELECT 'power', CASE WHEN r.rolsuper THEN 'is a superuser' ELSE 'bypasses row security' END, \
           NULL, NULL, NULL FROM pg_catalog.pg_roles r \
           WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER AND (r.rolsuper OR r.rolbypassrls) \
         UNION ALL SELECT 'power', pg_catalog.concat('owns ', c.relname), NULL, NULL, NULL \
           FROM pg_catalog.unnest({WATCHED}) w(oid), LATERAL (SELECT x.relname, x.relowner \
             FROM pg_catalog.pg_class x WHERE x.oid OPERATOR(pg_catalog.=) w.oid OFFSET 0) c \
           WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE'::pg_catalog.text) \
         UNION ALL SELECT 'version', NULL, NULL, NULL, NULL FROM pg_catalog.pg_class c \
           WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.oid \
             AND pg_catalog.has_column_privilege(c.oid, 'xmin'::pg_catalog.text, 'SELECT'::pg_catalog.text) \
             AND pg_catalog.has_column_privilege(c.oid, 'ctid'::pg_catalog.text, 'SELECT'::pg_catalog.text)",
        stamp = covered.sql(),
        locks = if has_locks { LOCKS } else { "" },
        settings = settings_statement(),
    )
}

/// Converts the rows of [`select`].
pub(super) fn facts(rows: &[impl AsRef<[Option<String>]>]) -> Result<CheckFacts, EngineError> {
    let unreadable = || EngineError::new(EngineErrorKind::Unreadable, "the facts of a transaction");
    let tagged = |tag: &'static str| {
        let rows = rows.iter().map(AsRef::as_ref);
        rows.filter(move |row: &&[Option<String>]| text(row, 0) == tag)
    };
    let number = |row: &[Option<String>], at: usize| text(row, at).parse::<i64>().map_err(|_| unreadable());
    let mut counts = BTreeMap::new();
    for row in tagged("count") {
        let oid = text(row, 1).parse().map_err(|_| unreadable())?;
        counts.insert(oid, [number(row, 2)?, number(row, 3)?, number(row, 4)?]);
    }
    let process = tagged("process").next().ok_or_else(unreadable)?;
    Ok(CheckFacts {
        stamp: Stamp::of(tagged("stamp").map(|row| text(row, 1).to_owned())),
        settings: settings_of(rows),
        cursors: tagged("cursor").map(|row| text(row, 1).to_owned()).collect(),
        locks: tagged("lock").map(held_lock).collect(),
        deferrable: tagged("deferrable").map(|row| text(row, 1).to_owned()).collect(),
        counts,
        powers: tagged("power").map(|row| text(row, 1).to_owned()).collect(),
        may_read_version: tagged("version").next().is_some(),
        process_id: text(process, 1).parse().map_err(|_| unreadable())?,
        transaction_id: text(process, 2).parse().ok(),
    })
}

fn held_lock(row: &[Option<String>]) -> HeldLock {
    HeldLock {
        kind: text(row, 1).to_owned(),
        mode: text(row, 2).to_owned(),
        relation: text(row, 3).parse().ok(),
        name: text(row, 4).to_owned(),
    }
}

fn text(row: &[Option<String>], at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}
