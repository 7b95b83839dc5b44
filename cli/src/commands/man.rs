//! `man`: manual pages of all commands, in roff.

use std::path::PathBuf;

use clap::CommandFactory as _;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;

use crate::{Cli, Context, output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  synapsor-runner man | man -l -\n  \
    synapsor-runner man --output ~/.local/share/man/man1\n\n\
    Exit codes: 0 ok, 2 usage")]
pub(crate) struct ManArgs {
    /// Directory for one page of each command [default: the first page on stdout]
    #[arg(long, visible_alias = "out", value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, context: &Context) -> Result<Exit, ExitError> {
    let failed = |error: std::io::Error| {
        let text = format!("cannot write a manual page: {}", error.kind());
        ExitError::new(ErrorCode::OutputFailed, text)
            .with_fix("pass a directory that exists and can be written")
    };
    let command = Cli::command();
    let Some(dir) = &args.output else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
        output::raw(&page)?;
        return Ok(Exit::Ok);
    };
    clap_mangen::generate_to(command, dir).map_err(failed)?;
    if context.global.json {
        output::json(&serde_json::json!({ "output": dir.display().to_string() }))?;
    } else {
        output::note(format!("wrote manual pages to {}", dir.display()));
    }
    Ok(Exit::Ok)
}
