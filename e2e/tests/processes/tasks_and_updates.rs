//! A proposal as a task, from the call that creates it to its end, for a client of 2026-07-28 and one with a
//! session. Operators decide and apply with the CLI.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, Running, until};
use synapsor_e2e::issuer::{IssuerKey, PROPOSE, READ, ServedKeys, claims};
use synapsor_e2e::mcp_http::{Events, McpHttpClient, Message, uri};
use synapsor_e2e::tenants;

#[path = "../../../domain/tests/fits/mod.rs"]
mod fits;

const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
const INVOICE: &str = "INV-3001";
const OTHER: &str = "INV-3002";

/// Processes that `up` started, with a token issuer.
struct Desk {
    place: CliFixture,
    key: IssuerKey,
    _issuer: ServedKeys,
    up: Running,
    client: McpHttpClient,
}

impl Desk {
    async fn open() -> anyhow::Result<Self> {
        let key = IssuerKey::ed25519("k1")?;
        let issuer = ServedKeys::start(&[&key]).await?;
        let mut place = CliFixture::new()?;
        place.write("synapsor.runner.json", &tenants::contract(Some(&issuer.url)))?;
        for name in ["BILLING_TENANT", "BILLING_PRINCIPAL"] {
            place.unset(name);
        }
        let (up, client) = up(&place)?;
        Ok(Self {
            place,
            key,
            _issuer: issuer,
            up,
            client,
        })
    }

    /// Stops everything and starts it again.
    fn restart(self) -> anyhow::Result<Self> {
        self.up.signal(rustix::process::Signal::TERM)?;
        self.up.end(LIMIT)?;
        self.place.wait_until_alone(LIMIT)?;
        let (up, client) = up(&self.place)?;
        Ok(Self { up, client, ..self })
    }

    fn token(&self, principal: &str) -> String {
        self.key
            .token(&claims("acme", principal, &format!("{READ} {PROPOSE}")))
    }

    /// Task of a proposal by ann.
    async fn propose(&self, invoice: &str, reason: &str) -> anyhow::Result<String> {
        let submitted = self
            .client
            .ask(&self.token("ann"), &Message::propose(invoice, reason))
            .await?;
        let task = submitted.json()?["result"].clone();
        assert_eq!(
            (&task["resultType"], &task["status"]),
            (&json!("task"), &json!("working")),
            "{submitted:?}"
        );
        submitted.task()
    }

    async fn task(&self, id: &str) -> anyhow::Result<Json> {
        let answer = self
            .client
            .ask(&self.token("ann"), &Message::task("tasks/get", id))
            .await?;
        let task = answer.json()?["result"].clone();
        assert_eq!(task["taskId"], json!(id), "{answer:?}");
        Ok(task)
    }

