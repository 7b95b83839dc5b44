//! Preconditions proof: receipt tables that differ from the migration, and unacknowledged code on the target,
//! created by an owner without superuser rights, against the real processes. The row is as before or as approved,
//! a receipt records which, and every refusal has a specific reason. Definitions that only set columns of their
//! own row remain permitted.

mod acknowledged;
mod cases;
mod cells;
mod judge;
mod owner;
mod scene;
mod sqlite_cases;
mod state;
mod tables;
mod tally;

use std::iter;
use std::time::Instant;

use serde_json::{Value as Json, json};

use self::cases::{Case, CaseKind};
use self::cells::Cells;
use self::judge::CellVerdicts;
use self::scene::Scene;
use self::tables::Tables;
use super::Plan;
use super::proof_env::{self, ProofEnv, Servers};
use crate::binaries::Build;
use crate::databases::EngineVersion;
use crate::deployment::Deployment;
use crate::fixture::Fixture;

/// Definitions of each kind in the small form.
const SAMPLE: usize = 3;
/// Definitions of each kind that are created at every point.
const AT_EVERY_POINT: usize = 2;

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let servers = EngineVersion::servers_of_every_run();
    let versions: Vec<EngineVersion> = iter::once(EngineVersion::SQLITE).chain(servers).collect();
    proof_env::on_engines("preconditions", plan, Servers::Shared, &versions, |ground| {
        Box::pin(on_engine(ground, plan))
    })
    .await
}

async fn on_engine(ground: ProofEnv, plan: Plan) -> anyhow::Result<Json> {
    let began = Instant::now();
    let all = cases::all(ground.engine);
    let chosen = if plan.small {
        cases::sample(&all, SAMPLE)
    } else {
        all.clone()
    };
    // Deployments run concurrently, because each mostly waits.
    let (standing, between, acknowledged) = tokio::join!(
        standing(&ground, &chosen),
        between(&ground, &all, &chosen, plan),
        acknowledged(&ground, &chosen)
    );
    let mut judged = standing?;
    judged.add(&between?);
    judged.add(&acknowledged?);
    let skipped = plan
        .small
        .then(|| json!({ "what": "definitions", "ran": chosen.len(), "of": all.len(), "reason": "--small" }));
    Ok(json!({
        "cells": judged.tally.cells,
        "definitions": chosen.len(),
        "unreadable_receipt_tables": judged.tally.unreadable,
        "violations": judged.findings.violations,
        "ends": judged.tally.to_json(),
        "skipped": skipped.into_iter().collect::<Vec<_>>(),
        "seconds": began.elapsed().as_secs(),
    }))
}

/// Definitions that exist before a proposal, an attempt or a writer.
async fn standing(ground: &ProofEnv, chosen: &[Case]) -> anyhow::Result<CellVerdicts> {
    let (deployment, tables) = deployed(ground)?;
    let chosen = renamed(chosen, &tables);
    let mut cells = Cells::new(Scene::new(deployment, tables).await?)?;
    for case in &chosen {
        cells.standing(case).await;
    }
    Ok(cells.judged)
}

/// Definitions that are created during a transaction.
async fn between(
    ground: &ProofEnv,
    all: &[Case],
    chosen: &[Case],
    plan: Plan,
) -> anyhow::Result<CellVerdicts> {
    let (deployment, tables) = deployed(ground)?;
    let is_damage = |case: &&Case| case.kind != CaseKind::Harmless;
    let (all, chosen) = (renamed(all, &tables), renamed(chosen, &tables));
    let mut cells = Cells::new(Scene::new(deployment, tables).await?)?;
    for (number, case) in chosen.iter().filter(is_damage).enumerate() {
        cells.between(number, case).await;
    }
    if !plan.small {
        let at_every_point = cases::sample(&all, AT_EVERY_POINT);
        for case in at_every_point.iter().filter(is_damage) {
            cells.every_point(case).await;
        }
    }
    Ok(cells.judged)
}

/// The same code, acknowledged.
async fn acknowledged(ground: &ProofEnv, chosen: &[Case]) -> anyhow::Result<CellVerdicts> {
    let (deployment, tables) = deployed(ground)?;
    let chosen = renamed(chosen, &tables);
    let acknowledged = acknowledged::acknowledge(&deployment, &tables, &chosen)?;
    let mut cells = Cells::new(Scene::new(deployment, tables).await?)?;
    for one in &acknowledged {
        cells.acknowledged(&one.case, &one.tool).await;
    }
    Ok(cells.judged)
}

/// Creates a deployment whose tables have a separate owner.
fn deployed(ground: &ProofEnv) -> anyhow::Result<(Deployment, Tables)> {
    let fixture = Fixture::billing();
    let deployment = match ground.server() {
        None => Deployment::with_contract(Build::Failpoints, &fixture.contract.to_string())?,
        Some(server) => Deployment::over(Build::Failpoints, server.database()?, &fixture)?,
    };
    let tables = Tables::new(&deployment)?;
    tables.reset(&["PC-0".to_owned()])?;
    Ok((deployment, tables))
}

fn renamed(cases: &[Case], tables: &Tables) -> Vec<Case> {
    cases
        .iter()
        .map(|case| case.on(&tables.writer, &tables.schema))
        .collect()
}
