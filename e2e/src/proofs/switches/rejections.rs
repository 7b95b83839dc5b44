//! Large number of rejections: the first of them, which met a locked database, is still in force after the last.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::Proposal;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_proto::executor::v1::RejectRequest;
use synapsor_proto::executor::v1::writer_service_client::WriterServiceClient;
use tokio::task::JoinSet;

use super::locks::ReceiptLock;
use super::scene::Scene;
use crate::operator::{Subject, decision, seal_decision};
use crate::proofs::findings::Findings;
use crate::proofs::proof_env::ProofEnv;
use crate::stack::{self, WRITER};

const REJECTIONS: usize = 20_000;
const REJECTIONS_SMALL: usize = 400;
const AT_ONCE: usize = 16;
/// Longer than every lock timeout of a rejection.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn run(ground: &ProofEnv, findings: &mut Findings, small: bool) -> anyhow::Result<Json> {
    let mut scene = Scene::new(ground).await?;
    let writer = scene.bench.writer(WRITER)?;
    let first = scene.approved("the first rejection of many").await?;
    let lock = ReceiptLock::take(ground, &scene.bench.stack.deployment)?;
    if let Err(code) = scene.reject_at(&writer, &first).await {
        findings.violated(&first.name, &format!("not accepted: {code}"));
    }
    lock.end()?;
    let number = if small { REJECTIONS_SMALL } else { REJECTIONS };
    let channel = stack::channel(
        &scene.bench.stack.deployment,
        Role::Operator,
        Some("alice"),
        Role::Writer,
        &writer.address,
    )?;
    let began = Instant::now();
    let refused = reject_many(&scene, &first.subject.proposal, &channel, number).await?;
    if let Some(code) = &refused {
        findings.violated("many rejections", &format!("one was not accepted: {code}"));
    }
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    drop(writer);
    match scene.bench.writer(WRITER) {
        Ok(_writer) => {
            let why = "applied although it was rejected before many others";
            scene.stays_untouched(findings, &[&first], why).await?;
        }
        Err(error) => findings.violated("many rejections", &format!("writer does not restart: {error:#}")),
    }
    Ok(json!({ "rejections": number, "ms": milliseconds }))
}

/// Rejects generated proposals that the reader's key signs; returns the first error.
async fn reject_many(
    scene: &Scene,
    like: &Proposal,
    channel: &Channel,
    number: usize,
) -> anyhow::Result<Option<String>> {
    let mut running = JoinSet::new();
    let mut refused = None;
    for _ in 0..number {
        if running.len() == AT_ONCE {
            let ended: Option<String> = running.join_next().await.context("a rejection")??;
            refused = refused.or(ended);
        }
        running.spawn(reject(channel.clone(), rejection(scene, like)?));
    }
    while let Some(ended) = running.join_next().await {
        refused = refused.or(ended?);
    }
    Ok(refused)
}

async fn reject(channel: Channel, request: RejectRequest) -> Option<String> {
    let mut writer = WriterServiceClient::new(channel);
    match tokio::time::timeout(LIMIT, writer.reject(request)).await {
        Ok(Ok(_)) => None,
        Ok(Err(status)) => Some(synapsor_proto::status::from_status(&status).code.to_string()),
        Err(_) => Some(format!("no response within {LIMIT:?}")),
    }
}

/// Builds another proposal like this one and alice's rejection of it. The ids sort after every real one, so that a
/// list that evicts the lowest id evicts a real one first.
fn rejection(scene: &Scene, like: &Proposal) -> anyhow::Result<RejectRequest> {
    let deployment = &scene.bench.stack.deployment;
    let mut proposal = like.clone();
    proposal.id = format!("wrp_ffff{}", random::hex_id(16)).parse()?;
    let envelope = DsseEnvelope::sign(ObjectKind::Proposal, &proposal, &deployment.reader_key)?;
    let subject = Subject {
        digest: Digest::of(ObjectKind::Proposal, &envelope.payload),
        proposal,
        envelope,
    };
    let alice = deployment.person("alice");
    let decision = decision(deployment, alice, &subject, DecisionKind::Reject);
    Ok(RejectRequest {
        proposal: Some((&subject.envelope).into()),
        decision: Some((&seal_decision(alice, &decision)).into()),
    })
}
