//! A freeze holds for the deployment: for every writer, for writers that start later, and even if a ledger
//! withholds it.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value as Json;
use synapsor_chassis::files;
use synapsor_chassis::identity::Role;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::timestamp::Span;
use synapsor_domain::writeback::AttemptResult;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::until;
use synapsor_e2e::databases::{EngineVersion, Server};
use synapsor_e2e::deployment::{Deployment, Person};
use synapsor_e2e::operator::{
    OperatorClient, Subject, freeze, lift, seal_decision, seal_freeze, seal_lift, seal_order,
};
use synapsor_e2e::process::Process;
use synapsor_e2e::stack::{self, Stack, WRITER};
use synapsor_e2e::writer_harness::WriterHarness;
use synapsor_proto::convert::verdict_from_wire;
use synapsor_proto::executor::v1 as wire;
use synapsor_proto::executor::v1::writer_service_client::WriterServiceClient;
use synapsor_proto::status::from_status;

const SOON: Duration = Duration::from_secs(10);
const INVOICES: [&str; 4] = ["INV-3001", "INV-3002", "INV-3003", "INV-3004"];

/// Runs the CLI as an operator on another machine does.
fn cli(stack: &Stack, person: &Person, writers: &str, words: &[&str]) -> anyhow::Result<(Option<i32>, Json)> {
    let deployment = &stack.deployment;
    let tls = deployment.leaf(Role::Operator, Some(&person.name))?;
    let key = deployment.path(&format!("{}.operator.pem", person.name));
    if !key.exists() {
        files::create_exclusive(&key, person.key.to_pem().as_bytes())?;
    }
    let output = Command::new(Build::Plain.binary("synapsor-runner")?)
        .args(words)
        .args(["--json", "--ledger", &stack.ledger.address, "--writer", writers])
        .arg("--trust")
        .arg(deployment.trust_path())
        .arg("--signing-key")
        .arg(&key)
        .arg("--ca")
        .arg(&tls.ca)
        .arg("--cert")
        .arg(&tls.cert)
        .arg("--key")
        .arg(&tls.key)
        .env_clear()
        .env("HOME", deployment.folder.path())
        .output()?;
    let shown = match output.stdout.as_slice() {
        [] => Json::String(String::from_utf8_lossy(&output.stderr).into_owned()),
        json => serde_json::from_slice(json)?,
    };
    Ok((output.status.code(), shown))
}

fn address(writer: Option<&Process>) -> anyhow::Result<String> {
    Ok(writer.context("a writer")?.address.clone())
}

/// Asks one writer to freeze or to resume.
async fn ask(
    stack: &Stack,
    address: &str,
    freeze: Option<&DsseEnvelope>,
    unfreeze: Option<&DsseEnvelope>,
) -> Result<bool, String> {
    let channel = stack::channel(
        &stack.deployment,
        Role::Operator,
        Some("alice"),
        Role::Writer,
        address,
    )
    .map_err(|e| e.to_string())?;
    let request = wire::SetFrozenRequest {
        frozen: unfreeze.is_none(),
        unfreeze: unfreeze.map(Into::into),
        freeze: freeze.map(Into::into),
    };
    let answer = WriterServiceClient::new(channel).set_frozen(request).await;
    Ok(answer
        .map_err(|s| from_status(&s).code.to_string())?
        .into_inner()
        .frozen)
}

async fn proposals(stack: &Stack, invoices: &[&str]) -> anyhow::Result<Vec<Subject>> {
    let agent = Agent::over_stdio(stack).await?;
    let mut desk = OperatorClient::open(stack, "alice")?;
    let mut subjects = Vec::new();
    for invoice in invoices {
        let id = agent.propose(invoice, "goodwill").await?;
        subjects.push(desk.subject(&stack.deployment, &id).await?);
    }
    Ok(subjects)
}

/// Approves and orders; returns the order.
async fn ordered(stack: &Stack, subject: &Subject) -> anyhow::Result<DsseEnvelope> {
    use synapsor_domain::approval::DecisionKind;
    let (deployment, alice) = (&stack.deployment, stack.deployment.person("alice"));
    let mut desk = OperatorClient::open(stack, "alice")?;
    let approval = synapsor_e2e::operator::decision(deployment, alice, subject, DecisionKind::Approve);
    let approval = seal_decision(alice, &approval);
    desk.decide(&approval).await?;
    let order = synapsor_e2e::operator::order(deployment, alice, subject, &[&approval]);
    let order = seal_order(alice, &order);
    desk.request_apply(&order).await?;
    Ok(order)
}

