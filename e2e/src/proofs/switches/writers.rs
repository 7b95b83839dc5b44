//! Two writers: a state directory accepts one of them, and a freeze at one of them stops the deployment.

use std::os::unix::fs::symlink;
use std::time::Duration;

use synapsor_domain::writeback::ReceiptOutcome;

use super::locks::ReceiptLock;
use super::scene::Scene;
use crate::proofs::findings::Findings;
use crate::proofs::proof_env::ProofEnv;
use crate::stack::WRITER;

const SECOND: &str = "writer-2";
const THIRD: &str = "writer-3";
/// Concurrent orders: with two writers, each gets some.
const ORDERS: usize = 4;
/// Time from the release of a lock to the tombstone.
const TOMBSTONED: Duration = Duration::from_secs(10);
const RESUMED: Duration = Duration::from_secs(30);

pub(super) async fn run(ground: &ProofEnv, findings: &mut Findings) -> anyhow::Result<usize> {
    one_directory(ground, findings).await?;
    freeze(ground, findings).await?;
    blocked_rejection(ground, findings).await?;
    Ok(3)
}

/// Checks that a second writer on the state directory of a running one does not start.
async fn one_directory(ground: &ProofEnv, findings: &mut Findings) -> anyhow::Result<()> {
    let scene = Scene::new(ground).await?;
    let deployment = &scene.bench.stack.deployment;
    symlink(
        deployment.path("writer-state"),
        deployment.path(&format!("{SECOND}-state")),
    )?;
    let _first = scene.bench.writer(WRITER)?;
    if scene.bench.writer(SECOND).is_ok() {
        findings.violated("one directory", "two writers work in it");
    }
    Ok(())
}

/// Checks that a freeze at one reachable writer stops the others, restarted and new ones included, until an
/// applier lifts it.
async fn freeze(ground: &ProofEnv, findings: &mut Findings) -> anyhow::Result<()> {
    let name = "freeze with two writers";
    let mut scene = Scene::new(ground).await?;
    let (first, second) = (scene.bench.writer(WRITER)?, scene.bench.writer(SECOND)?);
    let mut cases = Vec::new();
    for number in 0..ORDERS {
        cases.push(scene.approved(&format!("{name} {number}")).await?);
    }
    let frozen = scene.commands.freeze(&first)?;
    if !matches!(frozen.exit, Some(0 | 6)) {
        findings.violated(name, &format!("no freeze: {frozen}"));
    }
    let all: Vec<_> = cases.iter().collect();
    scene
        .stays_untouched(findings, &all, "applied in a frozen deployment")
        .await?;
    drop((first, second));
    let (first, _second) = (scene.bench.writer(WRITER)?, scene.bench.writer(SECOND)?);
    let _third = scene.bench.writer(THIRD)?;
    scene
        .stays_untouched(
            findings,
            &all,
            "applied in a frozen deployment by a writer that started",
        )
        .await?;
    let lifted = scene.commands.unfreeze(&first)?;
    if !matches!(lifted.exit, Some(0 | 6)) {
        findings.violated(name, &format!("not lifted: {lifted}"));
        return Ok(());
    }
    for case in &cases {
        scene.order(case).await;
        if !scene.within(RESUMED, case, |target| target.effects == 1).await? {
            findings.violated(&case.name, "not applied after the lift");
        }
    }
    Ok(())
}

/// Checks that a rejection at a locked database becomes a tombstone after the lock ends, without another command.
async fn blocked_rejection(ground: &ProofEnv, findings: &mut Findings) -> anyhow::Result<()> {
    let mut scene = Scene::new(ground).await?;
    let (first, _second) = (scene.bench.writer(WRITER)?, scene.bench.writer(SECOND)?);
    let case = scene.approved("rejection of a locked database").await?;
    let lock = ReceiptLock::take(ground, &scene.bench.stack.deployment)?;
    let answer = scene.reject_at(&first, &case).await;
    lock.end()?;
    if answer.is_err() {
        findings.violated(&case.name, &format!("not accepted: {answer:?}"));
    }
    let tombstone = ReceiptOutcome::Rejected.to_string();
    let is_tombstoned = scene
        .within(TOMBSTONED, &case, |target| {
            target.outcome.as_deref() == Some(&tombstone)
        })
        .await?;
    if !is_tombstoned {
        findings.violated(&case.name, "no tombstone when the lock had ended");
    }
    scene
        .stays_untouched(findings, &[&case], "applied although it was rejected")
        .await
}
