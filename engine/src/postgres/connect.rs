//! Opens, secures and pools connections, and cancels a statement on the server when its caller stops waiting.
//! Only this file passes statements to the driver.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow, PgSslMode};
use sqlx::{
    Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _,
    ValueRef as _,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;

use super::dialect::Statement;
use super::error_map::{is_function_refused, map_driver_error, of_login};
use super::session::{
    EXACT_SETTINGS, ReadableIdentity, SYSTEM_IDENTIFIER, ServerFacts, StatementCounts, TIMELINE,
    exact_settings_statement, restore_statements, timeouts,
};
use super::shapes::PlainTable;
use super::system_rights;
use super::url::{ServerUrl, UrlSslMode};
use crate::credential::{Credential, CredentialMaterial, unusable_url};
use crate::driver;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::{ErrorCause, UnsupportedServer};
use synapsor_source::row_size::error_in;

/// Maximum number of open connections of one kind unless the contract sets another.
pub const CONNECTIONS_MAX: usize = 16;
/// The oldest supported server, as the server numbers it.
const VERSION_MIN: u32 = 130_000;
/// Timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Extra time that the client waits beyond the server's timeout, for an answer in transit.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// Maximum age of a connection, so that a change of the server's role is noticed.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// Interval at which the credential is read again while connections are pooled.
const CREDENTIAL_AGE_MAX: Duration = Duration::from_secs(1);

/// Number of attempts to cancel a running statement, and the timeout of each.
const CANCELS_MAX: u32 = 10;
const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);

/// Kind of connections that a connector opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionPurpose {
    Reading,
    Writing,
}

/// Opens connections for one purpose and pools the healthy ones.
pub struct PgPool {
    credential: Credential,
    purpose: ConnectionPurpose,
    statement_timeout: Duration,
    idle: Mutex<Vec<PgConn>>,
    turns: Arc<Semaphore>,
    generation: Mutex<Option<(Instant, Digest)>>,
    /// One connection that cancels statements of the others.
    canceller: tokio::sync::Mutex<Option<PgConn>>,
}

/// One open connection.
pub struct PgConn {
    connection: PgConnection,
    /// Host and port, or the path of the socket.
    server: String,
    /// As of its opening.
    pub facts: ServerFacts,
    /// As of its opening.
    readable: ReadableIdentity,
    /// Whether the connection is only assigned for one transaction (pooler): it must leave no state behind.
    pub is_pooled: bool,
    /// Timeout of its statements.
    timeout: Duration,
    /// Whether its options were found after a reset. A pooler that applies options itself instead of passing them on
    /// loses them.
    is_restorable: bool,
    /// The table that it has served since its last reset, if it was given back without one.
    served: Option<PlainTable>,
    generation: Digest,
    opened_at: Instant,
}

impl PgConn {
    /// Restores the initial state, and returns whether that is possible. Foreign code that ran with a statement can
    /// have changed settings and roles, which end here, or replaced prepared statements.
    async fn restore(&mut self) -> bool {
        let restored = batch(
            &mut self.connection,
            restore_statements(self.timeout, self.is_restorable),
        );
        let Ok(Ok(rows)) = tokio::time::timeout(CONNECT_TIMEOUT, restored).await else {
            return false;
        };
        let counts = rows.first().and_then(|row| StatementCounts::of(row));
        let are_ours = counts.is_some_and(|counts| counts.are_ours(self.connection.cached_statements_size()));
        let first = rows.get(1).and_then(|row| row.first()?.as_deref());
        self.is_restorable |= first == Some("true");
        self.served = None;
        are_ours && self.is_restorable
    }

    /// Whether it needs no reset before it serves a table, or anything for `None`.
    fn is_ready_for(&self, table: Option<&PlainTable>) -> bool {
        match (&self.served, table) {
            (None, _) => true,
            (Some(served), Some(table)) => served.continues(table),
            (Some(_), None) => false,
        }
    }
}

impl PgPool {
    pub fn new(
        credential: Credential,
        purpose: ConnectionPurpose,
        statement_timeout: Duration,
        connections: usize,
    ) -> Self {
        Self {
            credential,
            purpose,
            statement_timeout,
            idle: Mutex::new(Vec::new()),
            turns: Arc::new(Semaphore::new(connections)),
            generation: Mutex::new(None),
            canceller: tokio::sync::Mutex::new(None),
        }
    }

