//! Long proofs over the real processes. Each gives one JSON object with the number of its violations; everything
//! on the way is printed only when something does not hold.

mod bench;
mod checker;
pub mod concurrency;
pub mod contention;
pub mod crash;
pub mod fairness;
mod findings;
pub mod ground;
mod invoices;
mod journal;
pub mod lost;
pub mod preconditions;
pub mod properties;
pub mod quiet;
pub mod switches;
pub mod tamper;
pub mod wall;

use anyhow::bail;
use serde_json::{Value as Json, json};

use crate::databases::Engine;

/// Every proof, in the order in which they run.
pub const NAMES: [&str; 9] = [
    "wall",
    "quiet",
    "crash",
    "lost",
    "preconditions",
    "switches",
    "concurrency",
    "properties",
    "tamper",
];

/// How a proof runs.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The short form for every test run; not the full number of cases.
    pub small: bool,
    /// Where the random choices start.
    pub seed: u64,
    /// Only on this engine, for those that run on several.
    pub engine: Option<Engine>,
}

/// Runs one proof; gives its summary, also when something kept it from its end.
pub async fn run(name: &str, plan: Plan) -> anyhow::Result<Json> {
    let summary = match name {
        "wall" => Box::pin(wall::run(plan)).await,
        "quiet" => Box::pin(quiet::run(plan)).await,
        "crash" => Box::pin(crash::run(plan)).await,
        "lost" => Box::pin(lost::run(plan)).await,
        "preconditions" => Box::pin(preconditions::run(plan)).await,
        "switches" => Box::pin(switches::run(plan)).await,
        "concurrency" => Box::pin(concurrency::run(plan)).await,
        "properties" => properties::run(plan),
        "tamper" => Box::pin(tamper::run(plan)).await,
        _ => bail!("there is no proof `{name}`; there are {}", NAMES.join(", ")),
    };
    Ok(summary.unwrap_or_else(|error| {
        println!("VIOLATION {name} did not come to its end: {error:#}");
        json!({ "proof": name, "violations": 1, "error": error.root_cause().to_string(), "seed": plan.seed })
    }))
}

/// Runs all; gives one object around their summaries.
pub async fn run_all(plan: Plan) -> anyhow::Result<Json> {
    let mut proofs = Vec::new();
    for name in NAMES {
        proofs.push(Box::pin(run(name, plan)).await?);
    }
    let violations: u64 = proofs.iter().map(violations).sum();
    let skipped: Vec<&Json> = proofs.iter().flat_map(skipped).collect();
    Ok(json!({ "violations": violations, "skipped": skipped, "proofs": proofs }))
}

/// What a summary left out.
fn skipped(summary: &Json) -> impl Iterator<Item = &Json> {
    summary
        .get("skipped")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
}

/// Whether a summary left something out that nobody waived.
pub fn is_complete(summary: &Json) -> bool {
    skipped(summary).all(|skipped| skipped.get("is_waived") != Some(&json!(false)))
}

/// What a summary counts, or lists, as not holding.
pub fn violations(summary: &Json) -> u64 {
    match summary.get("violations") {
        Some(Json::Array(all)) => u64::try_from(all.len()).unwrap_or(u64::MAX),
        Some(number) => number.as_u64().unwrap_or(u64::MAX),
        None => u64::MAX,
    }
}

/// Random numbers that a seed repeats; good enough to choose cases, and nothing else.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
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

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a size fits");
        usize::try_from(self.roll() % end).expect("below a size")
    }

    /// One of these, which are not none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
