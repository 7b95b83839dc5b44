//! Named crash points of the ledger, for the proofs. Without the feature `failpoints` every point is an empty
//! function, and neither the names nor the variable that selects one are in the binary.

/// The points of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// The batch is complete and not yet committed.
    BeforeCommit,
    /// The batch is durable and nobody has been told.
    AfterCommit,
}

/// The error of a point that was told to fail.
#[derive(Debug, thiserror::Error)]
#[error("failed on request at a crash point")]
pub(crate) struct Injected;

#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as with the feature")]
pub(crate) fn hit(_point: Point) -> Result<(), Injected> {
    Ok(())
}

/// Does what `SYNAPSOR_FAILPOINT=NAME:kill|hang|panic|error[:COUNT]` asks for, if this point is the one named and is
/// reached for the COUNT-th time (the first, unless it says otherwise).
#[cfg(feature = "failpoints")]
pub(crate) fn hit(point: Point) -> Result<(), Injected> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static REACHED: AtomicU32 = AtomicU32::new(0);

    let name = match point {
        Point::BeforeCommit => "L1",
        Point::AfterCommit => "L2",
    };
    let Some((action, count)) = wanted(name) else {
        return Ok(());
    };
    if REACHED.fetch_add(1, Ordering::SeqCst) + 1 != count {
        return Ok(());
    }
    // The proofs read this line to know that a hanging or failing process has come so far.
    tracing::warn!(point = name, "a crash point is reached");
    match action.as_str() {
        "kill" => {
            // A killed process runs no destructors and flushes nothing, which is the point.
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).map_err(|_| Injected)?;
            Err(Injected)
        }
        "hang" => loop {
            std::thread::park();
        },
        "panic" => panic!("a crash point was asked to panic"),
        _ => Err(Injected),
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
