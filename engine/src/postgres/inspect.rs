//! Reads the catalog: the shape of a table, its metadata for operators, and whether the receipt table meets
//! the protocol's requirements. One statement describes one table or all tables of a schema.

use serde::Deserialize;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::schema::{Definition, InboundForeignKey, TableColumn, TableSchema};
use synapsor_source::Finding;

use super::connect::PgPooledConnection;
use super::dialect::Statement;
use super::foreign_code::{self, NO_TABLE};
use super::receipt_form::{Difference, receipt_form};
use super::types::Family;
use synapsor_domain::inspection::{ForeignKey, Index, Unique};
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::schema_catalog::{CatalogTable, TABLES_MAX};
use synapsor_source::{ReceiptTable, SchemaCatalog};

/// Schema of the receipt table unless the contract sets another.
const RECEIPT_SCHEMA: &str = "public";

/// Returns one JSON text per table. The server prints definitions with every name qualified, because only
/// `pg_catalog` is on the search path. A type is the extension's `citext` only if it is a base type whose
/// casts from and to text run nothing; only superusers can create such a type. Another type of that name is
/// spelled in quotes, so it is an unknown type. A view can be changed if the server reports INSERT, UPDATE or DELETE
/// as possible, also by a rule or trigger; a materialized view never can, whatever the rights on it are.
const DESCRIBE: &str = "SELECT json_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'table', c.relname, 'kind', c.relkind, 'persistence', c.relpersistence,
  'row_security', c.relrowsecurity, 'is_forced', c.relforcerowsecurity, 'is_partition', c.relispartition,
  'inherits', EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid),
  'is_inherited', EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = c.oid),
  'can_change', CASE c.relkind WHEN 'm' THEN false WHEN 'v' THEN pg_relation_is_updatable(c.oid, true) & 28 <> 0 ELSE true END
    AND (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege(c.oid, 'INSERT, UPDATE')),
  'runs_code_in_reads', c.relkind <> 'r' OR c.relrowsecurity OR c.relhasrules OR c.relhassubclass
    OR NOT EXISTS (SELECT 1 FROM pg_am m WHERE m.oid = c.relam AND m.amname = 'heap')
    OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))
    OR EXISTS (SELECT 1 FROM pg_statistic_ext x WHERE x.stxrelid = c.oid AND (to_jsonb(x) ->> 'stxexprs') IS NOT NULL)
    OR EXISTS (SELECT 1 FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (a.attgenerated NOT IN ('', 's') OR a.atttypid >= 16384 AND y.typtype <> 'e')),
  'access_method', (SELECT m.amname FROM pg_am m WHERE m.oid = c.relam),
  'columns', (SELECT json_agg(json_build_object(
      'name', a.attname, 'declared_type', (SELECT CASE WHEN z.typname = 'citext' AND NOT (z.typtype = 'b' AND 2 = (SELECT count(*) FROM pg_cast k
          WHERE k.castmethod = 'b' AND (k.castsource = z.oid AND k.casttarget = 'text'::regtype
            OR k.castsource = 'text'::regtype AND k.casttarget = z.oid)))
        THEN concat(quote_ident(zn.nspname), '.\"citext\"') ELSE format_type(a.atttypid, a.atttypmod) END
        FROM pg_type z JOIN pg_namespace zn ON zn.oid = z.typnamespace WHERE z.oid = a.atttypid),
      'not_null', a.attnotnull OR y.typnotnull, 'generated', a.attgenerated <> '' OR a.attidentity = 'a',
      'collation', (SELECT l.collname FROM pg_collation l WHERE l.oid = a.attcollation),
      'base_type', (SELECT CASE WHEN z.typname = 'citext' AND NOT (z.typtype = 'b' AND 2 = (SELECT count(*) FROM pg_cast k
          WHERE k.castmethod = 'b' AND (k.castsource = z.oid AND k.casttarget = 'text'::regtype
            OR k.castsource = 'text'::regtype AND k.casttarget = z.oid)))
        THEN concat(quote_ident(zn.nspname), '.\"citext\"') ELSE format_type(b.base, b.modifier) END
        FROM pg_type z JOIN pg_namespace zn ON zn.oid = z.typnamespace WHERE z.oid = b.base),
      'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e
                 WHERE e.enumtypid = coalesce(b.base, a.atttypid)),
      'default', (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                  WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = '')) ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
    LEFT JOIN LATERAL (WITH RECURSIVE r AS (
        SELECT y.typbasetype AS base, y.typtypmod AS modifier UNION ALL
        SELECT z.typbasetype, z.typtypmod FROM r JOIN pg_type z ON z.oid = r.base AND z.typtype = 'd')
      SELECT r.base, r.modifier FROM r JOIN pg_type z ON z.oid = r.base AND z.typtype <> 'd') b ON y.typtype = 'd'
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'indexes', (SELECT json_agg(json_build_object(
      'name', x.relname, 'key_count', i.indnkeyatts, 'is_unique', i.indisunique, 'is_primary', i.indisprimary,
      'is_whole', i.indpred IS NULL AND i.indisvalid,
      'columns', (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, at)
                  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                  WHERE k.at <= i.indnkeyatts)) ORDER BY x.relname)
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid),
  'triggers', (SELECT json_agg(json_build_object('name', g.tgname, 'text',
      concat_ws(E'\\n', pg_get_triggerdef(g.oid), g.tgenabled, pg_get_functiondef(g.tgfoid))) ORDER BY g.tgname)
    FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal),
  'rules', (SELECT json_agg(json_build_object('name', w.rulename, 'text',
      concat_ws(E'\\n', pg_get_ruledef(w.oid), w.ev_enabled)) ORDER BY w.rulename)
    FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN'),
  'policies', (SELECT json_agg(json_build_object('name', p.polname, 'text', concat_ws(E'\\n', p.polcmd, p.polpermissive,
      (SELECT string_agg(CASE o.id WHEN 0 THEN 'public' ELSE pg_get_userbyid(o.id)::text END, ',' ORDER BY o.id)
       FROM unnest(p.polroles) o(id)),
      coalesce(pg_get_expr(p.polqual, p.polrelid), '-'), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-')))
      ORDER BY p.polname)
    FROM pg_policy p WHERE p.polrelid = c.oid),
  'referenced_by', (SELECT json_agg(json_build_object('schema', fn.nspname, 'table', f.relname,
      'columns', (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(k0.conkey) WITH ORDINALITY k(attnum, at)
                  JOIN pg_attribute a ON a.attrelid = k0.conrelid AND a.attnum = k.attnum),
      'referenced_columns', (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(k0.confkey) WITH ORDINALITY k(attnum, at)
                  JOIN pg_attribute a ON a.attrelid = k0.confrelid AND a.attnum = k.attnum),
      'on_update', k0.confupdtype, 'on_delete', k0.confdeltype) ORDER BY fn.nspname, f.relname, k0.conname)
    FROM pg_constraint k0 JOIN pg_class f ON f.oid = k0.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
    WHERE k0.contype = 'f' AND k0.confrelid = c.oid),
  'foreign_keys', (SELECT json_agg(json_build_object('name', k0.conname, 'schema', fn.nspname, 'table', f.relname,
      'columns', (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(k0.conkey) WITH ORDINALITY k(attnum, at)
                  JOIN pg_attribute a ON a.attrelid = k0.conrelid AND a.attnum = k.attnum),
      'referenced_columns', (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(k0.confkey) WITH ORDINALITY k(attnum, at)
                  JOIN pg_attribute a ON a.attrelid = k0.confrelid AND a.attnum = k.attnum)) ORDER BY k0.conname)
    FROM pg_constraint k0 JOIN pg_class f ON f.oid = k0.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
    WHERE k0.contype = 'f' AND k0.conrelid = c.oid)
)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')";

/// A table as the statement above describes it.
#[derive(Debug, Deserialize)]
pub struct Described {
    oid: u32,
    schema: String,
    table: String,
    kind: String,
    persistence: String,
    row_security: bool,
    is_forced: bool,
    is_partition: bool,
    inherits: bool,
    is_inherited: bool,
    runs_code_in_reads: bool,
    access_method: Option<String>,
    can_change: bool,
    columns: Option<Vec<DescribedColumn>>,
    indexes: Option<Vec<DescribedIndex>>,
    triggers: Option<Vec<Named>>,
    rules: Option<Vec<Named>>,
    policies: Option<Vec<Named>>,
    referenced_by: Option<Vec<DescribedReference>>,
    foreign_keys: Option<Vec<DescribedKey>>,
}

#[derive(Debug, Deserialize)]
struct DescribedColumn {
    name: String,
    declared_type: String,
    not_null: bool,
    generated: bool,
    collation: Option<String>,
    base_type: Option<String>,
    labels: Option<Vec<String>>,
    default: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DescribedIndex {
    name: String,
    key_count: usize,
    is_unique: bool,
    is_primary: bool,
    is_whole: bool,
    columns: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct DescribedReference {
    schema: String,
    table: String,
    columns: Vec<String>,
    referenced_columns: Vec<String>,
    on_update: String,
    on_delete: String,
}

#[derive(Debug, Deserialize)]
struct DescribedKey {
    name: String,
    schema: String,
    table: String,
    columns: Vec<String>,
    referenced_columns: Vec<String>,
}

/// Reads the table from the catalog.
pub async fn describe(
    lease: &mut PgPooledConnection,
    schema: &str,
    table: &str,
) -> Result<Described, EngineError> {
    let statement = Statement {
        sql: format!("{DESCRIBE} AND n.nspname = $1::text AND c.relname = $2::text"),
        parameters: vec![Some(schema.to_owned()), Some(table.to_owned())],
    };
    described(lease, statement)
        .await?
        .pop()
        .ok_or_else(|| EngineError::new(EngineErrorKind::NotFound, "no such table"))
}

/// Returns the table's shape with the code that a change of one of its rows runs, and whether a read of its rows can run
/// code of others. Everything that could counts: reads do not rest on what its expressions are judged to call. Checks do
/// not, because [`super::session::EXACT_SETTINGS`] keeps them out of plans.
pub async fn shape(
    lease: &mut PgPooledConnection,
    schema: &str,
    table: &str,
) -> Result<(TableSchema, bool), EngineError> {
    let described = describe(lease, schema, table).await?;
    let mut shape = described.shape();
    shape.foreign_code = foreign_code::read(lease, described.oid, NO_TABLE).await?.code;
    Ok((shape, described.runs_code_in_reads))
}

async fn described(
    lease: &mut PgPooledConnection,
    statement: Statement,
) -> Result<Vec<Described>, EngineError> {
    let rows = lease.fetch(statement).await?;
    let texts = rows
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten());
    texts
        .map(|text| {
            serde_json::from_str(&text)
                .map_err(|_| EngineError::new(EngineErrorKind::Unreadable, "the catalog's description"))
        })
        .collect()
}

impl Described {
    /// The table's OID.
    pub const fn oid(&self) -> u32 {
        self.oid
    }

    /// Returns the table's shape without the code that its changes run.
    pub fn shape(&self) -> TableSchema {
        let mut columns: Vec<TableColumn> = self.columns.iter().flatten().map(|c| self.column(c)).collect();
        if self.kind == "r" {
            columns.push(row_version());
        }
        TableSchema {
            engine: EngineKind::Postgres,
            schema: self.schema.clone(),
            table: self.table.clone(),
            columns,
            triggers: definitions(
                self.triggers.as_deref(),
                "application/vnd.synapsor.trigger.v1+sql",
            ),
            rules: definitions(self.rules.as_deref(), "application/vnd.synapsor.rule.v1+sql"),
            policies: definitions(self.policies.as_deref(), "application/vnd.synapsor.policy.v1+sql"),
            referenced_by: self
                .referenced_by
                .iter()
                .flatten()
                .map(|r| self.reference(r))
                .collect(),
            traits: self.traits(),
            unique_keys: self.unique().map(|unique| unique.columns).collect(),
            foreign_code: Vec::new(),
        }
    }

    fn column(&self, column: &DescribedColumn) -> TableColumn {
        let keys = || self.indexes.iter().flatten();
        let is_in = |index: &DescribedIndex| index.columns.iter().flatten().any(|name| *name == column.name);
        TableColumn {
            name: column.name.clone(),
            declared_type: column.declared_type.clone(),
            nullable: !column.not_null,
            generated: column.generated,
            primary_key: keys().any(|index| index.is_primary && is_in(index)),
            unique: keys()
                .any(|index| index.is_unique && index.is_whole && index.key_count == 1 && is_in(index)),
            // The database's default collation compares bytes before it treats two strings as equal, as these
            // do.
            collation: column
                .collation
                .clone()
                .filter(|name| !matches!(name.as_str(), "default" | "C" | "POSIX" | "ucs_basic")),
            base_type: column.base_type.clone(),
            labels: column.labels.clone().unwrap_or_default(),
        }
    }

    fn reference(&self, reference: &DescribedReference) -> InboundForeignKey {
        InboundForeignKey {
            table: if reference.schema == self.schema {
                reference.table.clone()
            } else {
                format!("{}.{}", reference.schema, reference.table)
            },
            columns: reference.columns.clone(),
            referenced_columns: reference.referenced_columns.clone(),
            on_update: action(&reference.on_update),
            on_delete: action(&reference.on_delete),
        }
    }

    fn traits(&self) -> Vec<String> {
        let is_plain = self
            .access_method
            .as_deref()
            .is_none_or(|method| method == "heap");
        let words = [
            (self.kind == "v", "view"),
            (self.kind == "m", "materialized_view"),
            (self.kind == "f", "foreign"),
            (self.kind == "p", "partitioned"),
            (self.is_partition, "partition"),
            (self.inherits && !self.is_partition, "inherits"),
            (self.is_inherited && self.kind != "p", "inherited"),
            (self.persistence == "u", "unlogged"),
            (self.persistence == "t", "temporary"),
            (self.row_security, "row_security"),
            (self.is_forced, "row_security_forced"),
            (!is_plain, "storage"),
        ];
        words
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| (*word).to_owned())
            .collect()
    }

    /// Unique indexes over columns of the whole table, that of the primary key included.
    fn unique(&self) -> impl Iterator<Item = Unique> + '_ {
        self.indexes.iter().flatten().filter_map(|index| {
            let columns = index.columns.clone().unwrap_or_default();
            let is_total = index.is_unique && index.is_whole && columns.len() == index.key_count;
            is_total.then(|| Unique {
                name: index.name.clone(),
                columns,
            })
        })
    }

    fn table(&self) -> CatalogTable {
        let indexes = || self.indexes.iter().flatten();
        let columns = |index: &DescribedIndex| index.columns.clone().unwrap_or_default();
        let shape = self.shape();
        let unwritable = shape
            .columns
            .iter()
            .filter(|column| !Family::of(column).is_writable());
        CatalogTable {
            // Every type has a text form.
            unreadable: Vec::new(),
            unwritable: unwritable.map(|column| column.name.clone()).collect(),
            shape,
            can_change: self.can_change,
            primary_key: indexes()
                .find(|index| index.is_primary)
                .map(columns)
                .unwrap_or_default(),
            defaults: self
                .columns
                .iter()
                .flatten()
                .filter_map(|c| Some((c.name.clone(), c.default.clone()?)))
                .collect(),
            unique: self.unique().collect(),
            foreign_keys: self
                .foreign_keys
                .iter()
                .flatten()
                .map(|key| ForeignKey {
                    name: key.name.clone(),
                    columns: key.columns.clone(),
                    referenced_schema: key.schema.clone(),
                    referenced_table: key.table.clone(),
                    referenced_columns: key.referenced_columns.clone(),
                })
                .collect(),
            indexes: indexes()
                .map(|index| Index {
                    name: index.name.clone(),
                    columns: columns(index),
                    unique: index.is_unique,
                })
                .collect(),
        }
    }
}

/// The transaction that last wrote a row: not a column of the table, but a version of the row.
fn row_version() -> TableColumn {
    TableColumn {
        name: "xmin".to_owned(),
        declared_type: "xid".to_owned(),
        nullable: false,
        generated: true,
        primary_key: false,
        unique: false,
        collation: None,
        base_type: None,
        labels: Vec::new(),
    }
}

fn definitions(named: Option<&[Named]>, media_type: &'static str) -> Vec<Definition> {
    named
        .unwrap_or_default()
        .iter()
        .map(|named| Definition {
            name: named.name.clone(),
            definition_digest: Digest::of_typed(media_type, named.text.as_bytes()),
        })
        .collect()
}

fn action(letter: &str) -> String {
    match letter {
        "a" => "NO ACTION",
        "r" => "RESTRICT",
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        // An unknown value of a later server version is shown, not treated as harmless.
        other => other,
    }
    .to_owned()
}

/// Returns the schema of the receipt table.
pub fn receipt_schema(receipts: &ReceiptTable) -> &str {
    receipts.schema.as_deref().unwrap_or(RECEIPT_SCHEMA)
}

/// Lists the reasons why the receipt table is unusable, with the statements that create a valid one; empty if
/// it is usable.
pub async fn receipt_problems(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
) -> Result<Vec<Finding>, EngineError> {
    let form = receipt_form(lease, receipts).await?;
    let code = match form.oid {
        Some(_) => ErrorCode::ReceiptTableUnfit,
        None => ErrorCode::ReceiptTableMissing,
    };
    let to_finding = |Difference { text, fix }| Finding {
        code,
        ..Finding::unfit_receipts(text, Some(fix))
    };
    let mut problems: Vec<Finding> = form.differences.into_iter().map(to_finding).collect();
    if !lease.facts().counts_changes {
        problems.push(Finding::unfit_receipts(
            "track_counts is off, so side effects cannot be detected; set track_counts = on",
            None,
        ));
    }
    Ok(problems)
}

/// Lists every table and view of which this account can read a part.
pub async fn catalog(
    lease: &mut PgPooledConnection,
    schema: Option<&str>,
) -> Result<SchemaCatalog, EngineError> {
    const OWN: &str = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";
    let schemas = lease
        .fetch(Statement {
            sql: format!(
                "SELECT n.nspname::text, current_user::text, current_schema()::text FROM pg_namespace n WHERE {OWN} ORDER BY 1"
            ),
            parameters: Vec::new(),
        })
        .await?;
    let fact = |at: usize| schemas.first().and_then(|row| row.get(at).cloned().flatten());
    let (account, current_schema) = (fact(1), fact(2));
    let mut tables = described(
        lease,
        Statement {
            sql: format!(
                "{DESCRIBE} AND {OWN} AND ($1::text IS NULL OR n.nspname = $1::text) \
                 AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') \
                 ORDER BY n.nspname, c.relname LIMIT {}",
                TABLES_MAX + 1
            ),
            parameters: vec![schema.map(ToOwned::to_owned)],
        },
    )
    .await?;
    let truncated = tables.len() > TABLES_MAX;
    tables.truncate(TABLES_MAX);
    Ok(SchemaCatalog {
        product: format!("PostgreSQL {}", lease.facts().version),
        account: account.unwrap_or_default(),
        current_schema,
        schemas: schemas
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect(),
        tables: tables.iter().map(Described::table).collect(),
        truncated,
    })
}
