//! Sources, rows and tenants that keep a writer waiting, and what that costs the others: nothing that can be measured.

mod gate;
mod scene;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use self::gate::Gate;
use self::scene::{Approved, Scene, WORKING};
use crate::databases::Server;

/// What other sources' hanging may add to the time of an apply: a fifth.
const SLOWER_MAX: f64 = 1.2;
/// From the moment a source is back to its first receipt.
const BACK_MAX: Duration = Duration::from_secs(2);
/// How long applies on free rows may take beside rows that are locked: less than one wait for a lock.
const BESIDE_MAX: Duration = Duration::from_millis(1_900);
/// Series of which the best counts: the machine has other things to do as well.
const SERIES: usize = 3;
const LOOK: Duration = Duration::from_millis(5);
const WAITS: Duration = Duration::from_secs(30);

/// How much of it there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Sources that hang.
    pub hanging: usize,
    /// Proposals that wait for each of them.
    pub waiting: usize,
    /// Applies on the working source in one series.
    pub applies: usize,
}

impl Size {
    /// For every test run.
    pub const SMALL: Self = Self {
        hanging: 16,
        waiting: 3,
        applies: 8,
    };
    /// For the proof.
    pub const FULL: Self = Self {
        hanging: 16,
        waiting: 30,
        applies: 40,
    };
}

/// Sources that hang beside one that works: its applies take less than 1.2 times as long as without them, and a
/// source that comes back is served within two seconds. `None` where the machine has no PostgreSQL.
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
    // The first apply opens connections and reads the catalog; neither is what is measured.
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
    let slower = took_beside.as_secs_f64() / took_alone.as_secs_f64();
    let mut violations = Vec::new();
    if slower >= SLOWER_MAX {
        violations.push(format!(
            "applies took {slower:.2} times as long beside hanging sources"
        ));
    }
    if back >= BACK_MAX {
        violations.push(format!("a source that came back waited {back:?}"));
    }
    Ok(Some(json!({
        "violations": violations,
        "alone_ms": took_alone.as_millis() / u128::try_from(size.applies)?,
        "beside_ms": took_beside.as_millis() / u128::try_from(size.applies)?,
        "back_ms": back.as_millis(),
    })))
}

/// Every hanging source has met the writer.
async fn all_hang(gates: &[Gate]) -> anyhow::Result<()> {
    let until = Instant::now() + WAITS;
    while gates.iter().any(|gate| gate.accepted() == 0) {
        ensure!(Instant::now() < until, "a source was never tried");
        sleep(LOOK).await;
    }
    Ok(())
}

/// Opens one source after it has been tried long enough to count as away; gives the time to its first receipt.
async fn comes_back(scene: &mut Scene, ordered: &[Approved]) -> anyhow::Result<Duration> {
    let gate = scene.gates.first().context("a gate")?;
    let until = Instant::now() + WAITS;
    // Probes go on while attempts wait: more connections than attempts that were ever at it.
    while gate.accepted() < 12 {
        ensure!(Instant::now() < until, "nobody looks whether the source is back");
        sleep(LOOK).await;
    }
    let start = Instant::now();
    gate.open();
    let own: Vec<&Approved> = ordered.iter().filter(|a| a.source == 1).collect();
    scene.first_applied(&own).await?;
    Ok(start.elapsed())
}

/// Many proposals on one locked row, beside proposals on free rows of the same source.
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

/// A tenant whose rows are all locked, beside another tenant of the same source.
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
    // Every slot of the source is taken by the first tenant.
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
