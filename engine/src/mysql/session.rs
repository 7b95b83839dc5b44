//! One open connection and its statements: prepared, with bound values, each with a timeout. Tracks whether a
//! statement may still be running on the server.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::{Arguments as _, AssertSqlSafe, Either, MySqlConnection, Row as _, ValueRef as _};
use synapsor_domain::digest::Digest;
use tokio_stream::StreamExt as _;

use super::connect::{MysqlServerInfo, TEMPORARY_TABLE};
use super::error_map::{is_answer, is_duplicate, is_lost, is_right_missing, map_driver_error};
use super::settings::Settings;
use crate::driver;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Extra time beyond the server's own timeout, within which the server ends a statement itself.
const GRACE: Duration = Duration::from_millis(250);

/// A bound value.
#[derive(Clone)]
pub enum BindValue {
    Null,
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<String> for BindValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// One row, each cell as the bytes that the server sent.
pub struct Cells(Vec<Option<Vec<u8>>>);

impl Cells {
    /// A row of these texts.
    #[cfg(test)]
    pub fn of(texts: &[Option<&str>]) -> Self {
        let bytes = |text: &Option<&str>| text.map(|text| text.as_bytes().to_vec());
        Self(texts.iter().map(bytes).collect())
    }

    /// The bytes of a cell; `None` for NULL.
    pub fn bytes(&self, at: usize) -> Option<&[u8]> {
        self.0.get(at).and_then(Option::as_deref)
    }

    /// The text of a cell; `None` for NULL.
    pub fn optional(&self, at: usize) -> Result<Option<String>, EngineError> {
        let unreadable = |_| EngineError::new(EngineErrorKind::Unreadable, "a text that is not UTF-8");
        self.bytes(at)
            .map(|bytes| std::str::from_utf8(bytes).map(ToOwned::to_owned))
            .transpose()
            .map_err(unreadable)
    }

    /// The text of a cell that is never NULL.
    pub fn text(&self, at: usize) -> Result<String, EngineError> {
        self.optional(at)?
            .ok_or_else(|| EngineError::new(EngineErrorKind::Unreadable, "a value is missing"))
    }
}

/// Reasons why a statement failed, with their consequence for the connection.
pub struct MysqlStatementError {
    pub error: EngineError,
    /// A row with this key exists.
    pub is_duplicate: bool,
    /// The connection was lost.
    pub is_lost: bool,
}

impl From<MysqlStatementError> for EngineError {
    fn from(failed: MysqlStatementError) -> Self {
        failed.error
    }
}

/// An open connection. After an error it is not used again.
pub struct MysqlConn {
    connection: MySqlConnection,
    pub generation: Digest,
    /// The server's id of this connection; 0 until it is known.
    pub id: u64,
    server: Option<MysqlServerInfo>,
    /// The facts that the database reported when the connection was opened.
    pub identity: String,
    /// The settings of a connection for writing at its opening.
    pub settings: Option<Settings>,
    /// Output of `SHOW GRANTS` for its account; global rights stay as they were at the login.
    grants: Option<Arc<[String]>>,
    pub last_used: Instant,
    limit: Option<Duration>,
    until: Option<Instant>,
    is_busy: bool,
    is_broken: bool,
}

impl MysqlConn {
    pub fn new(connection: MySqlConnection, generation: Digest) -> Self {
        Self {
            connection,
            generation,
            id: 0,
            server: None,
            identity: String::new(),
            settings: None,
            grants: None,
            last_used: Instant::now(),
            limit: None,
            until: None,
            is_busy: false,
            is_broken: false,
        }
    }

    pub fn know(&mut self, id: u64, server: MysqlServerInfo) {
        self.id = id;
        self.server = Some(server);
    }

    /// Returns the facts of the server, which are complete once the connection is open.
    pub fn server(&self) -> Result<&MysqlServerInfo, EngineError> {
        self.server
            .as_ref()
            .ok_or_else(|| EngineError::new(EngineErrorKind::Other, "the server is not known yet"))
    }

    /// Sets the timeout of each statement from now on.
    pub fn limit(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// Sets the deadline of the last statement.
    pub fn until(&mut self, until: Instant) {
        self.until = Some(until);
    }

    pub fn unlimited(&mut self) {
        (self.limit, self.until) = (None, None);
    }

    /// Whether a statement may still be running on the server.
    pub fn is_busy(&self) -> bool {
        self.is_busy && self.id != 0
    }

    /// Whether it can be used for other work.
    pub fn is_reusable(&self) -> bool {
        !self.is_busy && !self.is_broken
    }

    /// Marks the connection as not reusable.
    pub fn give_up(&mut self) {
        self.is_broken = true;
    }

    /// Returns the rows of a prepared statement. Statements limit the number and the size of their rows
    /// themselves.
    pub async fn rows(&mut self, sql: &str, args: Vec<BindValue>) -> Result<Vec<Cells>, MysqlStatementError> {
        let allowed = self.begin_statement()?;
        let statement = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(args)?);
        let work = statement.fetch_all(&mut self.connection);
        let ended = timed(allowed, work).await;
        let rows = self.end_statement(ended)?;
        rows.iter().map(cells).collect()
    }

