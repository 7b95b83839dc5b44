//! Replay as JSON: the verified replay, and the record of 0.1.x beside it. Not a command of its own.

use serde_json::{Value as Json, json};
use synapsor_domain::digest::Digest;
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::replay::{Entry, EventBody, VerifiedBundle};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};

use super::{evidence, query_audit};
use crate::output::shape;
use crate::workflows::{self, ListedAuditRecord, ListedEvidence, SignedReceipt};

/// Formats a replay with everything that its records prove.
pub(super) fn object(verified: &VerifiedBundle) -> Json {
    let story = &verified.story;
    let proposal = verified.proposal.proposal();
    let newest = verified
        .entries
        .last()
        .map_or(proposal.created_at, |entry| entry.event.at);
    let calls: Vec<ListedAuditRecord> = verified.entries.iter().filter_map(call).collect();
    let receipts = story.receipt.iter().map(|line| {
        shape::receipt(&SignedReceipt {
            digest: line.digest,
            writer_key: line.writer_key.clone(),
            receipt: line.receipt.clone(),
        })
    });
    json!({
        "replay": story,
        "findings": verified.findings,
        "verified_at_size": verified.checkpoint.size,
        "replay_id": story.replay_id,
        "proposal": shape::proposal(&verified.proposal, story.state, newest),
        "events": verified.entries.iter().map(shape::event).collect::<Vec<_>>(),
        "receipts": receipts.collect::<Vec<_>>(),
        "query_audit": calls.iter().map(query_audit::object).collect::<Vec<_>>(),
        "evidence": verified.entries.iter().filter_map(|entry| bundle(entry, &proposal.id.to_string(), &calls)).collect::<Vec<_>>(),
        "generated_at": workflows::now(),
    })
}

fn call(entry: &Entry) -> Option<ListedAuditRecord> {
    let record: &AuditRecord = match &entry.body {
        EventBody::Audit(record) | EventBody::Read { audit: record, .. } => record,
        _ => return None,
    };
    Some(ListedAuditRecord {
        seq: entry.event.seq,
        record: record.clone(),
    })
}

/// Formats the evidence of a record with the calls of this replay that recorded it.
fn bundle(entry: &Entry, proposal: &str, calls: &[ListedAuditRecord]) -> Option<Json> {
    let envelope: &DsseEnvelope = match &entry.body {
        EventBody::Evidence(envelope)
        | EventBody::Read {
            evidence: envelope, ..
        } => envelope,
        _ => return None,
    };
    let evidence: Evidence = envelope.decode_unverified(ObjectKind::Evidence).ok()?;
    let is_of = |call: &&ListedAuditRecord| call.record.evidence_id.as_ref() == Some(&evidence.id);
    let own: Vec<ListedAuditRecord> = calls.iter().filter(is_of).cloned().collect();
    let digest = Digest::of(ObjectKind::Evidence, &envelope.payload);
    let found = ListedEvidence { digest, evidence };
    Some(evidence::bundle(&found, &[proposal.to_owned()], &own))
}
