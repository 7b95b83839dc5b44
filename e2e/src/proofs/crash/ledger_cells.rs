//! Ledger crashes before and after the commit of each batch of a proposal: decision, order, lease, start and
//! settlement. The writer keeps running and reconnects to the ledger at the same address.

use std::time::Duration;

use synapsor_chassis::random;
use synapsor_domain::error::PublicError;

use super::Ran;
use crate::proofs::crash_harness::{Action, Case, CrashHarness, logged, reached};
use crate::proofs::findings::Findings;
use crate::stack::WRITER;

/// Batches after a start of the ledger, whose own log entry is the first one.
const BATCHES: [&str; 5] = ["decision", "order", "lease", "start", "settlement"];
/// State, announced, leased: content of the store before each batch, and after the last one.
const STEPS: [(&str, bool, bool); 6] = [
    ("pending_review", false, false),
    ("approved", false, false),
    ("pending_worker", false, false),
    ("pending_worker", false, true),
    ("pending_worker", true, true),
    ("applied", true, false),
];

/// Batch that the crash interrupts, and how.
#[derive(Debug, Clone, Copy)]
struct Cell {
    batch: usize,
    is_committed: bool,
    action: Action,
}

impl Cell {
    fn wanted(self) -> String {
        let point = if self.is_committed { "L2" } else { "L1" };
        format!("{point}:{}:{}", self.action.as_str(), self.batch + 2)
    }

    fn name(self) -> String {
        let when = if self.is_committed { "after" } else { "before" };
        format!(
            "ledger {} {when} the commit of the {}",
            self.action.as_str(),
            BATCHES[self.batch]
        )
    }

    /// Content of the store right after the crash.
    fn left(self) -> (&'static str, bool, bool) {
        STEPS[self.batch + usize::from(self.is_committed)]
    }
}

fn cells(small: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for is_committed in [false, true] {
        for action in Action::ALL {
            cells.extend((0..BATCHES.len()).map(|batch| Cell {
                batch,
                is_committed,
                action,
            }));
        }
    }
    // The small run covers the most important cases: a response lost after the commit, for the first and the last
    // batch.
    cells.retain(|c| !small || (c.is_committed && c.action == Action::Kill && matches!(c.batch, 1 | 4)));
    cells
}

const TRIES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    small: bool,
) -> anyhow::Result<Ran> {
    let cells = cells(small);
    let writer = bench.writer(WRITER)?;
    for cell in &cells {
        let case = bench.proposed(&cell.name()).await?;
        crash(bench, findings, &case, *cell).await?;
        bench.end(&case).await?;
        findings.ended(bench, case, "applied", "applied").await?;
    }
    drop(writer);
    let all = self::cells(false).len();
    Ok(Ran::new("crashes of the ledger", cells.len(), all))
}

async fn crash(
    bench: &mut CrashHarness,
    findings: &mut Findings,
    case: &Case,
    cell: Cell,
) -> anyhow::Result<()> {
    let from = logged(&bench.stack.ledger.log);
    bench
        .stack
        .restart_ledger_in_place(&[("SYNAPSOR_FAILPOINT", &cell.wanted())])?;
    let (decide, apply) = (random::hex_id(32), random::hex_id(32));
    let order = bench.order(case);
    // The CLI retries under the same request id until it gets a response.
    let mut desk = bench.desk.clone();
    let approval = case.approval.clone();
    let asking = tokio::spawn(async move {
        let mut tries = 0;
        while let Err(refusal) = desk.decide_as(&decide, &approval).await {
            give_up(&mut tries, refusal).await?;
        }
        while let Err(refusal) = desk.request_apply_as(&apply, &order).await {
            give_up(&mut tries, refusal).await?;
        }
        anyhow::Ok(())
    });
    reached(&mut bench.stack.ledger, from, cell.action).await?;
    if cell.action != Action::Error {
        bench.stack.ledger.kill();
        let left = left(bench, case)?;
        let fits = (left.0.as_str(), left.1, left.2) == cell.left();
        findings.check(fits, case, "store content does not match the crash point", &left);
        bench.stack.restart_ledger_in_place(&[])?;
    }
    asking.await?
}

async fn give_up(tries: &mut u32, refusal: PublicError) -> anyhow::Result<()> {
    *tries += 1;
    if *tries > TRIES_MAX {
        return Err(refusal.into());
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// State, announced, leased, read from the file while no ledger runs.
fn left(bench: &CrashHarness, case: &Case) -> anyhow::Result<(String, bool, bool)> {
    let store = rusqlite::Connection::open(bench.stack.deployment.store())?;
    let sql = "SELECT state, started, EXISTS (SELECT 1 FROM leases l WHERE l.proposal_id = p.proposal_id \
               AND l.expires_at > 0) FROM proposals p WHERE proposal_id = ?1";
    Ok(store.query_row(sql, [&case.proposal], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?)
}
