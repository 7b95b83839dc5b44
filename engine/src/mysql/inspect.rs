//! Reads the catalog of one table: its columns, and everything that could widen the effect of a one-row
//! update. The procedure of the migration returns this to accounts that see only parts of a table. Without it
//! an account sees only what its own rights show, and triggers and foreign keys of others stay hidden.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use synapsor_domain::contract::EngineKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::foreign_code::{CodeForm, ForeignCode, ForeignCodeKind};
use synapsor_domain::schema::{Definition, InboundForeignKey, TableColumn, TableSchema};
use synapsor_domain::writeback::{MYSQL_ROUTINES, MYSQL_TABLE_CATALOG};

use super::closed_form;
use super::column::{self, BINARY_COLLATION, ColumnType};
use super::connect::TEMPORARY_TABLE;
use super::dialect;
use super::foreign_code::{self, TriggerRow};
use super::routines::{DEPTH_MAX, Routines};
use super::session::{BindValue, Cells, MysqlConn, MysqlStatementError};
use synapsor_domain::inspection::{ForeignKey, Index, Unique};
use synapsor_source::SHAPE_AGE_MAX;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Trait of a table whose triggers or foreign keys cannot be determined.
const UNOBSERVABLE: &str = "unobservable_triggers";
/// The part that the account's own rights show, in the order of the procedure's cells: six of text and a
/// number.
const DIRECT: &str = "\
    SELECT 'table', TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_OPTIONS, NULL, NULL, '0' \
      FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
    UNION ALL SELECT 'column', COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, EXTRA, COLLATION_NAME, COLUMN_DEFAULT, \
        CAST(ORDINAL_POSITION AS CHAR) \
      FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
    UNION ALL SELECT 'index', INDEX_NAME, COLUMN_NAME, CAST(NON_UNIQUE AS CHAR), CAST(SUB_PART AS CHAR), NULL, NULL, \
        CAST(SEQ_IN_INDEX AS CHAR) \
      FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
    UNION ALL SELECT 'trigger', TRIGGER_NAME, EVENT_MANIPULATION, ACTION_TIMING, ACTION_STATEMENT, DEFINER, \
        CONCAT_WS('|', SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION), \
        CAST(ACTION_ORDER AS CHAR) \
      FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? \
    UNION ALL SELECT 'reference', k.CONSTRAINT_NAME, CONCAT(k.TABLE_SCHEMA, '/', k.TABLE_NAME), k.COLUMN_NAME, \
        k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE, CAST(k.ORDINAL_POSITION AS CHAR) \
      FROM information_schema.KEY_COLUMN_USAGE AS k JOIN information_schema.REFERENTIAL_CONSTRAINTS AS r \
        ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
        AND r.TABLE_NAME = k.TABLE_NAME \
      WHERE k.TABLE_SCHEMA = ? AND k.REFERENCED_TABLE_SCHEMA = k.TABLE_SCHEMA AND k.REFERENCED_TABLE_NAME = ? \
    UNION ALL SELECT 'foreign', CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, \
        REFERENCED_COLUMN_NAME, NULL, CAST(ORDINAL_POSITION AS CHAR) \
      FROM information_schema.KEY_COLUMN_USAGE \
      WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND REFERENCED_TABLE_NAME IS NOT NULL";
/// Placeholders for schema and table in [`DIRECT`].
const DIRECT_PAIRS: usize = 6;

/// A table with the facts that this engine's statements and checks need beyond its shape.
#[derive(Debug)]
pub struct Described {
    pub shape: Arc<TableSchema>,
    types: HashMap<String, ColumnType>,
    pub indexes: Vec<Index>,
    pub unique: Vec<Unique>,
    pub foreign_keys: Vec<ForeignKey>,
    /// By column, as the database spells the type.
    pub defaults: Vec<(String, String)>,
    /// In key order.
    pub primary_key: Vec<String>,
    /// Whether all triggers and all foreign keys are known.
    pub is_complete: bool,
    /// Facts of the procedure about the receipt table; `None` from an older procedure, or without one.
    pub receipts: Option<ReceiptTriggers>,
}

impl Described {
    /// Code that an UPDATE runs and that does not have the closed form.
    pub fn open_code(&self) -> impl Iterator<Item = &ForeignCode> {
        self.shape
            .foreign_code
            .iter()
            .filter(|code| code.form != CodeForm::Closed)
    }

