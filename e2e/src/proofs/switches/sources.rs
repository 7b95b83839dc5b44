//! Deployment with many sources that can hang separately: a locked file with SQLite, a stalled connection with a
//! server.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use tokio::task::block_in_place;

use super::scene::Scene;
use crate::binaries::Build;
use crate::deployment::{CONTRACT, Deployment};
use crate::fixture::Fixture;
use crate::process::Process;
use crate::proofs::checker::Checker;
use crate::proofs::crash_harness::{Case, CrashHarness};
use crate::proofs::invoices;
use crate::proofs::proof_env::ProofEnv;
use crate::stack::{Stack, WRITER};
use crate::stall::Stall;
use crate::target::Target;

/// Source of the other proofs, which works here too.
pub(super) const WORKING: &str = "billing_db";
const LOOK: Duration = Duration::from_millis(10);

pub(super) struct Hanging {
    pub(super) scene: Scene,
    pub(super) writer: Process,
    pub(super) sources: Vec<Source>,
}

/// Source that can hang.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) tool: String,
    /// Invoices of its proposals.
    pub(super) invoices: [String; 2],
    way: Way,
}

enum Way {
    /// The file, and the lock on it.
    File(Checker),
    /// Connections to the server.
    Server(Stall),
}

impl Source {
    pub(super) fn hang(&self) -> anyhow::Result<()> {
        match &self.way {
            Way::File(lock) => lock.query("BEGIN EXCLUSIVE").map(drop),
            Way::Server(stall) => {
                stall.set_silent(true);
                Ok(())
            }
        }
    }

    pub(super) fn come_back(&self) -> anyhow::Result<()> {
        match &self.way {
            Way::File(lock) => lock.query("ROLLBACK").map(drop),
            Way::Server(stall) => {
                stall.set_silent(false);
                Ok(())
            }
        }
    }

    /// Checks whether its proposal was applied within a time.
    pub(super) async fn is_applied(
        &self,
        scene: &Scene,
        case: &Case,
        within: Duration,
    ) -> anyhow::Result<bool> {
        let Way::File(file) = &self.way else {
            return scene.within(within, case, |target| target.effects == 1).await;
        };
        let until = Instant::now() + within;
        while Instant::now() < until {
            let target = invoices::look(file, &case.invoice, &case.proposal, &case.name)?;
            if target.effects == 1 {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }
}

/// Creates the deployment with `number` more sources, and a writer that reaches all of them.
pub(super) async fn set(ground: &ProofEnv, number: usize) -> anyhow::Result<Hanging> {
    let names: Vec<String> = (1..=number).map(|n| format!("hanging_{n:02}")).collect();
    let deployment = match ground.server() {
        None => Deployment::with_contract(
            Build::Plain,
            &with_sources(&contract(CONTRACT)?, &names).to_string(),
        )?,
        Some(server) => {
            let mut fixture = Fixture::billing();
            fixture.contract = with_sources(&fixture.contract, &names);
            Deployment::over(Build::Plain, server.database()?, &fixture)?
        }
    };
    let mut sources = Vec::new();
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let (way, read_url, write_url) = match &deployment.target {
            Target::File(_) => file(&deployment, name)?,
            Target::Server { .. } => server(ground, &deployment).await?,
        };
        reads.push((variable(name, "READ"), read_url));
        writes.push((variable(name, "WRITE"), write_url));
        sources.push(Source {
            name: name.clone(),
            tool: format!("{name}.waive"),
            invoices: [1, 2].map(|n| format!("HANG-{at:02}-{n}")),
            way,
        });
    }
    let checker = ground.checker(&deployment)?;
    let invoices: Vec<String> = sources
        .iter()
        .flat_map(|source| source.invoices.clone())
        .collect();
    let stack = Stack::with_reader_variables(deployment, &borrowed(&reads))?;
    let bench = CrashHarness::on(stack, checker).await?;
    for source in &sources {
        if let Way::File(file) = &source.way {
            invoices::fill(file, &source.invoices)?;
        }
    }
    if ground.server().is_some() {
        bench.checker.query(&invoices::insert(&invoices))?;
    }
    let scene = Scene::of(bench)?;
    let writer = scene.bench.writer_with(WRITER, &borrowed(&writes))?;
    Ok(Hanging {
        scene,
        writer,
        sources,
    })
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn variable(source: &str, what: &str) -> String {
    format!("{}_{what}_URL", source.to_uppercase())
}

fn contract(text: &str) -> anyhow::Result<Json> {
    Ok(serde_json::from_str(text)?)
}

/// Extends the contract with a copy of the working source, and of the proposing capability, for each name.
fn with_sources(contract: &Json, names: &[String]) -> Json {
    let mut contract = contract.clone();
    let source = contract["sources"][WORKING].clone();
    let proposes = |capability: &&Json| capability["kind"] == json!("proposal");
    let capabilities = contract["capabilities"].as_array().into_iter().flatten();
    let capability = capabilities.clone().find(proposes).cloned().unwrap_or_default();
    let mut all: Vec<Json> = capabilities.cloned().collect();
    for name in names {
        let mut source = source.clone();
        source["read_url_env"] = json!(variable(name, "READ"));
        source["write_url_env"] = json!(variable(name, "WRITE"));
        contract["sources"][name] = source;
        let mut capability = capability.clone();
        capability["name"] = json!(format!("{name}.waive"));
        capability["source"] = json!(name);
        all.push(capability);
    }
    contract["capabilities"] = Json::Array(all);
    contract
}

/// Creates a separate sample file.
fn file(deployment: &Deployment, name: &str) -> anyhow::Result<(Way, String, String)> {
    let path = deployment.path(&format!("{name}.db"));
    let made = Command::new(Build::Plain.binary("synapsor-executor")?)
        .args(["sample", "--path"])
        .arg(&path)
        .env_clear()
        .stdout(Stdio::null())
        .status()?;
    ensure!(made.success(), "no sample database {name}");
    let url = format!("sqlite://{}", path.display());
    Ok((Way::File(Checker::of_file(&path)?), url.clone(), url))
}

/// The shared database, through a connection that can stall.
async fn server(ground: &ProofEnv, deployment: &Deployment) -> anyhow::Result<(Way, String, String)> {
    let server = ground.server().context("a server")?;
    let stall = Stall::start(server.address().parse().context("server address is numeric")?).await?;
    let url = deployment.database_url();
    // The first login of an account may need TLS, which a proxy cannot parse; this connection is the first login.
    block_in_place(|| crate::databases::Session::new(ground.engine, url.clone()).execute("SELECT 1"))?;
    let through = url.replacen(server.address(), &stall.address.to_string(), 1);
    Ok((Way::Server(stall), deployment.target.read_url(), through))
}
