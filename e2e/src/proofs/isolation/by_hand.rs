//! Processes started one by one, as a service manager does, with a gateway over HTTP.

use anyhow::ensure;
use serde_json::json;

use super::look::{Places, Subject};
use super::{Gate, Report, observe_while_applying, rules, siblings, table};
use crate::account::Account;
use crate::agent::Agent;
use crate::binaries::Build;
use crate::deployment::Deployment;
use crate::operator::OperatorClient;
use crate::process::Process;
use crate::stack::{Stack, WRITER, http_gateway, reader};

const SCENE: &str = "by hand";
const TOKEN: &str = "a-token-of-this-proof";

pub(super) async fn run(account: &Account, report: &mut Report) -> anyhow::Result<()> {
    let mut deployment = Deployment::new(Build::Plain)?;
    deployment.account = account.clone();
    let mut stack = Stack::start(deployment)?;
    let mut gateway = http_gateway(&stack, TOKEN)?;
    table::check(&stack, report).await?;

    let agent = Agent::over_http(&gateway, TOKEN).await?;
    let (first, second) = (
        agent.propose("INV-3001", "goodwill").await?,
        agent.propose("INV-3002", "goodwill").await?,
    );
    let places = Places {
        folder: stack.deployment.folder.path().to_owned(),
        database: stack.deployment.database(),
        store: stack.deployment.store(),
    };
    let gate = order(&stack, &first).await?;
    let subjects = subjects(&stack, &gateway);
    rules::judge(SCENE, &observe_while_applying(&subjects, &places)?, report);
    siblings::probe(SCENE, &subjects, account, report)?;
    gateway.kill();
    gate.open()?;
    ends_applied(&stack, &first, "the gateway", report).await?;

    let gate = order(&stack, &second).await?;
    observe_while_applying(&subjects[1..], &places)?;
    stack.reader.kill();
    gate.open()?;
    ends_applied(&stack, &second, "the reader", report).await?;

    stack.reader = reader(&stack.deployment, &stack.ledger.address, "acme")?;
    let gateway = http_gateway(&stack, TOKEN)?;
    let agent = Agent::over_http(&gateway, TOKEN).await?;
    ensure!(
        agent.inspect("INV-3004").await?["ok"] == json!(true),
        "reads do not work again"
    );
    if let Some(writer) = &mut stack.writer {
        writer.kill();
    }
    let read = agent.inspect("INV-3004").await?;
    report.check(
        read["ok"] == json!(true),
        format!("{SCENE}: with the writer killed, reads continue: {read}"),
    );
    let proposed = agent.propose("INV-3004", "goodwill").await;
    report.check(
        proposed.is_ok(),
        format!("{SCENE}: with the writer killed, proposals continue: {proposed:?}"),
    );
    Ok(())
}

/// Orders a proposal while writes to the database are locked.
async fn order(stack: &Stack, proposal: &str) -> anyhow::Result<Gate> {
    let mut desk = OperatorClient::open(stack, "alice")?;
    let subject = desk.subject(&stack.deployment, proposal).await?;
    let gate = Gate::close(&stack.deployment.database())?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    Ok(gate)
}

async fn ends_applied(
    stack: &Stack,
    proposal: &str,
    killed: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let state = OperatorClient::open(stack, "alice")?
        .outcome(stack, proposal)
        .await?;
    report.check(
        state == "applied",
        format!("{SCENE}: {killed} killed during the apply, it ended {state}"),
    );
    println!("wall: {SCENE}: {killed} killed while the writer applied: {state}");
    Ok(())
}

fn subjects(stack: &Stack, gateway: &Process) -> Vec<Subject> {
    let writer = stack.writer.as_ref().expect("a writer");
    let all = [gateway, &stack.reader, writer, &stack.ledger];
    let subject = |process: &Process| Subject {
        name: if process.name == WRITER {
            "writer".to_owned()
        } else {
            process.name.clone()
        },
        pid: process.pid(),
        address: process.address.clone(),
        reported: process.environment.iter().map(|(name, _)| name.clone()).collect(),
    };
    all.into_iter().map(subject).collect()
}
