//! Reads the facts about the receipt table from the system catalogs in one statement.

use serde::Deserialize;

use crate::postgres::connect::PgPooledConnection;
use crate::postgres::dialect::Statement;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Returns one JSON text, or no row. Every name is qualified with the server's own schema, so the search path
/// has no effect.
const STATEMENT: &str = r"SELECT pg_catalog.json_build_object(
  'oid', c.oid::pg_catalog.int8, 'kind', c.relkind, 'persistence', c.relpersistence,
  'access_method', (SELECT m.amname FROM pg_catalog.pg_am m WHERE m.oid OPERATOR(pg_catalog.=) c.relam),
  'is_partition', c.relispartition, 'row_security', c.relrowsecurity, 'is_forced', c.relforcerowsecurity,
  'parents', ARRAY(SELECT i.inhparent::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_inherits i
    WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid),
  'children', ARRAY(SELECT i.inhrelid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_inherits i
    WHERE i.inhparent OPERATOR(pg_catalog.=) c.oid),
  'rules', ARRAY(SELECT w.rulename FROM pg_catalog.pg_rewrite w WHERE w.ev_class OPERATOR(pg_catalog.=) c.oid),
  'policies', ARRAY(SELECT p.polname FROM pg_catalog.pg_policy p WHERE p.polrelid OPERATOR(pg_catalog.=) c.oid),
  'statistics', ARRAY(SELECT pg_catalog.format('%I.%I', s.nspname, x.stxname)
    FROM pg_catalog.pg_statistic_ext x JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) x.stxnamespace
    WHERE x.stxrelid OPERATOR(pg_catalog.=) c.oid
      AND (pg_catalog.to_jsonb(x) OPERATOR(pg_catalog.->>) 'stxexprs') IS NOT NULL ORDER BY 1),
  'triggers', ARRAY(SELECT pg_catalog.json_build_object('name', g.tgname, 'constraint',
      (SELECT pg_catalog.json_build_object('name', k.conname,
          'table', k.conrelid::pg_catalog.regclass::pg_catalog.text) FROM pg_catalog.pg_constraint k
        WHERE k.oid OPERATOR(pg_catalog.=) g.tgconstraint AND g.tgisinternal))
    FROM pg_catalog.pg_trigger g WHERE g.tgrelid OPERATOR(pg_catalog.=) c.oid),
  'columns', ARRAY(SELECT pg_catalog.json_build_object('name', a.attname, 'type_oid', a.atttypid::pg_catalog.int8,
      'modifier', a.atttypmod, 'not_null', a.attnotnull, 'collation', a.attcollation::pg_catalog.int8,
      'generated', a.attgenerated, 'identity', a.attidentity, 'has_default', a.atthasdef
        OR EXISTS (SELECT FROM pg_catalog.pg_attrdef d WHERE d.adrelid OPERATOR(pg_catalog.=) c.oid
                   AND d.adnum OPERATOR(pg_catalog.=) a.attnum))
    FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
      AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped ORDER BY a.attnum),
  'constraints', ARRAY(SELECT pg_catalog.json_build_object('name', k.conname, 'kind', k.contype,
      'is_deferrable', k.condeferrable, 'is_validated', k.convalidated)
    FROM pg_catalog.pg_constraint k WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid),
  'indexes', ARRAY(SELECT pg_catalog.json_build_object('name', x.relname, 'is_primary', i.indisprimary,
      'is_unique', i.indisunique, 'is_valid', i.indisvalid, 'is_ready', i.indisready, 'is_live', i.indislive,
      'is_immediate', i.indimmediate, 'is_exclusion', i.indisexclusion, 'has_predicate', i.indpred IS NOT NULL,
      'has_expressions', i.indexprs IS NOT NULL, 'key_count', i.indnkeyatts, 'column_count', i.indnatts,
      'method', (SELECT m.amname FROM pg_catalog.pg_am m WHERE m.oid OPERATOR(pg_catalog.=) x.relam),
      'operator_classes', ARRAY(SELECT o::pg_catalog.int8 FROM pg_catalog.unnest(i.indclass::pg_catalog.oid[]) o),
      'collations', ARRAY(SELECT o::pg_catalog.int8 FROM pg_catalog.unnest(i.indcollation::pg_catalog.oid[]) o),
      'columns', ARRAY(SELECT a.attname FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY k(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
          AND a.attnum OPERATOR(pg_catalog.=) k.number ORDER BY k.place))
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
    WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid ORDER BY x.relname))::pg_catalog.text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.text AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.text";

/// A table as the statement describes it.
#[derive(Debug, Deserialize)]
pub(super) struct TableFacts {
    pub(super) oid: u32,
    pub(super) kind: String,
    pub(super) persistence: String,
    pub(super) access_method: Option<String>,
    pub(super) is_partition: bool,
    pub(super) row_security: bool,
    pub(super) is_forced: bool,
    pub(super) parents: Vec<String>,
    pub(super) children: Vec<String>,
    pub(super) rules: Vec<String>,
    pub(super) policies: Vec<String>,
    /// Extended statistics with expressions, which the server evaluates when it plans a statement; qualified and quoted.
    pub(super) statistics: Vec<String>,
    pub(super) triggers: Vec<TriggerFacts>,
    pub(super) columns: Vec<ColumnFacts>,
    pub(super) constraints: Vec<ConstraintFacts>,
    pub(super) indexes: Vec<IndexFacts>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TriggerFacts {
    pub(super) name: String,
    /// The constraint that an internal trigger serves.
    pub(super) constraint: Option<ConstraintName>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConstraintName {
    pub(super) name: String,
    pub(super) table: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ColumnFacts {
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) modifier: i32,
    pub(super) not_null: bool,
    pub(super) collation: u32,
    pub(super) generated: String,
    pub(super) identity: String,
    pub(super) has_default: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConstraintFacts {
    pub(super) name: String,
    /// The server's letter.
    pub(super) kind: String,
    pub(super) is_deferrable: bool,
    pub(super) is_validated: bool,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the server's catalog")]
pub(super) struct IndexFacts {
    pub(super) name: String,
    pub(super) is_primary: bool,
    pub(super) is_unique: bool,
    pub(super) is_valid: bool,
    pub(super) is_ready: bool,
    pub(super) is_live: bool,
    pub(super) is_immediate: bool,
    pub(super) is_exclusion: bool,
    pub(super) has_predicate: bool,
    pub(super) has_expressions: bool,
    pub(super) key_count: usize,
    /// Includes the INCLUDE columns.
    pub(super) column_count: usize,
    pub(super) method: String,
    pub(super) operator_classes: Vec<u32>,
    pub(super) collations: Vec<u32>,
    pub(super) columns: Vec<String>,
}

/// Finds the table of this name, of any kind.
pub(super) async fn read(
    lease: &mut PgPooledConnection,
    schema: &str,
    table: &str,
) -> Result<Option<TableFacts>, EngineError> {
    let statement = Statement {
        sql: STATEMENT.to_owned(),
        parameters: vec![Some(schema.to_owned()), Some(table.to_owned())],
    };
    let rows = lease.fetch(statement).await?;
    let Some(text) = rows
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next().flatten())
    else {
        return Ok(None);
    };
    serde_json::from_str(&text).map(Some).map_err(|_| {
        EngineError::new(
            EngineErrorKind::Unreadable,
            "the description of the receipt table",
        )
    })
}
