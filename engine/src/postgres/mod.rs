//! PostgreSQL engine: row locks at READ COMMITTED, rights per column, and a server that cancels statements
//! and idle transactions by timeout. Reads and writes use separate connections; those for reading are opened
//! read only. Behind a transaction pooler, no state stays in a connection.

pub mod check;
pub mod connect;
pub mod datetime;
pub mod dialect;
pub mod error_map;
pub mod fit;
pub mod foreign_code;
pub mod inspect;
mod joined_reads;
pub mod notice;
pub mod read;
pub mod read_check;
pub mod receipt_form;
pub mod session;
pub mod shapes;
pub mod system_rights;
pub mod types;
pub mod union_select;
pub mod url;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::Value;

use self::connect::{ConnectionPurpose, PgPool, PgPooledConnection};
use self::error_map::is_lost;
use self::joined_reads::{JOIN_WAIT_MAX, JoinedRead, JoinedReads};
use self::session::{EXACT_SETTINGS, ServerFacts, timeouts};
use self::shapes::{PlainTable, Shapes};
use crate::credential::unusable_credential;
use crate::{Access, Credential, EngineLimits};
use synapsor_source::error::EngineError;
use synapsor_source::switch_row::FIRST_KEY;
use synapsor_source::{
    Engine, Finding, PreflightTarget, ReceiptTable, RowMark, RowPlan, RowSet, SchemaCatalog, SourceReceipts,
    StoredReceipt,
};

/// Statement timeout unless the contract sets another.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// One database of a server.
#[derive(Debug)]
pub struct PostgresEngine {
    pub receipts: ReceiptTable,
    pub shapes: Arc<Shapes>,
    joined: JoinedReads,
    readers: Arc<PgPool>,
    /// Only with a credential for writing.
    pub writers: Option<Arc<PgPool>>,
}

impl PostgresEngine {
    /// Creates the engine for the database of a credential. No connection is opened before the first use.
    ///
    /// # Errors
    /// `SOURCE_URL_INVALID` and `SOURCE_TLS_REQUIRED`; neither shows the URL.
    pub fn new(
        credential: Credential,
        access: Access,
        receipts: ReceiptTable,
        limits: EngineLimits,
    ) -> Result<Self, PublicError> {
        let material = credential.read().map_err(|error| unusable_credential(&error))?;
        connect::check_url(&material)?;
        let timeout = limits.statement_timeout.unwrap_or(STATEMENT_TIMEOUT);
        let connections = limits.connections_or(connect::CONNECTIONS_MAX);
        let writers = (access == Access::Write).then(|| {
            let timeout = timeout.min(STATEMENT_TIMEOUT);
            Arc::new(PgPool::new(
                credential.clone(),
                ConnectionPurpose::Writing,
                timeout,
                connections,
            ))
        });
        Ok(Self {
            receipts,
            shapes: Arc::default(),
            joined: JoinedReads::default(),
            readers: Arc::new(PgPool::new(
                credential,
                ConnectionPurpose::Reading,
                timeout,
                connections,
            )),
            writers,
        })
    }

