//! Crashes at every named point of writer and ledger, and at random moments: one effect or none, a receipt that
//! tells the truth, and a record that says the same, whenever and whoever asks.

mod ledger_cells;
mod random_kills;
mod revoked;
mod writer_cells;

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;
use synapsor_proto::ledger::v1::VerifyRequest;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;

use super::{Dice, Plan};
use crate::binaries::Build;
use crate::proofs::bench::Bench;
use crate::proofs::findings::Findings;

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let began = Instant::now();
    let mut findings = Findings::default();
    let ground = crate::proofs::ground::Ground {
        engine: crate::proofs::ground::Engine::Sqlite,
    };
    let mut bench = ground.bench(Build::Failpoints).await?;
    let writer = writer_cells::run(&mut bench, &mut findings, plan.small).await?;
    println!(
        "crash: {writer} cells of the writer, {} s",
        began.elapsed().as_secs()
    );
    let revoked = revoked::run(&mut bench, &mut findings, plan.small).await?;
    println!(
        "crash: {revoked} cells of endings without effect, {} s",
        began.elapsed().as_secs()
    );
    let ledger = ledger_cells::run(&mut bench, &mut findings, plan.small).await?;
    println!(
        "crash: {ledger} cells of the ledger, {} s",
        began.elapsed().as_secs()
    );
    at_the_end(&mut bench, &mut findings).await?;

    let mut bench = ground.bench(Build::Plain).await?;
    let kills = random_kills::run(&mut bench, &mut findings, &mut Dice::new(plan.seed), plan.small).await?;
    println!(
        "crash: {kills} random kills of the writer, {} s",
        began.elapsed().as_secs()
    );
    let proposals = at_the_end(&mut bench, &mut findings).await?;
    let mut skipped = Vec::new();
    if plan.small {
        skipped.push("another writer takes over: its wait for a lease to run out belongs to the full run");
    }
    Ok(json!({
        "proof": "crash",
        "cells": writer + revoked + ledger,
        "random_kills": kills,
        "proposals_under_random_kills": proposals,
        "violations": findings.violations,
        "skipped": skipped,
        "seed": plan.seed,
    }))
}

/// After everything: another start of the ledger and a writer, the same outcomes, and a log that verifies. Gives the
/// number of proposals.
async fn at_the_end(bench: &mut Bench, findings: &mut Findings) -> anyhow::Result<usize> {
    bench.stack.restart_ledger_in_place(&[])?;
    let writer = bench.writer(crate::stack::WRITER)?;
    let asked = findings.ask_again(bench).await?;
    drop(writer);
    let channel = bench.stack.ledger_as(Role::Operator, Some("alice"))?;
    let answer = TransparencyServiceClient::new(channel)
        .verify(VerifyRequest { known: None })
        .await?
        .into_inner();
    ensure!(
        answer.records_checked > 0 || !answer.findings.is_empty(),
        "the verification looked at nothing"
    );
    for finding in answer.findings {
        findings.violated("the log", &finding);
    }
    Ok(asked)
}