    pub const fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// Returns a connection for one piece of work, and whether it came from the pool.
    pub async fn lease(self: &Arc<Self>) -> Result<(PgPooledConnection, bool), EngineError> {
        self.lease_for(None).await
    }

    /// Like [`Self::lease`], for a read of this table if one is given. The connection can have served the same table
    /// since its last reset.
    pub async fn lease_for(
        self: &Arc<Self>,
        table: Option<&PlainTable>,
    ) -> Result<(PgPooledConnection, bool), EngineError> {
        let wait = tokio::time::timeout(self.statement_timeout, self.turns.clone().acquire_owned());
        let Ok(Ok(turn)) = wait.await else {
            return Err(EngineError::new(
                EngineErrorKind::Busy,
                "all connections are in use",
            ));
        };
        let generation = self.current_generation()?;
        let mut kept = self.take_idle(generation, table);
        if let Some(session) = &mut kept
            && !session.is_ready_for(table)
            && !session.restore().await
        {
            kept = None;
        }
        let is_kept = kept.is_some();
        let session = match kept {
            Some(session) => session,
            None => self.open().await?,
        };
        let lease = PgPooledConnection {
            held: Some((session, turn)),
            home: self.clone(),
            is_running: false,
        };
        Ok((lease, is_kept))
    }

