//! Foreign code that SQLite runs with an UPDATE: triggers, and the expressions of checks, computed columns,
//! defaults and indexes. Their functions are built in: functions and collations of an application do not
//! exist on the writer's connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use rusqlite::Connection;
use synapsor_domain::foreign_code::{CodeForm, ForeignCode, ForeignCodeKind};
use synapsor_domain::schema::TableSchema;

use super::error_map::map_driver_error;
use super::inspect;
use super::sql::{self, Token};
use super::trigger::Trigger;
use synapsor_source::EngineError;

const UNKNOWN_FUNCTION: &str =
    "calls a function that exists on the application's own connections only, so every update would fail";
const UNKNOWN_COLLATION: &str =
    "names a collation that exists on the application's own connections only, so every update would fail";
const UNREADABLE: &str = "has an unreadable definition";
const UNREPORTED_TABLE: &str =
    "writes a virtual table, or a table without row numbers, and SQLite does not report changes there";
const COLLATIONS: [&str; 3] = ["binary", "nocase", "rtrim"];

/// One row of the schema table.
struct Stored {
    kind: String,
    name: String,
    sql: String,
}

/// Returns the code of a table that an UPDATE of one of its rows can run, by kind and name.
pub(super) fn foreign_code(
    connection: &Connection,
    shape: &TableSchema,
) -> Result<Vec<ForeignCode>, EngineError> {
    let stored = stored(connection, &shape.table)?;
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let known = known_functions(connection)?;
    let mut code: Vec<ForeignCode> = stored
        .iter()
        .flat_map(|stored| match stored.kind.as_str() {
            "trigger" => of_trigger(connection, stored, shape, known),
            "index" => of_index(stored, known),
            _ => of_table(stored, known),
        })
        .collect();
    code.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(code)
}

fn stored(connection: &Connection, table: &str) -> Result<Vec<Stored>, EngineError> {
    let sql =
        "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Stored {
            kind: row.get(0)?,
            name: row.get(1)?,
            sql: row.get(2)?,
        })
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map([table], read)?.collect())
        .map_err(map_driver_error)
}

/// Returns the functions of a connection of this process, and the modules whose tables are called like
/// functions. All are built in, so every connection has the same.
fn known_functions(connection: &Connection) -> Result<&'static BTreeSet<String>, EngineError> {
    static KNOWN: OnceLock<BTreeSet<String>> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known);
    }
    let sql = "SELECT lower(name) FROM pragma_function_list UNION SELECT lower(name) FROM pragma_module_list";
    let found = connection
        .prepare(sql)
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(map_driver_error)?;
    Ok(KNOWN.get_or_init(|| found))
}

fn of_trigger(
    connection: &Connection,
    stored: &Stored,
    shape: &TableSchema,
    known: &BTreeSet<String>,
) -> Vec<ForeignCode> {
    let Some(tokens) = sql::tokens(&stored.sql) else {
        return vec![code(
            ForeignCodeKind::Trigger,
            stored,
            &[],
            CodeForm::Never(UNREADABLE),
        )];
    };
    let form = match Trigger::parse(&tokens) {
        Some(trigger) if !trigger.runs_on_update() => return Vec::new(),
        _ if has_unknown_function(&tokens, known) => CodeForm::Never(UNKNOWN_FUNCTION),
        Some(trigger) if writes_unreported(connection, &trigger) => CodeForm::Never(UNREPORTED_TABLE),
        Some(trigger) if trigger.is_closed(shape) => CodeForm::Closed,
        _ => CodeForm::Acknowledgeable,
    };
    vec![code(ForeignCodeKind::Trigger, stored, &tokens, form)]
}

/// Whether the trigger writes a table whose changes cannot be counted. A table that is missing or unreadable
/// is left to the counts of the transaction.
fn writes_unreported(connection: &Connection, trigger: &Trigger<'_>) -> bool {
    trigger.written_tables().any(|table| {
        let kind = inspect::kind_of_any_case(connection, table);
        kind.is_ok_and(|kind| kind.is_some_and(|kind| !kind.is_reported))
    })
}

/// Expressions and predicates of indexes.
fn of_index(stored: &Stored, known: &BTreeSet<String>) -> Vec<ForeignCode> {
    let Some(tokens) = sql::tokens(&stored.sql) else {
        let form = CodeForm::Never(UNREADABLE);
        return vec![code(ForeignCodeKind::IndexExpression, stored, &[], form)];
    };
    let columns = tokens.iter().position(|token| token.is_symbol('('));
    let columns = columns.map_or(&tokens[..], |at| &tokens[at + 1..]);
    let is_plain = !columns
        .iter()
        .any(|token| token.is_symbol('(') || token.is_word("where"));
    let form = of_expression(columns, known);
    if is_plain && form == CodeForm::Closed {
        return Vec::new();
    }
    vec![code(ForeignCodeKind::IndexExpression, stored, columns, form)]
}

