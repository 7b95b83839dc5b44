//! MySQL and MariaDB engine; the product is detected when a connection opens. Neither server reports the side
//! effects of a statement, so triggers whose effect cannot be read from the row and cascading foreign keys
//! are rejected. Neither server ends a transaction at every error, so every error closes its connection.

pub mod account_powers;
pub mod catalog;
pub mod check;
pub mod closed_form;
pub mod column;
pub mod connect;
pub mod datetime;
pub mod dialect;
pub mod error_map;
pub mod fit;
pub mod foreign_code;
pub mod inspect;
pub mod pool;
pub mod read;
pub mod read_check;
pub mod receipt_form;
pub mod receipts;
pub mod routines;
pub mod session;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::Value;

use self::connect::Connector;
use self::inspect::{Described, Shapes};
use self::pool::{CONNECTIONS_MAX, MysqlPool, PooledConnection};
use self::session::{MysqlConn, MysqlStatementError};
use crate::{Access, Credential, EngineLimits};
use synapsor_source::error::EngineError;
use synapsor_source::switch_row::FIRST_KEY;
use synapsor_source::{
    Engine, Finding, PreflightTarget, ReceiptTable, RowMark, RowPlan, RowSet, SchemaCatalog, SourceReceipts,
    StoredReceipt,
};

/// Read timeout unless the contract sets a shorter one.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Engine of one database with one credential.
#[derive(Debug)]
pub struct MysqlEngine {
    pub pool: Arc<MysqlPool>,
    pub shapes: Arc<Shapes>,
    statement_timeout: Duration,
}

impl MysqlEngine {
    /// Creates the engine for a URL (`mysql://user:password@host:port/database`). It connects at the first
    /// use and reads the credential again for every new connection.
    ///
    /// # Errors
    /// `SOURCE_URL_INVALID` and `SOURCE_TLS_REQUIRED`; neither shows the URL.
    pub fn new(
        credential: Credential,
        access: Access,
        receipts: ReceiptTable,
        limits: EngineLimits,
    ) -> Result<Self, PublicError> {
        let statement_timeout = limits.statement_timeout.unwrap_or(STATEMENT_TIMEOUT);
        let connector = Connector::new(credential, access, receipts, statement_timeout)?;
        Ok(Self {
            pool: MysqlPool::new(connector, limits.connections_or(CONNECTIONS_MAX)),
            shapes: Arc::default(),
            statement_timeout,
        })
    }

    /// A connection for reading, with the time that its statements may take.
    async fn take(&self) -> Result<PooledConnection, EngineError> {
        let mut held = self.pool.take(self.statement_timeout).await?;
        held.session().limit(self.statement_timeout);
        Ok(held)
    }

    /// Returns the result of a connection; a connection without an error goes back to the pool.
    fn finish<T>(
        &self,
        held: PooledConnection,
        result: Result<T, MysqlStatementError>,
    ) -> Result<T, EngineError> {
        match result {
            Ok(answer) => {
                held.release();
                Ok(answer)
            }
            Err(failed) => {
                if failed.is_lost {
                    // The other connections were closed with it.
                    self.pool.clear();
                }
                Err(failed.error)
            }
        }
    }

    /// Like [`Self::finish`], after a read of unchecked tables: a connection for writing is closed, since
    /// code behind them could have changed it.
    fn finish_unverified<T>(
        &self,
        held: PooledConnection,
        result: Result<T, MysqlStatementError>,
    ) -> Result<T, EngineError> {
        match result {
            Ok(answer) if self.pool.connector.access == Access::Write => {
                drop(held);
                Ok(answer)
            }
            result => self.finish(held, result),
        }
    }

    async fn read_row(&self, session: &mut MysqlConn, plan: &RowPlan) -> Result<RowSet, MysqlStatementError> {
        let described = self.described(session, &plan.schema, &plan.table).await?;
        let statement = dialect::select_row(&described, plan)?;
        let answer = session.rows(&statement.sql, statement.args.clone()).await?;
        Ok(RowSet {
            identity: session.identity.clone(),
            rows: read::rows_of(plan, &statement, &answer)?,
        })
    }

    async fn described(
        &self,
        session: &mut MysqlConn,
        schema: &str,
        table: &str,
    ) -> Result<Arc<Described>, EngineError> {
        match self.shapes.kept(schema, table) {
            Some(described) => Ok(described),
            None => Ok(self.shapes.fresh(session, schema, table).await?),
        }
    }

