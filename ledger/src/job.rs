//! Jobs for writers: each leased proposal with everything that its writer needs to verify it. The jobs of one grant
//! are proven under one checkpoint, so that the writer verifies and stores it once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use synapsor_domain::approval::{ApplyOrder, Decision};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::{ConsistencyProof, ProvenEntry};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};

use crate::decide::relevant;
use crate::store::proposals::{self, ProposalRow};
use crate::store::{
    NodeCache, ProofReader, ReadTransaction, SignedTreeHead, StoreError, StoreTxError, events, log, receipts,
    records,
};
use crate::switches::current_switches;

/// Size of a lease token, in random bytes.
pub(crate) const TOKEN_BYTES: usize = 32;

/// A lease that was just granted.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) id: ProposalId,
    pub(crate) token: [u8; TOKEN_BYTES],
    pub(crate) fence: u64,
}

/// One leased proposal with everything that its writer needs to verify it.
#[derive(Debug)]
pub(crate) struct JobGrant {
    pub(crate) proposal: ProvenEntry,
    pub(crate) decisions: Vec<ProvenEntry>,
    pub(crate) order: Option<ProvenEntry>,
    pub(crate) checkpoint: String,
    pub(crate) consistency: Vec<ConsistencyProof>,
    pub(crate) token: [u8; TOKEN_BYTES],
    pub(crate) fence: u64,
    pub(crate) attempt: u32,
    pub(crate) has_open_attempt: bool,
    /// Freezes in force and the newest lifts.
    pub(crate) switches: Vec<DsseEnvelope>,
    /// The receipt that the source must hold before the writer writes to it.
    pub(crate) newest_receipt: Option<DsseEnvelope>,
}

/// Collects the jobs of `grants`, for a writer whose pinned checkpoint has `known_size` events.
pub(crate) fn jobs(
    reader: &ReadTransaction<'_>,
    grants: Vec<Grant>,
    known_size: u64,
    cache: &NodeCache,
) -> Result<Vec<JobGrant>, StoreTxError> {
    if grants.is_empty() {
        return Ok(Vec::new());
    }
    let head = log::head(reader.conn())?;
    let mut collector = JobCollector {
        proofs: ProofReader::new(reader.conn(), head.size, cache),
        switches: current_switches(reader)?,
        newest_receipts: BTreeMap::new(),
        reader,
        head,
        known_size,
    };
    grants.into_iter().map(|grant| collector.job(grant)).collect()
}

/// State of the log that the jobs of one grant share.
struct JobCollector<'r, 'c> {
    reader: &'r ReadTransaction<'c>,
    head: SignedTreeHead,
    proofs: ProofReader<'r>,
    known_size: u64,
    switches: Vec<DsseEnvelope>,
    /// By source.
    newest_receipts: BTreeMap<String, Option<DsseEnvelope>>,
}

impl JobCollector<'_, '_> {
    fn job(&mut self, grant: Grant) -> Result<JobGrant, StoreTxError> {
        let conn = self.reader.conn();
        let row = proposals::get(conn, &grant.id)?;
        let order = proposals::newest_order(conn, &row.id)?
            .map(|seq| self.proofs.logged(seq))
            .transpose()?;
        let signed: Option<ApplyOrder> = order
            .as_ref()
            .map(envelope)
            .transpose()?
            .and_then(|order| order.decode_unverified(ObjectKind::ApplyOrder).ok());
        let on_file = records::decisions(conn, &row.id)?;
        let decisions: Vec<u64> = relevant(&on_file, signed.as_ref().map(|order| &order.decision_digests))
            .map(|decision| decision.seq)
            .collect();
        let decisions = self.proofs.logged_all(&decisions)?;
        let mut sizes = BTreeSet::from([self.known_size]);
        sizes.extend(
            signed
                .and_then(|order| order.seen_checkpoint)
                .map(|seen| seen.size),
        );
        for decision in &decisions {
            let decision: Option<Decision> = envelope(decision)?.decode_unverified(ObjectKind::Decision).ok();
            sizes.extend(
                decision
                    .and_then(|decision| decision.seen_checkpoint)
                    .map(|seen| seen.size),
            );
        }
        Ok(JobGrant {
            proposal: self.proofs.logged(row.created_seq)?,
            decisions,
            order,
            checkpoint: self.head.note.clone(),
            consistency: self.consistency(sizes)?,
            token: grant.token,
            fence: grant.fence,
            attempt: row.attempts + 1,
            has_open_attempt: row.started && records::has_open_attempt(conn, &row.id)?,
            switches: self.switches.clone(),
            newest_receipt: self.newest_receipt(&row)?,
        })
    }

    /// Returns the proofs that the log continues the trees of these sizes.
    fn consistency(&self, sizes: BTreeSet<u64>) -> Result<Vec<ConsistencyProof>, StoreTxError> {
        let provable = sizes
            .into_iter()
            .filter(|size| (1..=self.head.size).contains(size));
        Ok(provable
            .map(|size| self.proofs.consistency(size))
            .collect::<Result<_, _>>()?)
    }

    fn newest_receipt(&mut self, row: &ProposalRow) -> Result<Option<DsseEnvelope>, StoreTxError> {
        let conn = self.reader.conn();
        Ok(match self.newest_receipts.entry(row.source_id.clone()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => {
                let newest = receipts::newest_expected(conn, &row.source_id)?
                    .map(|seq| records::settle_body(conn, seq).map(|body| body.receipt))
                    .transpose()?;
                unknown.insert(newest).clone()
            }
        })
    }
}

fn envelope(entry: &ProvenEntry) -> Result<DsseEnvelope, StoreError> {
    events::envelope_of(&entry.body, entry.proof.index())
}