    /// Returns the type of an existing column.
    pub fn column_type(&self, name: &str) -> Result<&ColumnType, EngineError> {
        self.types
            .get(name)
            .ok_or_else(|| EngineError::new(EngineErrorKind::NotFound, "no such column"))
    }
}

/// Triggers of the receipt table, as the procedure counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptTriggers {
    pub schema: String,
    pub table: String,
    /// Whether the procedure's owner may see them.
    pub is_complete: bool,
    pub count: u64,
}

/// Schema and table.
type TableName = (String, String);
/// A description with the time at which it was read.
type CachedDescription = (Instant, Arc<Described>);

/// Short-lived cache of table descriptions.
#[derive(Debug, Default)]
pub struct Shapes {
    kept: Mutex<HashMap<TableName, CachedDescription>>,
    /// Schemas whose procedure this account may call.
    procedures: Mutex<HashSet<(String, &'static str)>>,
}

impl Shapes {
    /// Returns a cached description that is young enough.
    pub fn kept(&self, schema: &str, table: &str) -> Option<Arc<Described>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, described) = kept.get(&(schema.to_owned(), table.to_owned()))?;
        (at.elapsed() < SHAPE_AGE_MAX).then(|| described.clone())
    }

    pub fn forget(&self, schema: &str, table: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&(schema.to_owned(), table.to_owned()));
        self.procedures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(known, _)| known != schema);
    }

    /// Reads the table's current description from the catalog.
    pub async fn fresh(
        &self,
        session: &mut MysqlConn,
        schema: &str,
        table: &str,
    ) -> Result<Arc<Described>, MysqlStatementError> {
        let has_procedure = self
            .has_catalog_procedure(session, schema, MYSQL_TABLE_CATALOG)
            .await?;
        let name = BindValue::Text(table.to_owned());
        let rows = if has_procedure {
            let procedure = dialect::qualified(schema, MYSQL_TABLE_CATALOG);
            session.rows(&format!("CALL {procedure}(?)"), vec![name]).await?
        } else {
            let pair = [BindValue::Text(schema.to_owned()), name];
            let args = std::iter::repeat_n(pair, DIRECT_PAIRS).flatten().collect();
            session.rows(DIRECT, args).await?
        };
        let texts = open_triggers(&rows)?;
        let routines = match texts.is_empty() {
            true => None,
            false => self.routines(session, schema, texts).await?,
        };
        let described = Arc::new(describe(schema, table, &rows, routines.as_ref())?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Names come from contracts, which are few; caching other names would grow without bound.
        kept.retain(|_, (at, _)| at.elapsed() < SHAPE_AGE_MAX);
        kept.insert(
            (schema.to_owned(), table.to_owned()),
            (Instant::now(), described.clone()),
        );
        Ok(described)
    }

    /// Returns the routines that the texts name, and the routines that these name; `None` if the procedure cannot be
    /// called.
    async fn routines(
        &self,
        session: &mut MysqlConn,
        schema: &str,
        texts: String,
    ) -> Result<Option<Routines>, MysqlStatementError> {
        if !self
            .has_catalog_procedure(session, schema, MYSQL_ROUTINES)
            .await?
        {
            return Ok(None);
        }
        let call = format!("CALL {}(?)", dialect::qualified(schema, MYSQL_ROUTINES));
        let mut found = Routines::default();
        for _ in 0..=DEPTH_MAX {
            let text = format!("{texts}\n{}", found.text());
            let next = Routines::of(schema, &session.rows(&call, vec![BindValue::Text(text)]).await?)?;
            let is_all = next.count() == found.count();
            found = next;
            if is_all {
                return Ok(Some(found));
            }
        }
        found.is_too_deep = true;
        Ok(Some(found))
    }

    async fn has_catalog_procedure(
        &self,
        session: &mut MysqlConn,
        schema: &str,
        procedure: &'static str,
    ) -> Result<bool, MysqlStatementError> {
        let key = (schema.to_owned(), procedure);
        if self
            .procedures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&key)
        {
            return Ok(true);
        }
        let sql = "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.ROUTINES \
                   WHERE ROUTINE_SCHEMA = ? AND ROUTINE_NAME = ? AND ROUTINE_TYPE = 'PROCEDURE'";
        let args = [schema, procedure].map(|text| BindValue::Text(text.to_owned()));
        let found = session.rows(sql, args.into()).await?;
        let has_procedure = found
            .first()
            .is_some_and(|row| row.text(0).is_ok_and(|n| n != "0"));
        if has_procedure {
            let mut procedures = self.procedures.lock().unwrap_or_else(PoisonError::into_inner);
            procedures.insert(key);
        }
        Ok(has_procedure)
    }
}

