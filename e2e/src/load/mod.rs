//! Load harness: loads a real deployment of release binaries and prints the measurements without a verdict.

mod applies;
mod calls;
mod commands;
mod drive;
mod figures;
mod fill;
mod flat;
mod http;
mod scene;
mod usage;
mod yardstick;

use serde_json::{Value as Json, json};

pub use calls::{Ask, Interface, Peer};
pub use http::McpEndpoint;

use calls::Rows;
use drive::Load;
use scene::{ROWS, Scene};
use yardstick::Statement;

/// Measurements of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seconds per measurement.
    pub seconds: u64,
    /// Numbers of concurrent clients.
    pub clients: Vec<usize>,
    /// Recorded proposals before calls are measured again.
    pub ledger_sizes: Vec<u64>,
    /// Recorded reads before the commands are measured.
    pub recorded_reads: u64,
    /// Rounds of reads on ledgers of different sizes, instead of everything else; 0 for everything else.
    pub flat_rounds: usize,
    /// Proposals that the writer applies; 0 skips applies.
    pub applies: u64,
    /// Runs only measurements whose name starts with this prefix.
    pub only: String,
    /// Uses a SQLite file as the source instead of a PostgreSQL database.
    pub on_sqlite: bool,
    /// Gives each client its own access token instead of the one static token.
    pub with_access_tokens: bool,
    /// Measures the HTTP stack alone too.
    pub with_echo: bool,
    /// Another MCP server that is measured in turn with the reads.
    pub peer: Option<Peer>,
}

impl Default for Plan {
    /// The short set: a few minutes.
    fn default() -> Self {
        Self {
            seconds: 4,
            clients: vec![1, 8, 32],
            ledger_sizes: vec![10_000, 100_000],
            recorded_reads: 0,
            flat_rounds: 0,
            applies: 1_000,
            only: String::new(),
            on_sqlite: false,
            with_access_tokens: false,
            with_echo: false,
            peer: None,
        }
    }
}

/// Runs the plan and reports each measurement when it ends.
pub async fn run(plan: &Plan, report: impl Fn(&str, &Json)) -> anyhow::Result<Json> {
    if plan.flat_rounds > 0 {
        return flat::run(plan, report).await;
    }
    let scene = Scene::start(plan)?;
    let mut run = Run {
        plan,
        has_yardstick: yardstick::prepare(&scene.stack.deployment.target)?,
        scene,
        rows: Rows::new(0, ROWS),
        measures: json!({}),
        report,
    };
    run.idle()?;
    run.yardstick()?;
    run.calls("", &plan.clients).await?;
    run.open_loop().await?;
    run.applies().await?;
    run.sizes().await?;
    run.recorded_reads().await?;
    run.commands()?;
    run.ratios();
    Ok(json!({
        "engine": run.scene.stack.deployment.target.engine().name(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "measures": run.measures,
    }))
}

struct Run<'a, T> {
    plan: &'a Plan,
    /// Whether pgbench is available.
    has_yardstick: bool,
    scene: Scene,
    rows: Rows,
    measures: Json,
    report: T,
}

