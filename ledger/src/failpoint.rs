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

/// Does what `SYNAPSOR_FAILPOINT=NAME:kill|error|hang` asks for, if this point is the one named.
#[cfg(feature = "failpoints")]
#[expect(
    clippy::disallowed_methods,
    reason = "only builds for the proofs contain this line"
)]
pub(crate) fn hit(point: Point) -> Result<(), Injected> {
    let name = match point {
        Point::BeforeCommit => "L1",
        Point::AfterCommit => "L2",
    };
    let Ok(wanted) = std::env::var("SYNAPSOR_FAILPOINT") else {
        return Ok(());
    };
    match wanted.split_once(':') {
        Some((at, "kill")) if at == name => {
            // A killed process runs no destructors and flushes nothing, which is the point.
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).map_err(|_| Injected)?;
            Err(Injected)
        }
        Some((at, "error")) if at == name => Err(Injected),
        Some((at, "hang")) if at == name => loop {
            std::thread::park();
        },
        _ => Ok(()),
    }
}
