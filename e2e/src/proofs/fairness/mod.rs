//! Fairness proof: blocked sources, rows and tenants do not measurably delay the others.

mod gate;
mod scene;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use self::gate::Gate;
use self::scene::{Approved, Scene, WORKING};
use crate::databases::Server;

/// Maximum slowdown of an apply by other, hanging sources: one fifth.
const SLOWER_MAX: f64 = 1.2;
/// Maximum time from a source's recovery to its first receipt.
const BACK_MAX: Duration = Duration::from_secs(2);
/// Maximum time of applies on free rows beside locked rows: less than one lock timeout.
const BESIDE_MAX: Duration = Duration::from_millis(1_900);
/// Number of series, of which the best counts, because the machine runs other work as well.
const SERIES: usize = 3;
const LOOK: Duration = Duration::from_millis(5);
const WAITS: Duration = Duration::from_secs(30);

/// Size of a run.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Hanging sources.
    pub hanging: usize,
    /// Waiting proposals of each hanging source.
    pub waiting: usize,
    /// Applies on the working source in one series.
    pub applies: usize,
    /// Time per apply that counts as noise of the machine. An apply that waits for a hanging source waits for seconds.
    pub noise: Duration,
}

impl Size {
    /// Size for every test run.
    pub const SMALL: Self = Self {
        hanging: 16,
        waiting: 3,
        applies: 8,
        noise: Duration::from_millis(200),
    };
    /// Size for the proof.
    pub const FULL: Self = Self {
        hanging: 16,
        waiting: 30,
        applies: 40,
        noise: Duration::ZERO,
    };
}

/// Runs hanging sources beside a working one. Beyond noise, its applies take less than 1.2 times as long as without them, and a
/// recovered source is served within two seconds. Returns `None` if the machine has no PostgreSQL.
pub async fn hanging_sources(size: Size) -> anyhow::Result<Option<Json>> {
    let Some(server) = Server::postgres()? else {
        return Ok(None);
    };
    let mut scene = Scene::new(&server, size.hanging).await?;
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    for _ in 0..SERIES {
        alone.push(scene.approved(WORKING, size.applies).await?);
        beside.push(scene.approved(WORKING, size.applies).await?);
    }
    let mut hanging = Vec::new();
    for source in 1..=size.hanging {
        hanging.push(scene.approved(source, size.waiting).await?);
    }
    scene.start_writer()?;
    // The first apply opens connections and reads the schema catalog; neither is part of the measurement.
    let first = scene.approved(WORKING, 1).await?;
    scene.apply_each(first).await?;
    let mut took_alone = Duration::MAX;
    for series in alone {
        took_alone = took_alone.min(scene.apply_each(series).await?);
    }
    let ordered: Vec<Approved> = hanging.into_iter().flatten().collect();
    scene.order(&ordered).await?;
    all_hang(&scene.gates).await?;
    let mut took_beside = Duration::MAX;
    for series in beside {
        took_beside = took_beside.min(scene.apply_each(series).await?);
    }
    let back = comes_back(&mut scene, &ordered).await?;
    let noise = size.noise * u32::try_from(size.applies)?;
    let slower = took_beside.saturating_sub(noise).as_secs_f64() / took_alone.as_secs_f64();
    let mut violations = Vec::new();
    if slower >= SLOWER_MAX {
        violations.push(format!(
            "applies took {slower:.2} times as long beside hanging sources"
        ));
    }
    if back >= BACK_MAX {
        violations.push(format!("recovered source waited {back:?}"));
    }
    Ok(Some(json!({
        "violations": violations,
        "alone_ms": took_alone.as_millis() / u128::try_from(size.applies)?,
        "beside_ms": took_beside.as_millis() / u128::try_from(size.applies)?,
        "back_ms": back.as_millis(),
    })))
}

/// Waits until the writer has tried every hanging source.
async fn all_hang(gates: &[Gate]) -> anyhow::Result<()> {
    let until = Instant::now() + WAITS;
    while gates.iter().any(|gate| gate.accepted() == 0) {
        ensure!(Instant::now() < until, "writer never tried a source");
        sleep(LOOK).await;
    }
    Ok(())
}

/// Opens one source after the writer treats it as unavailable; returns the time to its first receipt.
async fn comes_back(scene: &mut Scene, ordered: &[Approved]) -> anyhow::Result<Duration> {
    let gate = scene.gates.first().context("a gate")?;
    let until = Instant::now() + WAITS;
    // Health probes continue while attempts wait, so that there are more connections than concurrent attempts.
    while gate.accepted() < 12 {
        ensure!(
            Instant::now() < until,
            "writer does not probe the unavailable source"
        );
        sleep(LOOK).await;
    }
    let start = Instant::now();
    gate.open();
    let own: Vec<&Approved> = ordered.iter().filter(|a| a.source == 1).collect();
    scene.first_applied(&own).await?;
    Ok(start.elapsed())
}

/// Runs many proposals on one locked row beside proposals on free rows of the same source.
pub async fn one_locked_row(on_the_row: usize) -> anyhow::Result<Option<Json>> {
    let Some(server) = Server::postgres()? else {
        return Ok(None);
    };
    let mut scene = Scene::new(&server, 0).await?;
    let row = scene.fresh_row();
    let mut stuck = Vec::new();
    for _ in 0..on_the_row {
        stuck.push(scene.approved_on(WORKING, &row).await?);
    }
    let free = scene.approved(WORKING, 3).await?;
    let first = scene.approved(WORKING, 1).await?;
    scene.start_writer()?;
    scene.apply_each(first).await?;
    let lock = scene.lock(&[row])?;
    scene.order(&stuck).await?;
    scene.waits_for_locks(1).await?;
    let took = scene.apply_each(free).await?;
    let sessions = scene.waiting_sessions()?;
    lock.execute("ROLLBACK")?;
    scene.first_applied(&stuck.iter().collect::<Vec<_>>()).await?;
    let mut violations = Vec::new();
    if took >= BESIDE_MAX {
        violations.push(format!(
            "three applies on free rows took {took:?} beside a locked one"
        ));
    }
    if sessions > 1 {
        violations.push(format!("{sessions} attempts waited for one row"));
    }
    Ok(Some(
        json!({ "violations": violations, "beside_ms": took.as_millis() }),
    ))
}

/// Runs a tenant whose rows are all locked beside another tenant of the same source.
pub async fn two_tenants(locked: usize) -> anyhow::Result<Option<Json>> {
    let Some(server) = Server::postgres()? else {
        return Ok(None);
    };
    let mut scene = Scene::new(&server, 0).await?;
    let mut rows = Vec::new();
    let mut stuck = Vec::new();
    for _ in 0..locked {
        let row = scene.fresh_row();
        stuck.push(scene.approved_on(WORKING, &row).await?);
        rows.push(row);
    }
    let first = scene.approved(WORKING, 1).await?;
    scene.become_tenant("globex").await?;
    let other = scene.approved(WORKING, 3).await?;
    scene.start_writer()?;
    scene.apply_each(first).await?;
    let lock = scene.lock(&rows)?;
    scene.order(&stuck).await?;
    // The first tenant takes every slot of the source.
    scene.waits_for_locks(8).await?;
    let mut worst = Duration::ZERO;
    for one in other {
        worst = worst.max(scene.apply_each(vec![one]).await?);
    }
    lock.execute("ROLLBACK")?;
    let mut violations = Vec::new();
    if worst >= BESIDE_MAX {
        violations.push(format!("an apply of the other tenant took {worst:?}"));
    }
    Ok(Some(
        json!({ "violations": violations, "worst_ms": worst.as_millis() }),
    ))
}
