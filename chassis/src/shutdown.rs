//! How a process learns that it should end: signals, and the end of a pipe that its parent holds open.

use std::io::{ErrorKind, Read};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::run::ExitError;

/// The exit code after a second signal.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// A token that is cancelled at the first SIGTERM or SIGINT. A second signal ends the process at once, whatever
/// is still going on. Call it inside a runtime, once.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> Result<CancellationToken, ExitError> {
    let listen = |kind| {
        signal(kind).map_err(|e| {
            ExitError::new(
                "SIGNALS_UNAVAILABLE",
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

/// Resolves when the other end of this process's stdin is closed. A parent that started this process with a pipe
/// closes it by ending, however it ends. What comes through the pipe is ignored.
pub async fn wait_for_stdin_close() {
    end_of(std::io::stdin()).await;
}

/// From now on this process gets a SIGTERM when its parent ends, however it ends. For a process whose stdin belongs
/// to somebody else than its parent. Only Linux can do this; elsewhere nothing happens.
///
/// # Errors
/// When the kernel refuses.
pub fn end_with_parent() -> Result<(), ExitError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).map_err(
        |errno| {
            ExitError::new(
                "LIFELINE_REFUSED",
                format!("the kernel does not watch the parent: {errno}"),
            )
            .with_fix("allow prctl in the sandbox of this process")
        },
    )?;
    Ok(())
}

/// Resolves at the end, or the failure, of `pipe`. A thread of its own does the reading, because a blocked read
/// inside the runtime would keep the process from ending.
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
    // The sender never sends; its end is the message.
    let _ = end.await;
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn lifeline_holds_while_the_pipe_is_open_and_ends_with_it() {
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