    /// Returns the output of `SHOW CREATE TABLE`, from its second column. Returns `None` if the account has
    /// no right to the table, which leaves connection and transaction intact. Never prepared: a statement
    /// prepared for a view keeps showing the view.
    pub async fn shown(&mut self, table: &str) -> Result<Option<String>, MysqlStatementError> {
        let allowed = self.begin_statement()?;
        let statement = sqlx::raw_sql(AssertSqlSafe(format!("SHOW CREATE TABLE {table}")));
        let work = statement.fetch_all(&mut self.connection);
        let ended = match timed(allowed, work).await {
            StatementResult::InTime(Err(error)) if is_right_missing(&error) => {
                StatementResult::InTime(Ok(Vec::new()))
            }
            ended => ended,
        };
        let rows = self.end_statement(ended)?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(cells(row)?.text(1)?))
    }

    /// Returns the catalog's type of a table of this name; `None` if the account sees no such table. Temporary tables
    /// of the connection do not count.
    pub async fn table_type(
        &mut self,
        schema: &str,
        table: &str,
    ) -> Result<Option<String>, MysqlStatementError> {
        let sql = format!(
            "SELECT TABLE_TYPE FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND TABLE_TYPE <> '{TEMPORARY_TABLE}'"
        );
        let args = [schema, table].map(|text| BindValue::Text(text.to_owned()));
        let found = self.rows(&sql, args.into()).await?;
        Ok(found.first().map(|row| row.text(0)).transpose()?)
    }

    /// Returns the first row of each of several statements of this program, sent as one and never prepared. A
    /// server error counts for all of them, except an error of the last statement.
    pub async fn script(&mut self, statements: &[String]) -> Result<Script, MysqlStatementError> {
        let allowed = self.begin_statement()?;
        let sql = AssertSqlSafe(statements.join(";\n"));
        let work = first_rows(&mut self.connection, sql, statements.len());
        let ended = timed(allowed, work).await;
        let (rows, last) = self.end_statement(ended)?;
        let rows = rows.iter().map(|row| row.as_ref().map(cells).transpose());
        Ok(Script {
            rows: rows.collect::<Result<_, _>>()?,
            last_error: last.map(|error| LastError {
                is_right_missing: is_right_missing(&error),
                error: map_driver_error(&error),
            }),
        })
    }

    /// Returns the output of `SHOW GRANTS` for this account, read once. It can contain a password hash.
    pub async fn grants(&mut self) -> Result<Arc<[String]>, MysqlStatementError> {
        if let Some(grants) = &self.grants {
            return Ok(grants.clone());
        }
        let allowed = self.begin_statement()?;
        let statement = sqlx::raw_sql(AssertSqlSafe("SHOW GRANTS"));
        let ended = timed(allowed, statement.fetch_all(&mut self.connection)).await;
        let rows = self.end_statement(ended)?;
        let lines = rows.iter().map(|row| Ok(cells(row)?.text(0)?));
        let grants: Arc<[String]> = lines.collect::<Result<Vec<_>, MysqlStatementError>>()?.into();
        self.grants = Some(grants.clone());
        Ok(grants)
    }

