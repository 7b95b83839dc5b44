//! Ledger crashes while it writes the views of evidence and audit records, which it does after their batch. A query
//! afterwards finds every record that was durable, once.

use std::time::Duration;

use anyhow::Context as _;
use synapsor_chassis::identity::Role;
use synapsor_proto::ledger::v1::ListEvidenceRequest;
use synapsor_proto::ledger::v1::event_service_client::EventServiceClient;

use super::Ran;
use crate::proofs::crash_harness::{Action, CrashHarness, logged, reached};
use crate::proofs::findings::Findings;

/// Before and after the commit of the views.
const POINTS: [&str; 2] = ["L3", "L4"];
const TRIES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    small: bool,
) -> anyhow::Result<Ran> {
    let all: Vec<(&str, Action)> = POINTS
        .into_iter()
        .flat_map(|point| Action::ALL.map(|action| (point, action)))
        .collect();
    let cells: Vec<_> = all
        .iter()
        .filter(|(_, action)| !small || *action == Action::Kill)
        .collect();
    for (point, action) in cells.iter().copied() {
        crash(bench, findings, point, *action).await?;
    }
    bench.stack.restart_ledger_in_place(&[])?;
    Ok(Ran::new("crashes in views of records", cells.len(), all.len()))
}

async fn crash(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    point: &str,
    action: Action,
) -> anyhow::Result<()> {
    let invoice = bench.invoice();
    let before = count(bench).await?;
    let from = logged(&bench.stack.ledger.log);
    let wanted = format!("{point}:{}", action.as_str());
    bench
        .stack
        .restart_ledger_in_place(&[("SYNAPSOR_FAILPOINT", &wanted)])?;
    read(bench, &invoice).await?;
    // The query waits for the views, and the ledger fails while it writes them.
    let channel = bench.stack.ledger_as(Role::Operator, Some("alice"))?;
    let query = tokio::spawn(async move {
        EventServiceClient::new(channel)
            .list_evidence(ListEvidenceRequest::default())
            .await
    });
    reached(&mut bench.stack.ledger, from, action).await?;
    if action != Action::Error {
        bench.stack.ledger.kill();
        bench.stack.restart_ledger_in_place(&[])?;
    }
    let name = format!("ledger {} at {point}", action.as_str());
    if query.await?.is_ok() {
        findings.violated(&name, "the query was answered without its views");
    }
    let after = count(bench).await?;
    if after != before + 1 {
        findings.violated(&name, &format!("{before} records of evidence became {after}"));
    }
    Ok(())
}

/// Reads the row through the gateway, once.
async fn read(bench: &CrashHarness, invoice: &str) -> anyhow::Result<()> {
    let mut tries = 0;
    loop {
        let envelope = bench.agent.inspect(invoice).await?;
        if envelope["ok"] == true {
            return Ok(());
        }
        tries += 1;
        anyhow::ensure!(tries < TRIES_MAX, "the row was not read: {envelope}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns the number of records of evidence, of all pages.
async fn count(bench: &CrashHarness) -> anyhow::Result<usize> {
    let mut client = EventServiceClient::new(bench.stack.ledger_as(Role::Operator, Some("alice"))?);
    let (mut found, mut token) = (0, String::new());
    loop {
        let page = Some(synapsor_proto::common::v1::PageRequest { size: 200, token });
        let request = ListEvidenceRequest {
            page,
            ..ListEvidenceRequest::default()
        };
        let answer = client
            .list_evidence(request)
            .await
            .context("list of evidence")?
            .into_inner();
        found += answer.evidence.len();
        token = answer.next_page_token;
        if token.is_empty() {
            return Ok(found);
        }
    }
}
