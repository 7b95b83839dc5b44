//! Compares the receipt table with its required form: the migration's definition and nothing more. The
//! doctor, the status and the transaction use the same list.

use rusqlite::Connection;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::writeback::receipt_table_ddl;

use super::dialect::SCHEMA;
use super::error_map::map_driver_error;
use super::sql::{self, Token};
use synapsor_source::{EngineError, EngineErrorKind, Finding};

/// Difference of a table that is virtual, WITHOUT ROWID or not STRICT.
const ORDINARY_TABLE: &str = "must be an ordinary STRICT table with row numbers";
/// Difference of a table with a further unique key.
const NO_OTHER_KEY: &str = "must have no unique key besides its primary key";

/// One row of the schema table.
struct Stored {
    kind: String,
    name: String,
    root_page: i64,
    sql: Option<String>,
}

/// Lists the reasons why the receipt table is unusable, with the statements that create a valid one; empty if
/// it is usable.
pub fn problems(connection: &Connection, table: &str) -> Result<Vec<Finding>, EngineError> {
    let ddl = receipt_table_ddl(EngineKind::Sqlite, SCHEMA, table)
        .map_err(|refusal| EngineError::new(EngineErrorKind::Other, refusal.public))?;
    let stored = stored(connection, table)?;
    if stored.is_empty() {
        return Ok(vec![Finding::missing_receipts(table, ddl)]);
    }
    let differences = differences(connection, table, &stored, &ddl)?;
    let fix = format!("-- move {table} away, then create it again:\n{ddl}");
    Ok(differences
        .into_iter()
        .map(|text| Finding::unfit_receipts(text, Some(fix.clone())))
        .collect())
}

/// Returns everything that is stored under the table's name.
fn stored(connection: &Connection, table: &str) -> Result<Vec<Stored>, EngineError> {
    let sql = "SELECT type, name, rootpage, sql FROM main.sqlite_schema \
               WHERE tbl_name = ?1 COLLATE NOCASE OR name = ?1 COLLATE NOCASE ORDER BY type, name";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Stored {
            kind: row.get(0)?,
            name: row.get(1)?,
            root_page: row.get(2)?,
            sql: row.get(3)?,
        })
    };
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map([table], read)?.collect())
        .map_err(map_driver_error)
}

fn differences(
    connection: &Connection,
    table: &str,
    stored: &[Stored],
    ddl: &str,
) -> Result<Vec<String>, EngineError> {
    let required = Required::of(table, ddl);
    let mut problems = Vec::new();
    let mut problem = |text: String| problems.push(format!("the receipt table `{table}` {text}"));
    let (mut has_table, mut has_time_index, mut keys) = (false, false, 0);
    for one in stored {
        let tokens = one.sql.as_deref().map(|sql| normal(table, sql));
        match one.kind.as_str() {
            "table" if one.name == table => {
                has_table = true;
                if tokens != Some(required.table.clone()) {
                    problem(table_difference(tokens.as_deref().unwrap_or_default()));
                }
            }
            "index" if one.sql.is_none() => keys += 1,
            "index"
                if one.name == required.time_index_name && tokens == Some(required.time_index.clone()) =>
            {
                has_time_index = true;
            }
            "index" => problem(format!("must not have the index `{}`", one.name)),
            "trigger" => problem(format!("must not have the trigger `{}`", one.name)),
            "view" => problem("must be a table and not a view".to_owned()),
            _ => problem(format!("must not have `{}`", one.name)),
        }
    }
    if has_table {
        if keys > 1 {
            problem(NO_OTHER_KEY.to_owned());
        }
        if !has_time_index {
            problem(format!("must have the index `{}`", required.time_index_name));
        }
    }
    if shares_pages(connection, stored)? {
        problem("must not share its pages with another table or index".to_owned());
    }
    if is_hidden(connection, table)? {
        problem("must not be hidden by temporary objects or attached files".to_owned());
    }
    Ok(problems)
}

/// Returns the tokens that the migration's statements are stored as.
struct Required {
    table: Vec<Token>,
    time_index: Vec<Token>,
    time_index_name: String,
}

