//! The stamp: identity and version of every catalog row that defines target and receipt table.
//!
//! Every changed definition changes the stamp, even if it was changed back. A stamp validates the check
//! result of one server process, for minutes, in memory. It is never stored, signed or shared: after a crash,
//! a restore or a failover the same numbers can belong to other definitions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use synapsor_domain::foreign_code::ForeignCode;
use synapsor_domain::schema::TableSchema;

use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::dialect::Statement;
use synapsor_engine::postgres::foreign_code::Related;
use synapsor_engine::postgres::receipt_form::Difference;
use synapsor_engine::postgres::session::ServerFacts;
use synapsor_source::EngineError;

/// How long a checked stamp is valid.
const STAMP_AGE_MAX: Duration = Duration::from_secs(300);
/// Maximum number of cached check results.
const JUDGED_MAX: usize = 1_000;

/// Rows found by the OIDs of both tables: `(tag, catalog, column, further identity)`.
const OF_TABLE: [(&str, &str, &str, &str); 8] = [
    ("default", "pg_attrdef", "adrelid", "oid"),
    ("constraint", "pg_constraint", "conrelid", "oid"),
    ("trigger", "pg_trigger", "tgrelid", "oid"),
    ("rule", "pg_rewrite", "ev_class", "oid"),
    ("policy", "pg_policy", "polrelid", "oid"),
    ("statistics", "pg_statistic_ext", "stxrelid", "oid"),
    ("parent", "pg_inherits", "inhrelid", "inhparent"),
    ("child", "pg_inherits", "inhparent", "inhrelid"),
];
/// Rows found by lists of OIDs, with the parameter that holds the list.
const OF_LISTS: [(&str, &str, &str, u8); 8] = [
    ("namespace", "pg_namespace", "oid", 3),
    ("type", "pg_type", "oid", 4),
    ("check", "pg_constraint", "contypid", 4),
    ("label", "pg_enum", "enumtypid", 4),
    ("cast", "pg_cast", "castsource", 4),
    ("cast", "pg_cast", "casttarget", 4),
    ("operator", "pg_operator", "oid", 5),
    ("function", "pg_proc", "oid", 6),
];

/// Versions of catalog rows, compared as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<String>);

/// Objects that a stamp covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Covered {
    /// The OID of the target, or of no table.
    pub(super) target: u32,
    pub(super) receipts: u32,
    pub(super) related: Related,
}

impl Covered {
    /// Builds one text per row, in no particular order. An empty list has no part, because each part has a
    /// fixed cost even if it finds nothing.
    pub(super) fn sql(&self) -> String {
        let mut parts = of_tables();
        for (tag, catalog, column, parameter) in OF_LISTS {
            let is_empty = match parameter {
                3 => self.related.namespaces.is_empty(),
                4 => self.related.types.is_empty(),
                5 => self.related.operators.is_empty(),
                _ => self.related.functions.is_empty(),
            };
            if !is_empty {
                parts.push(of_list(tag, catalog, column, parameter));
            }
        }
        if !self.related.types.is_empty() {
            parts.push(of_attributes());
        }
        parts.join(" UNION ALL ")
    }

    pub(super) fn parameters(&self) -> Vec<Option<String>> {
        let list = |numbers: &[u32]| {
            let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            Some(format!("{{{}}}", texts.join(",")))
        };
        vec![
            Some(self.target.to_string()),
            Some(self.receipts.to_string()),
            list(&self.related.namespaces),
            list(&self.related.types),
            list(&self.related.operators),
            list(&self.related.functions),
        ]
    }

    /// Reads the current stamp.
    pub(super) async fn read(&self, lease: &mut PgPooledConnection) -> Result<Stamp, EngineError> {
        let statement = Statement {
            sql: self.sql(),
            parameters: self.parameters(),
        };
        let rows = lease.fetch(statement).await?;
        Ok(Stamp::of(
            rows.into_iter()
                .filter_map(|row| row.into_iter().next().flatten()),
        ))
    }
}

impl Stamp {
    pub(super) fn of(rows: impl Iterator<Item = String>) -> Self {
        let mut rows: Vec<String> = rows.collect();
        rows.sort_unstable();
        Self(rows)
    }
}

