//! `init`: writes a first contract for one table, without prompts. The domain decides the content; this module
//! handles files and the schema catalog.

mod flags;

use std::path::{Path, PathBuf};

use serde_json::json;
use synapsor_chassis::files::{self, MODE_PUBLIC};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Mode, is_env_name};
use synapsor_domain::inspection::{INSPECTION_BYTES_MAX, Inspection};
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::scaffold::{DraftError, GeneratedContract, InitOptions, draft, read_answers};

pub(crate) use flags::Args;

use crate::output::{self, safe};
use crate::{Context, contract_file};

const ENV_EXAMPLE: &str = ".env.example";

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, ExitError> {
    args.reject_unsupported_flags()?;
    args.database.check()?;
    let mut outputs = OutputPaths::of(&args, context)?;
    if !args.dry_run && !args.force {
        outputs.refuse_existing()?;
    }
    let choices = choices(&args)?;
    let inspection = inspection(&args, &choices, context).await?;
    let drafted = draft(&choices, inspection.as_ref()).map_err(refused)?;
    if !args.dry_run {
        outputs.write(&drafted, args.force)?;
    }
    if context.global.json {
        print_json(&drafted, &outputs, args.dry_run)?;
    } else {
        show(&drafted, &outputs, args.dry_run)?;
    }
    Ok(Exit::Ok)
}

fn refused(error: DraftError) -> ExitError {
    ExitError::new(error.code, safe(&error.text)).with_fix(safe(&error.fix))
}

fn choices(args: &Args) -> Result<InitOptions, ExitError> {
    let mut choices = args.choices().map_err(refused)?;
    if let Some(path) = &args.answers {
        let bytes = files::read_bounded(path, FILE_BYTES_MAX as u64)?;
        choices = choices.over(read_answers(&bytes).map_err(refused)?);
    }
    if choices.mode.is_none() {
        choices.mode = Some(Mode::Shadow);
    }
    let names = [
        &choices.read_url_env,
        &choices.inspected_env,
        &choices.write_url_env,
        &choices.tenant_env,
        &choices.principal_env,
    ];
    if names.into_iter().flatten().any(|name| !is_env_name(name)) {
        // The value is not shown, because it could be the URL itself.
        let text = "variable name contains characters other than upper-case letters, digits and `_`";
        return Err(ExitError::new(ErrorCode::EnvNameInvalid, text)
            .with_fix("pass names of variables, such as SYNAPSOR_DATABASE_READ_URL, not their values"));
    }
    Ok(choices)
}

/// Returns the schema catalog from a file or the database; optional with an answers file.
async fn inspection(
    args: &Args,
    choices: &InitOptions,
    context: &Context,
) -> Result<Option<Inspection>, ExitError> {
    if let Some(path) = &args.inspection_json {
        let bytes = files::read_bounded(path, INSPECTION_BYTES_MAX as u64)?;
        let found: Inspection = serde_json::from_slice(&bytes).map_err(|error| {
            let text = format!(
                "{} is not an inspection (line {}, column {})",
                safe(&path.to_string_lossy()),
                error.line(),
                error.column()
            );
            ExitError::new(ErrorCode::InspectionInvalid, text)
                .with_fix("create it with `synapsor-runner inspect --json`")
        })?;
        return Ok(Some(found.with_suggestions()));
    }
    if args.answers.is_some() && args.database.from_env.is_none() {
        return Ok(None);
    }
    // The schema of SCHEMA.TABLE is enough; without one every schema is inspected.
    let of_table = choices.table.as_deref().and_then(|table| table.split_once('.'));
    let schema = of_table.map(|(schema, _)| schema).or(choices.schema.as_deref());
    args.database.inspect(context, schema).await.map(Some)
}

/// Paths of the output files.
struct OutputPaths {
    contract: PathBuf,
    env_example: PathBuf,
    /// Whether the file of example variables was there and is kept.
    keeps_example: bool,
}

impl OutputPaths {
    fn of(args: &Args, context: &Context) -> Result<Self, ExitError> {
        let contract = args
            .output
            .clone()
            .unwrap_or_else(|| contract_file::path(&context.global));
        if contract.file_name().is_none() {
            return Err(
                ExitError::new(ErrorCode::OutputInvalid, "--output is not a file path")
                    .with_fix("pass --output synapsor.runner.json"),
            );
        }
        Ok(Self {
            env_example: contract.with_file_name(ENV_EXAMPLE),
            contract,
            keeps_example: false,
        })
    }

