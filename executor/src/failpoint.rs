//! Named crash points of the executor, for the proofs. Without the feature `failpoints` every point is an empty
//! function, and the variable that selects one is not in the binary.

use crate::engine::EngineError;

/// A point where a process can be told to die, to hang or to fail.
///
/// # Errors
/// Only when this build has the feature and the point was told to fail.
#[cfg(not(feature = "failpoints"))]
pub async fn hit(_name: &'static str) -> Result<(), EngineError> {
    Ok(())
}

/// Does what `SYNAPSOR_FAILPOINT=NAME:kill|hang|stop|error[:COUNT]` asks for, if this is the named point and it is
/// reached for the COUNT-th time (the first, unless it says otherwise).
///
/// # Errors
/// `error` was asked for.
#[cfg(feature = "failpoints")]
pub async fn hit(name: &'static str) -> Result<(), EngineError> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static REACHED: AtomicU32 = AtomicU32::new(0);

    let Some((action, count)) = wanted(name) else {
        return Ok(());
    };
    if REACHED.fetch_add(1, Ordering::SeqCst) + 1 != count {
        return Ok(());
    }
    // The proofs read this line to know that a hanging or failing process has come so far.
    tracing::warn!(point = name, "a crash point is reached");
    let injected = || EngineError::new(crate::engine::error::EngineErrorKind::Unavailable, "injected");
    match action.as_str() {
        "kill" => {
            // A killed process runs no destructors and flushes nothing, which is the point.
            signal(rustix::process::Signal::KILL).map_err(|_| injected())?;
            std::future::pending().await
        }
        // Goes on from here when somebody continues the process.
        "stop" => {
            signal(rustix::process::Signal::STOP).map_err(|_| injected())?;
            // The threads of a process stop one after the other; this one shall not run ahead.
            tokio::time::sleep(STOPPED).await;
            Ok(())
        }
        "hang" => std::future::pending().await,
        _ => Err(injected()),
    }
}

/// Long enough for every thread to have stopped.
#[cfg(feature = "failpoints")]
const STOPPED: std::time::Duration = std::time::Duration::from_millis(200);

#[cfg(feature = "failpoints")]
fn signal(signal: rustix::process::Signal) -> rustix::io::Result<()> {
    rustix::process::kill_process(rustix::process::getpid(), signal)
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