    /// Returns the receipt table, quoted.
    fn receipts(&self) -> Result<String, EngineError> {
        let connector = &self.pool.connector;
        Ok(dialect::qualified(
            &connector.receipt_schema()?,
            connector.receipt_table(),
        ))
    }
}

#[async_trait]
impl Engine for MysqlEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Mysql
    }

    async fn product(&self) -> Result<String, EngineError> {
        let mut held = self.take().await?;
        let product = held.session().server().map(|server| server.product.clone());
        self.finish(held, product.map_err(MysqlStatementError::from))
    }

    async fn identity(&self) -> Result<String, EngineError> {
        let schema = self.pool.connector.receipt_schema()?;
        let mut held = self.take().await?;
        let identity = read::identity(held.session(), &schema).await;
        if let Ok(identity) = &identity {
            held.session().identity.clone_from(identity);
        }
        self.finish(held, identity)
    }

    async fn table_schema(&self, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
        let mut held = self.take().await?;
        let found = self.shapes.fresh(held.session(), schema, table).await;
        if found.is_err() {
            self.shapes.forget(schema, table);
        }
        let described = self.finish(held, found)?;
        Ok(described.shape.as_ref().clone())
    }

    async fn cached_table_schema(&self, schema: &str, table: &str) -> Result<Arc<TableSchema>, EngineError> {
        if let Some(described) = self.shapes.kept(schema, table) {
            return Ok(described.shape.clone());
        }
        self.table_schema(schema, table).await.map(Arc::new)
    }

    fn fit(&self, column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
        fit::fit(column, value)
    }

    async fn read(&self, plan: &RowPlan) -> Result<RowSet, EngineError> {
        let mut held = self.take().await?;
        let mut found = self.read_row(held.session(), plan).await;
        if held.is_reused && found.as_ref().is_err_and(|failed| failed.is_lost) {
            // The server had closed an idle connection; a new one replaces it once.
            drop(held);
            self.pool.clear();
            held = self.take().await?;
            found = self.read_row(held.session(), plan).await;
        }
        if found.is_err() {
            self.shapes.forget(&plan.schema, &plan.table);
        }
        // A view calls functions of its owner, which could have changed the connection.
        let is_table = |described: Arc<Described>| !described.shape.traits.iter().any(|word| word == "view");
        if found.is_ok() && !self.shapes.kept(&plan.schema, &plan.table).is_some_and(is_table) {
            drop(held);
            return Ok(found?);
        }
        self.finish(held, found)
    }

    async fn catalog(&self, schema: Option<&str>) -> Result<SchemaCatalog, EngineError> {
        let mut held = self.take().await?;
        let found = catalog::catalog(held.session(), &self.shapes, schema).await;
        self.finish(held, found)
    }

    async fn check_reading(&self, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError> {
        read_check::check(self, target).await
    }

    async fn receipt_problems(&self) -> Result<Vec<Finding>, EngineError> {
        let mut held = self.take().await?;
        let found = receipts::problems(held.session(), &self.pool.connector, &self.shapes).await;
        self.finish(held, found)
    }

    async fn find_receipt(&self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError> {
        let (table, id) = (self.receipts()?, id.to_string());
        let mut held = self.take().await?;
        let found = read::receipts(held.session(), &table, &id, &[]).await;
        let found = found.map(|found| found.receipt);
        self.finish_unverified(held, found)
    }

    async fn find_receipts(&self, ids: &[ProposalId]) -> Result<SourceReceipts, EngineError> {
        let (schema, table) = (self.pool.connector.receipt_schema()?, self.receipts()?);
        let mut held = self.take().await?;
        let found = read::receipts_of(held.session(), (&schema, &table), ids).await;
        self.finish_unverified(held, found)
    }

    async fn receipts_before(
        &self,
        before: Option<&RowMark>,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        let table = self.receipts()?;
        let mut held = self.take().await?;
        let found = read::receipts_before(held.session(), &table, before, rows_max).await;
        self.finish_unverified(held, found)
    }

    async fn find_switches(&self) -> Result<Vec<StoredReceipt>, EngineError> {
        let table = self.receipts()?;
        let mut held = self.take().await?;
        let found = read::receipts(held.session(), &table, FIRST_KEY, &[]).await;
        self.finish_unverified(held, found.map(|found| found.switches))
    }

    async fn receipts_since(
        &self,
        from: Timestamp,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError> {
        let table = self.receipts()?;
        let mut held = self.take().await?;
        let found = read::receipts_since(held.session(), &table, from.to_string(), rows_max).await;
        self.finish_unverified(held, found)
    }
}