fn of_tables() -> Vec<String> {
    const EITHER: &str =
        "ANY (ARRAY[$1::pg_catalog.text::pg_catalog.oid, $2::pg_catalog.text::pg_catalog.oid])";
    let mut parts = vec![
        format!(
            "SELECT pg_catalog.concat_ws(' ', 'relation', x.oid, x.xmin, x.ctid) FROM pg_catalog.pg_class x \
             WHERE x.oid OPERATOR(pg_catalog.=) {EITHER}"
        ),
        format!(
            "SELECT pg_catalog.concat_ws(' ', 'columns', x.attrelid, pg_catalog.string_agg(pg_catalog.concat_ws(' ', \
             x.attnum, x.xmin, x.ctid), ',' ORDER BY x.attnum)) FROM pg_catalog.pg_attribute x \
             WHERE x.attrelid OPERATOR(pg_catalog.=) {EITHER} AND x.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 \
             GROUP BY x.attrelid"
        ),
        // `OFFSET 0` keeps the lookups separate: joined, the server reads both catalogs completely.
        "SELECT pg_catalog.concat_ws(' ', 'index', x.indexrelid, x.xmin, x.ctid, c.xmin, c.ctid) \
         FROM pg_catalog.unnest(ARRAY[$1::pg_catalog.text::pg_catalog.oid, $2::pg_catalog.text::pg_catalog.oid]) w(oid), \
         LATERAL (SELECT i.indexrelid, i.xmin, i.ctid FROM pg_catalog.pg_index i \
           WHERE i.indrelid OPERATOR(pg_catalog.=) w.oid OFFSET 0) x, \
         LATERAL (SELECT r.xmin, r.ctid FROM pg_catalog.pg_class r \
           WHERE r.oid OPERATOR(pg_catalog.=) x.indexrelid OFFSET 0) c"
            .to_owned(),
    ];
    parts.extend(OF_TABLE.map(|(tag, catalog, column, further)| {
        format!(
            "SELECT pg_catalog.concat_ws(' ', '{tag}', x.{further}, x.xmin, x.ctid) FROM pg_catalog.{catalog} x \
             WHERE x.{column} OPERATOR(pg_catalog.=) {EITHER}"
        )
    }));
    parts
}

fn of_list(tag: &str, catalog: &str, column: &str, parameter: u8) -> String {
    format!(
        "SELECT pg_catalog.concat_ws(' ', '{tag}', x.oid, x.xmin, x.ctid) FROM pg_catalog.{catalog} x \
         WHERE x.{column} OPERATOR(pg_catalog.=) ANY (${parameter}::pg_catalog.text::pg_catalog.oid[])"
    )
}

/// Attributes of user-defined types.
fn of_attributes() -> String {
    "SELECT pg_catalog.concat_ws(' ', 'attribute', x.attrelid, x.attnum, x.xmin, x.ctid) FROM pg_catalog.pg_type y \
     JOIN pg_catalog.pg_attribute x ON x.attrelid OPERATOR(pg_catalog.=) y.typrelid \
     WHERE y.oid OPERATOR(pg_catalog.=) ANY ($4::pg_catalog.text::pg_catalog.oid[]) \
       AND y.typrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid"
        .to_owned()
}

/// Check results of both tables under one stamp.
#[derive(Debug)]
pub(super) struct VerifiedTables {
    pub(super) covered: Covered,
    pub(super) stamp: Stamp,
    pub(super) receipt_differences: Vec<Difference>,
    /// Absent if only the receipt table is covered.
    pub(super) shape: Option<Arc<TableSchema>>,
    pub(super) code: Vec<ForeignCode>,
}

/// The server process for which the check result is valid, and the two tables by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    process: (i32, i64),
    target: Option<(String, String)>,
}

/// Cache of checked stamps of one receipt table and its targets, in memory only.
#[derive(Debug, Default)]
pub(super) struct VerifiedStamps {
    kept: Mutex<BTreeMap<Key, (Instant, Arc<VerifiedTables>)>>,
}

impl VerifiedStamps {
    /// Returns the check result for this server process if it is young enough.
    pub(super) fn get(
        &self,
        facts: &ServerFacts,
        target: Option<(&str, &str)>,
    ) -> Option<Arc<VerifiedTables>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, verified) = kept.get(&key(facts, target))?;
        (at.elapsed() < STAMP_AGE_MAX).then(|| verified.clone())
    }

    /// Caches a check result whose check began at this instant.
    pub(super) fn keep(
        &self,
        facts: &ServerFacts,
        target: Option<(&str, &str)>,
        begun_at: Instant,
        verified: Arc<VerifiedTables>,
    ) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= JUDGED_MAX {
            kept.retain(|_, (at, _)| at.elapsed() < STAMP_AGE_MAX);
        }
        if kept.len() >= JUDGED_MAX {
            kept.clear();
        }
        kept.insert(key(facts, target), (begun_at, verified));
    }

    pub(super) fn forget(&self, facts: &ServerFacts, target: Option<(&str, &str)>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&key(facts, target));
    }
}

fn key(facts: &ServerFacts, target: Option<(&str, &str)>) -> Key {
    Key {
        process: facts.process(),
        target: target.map(|(schema, table)| (schema.to_owned(), table.to_owned())),
    }
}
