//! `mcp serve`: the command that an MCP client launches. Supervises one reader and one gateway; over stdio the
//! gateway inherits this process's stdin and stdout, and nothing else writes there.

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::tool::AliasMode;

use super::mcp_options::{HttpOptions, ToolOptions, TransportArg};
use super::tool_names::note_refused_names;
use super::{audit, client_config, smoke};
use crate::contract_file::{self, LoadedContract};
use crate::state::{self, StateDir};
use crate::supervisor::{
    ExecutorLaunch, GatewayProtocol, LedgerMonitor, RestartingChild, Supervisor, Upstream,
};
use crate::{Context, output, supervisor};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve over stdio (launched by an MCP client) or over HTTP
    #[command(after_help = "Example, in an MCP client's settings: \
        {\"command\": \"synapsor-runner\", \"args\": [\"mcp\", \"serve\", \"--config\", \"/path/synapsor.runner.json\"]}\n\
        Exit codes: 0 ended, 1 failure, 2 usage or a missing variable, 6 unreachable")]
    Serve(Serve),
    /// Serve over HTTP at http://127.0.0.1:8766/mcp
    #[command(after_help = "Example: SYNAPSOR_RUNNER_HTTP_TOKEN=$(openssl rand -hex 32) \
        synapsor-runner mcp serve-streamable-http\n\
        Exit codes: 0 ended, 1 failure, 2 usage or a missing variable, 6 unreachable")]
    ServeStreamableHttp(ServeHttp),
    /// Legacy: plain JSON-RPC at http://127.0.0.1:8765/mcp, as in 0.1.x; for MCP clients use
    /// serve-streamable-http
    #[command(after_help = "Example: SYNAPSOR_RUNNER_HTTP_TOKEN=$(openssl rand -hex 32) \
        synapsor-runner mcp serve-http\n\
        Exit codes: 0 ended, 1 failure, 2 usage or a missing variable, 6 unreachable")]
    ServeHttp(ServeHttp),
    /// Print the client configuration for this server, or write it to the client's file
    #[command(visible_aliases = ["client-config", "configure"])]
    Config(Box<client_config::Args>),
    /// Find risks in the tool list of any MCP server; the same as `audit`
    #[command(after_help = super::AUDIT_EXAMPLES)]
    Audit(Box<audit::AuditArgs>),
    /// Check that the tools of the contract keep to their boundary; the same as `smoke boundary`
    #[command(after_help = super::smoke::BOUNDARY_EXAMPLE)]
    Smoke,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Transport of the client
    #[arg(long, value_enum, default_value = "stdio")]
    transport: TransportArg,
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

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Serve(Serve {
            transport: TransportArg::Stdio,
            tools,
            ..
        }) => serve_stdio(&tools, context).await,
        Command::Serve(Serve {
            transport: TransportArg::StreamableHttp,
            tools,
            http,
        })
        | Command::ServeStreamableHttp(ServeHttp { tools, http }) => {
            serve_http(GatewayProtocol::Streamable, &tools, &http, context).await
        }
        Command::ServeHttp(ServeHttp { tools, http }) => {
            if tools.names.mode() != AliasMode::Canonical {
                let text = "the legacy bridge lists tools by their canonical names only";
                return Err(ExitError::new(ErrorCode::AliasModeUnsupported, text)
                    .with_fix("remove the flag, or serve with `mcp serve-streamable-http`"));
            }
            output::note(
                "serve-http is the legacy bridge of 0.1.x; for MCP clients use serve-streamable-http",
            );
            serve_http(GatewayProtocol::Bridge, &tools, &http, context).await
        }
        Command::Config(args) => client_config::run(&args, context),
        Command::Audit(args) => audit::run(&args, context).await,
        Command::Smoke => smoke::boundary(context),
    }
}

fn prepare(context: &Context, contract: &LoadedContract) -> Result<StateDir, ExitError> {
    contract.note_warnings();
    supervisor::check_reader(context, contract)?;
    state::find_or_create(context)
}

async fn serve_stdio(tools: &ToolOptions, context: &Context) -> Result<Exit, ExitError> {
    let contract = contract_file::load_runnable(&context.global)?;
    if contract.contract.tokens().is_some() {
        return Err(contract_file::needs_http().with_fix(
            "serve it with `mcp serve-streamable-http`, or set the context's provider to `environment`",
        ));
    }
    let state = prepare(context, &contract)?;
    let supervisor = Supervisor::new(context, &state, &contract)?;
    let ledger = supervisor.ledger().await?;
    let mut reader =
        RestartingChild::executor(&supervisor, ExecutorLaunch::reader(&ledger, tools.read_only)).await?;
    let upstream = Upstream::new(reader.child(), &ledger)?;
    output::note(format!(
        "logs of ledger and reader in {}",
        state.logs_dir().display()
    ));
    let mut gateway = supervisor.stdio_gateway(upstream, tools.shown(), true)?;
    let monitor = LedgerMonitor::new(&supervisor, &ledger)?;
    let ended = tokio::select! {
        status = gateway.handle.wait() => exit_of(status),
        failure = reader.run_until_fatal() => Err(failure),
        failure = monitor.keep() => Err(failure),
        () = context.stop.cancelled() => Ok(Exit::Ok),
    };
    gateway.end().await;
    reader.stop().await;
    ended
}

/// The gateway has already printed its error on stderr.
fn exit_of(status: std::io::Result<std::process::ExitStatus>) -> Result<Exit, ExitError> {
    match status {
        Ok(status) if status.success() => Ok(Exit::Ok),
        Ok(status) => Ok(status.code().and_then(Exit::from_number).unwrap_or(Exit::Failure)),
        Err(error) => Err(ExitError::new(
            ErrorCode::ChildLost,
            format!("cannot wait for the gateway: {}", error.kind()),
        )),
    }
}

async fn serve_http(
    wire: GatewayProtocol,
    tools: &ToolOptions,
    options: &HttpOptions,
    context: &Context,
) -> Result<Exit, ExitError> {
    let contract = contract_file::load_runnable(&context.global)?;
    let http = options.resolve(wire, context, &contract.contract, tools.shown())?;
    let state = prepare(context, &contract)?;
    let supervisor = Supervisor::new(context, &state, &contract)?;
    let ledger = supervisor.ledger().await?;
    let mut reader =
        RestartingChild::executor(&supervisor, ExecutorLaunch::reader(&ledger, tools.read_only)).await?;
    let upstream = Upstream::new(reader.child(), &ledger)?;
    let mut gateway = match RestartingChild::gateway(&supervisor, upstream, &http).await {
        Ok(gateway) => gateway,
        Err(failure) => {
            reader.stop().await;
            return Err(failure);
        }
    };
    output::note(format!(
        "serving {}://{}/mcp",
        http.scheme(),
        gateway.child().address()?
    ));
    output::note(http.who_may_call());
    if wire == GatewayProtocol::Streamable {
        note_refused_names(http.shown.names);
    }
    if let Some(posture) = gateway.child().posture() {
        output::note(format!("the gateway is {posture}"));
    }
    output::note(format!(
        "contract {}, state {}, logs {}",
        contract.path.display(),
        state.dir().display(),
        state.logs_dir().display()
    ));
    let monitor = LedgerMonitor::new(&supervisor, &ledger)?;
    let ended = tokio::select! {
        failure = gateway.run_until_fatal() => Err(failure),
        failure = reader.run_until_fatal() => Err(failure),
        failure = monitor.keep() => Err(failure),
        () = context.stop.cancelled() => Ok(Exit::Ok),
    };
    gateway.stop().await;
    reader.stop().await;
    ended
}
