//! Named crash points of a writer, for the proofs. Without the feature `crash-points` every point is an empty
//! function, and the variable that selects one is not in the binary.

use synapsor_source::EngineError;

/// A point in an attempt where the proofs kill, stop or fail the process. In the order of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    LeaseReceived,
    BeforeAuthorize,
    BeforeStart,
    AfterStart,
    BeforeBegin,
    AfterBegin,
    BeforeLock,
    AfterLock,
    AfterReceiptLookup,
    AfterCheck,
    BeforeUpdate,
    AfterUpdate,
    AfterReread,
    AfterSideEffects,
    BeforeReceipt,
    AfterReceipt,
    BeforeCommit,
    AfterCommit,
    BeforeReport,
    AfterReport,
    AttemptEnded,
}

impl CrashPoint {
    /// The name that selects the point.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeaseReceived => "lease-received",
            Self::BeforeAuthorize => "before-authorize",
            Self::BeforeStart => "before-start",
            Self::AfterStart => "after-start",
            Self::BeforeBegin => "before-begin",
            Self::AfterBegin => "after-begin",
            Self::BeforeLock => "before-lock",
            Self::AfterLock => "after-lock",
            Self::AfterReceiptLookup => "after-receipt-lookup",
            Self::AfterCheck => "after-check",
            Self::BeforeUpdate => "before-update",
            Self::AfterUpdate => "after-update",
            Self::AfterReread => "after-reread",
            Self::AfterSideEffects => "after-side-effects",
            Self::BeforeReceipt => "before-receipt",
            Self::AfterReceipt => "after-receipt",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::BeforeReport => "before-report",
            Self::AfterReport => "after-report",
            Self::AttemptEnded => "attempt-ended",
        }
    }
}

/// A point where a process can be configured to exit, hang or fail.
///
/// # Errors
/// Only if this build has the feature and the point is configured to fail.
#[cfg(not(feature = "crash-points"))]
pub async fn hit(_point: CrashPoint) -> Result<(), EngineError> {
    Ok(())
}

/// Runs the action of `SYNAPSOR_FAILPOINT=NAME:kill|hang|stop|error[:COUNT]` if this is the named point and
/// it is reached for the COUNT-th time (default: the first). `SYNAPSOR_FAILPOINT=@PATH` reads `NAME:ACTION`
/// from a file at every point and removes the file when the point is reached. So the proofs can stop one
/// process as often as they write the file.
///
/// # Errors
/// The action is `error`.
#[cfg(feature = "crash-points")]
pub async fn hit(point: CrashPoint) -> Result<(), EngineError> {
    let Some(action) = wanted(point.as_str()) else {
        return Ok(());
    };
    // The proofs wait for this line: it shows that a hanging or failing process has reached the point.
    tracing::warn!(point = point.as_str(), "a crash point is reached");
    let injected = || EngineError::new(synapsor_source::EngineErrorKind::Unavailable, "injected");
    match action.as_str() {
        "kill" => {
            // A killed process runs no destructors and flushes nothing; the crash points test this case.
            signal(rustix::process::Signal::KILL).map_err(|_| injected())?;
            std::future::pending().await
        }
        // Continues from here when the process is resumed.
        "stop" => {
            signal(rustix::process::Signal::STOP).map_err(|_| injected())?;
            // The threads of a process stop one after the other; this one must not continue meanwhile.
            tokio::time::sleep(STOPPED).await;
            Ok(())
        }
        "hang" => std::future::pending().await,
        _ => Err(injected()),
    }
}

/// Long enough for every thread to have stopped.
#[cfg(feature = "crash-points")]
const STOPPED: std::time::Duration = std::time::Duration::from_millis(200);

#[cfg(feature = "crash-points")]
fn signal(signal: rustix::process::Signal) -> rustix::io::Result<()> {
    rustix::process::kill_process(rustix::process::getpid(), signal)
}

#[cfg(feature = "crash-points")]
#[expect(
    clippy::disallowed_methods,
    reason = "only builds for the proofs contain this line"
)]
fn wanted(name: &str) -> Option<String> {
    let text = std::env::var("SYNAPSOR_FAILPOINT").ok()?;
    match text.strip_prefix('@') {
        Some(path) => wanted_by_file(path, name),
        None => wanted_by_count(&text, name),
    }
}

#[cfg(feature = "crash-points")]
fn wanted_by_file(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let (wanted, action) = text.trim().split_once(':')?;
    if wanted != name {
        return None;
    }
    std::fs::remove_file(path).ok()?;
    Some(action.to_owned())
}

#[cfg(feature = "crash-points")]
fn wanted_by_count(text: &str, name: &str) -> Option<String> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static REACHED: AtomicU32 = AtomicU32::new(0);

    let mut parts = text.split(':');
    if parts.next() != Some(name) {
        return None;
    }
    let action = parts.next().unwrap_or("error").to_owned();
    let count = parts.next().and_then(|c| c.parse().ok()).unwrap_or(1);
    (REACHED.fetch_add(1, Ordering::SeqCst) + 1 == count).then_some(action)
}
