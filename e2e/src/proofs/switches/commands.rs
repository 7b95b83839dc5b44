//! CLI commands of an operator who freezes and resumes writers of a deployment.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use synapsor_chassis::files;
use synapsor_chassis::identity::Role;
use tokio::task::block_in_place;

use crate::cli::{CommandOutput, Running};
use crate::process::Process;
use crate::stack::Stack;

const PERSON: &str = "alice";
const LIMIT: Duration = Duration::from_secs(60);

/// Alice with the CLI.
pub(super) struct Commands {
    runner: PathBuf,
    flags: Vec<String>,
}

impl Commands {
    pub(super) fn new(stack: &Stack) -> anyhow::Result<Self> {
        let deployment = &stack.deployment;
        let tls = deployment.leaf(Role::Operator, Some(PERSON))?;
        let key = deployment.path("alice.key.pem");
        if !key.exists() {
            files::create_exclusive(&key, deployment.person(PERSON).key.to_pem().as_bytes())?;
        }
        let pairs = [
            ("--config", deployment.contract()),
            ("--trust", deployment.trust_path()),
            ("--signing-key", key),
            ("--ca", tls.ca),
            ("--cert", tls.cert),
            ("--key", tls.key),
        ];
        let mut flags: Vec<String> = pairs
            .iter()
            .flat_map(|(flag, path)| [(*flag).to_owned(), path.display().to_string()])
            .collect();
        flags.extend(["--ledger".to_owned(), stack.ledger.address.clone()]);
        Ok(Self {
            runner: deployment.account.binary(deployment.build, "synapsor-runner")?,
            flags,
        })
    }

    /// Runs one command that may call this writer.
    pub(super) fn run(&self, writer: &Process, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
        let mut command = Command::new(&self.runner);
        command.args(&self.flags).args(["--writer", &writer.address]);
        command.args(arguments).env_clear().env("USER", PERSON);
        block_in_place(|| Running::of(command, arguments)?.end(LIMIT))
    }

    pub(super) fn freeze(&self, writer: &Process) -> anyhow::Result<CommandOutput> {
        self.run(writer, &["writeback", "freeze"])
    }

    pub(super) fn unfreeze(&self, writer: &Process) -> anyhow::Result<CommandOutput> {
        self.run(writer, &["writeback", "unfreeze"])
    }
}
