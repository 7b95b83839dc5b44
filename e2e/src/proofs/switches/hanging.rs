//! Sixteen sources that hang and one that works: its applies take as long as alone, and a source that comes back is
//! served at once.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::scene::Scene;
use super::sources::{self, Hanging, WORKING};
use crate::proofs::bench::Case;
use crate::proofs::findings::Findings;
use crate::proofs::ground::Ground;

const SOURCES: usize = 16;
const SOURCES_SMALL: usize = 10;
/// Applies of one measurement; open proposals of one agent are limited.
const APPLIES: usize = 20;
/// On a machine that others use as well, the best of so many measurements counts.
const ROUNDS: usize = 4;
const TIMES_MAX: f64 = 1.2;
const COMES_BACK: Duration = Duration::from_secs(2);
/// In which hanging sources take whatever they get.
const TAKEN: Duration = Duration::from_secs(3);
const APPLIED: Duration = Duration::from_secs(60);

pub(super) async fn run(ground: &Ground, findings: &mut Findings, small: bool) -> anyhow::Result<Json> {
    let number = if small { SOURCES_SMALL } else { SOURCES };
    let Hanging {
        mut scene,
        writer,
        sources,
    } = sources::set(ground, number).await?;
    let mut stuck = Vec::new();
    for source in &sources {
        let case = scene
            .bench
            .proposed_by(
                &source.tool,
                &source.invoice,
                &format!("stuck in {}", source.name),
            )
            .await?;
        scene.bench.desk.decide(&case.approval).await?;
        stuck.push(case);
    }
    let alone = best(&mut scene, "alone").await?;
    for source in &sources {
        source.hang()?;
    }
    for case in &stuck {
        scene.order(case).await;
    }
    tokio::time::sleep(TAKEN).await;
    let mut beside = best(&mut scene, "beside others that hang").await?;
    if times(beside, alone) >= TIMES_MAX {
        let again = best(&mut scene, "again beside others that hang").await?;
        beside = beside.min(again);
    }
    let times = times(beside, alone);
    let name = format!("{number} sources that hang on {}", ground.engine);
    if times >= TIMES_MAX {
        let text = format!("an apply takes {beside:?} beside them and {alone:?} alone: {times:.2} times");
        findings.violated(&name, &text);
    }
    let mut longest = Duration::ZERO;
    for (source, case) in sources.iter().zip(&stuck) {
        source.come_back()?;
        let began = Instant::now();
        // Given back to its applier by now, or still on its way: an order does no harm.
        scene.order(case).await;
        let applied = source.is_applied(&scene, case, APPLIED).await?;
        let took = began.elapsed();
        longest = longest.max(took);
        if !applied || took > COMES_BACK {
            findings.violated(
                &case.name,
                &format!("served {took:?} after it came back: {applied}"),
            );
        }
    }
    drop(writer);
    Ok(json!({
        "sources": number, "alone_ms": ms(alone), "beside_ms": ms(beside), "times": (times * 100.0).round() / 100.0,
        "longest_return_ms": ms(longest),
    }))
}

fn times(beside: Duration, alone: Duration) -> f64 {
    beside.as_secs_f64() / alone.as_secs_f64()
}

/// The middle time of an apply in the quickest of some rounds.
async fn best(scene: &mut Scene, name: &str) -> anyhow::Result<Duration> {
    let mut quickest = None;
    for round in 0..ROUNDS {
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
