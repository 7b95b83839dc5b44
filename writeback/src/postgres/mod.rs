//! The write path of PostgreSQL.

mod check;
mod update;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use synapsor_engine::postgres::PostgresEngine;
use synapsor_source::{CheckTarget, EngineError, EngineErrorKind, Finding};

use crate::database::Write;
use crate::transaction::{Begin, OpenTransaction};

/// The writing connections of one database.
pub(crate) struct Writing(Arc<PostgresEngine>);

impl Writing {
    pub(crate) const fn new(engine: Arc<PostgresEngine>) -> Self {
        Self(engine)
    }
}

#[async_trait]
impl Begin for Writing {
    async fn begin(&self) -> Result<OpenTransaction, EngineError> {
        match &self.0.writers {
            Some(writers) => write::begin(writers, &self.0.receipts, &self.0.shapes).await,
            None => Err(EngineError::new(
                EngineErrorKind::Denied,
                "this credential is for reading",
            )),
        }
    }
}

#[async_trait]
impl Write for Writing {
    async fn check(&self, targets: &[CheckTarget]) -> Result<Vec<Finding>, EngineError> {
        check::check(&self.0, targets).await
    }
}
