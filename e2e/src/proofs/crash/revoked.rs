//! A writer crashes in mid-attempt, and the approver is revoked before the restart. A receipt without effect must
//! end the proposal, and this step crashes as well, at each of its points.

use super::Ran;
use crate::proofs::crash_harness::{Action, CrashHarness};
use crate::proofs::findings::Findings;
use crate::stack::WRITER;

/// Crash points of an ending without effect, in order.
const POINTS: [&str; 8] = [
    "before-begin",
    "after-begin",
    "before-receipt",
    "after-receipt",
    "before-commit",
    "after-commit",
    "before-report",
    "after-report",
];
const SMALL: [(&str, Action); 1] = [("after-receipt", Action::Kill)];

pub(super) async fn run(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    small: bool,
) -> anyhow::Result<Ran> {
    let every = |point: &'static str| Action::ALL.map(|action| (point, action));
    let all: Vec<(&str, Action)> = POINTS.into_iter().flat_map(every).collect();
    let number = all.len() + 1;
    let cells = if small { SMALL.to_vec() } else { all };
    for (point, action) in &cells {
        ended_without_effect(bench, findings, point, *action).await?;
    }
    committed_before(bench, findings).await?;
    Ok(Ran::new("crashes before a revocation", cells.len() + 1, number))
}

async fn ended_without_effect(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    point: &str,
    action: Action,
) -> anyhow::Result<()> {
    let mut first = bench.failing_writer(WRITER, "after-side-effects:kill")?;
    let case = bench
        .ordered(&format!("revoked, {point} {}", action.as_str()))
        .await?;
    first.reached(Action::Kill).await?;
    revoke(bench, true)?;
    // The reached point belongs to the ending: the first attempt never wrote its receipt.
    let mut second = bench.failing_writer(WRITER, &format!("{point}:{}", action.as_str()))?;
    second.reached(action).await?;
    let last = if action == Action::Error {
        second.process
    } else {
        drop(second);
        bench.writer(WRITER)?
    };
    bench.end(&case).await?;
    drop(last);
    revoke(bench, false)?;
    findings
        .ended(bench, case, "tombstoned:abandoned", "failed")
        .await
}

/// A committed change stays, whichever operator is revoked afterwards.
async fn committed_before(bench: &mut CrashHarness, findings: &mut Findings) -> anyhow::Result<()> {
    let mut first = bench.failing_writer(WRITER, "after-commit:kill")?;
    let case = bench.ordered("revoked after the commit").await?;
    first.reached(Action::Kill).await?;
    revoke(bench, true)?;
    let last = bench.writer(WRITER)?;
    bench.end(&case).await?;
    drop(last);
    revoke(bench, false)?;
    findings.ended(bench, case, "applied", "applied").await
}

fn revoke(bench: &CrashHarness, revoked: bool) -> anyhow::Result<()> {
    let deployment = &bench.stack.deployment;
    let mut trust = deployment.default_trust();
    for operator in trust.operators.iter_mut().filter(|o| o.person == "alice") {
        operator.revoked = revoked;
    }
    deployment.write_trust(&trust)
}
