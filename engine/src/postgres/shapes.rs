//! Short-lived cache of table shapes: statements need the column types, and a read must take one round trip.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use synapsor_domain::schema::TableSchema;

use super::connect::PgPooledConnection;
use super::inspect;
use synapsor_source::SHAPE_AGE_MAX;
use synapsor_source::error::EngineError;

/// Maximum number of cached table shapes.
const SHAPES_MAX: usize = 1_000;

type Name = (String, String);

/// See above.
#[derive(Debug, Default)]
pub struct Shapes {
    kept: Mutex<BTreeMap<Name, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    shape: Option<(Instant, Arc<TableSchema>)>,
    /// Held while one of several calls reads the shape.
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl Shapes {
    /// Returns a cached shape that is young enough.
    fn kept(&self, schema: &str, table: &str) -> Option<Arc<TableSchema>> {
        self.kept_or_lock(schema, table).ok()
    }

    fn kept_or_lock(
        &self,
        schema: &str,
        table: &str,
    ) -> Result<Arc<TableSchema>, Arc<tokio::sync::Mutex<()>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SHAPES_MAX {
            kept.clear();
        }
        let entry = kept.entry((schema.to_owned(), table.to_owned())).or_default();
        match &entry.shape {
            Some((at, shape)) if at.elapsed() < SHAPE_AGE_MAX => Ok(shape.clone()),
            _ => Err(entry.reading.clone()),
        }
    }

    /// Returns a cached shape that is young enough, or the one that `read` adds to this cache. Of several calls, one
    /// reads and the others wait for it; each reads if that one fails.
    pub async fn kept_or(
        &self,
        (schema, table): (&str, &str),
        read: impl AsyncFnOnce() -> Result<Arc<TableSchema>, EngineError>,
    ) -> Result<Arc<TableSchema>, EngineError> {
        let reading = match self.kept_or_lock(schema, table) {
            Ok(shape) => return Ok(shape),
            Err(reading) => reading,
        };
        let first = reading.try_lock();
        if first.is_err() {
            drop(reading.lock().await);
            if let Some(shape) = self.kept(schema, table) {
                return Ok(shape);
            }
        }
        Box::pin(read()).await
    }

    /// Returns a cached shape that is young enough, or reads it on this connection.
    pub async fn kept_or_read(
        &self,
        lease: &mut PgPooledConnection,
        schema: &str,
        table: &str,
    ) -> Result<Arc<TableSchema>, EngineError> {
        match self.kept(schema, table) {
            Some(shape) => Ok(shape),
            None => self.read(lease, schema, table).await,
        }
    }

    /// Reads the current shape and caches it.
    pub async fn read(
        &self,
        lease: &mut PgPooledConnection,
        schema: &str,
        table: &str,
    ) -> Result<Arc<TableSchema>, EngineError> {
        let asked_at = Instant::now();
        let shape = Arc::new(inspect::shape(lease, schema, table).await?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.entry((schema.to_owned(), table.to_owned())).or_default();
        entry.shape = Some((asked_at, shape.clone()));
        Ok(shape)
    }

    /// Evicts a shape that may be outdated.
    pub fn forget(&self, schema: &str, table: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.get_mut(&(schema.to_owned(), table.to_owned())) {
            entry.shape = None;
        }
    }
}
