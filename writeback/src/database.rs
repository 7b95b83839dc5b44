//! The database of one source behind its write credential: any holder can read it, only the core can write
//! it.

use std::fmt;
use std::sync::Arc;

use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Source;
use synapsor_engine::lazy::{LazyEngine, LazyOpening};
use synapsor_engine::open::AnyEngine;
use synapsor_engine::{Access, Credential, EngineConfig};
use synapsor_source::{Engine, EngineError, Finding, PreflightTarget};

use crate::transaction::{Begin, OpenTransaction};
use crate::{mysql, postgres, sqlite};

/// One source that a writer may write to.
#[derive(Clone)]
pub struct Database {
    reading: Arc<dyn Engine>,
    writing: Arc<dyn Write>,
}

/// Engine functions for the core besides reading.
#[async_trait::async_trait]
pub(crate) trait Write: Begin {
    /// Checks the write path under this credential: every statement of a writeback on `targets` and on the
    /// receipt table, rolled back. Also reports rights that the role does not need.
    async fn check(&self, targets: &[PreflightTarget]) -> Result<Vec<Finding>, EngineError>;

    /// As [`Database::try_open`].
    fn try_open(&self) -> bool {
        true
    }
}

impl Database {
    /// Opens the database of a source, if the contract names a variable for its write URL and the environment
    /// has it.
    ///
    /// # Errors
    /// A variable that is unreadable, or a URL of another engine; no error contains the URL.
    pub fn of_source(source: &Source, env: &EnvVars, table: &str) -> Result<Option<Self>, ExitError> {
        let Some(url_name) = source.write_url_env.clone() else {
            return Ok(None);
        };
        let credential = Credential::of_source(source, url_name, env);
        if !credential.is_present()? {
            let variable = credential.url_name();
            tracing::warn!(source = %source.name, variable, "source skipped: no write URL");
            return Ok(None);
        }
        Self::open(EngineConfig::of_source(source, credential, table)).map(Some)
    }

    /// Opens the database of a write credential. No connection is opened before the first use.
    ///
    /// # Errors
    /// As [`Opening::open_for`].
    pub fn open(opening: EngineConfig) -> Result<Self, ExitError> {
        Ok(match opening.open_for(Access::Write)? {
            AnyEngine::Sqlite(engine) => Self::of(Arc::new(engine), sqlite::Writing::new),
            AnyEngine::Postgres(engine) => Self::of(Arc::new(engine), postgres::Writing::new),
            AnyEngine::Mysql(engine) => Self::of(Arc::new(engine), mysql::Writing::new),
        })
    }

    /// Returns the database of a source that could not be opened with its settings; it is opened later, as soon as
    /// that is possible.
    pub fn opened_later(source: &Source, env: &EnvVars, table: &str, error: &ExitError) -> Self {
        let (of_source, env, table) = (source.clone(), env.clone(), table.to_owned());
        let open = move || {
            let opened = Self::of_source(&of_source, &env, &table)?;
            opened.ok_or_else(|| ExitError::new(ErrorCode::WriteUrlMissing, "no write URL"))
        };
        let opening = Arc::new(LazyOpening::after(error, &source.name, open));
        let of_reading = opening.clone();
        Self {
            reading: Arc::new(LazyEngine::new(source.engine, move || {
                Ok(of_reading.get()?.reading)
            })),
            writing: Arc::new(LazyWriting(opening)),
        }
    }

    fn of<E: Engine + 'static, W: Write + 'static>(
        engine: Arc<E>,
        writing: impl FnOnce(Arc<E>) -> W,
    ) -> Self {
        Self {
            reading: engine.clone(),
            writing: Arc::new(writing(engine)),
        }
    }

    /// Returns whether the database is open. A failed opening is tried again, at most once a second.
    pub fn try_open(&self) -> bool {
        self.writing.try_open()
    }

    /// Reads under this credential.
    pub fn reading(&self) -> &(dyn Engine + 'static) {
        self.reading.as_ref()
    }

    /// Returns the engine of [`Database::reading`] for a task of its own.
    pub fn reading_engine(&self) -> Arc<dyn Engine> {
        self.reading.clone()
    }

    /// Runs the write path and rolls it back; reports missing and excessive rights.
    ///
    /// # Errors
    /// The database cannot be queried.
    pub async fn check(&self, targets: &[PreflightTarget]) -> Result<Vec<Finding>, EngineError> {
        self.writing.check(targets).await
    }

    /// Begins a writing transaction and rolls it back; returns the identity that the database reports inside it.
    ///
    /// # Errors
    /// The reason why no writing transaction can begin here now.
    pub async fn try_begin(&self) -> Result<String, EngineError> {
        let begun = self.begin().await?;
        begun.transaction.roll_back().await;
        Ok(begun.identity)
    }

    pub(crate) async fn begin(&self) -> Result<OpenTransaction, EngineError> {
        self.writing.begin().await
    }
}

/// Writing to a database that is opened later.
struct LazyWriting(Arc<LazyOpening<Database>>);

#[async_trait::async_trait]
impl Begin for LazyWriting {
    async fn begin(&self) -> Result<OpenTransaction, EngineError> {
        self.0.get()?.begin().await
    }
}

#[async_trait::async_trait]
impl Write for LazyWriting {
    async fn check(&self, targets: &[PreflightTarget]) -> Result<Vec<Finding>, EngineError> {
        self.0.get()?.check(targets).await
    }

    fn try_open(&self) -> bool {
        self.0.get().is_ok()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.reading.kind()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use synapsor_domain::contract::Contract;
    use synapsor_engine::sqlite::sample;

    use super::*;

    const CONTRACT: &[u8] = br#"{"version": 1, "mode": "review", "result_format": 2,
        "sources": {"billing": {"engine": "sqlite", "read_url_env": "R", "write_url_env": "W"}},
        "trusted_context": {"provider": "environment", "values": {"tenant_id_env": "T", "principal_env": "P"}},
        "capabilities": [{"name": "billing.read", "kind": "read", "source": "billing",
          "target": {"schema": "main", "table": "invoices", "primary_key": "id", "tenant_key": "tenant_id"},
          "args": {"id": {"type": "string"}}, "lookup": {"id_from_arg": "id"}, "visible_columns": ["id"]}]}"#;
    const OPENED_WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn database_is_written_once_its_url_file_is_corrected() {
        let directory = tempfile::tempdir().unwrap();
        let (url, file) = (directory.path().join("url"), directory.path().join("app.db"));
        let env = EnvVars::fixed([("W_FILE", url.to_str().unwrap())]);
        let contract = Contract::parse(CONTRACT).unwrap().contract;
        let source = &contract.sources()[0];
        let error = Database::of_source(source, &env, "receipts").unwrap_err();
        let database = Database::opened_later(source, &env, "receipts", &error);
        let failed = database.try_begin().await.unwrap_err();
        assert!(failed.is_retryable() && !database.try_open(), "{failed}");
        assert_eq!(failed.detail, "SECRET_FILE_UNREADABLE");
        assert_eq!(database.reading().kind(), source.engine);
        sample::create(&file).unwrap();
        fs::write(&url, format!("sqlite://{}", file.display())).unwrap();
        fs::set_permissions(&url, fs::Permissions::from_mode(0o600)).unwrap();
        let corrected = Instant::now();
        while database.try_begin().await.is_err() {
            assert!(corrected.elapsed() < OPENED_WITHIN, "still closed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(database.try_open());
        database.reading().identity().await.unwrap();
    }
}
