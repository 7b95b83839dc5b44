//! `init`: writes a first contract for one table, from flags, a file, a recipe, a starter or the wizard. The domain
//! decides the content; this module handles files and the schema catalog.

mod add;
mod added_source;
mod append;
mod choices;
mod command_line;
mod contract_lock;
mod files;
mod flags;
mod other_flags;
mod report;
mod wizard;

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_chassis::telemetry::redact;
use synapsor_codes::ErrorCode;
use synapsor_domain::inspection::Inspection;
use synapsor_domain::scaffold::{DraftError, InitOptions, draft};

pub(crate) use flags::Args;
pub(crate) use other_flags::OutputFlags;

use crate::output::{self, safe};
use crate::{Context, contract_file};
use files::OutputPaths;

/// Result of an `init`, for the commands that continue from it.
#[derive(Debug)]
pub(super) struct InitResult {
    /// The contract as the command line names it.
    pub(super) contract: PathBuf,
    pub(super) is_dry: bool,
    /// Commands to run next.
    pub(super) next: Vec<String>,
    /// The result as `--json` prints it.
    pub(super) value: Json,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, ExitError> {
    let done = Box::pin(generate(&args, context)).await?;
    if context.global.json {
        output::json(&done.value)?;
    } else {
        show_next(&done)?;
    }
    Ok(Exit::Ok)
}

/// Prints the next commands.
pub(super) fn show_next(done: &InitResult) -> Result<(), ExitError> {
    if done.is_dry {
        return Ok(());
    }
    output::line("next:")?;
    done.next
        .iter()
        .try_for_each(|line| output::line(format!("  {line}")))
}

/// Drafts and writes the files, and reports them on a terminal.
pub(super) async fn generate(args: &Args, context: &Context) -> Result<InitResult, ExitError> {
    args.reject_unsupported_flags()?;
    args.database.check()?;
    if args.add {
        return add::run(args, context).await;
    }
    if wizard::is_wanted(args, context) {
        return Box::pin(wizard::run(args, context)).await;
    }
    if !args.has_input() {
        return Err(ExitError::new(
            ErrorCode::InitInputRequired,
            "the table of the contract is missing",
        )
        .with_fix(
            "pass --table with --from-env NAME, --answers FILE, --spec FILE, --recipe ID, or --starter for a skeleton; \
             or run it in a terminal",
        ));
    }
    let paths = OutputPaths::of(&args.files, context)?;
    if !args.files.dry_run && !args.files.force {
        paths.refuse_existing()?;
    }
    let (choices, inspection) = choices::read(args, None, context).await?;
    finish(&choices, inspection.as_ref(), &args.files, context)
}

/// Drafts from complete choices, writes the files and reports them.
pub(super) fn finish(
    choices: &InitOptions,
    inspection: Option<&Inspection>,
    flags: &OutputFlags,
    context: &Context,
) -> Result<InitResult, ExitError> {
    let drafted = draft(choices, inspection).map_err(refused)?;
    let mut paths = OutputPaths::of(flags, context)?;
    if !flags.dry_run {
        paths.write(&drafted, flags.force, context)?;
    }
    if !context.global.json {
        report::show(&drafted, &paths, flags.dry_run)?;
    }
    Ok(InitResult {
        value: report::json(&drafted, &paths, flags.dry_run)?,
        next: report::next_steps(&drafted, &paths),
        contract: paths.contract,
        is_dry: flags.dry_run,
    })
}

/// Returns the context of commands about the contract that was written.
pub(super) fn of_contract(context: &Context, done: &InitResult) -> Context {
    let mut global = context.global.clone();
    if done.contract != Path::new(contract_file::NAME_DEFAULT) {
        global.config = Some(done.contract.clone());
    }
    Context {
        global,
        env: context.env.clone(),
        stop: context.stop.clone(),
        logs: context.logs.clone(),
    }
}

/// Converts an error of the draft. A value in it may be foreign text.
pub(super) fn refused(error: DraftError) -> ExitError {
    let shown = |text: &str| safe(&redact::redact(text));
    ExitError::new(error.code, shown(&error.text)).with_fix(shown(&error.fix))
}