/// One row of the catalog.
struct Line {
    cells: [Option<String>; 6],
    number: u64,
}

impl Line {
    fn text(&self, at: usize) -> String {
        self.cells[at].clone().unwrap_or_default()
    }

    fn holds(&self, at: usize, word: &str) -> bool {
        self.cells[at]
            .as_ref()
            .is_some_and(|text| text.to_ascii_lowercase().contains(word))
    }
}

/// Rows grouped by kind, each kind in its own order.
fn lines(rows: &[Cells]) -> Result<BTreeMap<String, Vec<Line>>, EngineError> {
    let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for row in rows {
        let mut cells: [Option<String>; 6] = Default::default();
        for (at, cell) in cells.iter_mut().enumerate() {
            *cell = row.optional(at + 1)?;
        }
        let number = row.text(7)?.parse().unwrap_or(0);
        lines
            .entry(row.text(0)?)
            .or_default()
            .push(Line { cells, number });
    }
    for (what, found) in &mut lines {
        found.sort_by(|a, b| match what.as_str() {
            "column" => a.number.cmp(&b.number),
            _ => (&a.cells[0], a.number).cmp(&(&b.cells[0], b.number)),
        });
    }
    Ok(lines)
}

/// Returns the bodies of the triggers that do not have the closed form.
fn open_triggers(rows: &[Cells]) -> Result<String, EngineError> {
    let mut lines = lines(rows)?;
    let triggers = lines.remove("trigger").unwrap_or_default();
    let is_open = |line: &&Line| {
        closed_form::is_updating(&line.text(1)) && trigger_code(line, None).form != CodeForm::Closed
    };
    let bodies = triggers.iter().filter(is_open).map(|line| line.text(3));
    Ok(bodies.collect::<Vec<_>>().join("\n"))
}

fn describe(
    schema: &str,
    table: &str,
    rows: &[Cells],
    routines: Option<&Routines>,
) -> Result<Described, EngineError> {
    let mut lines = lines(rows)?;
    let mut of = |what: &str| lines.remove(what).unwrap_or_default();
    let mut tables = of("table");
    tables.retain(|line| line.text(1) != TEMPORARY_TABLE);
    let [listed] = &tables[..] else {
        return Err(EngineError::new(EngineErrorKind::NotFound, "no such table"));
    };
    if listed.text(0) != table {
        return Err(EngineError::new(
            EngineErrorKind::NotFound,
            "no table of exactly this name",
        ));
    }
    let index_lines = of("index");
    let indexes = indexes(&index_lines);
    let primary_key: Vec<String> = indexes
        .iter()
        .filter(|index| index.name == "PRIMARY")
        .flat_map(|index| index.columns.clone())
        .collect();
    let described = of("column");
    let columns = described
        .iter()
        .map(|line| column_of(line, &indexes, &primary_key));
    let columns: Vec<TableColumn> = columns.collect();
    let triggers = of("trigger");
    let updating: Vec<&Line> = triggers
        .iter()
        .filter(|line| closed_form::is_updating(&line.text(1)))
        .collect();
    let mut foreign_code: Vec<ForeignCode> =
        updating.iter().map(|line| trigger_code(line, routines)).collect();
    let is_opaque = foreign_code.iter().any(|code| code.form != CodeForm::Closed);
    foreign_code.extend(expressions(&of("check"), &of("generation"), &index_lines));
    let is_complete = of("sees").first().is_some_and(|line| line.number == 1);
    let receipts = of("receipts").first().map(receipt_triggers);
    let mut traits = traits(listed);
    if !is_complete || is_opaque {
        traits.push(UNOBSERVABLE.to_owned());
    }
    let unique: Vec<Unique> = indexes.iter().filter_map(IndexLines::as_unique).collect();
    Ok(Described {
        types: columns
            .iter()
            .map(|c| (c.name.clone(), ColumnType::of(c)))
            .collect(),
        defaults: described
            .iter()
            .filter_map(|line| Some((line.text(0), line.cells[5].clone()?)))
            .collect(),
        foreign_keys: foreign_keys(&of("foreign")),
        shape: Arc::new(TableSchema {
            engine: EngineKind::Mysql,
            schema: schema.to_owned(),
            table: table.to_owned(),
            columns,
            triggers: updating.iter().map(|line| definition(line)).collect(),
            rules: Vec::new(),
            policies: Vec::new(),
            referenced_by: references(schema, &of("reference")),
            traits,
            unique_keys: unique.iter().map(|unique| unique.columns.clone()).collect(),
            foreign_code,
        }),
        unique,
        indexes: indexes.into_iter().map(IndexLines::into_index).collect(),
        primary_key,
        receipts,
        is_complete,
    })
}

