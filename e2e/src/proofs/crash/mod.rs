//! Crash proof: crashes at every named point of writer and ledger, and at random times. Afterwards there is one
//! effect or none, a receipt that agrees with the row, and a ledger record that agrees with both.

mod ledger_cells;
mod random_kills;
mod record_view_cells;
mod revoked;
mod server_cells;
mod writer_cells;

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;
use synapsor_proto::ledger::v1::VerifyStoreRequest;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;

use super::proof_env::{self, ProofEnv, Servers};
use super::{Plan, SeededRng};
use crate::binaries::Build;
use crate::databases::Engine;
use crate::proofs::crash_harness::CrashHarness;
use crate::proofs::findings::Findings;

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    proof_env::on_every_engine("crash", plan, Servers::Private, |ground| {
        Box::pin(on_engine(ground, plan))
    })
    .await
}

/// Coverage of one kind of crash.
#[derive(Debug)]
struct Ran {
    what: &'static str,
    number: usize,
    /// Number of cases in the full size.
    of: usize,
}

impl Ran {
    const fn new(what: &'static str, number: usize, of: usize) -> Self {
        Self { what, number, of }
    }

    /// Cases that the small size omits.
    fn left_out(&self) -> Option<Json> {
        let Self { what, number, of } = self;
        (number < of).then(|| json!({ "what": what, "ran": number, "of": of, "reason": "--small" }))
    }
}

async fn on_engine(ground: ProofEnv, plan: Plan) -> anyhow::Result<Json> {
    let began = Instant::now();
    let print_progress = |ran: &Ran| {
        let (engine, seconds) = (ground.engine, began.elapsed().as_secs());
        println!("crash on {engine}: {} {}, {seconds} s", ran.number, ran.what);
    };
    let mut findings = Findings::default();
    let mut bench = ground.bench(Build::Failpoints).await?;
    let mut cells = Vec::from(writer_cells::run(&mut bench, &mut findings, plan.small).await?);
    cells.iter().for_each(print_progress);
    let revoked = revoked::run(&mut bench, &mut findings, plan.small).await?;
    print_progress(&revoked);
    cells.push(revoked);
    // The ledger's crashes do not depend on the source's engine.
    if ground.engine == Engine::Sqlite {
        let ledger = ledger_cells::run(&mut bench, &mut findings, plan.small).await?;
        print_progress(&ledger);
        cells.push(ledger);
        let views = record_view_cells::run(&mut bench, &mut findings, plan.small).await?;
        print_progress(&views);
        cells.push(views);
    }
    let mut server_kills = 0;
    if let Some(server) = &ground.private {
        let server = server_cells::run(&mut bench, &mut findings, server, plan.small).await?;
        print_progress(&server);
        server_kills = server.number;
        cells.push(server);
    }
    at_the_end(&mut bench, &mut findings).await?;

    let mut bench = ground.bench(Build::Plain).await?;
    let kills = random_kills::run(
        &mut bench,
        &mut findings,
        &mut SeededRng::new(plan.seed),
        plan.small,
    )
    .await?;
    print_progress(&kills);
    let proposals = at_the_end(&mut bench, &mut findings).await?;
    let skipped: Vec<Json> = cells.iter().chain([&kills]).filter_map(Ran::left_out).collect();
    Ok(json!({
        "cells": cells.iter().map(|ran| ran.number).sum::<usize>(),
        "server_kills": server_kills,
        "random_kills": kills.number,
        "proposals_under_random_kills": proposals,
        "violations": findings.violations,
        "skipped": skipped,
    }))
}

/// Final check: after another start of the ledger and a writer the outcomes are the same and the log verifies.
/// Returns the number of proposals.
pub(super) async fn at_the_end(bench: &mut CrashHarness, findings: &mut Findings) -> anyhow::Result<usize> {
    bench.stack.restart_ledger_in_place(&[])?;
    let writer = bench.writer(crate::stack::WRITER)?;
    let asked = findings.ask_again(bench).await?;
    drop(writer);
    let channel = bench.stack.ledger_as(Role::Operator, Some("alice"))?;
    let answer = TransparencyServiceClient::new(channel)
        .verify_store(VerifyStoreRequest { known: None })
        .await?
        .into_inner();
    ensure!(
        answer.records_checked > 0 || !answer.findings.is_empty(),
        "verification checked nothing"
    );
    for finding in answer.findings {
        findings.violated("the log", &finding);
    }
    Ok(asked)
}
