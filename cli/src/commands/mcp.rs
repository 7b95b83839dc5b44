//! `mcp serve`: what an MCP client launches. A supervisor of one reader and one gateway; over stdio the gateway has
//! this process's own stdin and stdout, and nothing else is ever written there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::{Subcommand, ValueEnum};
use synapsor_chassis::run::{EXIT_OK, Exit, Failure};

use super::client_config;
use super::tool_names::NameOptions;
use crate::contract_file::{self, LoadedContract};
use crate::state::{self, StateFolder};
use crate::supervisor::{Executor, Http, Keeper, Kept, Shown, Supervisor};
use crate::{Context, output, supervisor};

pub(super) const PORT_DEFAULT: u16 = 8766;
pub(super) const TOKEN_ENV_DEFAULT: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve over stdio (what an MCP client launches) or over HTTP
    #[command(after_help = "Example, in an MCP client's settings: \
        {\"command\": \"synapsor-runner\", \"args\": [\"mcp\", \"serve\", \"--config\", \"/path/synapsor.runner.json\"]}\n\
        Exit codes: 0 ended, 1 failure, 2 usage or a missing variable, 6 unreachable")]
    Serve(Serve),
    /// Serve over HTTP at http://127.0.0.1:8766/mcp
    #[command(after_help = "Example: SYNAPSOR_RUNNER_HTTP_TOKEN=$(openssl rand -hex 32) \
        synapsor-runner mcp serve-streamable-http\n\
        Exit codes: 0 ended, 1 failure, 2 usage or a missing variable, 6 unreachable")]
    ServeStreamableHttp(ServeHttp),
    /// Print what a client needs to reach this server, or put it into the client's file
    #[command(visible_aliases = ["client-config", "configure"])]
    Config(Box<client_config::Args>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Lines on stdin and stdout
    Stdio,
    /// HTTP at /mcp
    #[value(alias = "http")]
    StreamableHttp,
}

impl Transport {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable-http",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// How the client connects
    #[arg(long, value_enum, default_value = "stdio")]
    transport: Transport,
    #[command(flatten)]
    tools: ToolOptions,
    #[command(flatten)]
    http: HttpOptions,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeHttp {
    #[command(flatten)]
    tools: ToolOptions,
    #[command(flatten)]
    http: HttpOptions,
}

/// What is offered, and in which form results come.
#[derive(Debug, clap::Args)]
pub(crate) struct ToolOptions {
    /// Offer no tools that make proposals
    #[arg(long)]
    pub(super) read_only: bool,
    /// Envelope 1 or 2 [default: as the contract says]
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(super) result_format: Option<u8>,
    #[command(flatten)]
    pub(super) names: NameOptions,
}

impl ToolOptions {
    fn shown(&self) -> Shown {
        Shown {
            format: self.result_format,
            names: self.names.mode(),
        }
    }
}

/// Where HTTP is served, and who may call.
#[derive(Debug, clap::Args)]
pub(crate) struct HttpOptions {
    /// The address; loopback only
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(super) host: IpAddr,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = PORT_DEFAULT)]
    pub(super) port: u16,
    /// The variable with the bearer token; NAME_FILE names a file instead
    #[arg(long, value_name = "NAME", default_value = TOKEN_ENV_DEFAULT)]
    pub(super) auth_token_env: String,
    /// Serve without a token; for development on loopback
    #[arg(long)]
    pub(super) dev_no_auth: bool,
}

