//! `up`: starts ledger, reader and writer of this directory as children of one supervisor, after a checklist.

mod checklist;

use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, Mode};

use super::mcp_options::{HttpOptions, TransportArg};
use super::tool_names::{NameOptions, note_refused_names};
use crate::supervisor::{
    Child, ExecutorLaunch, GatewayProtocol, Http, LedgerMonitor, Process, RestartingChild, RunningLedger,
    Supervisor, ToolListOptions, Upstream, requirements,
};
use crate::{Context, contract_file, output, state};
use checklist::Checklist;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: synapsor-runner up --serve\n\
    Exit codes: 0 interrupted or checks passed, 1 failure, 2 usage or a missing variable, 6 unreachable")]
pub(crate) struct Args {
    /// Also serve MCP over HTTP
    #[arg(long)]
    serve: bool,
    /// Transport of --serve: streamable-http
    #[arg(long, value_enum)]
    transport: Option<TransportArg>,
    /// Run the checks only; start and create nothing
    #[arg(long)]
    dry_run: bool,
    /// Expose read tools only
    #[arg(long)]
    read_only: bool,
    /// Result envelope version of the served tools, 1 or 2 [default: the contract's]
    #[arg(long, value_name = "1|2", value_parser = super::mcp_options::result_format)]
    result_format: Option<u8>,
    /// Accepted for 0.1.x; next commands are always printed
    #[arg(long, hide = true)]
    print_next: bool,
    /// Accepted for 0.1.x; servers of one store share its ledger
    #[arg(long, hide = true)]
    allow_concurrent_store: bool,
    #[arg(long, hide = true)]
    open_ui: bool,
    #[arg(long, hide = true)]
    with_handler: bool,
    #[arg(long, hide = true)]
    handler_check: bool,
    #[command(flatten)]
    names: NameOptions,
    #[command(flatten)]
    http: HttpOptions,
}

impl Args {
    fn shown(&self) -> ToolListOptions {
        ToolListOptions {
            format: self.result_format,
            names: self.names.mode(),
            profile: self.names.profile(),
        }
    }