impl<T: Fn(&str, &Json)> Run<'_, T> {
    fn wants(&self, name: &str) -> bool {
        name.starts_with(&self.plan.only)
    }

    fn note(&mut self, name: &str, figures: Json) {
        (self.report)(name, &figures);
        self.measures[name] = figures;
    }

    /// Memory of the processes before the first call.
    fn idle(&mut self) -> anyhow::Result<()> {
        let mut memory = json!({});
        for process in self.scene.processes() {
            memory[&process.name] = (usage::memory_kb(process.pid, "VmRSS:")? / 1024).into();
        }
        self.note("idle", json!({ "memory_mb": memory }));
        Ok(())
    }

    /// Measures the database server by itself.
    fn yardstick(&mut self) -> anyhow::Result<()> {
        for statement in [Statement::Select, Statement::Update] {
            for clients in self.plan.clients.clone() {
                let name = format!("{}.{clients}", statement.name());
                if self.has_yardstick && self.wants(&name) {
                    let deployment = &self.scene.stack.deployment;
                    let (folder, load) = (deployment.folder.path(), (clients, self.plan.seconds));
                    let figures = yardstick::run(&deployment.target, folder, statement, load)?;
                    self.note(&name, figures);
                }
            }
        }
        Ok(())
    }

    /// Compares every measurement with the server's own speed for the same statement and number of clients. A
    /// proposal reads one row; eight writebacks run at once.
    fn ratios(&mut self) {
        let names: Vec<String> = self
            .measures
            .as_object()
            .into_iter()
            .flat_map(|m| m.keys().cloned())
            .collect();
        for name in names {
            let clients = name.split('.').nth(2).unwrap_or_default();
            let beside = match name.split('.').next() {
                Some("read" | "propose") => format!("{}.{clients}", Statement::Select.name()),
                Some("apply") => format!("{}.8", Statement::Update.name()),
                _ => continue,
            };
            let ratio = yardstick::ratio(&self.measures[&name], &self.measures[&beside]);
            self.measures[&name]["ratio_to_pgbench"] = ratio;
        }
    }

    fn load(&self, interface: Interface, ask: Ask, clients: usize) -> Load {
        Load {
            interface,
            ask,
            clients,
            seconds: self.plan.seconds,
            rows: self.rows.clone(),
        }
    }

    /// Measures reads and proposals in closed loops.
    async fn calls(&mut self, suffix: &str, clients: &[usize]) -> anyhow::Result<()> {
        for (interface, ask) in [
            (Interface::Mcp, Ask::Read),
            (Interface::Grpc, Ask::Read),
            (Interface::Mcp, Ask::Propose),
        ] {
            for count in clients {
                let name = format!("{}.{}.{count}{suffix}", ask.name(), interface.name());
                if self.wants(&name) {
                    let load = self.load(interface, ask, *count);
                    let figures = drive::closed(&self.scene, &load).await?;
                    self.note(&name, figures);
                }
                if suffix.is_empty() && (interface, ask) == (Interface::Mcp, Ask::Read) {
                    self.beside(*count).await?;
                }
            }
        }
        Ok(())
    }

    /// Measures the servers that reads are compared with, in the same minute.
    async fn beside(&mut self, clients: usize) -> anyhow::Result<()> {
        let echo = self.plan.with_echo.then_some(Interface::Echo);
        let peer = self.plan.peer.as_ref().map(|_| Interface::Peer);
        for interface in [echo, peer].into_iter().flatten() {
            let name = format!("call.{}.{clients}", interface.name());
            let load = self.load(interface, Ask::Read, clients);
            let figures = drive::closed(&self.scene, &load).await?;
            self.note(&name, figures);
        }
        Ok(())
    }

    /// Measures reads at half the rate of the fastest closed loop.
    async fn open_loop(&mut self) -> anyhow::Result<()> {
        const NAME: &str = "read.mcp.open";
        let busiest = self.plan.clients.iter().max().copied().unwrap_or(1);
        let rate = self.measures[format!("read.mcp.{busiest}")]["rate"].as_f64();
        if let Some(rate) = rate.filter(|rate| *rate >= 2.0 && self.wants(NAME)) {
            let load = self.load(Interface::Mcp, Ask::Read, busiest);
            let figures = drive::open(&self.scene, &load, (rate / 2.0) as u64).await?;
            self.note(NAME, figures);
        }
        Ok(())
    }

    async fn applies(&mut self) -> anyhow::Result<()> {
        if self.plan.applies > 0 && self.wants("apply") {
            let rows = self.rows.clone();
            let figures = applies::run(&mut self.scene, &rows, self.plan.applies).await?;
            self.note("apply", figures);
        }
        Ok(())
    }

    fn commands(&mut self) -> anyhow::Result<()> {
        if self.wants("commands") {
            let figures = commands::run(&self.scene)?;
            self.note("commands", figures);
        }
        Ok(())
    }

    /// Repeats the heaviest measurements with more and more recorded proposals.
    async fn sizes(&mut self) -> anyhow::Result<()> {
        let busiest = self.plan.clients.iter().max().copied().unwrap_or(1);
        let mut filled = 0;
        for size in &self.plan.ledger_sizes {
            let like = applies::some_proposal(&self.scene, &self.rows).await?;
            fill::proposals(&self.scene, &like, size - filled).await?;
            filled = *size;
            self.calls(&format!(".ledger-{size}"), &[1, busiest]).await?;
        }
        Ok(())
    }
    /// Appends reads, so that the commands run on a ledger that has them too.
    async fn recorded_reads(&mut self) -> anyhow::Result<()> {
        if self.plan.recorded_reads > 0 {
            let like = applies::some_proposal(&self.scene, &self.rows).await?;
            fill::reads(&self.scene, &like, self.plan.recorded_reads).await?;
        }
        Ok(())
    }
}