fn trigger_code(line: &Line, routines: Option<&Routines>) -> ForeignCode {
    let row = TriggerRow {
        name: line.text(0),
        event: line.text(1),
        timing: line.text(2),
        body: line.text(3),
        definer: line.cells[4].clone(),
        saved: line.cells[5].clone(),
    };
    foreign_code::trigger(&row, routines)
}

/// Returns expressions that call functions not known to be built in.
fn expressions(checks: &[Line], generated: &[Line], indexes: &[Line]) -> Vec<ForeignCode> {
    let of = |lines: &[Line], kind, at: usize| -> Vec<ForeignCode> {
        let expression = |line: &Line| foreign_code::expression(kind, &line.text(0), &line.text(at));
        lines.iter().filter_map(expression).collect()
    };
    [
        of(checks, ForeignCodeKind::Check, 1),
        of(generated, ForeignCodeKind::GeneratedColumn, 1),
        of(indexes, ForeignCodeKind::IndexExpression, 4),
    ]
    .concat()
}

fn receipt_triggers(line: &Line) -> ReceiptTriggers {
    ReceiptTriggers {
        schema: line.text(0),
        table: line.text(1),
        is_complete: line.text(2) == "1",
        count: line.number,
    }
}

fn traits(listed: &Line) -> Vec<String> {
    let mut traits = Vec::new();
    match listed.text(1).as_str() {
        "BASE TABLE" => {}
        "VIEW" | "SYSTEM VIEW" => traits.push("view".to_owned()),
        "SEQUENCE" => traits.push("virtual".to_owned()),
        other => traits.push(other.to_ascii_lowercase().replace(' ', "_")),
    }
    let engine = listed.text(2);
    if !engine.is_empty() && engine != "InnoDB" {
        traits.push(format!("engine:{engine}"));
    }
    if listed.holds(3, "partitioned") {
        traits.push("partitioned".to_owned());
    }
    traits
}

fn column_of(line: &Line, indexes: &[IndexLines], primary_key: &[String]) -> TableColumn {
    let (name, mut declared_type) = (line.text(0), line.text(1));
    let labels = column::labels(&declared_type);
    if line.holds(3, "on update current_timestamp") {
        let digits = declared_type
            .find('(')
            .map_or("", |at| &declared_type[at..])
            .to_owned();
        declared_type.push_str(&format!(" on update CURRENT_TIMESTAMP{digits}"));
    }
    TableColumn {
        nullable: line.text(2) == "YES",
        generated: line.holds(3, "virtual generated") || line.holds(3, "stored generated"),
        primary_key: primary_key.contains(&name),
        unique: indexes.iter().any(|index| index.is_unique_over(&name)),
        collation: line.cells[4]
            .clone()
            .filter(|collation| collation != BINARY_COLLATION),
        base_type: None,
        labels,
        declared_type,
        name,
    }
}

/// An index with the facts that decide whether it is unique over whole columns.
struct IndexLines {
    name: String,
    columns: Vec<String>,
    is_unique: bool,
    /// Some part is an expression or a column prefix.
    is_partial: bool,
}

impl IndexLines {
    fn is_unique_over(&self, column: &str) -> bool {
        self.is_unique && !self.is_partial && self.columns == [column]
    }

    fn as_unique(&self) -> Option<Unique> {
        (self.is_unique && !self.is_partial).then(|| Unique {
            name: self.name.clone(),
            columns: self.columns.clone(),
        })
    }

