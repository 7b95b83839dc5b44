//! `demo`: runs the whole loop with the real processes on an embedded database, step by step.

mod inspect;
mod operator;
mod printer;
mod workspace;

use std::time::Instant;

use serde_json::{Map, Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;

use super::tools::NEVER_EXPOSED;
use crate::connection::LedgerConnection;
use crate::mcp_client::{McpClient, ToolCallResult, shown};
use crate::operator_key::Signer;
use crate::supervisor::{Child, ExecutorLaunch, RunningLedger, Supervisor, ToolListOptions, Upstream};
use crate::{Context, contract_file, output, state};
use operator::OperatorSteps;
use printer::DemoPrinter;
use workspace::DemoWorkspace;

const READ_TOOL: &str = "billing.inspect_invoice";
const PROPOSE_TOOL: &str = "billing.propose_late_fee_waiver";
const INVOICE: &str = "INV-3001";

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  synapsor-runner demo --guided\n  synapsor-runner demo --json\n  synapsor-runner demo --keep\n\n\
    Exit codes: 0 ok, 1 a step failed, 2 usage"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<DemoCommand>,
    /// Print facts only, without explanations and pauses
    #[arg(long)]
    quick: bool,
    /// Wait for Enter before each step; needs a terminal
    #[arg(long, conflicts_with_all = ["quick", "no_interactive"])]
    guided: bool,
    /// Print the signed document with --quick, too
    #[arg(long)]
    details: bool,
    /// No pauses between the steps
    #[arg(long)]
    no_interactive: bool,
    /// Accepted for 0.1.x, no effect: each run has a new directory
    #[arg(long)]
    force: bool,
    /// Accepted for 0.1.x, no effect: each run has a new directory
    #[arg(long)]
    reset: bool,
    /// Keep the demo directory and print its path
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum DemoCommand {
    /// Print the commands that continue in a kept demo directory
    #[command(
        after_help = "Example: synapsor-runner demo inspect /tmp/synapsor-demo-0123456789ab\n\
        Exit codes: 0 ok, 1 not a demo directory"
    )]
    Inspect(inspect::InspectDemoArgs),
}

/// Processes of the demo.
struct DemoProcesses {
    ledger: RunningLedger,
    reader: Child,
    writer: Child,
    agent: McpClient,
}

/// Facts for `--json`, collected during the demo, and whether every step had the expected result.
struct Facts {
    members: Map<String, Json>,
    is_ok: bool,
}

impl Facts {
    fn insert(&mut self, name: &str, fact: Json) {
        self.members.insert(name.to_owned(), fact);
    }

