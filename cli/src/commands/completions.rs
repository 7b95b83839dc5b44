//! `completions`: prints a shell completion script.

use clap::CommandFactory as _;
use clap_complete::Shell;
use synapsor_chassis::run::{Exit, ExitError};

use crate::{Cli, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: synapsor-runner completions bash > ~/.local/share/bash-completion/completions/synapsor-runner\n\
    Exit codes: 0 ok, 2 usage"
)]
pub(crate) struct Args {
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<Exit, ExitError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "synapsor-runner", &mut script);
    output::raw(&script)?;
    Ok(Exit::Ok)
}
