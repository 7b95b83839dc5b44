//! Log queries: the head, and proofs that the log is append-only.

use std::collections::BTreeSet;

use rusqlite::Connection;
use synapsor_domain::log::{ConsistencyProof, TreeHead};

use super::error::StoreError;
use super::head::{self, SignedTreeHead};
use super::nodes::Nodes;

/// Returns the newest head in this state of the file.
pub(crate) fn head(conn: &Connection) -> Result<SignedTreeHead, StoreError> {
    head::newest(conn)?.ok_or_else(|| StoreError::Tampered("the checkpoints are missing".to_owned()))
}

/// Returns those of `heads` that this log equals or extends.
pub(crate) fn continued(
    conn: &Connection,
    heads: BTreeSet<TreeHead>,
) -> Result<BTreeSet<TreeHead>, StoreError> {
    if heads.is_empty() {
        return Ok(heads);
    }
    let size = head(conn)?.size;
    let nodes = Nodes::new(conn, size);
    let mut continued = BTreeSet::new();
    for head in heads.into_iter().filter(|head| head.size <= size) {
        if nodes.root(head.size)? == head.root {
            continued.insert(head);
        }
    }
    Ok(continued)
}

/// Returns the proof that the log of `old` events is a prefix of the log of `new` events; `1 <= old <= new`.
pub(crate) fn consistency(conn: &Connection, old: u64, new: u64) -> Result<ConsistencyProof, StoreError> {
    Nodes::new(conn, new).consistency(old, new)
}

/// Returns the proof for a caller that has verified `known` events, if there is anything to prove.
pub(crate) fn proof_since(
    conn: &Connection,
    known: u64,
    head: &SignedTreeHead,
) -> Result<Option<ConsistencyProof>, StoreError> {
    if known == 0 || known > head.size {
        return Ok(None);
    }
    consistency(conn, known, head.size).map(Some)
}
