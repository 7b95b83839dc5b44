//! Duration of CLI commands from start to end, against the ledger under test.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;

use super::figures::Calls;
use super::scene::Scene;

const RUNS: u32 = 20;
/// Timed commands: with the options that name the services, or without. Names that no record has are the slowest to
/// search for.
const COMMANDS: [(&[&str], bool); 30] = [
    (&["--version"], false),
    (&["config", "validate"], false),
    (&["proposals", "list"], true),
    (&["proposals", "show", "latest"], true),
    (&["proposals", "list", "--tenant", "acme", "--from", "2h"], true),
    (&["proposals", "list", "--from", "1h", "--to", "59m"], true),
    (&["proposals", "list", "--to", "2020-01-01"], true),
    (&["proposals", "list", "--state", "applied"], true),
    (&["proposals", "list", "--tenant", "absent"], true),
    (&["proposals", "list", "--principal", "absent"], true),
    (&["proposals", "list", "--capability", "absent"], true),
    (&["proposals", "list", "--table", "absent"], true),
    (&["proposals", "list", "--object-id", "absent"], true),
    (&["proposals", "list", "--source", "absent"], true),
    (&["events", "tail", "--limit", "20"], true),
    (
        &[
            "events",
            "tail",
            "--limit",
            "20",
            "--kind",
            "discontinuity_recorded",
        ],
        true,
    ),
    (&["events", "tail", "--limit", "20", "--from", "1m"], true),
    (&["evidence", "list", "--tenant", "acme"], true),
    (&["evidence", "list", "--object-id", "L-0000000"], true),
    (&["evidence", "list", "--principal", "absent"], true),
    (&["evidence", "list", "--to", "2020-01-01"], true),
    (
        &[
            "query-audit",
            "list",
            "--from",
            "1h",
            "--capability",
            "billing.inspect_invoice",
        ],
        true,
    ),
    (&["query-audit", "list", "--principal", "absent"], true),
    (&["query-audit", "list", "--table", "absent"], true),
    (&["receipts", "list"], true),
    (&["replay", "list", "--state", "applied"], true),
    (&["activity", "search", "--tenant", "acme"], true),
    (&["activity", "search", "--object-id", "absent"], true),
    (&["shadow", "list"], true),
    (&["webhooks", "list"], true),
];

/// Runs each command several times.
pub(super) fn run(scene: &Scene) -> anyhow::Result<Json> {
    let mut all = json!({});
    for (words, is_remote) in COMMANDS {
        let mut calls = Calls::default();
        let begin = Instant::now();
        for _ in 0..RUNS {
            calls.good(timed(scene, words, is_remote)?);
        }
        all[words.join(" ")] = calls.figures(begin.elapsed());
    }
    Ok(all)
}

/// Verifies the whole ledger, and returns how long that took.
pub(super) fn verify(scene: &Scene) -> anyhow::Result<Json> {
    let took = timed(scene, &["ledger", "verify"], true)?;
    Ok(json!({ "seconds": took.as_secs_f64() }))
}

fn timed(scene: &Scene, words: &[&str], is_remote: bool) -> anyhow::Result<Duration> {
    let deployment = &scene.stack.deployment;
    let mut command = Command::new(deployment.build.binary("synapsor-runner")?);
    command.args(words);
    if is_remote {
        let files = deployment.leaf(Role::Operator, Some("alice"))?;
        command.args(["--ledger", &scene.stack.ledger.address]);
        command.arg("--ca").arg(&files.ca).arg("--cert").arg(&files.cert);
        command
            .arg("--key")
            .arg(&files.key)
            .arg("--trust")
            .arg(deployment.trust_path());
    }
    let start = Instant::now();
    let ran = command
        .current_dir(deployment.folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    let took = start.elapsed();
    ensure!(
        ran.status.success(),
        "{}: {}",
        words.join(" "),
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(took)
}
