//! Independent check of a source database, with its own connection and no code under test. Its SQL is constant
//! text of the proofs and contains no external values.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::types::Value;
use tokio::task::block_in_place;

use crate::databases::Session;

const BUSY: Duration = Duration::from_secs(10);

/// Rows as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// One connection of the owner, opened on first use.
#[derive(Debug, Clone)]
pub(super) enum Checker {
    Sqlite(Arc<Mutex<rusqlite::Connection>>),
    Server(Session),
}

impl Checker {
    pub(super) fn of_file(path: &PathBuf) -> anyhow::Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        Ok(Self::Sqlite(Arc::new(Mutex::new(connection))))
    }

    /// Drops the connection after a server restart; the next statement opens a new one.
    pub(super) fn disconnect(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Server(session) => block_in_place(|| session.close()),
        }
    }

    /// Runs one statement and returns its rows.
    pub(super) fn query(&self, sql: &str) -> anyhow::Result<Rows> {
        block_in_place(|| match self {
            Self::Sqlite(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                sqlite(&connection, sql)
            }
            Self::Server(session) => session.query_text(sql),
        })
        .with_context(|| format!("the checker's `{sql}`"))
    }

    pub(super) fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let row = self.query(sql)?.into_iter().next().unwrap_or_default();
        let number = row.into_iter().next().flatten();
        Ok(number.with_context(|| format!("not a number: {sql}"))?.parse()?)
    }
}

fn sqlite(connection: &rusqlite::Connection, sql: &str) -> anyhow::Result<Rows> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
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