    fn into_index(self) -> Index {
        Index {
            name: self.name,
            columns: self.columns,
            unique: self.is_unique,
        }
    }
}

fn indexes(lines: &[Line]) -> Vec<IndexLines> {
    let mut indexes: Vec<IndexLines> = Vec::new();
    for line in lines {
        let name = line.text(0);
        if indexes.last().is_none_or(|last| last.name != name) {
            indexes.push(IndexLines {
                name,
                columns: Vec::new(),
                is_unique: line.text(2) == "0",
                is_partial: false,
            });
        }
        if let Some(last) = indexes.last_mut() {
            last.is_partial |= line.cells[1].is_none() || line.cells[3].is_some();
            last.columns.extend(line.cells[1].clone());
        }
    }
    indexes
}

fn definition(line: &Line) -> Definition {
    let text = format!("{} {}\n{}", line.text(2), line.text(1), line.text(3));
    Definition {
        name: line.text(0),
        definition_digest: Digest::of_typed("application/vnd.synapsor.trigger.v1+sql", text.as_bytes()),
    }
}

fn references(schema: &str, lines: &[Line]) -> Vec<InboundForeignKey> {
    let mut references: Vec<(String, InboundForeignKey)> = Vec::new();
    for line in lines {
        let id = line.text(0);
        if references.last().is_none_or(|(last, _)| *last != id) {
            let (on_update, on_delete) = actions(line);
            let path = line.text(1);
            let table = match path.split_once('/') {
                Some((home, table)) if home == schema => table.to_owned(),
                Some((home, table)) => format!("{home}.{table}"),
                None => path,
            };
            let reference = InboundForeignKey {
                table,
                columns: Vec::new(),
                referenced_columns: Vec::new(),
                on_update,
                on_delete,
            };
            references.push((id, reference));
        }
        if let Some((_, reference)) = references.last_mut() {
            reference.columns.push(line.text(2));
            reference.referenced_columns.push(line.text(3));
        }
    }
    references.into_iter().map(|(_, reference)| reference).collect()
}

/// Parses the actions on update and delete, from InnoDB's number or from two words.
fn actions(line: &Line) -> (String, String) {
    let word = |flags: u32, cascade: u32, set_null: u32, no_action: u32| {
        let known = [
            (cascade, "CASCADE"),
            (set_null, "SET NULL"),
            (no_action, "NO ACTION"),
        ];
        let found = known.iter().find(|(flag, _)| flags & flag != 0);
        found.map_or("RESTRICT", |(_, word)| word).to_owned()
    };
    match line.text(4).parse::<u32>() {
        Ok(flags) => (word(flags, 4, 8, 32), word(flags, 1, 2, 16)),
        Err(_) => (line.text(4), line.text(5)),
    }
}

fn foreign_keys(lines: &[Line]) -> Vec<ForeignKey> {
    let mut keys: Vec<ForeignKey> = Vec::new();
    for line in lines {
        let name = line.text(0);
        if keys.last().is_none_or(|last| last.name != name) {
            keys.push(ForeignKey {
                name,
                columns: Vec::new(),
                referenced_schema: line.text(2),
                referenced_table: line.text(3),
                referenced_columns: Vec::new(),
            });
        }
        if let Some(last) = keys.last_mut() {
            last.columns.push(line.text(1));
            last.referenced_columns.push(line.text(4));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(kind: &str) -> Cells {
        let texts = [
            Some("table"),
            Some("t"),
            Some(kind),
            Some("InnoDB"),
            None,
            None,
            None,
            Some("0"),
        ];
        Cells::of(&texts)
    }

    #[test]
    fn temporary_table_of_the_connection_is_not_described() {
        let seen = |kinds: &[&str]| {
            let rows: Vec<Cells> = kinds.iter().map(|kind| table(kind)).collect();
            describe("s", "t", &rows, None).map(|found| found.shape.traits.clone())
        };
        let alone = seen(&["BASE TABLE"]).unwrap();
        assert_eq!(seen(&["TEMPORARY", "BASE TABLE"]).unwrap(), alone);
        assert!(seen(&["VIEW", "TEMPORARY"]).unwrap().contains(&"view".to_owned()));
        assert_eq!(seen(&["TEMPORARY"]).unwrap_err().kind, EngineErrorKind::NotFound);
    }
}
