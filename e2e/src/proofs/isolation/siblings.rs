//! Checks that a process with the gateway's credentials can read nothing of other processes of its user.

use std::process::{Command, Stdio};

use super::Report;
use super::look::Subject;
use crate::account::Account;

/// Kernel interfaces to a process of the same user, and the program that reads each.
const WINDOWS: [(&str, &str); 4] = [("cat", "environ"), ("cat", "maps"), ("cat", "auxv"), ("ls", "fd")];

/// Tries every interface of every process as the user that all of them run as.
pub(super) fn probe(
    scene: &str,
    subjects: &[Subject],
    account: &Account,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut control = Command::new("sleep");
    let mut control = account
        .step_down(control.arg("60").env_clear().env("A_CONTROL", "seen"))
        .spawn()?;
    let seen = look(account, "cat", control.id(), "environ");
    control.kill()?;
    control.wait()?;
    let seen = seen?;
    report.check(
        seen.0 && seen.1.contains("A_CONTROL=seen"),
        format!("{scene}: an unprotected process of the same user was not readable, so the probe proves nothing: {}", seen.1),
    );
    for subject in subjects {
        for (program, window) in WINDOWS {
            let (worked, printed) = look(account, program, subject.pid, window)?;
            let refused =
                !worked && (printed.contains("Permission denied") || printed.contains("not permitted"));
            report.check(
                refused,
                format!(
                    "{scene}: a sibling reads /proc/…/{window} of the {}: {printed}",
                    subject.name
                ),
            );
        }
    }
    println!(
        "wall: {scene}: a sibling of the same user reads a plain process, and was refused {} times at ours",
        subjects.len() * WINDOWS.len()
    );
    Ok(())
}

/// Runs a program; returns whether it succeeded, and its output on both streams.
fn look(account: &Account, program: &str, pid: u32, window: &str) -> anyhow::Result<(bool, String)> {
    let mut command = Command::new(program);
    command
        .arg(format!("/proc/{pid}/{window}"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    let output = account.step_down(&mut command).output()?;
    let printed = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&printed).into_owned(),
    ))
}