    /// Adds the result of a step, which has to be `wanted`.
    fn expect<T: PartialEq>(&mut self, name: &str, (found, wanted): (T, T), fact: Json) {
        self.is_ok &= found == wanted;
        self.insert(name, fact);
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, ExitError> {
    if let Some(DemoCommand::Inspect(args)) = &args.command {
        return inspect::run(args, context);
    }
    if args.guided && !output::is_interactive() {
        return Err(output::no_terminal().with_fix("run it in a terminal, or omit --guided"));
    }
    let begin = Instant::now();
    let workspace = DemoWorkspace::build(context, args.keep).await?;
    let printer = DemoPrinter::new(&args, context.global.json);
    let mut facts = run_processes(&workspace, &printer).await?;
    let ok = facts.is_ok;
    facts.insert("ok", json!(ok));
    facts.insert(
        "duration_ms",
        json!(u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)),
    );
    if args.keep {
        facts.insert("dir", json!(workspace.dir().to_string_lossy()));
    }
    if context.global.json {
        output::json(&facts.members)?;
    } else {
        printer.end(ok, begin.elapsed(), args.keep.then(|| workspace.enter()))?;
    }
    Ok(if ok { Exit::Ok } else { Exit::Failure })
}

async fn run_processes(workspace: &DemoWorkspace, printer: &DemoPrinter) -> Result<Facts, ExitError> {
    let context = workspace.context();
    let contract = contract_file::load_runnable(&context.global)?;
    let state = state::find_or_create(context)?;
    let supervisor = Supervisor::new(context, &state, &contract)?;
    let ledger = supervisor.ledger().await?;
    let (reader, writer) = tokio::try_join!(
        supervisor.executor(ExecutorLaunch::reader(&ledger, false)),
        supervisor.executor(ExecutorLaunch::writer(&ledger)),
    )?;
    let agent = McpClient::connect(
        supervisor.stdio_gateway(
            Upstream::new(&reader, &ledger)?,
            ToolListOptions::default(),
            false,
        )?,
        None,
    )
    .await?;
    let processes = DemoProcesses {
        ledger,
        reader,
        writer,
        agent,
    };
    // The processes end before the directory is removed, even after an interrupt.
    let facts = context
        .unless_stopped(Box::pin(run_steps(&processes, context, printer)))
        .await;
    processes.agent.close().await;
    processes.reader.stop().await;
    processes.writer.stop().await;
    processes.ledger.stop().await;
    facts
}

async fn run_steps(
    processes: &DemoProcesses,
    context: &Context,
    printer: &DemoPrinter,
) -> Result<Facts, ExitError> {
    let mut facts = Facts {
        members: Map::new(),
        is_ok: true,
    };
    list_tools(processes, printer).await?;
    let before = read_invoice(processes, printer).await?;
    let (first, second) = propose_twice(processes, printer, &before, &mut facts).await?;

    let mut session = LedgerConnection::open(context).await?;
    let signer = Signer::load(context, session.trust())?;
    let operator = OperatorSteps {
        context,
        signer: &signer,
        printer,
    };
    operator
        .approve_both(&session, [&first, &second], &mut facts)
        .await?;
    operator.apply_and_retry(&mut session, &first, &mut facts).await?;
    operator
        .apply_stale(&mut session, &second, processes, &mut facts)
        .await?;
    operator.replay_and_verify(&session, &first, &mut facts).await?;
    session.close().await;

    show_credentials(processes, printer, &mut facts)?;
    Ok(facts)
}

async fn list_tools(processes: &DemoProcesses, printer: &DemoPrinter) -> Result<(), ExitError> {
    printer.step("The agent connects over MCP and lists its tools")?;
    for tool in processes.agent.tools().await? {
        let summary = tool
            .description
            .as_deref()
            .and_then(|text| text.lines().next())
            .unwrap_or_default();
        printer.fact(&tool.name, summary)?;
    }
    printer.fact("never exposed", &NEVER_EXPOSED.join(", "))?;
    printer.explain("The tools come from a reviewed contract. There is no tool that approves or writes, so no prompt can.")
}

async fn read_invoice(processes: &DemoProcesses, printer: &DemoPrinter) -> Result<ToolCallResult, ExitError> {
    printer.step("The agent reads one invoice")?;
    let answer = answered(processes.agent.call(READ_TOOL, invoice()).await?)?;
    for (column, value) in answer.data().into_iter().flatten() {
        printer.fact(column, &shown(value))?;
    }
    printer.fact("evidence", answer.evidence_id().unwrap_or("-"))?;
    printer.explain("The tenant is the reader's setting, not an argument; other columns and rows of other tenants are not returned.")?;
    Ok(answer)
}

/// Makes two proposals on one row; the second is stale once the first is applied.
async fn propose_twice(
    processes: &DemoProcesses,
    printer: &DemoPrinter,
    before: &ToolCallResult,
    facts: &mut Facts,
) -> Result<(String, String), ExitError> {
    printer.step("The agent proposes to waive the late fee")?;
    let first = answered(
        processes
            .agent
            .call(PROPOSE_TOOL, waiver(0, "first late payment in two years"))
            .await?,
    )?;
    let first_id = id_of(&first)?;
    printer.fact("proposal", &first_id)?;
    for (column, change) in first.diff().into_iter().flatten() {
        let side = |name: &str| change.get(name).map_or_else(|| "?".to_owned(), shown);
        printer.fact(column, &format!("{} -> {}", side("before"), side("proposed")))?;
    }
    let again = answered(processes.agent.call(READ_TOOL, invoice()).await?)?;
    let changed = again.data() != before.data();
    printer.fact(
        "source changed",
        if changed {
            "YES"
        } else {
            "no (read again and compared)"
        },
    )?;
    let second = answered(
        processes
            .agent
            .call(PROPOSE_TOOL, waiver(2500, "half of it, as a courtesy"))
            .await?,
    )?;
    let second_id = id_of(&second)?;
    printer.fact(
        "second proposal",
        &format!("{second_id} on the same invoice, for later"),
    )?;
    printer.explain(
        "The reader read the row, built the change and signed it; the ledger stores it with its evidence.",
    )?;
    facts.insert("proposal_id", json!(first_id));
    facts.insert("evidence_id", json!(first.evidence_id()));
    facts.insert("diff", json!(first.diff()));
    facts.expect("source_changed_before_approval", (changed, false), json!(changed));
    facts.insert("stale_proposal_id", json!(second_id));
    Ok((first_id, second_id))
}

fn show_credentials(
    processes: &DemoProcesses,
    printer: &DemoPrinter,
    facts: &mut Facts,
) -> Result<(), ExitError> {
    let gateway = processes.agent.gateway();
    let rows = [
        ("gateway", gateway.pid(), gateway.environment()),
        ("reader", processes.reader.pid(), processes.reader.environment()),
        ("writer", processes.writer.pid(), processes.writer.environment()),
        (
            "ledger",
            processes.ledger.pid,
            processes.ledger.environment.as_slice(),
        ),
    ];
    printer.step("Credentials: the environment variables of each process")?;
    for (name, pid, environment) in &rows {
        let names = if environment.is_empty() {
            "none".to_owned()
        } else {
            environment.join(", ")
        };
        printer.fact(name, &format!("pid {pid}: {names}"))?;
    }
    printer.explain(
        "The process that faces the model holds no database credential; only the writer can write.",
    )?;
    let processes: Vec<Json> = rows
        .iter()
        .map(|(name, pid, environment)| json!({"name": name, "pid": pid, "environment": environment}))
        .collect();
    facts.insert("processes", Json::Array(processes));
    Ok(())
}

fn invoice() -> Map<String, Json> {
    Map::from_iter([("invoice_id".to_owned(), json!(INVOICE))])
}

fn waiver(cents: u32, reason: &str) -> Map<String, Json> {
    let mut arguments = invoice();
    arguments.insert("late_fee_cents".to_owned(), json!(cents));
    arguments.insert("reason".to_owned(), json!(reason));
    arguments
}

fn answered(answer: ToolCallResult) -> Result<ToolCallResult, ExitError> {
    if !answer.is_error {
        return Ok(answer);
    }
    let (code, message) = answer
        .refusal()
        .unwrap_or_else(|| (ErrorCode::Internal, answer.envelope.to_string()));
    Err(ExitError::new(
        ErrorCode::DemoCallRefused,
        format!("tool call rejected: {code}: {message}"),
    ))
}

fn id_of(answer: &ToolCallResult) -> Result<String, ExitError> {
    let id = answer.proposal_id().map(str::to_owned);
    id.ok_or_else(|| ExitError::new(ErrorCode::DemoCallRefused, "call returned no proposal"))
}
