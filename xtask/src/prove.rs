//! `prove`: builds what the proofs need and runs them with the database servers that they need; everything else is
//! theirs.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::failpoints;

const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/databases/servers.sh");
/// These need no server that is there before they begin.
const WITHOUT_SERVERS: [&str; 4] = ["wall", "quiet", "crash", "tamper"];

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let prove = failpoints::build()?.join("prove");
    let ended = command(&prove, arguments).args(arguments).status()?;
    if ended.success() {
        return Ok(());
    }
    bail!("not proven: {ended}")
}

fn command(prove: &Path, arguments: &[&str]) -> Command {
    if arguments.iter().any(|word| WITHOUT_SERVERS.contains(word)) {
        return Command::new(prove);
    }
    let mut command = Command::new(SERVERS);
    command.arg("run").arg(prove);
    command
}
