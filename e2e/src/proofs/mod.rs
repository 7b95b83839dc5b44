//! Long proofs over the real processes. Each returns one JSON object with its number of violations; other output
//! is printed only for a violation.

mod checker;
pub mod concurrency;
pub mod contention;
pub mod crash;
mod crash_harness;
pub mod fairness;
mod findings;
mod invoices;
pub mod isolation;
mod journal;
pub mod leakage;
pub mod lifetimes;
pub mod lost;
pub mod preconditions;
pub mod proof_env;
pub mod properties;
pub mod switches;
pub mod tamper;
pub mod timing;

use anyhow::bail;
use serde_json::{Value as Json, json};

use crate::databases::Engine;

/// Every proof, in the order of a full run.
pub const NAMES: [&str; 11] = [
    "wall",
    "quiet",
    "crash",
    "lost",
    "preconditions",
    "switches",
    "concurrency",
    "properties",
    "tamper",
    "timing",
    "lifetimes",
];

/// Options of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Runs the short form of every test run, with fewer cases.
    pub small: bool,
    /// Seed of the random choices.
    pub seed: u64,
    /// Restricts proofs of several engines to this one.
    pub engine: Option<Engine>,
}

/// Runs one proof; returns its summary, also if an error ended it early.
pub async fn run(name: &str, plan: Plan) -> anyhow::Result<Json> {
    let summary = match name {
        "wall" => Box::pin(isolation::run(plan)).await,
        "quiet" => Box::pin(leakage::run(plan)).await,
        "crash" => Box::pin(crash::run(plan)).await,
        "lost" => Box::pin(lost::run(plan)).await,
        "preconditions" => Box::pin(preconditions::run(plan)).await,
        "switches" => Box::pin(switches::run(plan)).await,
        "concurrency" => Box::pin(concurrency::run(plan)).await,
        "properties" => properties::run(plan),
        "tamper" => Box::pin(tamper::run(plan)).await,
        "timing" => Box::pin(timing::run(plan)).await,
        "lifetimes" => Box::pin(lifetimes::run(plan)).await,
        _ => bail!("there is no proof `{name}`; there are {}", NAMES.join(", ")),
    };
    let mut summary = summary.unwrap_or_else(|error| {
        println!("VIOLATION {name} did not finish: {error:#}");
        json!({ "proof": name, "violations": 1, "error": error.root_cause().to_string(), "seed": plan.seed })
    });
    summary["cases"] = json!(counted(&summary));
    Ok(summary)
}

/// Numbers of a summary that count cases which ran.
const COUNTED: [&str; 15] = [
    "cases",
    "checks",
    "failures_provoked",
    "cells",
    "server_kills",
    "random_kills",
    "losses",
    "attempts",
    "rejections",
    "edits",
    "structural",
    "byte_edits",
    "clean_restarts",
    "process_edits",
    "process_restarts",
];

/// Returns the number of cases that ran, over all engines. A proof that lost cases must fail.
pub fn cases(summary: &Json) -> u64 {
    summary.get("cases").and_then(Json::as_u64).unwrap_or_default()
}

fn counted(summary: &Json) -> u64 {
    let own = |summary: &Json| -> u64 {
        let numbers = COUNTED.iter().filter_map(|name| summary.get(*name)?.as_u64());
        numbers.sum()
    };
    match summary.get("engines").and_then(Json::as_object) {
        Some(engines) => engines.values().map(own).sum(),
        None => own(summary),
    }
}

/// Runs all proofs; returns one object with their summaries.
pub async fn run_all(plan: Plan) -> anyhow::Result<Json> {
    let mut proofs = Vec::new();
    for name in NAMES {
        proofs.push(Box::pin(run(name, plan)).await?);
    }
    let violations: u64 = proofs.iter().map(violations).sum();
    let skipped: Vec<&Json> = proofs.iter().flat_map(skipped).collect();
    Ok(json!({ "violations": violations, "skipped": skipped, "proofs": proofs }))
}

/// Cases that a summary reports as skipped.
fn skipped(summary: &Json) -> impl Iterator<Item = &Json> {
    summary
        .get("skipped")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
}

/// Whether an engine was skipped because this machine has no server of it.
pub fn lacks_server(summary: &Json) -> bool {
    skipped(summary).any(|skipped| skipped.get("reason") == Some(&json!(NO_SERVER)))
}

/// Reason for skipping an engine.
pub(crate) const NO_SERVER: &str = "there is no server";

/// Checks that a summary skipped nothing except waived engines.
pub fn is_complete(summary: &Json) -> bool {
    skipped(summary).all(|skipped| skipped.get("is_waived") != Some(&json!(false)))
}

/// Number of violations that a summary counts or lists.
pub fn violations(summary: &Json) -> u64 {
    match summary.get("violations") {
        Some(Json::Array(all)) => u64::try_from(all.len()).unwrap_or(u64::MAX),
        Some(number) => number.as_u64().unwrap_or(u64::MAX),
        None => u64::MAX,
    }
}

/// Reproducible random numbers from a seed; suitable for the choice of cases only.
#[derive(Debug, Clone)]
pub struct SeededRng(u64);

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        // SplitMix64, in the public domain.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a size fits");
        usize::try_from(self.roll() % end).expect("below a size")
    }

    /// Picks an element of a non-empty slice.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
