//! Proof of freezes and rejections: they hold with any state of disks, number of writers and clocks. A hanging
//! source stops no other source.

mod clocks;
mod commands;
mod hanging;
mod locks;
mod rejections;
mod scene;
mod sources;
mod storage;
mod storage_script;
mod writers;

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Plan;
use super::findings::Findings;
use super::proof_env::{self, ENGINES, ProofEnv, Servers};
use crate::databases::Engine;

/// Engines that the small form measures: a file, and a server.
const MEASURED_SMALL: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let mut summary = proof_env::on_every_engine("switches", plan, Servers::Shared, |ground| {
        Box::pin(on_engine(ground, plan))
    })
    .await?;
    // Times are measured while nothing else runs.
    let mut violations = super::violations(&summary);
    let engines = if plan.small {
        if let Some(skipped) = summary["skipped"].as_array_mut() {
            skipped.push(json!({ "what": "sources that hang", "ran": MEASURED_SMALL.len(), "of": ENGINES.len(), "reason": "--small" }));
        }
        MEASURED_SMALL.as_slice()
    } else {
        ENGINES.as_slice()
    };
    for engine in engines
        .iter()
        .copied()
        .filter(|e| plan.engine.is_none_or(|only| only == *e))
    {
        let Some(ground) = ProofEnv::find(engine, Servers::Shared)? else {
            continue;
        };
        let mut findings = Findings::default();
        let ran = Box::pin(hanging::run(&ground, &mut findings, plan.small)).await;
        let figures = ended("sources that hang", ran, &mut findings);
        println!("switches on {engine}: {figures}");
        violations += findings.violations;
        summary["engines"][engine.name()]["hanging"] = figures;
    }
    summary["violations"] = json!(violations);
    Ok(summary)
}

/// Result of a part; an error does not stop the other parts.
fn ended<T: Default>(part: &str, ran: anyhow::Result<T>, findings: &mut Findings) -> T {
    ran.unwrap_or_else(|error| {
        findings.violated(part, &format!("did not come to its end: {error:#}"));
        T::default()
    })
}

async fn on_engine(ground: ProofEnv, plan: Plan) -> anyhow::Result<Json> {
    let ground = Arc::new(ground);
    let mut findings = Findings::default();
    let mut skipped = Vec::new();
    let mut cells = 0;
    let mut count = |part: &str, ran: Option<usize>, reason: &str| match ran {
        Some(ran) => cells += ran,
        None => skipped.push(json!({ "what": part, "reason": reason, "is_waived": false })),
    };
    let ran = storage::run(&ground, &mut findings).await;
    count(
        "storage",
        ended("storage", ran, &mut findings),
        "no mount namespaces",
    );
    let ran = writers::run(&ground, &mut findings).await;
    count("writers", ended("writers", ran.map(Some), &mut findings), "");
    let ran = clocks::run(&ground, &mut findings, plan.small).await;
    count("clocks", ended("clocks", ran, &mut findings), "no libfaketime");
    let ran = rejections::run(&ground, &mut findings, plan.small).await;
    let rejections = ended("rejections", ran, &mut findings);
    count("rejections", Some(1), "");
    Ok(json!({
        "cells": cells, "violations": findings.violations, "skipped": skipped, "rejections": rejections,
    }))
}