    fn refuse_existing(&self) -> Result<(), ExitError> {
        if self.contract.symlink_metadata().is_err() {
            return Ok(());
        }
        Err(ExitError::new(
            ErrorCode::FileExists,
            format!("{} already exists", safe(&self.contract.to_string_lossy())),
        )
        .with_fix("pass --force to replace it, another --output, or --dry-run to preview"))
    }

    /// Writes the files. A file of example variables that belongs to another contract is kept.
    fn write(&mut self, drafted: &GeneratedContract, replaces: bool) -> Result<(), ExitError> {
        let write = |path: &Path, text: &str| files::write_atomic(path, text.as_bytes(), MODE_PUBLIC);
        write(&self.contract, &drafted.contract)?;
        self.keeps_example = !replaces && self.env_example.symlink_metadata().is_ok();
        if !self.keeps_example {
            write(&self.env_example, &drafted.env_example)?;
        }
        Ok(())
    }
}

fn print_json(drafted: &GeneratedContract, outputs: &OutputPaths, is_dry: bool) -> Result<(), ExitError> {
    let contract: serde_json::Value = serde_json::from_str(&drafted.contract)
        .map_err(|_| ExitError::new(ErrorCode::OutputFailed, "contract cannot be serialized as JSON"))?;
    output::json(&json!({
        "ok": true,
        "written": !is_dry,
        "config_path": outputs.contract.to_string_lossy(),
        "env_example_path": outputs.env_example.to_string_lossy(),
        "read_tool": drafted.read_tool,
        "proposal_tool": drafted.proposal_tool,
        "warnings": drafted.warnings,
        "config": contract,
    }))
}

fn show(drafted: &GeneratedContract, outputs: &OutputPaths, is_dry: bool) -> Result<(), ExitError> {
    for warning in &drafted.warnings {
        output::note(format!("warning: {}", safe(warning)));
    }
    if is_dry {
        return output::text(&drafted.contract);
    }
    let path = safe(&outputs.contract.to_string_lossy());
    output::line(format!("wrote {path}"))?;
    let example = safe(&outputs.env_example.to_string_lossy());
    if outputs.keeps_example {
        output::line(format!("kept {example}, which was there; this contract needs:"))?;
        output::text(&drafted.env_example)?;
    } else {
        output::line(format!("wrote {example}"))?;
    }
    output::line(format!("  read      {}", safe(&drafted.read_tool)))?;
    if let Some(tool) = &drafted.proposal_tool {
        output::line(format!("  proposal  {}", safe(tool)))?;
    }
    next_steps(drafted, outputs)
}

/// Prints the next commands, which name the contract unless it has the default path.
fn next_steps(drafted: &GeneratedContract, outputs: &OutputPaths) -> Result<(), ExitError> {
    let config = if outputs.contract == Path::new(contract_file::NAME_DEFAULT) {
        String::new()
    } else {
        format!(
            " --config {}",
            output::shell_word(&outputs.contract.to_string_lossy())
        )
    };
    let example = output::shell_word(&outputs.env_example.to_string_lossy());
    output::line("next:")?;
    output::line(format!("  synapsor-runner config validate{config}"))?;
    if drafted.is_applied {
        output::line(format!(
            "  synapsor-runner writeback migration{config}     # for the database's owner, once"
        ))?;
    }
    if drafted.is_applied && drafted.has_accounts {
        output::line(format!(
            "  synapsor-runner writeback grants --read-role ROLE --writer-role ROLE{config}"
        ))?;
    }
    output::line(format!(
        "  # export the variables that {example} names, with your values"
    ))?;
    if drafted.is_applied {
        output::line(format!("  synapsor-runner writeback doctor --check-db{config}"))?;
    }
    output::line(format!(
        "  echo {} > call.json     # with the key of a row",
        output::shell_word(&drafted.read_input)
    ))?;
    output::line(format!(
        "  synapsor-runner smoke call {} --input call.json{config}",
        safe(&drafted.read_tool)
    ))
}