    fn take_idle(&self, generation: Digest, table: Option<&PlainTable>) -> Option<PgConn> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| {
            session.generation == generation && session.opened_at.elapsed() < CONNECTION_AGE_MAX
        });
        let of_table = idle
            .iter()
            .rposition(|s| s.served.is_some() && s.is_ready_for(table));
        let at = of_table.or_else(|| idle.iter().rposition(|s| s.served.is_none()));
        // Without either, the one that was not used for the longest time.
        let at = at.or_else(|| (!idle.is_empty()).then_some(0))?;
        Some(idle.remove(at))
    }

    fn current_generation(&self) -> Result<Digest, EngineError> {
        let mut kept = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, generation)) = *kept
            && at.elapsed() < CREDENTIAL_AGE_MAX
        {
            return Ok(generation);
        }
        let generation = self.credential.read()?.generation;
        *kept = Some((Instant::now(), generation));
        Ok(generation)
    }

    async fn open(&self) -> Result<PgConn, EngineError> {
        let material = self.credential.read()?;
        let url = ServerUrl::parse(material.url.expose()).map_err(|refusal| unusable_url(&refusal))?;
        let timeout = url.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        match tokio::time::timeout(timeout, self.connect(&url, &material)).await {
            Ok(opened) => opened,
            Err(_) => {
                let detail = "the server does not respond";
                let error = EngineError::new(EngineErrorKind::Unavailable, detail);
                Err(
                    driver::attempt_error(error.because(ErrorCause::NoAnswer), &address_of(&url), url.port)
                        .await,
                )
            }
        }
    }

    async fn connect(&self, url: &ServerUrl, material: &CredentialMaterial) -> Result<PgConn, EngineError> {
        let mut options = options(url, material).map_err(|refusal| unusable_url(&refusal))?;
        if !url.is_pooled {
            options = options.options(EXACT_SETTINGS).options(self.session_settings());
        }
        match driver::run(options.connect()).await {
            Ok(connection) => {
                let checked = self.check_opened(connection, url, material).await;
                checked.map_err(|error| error.at(&driver::server_name(&address_of(url), url.port)))
            }
            Err(error) => {
                let failed = of_login(&error, url.is_pooled);
                Err(driver::attempt_error(failed, &address_of(url), url.port).await)
            }
        }
    }

    /// Checks that the server behind a new connection is usable, and that the connection has its settings.
    async fn check_opened(
        &self,
        mut connection: PgConnection,
        url: &ServerUrl,
        material: &CredentialMaterial,
    ) -> Result<PgConn, EngineError> {
        refuse_old(connection.server_version_num())?;
        let (readable, rows) = match read_facts(&mut connection).await {
            Ok(read) => read,
            Err(error) => return Err(with_missing_rights(&mut connection, error).await),
        };
        let setting = |at: usize| rows.last().and_then(|row| row.get(at).cloned().flatten());
        let facts = ServerFacts::of_row(rows.first().map_or(&[], Vec::as_slice))?;
        if url.needs_primary && facts.is_standby {
            let detail = "the URL wants a primary, and the server is a standby";
            return Err(
                EngineError::new(EngineErrorKind::Unavailable, detail).because(ErrorCause::TakesNoWrites)
            );
        }
        let is_exact = setting(0).as_deref() == Some("true");
        let is_as_asked = is_exact && (self.purpose == ConnectionPurpose::Writing || facts.is_read_only);
        if !url.is_pooled && !is_as_asked {
            // A pooler with `ignore_startup_parameters` drops the options of a connection.
            let detail = "the connection lacks the settings that it was opened with";
            return Err(
                EngineError::new(EngineErrorKind::Unavailable, detail).because(ErrorCause::PoolerUndeclared)
            );
        }
        Ok(PgConn {
            connection,
            server: driver::server_name(&address_of(url), url.port),
            facts,
            readable,
            is_pooled: url.is_pooled,
            timeout: self.statement_timeout,
            is_restorable: false,
            served: None,
            generation: material.generation,
            opened_at: Instant::now(),
        })
    }

    fn session_settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = timeouts(self.statement_timeout);
        settings.push(("default_transaction_isolation", "read committed".to_owned()));
        if self.purpose == ConnectionPurpose::Reading {
            settings.push(("default_transaction_read_only", "on".to_owned()));
        }
        settings
    }

    fn give_back(&self, session: PgConn) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(session);
    }

    /// Cancels the running statement of a connection and closes it. A server process that has not started the
    /// statement yet misses the first request.
    async fn stop(&self, mut session: PgConn) {
        for _ in 0..CANCELS_MAX {
            self.cancel(&session.facts).await;
            let ping = driver::run(session.connection.ping());
            if tokio::time::timeout(CANCEL_TIMEOUT, ping).await.is_ok() {
                return;
            }
        }
    }

    /// Cancels the statement of another server process of this role.
    async fn cancel(&self, facts: &ServerFacts) {
        let mut canceller = self.canceller.lock().await;
        let kept = canceller
            .take()
            .filter(|s| s.opened_at.elapsed() < CONNECTION_AGE_MAX);
        let mut session = match kept {
            Some(session) => session,
            None => match self.open().await {
                Ok(session) => session,
                // The server's own timeout ends the statement then.
                Err(_) => return,
            },
        };
        let (process, started) = facts.process();
        let sql = format!(
            "SELECT pg_catalog.pg_cancel_backend(a.pid)::text FROM pg_catalog.pg_stat_activity a \
             WHERE a.pid = {process} AND (EXTRACT(epoch FROM a.backend_start) * 1000000)::bigint = {started}"
        );
        if let Ok(Ok(_)) = tokio::time::timeout(CONNECT_TIMEOUT, batch(&mut session.connection, sql)).await {
            *canceller = Some(session);
        }
    }
}

impl fmt::Debug for PgPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgPool")
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

/// A connection in use. When returned, it goes back to the pool. When dropped, it is closed and its running
/// statement is canceled.
pub struct PgPooledConnection {
    held: Option<(PgConn, OwnedSemaphorePermit)>,
    home: Arc<PgPool>,
    is_running: bool,
}

impl PgPooledConnection {
    pub fn facts(&self) -> &ServerFacts {
        &self.held().facts
    }

    /// Returns the current server process; behind a pooler it can differ in every transaction.
    pub fn set_facts(&mut self, facts: ServerFacts) {
        if let Some((session, _)) = &mut self.held {
            session.facts = facts;
        }
    }

    /// Returns the statement that reads the facts of the server again.
    pub fn facts_statement(&self) -> String {
        self.held().readable.statement()
    }

    /// Returns the parts of the identity that the role may read.
    pub fn readable_identity(&self) -> ReadableIdentity {
        self.held().readable
    }

    pub fn is_pooled(&self) -> bool {
        self.held().is_pooled
    }

