//! Signal handling of this crate's programs. Ctrl-C and SIGTERM kill every descendant process and drop every owner
//! of a process, a server or a directory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a shell for a command that Ctrl-C ended.
pub const EXIT_INTERRUPTED: u8 = 130;
/// Time for owners to end servers and remove directories.
const DROPS: Duration = Duration::from_secs(10);
/// Time after which remaining processes and this process are killed.
const LAST: Duration = Duration::from_secs(20);

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Checks whether a signal asked this process to end; waiting code then stops.
pub fn is_interrupted() -> bool {
    IS_INTERRUPTED.load(Ordering::Relaxed)
}

/// Runs work to its end; returns `None` after a signal, when all its processes have ended.
///
/// # Errors
/// Signal handlers that cannot be installed.
pub fn run<T>(runtime: Runtime, work: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let interrupted = CancellationToken::new();
    listen(interrupted.clone())?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = work => Some(done),
            () = interrupted.cancelled() => None,
        }
    });
    if !is_interrupted() {
        return Ok(done);
    }
    // The work may have ended because its processes did.
    drop(done);
    runtime.shutdown_timeout(DROPS);
    kill_descendants();
    Ok(None)
}

/// Listens on its own thread: the work may wait for one of its processes, which must end first.
fn listen(interrupted: CancellationToken) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        IS_INTERRUPTED.store(true, Ordering::Relaxed);
        eprintln!("interrupted: ending all processes; ignore their later messages");
        interrupted.cancel();
        kill_descendants();
        thread::sleep(LAST);
        kill_descendants();
        std::process::exit(i32::from(EXIT_INTERRUPTED));
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(work)
        .context("the thread for signals")?;
    Ok(())
}

/// Kills every descendant process; repeats until it finds no new one.
fn kill_descendants() {
    loop {
        let running = descendants(getpid());
        if running.is_empty() {
            return;
        }
        for pid in running {
            // It may have exited already.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Running direct and indirect child processes of a process.
pub fn descendants(of: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let (Some(pid), Some(parent)) = (pid, parent_of_running(&stat)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![of.as_raw_nonzero().get()];
    while let Some(parent) = parents.pop() {
        let below = children.remove(&parent).unwrap_or_default();
        found.extend(below.iter().filter_map(|pid| Pid::from_raw(*pid)));
        parents.extend(below);
    }
    found
}

/// Parent pid in a line of `/proc/PID/stat`; `None` for a zombie.
fn parent_of_running(stat: &str) -> Option<i32> {
    // The program name comes first, in parentheses, and may contain any character.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}
