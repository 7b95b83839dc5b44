//! Reads the catalog: the shape of one table, and whether the receipt table meets the protocol's
//! requirements.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};
use synapsor_domain::contract::EngineKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::schema::{Definition, InboundForeignKey, TableColumn, TableSchema};

use super::dialect::{self, SCHEMA};
use super::error_map::map_driver_error;
use super::foreign;
use super::read::require_schema;
use synapsor_domain::inspection::{ForeignKey, Index, Unique};
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::schema_catalog::{CatalogTable, TABLES_MAX};
use synapsor_source::{RowPlan, SchemaCatalog};

/// One row of the table list.
struct Listed {
    kind: String,
    is_without_rowid: bool,
    is_strict: bool,
}

/// Reads the table's current shape from the catalog.
pub fn shape(connection: &Connection, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
    require_schema(schema)?;
    let listed = listed(connection, table)?
        .ok_or_else(|| EngineError::new(EngineErrorKind::NotFound, "no such table"))?;
    let mut traits = Vec::new();
    match listed.kind.as_str() {
        "table" => {}
        kind => traits.push(kind.to_owned()),
    }
    if listed.is_strict {
        traits.push("strict".to_owned());
    }
    if listed.is_without_rowid {
        traits.push("without_rowid".to_owned());
    }
    let mut shape = TableSchema {
        engine: EngineKind::Sqlite,
        schema: SCHEMA.to_owned(),
        table: table.to_owned(),
        columns: columns(connection, table, &listed)?,
        triggers: triggers(connection, table)?,
        rules: Vec::new(),
        policies: Vec::new(),
        referenced_by: references(connection, table)?,
        traits,
        unique_keys: unique(connection, table)?
            .into_iter()
            .map(|unique| unique.columns)
            .collect(),
        foreign_code: Vec::new(),
    };
    shape.foreign_code = foreign::foreign_code(connection, &shape)?;
    Ok(shape)
}

/// Object stored under exactly this name.
#[derive(Debug, Clone, Copy)]
pub struct SqliteTableKind {
    /// Whether SQLite reports changes of its rows one by one.
    pub is_reported: bool,
}

/// Returns the object stored under a name, if any.
pub fn kind(connection: &Connection, table: &str) -> Result<Option<SqliteTableKind>, EngineError> {
    let listed = listed(connection, table)?;
    Ok(listed.map(|listed| SqliteTableKind {
        is_reported: matches!(listed.kind.as_str(), "table" | "shadow") && !listed.is_without_rowid,
    }))
}

/// Returns the object stored under a name in any letter case, as statements resolve it.
pub fn kind_of_any_case(
    connection: &Connection,
    table: &str,
) -> Result<Option<SqliteTableKind>, EngineError> {
    let sql =
        "SELECT name FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')";
    let name: Option<String> = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([table], |row| row.get(0)).optional())
        .map_err(map_driver_error)?;
    name.map_or(Ok(None), |name| kind(connection, &name))
}

fn listed(connection: &Connection, table: &str) -> Result<Option<Listed>, EngineError> {
    connection
        .prepare_cached(
            "SELECT l.type, l.wr, l.strict FROM pragma_table_list(?1) AS l \
             WHERE l.schema = 'main' AND l.name = ?1 COLLATE BINARY",
        )
        .and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Listed {
                    kind: row.get(0)?,
                    is_without_rowid: row.get(1)?,
                    is_strict: row.get(2)?,
                })
            };
            statement.query_row([table], read).optional()
        })
        .map_err(map_driver_error)
}

fn columns(connection: &Connection, table: &str, listed: &Listed) -> Result<Vec<TableColumn>, EngineError> {
    let unique = unique(connection, table)?;
    let is_alone = |name: &String| unique.iter().any(|unique| unique.columns == [name.clone()]);
    let collations = collations(connection, table)?;
    let mut statement = connection
        .prepare_cached(
            "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid",
        )
        .map_err(map_driver_error)?;
    let read = |row: &rusqlite::Row<'_>| {
        let (name, declared_type): (String, String) = (row.get(0)?, row.get(1)?);
        let (is_not_null, key_position, hidden): (bool, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok((name, declared_type, is_not_null, key_position > 0, hidden))
    };
    let raw: Vec<_> = statement
        .query_map([table], read)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(map_driver_error)?;
    let keys = raw.iter().filter(|column| column.3).count();
    let columns =
        raw.into_iter()
            .filter(|column| column.4 != 1)
            .map(|(name, declared, not_null, key, hidden)| {
                // An INTEGER PRIMARY KEY is the row number itself, which is never NULL.
                let is_row_number = key && keys == 1 && declared.eq_ignore_ascii_case("INTEGER");
                TableColumn {
                    nullable: !(not_null || is_row_number || (key && listed.is_without_rowid)),
                    generated: matches!(hidden, 2 | 3),
                    primary_key: key,
                    unique: (key && keys == 1) || is_alone(&name),
                    collation: collations
                        .get(&name)
                        .filter(|c| !c.eq_ignore_ascii_case("BINARY"))
                        .cloned(),
                    declared_type: declared,
                    base_type: None,
                    labels: Vec::new(),
                    name,
                }
            });
    Ok(columns.collect())
}

