//! The write path of SQLite.

mod checks;
mod preflight;
mod update;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use synapsor_engine::sqlite::SqliteEngine;
use synapsor_source::{EngineError, Finding, PreflightTarget};
use tokio::sync::Semaphore;

use crate::database::Write;
use crate::transaction::{Begin, OpenTransaction};

/// The writing connection of one file. The permit serializes the writers of this process.
pub(crate) struct Writing {
    engine: Arc<SqliteEngine>,
    permit: Arc<Semaphore>,
}

impl Writing {
    pub(crate) fn new(engine: Arc<SqliteEngine>) -> Self {
        Self {
            engine,
            permit: Arc::new(Semaphore::new(1)),
        }
    }
}

#[async_trait]
impl Begin for Writing {
    async fn begin(&self) -> Result<OpenTransaction, EngineError> {
        let (file, table) = (self.engine.file.clone(), self.engine.receipt_table.clone());
        write::begin(file, table, Arc::clone(&self.permit)).await
    }
}

#[async_trait]
impl Write for Writing {
    async fn check(&self, targets: &[PreflightTarget]) -> Result<Vec<Finding>, EngineError> {
        preflight::check(self, targets).await
    }
}
