//! Access of a request to its batch: it reads and changes the views, and appends events.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _};
use synapsor_domain::agent_view::STATE_EVENTS;
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::log::{BODY_SALT_BYTES, TreeHash, body_commitment, leaf_hash};
use synapsor_domain::timestamp::Timestamp;

use super::blocks::{self, BODIES_BYTES_MAX, BlockEntry, KeptBody};
use super::error::StoreError;
use super::listeners::Moved;
use super::record_views::RecordViews;
use super::views::{self, ParsedBody, RecordView};

/// An event to append.
#[derive(Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) kind: EventKind,
    pub(crate) at: Timestamp,
    /// Certificate identity of the sender, or the operator who signed it.
    pub(crate) actor: &'a str,
    pub(crate) proposal_id: Option<&'a ProposalId>,
    /// Canonical bytes of the body that the kind prescribes.
    pub(crate) body: &'a [u8],
    /// The decoded body, if it was decoded already.
    pub(crate) read: ParsedBody<'a>,
    pub(crate) trace_id: Option<&'a str>,
}

/// What a request does to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// Anything. It runs in a savepoint.
    Any,
    /// Appends the event of a call with [`WriteTransaction::record`] as its last statement, and nothing else. It needs
    /// no savepoint, and shares its block with others of the batch.
    Record,
}

/// State of a running batch.
pub(crate) struct WriteTransaction<'c> {
    conn: &'c Connection,
    records: &'c mut RecordViews,
    first_seq: u64,
    leaves: Vec<TreeHash>,
    moved: Vec<Moved>,
    /// Lengths of leaves, changed proposals and records at the savepoint.
    kept: (usize, usize, usize),
    /// The newest events, not yet stored: those of requests without a savepoint.
    block: Vec<BlockEntry>,
    block_bytes: usize,
}

impl<'c> WriteTransaction<'c> {
    pub(crate) fn new(conn: &'c Connection, records: &'c mut RecordViews, next_seq: u64) -> Self {
        Self {
            conn,
            records,
            first_seq: next_seq,
            leaves: Vec::new(),
            moved: Vec::new(),
            kept: (0, 0, 0),
            block: Vec::new(),
            block_bytes: 0,
        }
    }

    /// Returns the connection inside the transaction, for statements of this directory.
    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// Appends an event with its body, updates the derived views, and returns its position in the log.
    pub(crate) fn append(&mut self, event: &NewEvent<'_>) -> Result<u64, StoreError> {
        self.append_all(std::slice::from_ref(event))
    }

    /// Appends events of one request as one block, and returns the position of the first.
    pub(crate) fn append_all(&mut self, events: &[NewEvent<'_>]) -> Result<u64, StoreError> {
        let first = self.next_seq();
        let entries: Vec<_> = events
            .iter()
            .map(|event| self.entry(event, false))
            .collect::<Result<_, _>>()?;
        blocks::insert(self.conn, first, &entries)?;
        Ok(first)
    }

    /// Appends the event of a call, whose ids are known to be new. It is stored together with those of other calls, and
    /// not read again in this batch unless [`Self::store_block`] is called.
    pub(crate) fn record(&mut self, event: &NewEvent<'_>) -> Result<(), StoreError> {
        let entry = self.entry(event, true)?;
        self.block_bytes += event.body.len();
        self.block.push(entry);
        if self.block_bytes >= BODIES_BYTES_MAX {
            self.store_block()?;
        }
        Ok(())
    }

    /// Stores the events that wait for their block.
    pub(crate) fn store_block(&mut self) -> Result<(), StoreError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(self.block.len()).expect("a batch fits in memory");
        blocks::insert(self.conn, self.next_seq() - count, &self.block)?;
        self.block.clear();
        self.block_bytes = 0;
        Ok(())
    }

    /// Returns the position of the next event.
    pub(crate) fn next_seq(&self) -> u64 {
        self.first_seq + u64::try_from(self.leaves.len()).expect("a batch fits in memory")
    }

    /// Returns the digest of recorded evidence.
    pub(crate) fn evidence_digest(&self, id: &EvidenceId) -> Result<Option<Digest>, StoreError> {
        self.records.evidence_digest(self.conn, id)
    }

