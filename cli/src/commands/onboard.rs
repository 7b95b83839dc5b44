//! `onboard db` and `start`: drafts a contract, then checks it, its tools and the setup in one go.

use clap::Subcommand;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;

use super::doctor::DoctorArgs;
use super::{config, doctor, init, smoke};
use crate::{Context, contract_file, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draft a contract as `init` does, then check contract, tools and setup
    #[command(after_help = EXAMPLES)]
    Db(Box<init::Args>),
}

/// Examples of `onboard db` and `start`.
pub(super) const EXAMPLES: &str = "Examples:\n  synapsor-runner onboard db\n  \
    synapsor-runner onboard db --from-env SYNAPSOR_DATABASE_READ_URL --table shop.orders --mode review \\\n    \
    --patch status=arg:status --non-interactive\n\n\
    Takes the options of `init`. What the doctor finds does not change the exit code.\n\
    Exit codes: 0 contract valid and tools within their boundary, 1 a check fails, a file exists or nothing was\n\
    confirmed, 2 usage, 6 unreachable";

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let Command::Db(args) = command;
    onboard(&args, context).await
}

/// Runs `start`, which is an onboarding with a flag of `onboard db`.
pub(crate) async fn start(args: &init::Args, context: &Context) -> Result<Exit, ExitError> {
    if args.is_onboarding() {
        return onboard(args, context).await;
    }
    let text = "this version has no polling worker: `start` only drafts a contract";
    Err(ExitError::new(ErrorCode::NotAvailable, text).with_fix(
        "run `synapsor-runner up` to start the services, or pass --from-env, --schema, --mode or --engine for a first \
         contract",
    ))
}

async fn onboard(args: &init::Args, context: &Context) -> Result<Exit, ExitError> {
    let is_json = context.global.json;
    if !is_json {
        output::line("Drafts a contract, then checks it. Starts no service and writes to no database.")?;
    }
    let done = Box::pin(init::generate(args, context)).await?;
    if done.is_dry {
        if is_json {
            output::json(&json!({ "ok": true, "init": done.value }))?;
        }
        return Ok(Exit::Ok);
    }
    let of_contract = init::of_contract(context, &done);
    let exit = if is_json {
        checks_as_json(&done.value, &of_contract).await?
    } else {
        checks(&of_contract).await?
    };
    if !is_json {
        init::show_next(&done)?;
        output::line(format!("  {}", of_contract.global.command("up")))?;
    }
    Ok(exit)
}

async fn checks(context: &Context) -> Result<Exit, ExitError> {
    output::line("\ncontract")?;
    let valid = config::run(&config::Command::Validate, context)?;
    output::line("\ntools")?;
    let bounded = smoke::boundary(context)?;
    output::line("\nsetup")?;
    let setup = doctor::run(&DoctorArgs::before_start(), context).await?;
    if setup != Exit::Ok {
        output::line("Failed checks are expected until the variables of .env.example are set.")?;
    }
    Ok(if valid == Exit::Ok { bounded } else { valid })
}

async fn checks_as_json(drafted: &Json, context: &Context) -> Result<Exit, ExitError> {
    let bytes = contract_file::read(&contract_file::path(&context.global))?;
    let report = Contract::check(&bytes);
    let (is_bounded, boundary) = smoke::boundary_result(context)?;
    let (_, setup) = doctor::result(&DoctorArgs::before_start(), context).await?;
    let is_ok = report.is_ok() && is_bounded;
    output::json(&json!({
        "ok": is_ok, "init": drafted, "validate": report, "boundary": boundary, "doctor": setup,
    }))?;
    Ok(if is_ok { Exit::Ok } else { Exit::Failure })
}
