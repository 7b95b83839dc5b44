//! Source database of a deployment, as its owner sees it: a file, or a server database with a reader role and a
//! writer role.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::types::Value;

use crate::databases::{Database, Engine, Roles};

const BUSY: Duration = Duration::from_secs(5);

/// Rows as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// Database with the rows of the proposals.
#[derive(Debug)]
pub enum Target {
    File(PathBuf),
    Server { database: Database, roles: Roles },
}

impl Target {
    pub fn engine(&self) -> Engine {
        match self {
            Self::File(_) => Engine::Sqlite,
            Self::Server { database, .. } => database.engine(),
        }
    }

    /// URL for the reader.
    pub fn read_url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Server { roles, .. } => roles.read_url.clone(),
        }
    }

    /// URL for the writer.
    pub fn write_url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Server { roles, .. } => roles.write_url.clone(),
        }
    }

    /// Runs statements as the owner.
    ///
    /// # Errors
    /// The database error.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        match self {
            Self::File(path) => open(path)?.execute_batch(sql).with_context(|| sql.to_owned()),
            Self::Server { database, .. } => database.execute(sql),
        }
    }

    /// Rows as the owner sees them.
    ///
    /// # Errors
    /// The database error.
    pub fn query_text(&self, sql: &str) -> anyhow::Result<Rows> {
        match self {
            Self::File(path) => rows(&open(path)?, sql).with_context(|| sql.to_owned()),
            Self::Server { database, .. } => database.query_text(sql),
        }
    }

    /// Every row of every table, in a stable order.
    ///
    /// # Errors
    /// The database error.
    pub fn dump(&self) -> anyhow::Result<String> {
        let tables = match self {
            Self::File(_) => "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name".to_owned(),
            Self::Server { database, .. } => format!(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}' ORDER BY table_name",
                database.schema()
            ),
        };
        let mut out = String::new();
        for table in self.query_text(&tables)?.into_iter().flatten().flatten() {
            let name = self.engine().quote(&table);
            for row in self.query_text(&format!("SELECT * FROM {name} ORDER BY 1"))? {
                out.push_str(&format!("{table}|{row:?}\n"));
            }
        }
        Ok(out)
    }
}

fn open(path: &Path) -> anyhow::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn rows(connection: &rusqlite::Connection, sql: &str) -> anyhow::Result<Rows> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut cursor = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = cursor.next()? {
        let values = (0..columns).map(|i| {
            Ok(match row.get::<_, Value>(i)? {
                Value::Null => None,
                Value::Integer(number) => Some(number.to_string()),
                Value::Real(number) => Some(number.to_string()),
                Value::Text(text) => Some(text),
                Value::Blob(bytes) => Some(hex::encode(bytes)),
            })
        });
        all.push(values.collect::<anyhow::Result<_>>()?);
    }
    Ok(all)
}
