//! Crashes at every named point of writer and ledger, and at random moments: one effect or none, a receipt that
//! tells the truth, and a record that says the same, whenever and whoever asks.

mod ledger_cells;
mod random_kills;
mod revoked;
mod server_cells;
mod writer_cells;

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;
use synapsor_proto::ledger::v1::VerifyRequest;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;

use super::ground::{self, Ground, Servers};
use super::{Dice, Plan};
use crate::binaries::Build;
use crate::databases::Engine;
use crate::proofs::bench::Bench;
use crate::proofs::findings::Findings;

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    ground::on_every_engine("crash", plan, Servers::Private, |ground| {
        Box::pin(on_engine(ground, plan))
    })
    .await
}

async fn on_engine(ground: Ground, plan: Plan) -> anyhow::Result<Json> {
    let began = Instant::now();
    let tell = |what: &str, number: usize| {
        println!(
            "crash on {}: {number} {what}, {} s",
            ground.engine,
            began.elapsed().as_secs()
        );
    };
    let mut findings = Findings::default();
    let mut bench = ground.bench(Build::Failpoints).await?;
    let writer = writer_cells::run(&mut bench, &mut findings, plan.small).await?;
    tell("cells of the writer", writer);
    let revoked = revoked::run(&mut bench, &mut findings, plan.small).await?;
    tell("cells of endings without effect", revoked);
    // The ledger's crashes have nothing to do with the target's engine.
    let ledger = match ground.engine {
        Engine::Sqlite => ledger_cells::run(&mut bench, &mut findings, plan.small).await?,
        Engine::Postgres | Engine::Postgres18 | Engine::Mysql | Engine::Mariadb => 0,
    };
    tell("cells of the ledger", ledger);
    let server = match &ground.private {
        Some(server) => server_cells::run(&mut bench, &mut findings, server, plan.small).await?,
        None => 0,
    };
    tell("kills of the database server", server);
    at_the_end(&mut bench, &mut findings).await?;

    let mut bench = ground.bench(Build::Plain).await?;
    let kills = random_kills::run(&mut bench, &mut findings, &mut Dice::new(plan.seed), plan.small).await?;
    tell("random kills of the writer", kills);
    let proposals = at_the_end(&mut bench, &mut findings).await?;
    Ok(json!({
        "cells": writer + revoked + ledger + server,
        "server_kills": server,
        "random_kills": kills,
        "proposals_under_random_kills": proposals,
        "violations": findings.violations,
    }))
}

/// After everything: another start of the ledger and a writer, the same outcomes, and a log that verifies. Gives the
/// number of proposals.
pub(super) async fn at_the_end(bench: &mut Bench, findings: &mut Findings) -> anyhow::Result<usize> {
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