    fn held(&self) -> &PgConn {
        let (session, _) = self
            .held
            .as_ref()
            .expect("a lease holds its session until it is consumed");
        session
    }

    /// Returns the rows of one statement, every column as text.
    pub async fn fetch(&mut self, statement: Statement) -> Result<Vec<Vec<Option<String>>>, EngineError> {
        let rows = self.rows(statement).await;
        texts(&rows.map_err(|failed| self.described(&failed))?)
    }

    /// Like [`Lease::fetch`], for a statement with these columns: a value that is not valid text is an error that names
    /// its column.
    pub async fn fetch_columns(
        &mut self,
        statement: Statement,
        names: &[&String],
    ) -> Result<Vec<Vec<Option<String>>>, EngineError> {
        let rows = self.rows(statement).await;
        let rows = rows.map_err(|failed| self.described(&failed))?;
        decoded(&rows).map_err(|error| {
            let at = match &error {
                sqlx::Error::ColumnDecode { index, .. } => index.parse().ok(),
                _ => None,
            };
            let name = at.and_then(|at: usize| names.get(at));
            let mapped = map_driver_error(&error);
            match name {
                Some(name) => error_in(mapped, name),
                None => mapped,
            }
        })
    }

    /// Like [`Lease::fetch`], with the driver's own error.
    pub async fn fetch_or_fail(
        &mut self,
        statement: Statement,
    ) -> Result<Vec<Vec<Option<String>>>, PgStatementError> {
        let rows = self.rows(statement).await?;
        texts(&rows).map_err(|_| PgStatementError::Late)
    }

    async fn rows(&mut self, statement: Statement) -> Result<Vec<PgRow>, PgStatementError> {
        let (is_pooled, deadline) = (self.is_pooled(), self.deadline());
        let arguments = arguments(&statement.parameters).map_err(PgStatementError::Driver)?;
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), arguments).persistent(!is_pooled);
        let done = tokio::time::timeout(deadline, driver::run(query.fetch_all(self.start()))).await;
        self.settle(done)
    }

    /// Returns the number of rows that one statement changed.
    pub async fn execute(&mut self, statement: Statement) -> Result<u64, PgStatementError> {
        let (is_pooled, deadline) = (self.is_pooled(), self.deadline());
        let arguments = arguments(&statement.parameters).map_err(PgStatementError::Driver)?;
        let query = sqlx::query_with(AssertSqlSafe(statement.sql), arguments).persistent(!is_pooled);
        let done = tokio::time::timeout(deadline, driver::run(query.execute(self.start()))).await;
        Ok(self.settle(done)?.rows_affected())
    }

    /// Runs several statements of this program in one message, without parameters; returns the rows of all,
    /// as text.
    pub async fn batch(&mut self, sql: String) -> Result<Vec<Vec<Option<String>>>, EngineError> {
        let deadline = self.deadline();
        self.batch_within(sql, deadline).await
    }

    /// Like [`Lease::batch`], with another timeout.
    pub async fn batch_within(
        &mut self,
        sql: String,
        deadline: Duration,
    ) -> Result<Vec<Vec<Option<String>>>, EngineError> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self.start());
        let done = tokio::time::timeout(deadline, driver::run(query)).await;
        let rows = self.settle(done);
        texts(&rows.map_err(|failed| self.described(&failed))?)
    }

    /// Adds the address to a refusal of the pooler, which concerns the URL and not the statement.
    fn described(&self, failed: &PgStatementError) -> EngineError {
        let error = failed.scrubbed();
        match error.cause {
            ErrorCause::PoolerOfStatements => error.at(&self.held().server),
            _ => error,
        }
    }

    fn deadline(&self) -> Duration {
        self.home.statement_timeout + ANSWER_GRACE
    }

    /// The statement counts as running from here on: a canceled caller never reaches the line that clears it.
    fn start(&mut self) -> &mut PgConnection {
        self.is_running = true;
        let (session, _) = self
            .held
            .as_mut()
            .expect("a lease holds its session until it is consumed");
        &mut session.connection
    }

    fn settle<T>(&mut self, done: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, PgStatementError> {
        let done = done.map_err(|_| PgStatementError::Late)?;
        self.is_running = false;
        done.map_err(PgStatementError::Driver)
    }

    /// Statements that were prepared on the connection; absent if none is.
    pub fn prepared_statements(&self) -> Option<usize> {
        let held = self.held();
        (!held.is_pooled).then(|| held.connection.cached_statements_size())
    }

    /// Returns the connection to the pool without a reset, after a read of a table that runs no code of others as far as
    /// is known. A read that took longer than the shape of the table counts can have waited for a change of the table.
    pub fn give_back_after(mut self, table: &PlainTable) {
        if !table.is_current() {
            return self.give_back();
        }
        if let Some((mut session, _turn)) = self.held.take() {
            session.served = Some(table.clone());
            self.home.give_back(session);
        }
    }

    /// Returns the connection to the pool; it must be outside a transaction. A read may have touched rows of
    /// any table, so a connection for reading is restored first; no caller waits for that.
    pub fn give_back(mut self) {
        let Some((mut session, turn)) = self.held.take() else {
            return;
        };
        if self.home.purpose == ConnectionPurpose::Writing || session.is_pooled {
            self.home.give_back(session);
            return;
        }
        let home = self.home.clone();
        tokio::spawn(async move {
            if session.restore().await {
                home.give_back(session);
            }
            drop(turn);
        });
    }
}

