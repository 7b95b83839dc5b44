//! Detects the transaction's changes besides its row, for targets with code.

use std::collections::BTreeMap;

use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_source::{EngineError, RowPlan};

use super::checks::{RowsAllowed, is_within};

/// Maximum number of reported lines about other changes.
const COLLATERAL_LINES_MAX: usize = 16;
/// Rows inserted, updated and deleted in each table; the counts include earlier transactions of the session.
const COUNTS: &str = "SELECT 'count', s.relid::pg_catalog.text, s.schemaname::pg_catalog.text, \
    s.relname::pg_catalog.text, s.n_tup_ins::pg_catalog.text, s.n_tup_upd::pg_catalog.text, \
    s.n_tup_del::pg_catalog.text FROM pg_catalog.pg_stat_xact_user_tables s \
    WHERE (s.n_tup_ins OPERATOR(pg_catalog.+) s.n_tup_upd OPERATOR(pg_catalog.+) s.n_tup_del) \
      OPERATOR(pg_catalog.>) 0::bigint";
/// Locks that no row change takes: a truncated, altered or explicitly locked table is not counted above.
const STRONG_LOCKS: &str = "SELECT 'lock', (SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c \
      WHERE c.oid OPERATOR(pg_catalog.=) l.relation) FROM pg_catalog.pg_locks l \
    WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
      AND l.locktype OPERATOR(pg_catalog.=) 'relation'::pg_catalog.text AND l.mode OPERATOR(pg_catalog.<>) \
      ALL ('{AccessShareLock,RowShareLock,RowExclusiveLock}'::pg_catalog.text[])";

/// Rows changed in each table, by its OID.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<String, Counted>);

/// A table, and its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    schema: String,
    table: String,
    /// Inserted, updated, deleted.
    rows: [i64; 3],
}

/// Reads the current counts.
pub(super) async fn counts(lease: &mut PgPooledConnection) -> Result<Counts, EngineError> {
    Ok(counts_of(&lease.batch(COUNTS.to_owned()).await?))
}

/// Returns one line for each kind of change of each table besides the one row, unless the change is `allowed`.
pub(super) async fn read(
    lease: &mut PgPooledConnection,
    before: &Counts,
    (plan, matched): (&RowPlan, u64),
    allowed: &RowsAllowed,
) -> Result<Vec<String>, EngineError> {
    // A trigger may have deferred something again; it would otherwise run undetected at the COMMIT.
    let rows = lease
        .batch(format!("SET CONSTRAINTS ALL IMMEDIATE; {COUNTS}; {STRONG_LOCKS}"))
        .await?;
    let mut lines = changes(before, &counts_of(&rows), (plan, matched), allowed);
    for row in rows.iter().filter(|row| text(row, 0) == "lock") {
        lines.push(format!(
            "`{}` was truncated, altered or locked as a whole",
            text(row, 1)
        ));
    }
    lines.truncate(COLLATERAL_LINES_MAX);
    Ok(lines)
}

fn counts_of(rows: &[Vec<Option<String>>]) -> Counts {
    let counted = |row: &[Option<String>]| Counted {
        schema: text(row, 2).to_owned(),
        table: text(row, 3).to_owned(),
        rows: [4, 5, 6].map(|at| text(row, at).parse().unwrap_or(i64::MAX)),
    };
    let rows = rows.iter().filter(|row| text(row, 0) == "count");
    Counts(rows.map(|row| (text(row, 1).to_owned(), counted(row))).collect())
}

fn text(row: &[Option<String>], at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}

/// Returns the changes besides the one row, from the counts before and after.
fn changes(
    before: &Counts,
    after: &Counts,
    (plan, matched): (&RowPlan, u64),
    allowed: &RowsAllowed,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, counted) in &after.0 {
        let mut rows = counted.rows;
        if let Some(earlier) = before.0.get(id) {
            for (now, then) in rows.iter_mut().zip(earlier.rows) {
                *now -= then;
            }
        }
        if counted.schema == plan.schema && counted.table == plan.table {
            rows[1] -= i64::try_from(matched).unwrap_or(i64::MAX);
        }
        let rows_max = id.parse().ok().and_then(|id: u32| allowed.get(&id).copied());
        if is_within(rows, rows_max.unwrap_or(0)) {
            continue;
        }
        for (number, what) in rows
            .into_iter()
            .zip(["inserted into", "changed in", "deleted from"])
        {
            if number != 0 {
                lines.push(format!(
                    "{number} more rows were {what} `{}.{}`",
                    counted.schema, counted.table
                ));
            }
        }
    }
    lines
}