impl Required {
    fn of(table: &str, ddl: &str) -> Self {
        let tokens = normal(table, ddl);
        let mut statements = tokens.split(|token| token.is_symbol(';')).map(as_stored);
        Self {
            table: statements.next().unwrap_or_default(),
            time_index: statements.next().unwrap_or_default(),
            time_index_name: format!("{table}_by_time"),
        }
    }
}

/// SQLite stores a statement without `IF NOT EXISTS` and without the schema's name.
fn as_stored(statement: &[Token]) -> Vec<Token> {
    let condition = ["if", "not", "exists"].map(|word| Token::Word(word.to_owned()));
    let schema = Token::Name(SCHEMA.to_owned());
    let without = |tokens: &[Token], at: Option<usize>, count: usize| match at {
        Some(at) => [&tokens[..at], &tokens[at + count..]].concat(),
        None => tokens.to_vec(),
    };
    let found = statement
        .windows(condition.len())
        .position(|words| words == condition);
    let statement = without(statement, found, condition.len());
    let found = statement.iter().position(|token| *token == schema);
    without(&statement, found, 2)
}

/// Normalizes tokens so that the names of table and index are equal with and without quotes.
fn normal(table: &str, sql: &str) -> Vec<Token> {
    let table = table.to_ascii_lowercase();
    let index = format!("{table}_by_time");
    let unquoted = |token: Token| match token {
        Token::Name(name) if name == table || name == index => Token::Word(name),
        other => other,
    };
    sql::tokens(sql)
        .unwrap_or_default()
        .into_iter()
        .map(unquoted)
        .collect()
}

/// Returns the difference in the table's definition, as far as one word shows it.
fn table_difference(tokens: &[Token]) -> String {
    let has = |word: &str| tokens.iter().any(|token| token.is_word(word));
    let named = [
        ("virtual", ORDINARY_TABLE),
        ("without", ORDINARY_TABLE),
        (
            "conflict",
            "must not have a conflict clause: it would let a receipt be overwritten",
        ),
        ("references", "must not have foreign keys"),
        ("check", "must not have checks"),
        ("default", "must not have defaults"),
        ("generated", "must not have computed columns"),
        ("as", "must not have computed columns"),
        ("collate", "must not have collations"),
        ("unique", NO_OTHER_KEY),
        ("autoincrement", "must have the primary key of the migration"),
    ];
    let found = named.iter().find(|(word, _)| has(word)).map(|(_, text)| *text);
    let text = match found {
        Some(text) => text,
        None if !has("strict") => ORDINARY_TABLE,
        None => "must have exactly the columns and the key of the migration, in their order",
    };
    text.to_owned()
}

/// Whether another row of the schema table names the same page: a manual edit of the schema table can cause
/// that.
fn shares_pages(connection: &Connection, stored: &[Stored]) -> Result<bool, EngineError> {
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM main.sqlite_schema WHERE rootpage = ?1")
        .map_err(map_driver_error)?;
    for page in stored.iter().map(|one| one.root_page).filter(|page| *page != 0) {
        let count: i64 = statement
            .query_row([page], |row| row.get(0))
            .map_err(map_driver_error)?;
        if count != 1 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two tables or indexes of the file share a page, so that a change of one changes the other.
pub fn has_shared_pages(connection: &Connection) -> Result<bool, EngineError> {
    let sql = "SELECT count(rootpage) <> count(DISTINCT rootpage) FROM main.sqlite_schema WHERE rootpage > 0";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(map_driver_error)
}

/// Whether another object would be found instead of the table, or code of another file could run.
fn is_hidden(connection: &Connection, table: &str) -> Result<bool, EngineError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_temp_schema \
                 WHERE name = ?1 COLLATE NOCASE OR tbl_name = ?1 COLLATE NOCASE OR type = 'trigger') \
               OR EXISTS (SELECT 1 FROM pragma_database_list WHERE name NOT IN ('main', 'temp'))";
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([table], |row| row.get(0)))
        .map_err(map_driver_error)
}