impl HttpOptions {
    /// How the gateway serves HTTP; refused before anything is started when it cannot.
    pub(super) fn resolve(&self, context: &Context, shown: Shown) -> Result<Http, Failure> {
        let listen = SocketAddr::new(self.host, self.port);
        if !self.host.is_loopback() {
            let text = format!("{listen} is not a loopback address, and this build serves no TLS");
            return Err(Failure::usage("HTTP_TLS_REQUIRED", text)
                .with_fix("listen on 127.0.0.1 and put a TLS proxy or an SSH tunnel in front of it"));
        }
        if self.dev_no_auth {
            return Ok(Http {
                listen,
                token_env: None,
                shown,
            });
        }
        let name = &self.auth_token_env;
        let is_set = context.env.get(name)?.is_some() || context.env.get(&format!("{name}_FILE"))?.is_some();
        if !is_set {
            let text = format!("HTTP needs a bearer token, and {name} is not set");
            return Err(Failure::usage("HTTP_AUTH_TOKEN_MISSING", text).with_fix(format!(
                "set {name} to a long random text, or {name}_FILE to the path of a 0600 file"
            )));
        }
        Ok(Http {
            listen,
            token_env: Some(name.clone()),
            shown,
        })
    }
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Serve(Serve {
            transport: Transport::Stdio,
            tools,
            ..
        }) => serve_stdio(&tools, context).await,
        Command::Serve(Serve {
            transport: Transport::StreamableHttp,
            tools,
            http,
        })
        | Command::ServeStreamableHttp(ServeHttp { tools, http }) => serve_http(&tools, &http, context).await,
        Command::Config(args) => client_config::run(&args, context),
    }
}

fn prepare(context: &Context) -> Result<(LoadedContract, StateFolder), Failure> {
    let contract = contract_file::load_runnable(&context.global)?;
    supervisor::check_reader(context, &contract)?;
    let state = state::find_or_create(context)?;
    Ok((contract, state))
}

async fn serve_stdio(tools: &ToolOptions, context: &Context) -> Result<Exit, Failure> {
    let (contract, state) = prepare(context)?;
    let supervisor = Supervisor::new(context, &state, &contract)?;
    let ledger = supervisor.ledger().await?;
    let mut reader = Kept::executor(&supervisor, Executor::reader(&ledger, tools.read_only)).await?;
    let mut gateway = supervisor.stdio_gateway(reader.child(), tools.shown(), true)?;
    let keeper = Keeper::new(&supervisor, &ledger)?;
    let ended = tokio::select! {
        status = gateway.handle.wait() => exit_of(status),
        failure = reader.keep() => Err(failure),
        () = keeper.keep() => Ok(Exit(EXIT_OK)),
        () = context.stop.cancelled() => Ok(Exit(EXIT_OK)),
    };
    gateway.end().await;
    reader.stop().await;
    ended
}

/// The gateway has already said on stderr what went wrong.
fn exit_of(status: std::io::Result<std::process::ExitStatus>) -> Result<Exit, Failure> {
    match status {
        Ok(status) if status.success() => Ok(Exit(EXIT_OK)),
        Ok(status) => Ok(Exit(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1),
        )),
        Err(error) => Err(Failure::new(
            "CHILD_LOST",
            format!("the gateway is lost: {}", error.kind()),
        )),
    }
}

async fn serve_http(tools: &ToolOptions, options: &HttpOptions, context: &Context) -> Result<Exit, Failure> {
    let http = options.resolve(context, tools.shown())?;
    let (contract, state) = prepare(context)?;
    let supervisor = Supervisor::new(context, &state, &contract)?;
    let ledger = supervisor.ledger().await?;
    let mut reader = Kept::executor(&supervisor, Executor::reader(&ledger, tools.read_only)).await?;
    let mut gateway = match Kept::gateway(&supervisor, reader.child(), &http).await {
        Ok(gateway) => gateway,
        Err(failure) => {
            reader.stop().await;
            return Err(failure);
        }
    };
    output::note(format!("serving http://{}/mcp", gateway.child().address()?));
    output::note(match &http.token_env {
        Some(name) => format!("clients send the token of {name} as a bearer token"),
        None => "anybody on this machine may call: no token".to_owned(),
    });
    output::note(format!(
        "contract {}, state {}",
        contract.path.display(),
        state.dir().display()
    ));
    let keeper = Keeper::new(&supervisor, &ledger)?;
    let ended = tokio::select! {
        failure = gateway.keep() => Err(failure),
        failure = reader.keep() => Err(failure),
        () = keeper.keep() => Ok(Exit(EXIT_OK)),
        () = context.stop.cancelled() => Ok(Exit(EXIT_OK)),
    };
    gateway.stop().await;
    reader.stop().await;
    ended
}
