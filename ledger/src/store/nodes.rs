//! Stored nodes of the tree: complete subtrees only, in the order in which appending creates them, each with the
//! checkpoint of the batch that created it.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::Connection;
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

    /// Returns the stored form of the nodes that [`Self::append`] created, and caches them.
    pub(crate) fn created(&self) -> Vec<u8> {
        for (index, hash) in (self.fresh_from..).zip(&self.fresh) {
            if let Some(kept) = self.kept {
                kept.keep(index, *hash);
            }
        }
        self.fresh.iter().flat_map(|hash| hash.0).collect()
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
        let hash = stored(self.conn, index)?.ok_or_else(|| missing(index))?;
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

/// Reads a node from the batch that created it: that of the last event below the node.
fn stored(conn: &Connection, index: u64) -> Result<Option<tlog::Hash>, StoreError> {
    let (level, place) = tlog::split_stored_hash_index(index);
    let last_event = ((place + 1) << level) - 1;
    let mut query =
        conn.prepare_cached("SELECT size, nodes FROM checkpoints WHERE size > ?1 ORDER BY size LIMIT 1")?;
    let mut rows = query.query([to_sql(last_event)])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let from_end = tlog::stored_hash_count(from_sql(row.get(0)?)?) - index;
    let malformed = || StoreError::Tampered("the nodes of a checkpoint are malformed".to_owned());
    let nodes = row.get_ref(1)?.as_blob().map_err(|_| malformed())?;
    let node = usize::try_from(from_end)
        .ok()
        .and_then(|back| back.checked_mul(size_of::<TreeHash>()))
        .and_then(|back| nodes.len().checked_sub(back))
        .and_then(|start| nodes[start..].first_chunk::<32>());
    Ok(node.map(|node| tlog::Hash(*node)))
}

/// Returns whether a checkpoint has as many nodes as its batch creates in a log that had `before` events.
pub(crate) fn is_count_right(before: u64, size: u64, bytes: u64) -> bool {
    let created = tlog::stored_hash_count(size).checked_sub(tlog::stored_hash_count(before));
    created.and_then(|created| created.checked_mul(32)) == Some(bytes)
}