/// Returns the unique indexes over columns of the whole table. That of a primary key is one of them, unless the key is
/// the row number.
fn unique(connection: &Connection, table: &str) -> Result<Vec<Unique>, EngineError> {
    let sql = "SELECT i.name, x.name FROM pragma_index_list(?1, 'main') AS i, pragma_index_info(i.name, 'main') AS x \
               WHERE i.\"unique\" = 1 AND i.partial = 0 ORDER BY i.seq, x.seqno";
    let mut statement = connection.prepare_cached(sql).map_err(map_driver_error)?;
    let parts: Vec<(String, Option<String>)> = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(map_driver_error)?;
    let of_one_index = parts.chunk_by(|(name, _), (other, _)| name == other);
    let found = of_one_index.filter_map(|parts| {
        // An expression has no column name.
        let columns: Option<Vec<String>> = parts.iter().map(|(_, column)| column.clone()).collect();
        Some(Unique {
            name: parts.first()?.0.clone(),
            columns: columns?,
        })
    });
    Ok(found.collect())
}

/// Returns the collation of each column that names one. The catalog has it only in the table's definition. No
/// protection of a row depends on it: keys and tenants are compared byte for byte under any collation.
fn collations(connection: &Connection, table: &str) -> Result<BTreeMap<String, String>, EngineError> {
    let definition = definition(connection, table)?;
    let body = definition.split_once('(').map_or("", |(_, body)| body);
    let bare = |word: &str| word.trim_matches(['"', '`', '[', ']', '\'', ')']).to_owned();
    let of_part = |part: &str| {
        let mut words = part.split_whitespace();
        let name = bare(words.next()?);
        words.find(|word| word.eq_ignore_ascii_case("COLLATE"))?;
        Some((name, bare(words.next()?)))
    };
    Ok(top_level_parts(body).into_iter().filter_map(of_part).collect())
}

/// Returns the statement that created a table; empty if it is not a table.
fn definition(connection: &Connection, table: &str) -> Result<String, EngineError> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let found = connection.query_row(sql, [table], |row| row.get(0)).optional();
    Ok(found.map_err(map_driver_error)?.unwrap_or_default())
}

/// Splits at commas outside of parentheses.
fn top_level_parts(body: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&body[start..]);
    parts
}

fn triggers(connection: &Connection, table: &str) -> Result<Vec<Definition>, EngineError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY name",
        )
        .map_err(map_driver_error)?;
    let read = |row: &rusqlite::Row<'_>| {
        let sql: String = row.get(1)?;
        let definition_digest = Digest::of_typed("application/vnd.synapsor.trigger.v1+sql", sql.as_bytes());
        Ok(Definition {
            name: row.get(0)?,
            definition_digest,
        })
    };
    statement
        .query_map([table], read)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(map_driver_error)
}

/// Returns foreign keys of all tables that reference this one.
fn references(connection: &Connection, table: &str) -> Result<Vec<InboundForeignKey>, EngineError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT s.name, f.id, f.\"from\", f.\"to\", f.on_update, f.on_delete \
             FROM sqlite_schema AS s, pragma_foreign_key_list(s.name, 'main') AS f \
             WHERE s.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE ORDER BY s.name, f.id, f.seq",
        )
        .map_err(map_driver_error)?;
    let mut found = statement.query([table]).map_err(map_driver_error)?;
    let mut references: Vec<(i64, InboundForeignKey)> = Vec::new();
    while let Some(row) = found.next().map_err(map_driver_error)? {
        let (name, id): (String, i64) = (
            row.get(0).map_err(map_driver_error)?,
            row.get(1).map_err(map_driver_error)?,
        );
        let column: String = row.get(2).map_err(map_driver_error)?;
        // Absent: the key references the primary key.
        let referenced: Option<String> = row.get(3).map_err(map_driver_error)?;
        if references
            .last()
            .is_none_or(|(last, reference)| *last != id || reference.table != name)
        {
            let reference = InboundForeignKey {
                table: name,
                columns: Vec::new(),
                referenced_columns: Vec::new(),
                on_update: row.get(4).map_err(map_driver_error)?,
                on_delete: row.get(5).map_err(map_driver_error)?,
            };
            references.push((id, reference));
        }
        if let Some((_, reference)) = references.last_mut() {
            reference.columns.push(column);
            reference.referenced_columns.extend(referenced);
        }
    }
    Ok(references.into_iter().map(|(_, reference)| reference).collect())
}

/// Returns a name of the row number that no column hides; `None` in a table without row numbers.
pub fn row_number_name(shape: &TableSchema) -> Option<&'static str> {
    if shape.traits.iter().any(|t| t != "strict") {
        return None;
    }
    let hidden = |name: &str| shape.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(|name| !hidden(name))
}

