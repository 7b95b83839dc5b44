//! Opens the engine for a source of the contract, or for a single environment variable.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::run::ExitError;
use synapsor_chassis::secret::{Secret, SecretError};
use synapsor_domain::contract::{EngineKind, Source};
use synapsor_domain::error::PublicError;

use super::credential::{Credential, URL_FIX};
use super::mysql::MysqlEngine;
use super::postgres::PostgresEngine;
use super::sqlite::SqliteEngine;
use crate::Access;
use synapsor_source::{Engine, ReceiptTable};

/// Parameters for opening an engine. No connection is opened before the first use.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Name used in messages: a source of the contract, or the variable that holds the URL.
    pub name: String,
    pub kind: EngineKind,
    pub credential: Credential,
    pub receipts: ReceiptTable,
    pub limits: EngineLimits,
}

/// Limits of one engine; each is the engine's default if absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineLimits {
    pub statement_timeout: Option<Duration>,
    /// Connections that are open at most, of each purpose.
    pub connections: Option<u32>,
}

impl EngineLimits {
    /// Returns the maximum number of connections.
    pub(crate) fn connections_or(self, default: usize) -> usize {
        self.connections
            .and_then(|connections| usize::try_from(connections).ok())
            .unwrap_or(default)
    }
}

/// An engine of any kind.
#[derive(Debug)]
pub enum AnyEngine {
    Sqlite(SqliteEngine),
    Postgres(PostgresEngine),
    Mysql(MysqlEngine),
}

impl EngineConfig {
    /// Describes a source of the contract; `table` is the receipt table unless the source names its own.
    pub fn of_source(source: &Source, credential: Credential, table: &str) -> Self {
        Self {
            name: format!("source `{}`", source.name),
            kind: source.engine,
            credential,
            receipts: ReceiptTable {
                schema: source.receipt_schema.clone(),
                table: source.receipt_table.clone().unwrap_or_else(|| table.to_owned()),
            },
            limits: EngineLimits {
                statement_timeout: source
                    .statement_timeout_ms
                    .map(|ms| Duration::from_millis(ms.into())),
                connections: source.max_connections,
            },
        }
    }

    /// Opens an engine that only reads.
    ///
    /// # Errors
    /// As [`Opening::open_for`].
    pub fn open(self) -> Result<Arc<dyn Engine>, ExitError> {
        Ok(match self.open_for(Access::Read)? {
            AnyEngine::Sqlite(engine) => Arc::new(engine),
            AnyEngine::Postgres(engine) => Arc::new(engine),
            AnyEngine::Mysql(engine) => Arc::new(engine),
        })
    }

    /// Opens an engine for this purpose.
    ///
    /// # Errors
    /// A variable that is unset or unreadable, or a URL of another engine; no error contains the URL.
    pub fn open_for(self, access: Access) -> Result<AnyEngine, ExitError> {
        if !self.credential.is_present()? {
            let name = self.credential.url_name().to_owned();
            return Err(SecretError::Missing { name }.into());
        }
        let limits = self.limits;
        let name = match self.credential.url_name() {
            variable if variable == self.name => self.name.clone(),
            variable => format!("{}, variable {variable}", self.name),
        };
        let named = |refusal: PublicError| named(&name, &refusal);
        Ok(match self.kind {
            EngineKind::Sqlite => {
                let url = self.url()?;
                let engine = SqliteEngine::new(url.expose(), &self.receipts.table, limits);
                AnyEngine::Sqlite(engine.map_err(named)?)
            }
            EngineKind::Postgres => {
                let engine = PostgresEngine::new(self.credential, access, self.receipts, limits);
                AnyEngine::Postgres(engine.map_err(named)?)
            }
            EngineKind::Mysql => {
                let engine = MysqlEngine::new(self.credential, access, self.receipts, limits);
                AnyEngine::Mysql(engine.map_err(named)?)
            }
        })
    }

    fn url(&self) -> Result<Secret, ExitError> {
        Ok(self.credential.url()?)
    }
}

fn named(name: &str, refusal: &PublicError) -> ExitError {
    let fix = refusal.operator_fix.as_deref();
    ExitError::new(refusal.code, format!("{name}: {}", refusal.public)).with_fix(fix.unwrap_or(URL_FIX))
}

/// Returns the engine of a URL by its scheme.
pub fn kind_of_url(url: &Secret) -> Option<EngineKind> {
    let (scheme, _) = url.expose().split_once(':')?;
    match scheme {
        "postgres" | "postgresql" => Some(EngineKind::Postgres),
        "mysql" | "mariadb" => Some(EngineKind::Mysql),
        "sqlite" => Some(EngineKind::Sqlite),
        _ => None,
    }
}
