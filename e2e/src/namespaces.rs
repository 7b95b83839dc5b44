//! Detection of network and mount namespaces. Not every machine allows them: a test that needs them prints a
//! notice and passes, unless the run requires them.

use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::account::is_root;

/// Set to `required` where a machine must have network namespaces, as in continuous integration.
const DEMAND: &str = "SYNAPSOR_TEST_NAMESPACES";

/// Reports a skipped test and the reason; fails if namespaces are required.
pub fn missing(what: &str, reason: &anyhow::Error) -> anyhow::Result<()> {
    if std::env::var_os(DEMAND).is_some_and(|value| value == "required") {
        bail!("{DEMAND} is `required`, and: {what}: {reason}");
    }
    left_out(format_args!("{what}: {reason}"));
    Ok(())
}

/// File that collects what did not run; `servers.sh run` prints it at the end.
const NOT_RUN: &str = "SYNAPSOR_TEST_NOT_RUN";

/// Reports a check that did not run: on the real stderr, because the test runner captures the output of passing
/// tests, and in the list that the run prints at its end.
pub fn left_out(what: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    // One write, so that concurrent tests do not interleave with the line.
    let line = format!("NOT RUN: {what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os(NOT_RUN) {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = list.and_then(|mut list| list.write_all(line.as_bytes()));
    }
}

/// Command prefix that gives a command its own file systems.
pub fn unshare_mounts() -> Vec<String> {
    let flags = if is_root() { "-m" } else { "-rm" };
    ["unshare", flags, "--"].map(str::to_owned).to_vec()
}

/// Checks whether a process can have its own file systems.
pub fn try_mount() -> anyhow::Result<()> {
    let words = unshare_mounts();
    let probe = Command::new(&words[0])
        .args(&words[1..])
        .args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output()
        .context("unshare")?;
    let stderr = String::from_utf8_lossy(&probe.stderr);
    ensure!(probe.status.success(), "{}", stderr.trim());
    Ok(())
}
