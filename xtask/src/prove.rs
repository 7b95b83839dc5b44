//! `prove`: builds the proofs' binaries and runs the proofs with the database servers that they need.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::failpoints;

const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/databases/servers.sh");
/// Proofs that need no running server.
const WITHOUT_SERVERS: [&str; 6] = ["wall", "quiet", "crash", "tamper", "timing", "lifetimes"];

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let prove = failpoints::build()?.join("prove");
    // Replaces this process, so that ending it ends the proofs.
    Err(command(&prove, arguments).args(arguments).exec()).context("cannot start the proofs")
}

fn command(prove: &Path, arguments: &[&str]) -> Command {
    if arguments.iter().any(|word| WITHOUT_SERVERS.contains(word)) {
        return Command::new(prove);
    }
    let mut command = Command::new(SERVERS);
    command.arg("run").arg(prove);
    command
}
