//! Named crash points of the ledger, for the proofs. Without the feature `failpoints` every point is an empty
//! function, and the binary contains neither the names nor the variable that selects one.

use rusqlite::Connection;

/// Crash points of a batch, and of the views that are written after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// The batch is complete and not yet committed.
    BeforeCommit,
    /// The batch is durable and no caller has its result yet.
    AfterCommit,
    /// The views of records are written and not yet committed.
    ViewsWritten,
    /// The views of records are durable, and still counted as missing.
    ViewsCommitted,
}

/// Tables of records that agents look up by id.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RecordTable {
    Proposals,
    Evidence,
}

/// Error of a crash point that is set to fail.
#[derive(Debug, thiserror::Error)]
#[error("crash point returned an error as configured")]
pub(crate) struct Injected;

#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as with the feature")]
pub(crate) fn hit(_point: Point) -> Result<(), Injected> {
    Ok(())
}

/// Runs the action of `SYNAPSOR_FAILPOINT=NAME:kill|hang|panic|error[:COUNT]` if it names this point and this is
/// the COUNT-th time that the point is reached (default: the first).
#[cfg(feature = "failpoints")]
pub(crate) fn hit(point: Point) -> Result<(), Injected> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static REACHED: AtomicU32 = AtomicU32::new(0);

    let name = match point {
        Point::BeforeCommit => "L1",
        Point::AfterCommit => "L2",
        Point::ViewsWritten => "L3",
        Point::ViewsCommitted => "L4",
    };
    let Some((action, count)) = wanted(name) else {
        return Ok(());
    };
    if REACHED.fetch_add(1, Ordering::SeqCst) + 1 != count {
        return Ok(());
    }
    // The proofs read this line to detect that a hanging or failing process has reached the point.
    tracing::warn!(point = name, "a crash point is reached");
    match action.as_str() {
        "kill" => {
            // A killed process runs no destructors and flushes nothing; the proofs need exactly that.
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).map_err(|_| Injected)?;
            Err(Injected)
        }
        "hang" => loop {
            std::thread::park();
        },
        "panic" => panic!("crash point panics as configured"),
        _ => Err(Injected),
    }
}

/// Without the feature, nothing depends on whether an id belongs to another tenant.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn foreign_id(_conn: &Connection, _table: RecordTable, _id: &str) {}

/// Takes 50 µs longer for an id of another tenant if `SYNAPSOR_FAILPOINT=foreign-id:delay:50` is set: the proof of the
/// response times must detect that.
#[cfg(feature = "failpoints")]
pub(crate) fn foreign_id(conn: &Connection, table: RecordTable, id: &str) {
    let Some((_, micros)) = wanted("foreign-id") else {
        return;
    };
    let delay = std::time::Duration::from_micros(micros.into());
    let sql = match table {
        RecordTable::Proposals => "SELECT 1 FROM proposals WHERE proposal_id = ?1",
        RecordTable::Evidence => "SELECT 1 FROM evidence WHERE evidence_id = ?1",
    };
    let exists = conn.prepare_cached(sql).and_then(|mut query| query.exists([id]));
    if exists.unwrap_or_default() {
        let begun = std::time::Instant::now();
        while begun.elapsed() < delay {
            std::hint::spin_loop();
        }
    }
}

#[cfg(feature = "failpoints")]
#[expect(
    clippy::disallowed_methods,
    reason = "only builds for the proofs contain this line"
)]
fn wanted(name: &str) -> Option<(String, u32)> {
    let text = std::env::var("SYNAPSOR_FAILPOINT").ok()?;
    let mut parts = text.split(':');
    if parts.next() != Some(name) {
        return None;
    }
    let action = parts.next().unwrap_or("error").to_owned();
    Some((action, parts.next().and_then(|c| c.parse().ok()).unwrap_or(1)))
}
