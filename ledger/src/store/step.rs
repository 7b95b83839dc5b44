//! Access of a request to its batch: it reads and changes the views, and appends events.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::agent_view::STATE_EVENTS;
use synapsor_domain::canonical;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::{BODY_SALT_BYTES, TreeHash, body_commitment, leaf_hash};
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;
use super::listeners::Moved;
use super::row::to_sql;
use super::views::{self, ParsedBody};

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

/// State of a running batch.
pub(crate) struct WriteTransaction<'c> {
    conn: &'c Connection,
    first_seq: u64,
    leaves: Vec<TreeHash>,
    moved: Vec<Moved>,
    /// Lengths of both at the savepoint.
    kept: (usize, usize),
}

impl<'c> WriteTransaction<'c> {
    pub(crate) fn new(conn: &'c Connection, next_seq: u64) -> Self {
        Self {
            conn,
            first_seq: next_seq,
            leaves: Vec::new(),
            moved: Vec::new(),
            kept: (0, 0),
        }
    }

    /// Returns the connection inside the transaction, for statements of this directory.
    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// Appends an event with its body, updates the derived views, and returns its position in the log.
    pub(crate) fn append(&mut self, event: &NewEvent<'_>) -> Result<u64, StoreError> {
        let seq = self.first_seq + u64::try_from(self.leaves.len()).expect("a batch fits in memory");
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
        self.conn
            .prepare_cached("INSERT INTO events (seq, bytes, leaf) VALUES (?1, ?2, ?3)")?
            .execute(params![to_sql(seq), bytes, leaf])?;
        self.conn
            .prepare_cached("INSERT INTO bodies (event_seq, salt, bytes) VALUES (?1, ?2, ?3)")?
            .execute(params![to_sql(seq), salt, event.body])?;
        views::apply(self.conn, &record, event.body, event.read)?;
        self.leaves.push(leaf);
        self.note_move(seq, event)?;
        Ok(seq)
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
        self.kept = (self.leaves.len(), self.moved.len());
        self.conn.prepare_cached("SAVEPOINT request")?.execute([])?;
        Ok(())
    }

    pub(crate) fn release(&mut self, keep: bool) -> Result<(), StoreError> {
        if !keep {
            self.conn.prepare_cached("ROLLBACK TO request")?.execute([])?;
            self.leaves.truncate(self.kept.0);
            self.moved.truncate(self.kept.1);
        }
        self.conn.prepare_cached("RELEASE request")?.execute([])?;
        Ok(())
    }

    /// Returns the leaves that stay, in order, and the proposals that their events changed.
    pub(crate) fn into_parts(self) -> (Vec<TreeHash>, Vec<Moved>) {
        (self.leaves, self.moved)
    }
}