    /// Finished task, with the state of its proposal.
    async fn end(&self, id: &str) -> anyhow::Result<(Json, String)> {
        let begun = std::time::Instant::now();
        loop {
            let task = self.task(id).await?;
            if task["status"] != json!("working") {
                let state = task.pointer("/result/structuredContent/proposal/state");
                let state = state.and_then(Json::as_str).unwrap_or_default().to_owned();
                self.check_result(&task["result"]["structuredContent"]).await?;
                return Ok((task, state));
            }
            anyhow::ensure!(begun.elapsed() < LIMIT, "task is still working: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Validates the result of a task against the schema that clients get with its tool.
    async fn check_result(&self, envelope: &Json) -> anyhow::Result<()> {
        let list = Message::new("tools/list", json!({}));
        let tools = self.client.ask(&self.token("ann"), &list).await?.json()?["result"]["tools"].take();
        let mut listed = tools.as_array().into_iter().flatten();
        let tool = listed.find(|tool| tool["name"] == envelope["action"]);
        let schema = &tool.with_context(|| format!("no tool of {envelope}"))?["outputSchema"];
        let misfit = fits::misfit(schema, envelope);
        anyhow::ensure!(misfit.is_none(), "{misfit:?}: {envelope}");
        Ok(())
    }

    fn approve(&self, id: &str) -> anyhow::Result<()> {
        self.place.ok(&["proposals", "approve", id, "--yes"])?;
        Ok(())
    }

    fn apply(&self, id: &str, exit: i32) -> anyhow::Result<()> {
        self.place.run(&["apply", id, "--yes"])?.expect(exit)
    }
}

fn up(place: &CliFixture) -> anyhow::Result<(Running, McpHttpClient)> {
    let mut up = place.start(&["up", "--serve", "--port", "0", "--json"])?;
    up.until_printed(LIMIT, |out| serde_json::from_str::<Json>(out).is_ok())?;
    let output: Json = serde_json::from_str(&up.printed()?.0)?;
    let processes = output["processes"].as_array().cloned().unwrap_or_default();
    let gateway = processes
        .iter()
        .find(|process| process["name"] == json!("gateway"))
        .and_then(|process| process["address"].as_str())
        .with_context(|| format!("no gateway: {output}"))?;
    Ok((up, McpHttpClient::at(gateway)))
}

#[tokio::test(flavor = "multi_thread")]
async fn task_works_until_decided_and_notifies_each_step() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let (ann, client) = (desk.token("ann"), &desk.client);
    let id = desk.propose(INVOICE, "goodwill").await?;
    assert_eq!(desk.task(&id).await?["status"], json!("working"));
    let address = uri("proposals", &id);
    let mut listening = Events::of(client.asked(&ann, &Message::listen(&[&address])).await?)?;
    listening.next(LIMIT).await.context("the acknowledgement")?;
    let session = client.open_session(&ann).await?;
    let mut session_events = Events::of(client.open_stream(&ann, &session).await?)?;
    let subscribe = Message::new("resources/subscribe", json!({ "uri": address }));
    assert!(
        client
            .ask_in(&ann, &session, &subscribe)
            .await?
            .body
            .contains("result")
    );

    desk.approve(&id)?;
    for events in [&mut listening, &mut session_events] {
        assert_eq!(events.updated(LIMIT).await?, address);
    }
    let approved = desk.task(&id).await?;
    assert_eq!(approved["status"], json!("working"), "{approved}");
    desk.apply(&id, 0)?;
    for events in [&mut listening, &mut session_events] {
        assert_eq!(events.updated(LIMIT).await?, address);
    }
    let (task, state) = desk.end(&id).await?;
    assert_eq!(
        (&task["status"], state.as_str()),
        (&json!("completed"), "applied"),
        "{task}"
    );
    let envelope = &task["result"]["structuredContent"];
    assert_eq!(envelope["source_database_changed"], json!(true), "{task}");
    assert_eq!(desk.place.invoice(INVOICE)?.0, 0);

    // A colleague gets the same answer as for a task that never existed.
    let ben = desk.token("ben");
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let other = client.ask(&ben, &Message::task(method, &id)).await?;
        let none = client
            .ask(&ben, &Message::task(method, "wrp_ffffffffffffffffffff"))
            .await?;
        assert_eq!((other.status, &other.body), (none.status, &none.body));
        assert!(other.body.contains("no such task"), "{method}: {other:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn canceled_task_is_never_applied() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let before = desk.place.invoice(OTHER)?;
    let rejected = desk.propose(OTHER, "first").await?;
    desk.place
        .ok(&["proposals", "reject", &rejected, "--reason", "no", "--yes"])?;
    let (task, state) = desk.end(&rejected).await?;
    assert_eq!(
        (&task["status"], state.as_str()),
        (&json!("completed"), "rejected"),
        "{task}"
    );

    let cancelled = desk.propose(OTHER, "second").await?;
    desk.approve(&cancelled)?;
    let cancel = Message::task("tasks/cancel", &cancelled);
    let done = desk.client.ask(&desk.token("ann"), &cancel).await?;
    assert!(done.body.contains("result"), "{done:?}");
    assert_eq!(desk.task(&cancelled).await?["status"], json!("cancelled"));
    desk.apply(&cancelled, 4)?;
    assert_eq!(desk.place.invoice(OTHER)?, before);

    let stale = desk.propose(OTHER, "third").await?;
    desk.approve(&stale)?;
    desk.place.target.execute(&format!(
        "UPDATE invoices SET status = 'paid' WHERE id = '{OTHER}'"
    ))?;
    desk.apply(&stale, 3)?;
    let (task, state) = desk.end(&stale).await?;
    assert_eq!(
        (&task["status"], state.as_str()),
        (&json!("completed"), "conflict"),
        "{task}"
    );
    assert_eq!(desk.place.invoice(OTHER)?.0, before.0);
    let receipts = "SELECT count(*) FROM synapsor_writeback_receipts WHERE proposal_id = ";
    let receipts = desk
        .place
        .target
        .query_text(&format!("{receipts}'{cancelled}'"))?;
    assert_eq!(receipts, [[Some("0".to_owned())]]);
    // A cancellation after the end has no effect, and the task keeps its state.
    let late = Message::task("tasks/cancel", &stale);
    assert_eq!(desk.client.ask(&desk.token("ann"), &late).await?.status, 200);
    assert_eq!(desk.task(&stale).await?["status"], json!("completed"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn task_of_a_failed_change_is_completed_as_failed() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let before = desk.place.invoice(OTHER)?;
    let failed = desk.propose(OTHER, "violates a constraint").await?;
    desk.approve(&failed)?;
    desk.place.target.execute(
        "UPDATE invoices SET late_fee_cents = version + 1 WHERE late_fee_cents = 0 AND id <> 'INV-3004'; \
         CREATE UNIQUE INDEX one_without_fee ON invoices (late_fee_cents) WHERE late_fee_cents = 0",
    )?;
    desk.apply(&failed, 1)?;
    let (task, state) = desk.end(&failed).await?;
    assert_eq!(
        (&task["status"], state.as_str()),
        (&json!("completed"), "failed"),
        "{task}"
    );
    let envelope = &task["result"]["structuredContent"];
    assert_eq!(envelope["source_database_changed"], json!(false), "{task}");
    assert_eq!(desk.place.invoice(OTHER)?, before);
    Ok(())
}

/// Answer of the status tool, and the same without the id that differs for each call.
async fn status(desk: &Desk, token: &str, id: &str) -> anyhow::Result<(Json, String)> {
    let call = Message::call("proposals.status", json!({ "proposal_id": id }));
    let envelope = desk.client.ask(token, &call).await?.envelope()?;
    let mut bare = envelope.clone();
    let correlation = bare["_meta"]["correlation_id"].take();
    let text = bare.to_string();
    let text = match correlation.as_str() {
        Some(correlation) => text.replace(correlation, "ID"),
        None => text,
    };
    Ok((envelope, text))
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_with_tools_only_follows_its_own_proposals() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let (ann, ben) = (desk.token("ann"), desk.token("ben"));
    let globex = desk
        .key
        .token(&claims("globex", "ann", &format!("{READ} {PROPOSE}")));
    let state = async |id: &str| -> anyhow::Result<(String, Json, Json)> {
        let (envelope, _) = status(&desk, &ann, id).await?;
        let data = envelope["data"].clone();
        assert_eq!(data["proposal_id"], json!(id), "{envelope}");
        let word = data["state"].as_str().unwrap_or_default().to_owned();
        Ok((
            word,
            data["reason"].clone(),
            envelope["source_database_changed"].clone(),
        ))
    };
    let applied = desk.propose(INVOICE, "goodwill").await?;
    let open = ("review_required".to_owned(), Json::Null, json!(false));
    assert_eq!(state(&applied).await?, open);
    desk.approve(&applied)?;
    assert_eq!(state(&applied).await?.0, "approved");
    desk.apply(&applied, 0)?;
    desk.end(&applied).await?;
    let ended = ("applied".to_owned(), Json::Null, json!(true));
    assert_eq!(
        state(&applied).await?,
        ended,
        "reasons of approvals are not shown"
    );

    let rejected = desk.propose(OTHER, "no reason").await?;
    let reason = "the fee is right, see ticket 7";
    desk.place
        .ok(&["proposals", "reject", &rejected, "--reason", reason, "--yes"])?;
    let refused = ("rejected".to_owned(), json!(reason), json!(false));
    assert_eq!(state(&rejected).await?, refused);
    let resource = desk
        .client
        .ask(&ann, &Message::read(&uri("proposals", &rejected)))
        .await?;
    anyhow::ensure!(resource.body.contains(reason), "{resource:?}");

    // Missing, foreign and malformed ids are one answer.
    let (_, none) = status(&desk, &ann, "wrp_ffffffffffffffffffff").await?;
    for (token, id) in [
        (&ben, applied.as_str()),
        (&globex, &applied),
        (&ben, &rejected),
        (&ann, "x\"y"),
    ] {
        let (envelope, text) = status(&desk, token, id).await?;
        assert_eq!(
            envelope["error"]["code"],
            json!("NOT_FOUND_IN_TENANT"),
            "{envelope}"
        );
        assert_eq!(text, none);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn task_survives_a_restart_of_every_process() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let id = desk.propose(INVOICE, "goodwill").await?;
    let before = desk.task(&id).await?;
    let desk = desk.restart()?;
    assert_eq!(desk.task(&id).await?, before);
    desk.approve(&id)?;
    let desk = desk.restart()?;
    desk.apply(&id, 0)?;
    let (_, state) = desk.end(&id).await?;
    assert_eq!(state, "applied");
    let up = desk.up;
    up.signal(rustix::process::Signal::TERM)?;
    up.end(LIMIT)?;
    until(LIMIT, || Ok(desk.place.processes()?.is_empty()))
}
