//! The complete loop through the real processes on every database server, with least-privilege accounts, and rows
//! that servers compare as equal.

use std::future::Future;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Engine, EngineVersion, Server};
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::operator::OperatorClient;
use synapsor_e2e::stack::Stack;

const INVOICE: &str = "INV-3001";
const TICKET: &str = "9007199254740993";

/// Runs a test on a server of every version.
async fn on_every_version<F>(test: impl Fn(Server) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    on(&EngineVersion::SERVERS, test).await
}

/// Runs a test on one server of each engine.
async fn on_every_engine<F>(test: impl Fn(Server) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    on(&EngineVersion::SERVER_ENGINES, test).await
}

/// Runs a test to the end on each server, and names those on which it failed.
async fn on<F>(versions: &[EngineVersion], test: impl Fn(Server) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut failures = Vec::new();
    for &version in versions {
        let Some(server) = Server::of(version)? else {
            continue;
        };
        // A separate task, so that a failed assertion does not skip the other servers.
        match tokio::spawn(test(server)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failures.push(format!("{version}: {error:#}")),
            Err(_) => failures.push(format!("{version}: see the panic above")),
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// Starts ledger, reader, writer, gateway and an agent.
async fn scene(server: &Server) -> anyhow::Result<(Stack, Agent)> {
    let deployment = Deployment::over(Build::Plain, server.database()?, &Fixture::with_more_guards())?;
    let stack = Stack::start(deployment)?;
    let agent = Agent::over_stdio(&stack).await?;
    Ok((stack, agent))
}

async fn propose(agent: &Agent, tool: &str, arguments: Json) -> anyhow::Result<String> {
    let envelope = agent.call(tool, arguments).await?;
    let id = envelope.pointer("/proposal/id").and_then(Json::as_str);
    Ok(id.with_context(|| format!("no proposal: {envelope}"))?.to_owned())
}

/// Approves and orders the proposal as alice, and waits for its outcome.
async fn signed(stack: &Stack, id: &str) -> anyhow::Result<String> {
    let mut desk = OperatorClient::open(stack, "alice")?;
    let subject = desk.subject(&stack.deployment, id).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    desk.outcome(stack, id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_changes_one_row_after_an_approval() -> anyhow::Result<()> {
    on_every_version(|server| async move {
        let (stack, agent) = scene(&server).await?;
        let read = agent.inspect(INVOICE).await?;
        assert_eq!(read["ok"], json!(true), "{read}");
        assert_eq!(read["data"]["late_fee_cents"], json!(5500), "{read}");
        assert!(read["data"].get("internal_note").is_none() && read["data"].get("tenant_id").is_none());

        let (before, version) = (stack.deployment.dump()?, stack.deployment.invoice(INVOICE)?.2);
        let id = agent.propose(INVOICE, "goodwill").await?;
        assert_eq!(agent.propose(INVOICE, "goodwill").await?, id);
        assert_eq!(stack.deployment.dump()?, before, "a proposal changed the source");

        assert_eq!(signed(&stack, &id).await?, "applied");
        let after = (0, Some("goodwill".to_owned()), version + 1);
        assert_eq!(stack.deployment.invoice(INVOICE)?, after);
        assert_eq!(stack.deployment.receipts()?, [(id, "applied".to_owned())]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_changes_nothing_and_records_show_it() -> anyhow::Result<()> {
    on_every_version(|server| async move {
        let place = CliFixture::over(server.database()?, &Fixture::billing())?;
        place.ok(&["config", "validate"])?;
        let id = place.approved(INVOICE, "goodwill")?;
        assert_eq!(place.json(&["apply", &id])?["status"], json!("applied"));
        let after = (place.target.dump()?, place.invoice(INVOICE)?);
        assert_eq!(after.1, (0, Some("goodwill".to_owned()), 8));

        let again = place.json(&["apply", &id])?;
        assert_eq!(again["status"], json!("already_applied"), "{again}");
        assert_eq!(
            (place.target.dump()?, place.invoice(INVOICE)?),
            after,
            "a retry wrote"
        );

        let story = place.json(&["replay", "show", &id])?;
        assert_eq!(story["replay"]["state"], json!("applied"), "{story}");
        let verified = place.json(&["ledger", "verify"])?;
        assert_eq!(verified["verified"], json!(true), "{verified}");
        place.ok(&["ledger", "prove", &id, "--output", "proof.json"])?;
        let genuine = place.json(&["bundle", "verify", "proof.json"])?;
        assert_eq!(genuine["verified"], json!(true), "{genuine}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_accent_is_a_conflict_without_a_write() -> anyhow::Result<()> {
    on_every_engine(|server| async move {
        let (stack, agent) = scene(&server).await?;
        let id = agent.propose(INVOICE, "goodwill").await?;
        let change =
            format!("UPDATE invoices SET customer_name = 'Northwind Tráders' WHERE id = '{INVOICE}'");
        stack.deployment.target.execute(&change)?;
        let before = stack.deployment.invoice(INVOICE)?;
        assert_eq!(signed(&stack, &id).await?, "conflict");
        assert_eq!(stack.deployment.invoice(INVOICE)?, before);
        assert_eq!(stack.deployment.receipts()?, [(id, "conflict".to_owned())]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_version_is_a_conflict_without_a_write() -> anyhow::Result<()> {
    on_every_engine(|server| async move {
        let place = CliFixture::over(server.database()?, &Fixture::billing())?;
        let id = place.approved(INVOICE, "goodwill")?;
        let change = format!("UPDATE invoices SET version = version + 1 WHERE id = '{INVOICE}'");
        place.target.execute(&change)?;
        let before = place.invoice(INVOICE)?;
        for _ in 0..2 {
            let ran = place.run(&["apply", &id, "--json"])?;
            ran.expect(3)?;
            assert_eq!(ran.object()?["status"], json!("conflict"), "{ran}");
        }
        assert_eq!(place.invoice(INVOICE)?, before);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_guard_covers_all_visible_columns() -> anyhow::Result<()> {
    on_every_engine(|server| async move {
        let (stack, agent) = scene(&server).await?;
        let amount = |number: &str| json!({ "number": number, "amount": 12.75, "comment": "settled" });
        let quiet = propose(&agent, "credits.propose_amount", amount("C-1")).await?;
        assert_eq!(signed(&stack, &quiet).await?, "applied");
        let rows = |number: &str| {
            let sql = format!("SELECT amount, comment FROM credits WHERE number = '{number}'");
            stack.deployment.target.query_text(&sql)
        };
        assert_eq!(
            rows("C-1")?,
            [[Some("12.75".to_owned()), Some("settled".to_owned())]]
        );

        let stale = propose(&agent, "credits.propose_amount", amount("C-2")).await?;
        let change = "UPDATE credits SET comment = 'cafe' WHERE number = 'C-2'";
        stack.deployment.target.execute(change)?;
        assert_eq!(signed(&stack, &stale).await?, "conflict");
        assert_eq!(
            rows("C-2")?,
            [[Some("20.00".to_owned()), Some("cafe".to_owned())]]
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamp_guard_uses_microseconds_and_advances() -> anyhow::Result<()> {
    on_every_engine(|server| async move {
        let (stack, agent) = scene(&server).await?;
        let target = &stack.deployment.target;
        let ticket = || {
            target.query_text(&format!(
                "SELECT state, updated_at FROM tickets WHERE id = {TICKET}"
            ))
        };
        let arguments: Json = serde_json::from_str(&format!("{{\"ticket\": {TICKET}}}"))?;
        let before = ticket()?;
        let id = propose(&agent, "support.propose_close", arguments.clone()).await?;
        assert_eq!(signed(&stack, &id).await?, "applied");
        let after = ticket()?;
        assert_eq!(after[0][0].as_deref(), Some("closed"));
        assert!(after[0][1] > before[0][1], "{after:?} is not after {before:?}");

        target.execute(&format!("UPDATE tickets SET state = 'open' WHERE id = {TICKET}"))?;
        let id = propose(&agent, "support.propose_close", arguments).await?;
        let moved = format!(
            "UPDATE tickets SET updated_at = updated_at + INTERVAL {} WHERE id = {TICKET}",
            match server.engine {
                Engine::Postgres => "'1 microsecond'",
                Engine::Mysql | Engine::Mariadb | Engine::Sqlite => "1 MICROSECOND",
            }
        );
        target.execute(&moved)?;
        assert_eq!(signed(&stack, &id).await?, "conflict");
        assert_eq!(ticket()?[0][0].as_deref(), Some("open"));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn collation_equal_key_or_tenant_finds_nothing() -> anyhow::Result<()> {
    on_every_engine(|server| async move {
        let (stack, agent) = scene(&server).await?;
        for id in [
            "INV-4001",
            "INV-4002",
            "INV-9001",
            "inv-3001",
            "INV-3001 ",
            "ÍNV-3001",
            "0",
            "",
        ] {
            let read = agent.inspect(id).await?;
            let code = &read["error"]["code"];
            assert_eq!(code, &json!("NOT_FOUND_IN_TENANT"), "{id:?}: {read}");
            assert!(!read.to_string().contains("late_fee_cents"), "{id:?}: {read}");
            assert!(agent.propose(id, "goodwill").await.is_err(), "{id:?}");
        }
        let read = agent
            .call("credits.inspect_by_number", json!({ "number": 0 }))
            .await?;
        assert_ne!(read["error"]["code"], json!("INTERNAL"), "{read}");
        assert_eq!(read["ok"], json!(false), "{read}");
        assert!(!read.to_string().contains("10.50"), "{read}");
        assert_eq!(stack.deployment.receipts()?, []);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_value_that_the_column_would_alter() -> anyhow::Result<()> {
    on_every_engine(|server| async move {
        let (stack, agent) = scene(&server).await?;
        let before = stack.deployment.dump()?;
        for (amount, comment) in [
            ("1.239", "rounded"),
            ("1000000", "clipped"),
            (
                "1",
                "a comment that has more than the forty characters of its column",
            ),
        ] {
            let text = json!({ "number": "C-1", "comment": comment }).to_string();
            let arguments: Json =
                serde_json::from_str(&text.replacen('{', &format!("{{\"amount\": {amount}, "), 1))?;
            let answer = agent.call("credits.propose_amount", arguments).await?;
            let code = &answer["error"]["code"];
            assert_eq!(code, &json!("INVALID_ARGUMENT"), "{amount} {comment}: {answer}");
        }
        assert_eq!(stack.deployment.dump()?, before);
        Ok(())
    })
    .await
}
