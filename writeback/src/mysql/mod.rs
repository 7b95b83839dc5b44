//! The write path of MySQL and MariaDB.

mod checks;
mod preflight;
mod tables;
mod transaction_checks;
mod update;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use synapsor_engine::mysql::MysqlEngine;
use synapsor_source::{EngineError, Finding, PreflightTarget};

use crate::database::Write;
use crate::transaction::{Begin, OpenTransaction};

/// The writing connections of one database.
pub(crate) struct Writing(Arc<MysqlEngine>);

impl Writing {
    pub(crate) const fn new(engine: Arc<MysqlEngine>) -> Self {
        Self(engine)
    }
}

#[async_trait]
impl Begin for Writing {
    async fn begin(&self) -> Result<OpenTransaction, EngineError> {
        write::begin(&self.0.pool, &self.0.shapes).await
    }
}

#[async_trait]
impl Write for Writing {
    async fn check(&self, targets: &[PreflightTarget]) -> Result<Vec<Finding>, EngineError> {
        preflight::check(&self.0.pool, &self.0.shapes, targets).await
    }
}
