//! `mcp config`, `mcp client-config` and `mcp configure`: print the configuration with which a client reaches
//! this server, and edit the client's file on request. No snippet holds a secret or a tenant. Starts nothing.

mod client;
mod file;
mod generated;
mod install;
mod instructions;
mod openai_agents;
mod report;
mod server;
mod snippet;
mod warnings;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::ValueEnum as _;
use synapsor_chassis::http_flags::{AuthTokenFlags, PORT_DEFAULT};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::is_identifier;
use synapsor_domain::tool::{AliasMode, Catalog, SERVER_NAME_DEFAULT, SchemaProfile};

pub(super) use generated::{SNIPPET_FILES, stdio_snippets};
pub(super) use install::diff as difference;

use super::mcp_options::{ToolOptions, TransportArg};
use crate::contract_file::{self, LoadedContract};
use crate::supervisor::ToolListOptions;
use crate::{Context, output};
use client::Client;
use install::InstallOptions;
use server::McpServerEntry;
use snippet::Snippet;

const NAME_CHARS_MAX: usize = 64;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  synapsor-runner mcp config claude-desktop --env-file ~/.config/app.env\n  \
    synapsor-runner mcp config vscode --transport streamable-http --write --dry-run\n  \
    synapsor-runner mcp config codex --status\n  \
    synapsor-runner mcp config cursor --uninstall --yes\n\n\
    The snippet goes to stdout; notes, such as the server command, go to stderr.\n\
    Exit codes: 0 ok, 1 not installed, another entry, or the file cannot be changed, 2 usage"
)]
pub(crate) struct Args {
    /// Client [default: claude-desktop]
    #[arg(value_enum, value_name = "CLIENT")]
    client: Option<Client>,
    /// Same as the CLIENT argument
    #[arg(
        long = "client",
        value_enum,
        value_name = "CLIENT",
        conflicts_with = "client",
        hide_possible_values = true
    )]
    client_option: Option<Client>,
    /// Transport of the client [default: stdio; HTTP for generic-http and openai-agents]
    #[arg(long, value_enum)]
    transport: Option<TransportArg>,
    /// Address of the HTTP server
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port of the HTTP server
    #[arg(long, default_value_t = PORT_DEFAULT)]
    port: u16,
    #[command(flatten)]
    token: AuthTokenFlags,
    /// URL of a remote server, https://NAME/mcp
    #[arg(long, value_name = "URL", conflicts_with_all = ["host", "port"])]
    url: Option<String>,
    #[command(flatten)]
    tools: ToolOptions,
    /// Server name in the client
    #[arg(long, value_name = "NAME", default_value = SERVER_NAME_DEFAULT)]
    name: String,
    /// Print instructions for the agent as well
    #[arg(long)]
    include_instructions: bool,
    /// Use absolute paths, for clients that start servers in another directory
    #[arg(long)]
    absolute_paths: bool,
    #[command(flatten)]
    install: InstallOptions,
}

/// Values of a client configuration.
#[derive(Debug)]
struct Setup {
    client: Client,
    transport: TransportArg,
    server: McpServerEntry,
    snippet: Snippet,
    mode: AliasMode,
    profile: SchemaProfile,
    /// `None` if it is not on this machine; valid only for a remote server.
    contract: Option<LoadedContract>,
}

impl Args {
    fn client(&self) -> Client {
        self.client
            .or(self.client_option)
            .unwrap_or(Client::ClaudeDesktop)
    }

    /// Form of the tools for this client: the names and schemas that it takes, unless the command line chooses.
    fn shown(&self) -> ToolListOptions {
        let usual = if self.client().refuses_dots() {
            AliasMode::OpenAi
        } else {
            AliasMode::Canonical
        };
        ToolListOptions {
            names: self.tools.names.asked().unwrap_or(usual),
            format: self.tools.result_format,
            profile: self
                .tools
                .names
                .asked_profile()
                .unwrap_or(self.client().schema_profile()),
        }
    }

    fn setup(&self, context: &Context) -> Result<Setup, ExitError> {
        self.check_names()?;
        let asked = self.client();
        let client = match (asked, self.transport) {
            (Client::Generic, Some(TransportArg::StreamableHttp)) => Client::GenericHttp,
            (other, _) => other,
        };
        let transport = client.transport(self.transport)?;
        let contract = if self.url.is_some() && !contract_file::path(&context.global).exists() {
            None
        } else {
            Some(contract_file::load(&context.global)?)
        };
        let server = McpServerEntry::of(self, client, transport, context)?;
        Ok(Setup {
            client,
            transport,
            snippet: Snippet::of(client, &self.name, &server.way),
            server,
            mode: self.shown().names,
            profile: self.shown().profile,
            contract,
        })
    }

    /// Validates names that go into files, code and shells. The error does not repeat a token that was passed
    /// as a name.
    fn check_names(&self) -> Result<(), ExitError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let starts_well = self.name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts_well || self.name.len() > NAME_CHARS_MAX || !self.name.chars().all(is_name) {
            return Err(ExitError::new(ErrorCode::ClientNameInvalid, "invalid --name")
                .with_fix("use a letter, then letters, digits, - and _; at most 64"));
        }
        if !is_identifier(&self.token.auth_token_env) {
            return Err(ExitError::new(
                ErrorCode::TokenEnvInvalid,
                "invalid --auth-token-env: not an environment variable name",
            )
            .with_fix("pass the variable's name, not the token"));
        }
        Ok(())
    }
}

impl Setup {
    fn catalog(&self, read_only: bool) -> Option<Catalog> {
        let loaded = self.contract.as_ref()?;
        Some(Catalog::from_contract(&loaded.contract, read_only))
    }
}

/// Returns the default configuration files of the known clients, whether they exist or not.
pub(super) fn known_files(context: &Context) -> Result<Vec<PathBuf>, ExitError> {
    let mut files = Vec::new();
    for client in Client::value_variants() {
        files.extend(client.destination(&context.env)?);
    }
    Ok(files)
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, ExitError> {
    let setup = args.setup(context)?;
    if let Some(exit) = install::run(args, &setup, context)? {
        return Ok(exit);
    }
    if context.global.json {
        output::json(&report::json(args, &setup, context)?)?;
    } else {
        output::text(&report::text(args, &setup)?)?;
        report::notes(args, &setup, context)?;
    }
    Ok(Exit::Ok)
}
