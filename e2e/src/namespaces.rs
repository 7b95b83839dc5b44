//! Namespaces for networks and mounts are not to be had on every machine: tests that need them say so loudly and pass, unless
//! whoever runs them demands them.

use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::account::is_root;

/// Set to `required` where a machine must have network namespaces, as in continuous integration.
const DEMAND: &str = "SYNAPSOR_TEST_NAMESPACES";

/// Says what was not tested and why; fails where namespaces are demanded.
pub fn missing(what: &str, reason: &anyhow::Error) -> anyhow::Result<()> {
    if std::env::var_os(DEMAND).is_some_and(|value| value == "required") {
        bail!("{DEMAND} is `required`, and: {what}: {reason}");
    }
    left_out(format_args!("{what}: {reason}"));
    Ok(())
}

/// Says what a run leaves out, on the real stderr: what a passing test prints is kept from view.
pub fn left_out(what: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    // One write, so that tests beside this one do not get between its words.
    let line = format!("NOT TESTED: {what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// The words before a command that has file systems of its own.
pub fn unshare_mounts() -> Vec<String> {
    let flags = if is_root() { "-m" } else { "-rm" };
    ["unshare", flags, "--"].map(str::to_owned).to_vec()
}

/// Whether a process can have file systems of its own.
pub fn try_mount() -> anyhow::Result<()> {
    let words = unshare_mounts();
    let probe = Command::new(&words[0])
        .args(&words[1..])
        .args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output()
        .context("unshare")?;
    let said = String::from_utf8_lossy(&probe.stderr);
    ensure!(probe.status.success(), "{}", said.trim());
    Ok(())
}
