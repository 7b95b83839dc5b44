//! Flags of `init`: the table, what a model may do with it, names and variables.

use clap::Args as ClapArgs;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Mode, VersionAdvance};
use synapsor_domain::scaffold::{DraftError, InitOptions, read_bounds, read_patch, read_states};

use super::other_flags::{OriginFlags, OutputFlags, UnsupportedFlags};
use crate::commands::inspect::DatabaseArgs;
use crate::output::safe;

/// Settings of the new contract.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Table, as TABLE or SCHEMA.TABLE
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Table schema
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Contract mode: read_only, shadow or review [default: shadow]
    #[arg(long, value_name = "MODE", value_parser = ["read_only", "shadow", "review", "cloud"])]
    mode: Option<String>,
    /// Lookup column that identifies one row, or several that do so together, comma-separated [default:
    /// the primary key]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    primary_key: Vec<String>,
    /// Tenant column [default: the first suggestion]
    #[arg(long, value_name = "COLUMN", alias = "tenant-key")]
    tenant_column: Option<String>,
    /// Table without tenants; for development, without writeback
    #[arg(long)]
    single_tenant_dev: bool,
    /// Version column that advances with every change of the row; xmin on PostgreSQL [default: the first
    /// suggestion]
    #[arg(long, value_name = "COLUMN")]
    conflict_column: Option<String>,
    /// Compare every visible column instead of a version column
    #[arg(long, conflicts_with = "conflict_column")]
    weak_guard: bool,
    /// How the writer advances that column: none, increment or now [default: none]
    #[arg(long, value_name = "HOW", value_parser = ["none", "increment", "now"])]
    conflict_advance: Option<String>,
    /// Columns visible to the model, comma-separated [default: the suggested ones]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    visible_columns: Vec<String>,
    /// Columns that a proposal may change [default: those of --patch]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    allowed_columns: Vec<String>,
    /// Columns that a proposal sets: COLUMN=arg:NAME or COLUMN=fixed:VALUE, comma-separated
    #[arg(long, value_name = "RULE")]
    patch: Vec<String>,
    /// Same as --patch COLUMN=fixed:VALUE, written COLUMN=VALUE
    #[arg(long, value_name = "COLUMN=VALUE", hide = true)]
    patch_fixed: Vec<String>,
    /// Same as --patch COLUMN=arg:NAME, written COLUMN=NAME
    #[arg(long, value_name = "COLUMN=NAME", hide = true)]
    patch_from_arg: Vec<String>,
    /// Limits of the new value: COLUMN=MIN:MAX
    #[arg(long, value_name = "RULE", alias = "numeric-bound")]
    patch_bounds: Vec<String>,
    /// Allowed state transitions: COLUMN=FROM:TO|TO;FROM:TO
    #[arg(long, value_name = "RULE", alias = "transition-guard")]
    status_guards: Vec<String>,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    pub(super) origin: OriginFlags,
    /// Add the tools for this table to the existing contract; the rest of the file keeps its bytes
    #[arg(long, conflicts_with_all = ["starter", "wizard"])]
    pub(super) add: bool,
    #[command(flatten)]
    pub(super) files: OutputFlags,
    /// Never prompt; required by --spec
    #[arg(long, alias = "yes")]
    pub(super) non_interactive: bool,
    #[command(flatten)]
    elsewhere: UnsupportedFlags,
}

