//! Flags of `init` about files: where choices come from and what is written; and 0.1.x flags whose features are absent
//! here.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Where the choices come from, besides flags. Flags take precedence.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Choices from a file, a recipe or the wizard")]
pub(super) struct OriginFlags {
    /// Ask for each choice on the terminal; the default on a terminal without --table, --add or a file
    #[arg(long, group = "origin")]
    pub(super) wizard: bool,
    /// Answers file (JSON)
    #[arg(long, value_name = "FILE", group = "origin")]
    pub(super) answers: Option<PathBuf>,
    /// Onboarding selection (JSON), with --non-interactive
    #[arg(long, value_name = "FILE", group = "origin")]
    pub(super) spec: Option<PathBuf>,
    /// Skeleton without a database, to be edited
    #[arg(long, group = "origin")]
    pub(super) starter: bool,
    /// Recipe, by its id or file, mapped onto the table
    #[arg(long, value_name = "ID|FILE")]
    pub(super) recipe: Option<String>,
    /// With --recipe: column of the table for a column of the recipe, as RECIPE_COLUMN=COLUMN
    #[arg(long, value_name = "A=B", value_delimiter = ',', requires = "recipe")]
    pub(super) map: Vec<String>,
    /// Saved output of `inspect --json` instead of the database
    #[arg(long, value_name = "FILE", conflicts_with = "from_env")]
    pub(super) inspection_json: Option<PathBuf>,
}

/// Files to write. Shared by `recipes init`.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Output and prompts")]
pub(crate) struct OutputFlags {
    /// Contract file to write [default: ./synapsor.runner.json]
    #[arg(long, value_name = "FILE", alias = "out")]
    pub(super) output: Option<PathBuf>,
    /// Print the contract without writing files
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Replace existing files
    #[arg(long)]
    pub(super) force: bool,
}

/// Flags of 0.1.x whose features are absent here; parsed so that the error can name them.
#[derive(Debug, ClapArgs)]
pub(super) struct UnsupportedFlags {
    #[arg(long, hide = true, value_name = "HOW")]
    writeback: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    executor_name: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    handler_url_env: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    handler_token_env: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    handler_signing_secret_env: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    handler_command_env: Option<String>,
    #[arg(long, hide = true, value_name = "MS")]
    handler_timeout_ms: Option<String>,
    #[arg(long, hide = true)]
    emit_handler: bool,
    #[arg(long, hide = true)]
    no_emit_handler: bool,
    #[arg(long, hide = true)]
    skip_handler_template: bool,
    #[arg(long, hide = true, value_name = "NAME")]
    handler_template: Option<String>,
    #[arg(long, hide = true, value_name = "PATH", alias = "handler-template-output")]
    handler_output: Option<String>,
}

impl UnsupportedFlags {
    /// Returns the first unsupported flag that is set.
    pub(super) fn first(&self) -> Option<&'static str> {
        let writeback = self
            .writeback
            .as_deref()
            .is_some_and(|how| how != synapsor_domain::contract::DIRECT);
        [
            ("--writeback", writeback),
            ("--executor-name", self.executor_name.is_some()),
            ("--handler-url-env", self.handler_url_env.is_some()),
            ("--handler-token-env", self.handler_token_env.is_some()),
            (
                "--handler-signing-secret-env",
                self.handler_signing_secret_env.is_some(),
            ),
            ("--handler-command-env", self.handler_command_env.is_some()),
            ("--handler-timeout-ms", self.handler_timeout_ms.is_some()),
            ("--emit-handler", self.emit_handler),
            ("--handler-template", self.handler_template.is_some()),
            ("--handler-output", self.handler_output.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, is_given)| is_given.then_some(flag))
    }
}