impl Drop for PgPooledConnection {
    fn drop(&mut self) {
        let Some((session, turn)) = self.held.take() else {
            return;
        };
        if !self.is_running {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let home = self.home.clone();
        runtime.spawn(async move {
            // The connection stays open until then, so that no other process can get its number.
            home.stop(session).await;
            drop(turn);
        });
    }
}

/// Reasons why a statement returned nothing.
#[derive(Debug)]
pub enum PgStatementError {
    /// No answer within the server's timeout plus a margin.
    Late,
    Driver(sqlx::Error),
}

impl PgStatementError {
    pub fn scrubbed(&self) -> EngineError {
        match self {
            PgStatementError::Late => {
                EngineError::new(EngineErrorKind::Timeout, "the server did not answer in time")
            }
            PgStatementError::Driver(error) => map_driver_error(error),
        }
    }
}

/// Returns the host, or the path of the local socket.
fn address_of(url: &ServerUrl) -> String {
    if url.host.starts_with('/') {
        return format!("{}/.s.PGSQL.{}", url.host, url.port);
    }
    url.host.clone()
}

/// Refuses a server that lacks what every connection needs. A server that names no version is let through: its
/// answers decide.
fn refuse_old(version: Option<u32>) -> Result<(), EngineError> {
    let Some(number) = version.filter(|number| *number < VERSION_MIN) else {
        return Ok(());
    };
    let (major, minor) = (number / 10_000, number % 10_000);
    let minor = if major < 10 { minor / 100 } else { minor };
    let cause = ErrorCause::ServerTooOld(UnsupportedServer {
        found: format!("PostgreSQL {major}.{minor}"),
        oldest: "13",
        missing: "functions that compare a table's definition and a row's version exactly",
    });
    Err(EngineError::new(EngineErrorKind::Unavailable, "the server version is too old").because(cause))
}

/// Reads the facts of the server, and whether a new connection has its settings, without the parts of the identity that its role
/// may not read.
async fn read_facts(
    connection: &mut PgConnection,
) -> Result<(ReadableIdentity, Vec<Vec<Option<String>>>), EngineError> {
    let opening =
        |readable: ReadableIdentity| format!("{}; {}", readable.statement(), exact_settings_statement());
    let failed = match batch(connection, opening(ReadableIdentity::WHOLE)).await {
        Ok(rows) => return Ok((ReadableIdentity::WHOLE, rows)),
        Err(error) => error,
    };
    let readable = ReadableIdentity {
        system: may_read(connection, SYSTEM_IDENTIFIER).await?,
        timeline: may_read(connection, TIMELINE).await?,
    };
    if readable == ReadableIdentity::WHOLE {
        return Err(failed);
    }
    Ok((readable, batch(connection, opening(readable)).await?))
}

async fn with_missing_rights(connection: &mut PgConnection, error: EngineError) -> EngineError {
    if !system_rights::may_cause(&error) {
        return error;
    }
    match batch(connection, system_rights::missing()).await {
        Ok(rows) => system_rights::add_cause(error, &rows),
        Err(_) => error,
    }
}

/// Returns whether the role may call the functions of an expression. Another failure says nothing about that.
async fn may_read(connection: &mut PgConnection, expression: &str) -> Result<bool, EngineError> {
    let statement = sqlx::raw_sql(AssertSqlSafe(format!("SELECT {expression}")));
    match driver::run(statement.fetch_all(connection)).await {
        Ok(_) => Ok(true),
        Err(error) if is_function_refused(&error) => Ok(false),
        Err(error) => Err(map_driver_error(&error)),
    }
}

async fn batch(connection: &mut PgConnection, sql: String) -> Result<Vec<Vec<Option<String>>>, EngineError> {
    let rows = driver::run(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection)).await;
    texts(&rows.map_err(|error| map_driver_error(&error))?)
}

