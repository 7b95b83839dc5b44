//! Opens a source at its first use, and again after a failure, for a source whose settings could not be used when the
//! process started: its owner corrects a file, and no restart is necessary.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use synapsor_chassis::run::ExitError;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::Value;
use synapsor_source::error::{EngineError, EngineErrorKind, source_refusal};
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::{
    Engine, Finding, PreflightTarget, RowMark, RowPlan, RowSet, SchemaCatalog, SourceReceipts, StoredReceipt,
};

use crate::credential::unusable_setting;

/// Interval at which a failed opening is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Opens one thing of a source, and keeps it.
pub struct LazyOpening<T> {
    source: String,
    open: Box<dyn Fn() -> Result<T, ExitError> + Send + Sync>,
    state: Mutex<OpeningState<T>>,
}

enum OpeningState<T> {
    Opened(T),
    Failed(Instant, EngineError),
}

impl<T: Clone> LazyOpening<T> {
    /// Creates it for a source whose opening has just failed.
    pub fn after(
        error: &ExitError,
        source: &str,
        open: impl Fn() -> Result<T, ExitError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: source.to_owned(),
            open: Box::new(open),
            state: Mutex::new(OpeningState::Failed(Instant::now(), unusable(error))),
        }
    }

    /// Returns what was opened. A failed opening is tried again after an interval.
    ///
    /// # Errors
    /// `Unavailable` with the code and the fix of the newest opening.
    pub fn get(&self) -> Result<T, EngineError> {
        self.get_at(Instant::now())
    }

    fn get_at(&self, now: Instant) -> Result<T, EngineError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            OpeningState::Opened(opened) => return Ok(opened.clone()),
            OpeningState::Failed(at, error) if now.saturating_duration_since(*at) < RETRY_INTERVAL => {
                return Err(error.clone());
            }
            OpeningState::Failed(..) => {}
        }
        match (self.open)() {
            Ok(opened) => {
                tracing::info!(source = self.source, "source opened");
                *state = OpeningState::Opened(opened.clone());
                Ok(opened)
            }
            Err(error) => {
                let error = unusable(&error);
                *state = OpeningState::Failed(now, error.clone());
                Err(error)
            }
        }
    }
}

impl<T> fmt::Debug for LazyOpening<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyOpening")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

fn unusable(error: &ExitError) -> EngineError {
    EngineError::new(EngineErrorKind::Unavailable, error.code().as_str())
        .because(ErrorCause::SettingUnusable(Box::new(unusable_setting(error))))
}

/// Returns the opened engine, or why there is none now.
type OpenedEngine = dyn Fn() -> Result<Arc<dyn Engine>, EngineError> + Send + Sync;

/// Engine of a source that is opened at its first use.
pub struct LazyEngine {
    kind: EngineKind,
    opened: Box<OpenedEngine>,
}

impl LazyEngine {
    pub fn new(
        kind: EngineKind,
        opened: impl Fn() -> Result<Arc<dyn Engine>, EngineError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            opened: Box::new(opened),
        }
    }

    fn engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        (self.opened)()
    }
}

impl fmt::Debug for LazyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyEngine").field(&self.kind).finish()
    }
}

#[async_trait]
impl Engine for LazyEngine {
    fn kind(&self) -> EngineKind {
        self.kind
    }

    async fn product(&self) -> Result<String, EngineError> {
        self.engine()?.product().await
    }

    async fn identity(&self) -> Result<String, EngineError> {
        self.engine()?.identity().await
    }

