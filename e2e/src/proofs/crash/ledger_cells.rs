//! The ledger crashes before and after the commit of each batch of a proposal's way: decision, order, lease, start
//! and settlement. The writer lives on and finds the ledger again at the same address.

use std::time::Duration;

use synapsor_chassis::random;
use synapsor_domain::refusal::Refusal;

use super::bench::{Action, Bench, Case, logged, reached};
use super::findings::Findings;
use crate::stack::WRITER;

const POINTS: [&str; 2] = ["L1", "L2"];
/// Batches after a start of the ledger, whose own record is the first one.
const BATCHES: [(&str, u32); 5] = [
    ("decision", 2),
    ("order", 3),
    ("lease", 4),
    ("start", 5),
    ("settlement", 6),
];
const SMALL: [(&str, Action, &str, u32); 2] = [
    ("L1", Action::Kill, "settlement", 6),
    ("L2", Action::Kill, "order", 3),
];
const TRIES_MAX: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Gives the number of cells.
pub(super) async fn run(bench: &mut Bench, findings: &mut Findings, small: bool) -> anyhow::Result<usize> {
    let mut cells = Vec::new();
    for point in POINTS {
        for action in Action::ALL {
            cells.extend(BATCHES.map(|(batch, count)| (point, action, batch, count)));
        }
    }
    if small {
        cells = SMALL.to_vec();
    }
    let writer = bench.writer(WRITER)?;
    for (point, action, batch, count) in &cells {
        let case = bench
            .proposed(&format!("{point} {} at {batch}", action.as_str()))
            .await?;
        crash(
            bench,
            &case,
            *action,
            &format!("{point}:{}:{count}", action.as_str()),
        )
        .await?;
        bench.end(&case).await?;
        findings.ended(bench, case, "applied", "applied").await?;
    }
    drop(writer);
    Ok(cells.len())
}

async fn crash(bench: &mut Bench, case: &Case, action: Action, point: &str) -> anyhow::Result<()> {
    let from = logged(&bench.stack.ledger.log);
    bench
        .stack
        .restart_ledger_in_place(&[("SYNAPSOR_FAILPOINT", point)])?;
    let (decide, apply) = (random::hex_id(32), random::hex_id(32));
    let order = bench.order(case);
    // A person's command asks again under the same request id until it is answered.
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
    reached(&mut bench.stack.ledger, from, action).await?;
    if action != Action::Error {
        bench.stack.restart_ledger_in_place(&[])?;
    }
    asking.await?
}

async fn give_up(tries: &mut u32, refusal: Refusal) -> anyhow::Result<()> {
    *tries += 1;
    if *tries > TRIES_MAX {
        return Err(refusal.into());
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}
