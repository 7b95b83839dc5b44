//! The checker's own look at a target database, with its own connection and nothing of the code under test. Its
//! statements are the proofs' own text; no value of anybody else is ever put into them.

use std::path::PathBuf;

use anyhow::Context as _;
use rusqlite::types::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;

/// Where a checker looks.
#[derive(Debug, Clone)]
pub enum Place {
    Sqlite(PathBuf),
    /// The owner's URL of the database.
    Postgres(String),
    /// MariaDB as well.
    Mysql(String),
}

/// Rows as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// One connection, opened on first use and again after an error.
#[derive(Debug)]
pub struct Checker {
    place: Place,
    connection: Mutex<Option<Connection>>,
}

enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(sqlx::PgConnection),
    Mysql(sqlx::MySqlConnection),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Sqlite",
            Self::Postgres(_) => "Postgres",
            Self::Mysql(_) => "Mysql",
        })
    }
}

impl Checker {
    pub fn new(place: Place) -> Self {
        Self {
            place,
            connection: Mutex::new(None),
        }
    }

    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Runs one statement; gives its rows.
    pub async fn query(&self, sql: &str) -> anyhow::Result<Rows> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => Connection::open(&self.place).await?,
        };
        // An error leaves the slot empty: the next statement begins on a new connection.
        let rows = connection
            .query(sql)
            .await
            .with_context(|| format!("the checker's `{sql}`"))?;
        *slot = Some(connection);
        Ok(rows)
    }

    /// The only value of the only row.
    pub async fn value(&self, sql: &str) -> anyhow::Result<Option<String>> {
        let rows = self.query(sql).await?;
        let row = rows
            .into_iter()
            .next()
            .with_context(|| format!("no row: {sql}"))?;
        row.into_iter().next().context("no column")
    }

    pub async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(self.value(sql).await?.context("a number, not NULL")?.parse()?)
    }
}

impl Connection {
    async fn open(place: &Place) -> anyhow::Result<Self> {
        Ok(match place {
            Place::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path)?;
                connection.busy_timeout(std::time::Duration::from_secs(10))?;
                Self::Sqlite(connection)
            }
            Place::Postgres(url) => {
                let options: sqlx::postgres::PgConnectOptions = url.parse()?;
                let options = options
                    .ssl_mode(sqlx::postgres::PgSslMode::Disable)
                    .disable_statement_logging();
                Self::Postgres(sqlx::PgConnection::connect_with(&options).await?)
            }
            Place::Mysql(url) => {
                let options: sqlx::mysql::MySqlConnectOptions = url.parse()?;
                let mut connection =
                    sqlx::MySqlConnection::connect_with(&options.disable_statement_logging()).await?;
                sqlx::raw_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                    .execute(&mut connection)
                    .await?;
                Self::Mysql(connection)
            }
        })
    }

    async fn query(&mut self, sql: &str) -> anyhow::Result<Rows> {
        match self {
            Self::Sqlite(connection) => sqlite(connection, sql),
            Self::Postgres(connection) => {
                texts(&sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?)
            }
            Self::Mysql(connection) => texts(&sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?),
        }
    }
}

/// The text protocol gives every value as the server prints it.
fn texts<R>(rows: &[R]) -> anyhow::Result<Rows>
where
    R: sqlx::Row,
    usize: sqlx::ColumnIndex<R>,
    for<'r> String: sqlx::Decode<'r, R::Database>,
{
    rows.iter()
        .map(|row| {
            (0..row.len())
                .map(|i| Ok(row.try_get_unchecked::<Option<String>, usize>(i)?))
                .collect()
        })
        .collect()
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
