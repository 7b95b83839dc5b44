//! Lost-commit proof: COMMITs or their responses get lost between a writer and its database server. The outcome
//! agrees with the row, the effect exists once, and the result is known within a time limit.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use synapsor_domain::proposal::ProposalState;

use super::Plan;
use super::crash_harness::{Case, CrashHarness};
use super::findings::Findings;
use super::journal::Journal;
use super::proof_env::{self, ProofEnv, Servers};
use crate::binaries::Build;
use crate::proxy::{Loss, Proxy};
use crate::stack::WRITER;

const LOSSES: usize = 200;
const LOSSES_SMALL: usize = 20;
/// Concurrent proposals; open proposals of one agent are limited.
const BATCH: usize = 40;
/// Interval of losses that leave both sides waiting instead of closing the connection.
const HELD_EVERY: usize = 4;
/// Time from the loss to a final state: median and maximum.
const MEDIAN_MAX: Duration = Duration::from_secs(15);
const ALL_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
const GIVEN_UP: Duration = Duration::from_secs(150);

/// Direction of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// COMMIT arrives, its response does not.
    Answer,
    /// COMMIT does not arrive.
    Commit,
}

impl Way {
    const ALL: [Self; 2] = [Self::Answer, Self::Commit];

    const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Commit => "commit",
        }
    }

    const fn loss(self, number: usize) -> Loss {
        let is_held = number % HELD_EVERY == HELD_EVERY - 1;
        match (self, is_held) {
            (Self::Answer, false) => Loss::AnswerCut,
            (Self::Answer, true) => Loss::AnswerHeld,
            (Self::Commit, false) => Loss::CommitCut,
            (Self::Commit, true) => Loss::CommitHeld,
        }
    }
}

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    proof_env::on_every_engine("lost", plan, Servers::Shared, |ground| {
        Box::pin(on_engine(ground, plan))
    })
    .await
}

async fn on_engine(ground: ProofEnv, plan: Plan) -> anyhow::Result<Json> {
    let Some(proxy) = ground.proxy().await? else {
        let reason = "COMMIT is a call within the writer's process: there is no answer to lose";
        return Ok(json!({ "losses": 0, "violations": 0, "not_applicable": reason }));
    };
    let mut findings = Findings::default();
    let mut bench = ground.bench(Build::Plain).await?;
    let journal = Journal::watch(ground.checker(&bench.stack.deployment)?, "CR-");
    let url = ground.through(&bench.stack.deployment, &proxy)?;
    let writer = bench.writer_with(WRITER, &[("BILLING_WRITE_URL", &url)])?;
    let losses = if plan.small { LOSSES_SMALL } else { LOSSES };
    let mut ways = serde_json::Map::new();
    for way in Way::ALL {
        let mut times = Vec::new();
        while times.len() < losses {
            let size = BATCH.min(losses - times.len());
            times.extend(
                batch(
                    &mut bench,
                    &mut findings,
                    &proxy,
                    way,
                    times.len()..times.len() + size,
                )
                .await?,
            );
        }
        ways.insert(way.name().to_owned(), figures(&mut findings, way, times));
    }
    drop(writer);
    journal.close().await?;
    super::crash::at_the_end(&mut bench, &mut findings).await?;
    Ok(json!({ "losses": losses * Way::ALL.len(), "violations": findings.violations, "ways": ways }))
}

/// Loses one COMMIT of each of these proposals; returns the time until each ended.
async fn batch(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    proxy: &Proxy,
    way: Way,
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<Vec<Duration>> {
    let mut cases = Vec::new();
    for number in numbers {
        let case = bench.proposed(&format!("lost {} {number}", way.name())).await?;
        bench.desk.decide(&case.approval).await?;
        proxy.lose(&case.proposal, way.loss(number));
        cases.push(case);
    }
    for case in &cases {
        bench.desk.request_apply(&bench.order(case)).await?;
    }
    let mut times = Vec::new();
    let until = Instant::now() + GIVEN_UP;
    let mut open = cases;
    while !open.is_empty() && Instant::now() < until {
        let mut still = Vec::new();
        for case in open {
            if has_ended(bench, &case).await? {
                match proxy.lost(&case.proposal) {
                    Some(lost) => times.push(lost.elapsed()),
                    None => findings.violated(&case.name, "none of its COMMITs was lost"),
                }
                findings.ended(bench, case, "applied", "applied").await?;
            } else {
                still.push(case);
            }
        }
        open = still;
        tokio::time::sleep(LOOK).await;
    }
    for case in open {
        let state = bench.state(&case).await?;
        findings.violated(&case.name, &format!("still `{state}` after {GIVEN_UP:?}"));
        times.push(GIVEN_UP);
    }
    Ok(times)
}

/// Orders a returned job again.
async fn has_ended(bench: &mut CrashHarness, case: &Case) -> anyhow::Result<bool> {
    let state: ProposalState = bench.state(case).await?.parse()?;
    if state == ProposalState::Approved {
        bench.desk.request_apply(&bench.order(case)).await?;
    }
    Ok(state.is_terminal())
}

fn figures(findings: &mut Findings, way: Way, mut times: Vec<Duration>) -> Json {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    if median > MEDIAN_MAX || longest > ALL_MAX {
        let text = format!("resolved after {median:?} in the median and {longest:?} at most");
        findings.violated(way.name(), &text);
    }
    json!({ "losses": times.len(), "p50_ms": milliseconds(median), "max_ms": milliseconds(longest) })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
