//! Shutdown triggers: signals, and the end of a pipe that the parent holds open.

use std::io::{ErrorKind, Read};

use synapsor_codes::ErrorCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::run::ExitError;

/// Exit code after a second signal.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Returns a token that is canceled at the first SIGTERM or SIGINT. A second signal exits the process at once,
/// whatever is in progress. Call it once, inside a runtime.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> Result<CancellationToken, ExitError> {
    let listen = |kind| {
        signal(kind).map_err(|e| {
            ExitError::new(
                ErrorCode::SignalsUnavailable,
                format!("cannot listen for signals: {}", e.kind()),
            )
        })
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let first = stop.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        first.cancel();
        either(&mut terminate, &mut interrupt).await;
        std::process::exit(EXIT_SECOND_SIGNAL);
    });
    Ok(stop)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// Resolves when the other end of this process's stdin closes. A parent that started this process with a pipe
/// closes it when the parent ends for any reason. Data from the pipe is ignored.
pub async fn wait_for_stdin_close() {
    end_of(std::io::stdin()).await;
}

/// Makes the kernel send SIGTERM to this process when its parent ends for any reason. For a process whose stdin
/// does not belong to its parent. Only Linux supports this; elsewhere it has no effect.
///
/// # Errors
/// When the kernel rejects the request.
pub fn end_with_parent() -> Result<(), ExitError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).map_err(
        |errno| {
            ExitError::new(
                ErrorCode::LifelineRefused,
                format!("cannot watch the parent process: {errno}"),
            )
            .with_fix("allow prctl in the sandbox of this process")
        },
    )?;
    Ok(())
}

/// Resolves at the end, or an error, of `pipe`. A separate thread reads it, because a blocked read inside the
/// runtime would prevent the process from exiting.
pub async fn end_of(mut pipe: impl Read + Send + 'static) {
    let (ended, end) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        loop {
            match pipe.read(&mut ignored) {
                Ok(0) => break,
                Err(e) if e.kind() != ErrorKind::Interrupted => break,
                Ok(_) | Err(_) => {}
            }
        }
        drop(ended);
    });
    // The sender sends no value; dropping it is the signal.
    let _ = end.await;
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn lifeline_lasts_as_long_as_the_pipe() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut ended = Box::pin(end_of(reader));
        writer.write_all(b"still here").unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), &mut ended).await;
        assert!(early.is_err(), "ended although the pipe is open");
        drop(writer);
        tokio::time::timeout(Duration::from_secs(10), ended)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn first_signal_cancels_the_token() {
        let stop = on_signal().unwrap();
        assert!(!stop.is_cancelled());
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        tokio::time::timeout(Duration::from_secs(10), stop.cancelled())
            .await
            .unwrap();
    }
}
