//! `prove`: builds what the proofs need and runs them with the database servers that they need; everything else is
//! theirs.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::failpoints;

const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/databases/servers.sh");
/// These need no server that is there before they begin.
const WITHOUT_SERVERS: [&str; 4] = ["wall", "quiet", "crash", "tamper"];

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let prove = failpoints::build()?.join("prove");
    // In the place of this process, so that whoever ends this one ends the proofs.
    Err(command(&prove, arguments).args(arguments).exec()).context("starting the proofs")
}

fn command(prove: &Path, arguments: &[&str]) -> Command {
    if arguments.iter().any(|word| WITHOUT_SERVERS.contains(word)) {
        return Command::new(prove);
    }
    let mut command = Command::new(SERVERS);
    command.arg("run").arg(prove);
    command
}
