//! Every crash point of the writer × exits, hangs and is killed, fails × the same writer restarts, or another one
//! takes over.

use std::time::{Duration, Instant};

use super::Ran;
use crate::proofs::crash_harness::{Action, Case, CrashHarness};
use crate::proofs::findings::Findings;
use crate::stack::WRITER;

/// Crash points of one writeback in order.
const POINTS: [&str; 21] = [
    "lease-received",
    "before-authorize",
    "before-start",
    "after-start",
    "before-begin",
    "after-begin",
    "before-lock",
    "after-lock",
    "after-receipt-lookup",
    "after-check",
    "before-update",
    "after-update",
    "after-reread",
    "after-side-effects",
    "before-receipt",
    "after-receipt",
    "before-commit",
    "after-commit",
    "before-report",
    "after-report",
    "attempt-ended",
];
/// From this point on the transaction has committed.
const COMMITTED_FROM: &str = "after-commit";
/// Points of the small run, each with its most informative action.
const SMALL: [(&str, Action); 12] = [
    ("before-authorize", Action::Kill),
    ("after-start", Action::Error),
    ("after-lock", Action::Hang),
    ("after-update", Action::Kill),
    ("after-side-effects", Action::Error),
    ("before-receipt", Action::Error),
    ("after-receipt", Action::Error),
    ("after-receipt", Action::Kill),
    ("before-commit", Action::Hang),
    ("after-commit", Action::Kill),
    ("after-commit", Action::Error),
    ("before-report", Action::Kill),
];
/// The ledger assigns a killed writer's job to the next writer after this time; the cell would then no longer be
/// separate.
const ABANDONED: Duration = Duration::from_secs(5);
/// The cells of one round begin within this time, so that most of them end before [`ABANDONED`].
const ROUND: Duration = Duration::from_secs(3);
/// Open proposals of one agent are limited; this number stays below the limit.
const CELLS_PER_ROUND: usize = 30;
const OTHER: &str = "writer-2";

/// A crash point and its action.
#[derive(Debug, Clone, Copy)]
struct Cell {
    point: &'static str,
    action: Action,
}

impl Cell {
    fn name(self, who: &str) -> String {
        format!("{} {} {who}", self.point, self.action.as_str())
    }

    fn wanted(self) -> String {
        format!("{}:{}", self.point, self.action.as_str())
    }

    fn has_committed(self) -> bool {
        let place = |name: &str| POINTS.iter().position(|p| *p == name);
        place(self.point) >= place(COMMITTED_FROM)
    }
}

fn cells(small: bool) -> Vec<Cell> {
    if small {
        return SMALL
            .iter()
            .map(|(point, action)| Cell {
                point,
                action: *action,
            })
            .collect();
    }
    let every = |point: &'static str| Action::ALL.map(|action| Cell { point, action });
    POINTS.into_iter().flat_map(every).collect()
}

/// Runs the cells with the same writer, and with another one; the small run omits the latter.
pub(super) async fn run(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    small: bool,
) -> anyhow::Result<[Ran; 2]> {
    let (all, cells) = (cells(false).len(), cells(small));
    for cell in &cells {
        same_writer(bench, findings, *cell).await?;
    }
    let mut left = if small { &[] } else { cells.as_slice() };
    let others = left.len();
    while !left.is_empty() {
        left = other_writer(bench, findings, left).await?;
    }
    Ok([
        Ran::new("crashes of a writer that starts again", cells.len(), all),
        Ran::new(
            "crashes of a writer whose work another one takes over",
            others,
            all,
        ),
    ])
}

/// The writer crashes; the same writer restarts and gets its leases again.
async fn same_writer(bench: &mut CrashHarness, findings: &mut Findings, cell: Cell) -> anyhow::Result<()> {
    let mut failing = bench.failing_writer(WRITER, &cell.wanted())?;
    let case = bench.ordered(&cell.name("same writer")).await?;
    failing.reached(cell.action).await?;
    let process = if cell.action == Action::Error {
        failing.process
    } else {
        drop(failing);
        all_or_nothing(bench, findings, &case, cell)?;
        bench.writer(WRITER)?
    };
    bench.end(&case).await?;
    drop(process);
    findings.ended(bench, case, "applied", "applied").await
}

/// Each cell has its own crashing writer; another writer takes over when the leases have expired. Returns the
/// cells that did not fit into this round.
async fn other_writer<'a>(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    cells: &'a [Cell],
) -> anyhow::Result<&'a [Cell]> {
    let mut cases = Vec::new();
    let mut first = None;
    let mut done = 0;
    for (number, cell) in cells.iter().take(CELLS_PER_ROUND).enumerate() {
        let since_first = || first.map_or(Duration::ZERO, |at: Instant| at.elapsed());
        if since_first() > ROUND {
            break;
        }
        let mut failing = bench.failing_writer(&format!("dead-{number}"), &cell.wanted())?;
        let case = bench.ordered(&cell.name("other writer")).await?;
        let ordered = Instant::now();
        failing.reached(cell.action).await?;
        drop(failing);
        cases.push(case.clone());
        if since_first() > ABANDONED {
            // It ends with the others and is repeated in the next round.
            break;
        }
        if cell.action != Action::Error {
            all_or_nothing(bench, findings, &case, *cell)?;
        }
        first.get_or_insert(ordered);
        done += 1;
    }
    let rest = &cells[done..];
    let other = bench.writer(OTHER)?;
    for case in &cases {
        bench.end(case).await?;
    }
    drop(other);
    for case in cases {
        findings.ended(bench, case, "applied", "applied").await?;
    }
    Ok(rest)
}

/// Right after the crash, effect and receipt exist together or not at all, depending on the point.
fn all_or_nothing(
    bench: &CrashHarness,
    findings: &mut Findings,
    case: &Case,
    cell: Cell,
) -> anyhow::Result<()> {
    let seen = bench.check_locked_target(case)?;
    let committed = cell.has_committed();
    let fits = seen.effects == i64::from(committed) && seen.receipt.is_some() == committed;
    findings.check(
        fits,
        case,
        "effect and receipt do not match the crash point",
        &seen,
    );
    Ok(())
}
