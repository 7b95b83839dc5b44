//! Reads events with the proofs that a tree contains them and continues earlier trees.

use rusqlite::Connection;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::{ConsistencyProof, ProvenEntry};

use super::blocks;
use super::error::StoreError;
use super::events::{ANSWER_BYTES_MAX, missing};
use super::nodes::{NodeCache, Nodes};
use super::writer::StoreTxError;

/// Reads proofs for the tree of one size. Proofs of one reader share the tree nodes that it has read.
pub(crate) struct ProofReader<'c> {
    conn: &'c Connection,
    size: u64,
    nodes: Nodes<'c>,
}

impl<'c> ProofReader<'c> {
    /// Creates a reader of the tree of `size` events that caches the nodes in `cache`.
    pub(crate) fn new(conn: &'c Connection, size: u64, cache: &'c NodeCache) -> Self {
        Self {
            conn,
            size,
            nodes: Nodes::kept(conn, size, cache),
        }
    }

    /// Returns one event with its body and its inclusion proof.
    pub(crate) fn logged(&self, seq: u64) -> Result<ProvenEntry, StoreError> {
        let entry = blocks::entry(self.conn, seq)?.ok_or_else(|| missing(seq))?;
        let proof = self.nodes.inclusion(seq, self.size)?;
        let kept = entry.kept.ok_or_else(|| blocks::without_body(self.conn, seq))?;
        Ok(ProvenEntry {
            event_bytes: entry.event,
            body_salt: kept.salt,
            body: kept.body,
            proof,
        })
    }

    /// Returns several events with proofs; fails when they exceed one response.
    pub(crate) fn logged_all(&self, seqs: &[u64]) -> Result<Vec<ProvenEntry>, StoreTxError> {
        let (mut records, mut bytes) = (Vec::with_capacity(seqs.len()), 0);
        for seq in seqs {
            let record = self.logged(*seq)?;
            bytes += record.body.len() + record.event_bytes.len() + 40 * record.proof.hashes().len();
            if bytes > ANSWER_BYTES_MAX {
                let text = "the records of the proposal exceed one response; read them with `events tail`";
                return Err(PublicError::new(ErrorCode::ReplayTooLarge, text).into());
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Returns the proof that the first `old` events are a prefix of the tree; `1 <= old`.
    pub(crate) fn consistency(&self, old: u64) -> Result<ConsistencyProof, StoreError> {
        self.nodes.consistency(old, self.size)
    }
}
