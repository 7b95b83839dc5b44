//! A command on a pseudo-terminal, for an operator who answers prompts. The answers are typed ahead: the terminal keeps
//! them until the command reads a line.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::cli::{CommandOutput, until};

/// Runs a command with its prompts and messages on a terminal and its results in a file, and types these lines. The
/// terminal shows what was typed, too.
pub fn run_on_terminal(
    mut command: Command,
    answers: &[&str],
    within: Duration,
) -> anyhow::Result<CommandOutput> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).context("no pseudo-terminal")?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    let terminal = || -> anyhow::Result<OwnedFd> {
        Ok(rustix::fs::open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY,
            Mode::empty(),
        )?)
    };
    let mut results = tempfile::tempfile()?;
    let arguments = format!("{command:?}");
    command
        .stdin(terminal()?)
        .stderr(terminal()?)
        .stdout(results.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    // The command holds the only other copies.
    drop(command);
    let mut keyboard = File::from(controller.as_fd().try_clone_to_owned()?);
    let reader = std::thread::spawn(move || screen(&mut File::from(controller)));
    for answer in answers {
        writeln!(keyboard, "{answer}")?;
    }
    // End of the input.
    keyboard.write_all(&[4])?;
    let ended = until(within, || Ok(child.try_wait()?.is_some()));
    if ended.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let screen = reader.join().unwrap_or_default();
    ended.with_context(|| format!("`{arguments}` still runs:\n{screen}"))?;
    let mut stdout = String::new();
    results.rewind()?;
    results.read_to_string(&mut stdout)?;
    Ok(CommandOutput {
        arguments,
        exit: status.code(),
        stdout,
        stderr: screen,
    })
}

/// Reads until the command has closed the terminal, which is an error of the controlling side.
fn screen(controller: &mut File) -> String {
    let (mut all, mut part) = (Vec::new(), [0; 4_096]);
    while let Ok(count @ 1..) = controller.read(&mut part) {
        all.extend_from_slice(&part[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}
