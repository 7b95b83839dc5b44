//! Database connection of the owner, for changes outside the product. Calls block; they work from plain tests and
//! from within a runtime.

use std::future::Future;
use std::str::FromStr as _;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, raw_sql};
use synapsor_domain::contract;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::Engine;

/// Statement timeout; no statement of a test takes longer on a working server.
const LIMIT: Duration = Duration::from_secs(60);

/// Row in the server's text format.
pub(super) type TextRow = Vec<Option<String>>;

#[derive(Debug)]
enum Connection {
    Postgres(Box<PgConnection>),
    Mysql(Box<MySqlConnection>),
}

/// One connection, opened on first use and reopened after an error. The test controls its transactions.
#[derive(Debug, Clone)]
pub struct Session {
    engine: Engine,
    url: String,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Session {
    /// Creates a connection for a URL; it connects on first use.
    pub fn new(engine: Engine, url: String) -> Self {
        Self {
            engine,
            url,
            connection: Arc::default(),
        }
    }

    /// Runs the statements of a string.
    ///
    /// # Errors
    /// The database error, with the SQL.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        self.query_text(sql).map(drop)
    }

    /// Returns the rows of the statements, each value in the server's text format.
    ///
    /// # Errors
    /// As [`Session::execute`].
    pub fn query_text(&self, sql: &str) -> anyhow::Result<Vec<TextRow>> {
        let (this, text) = (self.clone(), sql.to_owned());
        block_on(async move {
            let mut connection = this.connection.lock().await;
            let mut open = match connection.take() {
                Some(open) => open,
                None => this.connect().await?,
            };
            let rows = open.rows(text).await?;
            *connection = Some(open);
            Ok(rows)
        })
        .with_context(|| format!("on {}: {sql}", self.engine))
    }

    /// Returns the first value of the first row.
    ///
    /// # Errors
    /// As [`Session::execute`], and a missing row or a null value.
    pub fn value(&self, sql: &str) -> anyhow::Result<String> {
        let rows = self.query_text(sql)?;
        let first = rows.into_iter().next().and_then(|row| row.into_iter().next());
        first
            .flatten()
            .with_context(|| format!("no value on {}: {sql}", self.engine))
    }

    /// Closes the connection; the next call opens a new one.
    pub fn close(&self) {
        let this = self.clone();
        let _ = block_on(async move {
            this.connection.lock().await.take();
            Ok(())
        });
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        Ok(match self.engine.in_contract() {
            contract::EngineKind::Mysql => {
                // Character set and SQL mode stay at the server's defaults.
                let options = MySqlConnectOptions::from_str(&self.url)?
                    .pipes_as_concat(false)
                    .no_engine_substitution(false);
                Connection::Mysql(Box::new(options.connect().await?))
            }
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => {
                let options = PgConnectOptions::from_str(&self.url)?;
                Connection::Postgres(Box::new(options.connect().await?))
            }
        })
    }
}

impl Connection {
    async fn rows(&mut self, sql: String) -> anyhow::Result<Vec<TextRow>> {
        let statements = raw_sql(AssertSqlSafe(sql));
        Ok(match self {
            Self::Postgres(connection) => {
                let rows = statements.fetch_all(&mut **connection).await?;
                let texts = rows.iter().map(|row| {
                    (0..row.len())
                        .map(|i| row.try_get_unchecked(i))
                        .collect::<Result<_, _>>()
                });
                texts.collect::<Result<_, _>>()?
            }
            Self::Mysql(connection) => {
                let rows = statements.fetch_all(&mut **connection).await?;
                let texts = rows.iter().map(|row| {
                    (0..row.len())
                        .map(|i| row.try_get_unchecked(i))
                        .collect::<Result<_, _>>()
                });
                texts.collect::<Result<_, _>>()?
            }
        })
    }
}

/// Runs a future on this module's own runtime and waits for it.
fn block_on<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime starts")
    });
    let (sender, receiver) = mpsc::channel();
    runtime.spawn(async move {
        let result = tokio::time::timeout(LIMIT, work).await;
        let _ = sender.send(result.context("no response within a minute").flatten());
    });
    receiver.recv().context("work ended without a result")?
}