    /// Returns the number of rows that a prepared statement affected.
    pub async fn execute(&mut self, sql: &str, args: Vec<BindValue>) -> Result<u64, MysqlStatementError> {
        let allowed = self.begin_statement()?;
        let statement = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(args)?);
        let work = statement.execute(&mut self.connection);
        let ended = timed(allowed, work).await;
        Ok(self.end_statement(ended)?.rows_affected())
    }

    /// Runs a statement of this program without values, which servers do not prepare.
    pub async fn command(&mut self, sql: String) -> Result<(), MysqlStatementError> {
        let allowed = self.begin_statement()?;
        let work = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection);
        let ended = timed(allowed, work).await;
        self.end_statement(ended).map(|_| ())
    }

    fn begin_statement(&mut self) -> Result<Option<Duration>, MysqlStatementError> {
        if !self.is_reusable() {
            return Err(failed(
                EngineErrorKind::Other,
                "the connection had an error before",
            ));
        }
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            self.is_broken = true;
            return Err(failed(
                EngineErrorKind::Timeout,
                "the transaction was held too long",
            ));
        }
        self.is_busy = true;
        Ok(self.limit.into_iter().chain(left).min())
    }

    fn end_statement<T>(&mut self, ended: StatementResult<T>) -> Result<T, MysqlStatementError> {
        self.last_used = Instant::now();
        // After an error the connection is not reusable; only success clears the mark.
        self.is_broken = true;
        match ended {
            StatementResult::InTime(Ok(answer)) => {
                (self.is_busy, self.is_broken) = (false, false);
                Ok(answer)
            }
            // Interrupted statements of MariaDB can look successful.
            StatementResult::Late(Ok(_)) => {
                self.is_busy = false;
                Err(failed(EngineErrorKind::Timeout, "a statement took too long"))
            }
            StatementResult::InTime(Err(error)) | StatementResult::Late(Err(error)) => {
                self.is_busy = !is_answer(&error) && !is_lost(&error);
                Err(MysqlStatementError {
                    is_duplicate: is_duplicate(&error),
                    is_lost: is_lost(&error),
                    error: map_driver_error(&error),
                })
            }
            StatementResult::NoResponse => Err(failed(EngineErrorKind::Timeout, "a statement took too long")),
        }
    }
}

impl fmt::Debug for MysqlConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlConn")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Results of several statements.
pub struct Script {
    /// The first row of each statement that succeeded.
    pub rows: Vec<Option<Cells>>,
    /// The error of the last statement, if it failed.
    pub last_error: Option<LastError>,
}

/// An error that the server returned; the connection stays usable.
pub struct LastError {
    pub error: EngineError,
    /// The account has no right to the table.
    pub is_right_missing: bool,
}

type FirstRows = (Vec<Option<MySqlRow>>, Option<sqlx::Error>);

/// Returns the first row of each statement, and the error of the last one.
async fn first_rows(
    connection: &mut MySqlConnection,
    sql: AssertSqlSafe<String>,
    statements: usize,
) -> Result<FirstRows, sqlx::Error> {
    let mut answers = sqlx::raw_sql(sql).fetch_many(connection);
    let (mut rows, mut row) = (Vec::new(), None);
    loop {
        match answers.next().await {
            Some(Ok(Either::Right(next))) => row = row.or(Some(next)),
            Some(Ok(Either::Left(_))) => rows.push(row.take()),
            Some(Err(error)) if rows.len() + 1 == statements && is_answer(&error) => {
                return Ok((rows, Some(error)));
            }
            Some(Err(error)) => return Err(error),
            None => return Ok((rows, None)),
        }
    }
}

/// End of a statement.
enum StatementResult<T> {
    InTime(Result<T, sqlx::Error>),
    /// It answered, but after its timeout.
    Late(Result<T, sqlx::Error>),
    /// It did not answer.
    NoResponse,
}

async fn timed<T>(
    allowed: Option<Duration>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> StatementResult<T> {
    let Some(allowed) = allowed else {
        return StatementResult::InTime(driver::run(work).await);
    };
    let begun = Instant::now();
    match tokio::time::timeout(allowed + GRACE, driver::run(work)).await {
        Ok(result) if begun.elapsed() <= allowed => StatementResult::InTime(result),
        Ok(result) => StatementResult::Late(result),
        Err(_) => StatementResult::NoResponse,
    }
}

fn arguments(args: Vec<BindValue>) -> Result<MySqlArguments, MysqlStatementError> {
    let mut bound = MySqlArguments::default();
    for arg in args {
        let added = match arg {
            BindValue::Null => bound.add(None::<String>),
            BindValue::Int(number) => bound.add(number),
            BindValue::Uint(number) => bound.add(number),
            BindValue::Float(number) => bound.add(number),
            BindValue::Text(text) => bound.add(text),
            BindValue::Bytes(bytes) => bound.add(bytes),
        };
        added.map_err(|_| failed(EngineErrorKind::Other, "a value cannot be bound"))?;
    }
    Ok(bound)
}

fn cells(row: &MySqlRow) -> Result<Cells, MysqlStatementError> {
    let cell = |at| {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(None);
        }
        <&[u8] as sqlx::Decode<'_, sqlx::MySql>>::decode(raw)
            .map(|bytes| Some(bytes.to_vec()))
            .map_err(sqlx::Error::Decode)
    };
    let cells = driver::read(|| (0..row.len()).map(cell).collect());
    cells
        .map(Cells)
        .map_err(|_| failed(EngineErrorKind::Unreadable, "a value is not of the expected type"))
}

fn failed(kind: EngineErrorKind, detail: &str) -> MysqlStatementError {
    MysqlStatementError {
        error: EngineError::new(kind, detail),
        is_duplicate: false,
        is_lost: false,
    }
}