/// Returns the statement that reads the row numbers of a plan's rows.
pub fn select_row_number(plan: &RowPlan, name: &str) -> String {
    let bare = RowPlan {
        columns: Vec::new(),
        ..plan.clone()
    };
    dialect::select_row(&bare).replacen("SELECT ", &format!("SELECT {name}, "), 1)
}

/// Lists every table and view of the file.
pub fn catalog(connection: &Connection, schema: Option<&str>) -> Result<SchemaCatalog, EngineError> {
    if let Some(schema) = schema {
        require_schema(schema)?;
    }
    let mut statement = connection
        .prepare_cached(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view') \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name LIMIT ?1",
        )
        .map_err(map_driver_error)?;
    let names: Vec<String> = statement
        .query_map([i64::try_from(TABLES_MAX + 1).unwrap_or(i64::MAX)], |row| {
            row.get(0)
        })
        .and_then(Iterator::collect)
        .map_err(map_driver_error)?;
    let tables: Result<_, _> = names
        .iter()
        .take(TABLES_MAX)
        .map(|name| described(connection, name))
        .collect();
    Ok(SchemaCatalog {
        product: format!("SQLite {}", rusqlite::version()),
        account: "the owner of the file".to_owned(),
        current_schema: Some(SCHEMA.to_owned()),
        schemas: vec![SCHEMA.to_owned()],
        tables: tables?,
        truncated: names.len() > TABLES_MAX,
    })
}

fn described(connection: &Connection, table: &str) -> Result<CatalogTable, EngineError> {
    let shape = shape(connection, SCHEMA, table)?;
    let columns = shape.columns.iter();
    let primary_key = columns.filter(|c| c.primary_key).map(|c| c.name.clone());
    let is = |word: &str| shape.traits.iter().any(|t| t == word);
    // A view takes changes only through INSTEAD OF triggers, and has no other ones.
    let can_change = !is("shadow") && (!is("view") || !shape.triggers.is_empty());
    Ok(CatalogTable {
        // Values have types here, and columns do not.
        unreadable: Vec::new(),
        unwritable: Vec::new(),
        primary_key: primary_key.collect(),
        defaults: defaults(connection, table)?,
        unique: unique(connection, table)?,
        foreign_keys: foreign_keys(connection, table)?,
        indexes: indexes(connection, table)?,
        can_change,
        shape,
    })
}

fn defaults(connection: &Connection, table: &str) -> Result<Vec<(String, String)>, EngineError> {
    let sql = "SELECT name, dflt_value FROM pragma_table_xinfo(?1, 'main') WHERE dflt_value IS NOT NULL ORDER BY cid";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .map_err(map_driver_error)
}

fn indexes(connection: &Connection, table: &str) -> Result<Vec<Index>, EngineError> {
    let sql = "SELECT i.name, i.\"unique\", x.name FROM pragma_index_list(?1, 'main') AS i, \
               pragma_index_info(i.name, 'main') AS x ORDER BY i.seq, x.seqno";
    let mut statement = connection.prepare_cached(sql).map_err(map_driver_error)?;
    let mut found = statement.query([table]).map_err(map_driver_error)?;
    let mut indexes: Vec<Index> = Vec::new();
    while let Some(row) = found.next().map_err(map_driver_error)? {
        let name: String = row.get(0).map_err(map_driver_error)?;
        let column: Option<String> = row.get(2).map_err(map_driver_error)?;
        if indexes.last().is_none_or(|last| last.name != name) {
            indexes.push(Index {
                name,
                columns: Vec::new(),
                unique: row.get(1).map_err(map_driver_error)?,
            });
        }
        if let Some(last) = indexes.last_mut() {
            last.columns.extend(column);
        }
    }
    Ok(indexes)
}

fn foreign_keys(connection: &Connection, table: &str) -> Result<Vec<ForeignKey>, EngineError> {
    let sql =
        "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq";
    let mut statement = connection.prepare_cached(sql).map_err(map_driver_error)?;
    let mut found = statement.query([table]).map_err(map_driver_error)?;
    let mut keys: Vec<ForeignKey> = Vec::new();
    while let Some(row) = found.next().map_err(map_driver_error)? {
        let id: i64 = row.get(0).map_err(map_driver_error)?;
        let name = format!("{table}_{id}");
        if keys.last().is_none_or(|last| last.name != name) {
            keys.push(ForeignKey {
                name,
                columns: Vec::new(),
                referenced_schema: SCHEMA.to_owned(),
                referenced_table: row.get(1).map_err(map_driver_error)?,
                referenced_columns: Vec::new(),
            });
        }
        let (from, to): (String, Option<String>) = (
            row.get(2).map_err(map_driver_error)?,
            row.get(3).map_err(map_driver_error)?,
        );
        if let Some(last) = keys.last_mut() {
            last.columns.push(from);
            last.referenced_columns.extend(to);
        }
    }
    Ok(keys)
}
