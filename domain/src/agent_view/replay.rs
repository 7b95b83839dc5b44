//! Replay view of a proposal, from its evidence to its receipt.

use serde_json::{Value as Json, json};

use super::Visible;
use super::evidence::{self, EvidenceFacts};
use super::proposal::{self, ProposalSnapshot};
use crate::timestamp::Timestamp;

/// What the ledger holds about one proposal and the evidence that it names.
#[derive(Clone, Copy, Debug)]
pub struct ReplayFacts<'a> {
    pub proposal: ProposalSnapshot<'a>,
    pub evidence: &'a [EvidenceFacts<'a>],
    pub now: Timestamp,
}

/// The resource `synapsor://replay/{replay_id}`.
pub fn replay_view(facts: &ReplayFacts<'_>, visible: Visible<'_>) -> Json {
    let snapshot = &facts.proposal;
    let bundles: Json = facts
        .evidence
        .iter()
        .map(|e| evidence::bundle(e, visible))
        .collect();
    let audits: Json = facts
        .evidence
        .iter()
        .filter_map(|e| e.audit)
        .map(|a| evidence::audit(a, visible))
        .collect();
    json!({
        "replay_id": format!("replay_{}", snapshot.proposal.id),
        "proposal": proposal::body(snapshot, visible),
        "events": proposal::events(snapshot),
        "events_omitted": snapshot.events_omitted,
        "receipts": proposal::receipts(snapshot),
        "query_audit": audits,
        "evidence": bundles,
        "generated_at": facts.now,
    })
}
