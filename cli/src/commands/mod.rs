//! Commands, one file each, in the order of the help.

mod activity;
mod apply;
mod audit;
mod benchmark;
mod bundle;
mod certs;
mod client_config;
mod completions;
mod config;
mod confirm;
mod demo;
mod doctor;
mod event_push;
mod events;
mod evidence;
mod init;
mod inspect;
mod job_file;
mod keys;
mod ledger;
mod list_range;
mod man;
mod mcp;
mod mcp_options;
mod object_filter;
mod onboard;
mod operator;
mod proposals;
mod propose;
mod query_audit;
mod receipts;
mod recipes;
mod refusal_fix;
mod replay;
mod replay_record;
mod shadow;
mod smoke;
mod store;
mod tool_names;
mod tools;
mod up;
mod validate;
mod webhooks;
mod writeback;

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;

/// Examples of `audit` and `mcp audit`.
pub(super) const AUDIT_EXAMPLES: &str = "Examples:\n  synapsor-runner audit synapsor.runner.json\n  \
    synapsor-runner audit --url http://127.0.0.1:8766/mcp --fail-on high\n  \
    synapsor-runner audit --example dangerous-db-mcp --format markdown\n\n\
    Exit codes: 0 ok, 2 usage or not a target, 4 --fail-on is reached, 6 server unreachable";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole loop on an embedded database
    Demo(demo::Args),
    /// Start ledger, reader and writer and print a checklist
    Up(up::Args),
    /// Print a database schema for writing a contract
    #[command(
        after_help = "Example: synapsor-runner inspect --from-env SYNAPSOR_DATABASE_READ_URL --schema public\n\
        Exit codes: 0 ok, 1 rejected by the database, 2 usage or variable missing, 6 unreachable"
    )]
    Inspect(inspect::Args),
    /// Write a first contract for one table from its schema
    #[command(
        after_help = "Examples:\n  synapsor-runner init --from-env SYNAPSOR_DATABASE_READ_URL --table shop.orders \\\n    \
        --mode review --patch status=arg:status --status-guards 'status=open:packed|canceled' --non-interactive\n  \
        synapsor-runner init --answers answers.json --dry-run\n  \
        synapsor-runner init --spec selection.json --non-interactive\n  \
        synapsor-runner init --add --from-env SYNAPSOR_DATABASE_READ_URL --table shop.customers --patch note=arg:note\n\n\
        Exit codes: 0 written, 1 a file exists, nothing was confirmed or the database rejects the call, 2 usage,\n\
        6 unreachable"
    )]
    Init(Box<init::Args>),
    /// Draft a contract and check it in one go
    #[command(subcommand)]
    Onboard(onboard::Command),
    /// Same as `onboard db`, with --from-env, --schema, --mode or --engine
    #[command(after_help = onboard::EXAMPLES)]
    Start(Box<init::Args>),
    /// List, show and use contract patterns for common changes
    #[command(subcommand)]
    Recipes(recipes::Command),
    /// Serve the tools to an MCP client
    #[command(subcommand)]
    Mcp(mcp::Command),
    /// Validate, show, compare and migrate the contract
    #[command(subcommand)]
    Config(config::Command),
    /// Check the whole setup and print the fix of each finding
    #[command(
        after_help = "Examples:\n  synapsor-runner doctor\n  synapsor-runner doctor --check-db --json\n  \
        synapsor-runner doctor --report --output doctor.md\n\n\
        Without --check-db no database is opened. Changes nothing; what it tries in a database is rolled back.\n\
        Exit codes: 0 ok or warnings only, 1 a check failed, 2 usage, 6 a named service is unreachable"
    )]
    Doctor(doctor::DoctorArgs),
    /// List the tools exposed to MCP clients
    #[command(subcommand)]
    Tools(tools::Command),
    /// Call a tool as an MCP client does
    #[command(subcommand)]
    Smoke(smoke::Command),
    /// Call a proposal tool as an MCP client does
    Propose(propose::Args),
    /// Review, approve and reject proposals
    #[command(subcommand)]
    Proposals(proposals::Command),
    /// Apply an approved proposal
    Apply(apply::Args),
    /// Check a writeback job file
    Validate(validate::ValidateArgs),
    /// Show or export the recorded history of a proposal
    #[command(subcommand)]
    Replay(replay::Command),
    /// List and show receipts
    #[command(subcommand)]
    Receipts(receipts::Command),
    /// List and show evidence records
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// List and show audit records of calls
    #[command(subcommand)]
    QueryAudit(query_audit::Command),
    /// Search proposals, evidence, audit records and receipts at once
    #[command(subcommand)]
    Activity(activity::Command),
    /// Stream ledger events, or send them to a receiver
    #[command(subcommand)]
    Events(events::Command),
    /// List, test and redeliver the ledger's webhooks
    #[command(subcommand)]
    Webhooks(webhooks::Command),
    /// Compare shadow proposals with what people did
    #[command(subcommand)]
    Shadow(shadow::Command),
    /// Verify the ledger and export proofs
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Verify an exported bundle offline
    #[command(subcommand)]
    Bundle(bundle::Command),
    /// Manage operator keys and the trust file
    #[command(subcommand)]
    Operator(operator::Command),
    /// List and retire keys of services and operators
    #[command(subcommand)]
    Keys(keys::Command),
    /// Database setup SQL, preflight checks, freeze and unfreeze
    #[command(subcommand)]
    Writeback(writeback::Command),
    /// Measure, back up, restore and reset the ledger store
    #[command(subcommand)]
    Store(store::Command),
    /// Issue and list certificates of the development CA
    #[command(subcommand)]
    Certs(certs::Command),
    /// Find risks in the tool list of any MCP server
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit(Box<audit::AuditArgs>),
    /// Measure a fixed example
    #[command(subcommand)]
    Benchmark(benchmark::Command),
    /// Print a shell completion script
    Completions(completions::Args),
    /// Print or write manual pages
    Man(man::ManArgs),
}