async fn refused_as_frozen(stack: &Stack, subject: &Subject) -> anyhow::Result<()> {
    let order = ordered(stack, subject).await?;
    let mut desk = OperatorClient::open(stack, "alice")?;
    let report = desk.attempt(stack, subject.proposal.id.as_str(), &order).await?;
    assert_eq!(report.result, AttemptResult::of_code(ErrorCode::RefusedFrozen));
    Ok(())
}

async fn applied(stack: &Stack, subject: &Subject) -> anyhow::Result<()> {
    let order = ordered(stack, subject).await?;
    let mut desk = OperatorClient::open(stack, "alice")?;
    let report = desk.attempt(stack, subject.proposal.id.as_str(), &order).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    Ok(())
}

fn receipts(stack: &Stack) -> anyhow::Result<Vec<(String, String)>> {
    let all = stack.deployment.receipts()?;
    Ok(all
        .into_iter()
        .filter(|(id, _)| !id.starts_with("freeze_"))
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn freeze_at_one_writer_stops_both_until_the_lift() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let _second = stack::writer(&stack.deployment, &stack.ledger.address, "writer-2", &[])?;
    let subjects = proposals(&stack, &INVOICES).await?;
    let first = address(stack.writer.as_ref())?;
    // Carol may only view; only the first writer is named.
    let carol = stack.deployment.person("carol");
    let (exit, shown) = cli(
        &stack,
        carol,
        &first,
        &["writeback", "freeze", "--reason", "wrong fees"],
    )?;
    assert_eq!(exit, Some(0), "{shown}");
    let confirmed: Vec<_> = shown["writers"]
        .as_array()
        .context("writers")?
        .iter()
        .map(|w| (w["writer"].as_str().unwrap_or_default(), w["frozen"].as_bool()))
        .collect();
    assert_eq!(confirmed.len(), 2, "{shown}");
    assert!(
        confirmed.iter().all(|(_, frozen)| *frozen == Some(true)),
        "{shown}"
    );
    for subject in &subjects {
        refused_as_frozen(&stack, subject).await?;
    }
    assert_eq!(receipts(&stack)?, []);
    // A viewer cannot lift it.
    let (exit, shown) = cli(&stack, carol, &first, &["writeback", "unfreeze"])?;
    assert_eq!(exit, Some(4), "{shown}");
    let alice = stack.deployment.person("alice");
    let (exit, shown) = cli(&stack, alice, &first, &["writeback", "unfreeze"])?;
    assert_eq!(exit, Some(0), "{shown}");
    let mut desk = OperatorClient::open(&stack, "alice")?;
    for subject in &subjects {
        ordered(&stack, subject).await?;
        let outcome = desk.outcome(&stack, subject.proposal.id.as_str()).await?;
        assert_eq!(outcome, "applied");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_writer_is_named_with_remaining_time() -> anyhow::Result<()> {
    let mut stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let subjects = proposals(&stack, &INVOICES[..1]).await?;
    let address = address(stack.writer.as_ref())?;
    stack.writer = None;
    ordered(&stack, &subjects[0]).await?;
    let alice = stack.deployment.person("alice");
    let (exit, shown) = cli(&stack, alice, &address, &["writeback", "freeze"])?;
    assert_eq!(exit, Some(6), "{shown}");
    assert!(
        shown["missing"].as_array().is_some_and(|m| !m.is_empty()),
        "{shown}"
    );
    assert!(shown["ordered_until"].is_string(), "{shown}");
    // A writer that starts later fetches the freezes in force before its first job.
    stack.start_writer(&[])?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let id = subjects[0].proposal.id.to_string();
    let released = |r: &synapsor_proto::ledger::v1::ProposalRecord| r.attempt.is_some();
    desk.until(&stack, &id, released).await?;
    assert_eq!(receipts(&stack)?, []);
    Ok(())
}

/// A freeze that one writer accepted stops another writer from which a hostile ledger withholds it.
async fn withheld(deployment: Deployment) -> anyhow::Result<()> {
    let mut harness = WriterHarness::with(deployment, &[]).await?;
    let deployment = harness.deployment();
    // Another writer of the deployment accepts the freeze directly, without the ledger.
    let second = stack::writer(deployment, &harness.stack.ledger.address, "writer-2", &[])?;
    let carol = deployment.person("carol");
    let (frozen, digest) = seal_freeze(carol, &freeze(deployment, carol));
    assert_eq!(
        ask(&harness.stack, &second.address, Some(&frozen), None).await,
        Ok(true)
    );
    drop(second);
    harness.before = harness.deployment().dump()?;
    let valid = harness.valid_inputs();
    harness.refuses(&valid, ErrorCode::RefusedFrozen).await?;
    let preview = dry_run(&harness.stack, &harness.writer.address, &harness.subject).await?;
    assert_eq!(preview, "refused:frozen");
    let alice = harness.deployment().person("alice");
    let lifted = seal_lift(alice, &lift(harness.deployment(), alice, digest));
    assert_eq!(
        ask(&harness.stack, &harness.writer.address, None, Some(&lifted)).await,
        Ok(false)
    );
    harness.expect_valid_job_applied().await
}

async fn dry_run(stack: &Stack, address: &str, subject: &Subject) -> anyhow::Result<String> {
    let channel = stack::channel(
        &stack.deployment,
        Role::Operator,
        Some("alice"),
        Role::Writer,
        address,
    )?;
    let request = wire::DryRunRequest {
        proposal: Some((&subject.envelope).into()),
    };
    let answer = WriterServiceClient::new(channel).dry_run(request).await?;
    let answer = answer.into_inner();
    let verdict = verdict_from_wire(&answer)?;
    Ok(verdict.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_freeze_still_stops_writers_on_sqlite() -> anyhow::Result<()> {
    withheld(Deployment::new(Build::Plain)?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_freeze_still_stops_writers_on_servers() -> anyhow::Result<()> {
    for version in EngineVersion::SERVER_ENGINES {
        if let Some(server) = Server::of(version)? {
            withheld(Deployment::on(Build::Plain, &server)?)
                .await
                .with_context(|| version.to_string())?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lift_rejects_replay_non_applier_and_wrong_clock() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let address = address(stack.writer.as_ref())?;
    let deployment = &stack.deployment;
    let (alice, bob) = (deployment.person("alice"), deployment.person("bob"));
    let (first, first_digest) = seal_freeze(bob, &freeze(deployment, bob));
    assert_eq!(ask(&stack, &address, Some(&first), None).await, Ok(true));
    let by_bob = seal_lift(bob, &lift(deployment, bob, first_digest));
    assert_eq!(
        ask(&stack, &address, None, Some(&by_bob)).await,
        Err("refused:role".to_owned())
    );
    let mut late = lift(deployment, alice, first_digest);
    late.issued_at = synapsor_e2e::now() + Span::minutes(-20);
    late.expires_at = synapsor_e2e::now() + Span::minutes(-10);
    assert_eq!(
        ask(&stack, &address, None, Some(&seal_lift(alice, &late))).await,
        Err("refused:expired".to_owned())
    );
    let lifted = seal_lift(alice, &lift(deployment, alice, first_digest));
    assert_eq!(ask(&stack, &address, None, Some(&lifted)).await, Ok(false));
    // The second freeze stays, and the first does not come back.
    let (second, _) = seal_freeze(bob, &freeze(deployment, bob));
    assert_eq!(ask(&stack, &address, Some(&second), None).await, Ok(true));
    assert_eq!(ask(&stack, &address, None, Some(&lifted)).await, Ok(true));
    assert_eq!(ask(&stack, &address, Some(&first), None).await, Ok(true));
    let other = Digest::of(synapsor_domain::signing::ObjectKind::Freeze, b"{}");
    let foreign = seal_lift(alice, &lift(deployment, alice, other));
    assert_eq!(ask(&stack, &address, None, Some(&foreign)).await, Ok(true));
    Ok(())
}

/// Starts a writer without the state that an earlier one of its name left on disk.
fn start_without_state(stack: &mut Stack) -> anyhow::Result<()> {
    drop(stack.writer.take());
    std::fs::remove_dir_all(stack.deployment.path("writer-state"))?;
    stack.start_writer(&[])
}

#[tokio::test(flavor = "multi_thread")]
async fn freeze_of_a_removed_signer_holds_until_lifted() -> anyhow::Result<()> {
    let mut stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let subjects = proposals(&stack, &INVOICES[..3]).await?;
    let bob = stack.deployment.person("bob");
    let (frozen, digest) = seal_freeze(bob, &freeze(&stack.deployment, bob));
    let at = address(stack.writer.as_ref())?;
    assert_eq!(ask(&stack, &at, Some(&frozen), None).await, Ok(true));
    let are_recorded = |stack: &Stack, what: &str, number: i64| {
        until(SOON, || {
            let sql = "SELECT count(*) FROM synapsor_writeback_receipts WHERE outcome = ?1";
            let database = stack.deployment.open_database()?;
            let rows: i64 = database.query_row(sql, [what], |row| row.get(0))?;
            Ok(rows == number)
        })
    };
    are_recorded(&stack, "freeze", 1)?;

    let mut trust = stack.deployment.trust()?;
    trust.operators.retain(|operator| operator.person != "bob");
    stack.deployment.write_trust(&trust)?;
    start_without_state(&mut stack)?;
    refused_as_frozen(&stack, &subjects[0]).await?;

    // A lift of another freeze has no effect; the lift that names its digest ends it, for later writers as well.
    let alice = stack.deployment.person("alice");
    let other = Digest::of(synapsor_domain::signing::ObjectKind::Freeze, b"{}");
    let at = address(stack.writer.as_ref())?;
    let foreign = seal_lift(alice, &lift(&stack.deployment, alice, other));
    let _ = ask(&stack, &at, None, Some(&foreign)).await;
    refused_as_frozen(&stack, &subjects[1]).await?;
    let lifted = seal_lift(alice, &lift(&stack.deployment, alice, digest));
    assert_eq!(ask(&stack, &at, None, Some(&lifted)).await, Ok(false));
    applied(&stack, &subjects[1]).await?;
    are_recorded(&stack, "lift", 2)?;
    start_without_state(&mut stack)?;
    applied(&stack, &subjects[2]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn freezes_hold_with_any_clock() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let address = address(stack.writer.as_ref())?;
    let deployment = &stack.deployment;
    let carol = deployment.person("carol");
    let mut trust = deployment.default_trust();
    for operator in trust.operators.iter_mut().filter(|o| o.person == "carol") {
        operator.not_before = synapsor_e2e::now() + Span::days(1);
    }
    deployment.write_trust(&trust)?;
    // Signed on a machine whose clock is two hours ahead, by a key that is not valid yet.
    let mut ahead = freeze(deployment, carol);
    ahead.issued_at = synapsor_e2e::now() + Span::minutes(120);
    let (frozen, digest) = seal_freeze(carol, &ahead);
    assert_eq!(ask(&stack, &address, Some(&frozen), None).await, Ok(true));
    let alice = deployment.person("alice");
    let lifted = seal_lift(alice, &lift(deployment, alice, digest));
    assert_eq!(ask(&stack, &address, None, Some(&lifted)).await, Ok(false));
    let subjects = proposals(&stack, &INVOICES[..1]).await?;
    let kind = synapsor_domain::approval::DecisionKind::Reject;
    let mut rejection = synapsor_e2e::operator::decision(deployment, carol, &subjects[0], kind);
    rejection.issued_at = synapsor_e2e::now() + Span::minutes(120);
    rejection.not_before = rejection.issued_at;
    let rejection = seal_decision(carol, &rejection);
    let state = OperatorClient::open(&stack, "alice")?.decide(&rejection).await;
    assert_eq!(state.map_err(|r| r.code), Ok("rejected".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_order_whose_signer_saw_an_unknown_freeze() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let alice = harness.person("alice");
    let (_, digest) = seal_freeze(alice, &freeze(harness.deployment(), alice));
    let knowing = harness.with_altered_decision(|decision| decision.known_switch = Some(digest));
    harness
        .refuses(&knowing, ErrorCode::RefusedSwitchesBehind)
        .await?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_freeze_stops_one_writer_and_is_reported() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let address = address(stack.writer.as_ref())?;
    let alice = stack.deployment.person("alice");
    let (exit, shown) = cli(&stack, alice, &address, &["writeback", "freeze", "--unsigned"])?;
    assert_eq!(
        (exit, shown["signed"].as_bool()),
        (Some(0), Some(false)),
        "{shown}"
    );
    assert_eq!(shown["writer"].as_str(), Some(WRITER));
    assert_eq!(
        stack.deployment.receipts()?,
        [],
        "an unsigned freeze left a receipt"
    );
    let (exit, shown) = cli(&stack, alice, &address, &["writeback", "unfreeze"])?;
    assert_eq!(exit, Some(0), "{shown}");
    Ok(())
}
