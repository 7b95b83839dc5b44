//! Writebacks through the writer. Proposals are created, approved and ordered first. The measured time runs from
//! the writer's start to the last recorded receipt.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::canonical;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::Proposal;
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::ledger::v1::TailRequest;
use synapsor_proto::ledger::v1::event_service_client::EventServiceClient;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use tokio::task::JoinSet;

use super::calls::{Ask, Client, Interface, Rows};
use super::figures::Calls;
use super::scene::Scene;
use super::usage::Usage;
use crate::operator::{OperatorClient, decision, order, seal_decision, seal_order};

/// Operators that decide concurrently, so that preparation does not take longer than the measurement.
const DESKS: u64 = 16;
const LIMIT: Duration = Duration::from_secs(120);

/// Applies `count` proposals.
pub(super) async fn run(scene: &mut Scene, rows: &Rows, count: u64) -> anyhow::Result<Json> {
    prepare(scene, rows, count).await?;
    let from = size(scene).await?;
    let start = Instant::now();
    scene.stack.start_writer(&[])?;
    let processes = scene.processes();
    let before = Usage::now(&processes)?;
    let events = tokio::time::timeout(LIMIT, follow(scene, from, count)).await;
    let (calls, ends) = events.context("receipts timed out")??;
    let took = start.elapsed();
    let used = before.since(&processes, count)?;
    scene.stack.writer = None;
    let mut figures = calls.figures(took);
    figures["processes"] = used;
    figures["ends"] = json!(ends);
    Ok(figures)
}

/// Proposes, approves and orders, each step for all proposals at once.
async fn prepare(scene: &Scene, rows: &Rows, count: u64) -> anyhow::Result<()> {
    let deployment = &scene.stack.deployment;
    let mut proposing = JoinSet::new();
    for desk in 0..DESKS {
        let mut client = Client::connect(scene, Interface::Mcp, Ask::Propose, rows.clone()).await?;
        let mut alice = OperatorClient::open(&scene.stack, "alice")?;
        let share = count / DESKS + u64::from(desk < count % DESKS);
        proposing.spawn(async move {
            let mut subjects = Vec::new();
            for _ in 0..share {
                let id = client.propose().await?;
                subjects.push(alice.unverified(&id).await?);
            }
            anyhow::Ok((alice, subjects))
        });
    }
    let mut deciding = JoinSet::new();
    while let Some(proposed) = proposing.join_next().await {
        let (mut desk, subjects) = proposed?.context("proposing the applied changes")?;
        let alice = deployment.person("alice");
        let signed = subjects.iter().map(|subject| {
            let approval = seal_decision(
                alice,
                &decision(deployment, alice, subject, DecisionKind::Approve),
            );
            let order = seal_order(alice, &order(deployment, alice, subject, &[&approval]));
            (approval, order)
        });
        let signed: Vec<_> = signed.collect();
        deciding.spawn(async move {
            for (approval, order) in signed {
                desk.decide(&approval).await?;
                desk.request_apply(&order).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(decided) = deciding.join_next().await {
        decided?.context("ordering the applied changes")?;
    }
    Ok(())
}

async fn size(scene: &Scene) -> anyhow::Result<u64> {
    let channel = scene.stack.ledger_as(Role::Operator, Some("alice"))?;
    let mut client = TransparencyServiceClient::new(channel);
    let answer = client.get_checkpoint(synapsor_proto::ledger::v1::GetCheckpointRequest::default());
    let note = answer.await?.into_inner().checkpoint;
    Ok(note.lines().nth(1).context("a size")?.parse()?)
}

/// Reads the log until `count` attempts have ended. The latency of an attempt is the time from its announcement to
/// its receipt, by the ledger's clock.
async fn follow(scene: &Scene, from: u64, count: u64) -> anyhow::Result<(Calls, HashMap<String, u64>)> {
    let mut events = EventServiceClient::new(scene.stack.ledger_as(Role::Operator, Some("alice"))?);
    let request = TailRequest {
        from_seq: from,
        proposal_id: String::new(),
        kind: String::new(),
        follow: true,
        limit: 0,
        ..Default::default()
    };
    let mut tail = events.tail(request).await?.into_inner();
    let mut started: HashMap<ProposalId, Timestamp> = HashMap::new();
    let (mut calls, mut ends, mut ended) = (Calls::default(), HashMap::new(), 0);
    while ended < count {
        let event = tail.message().await?.context("log stream ended")?;
        let record: EventRecord = canonical::decode(&event.event)?;
        let Some(id) = record.proposal_id else { continue };
        match record.kind {
            EventKind::WritebackStarted => {
                started.insert(id, record.at);
            }
            EventKind::WritebackApplied => {
                ended += 1;
                let begun = started.get(&id).context("attempt without announcement")?;
                let took = record.at.as_unix_millis() - begun.as_unix_millis();
                calls.good(Duration::from_millis(took.unsigned_abs()));
            }
            EventKind::WritebackConflict | EventKind::WritebackFailed | EventKind::WritebackCanceled => {
                ended += 1;
                calls.bad(&anyhow::anyhow!("{}", record.kind));
            }
            other => {
                ensure!(other != EventKind::ReceiptAlarm, "receipt raised an alarm");
                *ends.entry(other.to_string()).or_insert(0) += 1;
            }
        }
    }
    Ok((calls, ends))
}

/// A proposal as the reader creates it.
pub(super) async fn some_proposal(scene: &Scene, rows: &Rows) -> anyhow::Result<Proposal> {
    let mut client = Client::connect(scene, Interface::Mcp, Ask::Propose, rows.clone()).await?;
    let id = client.propose().await?;
    let mut desk = OperatorClient::open(&scene.stack, "alice")?;
    Ok(desk.unverified(&id).await?.proposal)
}
