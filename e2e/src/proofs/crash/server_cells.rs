//! `kill -9` of the database server while a writer is halted between its UPDATE and the end of its COMMIT. The
//! server restarts, and the writer continues on its broken connection or is killed as well.

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::block_in_place;

use super::Ran;
use crate::databases::PrivateServer;
use crate::proofs::crash_harness::{Action, CrashHarness};
use crate::proofs::findings::Findings;
use crate::stack::WRITER;

/// Points with an open transaction, and the one right after the response to COMMIT.
const POINTS: [&str; 4] = ["after-update", "after-receipt", "before-commit", "after-commit"];
const COMMITTED: &str = "after-commit";
const ROUNDS: usize = 3;

const SMALL: [(&str, Writer); 2] = [
    ("after-receipt", Writer::Continues),
    ("after-commit", Writer::Continues),
];

/// Behavior of the writer after the kill of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Continues,
    IsKilled,
}

pub(super) async fn run(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    server: &PrivateServer,
    small: bool,
) -> anyhow::Result<Ran> {
    let round: Vec<(&str, Writer)> = POINTS
        .into_iter()
        .flat_map(|point| [(point, Writer::Continues), (point, Writer::IsKilled)])
        .collect();
    let all = round.len() * ROUNDS;
    let cells = if small {
        SMALL.to_vec()
    } else {
        round.repeat(ROUNDS)
    };
    for (point, writer) in &cells {
        cell(bench, findings, server, point, *writer).await?;
    }
    Ok(Ran::new("kills of the database server", cells.len(), all))
}

async fn cell(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    server: &PrivateServer,
    point: &str,
    writer: Writer,
) -> anyhow::Result<()> {
    let mut stopped = bench.failing_writer(WRITER, &format!("{point}:stop"))?;
    let case = bench
        .ordered(&format!("server killed, {point} {writer:?}"))
        .await?;
    stopped.reached(Action::Hang).await?;
    block_in_place(|| server.kill_hard().and_then(|()| server.start_again()))?;
    bench.checker.disconnect();
    let seen = bench.check_locked_target(&case)?;
    let committed = point == COMMITTED;
    let fits = seen.effects == i64::from(committed) && seen.receipt.is_some() == committed;
    findings.check(
        fits,
        &case,
        "effect and receipt do not match the point of the kill",
        &seen,
    );
    let process = match writer {
        Writer::Continues => {
            let pid = Pid::from_child(&stopped.process.child);
            kill_process(pid, Signal::CONT)?;
            stopped.process
        }
        Writer::IsKilled => {
            drop(stopped);
            bench.writer(WRITER)?
        }
    };
    bench.end(&case).await?;
    drop(process);
    findings.ended(bench, case, "applied", "applied").await
}
