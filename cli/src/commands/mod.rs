//! The commands, one file each. The order here is the order in the help.

mod apply;
mod bundle;
mod certs;
mod client_config;
mod completions;
mod config;
mod confirm;
mod demo;
mod events;
mod evidence;
mod init;
mod inspect;
mod keys;
mod ledger;
mod mcp;
mod operator;
mod proposals;
mod propose;
mod receipts;
mod replay;
mod smoke;
mod store;
mod tool_names;
mod tools;
mod up;
mod writeback;

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole loop on an embedded database and show it
    Demo(demo::Args),
    /// Start ledger, reader and writer here and print a checklist
    Up(up::Args),
    /// Show what is in a database, to write a contract for it
    #[command(
        after_help = "Example: synapsor-runner inspect --from-env SYNAPSOR_DATABASE_READ_URL --schema public\n\
        Exit codes: 0 ok, 1 refused by the database, 2 usage or variable missing, 6 unreachable"
    )]
    Inspect(inspect::Args),
    /// Write a first contract for one table, from its catalogue
    #[command(
        after_help = "Examples:\n  synapsor-runner init --from-env SYNAPSOR_DATABASE_READ_URL --table shop.orders \\\n    \
        --mode review --patch status=arg:status --status-guards 'status=open:packed|canceled' --non-interactive\n  \
        synapsor-runner init --answers answers.json --dry-run\n\n\
        Exit codes: 0 written, 1 a file exists or the database refuses, 2 usage, 6 unreachable"
    )]
    Init(Box<init::Args>),
    /// Serve the tools to an MCP client
    #[command(subcommand)]
    Mcp(mcp::Command),
    /// Check the contract
    #[command(subcommand)]
    Config(config::Command),
    /// Show what a model would be offered
    #[command(subcommand)]
    Tools(tools::Command),
    /// Call a tool like an MCP client
    #[command(subcommand)]
    Smoke(smoke::Command),
    /// Call a tool that makes a proposal, like an MCP client
    Propose(propose::Args),
    /// Review proposals and decide on them
    #[command(subcommand)]
    Proposals(proposals::Command),
    /// Have an approved proposal applied
    Apply(apply::Args),
    /// Tell what happened to a proposal
    #[command(subcommand)]
    Replay(replay::Command),
    /// How proposals ended
    #[command(subcommand)]
    Receipts(receipts::Command),
    /// What reads saw
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// The log as it grows
    #[command(subcommand)]
    Events(events::Command),
    /// Check the log and prove what is in it
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Check an exported story offline
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Keys of people, and who of them is trusted
    #[command(subcommand)]
    Operator(operator::Command),
    /// Keys of services and people, and their retirement
    #[command(subcommand)]
    Keys(keys::Command),
    /// Statements for the database's owner; stop and resume a writer
    #[command(subcommand)]
    Writeback(writeback::Command),
    /// The ledger's store
    #[command(subcommand)]
    Store(store::Command),
    /// Certificates from the development authority
    #[command(subcommand)]
    Certs(certs::Command),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

impl Command {
    /// Whether the variables of `--env-file` are for this command, and not for one that it tells of.
    pub(crate) fn reads_env_file(&self) -> bool {
        !matches!(self, Self::Mcp(mcp::Command::Config(_)))
    }
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Demo(args) => demo::run(args, context).await,
        Command::Up(args) => Box::pin(up::run(args, context)).await,
        Command::Inspect(args) => inspect::run(args, context).await,
        Command::Init(args) => init::run(*args, context).await,
        Command::Mcp(command) => Box::pin(mcp::run(command, context)).await,
        Command::Config(command) => config::run(&command, context),
        Command::Tools(command) => tools::run(&command, context),
        Command::Smoke(command) => smoke::run(command, context).await,
        Command::Propose(args) => propose::run(args, context).await,
        Command::Proposals(command) => proposals::run(command, context).await,
        Command::Apply(args) => apply::run(args, context).await,
        Command::Replay(command) => replay::run(command, context).await,
        Command::Receipts(command) => receipts::run(command, context).await,
        Command::Evidence(command) => evidence::run(command, context).await,
        Command::Events(command) => events::run(command, context).await,
        Command::Ledger(command) => ledger::run(command, context).await,
        Command::Bundle(command) => bundle::run(command, context),
        Command::Operator(command) => operator::run(command, context),
        Command::Keys(command) => keys::run(command, context).await,
        Command::Writeback(command) => writeback::run(command, context).await,
        Command::Store(command) => store::run(&command, context),
        Command::Certs(command) => certs::run(&command, context),
        Command::Completions(args) => completions::run(&args),
    }
}