    /// Rejects flags of 0.1.x whose features are absent here.
    fn reject_unsupported_flags(&self) -> Result<(), ExitError> {
        let review = "review with `synapsor-runner proposals list` and `synapsor-runner proposals show`";
        let direct = "let the writer apply proposals: leave `executor` out of the capability";
        let unsupported = [
            ("--open-ui", self.open_ui, review),
            ("--with-handler", self.with_handler, direct),
            ("--handler-check", self.handler_check, direct),
        ];
        match unsupported.into_iter().find(|(_, is_given, _)| *is_given) {
            None => Ok(()),
            Some((flag, _, instead)) => {
                let text = format!("{flag}: not supported by this version");
                Err(ExitError::new(ErrorCode::NotAvailable, text).with_fix(instead))
            }
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, ExitError> {
    args.reject_unsupported_flags()?;
    if args.serve && args.transport == Some(TransportArg::Stdio) {
        return Err(ExitError::new(
            ErrorCode::UpServesHttp,
            "--serve and --transport stdio are mutually exclusive",
        )
        .with_fix("remove one of them; an MCP client launches `synapsor-runner mcp serve` itself"));
    }
    let transport = if args.serve {
        TransportArg::StreamableHttp
    } else {
        TransportArg::Stdio
    };
    let loaded = contract_file::load_runnable(&context.global)?;
    let checklist = Checklist::of(&args.shown(), transport, args.read_only, &loaded, context)?;
    if args.dry_run {
        return dry_run(&checklist, context);
    }
    if let Some(first) = checklist.missing.first() {
        if !context.global.json {
            checklist.show()?;
        }
        let names: Vec<String> = checklist
            .missing
            .iter()
            .map(|m| format!("{} ({})", m.name, m.purpose))
            .collect();
        return Err(
            ExitError::new(ErrorCode::EnvMissing, format!("not set: {}", names.join(", ")))
                .with_fix(format!("export {}={}", first.name, first.example)),
        );
    }
    let http = if args.serve {
        let shown = args.shown();
        Some(
            args.http
                .resolve(GatewayProtocol::Streamable, context, &loaded.contract, shown)?,
        )
    } else {
        None
    };
    let state = state::find_or_create(context)?;
    let supervisor = Supervisor::new(context, &state, &loaded)?;
    let ledger = supervisor.ledger().await?;
    let services = Services::start(&supervisor, &ledger, args.read_only, http.as_ref())
        .await
        .map_err(already_running)?;
    report(&checklist, &ledger, &services, context)?;
    if let Some(http) = &http {
        note_refused_names(http.shown.names);
    }
    let ended = Box::pin(services.run(&supervisor, &ledger)).await;
    // Other clients of the ledger start a new one; without clients it would exit a little later by itself.
    ledger.stop().await;
    ended
}

/// Names what to do here about a writer that uses the same state directory; the writer's own fix is for operators who
/// start it themselves.
fn already_running(failure: ExitError) -> ExitError {
    if failure.code() != ErrorCode::StateDirInUse {
        return failure;
    }
    let text = "another `up` or `mcp serve` runs on this state directory";
    ExitError::new(ErrorCode::StateDirInUse, text)
        .with_fix("use the running one, or stop it with Ctrl-C first; another --store is another deployment")
}

/// Children of `up` apart from the ledger.
struct Services<'a> {
    reader: RestartingChild<'a>,
    writer: Option<RestartingChild<'a>>,
    gateway: Option<RestartingChild<'a>>,
    scheme: &'static str,
}

impl<'a> Services<'a> {
    async fn start(
        supervisor: &'a Supervisor<'a>,
        ledger: &RunningLedger,
        read_only: bool,
        http: Option<&Http>,
    ) -> Result<Self, ExitError> {
        let reader = RestartingChild::executor(supervisor, ExecutorLaunch::reader(ledger, read_only)).await?;
        let writer = if writes(&supervisor.contract.contract) {
            Some(RestartingChild::executor(supervisor, ExecutorLaunch::writer(ledger)).await?)
        } else {
            None
        };
        let gateway = match http {
            Some(http) => Some(
                RestartingChild::gateway(supervisor, Upstream::new(reader.child(), ledger)?, http).await?,
            ),
            None => None,
        };
        Ok(Self {
            reader,
            writer,
            gateway,
            scheme: http.map_or("http", Http::scheme),
        })
    }

    fn children(&self) -> impl Iterator<Item = &Child> {
        let all = std::iter::once(&self.reader)
            .chain(&self.writer)
            .chain(&self.gateway);
        all.map(RestartingChild::child)
    }

    /// Runs until Ctrl-C, or until a child exceeds its restart budget; then drains and ends all children.
    async fn run(mut self, supervisor: &Supervisor<'_>, ledger: &RunningLedger) -> Result<Exit, ExitError> {
        let monitor = LedgerMonitor::new(supervisor, ledger)?;
        let ended = tokio::select! {
            failure = self.reader.run_until_fatal() => Err(failure),
            failure = kept(self.writer.as_mut()) => Err(failure),
            failure = kept(self.gateway.as_mut()) => Err(failure),
            failure = monitor.keep() => Err(failure),
            () = supervisor.context.stop.cancelled() => Ok(Exit::Ok),
        };
        output::note("shutting down: draining in-flight calls");
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        self.reader.stop().await;
        if let Some(writer) = self.writer {
            writer.stop().await;
        }
        ended
    }
}

async fn kept(child: Option<&mut RestartingChild<'_>>) -> ExitError {
    match child {
        Some(child) => child.run_until_fatal().await,
        None => std::future::pending().await,
    }
}

/// Whether the contract has work for a writer.
fn writes(contract: &Contract) -> bool {
    contract.mode() == Mode::Review && !requirements(Process::Writer, contract).is_empty()
}

fn dry_run(checklist: &Checklist, context: &Context) -> Result<Exit, ExitError> {
    if context.global.json {
        let mut value = checklist.json();
        value["dry_run"] = json!(true);
        output::json(&value)?;
    } else {
        checklist.show()?;
        for requirement in &checklist.missing {
            output::line(format!(
                "missing   {} is {}",
                requirement.name, requirement.purpose
            ))?;
            output::line(format!(
                "          export {}={}",
                requirement.name, requirement.example
            ))?;
        }
        let verdict = if checklist.is_ok() { "ready" } else { "not ready" };
        output::line(format!("{verdict}; nothing was started"))?;
    }
    Ok(if checklist.is_ok() {
        Exit::Ok
    } else {
        Exit::Failure
    })
}

fn report(
    checklist: &Checklist,
    ledger: &RunningLedger,
    services: &Services<'_>,
    context: &Context,
) -> Result<(), ExitError> {
    let mut processes = vec![json!({
        "name": "ledger", "pid": ledger.pid, "environment": ledger.environment,
        "address": ledger.address.to_string(),
    })];
    for child in services.children() {
        let address = child.address().map(|address| address.to_string()).ok();
        processes.push(json!({
            "name": child.name(), "pid": child.pid(), "environment": child.environment(), "address": address,
            "posture": child.posture(),
        }));
    }
    if context.global.json {
        let mut value = checklist.json();
        value["dry_run"] = json!(false);
        value["processes"] = Json::Array(processes);
        return output::json(&value);
    }
    checklist.show()?;
    for process in &processes {
        let text = |key: &str| process[key].as_str().unwrap_or("-").to_owned();
        let names: Vec<&str> = process["environment"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        let names = if names.is_empty() {
            "no environment variables".to_owned()
        } else {
            names.join(", ")
        };
        output::line(format!(
            "running   {:8} pid {} at {} ({names})",
            text("name"),
            process["pid"],
            text("address")
        ))?;
    }
    if let Some(gateway) = &services.gateway {
        let address = gateway.child().address()?;
        output::line(format!("MCP       {}://{address}/mcp", services.scheme))?;
        if let Some(posture) = gateway.child().posture() {
            output::line(format!("posture   the gateway is {posture}"))?;
        }
    }
    output::line("posture   dev: operator key and services run as the same OS user")?;
    output::line("next, in another terminal:")?;
    for command in checklist.next() {
        output::line(format!("  {command}"))?;
    }
    output::line("Press Ctrl-C to stop.")
}
