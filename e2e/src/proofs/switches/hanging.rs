//! Sixteen hanging sources and a working one: its applies take as long as without them, and a recovered source is
//! served immediately.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::scene::Scene;
use super::sources::{self, Hanging, Source, WORKING};
use crate::proofs::crash_harness::Case;
use crate::proofs::findings::Findings;
use crate::proofs::proof_env::ProofEnv;

const SOURCES: usize = 16;
/// Applies of one measurement; open proposals of one agent are limited, and the hanging ones are open.
const APPLIES: usize = 15;
/// Number of measurements, of which the best counts, because the machine may be shared.
const ROUNDS: usize = 4;
const ROUNDS_SMALL: usize = 1;
const TIMES_MAX: f64 = 1.2;
/// A delay by another source takes seconds; other load on the machine during its tests causes less.
const TIMES_MAX_SMALL: f64 = 3.0;
const COMES_BACK: Duration = Duration::from_secs(2);
const COMES_BACK_SMALL: Duration = Duration::from_secs(5);
/// Time in which the writer takes every job of the hanging sources.
const TAKEN: Duration = Duration::from_secs(3);
const APPLIED: Duration = Duration::from_secs(60);

pub(super) async fn run(ground: &ProofEnv, findings: &mut Findings, small: bool) -> anyhow::Result<Json> {
    let (rounds, times_max, comes_back) = if small {
        (ROUNDS_SMALL, TIMES_MAX_SMALL, COMES_BACK_SMALL)
    } else {
        (ROUNDS, TIMES_MAX, COMES_BACK)
    };
    let Hanging {
        mut scene,
        writer,
        sources,
    } = sources::set(ground, SOURCES).await?;
    let mut stuck = Vec::new();
    for source in &sources {
        for invoice in &source.invoices {
            let name = format!("stuck in {} {invoice}", source.name);
            let case = scene.bench.proposed_by(&source.tool, invoice, &name).await?;
            scene.bench.desk.decide(&case.approval).await?;
            stuck.push((source, case));
        }
    }
    let alone = best(&mut scene, "alone", rounds, &[]).await?;
    for source in &sources {
        source.hang()?;
    }
    let mut beside = best(&mut scene, "beside others that hang", rounds, &stuck).await?;
    if times(beside, alone) >= times_max {
        let again = best(&mut scene, "again beside others that hang", rounds, &stuck).await?;
        beside = beside.min(again);
    }
    let times = times(beside, alone);
    let name = format!("{SOURCES} sources that hang on {}", ground.engine);
    if times >= times_max {
        let text = format!("an apply takes {beside:?} beside them and {alone:?} alone: {times:.2} times");
        findings.violated(&name, &text);
    }
    let mut longest = Duration::ZERO;
    for (number, (source, case)) in stuck.iter().enumerate() {
        if number % source.invoices.len() == 0 {
            source.come_back()?;
        }
        let began = Instant::now();
        // The job is returned by now or still in progress; another order is harmless.
        scene.order(case).await;
        let applied = source.is_applied(&scene, case, APPLIED).await?;
        let took = began.elapsed();
        longest = longest.max(took);
        if !applied || took > comes_back {
            findings.violated(
                &case.name,
                &format!("served {took:?} after it came back: {applied}"),
            );
        }
    }
    drop(writer);
    Ok(json!({
        "sources": SOURCES, "jobs": stuck.len(), "alone_ms": ms(alone), "beside_ms": ms(beside), "times": (times * 100.0).round() / 100.0,
        "longest_return_ms": ms(longest),
    }))
}

fn times(beside: Duration, alone: Duration) -> f64 {
    beside.as_secs_f64() / alone.as_secs_f64()
}

/// Median time of an apply in the fastest of some rounds. The jobs of `stuck` are ordered again before each round,
/// because a job that hangs for long is returned.
async fn best(
    scene: &mut Scene,
    name: &str,
    rounds: usize,
    stuck: &[(&Source, Case)],
) -> anyhow::Result<Duration> {
    let mut quickest = None;
    for round in 0..rounds {
        for (_, case) in stuck {
            scene.order(case).await;
        }
        if !stuck.is_empty() {
            tokio::time::sleep(TAKEN).await;
        }
        let mut cases = Vec::new();
        for number in 0..APPLIES {
            let case = scene
                .approved(&format!("{WORKING} {name} {round} {number}"))
                .await?;
            cases.push(case);
        }
        let mut times = Vec::new();
        for case in &cases {
            let began = Instant::now();
            apply(scene, case).await?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let middle = times[APPLIES / 2];
        quickest = Some(quickest.map_or(middle, |known: Duration| known.min(middle)));
    }
    quickest.context("a round")
}

async fn apply(scene: &mut Scene, case: &Case) -> anyhow::Result<()> {
    scene.order(case).await;
    let applied = scene.within(APPLIED, case, |target| target.effects == 1).await?;
    anyhow::ensure!(applied, "{}: not applied within {APPLIED:?}", case.name);
    Ok(())
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
