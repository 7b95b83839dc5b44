//! Duration of CLI commands from start to end, against the ledger under test.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;

use super::figures::Calls;
use super::scene::Scene;

const RUNS: u32 = 20;
/// Timed commands: with the options that name the services, or without.
const COMMANDS: [(&[&str], bool); 5] = [
    (&["--version"], false),
    (&["config", "validate"], false),
    (&["proposals", "list"], true),
    (&["proposals", "show", "latest"], true),
    (&["events", "tail", "--limit", "20"], true),
];

/// Runs each command several times.
pub(super) fn run(scene: &Scene) -> anyhow::Result<Json> {
    let deployment = &scene.stack.deployment;
    let files = deployment.leaf(Role::Operator, Some("alice"))?;
    let binary = deployment.build.binary("synapsor-runner")?;
    let mut all = json!({});
    for (words, is_remote) in COMMANDS {
        let mut calls = Calls::default();
        let begin = Instant::now();
        for _ in 0..RUNS {
            let mut command = Command::new(&binary);
            command.args(words);
            if is_remote {
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
            calls.good(start.elapsed());
            ensure!(
                ran.status.success(),
                "{}: {}",
                words.join(" "),
                String::from_utf8_lossy(&ran.stderr)
            );
        }
        all[words.join(" ")] = calls.figures(begin.elapsed());
    }
    Ok(all)
}