    async fn denied_functions(&self, functions: &[&'static str]) -> Result<Vec<&'static str>, EngineError> {
        self.engine()?.denied_functions(functions).await
    }

    async fn table_schema(&self, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
        self.engine()?.table_schema(schema, table).await
    }

    async fn cached_table_schema(&self, schema: &str, table: &str) -> Result<Arc<TableSchema>, EngineError> {
        self.engine()?.cached_table_schema(schema, table).await
    }

    fn fit(&self, column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
        let engine = self.engine().map_err(|error| source_refusal(&error))?;
        engine.fit(column, value)
    }

    async fn read(&self, plan: &RowPlan) -> Result<RowSet, EngineError> {
        self.engine()?.read(plan).await
    }

    async fn catalog(&self, schema: Option<&str>) -> Result<SchemaCatalog, EngineError> {
        self.engine()?.catalog(schema).await
    }

    async fn check_reading(&self, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError> {
        self.engine()?.check_reading(target).await
    }

    async fn receipt_problems(&self) -> Result<Vec<Finding>, EngineError> {
        self.engine()?.receipt_problems().await
    }

    async fn find_receipt(&self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError> {
        self.engine()?.find_receipt(id).await
    }

    async fn find_receipts(&self, ids: &[ProposalId]) -> Result<SourceReceipts, EngineError> {
        self.engine()?.find_receipts(ids).await
    }

    async fn receipts_before(
        &self,
        before: Option<&RowMark>,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        self.engine()?.receipts_before(before, rows_max).await
    }

    async fn find_switches(&self) -> Result<Vec<StoredReceipt>, EngineError> {
        self.engine()?.find_switches().await
    }

    async fn receipts_since(
        &self,
        from: Timestamp,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        self.engine()?.receipts_since(from, rows_max).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use synapsor_chassis::settings::EnvVars;
    use synapsor_codes::ErrorCode;
    use synapsor_source::ReceiptTable;

    use super::*;
    use crate::{Credential, EngineConfig, EngineLimits, sqlite::sample};

    fn config(url_file: &str) -> EngineConfig {
        let env = EnvVars::fixed([("URL_FILE", url_file)]);
        EngineConfig {
            name: "source `billing`".to_owned(),
            kind: EngineKind::Sqlite,
            credential: Credential::of_variable("URL", &env),
            receipts: ReceiptTable {
                schema: None,
                table: "receipts".to_owned(),
            },
            limits: EngineLimits::default(),
        }
    }

    #[tokio::test]
    async fn source_is_opened_after_its_files_are_corrected() {
        let directory = tempfile::tempdir().unwrap();
        let (url, database) = (directory.path().join("url"), directory.path().join("app.db"));
        let config = config(url.to_str().unwrap());
        let failed = config.clone().open().unwrap_err();
        let opening = LazyOpening::after(&failed, "billing", move || config.clone().open());
        let mut now = Instant::now();
        let write = |text: &str, mode| {
            fs::write(&url, text).unwrap();
            fs::set_permissions(&url, fs::Permissions::from_mode(mode)).unwrap();
        };
        let correct = format!("sqlite://{}", database.display());
        let steps: [(&dyn Fn(), ErrorCode); 4] = [
            (&|| (), ErrorCode::SecretFileUnreadable),
            (&|| write("sqlite://a secret", 0o644), ErrorCode::SecretFileOpen),
            (&|| write("sqlite://a secret", 0o600), ErrorCode::SourceUrlInvalid),
            (&|| write(&correct, 0o600), ErrorCode::SourceFileMissing),
        ];
        for (step, code) in steps {
            step();
            now += RETRY_INTERVAL;
            let refusal = source_refusal(&opening.get_at(now).unwrap_err());
            assert_eq!(refusal.code, code);
            assert_eq!(refusal.public, "The source database cannot be used.");
            assert!(!refusal.detail.unwrap().contains("a secret"), "{code}");
        }
        sample::create(&database).unwrap();
        let error = opening.get_at(now).unwrap_err();
        assert_eq!(
            source_refusal(&error).code,
            ErrorCode::SourceFileMissing,
            "too early"
        );
        now += RETRY_INTERVAL;
        let engine = LazyEngine::new(EngineKind::Sqlite, move || opening.get_at(now));
        engine.identity().await.unwrap();
    }
}
