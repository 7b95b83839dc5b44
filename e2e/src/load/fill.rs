//! Fills a ledger with many proposals or reads through the service that readers use.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::limits::PROPOSAL_LIFETIME_DAYS;
use synapsor_domain::proposal::{EvidenceRef, Proposal};
use synapsor_domain::signing::{self, DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::Span;
use synapsor_domain::value::Value;
use synapsor_proto::ledger::v1::intake_service_client::IntakeServiceClient;
use synapsor_proto::ledger::v1::{
    CallRecord, ProposalCall, ReadCall, SubmitRequest, call_record, submit_outcome,
};
use tokio::task::JoinSet;

use super::scene::Scene;
use crate::now;

/// Concurrent requests, and records per request.
const IN_FLIGHT: usize = 2;
const BY_REQUEST: u64 = 64;
/// Proposals of one principal.
const BY_PRINCIPAL: u64 = 40;

/// Submits `count` open proposals like `like`, each for its own row.
pub(super) async fn proposals(scene: &Scene, like: &Proposal, count: u64) -> anyhow::Result<()> {
    fill(scene, like, count, |minter, numbers| {
        numbers.map(|number| minter.proposal(number)).collect()
    })
    .await
}

/// Submits `count` reads of the row of `like`, by the same caller.
pub(super) async fn reads(scene: &Scene, like: &Proposal, count: u64) -> anyhow::Result<()> {
    fill(scene, like, count, Minter::reads).await
}

async fn fill(
    scene: &Scene,
    like: &Proposal,
    count: u64,
    records: fn(&Minter, Range<u64>) -> anyhow::Result<Vec<CallRecord>>,
) -> anyhow::Result<()> {
    let pem = scene.stack.deployment.reader_key.to_pem();
    let minter = Arc::new(Minter {
        key: SigningKey::from_pem(&pem)?,
        like: like.clone(),
        batch: random::hex_id(8),
    });
    let next = Arc::new(AtomicU64::new(0));
    let channel = scene.stack.ledger_as(Role::Reader, Some("filler"))?;
    let mut submission = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut intake = IntakeServiceClient::new(channel.clone());
        let (next, minter) = (next.clone(), minter.clone());
        submission.spawn(async move {
            loop {
                let first = next.fetch_add(BY_REQUEST, Ordering::Relaxed);
                let numbers = first..count.min(first + BY_REQUEST);
                if numbers.is_empty() {
                    return anyhow::Ok(());
                }
                let request = SubmitRequest {
                    records: records(&minter, numbers)?,
                    known: None,
                };
                for outcome in intake.submit(request).await?.into_inner().outcomes {
                    if let Some(submit_outcome::Outcome::Error(refused)) = outcome.outcome {
                        anyhow::bail!("{}: {}", refused.code, refused.message);
                    }
                }
            }
        });
    }
    while let Some(ended) = submission.join_next().await {
        ended?.context("filling the ledger")?;
    }
    Ok(())
}

/// Creates records as a reader does.
struct Minter {
    key: SigningKey,
    like: Proposal,
    /// Distinguishes the principals of different fillings.
    batch: String,
}

impl Minter {
    fn proposal(&self, number: u64) -> anyhow::Result<CallRecord> {
        let mut proposal = self.like.clone();
        proposal.id = ProposalId::from_random(random::bytes());
        proposal.target.keys[0].value = Value::text(format!("{}-{number}", self.batch));
        proposal.requested_by.principal = format!("agent-{}-{}", self.batch, number / BY_PRINCIPAL);
        proposal.created_at = now();
        proposal.not_after = proposal.created_at + Span::days(PROPOSAL_LIFETIME_DAYS);
        let evidence = evidence_of(&proposal);
        let signed_evidence = DsseEnvelope::sign(ObjectKind::Evidence, &evidence, &self.key)?;
        proposal.evidence = vec![EvidenceRef {
            id: evidence.id.clone(),
            digest: Digest::of(ObjectKind::Evidence, &signed_evidence.payload),
        }];
        let signed_proposal = DsseEnvelope::sign(ObjectKind::Proposal, &proposal, &self.key)?;
        let record = ProposalCall {
            proposal: Some((&signed_proposal).into()),
            evidence: Some((&signed_evidence).into()),
            audit: canonical::encode(&audit_of(&proposal, &evidence, true))?,
        };
        Ok(call_of(call_record::Record::Proposal(record)))
    }

    /// Reads whose evidence one signature covers, as in a request of a busy reader.
    fn reads(&self, numbers: Range<u64>) -> anyhow::Result<Vec<CallRecord>> {
        let (mut payloads, mut audits) = (Vec::new(), Vec::new());
        for _ in numbers {
            let mut read = self.like.clone();
            read.created_at = now();
            let evidence = evidence_of(&read);
            payloads.push(canonical::encode(&evidence)?);
            audits.push(canonical::encode(&audit_of(&read, &evidence, false))?);
        }
        let signed = signing::sign_evidence(payloads, &self.key);
        let records = signed.into_iter().zip(audits).map(|(evidence, audit)| {
            let evidence = Some(evidence.into());
            call_of(call_record::Record::Read(ReadCall { evidence, audit }))
        });
        Ok(records.collect())
    }
}

fn call_of(record: call_record::Record) -> CallRecord {
    CallRecord {
        request_id: random::hex_id(32),
        traceparent: String::new(),
        record: Some(record),
    }
}

fn evidence_of(proposal: &Proposal) -> Evidence {
    Evidence {
        v: 1,
        id: EvidenceId::at(proposal.created_at, random::bytes()),
        ledger_origin: proposal.ledger_origin.clone(),
        source: proposal.source.clone(),
        capability: proposal.capability.clone(),
        contract_digest: proposal.contract_digest,
        requested_by: proposal.requested_by.clone(),
        target: proposal.target.clone(),
        row: proposal.before.clone(),
        query_fingerprint: proposal.contract_digest,
        read_at: proposal.created_at,
    }
}

fn audit_of(proposal: &Proposal, evidence: &Evidence, is_proposed: bool) -> AuditRecord {
    AuditRecord {
        v: 1,
        id: AuditId::at(proposal.created_at, random::bytes()),
        capability: proposal.capability.clone(),
        tenant: Some(proposal.requested_by.tenant.clone()),
        principal: Some(proposal.requested_by.principal.clone()),
        client: proposal.requested_by.client.clone(),
        source_id: Some(proposal.source.id.clone()),
        table: Some(format!("{}.{}", proposal.target.schema, proposal.target.table)),
        columns: Vec::new(),
        tenant_bound: proposal.target.tenant.is_some(),
        row_count: 1,
        result: "row".to_owned(),
        query_fingerprint: Some(evidence.query_fingerprint),
        primary_key: proposal.target.keys.first().cloned(),
        primary_keys: Vec::new(),
        arguments_digest: evidence.query_fingerprint,
        evidence_id: Some(evidence.id.clone()),
        proposal_id: is_proposed.then(|| proposal.id.clone()),
        at: proposal.created_at,
    }
}
