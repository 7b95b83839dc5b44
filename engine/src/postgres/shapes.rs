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
    kept: Mutex<BTreeMap<Name, (Instant, Arc<TableSchema>)>>,
}

impl Shapes {
    /// Returns a cached shape that is young enough.
    pub fn kept(&self, schema: &str, table: &str) -> Option<Arc<TableSchema>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, shape) = kept.get(&(schema.to_owned(), table.to_owned()))?;
        (at.elapsed() < SHAPE_AGE_MAX).then(|| shape.clone())
    }

    /// Returns a cached shape that is young enough, or reads it.
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
        if kept.len() >= SHAPES_MAX {
            kept.clear();
        }
        kept.insert((schema.to_owned(), table.to_owned()), (asked_at, shape.clone()));
        Ok(shape)
    }

    /// Evicts a shape that may be outdated.
    pub fn forget(&self, schema: &str, table: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&(schema.to_owned(), table.to_owned()));
    }
}
