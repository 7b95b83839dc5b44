//! `kill -9` of the writer at random times under a stream of proposals, with the binaries that users run.

use std::time::{Duration, Instant};

use synapsor_domain::proposal::ProposalState;

use super::Ran;
use crate::proofs::SeededRng;
use crate::proofs::crash_harness::{Case, CrashHarness};
use crate::proofs::findings::Findings;
use crate::stack::WRITER;

const KILLS: usize = 200;
const KILLS_SMALL: usize = 10;
/// Concurrently open proposals.
const OPEN: usize = 8;
/// Orders between two kills.
const ORDERS: usize = 3;
/// Maximum lifetime of a writer, as a multiple of the time of one writeback after a writer start on this machine.
const LIFETIME_MAX: u32 = 3;

pub(super) async fn run(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    dice: &mut SeededRng,
    small: bool,
) -> anyhow::Result<Ran> {
    let kills = if small { KILLS_SMALL } else { KILLS };
    let mut open: Vec<Case> = Vec::new();
    let mut made = 0;
    let usual = one_writeback(bench, findings).await?;
    let lifetime_max_us = usize::try_from((usual * LIFETIME_MAX).as_micros())?;
    for _ in 0..kills {
        let lifetime = Duration::from_micros(dice.below(lifetime_max_us) as u64);
        let mut writer = bench.writer(WRITER)?;
        let killer = async {
            tokio::time::sleep(lifetime).await;
            writer.kill();
        };
        let stream = async {
            for _ in 0..ORDERS.min(OPEN.saturating_sub(open.len())) {
                made += 1;
                open.push(bench.ordered(&format!("random kill {made}")).await?);
            }
            anyhow::Ok(())
        };
        let ((), streamed) = tokio::join!(killer, stream);
        streamed?;
        open = still_open(bench, findings, open).await?;
    }
    let last = bench.writer(WRITER)?;
    for case in &open {
        bench.end(case).await?;
    }
    drop(last);
    for case in open {
        findings.ended(bench, case, "applied", "applied").await?;
    }
    Ok(Ran::new("random kills of the writer", kills, KILLS))
}

/// Measures the time that a writer needs without a kill.
async fn one_writeback(bench: &mut CrashHarness, findings: &mut Findings) -> anyhow::Result<Duration> {
    let case = bench.ordered("no kill").await?;
    let writer = bench.writer(WRITER)?;
    let began = Instant::now();
    bench.end(&case).await?;
    let took = began.elapsed();
    drop(writer);
    findings.ended(bench, case, "applied", "applied").await?;
    Ok(took)
}

/// Checks ended cases and orders returned ones again.
async fn still_open(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    cases: Vec<Case>,
) -> anyhow::Result<Vec<Case>> {
    let mut open = Vec::new();
    for case in cases {
        let state: ProposalState = bench.state(&case).await?.parse()?;
        if state.is_terminal() {
            findings.ended(bench, case, "applied", "applied").await?;
            continue;
        }
        if state == ProposalState::Approved {
            bench.desk.request_apply(&bench.order(&case)).await?;
        }
        open.push(case);
    }
    Ok(open)
}
