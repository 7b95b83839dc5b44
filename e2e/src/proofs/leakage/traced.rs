//! The complete loop under `strace`, in a network namespace with only a loopback if that is permitted: every
//! connection of every process and its destination.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value as Json;

use crate::account;
use crate::binaries::Build;

/// Findings from the system calls.
#[derive(Debug, Default)]
pub(super) struct Traced {
    pub(super) calls: usize,
    pub(super) to_loopback: usize,
    pub(super) local: usize,
    /// Lines with a remote or an unknown destination.
    pub(super) beyond: Vec<String>,
    pub(super) is_isolated: bool,
}

/// Checks for `strace`; root installs it from the distribution if it is missing.
pub(super) fn has_strace(may_install: bool) -> bool {
    if runs(Command::new("strace").arg("-V")) {
        return true;
    }
    if may_install && account::is_root() {
        println!("quiet: strace is missing, installing it");
        let mut install = Command::new("apt-get");
        install
            .args(["install", "-y", "strace"])
            .env("DEBIAN_FRONTEND", "noninteractive");
        return runs(&mut install) && runs(Command::new("strace").arg("-V"));
    }
    false
}

fn runs(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs the demonstration under `strace`.
pub(super) fn demo(folder: &Path) -> anyhow::Result<Traced> {
    let log = folder.join("strace.log");
    let runner = Build::Plain.binary("synapsor-runner")?;
    let traced = [
        "strace",
        "-f",
        "-qq",
        "-s",
        "0",
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg",
        "-o",
    ];
    // A shell enables the loopback; the rest is passed as arguments and never parsed as shell text.
    let script = "ip link set lo up && exec \"$@\"";
    let mut isolated = Command::new("unshare");
    isolated.args(namespace());
    let is_isolated = runs(
        Command::new("unshare")
            .args(namespace())
            .args(["sh", "-c", "ip link set lo up"]),
    );
    let mut command = if is_isolated {
        isolated.args(["sh", "-c", script, "sh"]).args(traced);
        isolated
    } else {
        let mut plain = Command::new(traced[0]);
        plain.args(&traced[1..]);
        plain
    };
    command
        .arg(&log)
        .arg(&runner)
        .args(["demo", "--json"])
        .stdin(Stdio::null());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", folder);
    let output = command.output().context("running the demo under strace")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "demo failed under strace: {stderr}");
    let facts: Json = serde_json::from_slice(&output.stdout)?;
    ensure!(
        facts["ok"] == Json::Bool(true),
        "demo returned other facts: {facts}"
    );
    let mut traced = judge(&std::fs::read_to_string(&log)?);
    traced.is_isolated = is_isolated;
    ensure!(
        traced.to_loopback >= 4,
        "trace recorded only {} loopback connections: tracing does not work",
        traced.to_loopback
    );
    Ok(traced)
}

/// Root may create namespaces; other users first become root of a user namespace, if the system permits it.
fn namespace() -> &'static [&'static str] {
    if account::is_root() {
        &["--net", "--"]
    } else {
        &["--user", "--map-root-user", "--net", "--"]
    }
}

fn judge(log: &str) -> Traced {
    let mut traced = Traced::default();
    for line in log.lines() {
        match place(line) {
            Ok(None) => {}
            Ok(Some(true)) => traced.to_loopback += 1,
            Ok(Some(false)) => traced.local += 1,
            Err(_) => traced.beyond.push(line.to_owned()),
        }
        traced.calls += 1;
    }
    traced
}

/// Returns `Some(true)` for a loopback address, `Some(false)` for a local socket, `None` for a call without an
/// address.
fn place(line: &str) -> anyhow::Result<Option<bool>> {
    let is_resumed = line.contains("resumed>");
    if !line.contains("sa_family=") {
        // On a connected socket there is no address; a connect always has one.
        ensure!(
            is_resumed || !line.contains(" connect("),
            "an address that cannot be read"
        );
        return Ok(None);
    }
    for family in ["AF_UNIX", "AF_NETLINK", "AF_UNSPEC"] {
        if line.contains(&format!("sa_family={family}")) {
            return Ok(Some(false));
        }
    }
    let address = if line.contains("sa_family=AF_INET6") {
        between(line, "inet_pton(AF_INET6, \"")
            .unwrap_or_default()
            .parse()
            .map(std::net::IpAddr::V6)
    } else {
        between(line, "inet_addr(\"")
            .unwrap_or_default()
            .parse()
            .map(std::net::IpAddr::V4)
    };
    match address {
        Ok(ip) if ip.is_loopback() => Ok(Some(true)),
        _ => bail!("non-loopback address"),
    }
}

fn between<'a>(line: &'a str, begin: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(begin)?;
    rest.split_once('"').map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_addresses_are_distinguished() {
        let inside = [
            r#"12 connect(9, {sa_family=AF_INET, sin_port=htons(42), sin_addr=inet_addr("127.0.0.1")}, 16) = -1"#,
            r#"12 connect(9, {sa_family=AF_UNIX, sun_path=""...}, 16) = 0"#,
            r#"12 connect(9, {sa_family=AF_INET6, sin6_port=htons(1), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0"#,
            r#"12 sendto(9, ""..., 3, MSG_NOSIGNAL, NULL, 0) = 3"#,
            "12 <... connect resumed>) = 0",
        ];
        assert!(judge(&inside.join("\n")).beyond.is_empty());
        let outside = [
            r#"12 connect(9, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("10.0.0.2")}, 16) = 0"#,
            r#"12 sendto(9, ""..., 3, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("1.1.1.1")}, 16) = 3"#,
            r#"12 connect(9, {sa_family=AF_INET6, sin6_port=htons(1), inet_pton(AF_INET6, "fe80::1", &sin6_addr)}, 28) = 0"#,
            "12 connect(9, 0x7ffd0, 16) = 0",
        ];
        assert_eq!(judge(&outside.join("\n")).beyond.len(), outside.len());
    }
}
