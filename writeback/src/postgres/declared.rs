//! Tables that acknowledged code may write, and the relations that such a write locks.

use std::collections::BTreeSet;

use synapsor_domain::foreign_code::Acknowledged;

use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::dialect::Statement;
use synapsor_source::EngineError;

/// Returns one row per relation: the table's OID and kind, and a relation that a write of its rows locks: the
/// table, its TOAST table, the indexes of both, and the sequences of its columns.
const STATEMENT: &str = "WITH named(oid, kind, toast) AS (
    SELECT c.oid, c.relkind, c.reltoastrelid FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
      WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.text AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.text)
  SELECT t.oid::pg_catalog.text, t.kind::pg_catalog.text, l.oid::pg_catalog.text FROM named t,
    LATERAL (SELECT t.oid UNION ALL SELECT t.toast UNION ALL
      SELECT i.indexrelid FROM pg_catalog.pg_index i
        WHERE i.indrelid OPERATOR(pg_catalog.=) t.oid OR i.indrelid OPERATOR(pg_catalog.=) t.toast
      UNION ALL SELECT d.objid FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_class s ON s.oid OPERATOR(pg_catalog.=) d.objid
        WHERE d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid AND d.refobjid OPERATOR(pg_catalog.=) t.oid
          AND d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND s.relkind OPERATOR(pg_catalog.=) 'S'::pg_catalog.\"char\") l(oid)";

/// A table that acknowledged code may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// `schema.table`.
    pub(super) name: String,
    pub(super) oid: u32,
    /// The server's letter; only an ordinary table can be declared.
    pub(super) kind: String,
    pub(super) rows_max: u32,
    pub(super) lockable: BTreeSet<u32>,
}

/// Returns the declared tables that exist; a missing table cannot be written either.
pub(super) async fn read(
    lease: &mut PgPooledConnection,
    allowed: &Acknowledged,
) -> Result<Vec<Declared>, EngineError> {
    let mut found = Vec::new();
    for (name, rows_max) in allowed.writes() {
        let Some((schema, table)) = name.split_once('.') else {
            continue;
        };
        let statement = Statement {
            sql: STATEMENT.to_owned(),
            parameters: vec![Some(schema.to_owned()), Some(table.to_owned())],
        };
        let rows = lease.fetch(statement).await?;
        let number = |row: &[Option<String>], at: usize| row.get(at).and_then(Option::as_deref)?.parse().ok();
        let Some(first) = rows.first() else { continue };
        found.push(Declared {
            name: name.to_owned(),
            oid: number(first, 0).unwrap_or_default(),
            kind: first.get(1).cloned().flatten().unwrap_or_default(),
            rows_max,
            lockable: rows.iter().filter_map(|row| number(row, 2)).collect(),
        });
    }
    Ok(found)
}
