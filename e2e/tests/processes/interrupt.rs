//! Interrupted proofs leave no process behind.

use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use synapsor_e2e::cli::{Running, until};
use synapsor_e2e::interrupt::{EXIT_INTERRUPTED, descendants};

const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(30);

#[test]
fn signal_ends_proofs_and_all_descendants() -> anyhow::Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let arguments = ["quiet", "--small"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_prove"));
        command.args(arguments);
        let running = Running::of(command, &arguments)?;
        let proofs = Pid::from_child(&running.child);
        let mut below = Vec::new();
        // A command that serves, with its child processes.
        until(START, || {
            below = descendants(proofs);
            Ok(below.len() >= 4)
        })?;
        running.signal(signal)?;
        running.end(END)?.expect(i32::from(EXIT_INTERRUPTED))?;
        let left: Vec<&Pid> = below.iter().filter(|pid| runs(**pid)).collect();
        assert!(left.is_empty(), "{signal:?} left {left:?}");
    }
    Ok(())
}

/// A zombie process has no command line.
fn runs(pid: Pid) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
    line.is_ok_and(|line| !line.is_empty())
}
