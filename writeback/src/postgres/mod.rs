//! The write path of PostgreSQL.

mod check_facts;
mod checks;
mod declared;
mod preflight;
mod side_effects;
mod stamp;
mod together;
mod update;
mod version;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use synapsor_engine::postgres::PostgresEngine;
use synapsor_source::{EngineError, EngineErrorKind, Finding, PreflightTarget};

use self::stamp::VerifiedStamps;
use crate::database::Write;
use crate::transaction::{Begin, OpenTransaction};

/// The writing connections of one database.
pub(crate) struct Writing {
    engine: Arc<PostgresEngine>,
    stamps: Arc<VerifiedStamps>,
}

impl Writing {
    pub(crate) fn new(engine: Arc<PostgresEngine>) -> Self {
        Self {
            engine,
            stamps: Arc::default(),
        }
    }
}

#[async_trait]
impl Begin for Writing {
    async fn begin(&self) -> Result<OpenTransaction, EngineError> {
        match &self.engine.writers {
            Some(writers) => {
                let engine = &self.engine;
                match write::begin(writers, &engine.receipts, &engine.shapes, &self.stamps).await {
                    Err(error) => Err(engine.with_missing_rights(error).await),
                    begun => begun,
                }
            }
            None => Err(EngineError::new(
                EngineErrorKind::Denied,
                "this credential is for reading",
            )),
        }
    }
}

#[async_trait]
impl Write for Writing {
    async fn check(&self, targets: &[PreflightTarget]) -> Result<Vec<Finding>, EngineError> {
        match preflight::check(&self.engine, targets).await {
            Err(error) => Err(self.engine.with_missing_rights(error).await),
            found => found,
        }
    }
}
