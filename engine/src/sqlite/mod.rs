//! SQLite engine, embedded: one file, one lock for all writers. A writeback holds that lock from its first
//! statement to its COMMIT, at most ten seconds. A process suspended meanwhile blocks other writers until it
//! ends. All work runs on blocking threads; dropping the future that waits for it interrupts the statement.

pub mod connect;
pub mod dialect;
pub mod error_map;
mod foreign;
pub mod inspect;
pub mod read;
pub mod read_check;
pub mod receipts;
pub mod sample;
mod sql;
mod trigger;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::Value;
use tokio::sync::Semaphore;

use self::connect::{DatabaseFile, Opened, READERS_MAX, Readers, StatementDeadline};
use crate::EngineLimits;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::switch_row::FIRST_KEY;
use synapsor_source::{
    Engine, Finding, PreflightTarget, RowMark, RowPlan, RowSet, SchemaCatalog, SourceReceipts, StoredReceipt,
};

/// Read timeout unless the contract sets a shorter one.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// One database file.
#[derive(Debug)]
pub struct SqliteEngine {
    pub file: DatabaseFile,
    pub receipt_table: String,
    statement_timeout: Duration,
    readers: Arc<Readers>,
    turns: Arc<Semaphore>,
}

impl SqliteEngine {
    /// Creates the engine for a URL (`sqlite:///absolute/path`). The file must exist; it is opened at the
    /// first use.
    ///
    /// # Errors
    /// `SOURCE_URL_INVALID` and `SOURCE_FILE_MISSING`; neither shows the URL.
    pub fn new(url: &str, receipt_table: &str, limits: EngineLimits) -> Result<Self, PublicError> {
        let file = DatabaseFile::of_url(url)?;
        Ok(Self {
            readers: Arc::new(Readers::new(file.clone())),
            file,
            receipt_table: receipt_table.to_owned(),
            statement_timeout: limits.statement_timeout.unwrap_or(STATEMENT_TIMEOUT),
            turns: Arc::new(Semaphore::new(limits.connections_or(READERS_MAX))),
        })
    }

    /// Runs `work` on a read-only connection, on a blocking thread.
    async fn read_only<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Opened) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let wait = tokio::time::timeout(self.statement_timeout, self.turns.clone().acquire_owned());
        let turn = match wait.await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => {
                return Err(EngineError::new(
                    EngineErrorKind::Busy,
                    "all read connections are in use",
                ));
            }
        };
        let (readers, timeout) = (self.readers.clone(), self.statement_timeout);
        let (on_thread, interest) = CancelOnDrop::pair();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            readers.with(|opened| {
                opened.deadline.set(timeout);
                on_thread.watch(&opened.deadline);
                let result = work(opened);
                // The connection goes back to the pool; a later drop of this future must not interrupt its
                // next work.
                on_thread.release();
                result
            })
        });
        let result = done
            .await
            .map_err(|_| EngineError::new(EngineErrorKind::Other, "a worker thread panicked"))?;
        drop(interest);
        result
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Sqlite
    }

    async fn product(&self) -> Result<String, EngineError> {
        Ok(format!("SQLite {}", rusqlite::version()))
    }

    async fn identity(&self) -> Result<String, EngineError> {
        let file = self.file.clone();
        self.read_only(move |opened| read::identity(&opened.connection, &file))
            .await
    }

    async fn table_schema(&self, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
        let (schema, table) = (schema.to_owned(), table.to_owned());
        self.read_only(move |opened| inspect::shape(&opened.connection, &schema, &table))
            .await
    }

    async fn cached_table_schema(&self, schema: &str, table: &str) -> Result<Arc<TableSchema>, EngineError> {
        // An embedded file has no round trip to save.
        self.table_schema(schema, table).await.map(Arc::new)
    }

    fn fit(&self, column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
        dialect::fit(column, value)
    }

    async fn read(&self, plan: &RowPlan) -> Result<RowSet, EngineError> {
        let (plan, file) = (plan.clone(), self.file.clone());
        self.read_only(move |opened| {
            Ok(RowSet {
                identity: read::identity(&opened.connection, &file)?,
                rows: read::rows(&opened.connection, &plan)?,
            })
        })
        .await
    }

    async fn catalog(&self, schema: Option<&str>) -> Result<SchemaCatalog, EngineError> {
        let schema = schema.map(ToOwned::to_owned);
        self.read_only(move |opened| inspect::catalog(&opened.connection, schema.as_deref()))
            .await
    }

    async fn check_reading(&self, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError> {
        read_check::check(self, target).await
    }

    async fn receipt_problems(&self) -> Result<Vec<Finding>, EngineError> {
        let table = self.receipt_table.clone();
        self.read_only(move |opened| receipts::problems(&opened.connection, &table))
            .await
    }

    async fn find_receipt(&self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError> {
        let (table, id) = (self.receipt_table.clone(), id.to_string());
        self.read_only(move |opened| {
            let found = read::receipts(&opened.connection, &table, &id, &[])?;
            Ok(found.receipt)
        })
        .await
    }

    async fn find_receipts(&self, ids: &[ProposalId]) -> Result<SourceReceipts, EngineError> {
        let (table, file) = (self.receipt_table.clone(), self.file.clone());
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        self.read_only(move |opened| {
            let mut receipts = Vec::new();
            for id in &ids {
                receipts.extend(read::receipts(&opened.connection, &table, id, &[])?.receipt);
            }
            Ok(SourceReceipts {
                identity: read::identity(&opened.connection, &file)?,
                receipts,
            })
        })
        .await
    }

    async fn receipts_before(
        &self,
        before: Option<&RowMark>,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        let (table, before) = (self.receipt_table.clone(), before.cloned());
        self.read_only(move |opened| {
            read::receipts_before(&opened.connection, &table, before.as_ref(), rows_max)
        })
        .await
    }

    async fn find_switches(&self) -> Result<Vec<StoredReceipt>, EngineError> {
        let table = self.receipt_table.clone();
        self.read_only(move |opened| {
            let found = read::receipts(&opened.connection, &table, FIRST_KEY, &[])?;
            Ok(found.switches)
        })
        .await
    }

    async fn receipts_since(
        &self,
        from: Timestamp,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        let (table, from) = (self.receipt_table.clone(), from.to_string());
        self.read_only(move |opened| read::receipts_since(&opened.connection, &table, &from, rows_max))
            .await
    }
}

/// Ties a running statement to the future that waits for it: dropping the future interrupts the statement.
struct CancelOnDrop(Watched);

struct OnThread(Watched);

type Watched = Arc<Mutex<Option<Arc<StatementDeadline>>>>;

impl CancelOnDrop {
    fn pair() -> (OnThread, Self) {
        let watched = Watched::default();
        (OnThread(watched.clone()), Self(watched))
    }
}

impl OnThread {
    fn watch(&self, deadline: &Arc<StatementDeadline>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline.clone());
    }

    fn release(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(deadline) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            deadline.set_passed();
        }
    }
}
