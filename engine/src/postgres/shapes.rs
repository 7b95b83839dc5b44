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
    found: Option<Found>,
    /// Held while one of several calls reads the shape.
    reading: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Found {
    shape: Arc<TableSchema>,
    at: Instant,
    runs_code_in_reads: bool,
}

/// A table in which a read runs no code of others, as far as its shape says, and for as long as the shape is young enough.
#[derive(Debug, Clone)]
pub struct PlainTable {
    shape: Arc<TableSchema>,
    until: Instant,
}

impl PlainTable {
    /// Whether it is the same reading of the same shape, still young enough.
    pub fn continues(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shape, &other.shape) && self.is_current()
    }

    pub fn is_current(&self) -> bool {
        Instant::now() < self.until
    }
}

impl Shapes {
    /// Returns a cached shape that is young enough.
    pub fn kept(&self, schema: &str, table: &str) -> Option<Arc<TableSchema>> {
        self.kept_or_lock(schema, table).ok()
    }

    fn kept_or_lock(
        &self,
        schema: &str,
        table: &str,
    ) -> Result<Arc<TableSchema>, Arc<tokio::sync::Mutex<()>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entry(&mut kept, schema, table);
        match &entry.found {
            Some(found) if found.at.elapsed() < SHAPE_AGE_MAX => Ok(found.shape.clone()),
            _ => Err(entry.reading.clone()),
        }
    }

    /// Returns the table of a shape of this cache, if reads of it run no code of others.
    pub fn plain(&self, shape: &Arc<TableSchema>) -> Option<PlainTable> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept
            .get(&(shape.schema.clone(), shape.table.clone()))?
            .found
            .as_ref()?;
        (!found.runs_code_in_reads && Arc::ptr_eq(&found.shape, shape)).then(|| PlainTable {
            shape: shape.clone(),
            until: found.at + SHAPE_AGE_MAX,
        })
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
        let at = Instant::now();
        let (shape, runs_code_in_reads) = inspect::shape(lease, schema, table).await?;
        let shape = Arc::new(shape);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        entry(&mut kept, schema, table).found = Some(Found {
            shape: shape.clone(),
            at,
            runs_code_in_reads,
        });
        Ok(shape)
    }

    /// Evicts a shape that may be outdated.
    pub fn forget(&self, schema: &str, table: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.get_mut(&(schema.to_owned(), table.to_owned())) {
            entry.found = None;
        }
    }
}

/// Returns the entry of a table. A full cache loses the entries that are too old, or all.
fn entry<'k>(kept: &'k mut BTreeMap<Name, Entry>, schema: &str, table: &str) -> &'k mut Entry {
    let name = (schema.to_owned(), table.to_owned());
    if kept.len() >= SHAPES_MAX && !kept.contains_key(&name) {
        kept.retain(|_, entry| {
            let found = entry.found.as_ref();
            found.is_some_and(|found| found.at.elapsed() < SHAPE_AGE_MAX)
        });
        if kept.len() >= SHAPES_MAX {
            kept.clear();
        }
    }
    kept.entry(name).or_default()
}

#[cfg(test)]
mod tests {
    use synapsor_domain::contract::EngineKind;

    use super::*;

    fn table(name: &str) -> Arc<TableSchema> {
        Arc::new(TableSchema {
            engine: EngineKind::Postgres,
            schema: "public".to_owned(),
            table: name.to_owned(),
            columns: Vec::new(),
            triggers: Vec::new(),
            rules: Vec::new(),
            policies: Vec::new(),
            referenced_by: Vec::new(),
            traits: Vec::new(),
            unique_keys: Vec::new(),
            foreign_code: Vec::new(),
        })
    }

    #[test]
    fn outdated_shape_does_not_continue_a_connection() {
        let (shape, now) = (table("invoices"), Instant::now());
        let until = |until| PlainTable {
            shape: shape.clone(),
            until,
        };
        let (young, outdated) = (until(now + SHAPE_AGE_MAX), until(now));
        assert!(young.continues(&young));
        assert!(!outdated.continues(&young));
    }

    #[test]
    fn shape_that_was_read_again_does_not_continue_a_connection() {
        let until = Instant::now() + SHAPE_AGE_MAX;
        let reading = || PlainTable {
            shape: table("invoices"),
            until,
        };
        assert!(!reading().continues(&reading()));
    }

    #[test]
    fn full_cache_keeps_its_bound() {
        let mut kept = BTreeMap::new();
        for number in 0..=SHAPES_MAX {
            let name = format!("t{number}");
            entry(&mut kept, "public", &name).found = Some(Found {
                shape: table(&name),
                at: Instant::now(),
                runs_code_in_reads: false,
            });
            assert!(kept.len() <= SHAPES_MAX);
        }
        assert!(kept.contains_key(&("public".to_owned(), format!("t{SHAPES_MAX}"))));
    }
}