/// Returns checks, computed columns and defaults with an expression, each kind once, and collations that do
/// not exist.
fn of_table(stored: &Stored, known: &BTreeSet<String>) -> Vec<ForeignCode> {
    let Some(tokens) = sql::tokens(&stored.sql) else {
        return vec![code(
            ForeignCodeKind::Check,
            stored,
            &[],
            CodeForm::Never(UNREADABLE),
        )];
    };
    let mut found = Vec::new();
    for (word, kind) in [
        ("check", ForeignCodeKind::Check),
        ("as", ForeignCodeKind::GeneratedColumn),
        ("default", ForeignCodeKind::Default),
    ] {
        let expressions = sql::brackets_after(&tokens, &[word]).concat();
        if !expressions.is_empty() {
            found.push(code(
                kind,
                stored,
                &expressions,
                of_expression(&expressions, known),
            ));
        }
    }
    if has_unknown_collation(&tokens) {
        let form = CodeForm::Never(UNKNOWN_COLLATION);
        found.push(code(ForeignCodeKind::Collation, stored, &[], form));
    }
    found
}

/// Expressions have no side effects: they are closed if they can be evaluated.
fn of_expression(tokens: &[Token], known: &BTreeSet<String>) -> CodeForm {
    if has_unknown_collation(tokens) {
        CodeForm::Never(UNKNOWN_COLLATION)
    } else if has_unknown_function(tokens, known) {
        CodeForm::Never(UNKNOWN_FUNCTION)
    } else {
        CodeForm::Closed
    }
}

fn has_unknown_collation(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| {
        pair[0].is_word("collate") && pair[1].name().is_some_and(|name| !COLLATIONS.contains(&name))
    })
}

fn has_unknown_function(tokens: &[Token], known: &BTreeSet<String>) -> bool {
    sql::functions(tokens)
        .iter()
        .any(|function| !known.contains(function))
}

fn code(kind: ForeignCodeKind, stored: &Stored, tokens: &[Token], form: CodeForm) -> ForeignCode {
    let definition = BTreeMap::from([("sql", stored.sql.clone())]);
    ForeignCode::new(kind, &stored.name, &definition, sql::functions(tokens), form)
}

#[cfg(test)]
#[path = "../../../e2e/src/proofs/preconditions/sqlite_cases.rs"]
mod cases;

#[cfg(test)]
mod tests {
    use super::cases::{DAMAGING_TRIGGERS, HARMLESS_TRIGGERS, RECEIPT_TABLES};
    use super::*;
    use crate::sqlite::{inspect, receipts};

    const RECEIPTS: &str = "synapsor_writeback_receipts";
    /// In the closed form; their effect on the row is visible when it is read again.
    const CLOSED: [&str; 2] = ["rewrites a column that was shown", "suppresses the update"];

    /// Creates a database with the migration and these statements of its owner.
    fn database(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let receipts = synapsor_domain::writeback::receipt_table_ddl(
            synapsor_domain::contract::EngineKind::Sqlite,
            "main",
            RECEIPTS,
        )
        .unwrap();
        let table = "CREATE TABLE invoices (id TEXT NOT NULL PRIMARY KEY, status TEXT, version INTEGER);";
        connection
            .execute_batch(&format!("{table} {receipts} {sql}"))
            .unwrap();
        connection
    }

    fn forms(sql: &str) -> Vec<CodeForm> {
        let shape = inspect::shape(&database(sql), "main", "invoices").unwrap();
        shape.foreign_code.iter().map(|code| code.form).collect()
    }

    #[test]
    fn harmless_triggers_have_the_closed_form() {
        assert!(HARMLESS_TRIGGERS.len() >= 10);
        for case in HARMLESS_TRIGGERS {
            let forms = forms(case.sql);
            assert!(
                forms.iter().all(|form| *form == CodeForm::Closed),
                "{}",
                case.name
            );
            assert_eq!(forms.is_empty(), case.kind == "event", "{}", case.name);
        }
    }

    #[test]
    fn damaging_triggers_are_not_closed() {
        assert!(DAMAGING_TRIGGERS.len() >= 12);
        for case in DAMAGING_TRIGGERS {
            let is_closed = forms(case.sql).iter().all(|form| *form == CodeForm::Closed);
            assert_eq!(is_closed, CLOSED.contains(&case.name), "{}", case.name);
        }
    }

    #[test]
    fn evaluable_expressions_are_closed() {
        let is_never = |sql: &str| forms(sql).iter().any(|form| matches!(form, CodeForm::Never(_)));
        for fine in [
            "CREATE INDEX i ON invoices (lower(status)) WHERE version > 1;",
            "CREATE INDEX i ON invoices (status COLLATE NOCASE);",
            "ALTER TABLE invoices ADD COLUMN a VARCHAR(3) DEFAULT 'x';",
            "ALTER TABLE invoices ADD COLUMN a TEXT AS (upper(status)) VIRTUAL;",
            "ALTER TABLE invoices ADD COLUMN a DECIMAL(9, 2) CHECK (abs(a) < CAST('9' AS DECIMAL(9, 2)));",
        ] {
            assert!(!is_never(fine), "{fine}");
            assert_eq!(
                forms(fine).is_empty(),
                fine.contains("VARCHAR") || fine.contains("NOCASE"),
                "{fine}"
            );
        }
        let unknown = "CREATE TRIGGER t AFTER UPDATE ON invoices BEGIN SELECT notify(NEW.id); END;";
        assert!(is_never(unknown));
    }

    #[test]
    fn foreign_receipt_tables_are_named() {
        assert_eq!(receipts::problems(&database(""), RECEIPTS).unwrap(), Vec::new());
        assert!(RECEIPT_TABLES.len() >= 12);
        for case in RECEIPT_TABLES {
            let problems = receipts::problems(&database(case.sql), RECEIPTS).unwrap();
            assert!(!problems.is_empty(), "{}", case.name);
        }
    }
}
