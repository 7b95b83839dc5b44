//! Stored nodes of the tree: complete subtrees only, in the order in which appending creates them.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::log::{ConsistencyProof, InclusionProof, TreeHash};
use tlog_tiles::tlog::{self, HashReader};

use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// Maximum number of nodes that the writing thread caches. Every batch reads the right edge of the tree again.
const KEPT_MAX: usize = 8_192;

/// Nodes that the writing thread has read or written; a node never changes.
#[derive(Debug, Default)]
pub(crate) struct NodeCache(RefCell<HashMap<u64, tlog::Hash>>);

impl NodeCache {
    /// Clears the cache after a batch that may not be durable.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    fn keep(&self, index: u64, hash: tlog::Hash) {
        let mut kept = self.0.borrow_mut();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(index, hash);
    }
}

/// Reads stored nodes, and nodes that the running batch has created but not yet written.
pub(crate) struct Nodes<'c> {
    conn: &'c Connection,
    kept: Option<&'c NodeCache>,
    fresh_from: u64,
    fresh: Vec<tlog::Hash>,
    /// The library's error cannot carry a cause, so the driver's error is stored here.
    failure: RefCell<Option<StoreError>>,
}

impl<'c> Nodes<'c> {
    /// Creates a reader over a log of `size` events.
    pub(crate) fn new(conn: &'c Connection, size: u64) -> Self {
        Self {
            conn,
            kept: None,
            fresh_from: tlog::stored_hash_count(size),
            fresh: Vec::new(),
            failure: RefCell::new(None),
        }
    }

    /// Creates a reader that uses the cache of the writing thread.
    pub(crate) fn kept(conn: &'c Connection, size: u64, kept: &'c NodeCache) -> Self {
        Self {
            kept: Some(kept),
            ..Self::new(conn, size)
        }
    }

    /// Adds the leaf of event `seq`, and the subtrees that it completes.
    pub(crate) fn append(&mut self, seq: u64, leaf: &TreeHash) -> Result<(), StoreError> {
        let made = tlog::stored_hashes_for_record_hash(seq, tlog::Hash(*leaf), self);
        let made = self.or_failure(made)?;
        self.fresh.extend(made);
        Ok(())
    }

    /// Writes the nodes that [`Self::append`] created.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        let mut insert = self
            .conn
            .prepare_cached("INSERT INTO nodes (idx, hash) VALUES (?1, ?2)")?;
        for (offset, hash) in (0_u64..).zip(&self.fresh) {
            insert.execute(params![to_sql(self.fresh_from + offset), hash.0])?;
            if let Some(kept) = self.kept {
                kept.keep(self.fresh_from + offset, *hash);
            }
        }
        self.fresh_from += u64::try_from(self.fresh.len()).expect("a batch fits in memory");
        self.fresh.clear();
        Ok(())
    }

    /// Returns the root of the tree over the first `size` events.
    pub(crate) fn root(&self, size: u64) -> Result<TreeHash, StoreError> {
        Ok(self.or_failure(tlog::tree_hash(size, self))?.0)
    }

    /// Returns the proof that event `index` is in the tree of `size` events.
    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, StoreError> {
        let path = self.or_failure(tlog::prove_record(size, index, self))?;
        InclusionProof::new(index, size, path.into_iter().map(|h| h.0).collect())
            .map_err(|_| StoreError::Failed("proof range out of bounds".to_owned()))
    }

    /// Returns the proof that the tree of `old` events is a prefix of the tree of `new` events; `1 <= old <= new`.
    pub(crate) fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, StoreError> {
        let path = self.or_failure(tlog::prove_tree(new, old, self))?;
        ConsistencyProof::new(old, new, path.into_iter().map(|h| h.0).collect())
            .map_err(|_| StoreError::Failed("proof range out of bounds".to_owned()))
    }

    /// Returns the stored leaf of event `seq`.
    pub(crate) fn leaf(&self, seq: u64) -> Result<TreeHash, StoreError> {
        self.node(tlog::stored_hash_index(0, seq))
    }

    /// Returns the stored node `index`.
    pub(crate) fn node(&self, index: u64) -> Result<TreeHash, StoreError> {
        Ok(self.read(index)?.0)
    }

    fn or_failure<T>(&self, result: Result<T, tlog::Error>) -> Result<T, StoreError> {
        result.map_err(|_| {
            self.failure
                .borrow_mut()
                .take()
                .unwrap_or_else(|| StoreError::Tampered("nodes of the tree are missing".to_owned()))
        })
    }

    fn read(&self, index: u64) -> Result<tlog::Hash, StoreError> {
        if let Some(offset) = index.checked_sub(self.fresh_from) {
            let offset = usize::try_from(offset).expect("a batch fits in memory");
            return self.fresh.get(offset).copied().ok_or_else(|| missing(index));
        }
        if let Some(hash) = self.kept.and_then(|kept| kept.0.borrow().get(&index).copied()) {
            return Ok(hash);
        }
        let mut query = self
            .conn
            .prepare_cached("SELECT hash FROM nodes WHERE idx = ?1")?;
        let hash: Option<[u8; 32]> = query.query_row([to_sql(index)], |row| row.get(0)).optional()?;
        let hash = hash.map(tlog::Hash).ok_or_else(|| missing(index))?;
        if let Some(kept) = self.kept {
            kept.keep(index, hash);
        }
        Ok(hash)
    }
}

fn missing(index: u64) -> StoreError {
    StoreError::Tampered(format!("node {index} of the tree is missing"))
}

impl HashReader for Nodes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let hashes: Result<Vec<_>, _> = indexes.iter().map(|index| self.read(*index)).collect();
        hashes.map_err(|cause| {
            *self.failure.borrow_mut() = Some(cause);
            tlog::Error::IndexesNotInTree
        })
    }
}

/// Returns the highest stored node, or `None` in an empty log.
pub(crate) fn last_index(conn: &Connection) -> Result<Option<u64>, StoreError> {
    let last: Option<i64> = conn.query_row("SELECT max(idx) FROM nodes", [], |row| row.get(0))?;
    last.map(from_sql).transpose()
}