    /// Runs `work` on a read-only connection, and once more on another if a pooled one was lost. The work
    /// returns the connection with its result.
    async fn read_only<T, F>(&self, work: impl Fn(PgPooledConnection) -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<(PgPooledConnection, T), EngineError>>,
    {
        self.read_table(None, work).await
    }

    /// Like [`Self::read_only`]. Work that only reads a table in which no code of others runs leaves nothing in its
    /// connection, which then serves that table again without a reset.
    async fn read_table<T, F>(
        &self,
        table: Option<&PlainTable>,
        work: impl Fn(PgPooledConnection) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<(PgPooledConnection, T), EngineError>>,
    {
        loop {
            let (lease, is_kept) = self.readers.lease_for(table).await?;
            match self.read_on(lease, table, &work).await {
                Err(error) if is_kept && is_lost(&error) => {}
                Err(error) => return Err(self.with_missing_rights(error).await),
                done => return done,
            }
        }
    }

    /// Adds the rights on the server's own functions that the account lacks, if they could be the cause.
    pub async fn with_missing_rights(&self, error: EngineError) -> EngineError {
        if !system_rights::may_cause(&error) {
            return error;
        }
        let Ok((mut lease, _)) = self.readers.lease().await else {
            return error;
        };
        let Ok(rows) = lease.batch(system_rights::missing()).await else {
            return error;
        };
        lease.give_back();
        system_rights::add_cause(error, &rows)
    }

    async fn read_on<T, F>(
        &self,
        mut lease: PgPooledConnection,
        table: Option<&PlainTable>,
        work: impl Fn(PgPooledConnection) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<(PgPooledConnection, T), EngineError>>,
    {
        if !lease.is_pooled() {
            let (lease, found) = work(lease).await?;
            match table {
                Some(table) => lease.give_back_after(table),
                None => lease.give_back(),
            }
            return Ok(found);
        }
        let mut settings: Vec<_> = EXACT_SETTINGS
            .map(|(name, value)| (name, value.to_owned()))
            .into();
        settings.extend(timeouts(self.readers.statement_timeout()));
        let opening = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; {}; {}",
            session::local_settings(&settings),
            lease.facts_statement()
        );
        let rows = lease.batch(opening).await?;
        lease.set_facts(ServerFacts::of_row(rows.last().map_or(&[], Vec::as_slice))?);
        let (mut lease, found) = work(lease).await?;
        lease.batch("ROLLBACK".to_owned()).await?;
        lease.give_back();
        Ok(found)
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Postgres
    }

    async fn product(&self) -> Result<String, EngineError> {
        self.read_only(|lease| async move {
            let product = format!("PostgreSQL {}", lease.facts().version);
            Ok((lease, product))
        })
        .await
    }

    async fn identity(&self) -> Result<String, EngineError> {
        self.read_only(|mut lease| async move {
            let statement = lease.facts_statement();
            let rows = lease.batch(statement).await?;
            let facts = ServerFacts::of_row(rows.last().map_or(&[], Vec::as_slice))?;
            Ok((lease, facts.identity))
        })
        .await
    }

    async fn denied_functions(&self, functions: &[&'static str]) -> Result<Vec<&'static str>, EngineError> {
        self.read_only(|mut lease| async move {
            let rows = lease.batch(system_rights::denied(functions)).await?;
            Ok((lease, system_rights::named(functions, &rows)))
        })
        .await
    }

    async fn table_schema(&self, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
        self.read_only(|mut lease| async move {
            let shape = self.shapes.read(&mut lease, schema, table).await?;
            Ok((lease, TableSchema::clone(&shape)))
        })
        .await
    }

    async fn cached_table_schema(&self, schema: &str, table: &str) -> Result<Arc<TableSchema>, EngineError> {
        let read = async || {
            self.read_only(|mut lease| async move {
                let shape = self.shapes.read(&mut lease, schema, table).await?;
                Ok((lease, shape))
            })
            .await
        };
        self.shapes.kept_or((schema, table), read).await
    }

    fn fit(&self, column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
        fit::fit(column, value)
    }

    async fn read(&self, plan: &RowPlan) -> Result<RowSet, EngineError> {
        // A shape that is too old is read on the connection of the row, which is reset before and afterwards.
        let kept = self.shapes.kept(&plan.schema, &plan.table);
        let table = kept.as_ref().and_then(|shape| self.shapes.plain(shape));
        let running = match (&kept, &table) {
            (Some(shape), Some(table)) => match self.joined.enter(&self.readers, plan, shape, table) {
                JoinedRead::Alone(running) => Some(running),
                JoinedRead::Waits(answered) => {
                    if let Ok(Ok((identity, rows))) = tokio::time::timeout(JOIN_WAIT_MAX, answered).await {
                        return Ok(RowSet { identity, rows });
                    }
                    None
                }
            },
            _ => None,
        };
        let kept = kept.as_ref();
        let read = self.read_table(table.as_ref(), |mut lease| async move {
            let shape = match kept {
                Some(shape) => shape.clone(),
                None => {
                    self.shapes
                        .kept_or_read(&mut lease, &plan.schema, &plan.table)
                        .await?
                }
            };
            let rows = read::rows(&mut lease, plan, &shape).await?;
            let identity = lease.facts().identity.clone();
            Ok((lease, RowSet { identity, rows }))
        });
        let read = read.await;
        drop(running);
        read.inspect_err(|_| self.shapes.forget(&plan.schema, &plan.table))
    }

    async fn catalog(&self, schema: Option<&str>) -> Result<SchemaCatalog, EngineError> {
        self.read_only(|mut lease| async move {
            let found = inspect::catalog(&mut lease, schema).await?;
            Ok((lease, found))
        })
        .await
    }

    async fn check_reading(&self, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError> {
        self.read_only(|mut lease| async move {
            let found = read_check::check(&mut lease, target).await?;
            Ok((lease, found))
        })
        .await
    }

    async fn receipt_problems(&self) -> Result<Vec<Finding>, EngineError> {
        self.read_only(|mut lease| async move {
            let problems = inspect::receipt_problems(&mut lease, &self.receipts).await?;
            Ok((lease, problems))
        })
        .await
    }

    async fn find_receipt(&self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError> {
        self.read_only(|mut lease| async move {
            let found = read::receipts(&mut lease, &self.receipts, id.as_str(), &[]).await?;
            Ok((lease, found.receipt))
        })
        .await
    }

    async fn find_receipts(&self, ids: &[ProposalId]) -> Result<SourceReceipts, EngineError> {
        self.read_only(|mut lease| async move {
            let found = read::receipts_of(&mut lease, &self.receipts, ids).await?;
            Ok((lease, found))
        })
        .await
    }

    async fn receipts_before(
        &self,
        before: Option<&RowMark>,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        self.read_only(|mut lease| async move {
            let found = read::receipts_before(&mut lease, &self.receipts, before, rows_max).await?;
            Ok((lease, found))
        })
        .await
    }

    async fn find_switches(&self) -> Result<Vec<StoredReceipt>, EngineError> {
        self.read_only(|mut lease| async move {
            let found = read::receipts(&mut lease, &self.receipts, FIRST_KEY, &[]).await?;
            Ok((lease, found.switches))
        })
        .await
    }

    async fn receipts_since(
        &self,
        from: Timestamp,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        self.read_only(|mut lease| async move {
            let from = from.to_string();
            let found = read::receipts_since(&mut lease, &self.receipts, from, rows_max).await?;
            Ok((lease, found))
        })
        .await
    }
}
