//! Processes as `up --serve` starts them, driven by the CLI.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

use super::look::{Places, Subject};
use super::{Gate, Report, kill, observe_while_applying, rules, siblings};
use crate::account::Account;
use crate::agent::Agent;
use crate::binaries::Build;
use crate::cli::{CliFixture, CommandOutput, INVOICE, Running};

const SCENE: &str = "under up";
const TOKEN: &str = "a-token-of-this-proof";
const START: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);
const END: Duration = Duration::from_secs(60);

/// `up` and its report about its children.
struct Up<'a> {
    place: &'a CliFixture,
    account: &'a Account,
    /// Kept for its handle: the supervisor ends with the scene.
    running: Running,
    subjects: Vec<Subject>,
}

pub(super) async fn run(account: &Account, report: &mut Report) -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    place.set(rules::TOKEN, TOKEN);
    account.own(place.folder())?;
    let mut up = Up::start(&place, account)?;
    let agent = Agent::at(&up.subject("gateway")?.address, TOKEN).await?;
    let first = agent.propose(INVOICE, "goodwill").await?;
    let second = agent.propose("INV-3002", "goodwill").await?;
    let places = Places {
        folder: place.folder().to_owned(),
        database: place.path("billing.db"),
        store: place.path(".synapsor/local.db"),
    };

    let (gate, apply) = up.order(&first)?;
    rules::judge(SCENE, &observe_while_applying(&up.subjects, &places)?, report);
    siblings::probe(SCENE, &up.subjects, account, report)?;
    kill(up.subject("reader")?.pid)?;
    gate.open()?;
    applied(&apply.end(END)?, "the reader", report);

    let (gate, apply) = up.order(&second)?;
    let still: Vec<Subject> = up
        .subjects
        .iter()
        .filter(|s| s.name != "reader")
        .cloned()
        .collect();
    observe_while_applying(&still, &places)?;
    kill(up.subject("gateway")?.pid)?;
    gate.open()?;
    applied(&apply.end(END)?, "the gateway", report);
    drop(agent);
    let agent = again(&up.subject("gateway")?.address).await?;
    let read = agent.inspect("INV-3004").await?;
    report.check(
        read["ok"] == json!(true),
        format!("{SCENE}: gateway and reader are restarted, reads continue: {read}"),
    );

    up.end()?;
    let up = Up::start(&place, account)?;
    let agent = Agent::at(&up.subject("gateway")?.address, TOKEN).await?;
    kill(up.subject("writer")?.pid)?;
    let read = agent.inspect("INV-3004").await?;
    report.check(
        read["ok"] == json!(true),
        format!("{SCENE}: with the writer killed, reads continue: {read}"),
    );
    up.end()
}

/// Connects the agent again to a restarting gateway.
async fn again(address: &str) -> anyhow::Result<Agent> {
    let end = Instant::now() + START;
    loop {
        match Agent::at(address, TOKEN).await {
            Err(_) if Instant::now() < end => tokio::time::sleep(LOOK).await,
            agent => return agent,
        }
    }
}

fn applied(ran: &CommandOutput, killed: &str, report: &mut Report) {
    let ended = ran.exit == Some(0) && ran.stdout.contains("Applied");
    report.check(ended, format!("{SCENE}: {killed} killed during the apply: {ran}"));
    println!(
        "wall: {SCENE}: {killed} killed while the writer applied: apply ended with {:?}",
        ran.exit
    );
}

impl<'a> Up<'a> {
    fn start(place: &'a CliFixture, account: &'a Account) -> anyhow::Result<Self> {
        let arguments = ["up", "--serve", "--port", "0", "--json"];
        let mut running = Running::of(command(place, account, &arguments)?, &arguments)?;
        running.until_printed(START, |out| serde_json::from_str::<Json>(out).is_ok())?;
        let output: Json = serde_json::from_str(&running.printed()?.0)?;
        let processes = output["processes"].as_array().context("processes")?;
        let subjects = processes
            .iter()
            .map(subject)
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            place,
            account,
            running,
            subjects,
        })
    }

    fn subject(&self, name: &str) -> anyhow::Result<&Subject> {
        self.subjects
            .iter()
            .find(|s| s.name == name)
            .with_context(|| format!("{name} runs"))
    }

    /// Approves a proposal and starts `apply` while writes to the database are locked.
    fn order(&mut self, proposal: &str) -> anyhow::Result<(Gate, Running)> {
        let approve = ["proposals", "approve", proposal, "--yes"];
        let ran = Running::of(command(self.place, self.account, &approve)?, &approve)?.end(END)?;
        ensure!(ran.exit == Some(0), "{ran}");
        let gate = Gate::close(&self.place.path("billing.db"))?;
        let apply = ["apply", proposal, "--yes"];
        let running = Running::of(command(self.place, self.account, &apply)?, &apply)?;
        Ok((gate, running))
    }

    fn end(self) -> anyhow::Result<()> {
        // It has exited by itself if its gateway was killed.
        let _ = self.running.signal(rustix::process::Signal::TERM);
        self.running.end(END)?;
        Ok(())
    }
}

fn command(place: &CliFixture, account: &Account, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(account.binary(Build::Plain, "synapsor-runner")?);
    command.args(arguments).current_dir(place.folder()).env_clear();
    command.envs(place.environment.iter().map(|(name, value)| (name, value)));
    account.step_down(&mut command);
    Ok(command)
}

fn subject(process: &Json) -> anyhow::Result<Subject> {
    let text = |key: &str| {
        process[key]
            .as_str()
            .map(ToOwned::to_owned)
            .with_context(|| format!("{key} in {process}"))
    };
    let names = process["environment"].as_array().context("names of variables")?;
    Ok(Subject {
        name: text("name")?,
        pid: process["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .context("a pid")?,
        address: text("address")?,
        reported: names
            .iter()
            .filter_map(Json::as_str)
            .map(ToOwned::to_owned)
            .collect(),
    })
}
