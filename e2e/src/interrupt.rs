//! What a program of this crate started ends with it: on Ctrl-C and on SIGTERM every process below this one is
//! killed, and everything that owns a process, a server or a folder of its own is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// As a shell tells it of a command that Ctrl-C ended.
pub const EXIT_INTERRUPTED: u8 = 130;
/// Owners end servers and remove folders within this time.
const DROPS: Duration = Duration::from_secs(10);
/// Whatever still runs then is killed, and this process with it.
const LAST: Duration = Duration::from_secs(20);

static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether this process was told to end: whoever waits for something need not wait any longer.
pub fn is_told() -> bool {
    IS_TOLD.load(Ordering::Relaxed)
}

/// Runs work to its end; `None` after a signal, when nothing of it is left.
///
/// # Errors
/// Where signals cannot be listened for.
pub fn run<T>(runtime: Runtime, work: impl Future<Output = T>) -> anyhow::Result<Option<T>> {
    let interrupted = CancellationToken::new();
    listen(interrupted.clone())?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = work => Some(done),
            () = interrupted.cancelled() => None,
        }
    });
    if !is_told() {
        return Ok(done);
    }
    // Work may have come to an end because its processes did.
    drop(done);
    runtime.shutdown_timeout(DROPS);
    kill_descendants();
    Ok(None)
}

/// Listens on a thread of its own: the work may be waiting for one of its processes, which has to end first.
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
        IS_TOLD.store(true, Ordering::Relaxed);
        eprintln!("interrupted: every process is ended, and what is said of them from here on is no finding");
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

/// Kills every process below this one. One that starts another meanwhile is found again with it.
fn kill_descendants() {
    loop {
        let running = descendants(getpid());
        if running.is_empty() {
            return;
        }
        for pid in running {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Processes that one started, directly or not, and that still run.
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

/// The parent in a line of `/proc/PID/stat`; none for a process that ended and waits to be asked for.
fn parent_of_running(stat: &str) -> Option<i32> {
    // The name of the program comes before, in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}