/// Names and descriptions in the contract.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Names and descriptions")]
struct Names {
    /// Namespace of tool names [default: from the table]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Name of one row [default: from the table]
    #[arg(long, value_name = "NAME")]
    object_name: Option<String>,
    /// Key of a real row, written to smoke-input.json for a first call
    #[arg(long, value_name = "ID")]
    object_id: Option<String>,
    /// Argument that identifies the row [default: OBJECT_id]
    #[arg(long, value_name = "NAME", alias = "lookup-arg")]
    id_arg: Option<String>,
    /// Name of the read tool, as namespace.name
    #[arg(long, value_name = "NAME", alias = "inspect-tool-name")]
    read_tool: Option<String>,
    /// Name of the proposal tool, as namespace.name
    #[arg(long, value_name = "NAME", alias = "proposal-tool-name")]
    proposal_tool: Option<String>,
    /// Description of the read tool
    #[arg(long, value_name = "TEXT", alias = "inspect-description")]
    read_description: Option<String>,
    /// Description of the read tool's result
    #[arg(long, value_name = "TEXT", alias = "inspect-returns-hint")]
    read_returns_hint: Option<String>,
    /// Description of the proposal tool
    #[arg(long, value_name = "TEXT")]
    proposal_description: Option<String>,
    /// Description of the proposal tool's result
    #[arg(long, value_name = "TEXT")]
    proposal_returns_hint: Option<String>,
    /// Result envelope version, 1 or 2 [default: 2]
    #[arg(long, value_name = "N", value_parser = ["1", "2", "v1", "v2"])]
    result_format: Option<String>,
    /// Source name [default: local_ENGINE]
    #[arg(long, value_name = "NAME")]
    source_name: Option<String>,
    /// Role that may approve [default: local_reviewer]
    #[arg(long, value_name = "ROLE")]
    approval_role: Option<String>,
}

/// Variable names in the contract.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Variable names in the contract")]
struct Variables {
    /// Variable with the writer's URL [default: SYNAPSOR_DATABASE_WRITE_URL]
    #[arg(long, value_name = "NAME")]
    write_url_env: Option<String>,
    /// Variable of the read URL in the contract [default: that of --from-env]
    #[arg(long, value_name = "NAME")]
    read_url_env: Option<String>,
    /// Variable with the tenant [default: SYNAPSOR_TENANT_ID]
    #[arg(long, value_name = "NAME")]
    tenant_env: Option<String>,
    /// Variable with the principal [default: SYNAPSOR_PRINCIPAL]
    #[arg(long, value_name = "NAME")]
    principal_env: Option<String>,
}

impl Args {
    /// Whether a flag names what to draft from.
    pub(super) fn has_input(&self) -> bool {
        let origin = &self.origin;
        self.table.is_some()
            || self.database.from_env.is_some()
            || origin.inspection_json.is_some()
            || origin.answers.is_some()
            || origin.spec.is_some()
            || origin.recipe.is_some()
            || origin.starter
    }

    /// Whether a flag is for commands without prompts.
    pub(super) fn is_scripted(&self) -> bool {
        let origin = &self.origin;
        self.non_interactive
            || self.files.dry_run
            || self.add
            || self.table.is_some()
            || origin.answers.is_some()
            || origin.spec.is_some()
            || origin.inspection_json.is_some()
            || origin.starter
    }

    /// Whether one of the flags is given that make `start` an onboarding.
    pub(crate) fn is_onboarding(&self) -> bool {
        self.database.from_env.is_some()
            || self.schema.is_some()
            || self.mode.is_some()
            || self.database.engine != "auto"
    }