    /// Returns the position of a recorded audit record.
    pub(crate) fn audit_seq(&self, id: &AuditId) -> Result<Option<u64>, StoreError> {
        self.records.audit_seq(self.conn, id)
    }

    /// Derives the views of records in these segments again, after bodies in them were erased.
    pub(crate) fn derive_segments(&mut self, segments: &BTreeSet<u64>) -> Result<(), StoreError> {
        self.records.derive_segments(self.conn, segments, self.first_seq)
    }

    /// Makes the next event of the log and updates the derived views.
    fn entry(&mut self, event: &NewEvent<'_>, has_new_id: bool) -> Result<BlockEntry, StoreError> {
        let seq = self.next_seq();
        let salt: [u8; BODY_SALT_BYTES] = synapsor_chassis::random::bytes();
        let record = EventRecord {
            seq,
            kind: event.kind,
            at: event.at,
            actor: event.actor.to_owned(),
            proposal_id: event.proposal_id.cloned(),
            body_digest: body_commitment(&salt, event.body),
            trace_id: event.trace_id.map(str::to_owned),
        };
        let bytes = canonical::encode(&record)
            .map_err(|e| StoreError::Failed(format!("event has no canonical form: {e}")))?;
        let leaf = leaf_hash(&bytes);
        // The leaf first: a failure of a later statement is then visible as a change.
        self.leaves.push(leaf);
        match RecordView::of(&record, event.body, event.read)? {
            Some(view) if !has_new_id && self.records.has_id_of(self.conn, &view)? => {
                return Err(StoreError::Duplicate);
            }
            Some(view) => self.records.push(view),
            None => views::apply(self.conn, &record, event.body, event.read)?,
        }
        self.note_move(seq, event)?;
        Ok(BlockEntry {
            event: bytes,
            kept: Some(KeptBody {
                salt,
                body: event.body.to_vec(),
            }),
        })
    }

    /// Records the topics of a changed proposal, for the streams that wait.
    fn note_move(&mut self, seq: u64, event: &NewEvent<'_>) -> Result<(), StoreError> {
        if matches!(event.kind, EventKind::WritebackFrozen | EventKind::FreezeLifted) {
            self.moved.push(Moved {
                seq,
                tenant: String::new(),
                source: String::new(),
                is_for_writers: true,
                is_for_all_sources: true,
            });
            return Ok(());
        }
        let concerns = STATE_EVENTS.contains(&event.kind) || event.kind == EventKind::RejectionRecorded;
        let Some(id) = event.proposal_id.filter(|_| concerns) else {
            return Ok(());
        };
        let moved = self
            .conn
            .prepare_cached("SELECT tenant, source_id FROM proposals WHERE proposal_id = ?1")?
            .query_row([id.as_str()], |row| {
                Ok(Moved {
                    seq,
                    tenant: row.get(0)?,
                    source: row.get(1)?,
                    is_for_writers: !matches!(
                        event.kind,
                        EventKind::ProposalCreated | EventKind::ProposalApproved
                    ),
                    is_for_all_sources: false,
                })
            })
            .optional()?;
        self.moved.extend(moved);
        Ok(())
    }

    pub(crate) fn savepoint(&mut self) -> Result<(), StoreError> {
        self.store_block()?;
        self.kept = (self.leaves.len(), self.moved.len(), self.records.len());
        self.conn.prepare_cached("SAVEPOINT request")?.execute([])?;
        Ok(())
    }

    pub(crate) fn release(&mut self, keep: bool) -> Result<(), StoreError> {
        if !keep {
            self.conn.prepare_cached("ROLLBACK TO request")?.execute([])?;
            self.leaves.truncate(self.kept.0);
            self.moved.truncate(self.kept.1);
            self.records.truncate(self.kept.2);
        }
        self.conn.prepare_cached("RELEASE request")?.execute([])?;
        Ok(())
    }

    /// Stores what waits, and returns the leaves that stay, in order, and the proposals that their events changed.
    pub(crate) fn finish(mut self) -> Result<(Vec<TreeHash>, Vec<Moved>), StoreError> {
        self.store_block()?;
        Ok((self.leaves, self.moved))
    }
}