impl Command {
    /// Whether this command reads the variables of `--env-file` itself, rather than writing the path into its
    /// output.
    pub(crate) fn reads_env_file(&self) -> bool {
        !matches!(self, Self::Mcp(mcp::Command::Config(_)))
    }

    /// Whether this command runs until it is stopped.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Mcp(_))
    }
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Demo(args) => demo::run(args, context).await,
        Command::Up(args) => Box::pin(up::run(args, context)).await,
        Command::Inspect(args) => inspect::run(args, context).await,
        Command::Init(args) => init::run(*args, context).await,
        Command::Onboard(command) => Box::pin(onboard::run(command, context)).await,
        Command::Start(args) => Box::pin(onboard::start(&args, context)).await,
        Command::Recipes(command) => recipes::run(&command, context),
        Command::Mcp(command) => Box::pin(mcp::run(command, context)).await,
        Command::Config(command) => config::run(&command, context),
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Tools(command) => tools::run(&command, context),
        Command::Smoke(command) => smoke::run(command, context).await,
        Command::Propose(args) => propose::run(args, context).await,
        Command::Proposals(command) => proposals::run(command, context).await,
        Command::Apply(args) => apply::run(args, context).await,
        Command::Validate(args) => validate::run(&args, context),
        Command::Replay(command) => replay::run(command, context).await,
        Command::Receipts(command) => receipts::run(command, context).await,
        Command::Evidence(command) => evidence::run(command, context).await,
        Command::QueryAudit(command) => query_audit::run(command, context).await,
        Command::Activity(command) => activity::run(command, context).await,
        Command::Events(command) => events::run(command, context).await,
        Command::Webhooks(command) => webhooks::run(command, context).await,
        Command::Shadow(command) => shadow::run(command, context).await,
        Command::Ledger(command) => ledger::run(command, context).await,
        Command::Bundle(command) => bundle::run(command, context),
        Command::Operator(command) => operator::run(command, context),
        Command::Keys(command) => keys::run(command, context).await,
        Command::Writeback(command) => writeback::run(command, context).await,
        Command::Store(command) => store::run(&command, context).await,
        Command::Certs(command) => certs::run(&command, context),
        Command::Audit(args) => audit::run(&args, context).await,
        Command::Benchmark(command) => benchmark::run(&command, context),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, context),
    }
}