    /// Schema of the command line, if one is given.
    pub(super) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Mode of the command line, if one is given.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.mode.as_deref().map(mode)
    }

    /// Rejects flags about parts of the contract that --add leaves as they are.
    pub(super) fn reject_settings_of_contract(&self) -> Result<(), ExitError> {
        let unused = [
            ("--tenant-env", self.variables.tenant_env.is_some()),
            ("--principal-env", self.variables.principal_env.is_some()),
            ("--result-format", self.names.result_format.is_some()),
            ("--force", self.files.force),
            ("--object-id", self.names.object_id.is_some()),
        ];
        reject_unused(&unused)
    }

    /// Rejects flags about a source that the contract has.
    pub(super) fn reject_variables_of_source(&self) -> Result<(), ExitError> {
        reject_unused(&[
            ("--read-url-env", self.variables.read_url_env.is_some()),
            ("--write-url-env", self.variables.write_url_env.is_some()),
        ])
    }

    /// Converts the values of --map.
    pub(super) fn renames(&self) -> Result<Vec<(String, String)>, ExitError> {
        let pair = |rule: &String| {
            let (column, name) = rule.split_once('=').unwrap_or_default();
            let (column, name) = (column.trim().to_owned(), name.trim().to_owned());
            if column.is_empty() || name.is_empty() {
                let text = format!("invalid --map rule `{}`", safe(rule));
                return Err(ExitError::new(ErrorCode::InputInvalid, text)
                    .with_fix("write RECIPE_COLUMN=COLUMN, joined by commas"));
            }
            Ok((column, name))
        };
        self.origin.map.iter().map(pair).collect()
    }

    /// Rejects flags of handlers, and --spec where the command could prompt.
    pub(super) fn reject_unsupported_flags(&self) -> Result<(), ExitError> {
        if self.origin.spec.is_some() && !self.non_interactive {
            let text = "--spec is for commands without prompts";
            return Err(ExitError::new(ErrorCode::NonInteractiveRequired, text)
                .with_fix("add --non-interactive, or pass --wizard in place of --spec"));
        }
        let Some(flag) = self.elsewhere.first() else {
            return Ok(());
        };
        Err(ExitError::new(
            ErrorCode::NotAvailable,
            format!("{flag}: not supported; this version drafts no handlers"),
        )
        .with_fix("omit it: the writer changes the row itself; add handlers to the contract manually"))
    }

    /// Converts the flags to options.
    pub(super) fn choices(&self) -> Result<InitOptions, DraftError> {
        let mut patch = Vec::new();
        for rule in &self.patch {
            patch.extend(read_patch(rule)?);
        }
        for (rules, kind) in [(&self.patch_fixed, "fixed"), (&self.patch_from_arg, "arg")] {
            for rule in rules {
                patch.extend(read_patch(&rule.replacen('=', &format!("={kind}:"), 1))?);
            }
        }
        let (names, variables) = (&self.names, &self.variables);
        Ok(InitOptions {
            engine: Some(self.database.engine.clone()).filter(|engine| engine != "auto"),
            mode: self.mode.as_deref().map(mode),
            schema: self.schema.clone(),
            table: self.table.clone(),
            primary_key: self.primary_key.clone(),
            tenant_column: self.tenant_column.clone(),
            single_tenant_dev: self.single_tenant_dev,
            conflict_column: self.conflict_column.clone(),
            weak_guard: self.weak_guard,
            conflict_advance: self.conflict_advance.as_deref().map(advance),
            visible_columns: self.visible_columns.clone(),
            allowed_columns: self.allowed_columns.clone(),
            patch,
            bounds: read_bounds(&self.patch_bounds.join(","))?,
            states: read_states(&self.status_guards.join(","))?,
            namespace: names.namespace.clone(),
            object_name: names.object_name.clone(),
            lookup_arg: names.id_arg.clone(),
            read_tool: names.read_tool.clone(),
            proposal_tool: names.proposal_tool.clone(),
            read_description: names.read_description.clone(),
            read_returns_hint: names.read_returns_hint.clone(),
            proposal_description: names.proposal_description.clone(),
            proposal_returns_hint: names.proposal_returns_hint.clone(),
            result_format: names
                .result_format
                .as_deref()
                .map(|word| if word.ends_with('1') { 1 } else { 2 }),
            source_name: names.source_name.clone(),
            read_url_env: variables
                .read_url_env
                .clone()
                .or_else(|| self.database.from_env.clone()),
            inspected_env: self
                .origin
                .inspection_json
                .is_none()
                .then(|| self.database.variable().to_owned()),
            ssl_ca_env: self.database.ssl_ca_env.clone(),
            write_url_env: variables.write_url_env.clone(),
            tenant_env: variables.tenant_env.clone(),
            principal_env: variables.principal_env.clone(),
            approval_role: names.approval_role.clone(),
            object_id: names.object_id.clone(),
            ..InitOptions::default()
        })
    }
}

fn reject_unused(flags: &[(&str, bool)]) -> Result<(), ExitError> {
    let Some((flag, _)) = flags.iter().find(|(_, is_given)| *is_given) else {
        return Ok(());
    };
    let text = format!("--add does not use {flag}: the contract has it already, or needs none");
    Err(ExitError::new(ErrorCode::OptionUnused, text).with_fix(format!("remove {flag}")))
}

/// The command line accepts exactly these values.
fn mode(word: &str) -> Mode {
    match word {
        "read_only" => Mode::ReadOnly,
        "review" => Mode::Review,
        "cloud" => Mode::Cloud,
        _ => Mode::Shadow,
    }
}

fn advance(word: &str) -> VersionAdvance {
    match word {
        "increment" => VersionAdvance::Increment,
        "now" => VersionAdvance::Now,
        _ => VersionAdvance::None,
    }
}