fn arguments(parameters: &[Option<String>]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for parameter in parameters {
        arguments.add(parameter.as_deref()).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn texts(rows: &[PgRow]) -> Result<Vec<Vec<Option<String>>>, EngineError> {
    decoded(rows).map_err(|error| map_driver_error(&error))
}

/// Returns every column as text. The error names the position of a column that is not valid text.
fn decoded(rows: &[PgRow]) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
    let text = |row: &PgRow, at: usize| -> Result<Option<String>, sqlx::Error> {
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            return Ok(None);
        }
        value
            .as_str()
            .map(|text| Some(text.to_owned()))
            .map_err(|source| sqlx::Error::ColumnDecode {
                index: at.to_string(),
                source,
            })
    };
    driver::read(|| {
        rows.iter()
            .map(|row| (0..row.len()).map(|at| text(row, at)).collect())
            .collect()
    })
}

fn options(url: &ServerUrl, material: &CredentialMaterial) -> Result<PgConnectOptions, PublicError> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(url.port)
        .username(&url.user)
        .password(&url.password)
        .database(&url.database)
        .application_name("synapsor")
        .extra_float_digits(None)
        .ssl_mode(match url.tls(material.mode)? {
            UrlSslMode::Disable | UrlSslMode::Allow | UrlSslMode::Prefer => PgSslMode::Disable,
            UrlSslMode::Require => PgSslMode::Require,
            UrlSslMode::VerifyCa => PgSslMode::VerifyCa,
            UrlSslMode::VerifyFull => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    options = if url.host.starts_with('/') {
        options.socket(&url.host)
    } else {
        options.host(&url.host)
    };
    if let Some(ca) = &material.ca {
        options = options.ssl_root_cert_from_pem(ca.clone());
    }
    if let Some((certificate, key)) = &material.client {
        options = options
            .ssl_client_cert_from_pem(certificate)
            .ssl_client_key_from_pem(key.expose());
    }
    Ok(options)
}

/// Checks whether the URL is valid.
pub fn check_url(material: &CredentialMaterial) -> Result<(), PublicError> {
    options(&ServerUrl::parse(material.url.expose())?, material).map(|_| ())
}

#[cfg(test)]
mod tests {
    use synapsor_codes::ErrorCode;
    use synapsor_source::db_error_message::explain;

    use super::*;

    #[test]
    fn old_server_is_refused_with_both_versions() {
        for (number, found) in [
            (120_022, "PostgreSQL 12.22"),
            (100_000, "PostgreSQL 10.0"),
            (90_624, "PostgreSQL 9.6"),
        ] {
            let error = refuse_old(Some(number)).unwrap_err();
            assert_eq!(error.kind, EngineErrorKind::Unavailable, "{number}");
            let message = explain(&error);
            assert_eq!(message.code, ErrorCode::SourceTooOld, "{number}");
            for part in [found, "is 13", "functions that compare"] {
                assert!(message.text.contains(part), "{}", message.text);
            }
            assert!(message.fix.contains("13 or later"), "{}", message.fix);
        }
        for number in [None, Some(VERSION_MIN), Some(180_001)] {
            assert!(refuse_old(number).is_ok(), "{number:?}");
        }
    }
}
