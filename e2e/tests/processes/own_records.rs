//! Records of agents that a gateway reads back, with its certificate and the reader's ticket, through the real
//! reader and ledger, without records of other callers.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{Endpoint, connect};
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL};
use synapsor_codes::ErrorCode;
use synapsor_domain::agent_view::AgentProposalState;
use synapsor_domain::context_ticket::ContextTicket;
use synapsor_domain::replay::{ProofBundle, verify_bundle};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_e2e::binaries::Build;
use synapsor_e2e::capability_calls::call_once;
use synapsor_e2e::cli::{CliFixture, until};
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::operator::OperatorClient;
use synapsor_e2e::stack::{INSTANCE, Stack, reader};
use synapsor_proto::common::v1 as common;
use synapsor_proto::convert::required;
use synapsor_proto::executor::v1::agent_service_client::AgentServiceClient;
use synapsor_proto::executor::v1::{CapabilityCall, IssueContextTicketRequest};
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::agent_record_service_client::AgentRecordServiceClient;
use synapsor_proto::ledger::v1::event_service_client::EventServiceClient;
use synapsor_proto::ledger::v1::watch_response::Message;
use synapsor_proto::status::from_status;
use tonic::{Status, Streaming};

const INVOICE: &str = "INV-3001";
const LIMIT: Duration = Duration::from_secs(60);

/// A gateway's clients of its reader and of the ledger.
struct Gateway {
    reader: Channel,
    agents: AgentServiceClient<Channel>,
    records: AgentRecordServiceClient<Channel>,
}

impl Gateway {
    fn of(stack: &Stack) -> anyhow::Result<Self> {
        let reader = stack.reader_as(Role::Gateway, Some(INSTANCE))?;
        Ok(Self {
            agents: AgentServiceClient::new(reader.clone()),
            reader,
            records: AgentRecordServiceClient::new(stack.ledger_as(Role::Gateway, Some(INSTANCE))?),
        })
    }

    async fn call(&mut self, capability: &str, arguments: Json) -> anyhow::Result<Json> {
        let call = CapabilityCall {
            capability: capability.to_owned(),
            arguments_json: arguments.to_string().into_bytes(),
            result_format: 2,
            ..CapabilityCall::default()
        };
        let answer = call_once(self.reader.clone(), call).await?;
        ensure!(!answer.is_error, "{:?}", answer.code);
        Ok(serde_json::from_slice(&answer.envelope_json)?)
    }

    /// Proposes a waiver; returns the ids of the proposal and of its evidence.
    async fn propose(&mut self, invoice: &str, reason: &str) -> anyhow::Result<(String, String)> {
        let arguments = json!({ "invoice_id": invoice, "reason": reason });
        let envelope = self.call("billing.propose_late_fee_waiver", arguments).await?;
        let text = |at: &str| envelope.pointer(at).and_then(Json::as_str).map(str::to_owned);
        Ok((
            text("/proposal/id").context("a proposal")?,
            text("/evidence/bundle_id").context("evidence")?,
        ))
    }

    async fn ticket(&mut self) -> anyhow::Result<common::DsseEnvelope> {
        let answer = self
            .agents
            .issue_context_ticket(IssueContextTicketRequest::default())
            .await?;
        Ok(required("ticket", answer.into_inner().ticket)?)
    }

    async fn proposal(
        &mut self,
        ticket: &common::DsseEnvelope,
        id: &str,
    ) -> Result<wire::AgentRecordServiceGetProposalResponse, Status> {
        let request = wire::AgentRecordServiceGetProposalRequest {
            ticket: Some(ticket.clone()),
            proposal_id: id.to_owned(),
        };
        Ok(self.records.get_proposal(request).await?.into_inner())
    }

    async fn evidence(&mut self, ticket: &common::DsseEnvelope, id: &str) -> Result<Vec<u8>, Status> {
        let request = wire::AgentRecordServiceGetEvidenceRequest {
            ticket: Some(ticket.clone()),
            evidence_id: id.to_owned(),
        };
        Ok(self.records.get_evidence(request).await?.into_inner().record_json)
    }

    async fn replay(&mut self, ticket: &common::DsseEnvelope, id: &str) -> Result<Vec<u8>, Status> {
        let request = wire::AgentRecordServiceGetReplayRequest {
            ticket: Some(ticket.clone()),
            replay_id: id.to_owned(),
        };
        Ok(self.records.get_replay(request).await?.into_inner().record_json)
    }

    async fn withdraw(
        &mut self,
        ticket: &common::DsseEnvelope,
        id: &str,
    ) -> Result<wire::WithdrawResponse, Status> {
        let request = wire::WithdrawRequest {
            ticket: Some(ticket.clone()),
            proposal_id: id.to_owned(),
            request_id: random::hex_id(16),
        };
        Ok(self.records.withdraw(request).await?.into_inner())
    }

    async fn watch(
        &mut self,
        ticket: &common::DsseEnvelope,
    ) -> anyhow::Result<Streaming<wire::WatchResponse>> {
        let request = wire::WatchRequest {
            ticket: Some(ticket.clone()),
            after_seq: None,
        };
        let mut stream = self.records.watch(request).await?.into_inner();
        let first = next(&mut stream).await?;
        ensure!(matches!(first, Message::Position(_)), "{first:?}");
        Ok(stream)
    }
}

async fn next(stream: &mut Streaming<wire::WatchResponse>) -> anyhow::Result<Message> {
    let message = tokio::time::timeout(LIMIT, stream.message()).await??;
    message.and_then(|m| m.message).context("a message")
}

/// Next state change, as proposal and state.
async fn change(stream: &mut Streaming<wire::WatchResponse>) -> anyhow::Result<(String, String)> {
    match next(stream).await? {
        Message::Change(change) => Ok((change.proposal_id, word(change.state))),
        Message::Position(position) => anyhow::bail!("{position:?}"),
    }
}

/// Full content of a refusal that the caller sees.
fn refusal_bytes<T: std::fmt::Debug>(answer: Result<T, Status>) -> anyhow::Result<Vec<u8>> {
    let Err(status) = answer else {
        anyhow::bail!("{answer:?}");
    };
    let text = format!("{:?} {}", status.code(), status.message());
    Ok([text.as_bytes(), status.details()].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_follows_its_proposal_to_the_receipt() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let mut gateway = Gateway::of(&stack)?;
    let ticket = gateway.ticket().await?;
    let mut watch = gateway.watch(&ticket).await?;
    let (id, evidence) = gateway.propose(INVOICE, "goodwill").await?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let subject = desk.subject(&stack.deployment, &id).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    assert_eq!(desk.outcome(&stack, &id).await?, "applied");
    for state in ["review_required", "approved", "approved", "applied"] {
        assert_eq!(change(&mut watch).await?, (id.clone(), state.to_owned()));
    }

    let record = gateway.proposal(&ticket, &id).await?;
    assert_eq!(
        (
            word(record.state).as_str(),
            record.is_final,
            record.is_own,
            record.capability.as_str()
        ),
        ("applied", true, true, "billing.propose_late_fee_waiver")
    );
    let proposal: Json = serde_json::from_slice(&record.record_json)?;
    assert_eq!(proposal["proposal"]["source_database_changed"], json!(true));
    assert_eq!(
        proposal["proposal"]["diff"],
        json!({
            "late_fee_cents": {"before": 5500, "proposed": 0},
            "waiver_reason": {"before": null, "proposed": "goodwill"},
        })
    );
    assert_eq!(proposal["receipts"][0]["rows_affected"], json!(1));
    let bundle: Json = serde_json::from_slice(&gateway.evidence(&ticket, &evidence).await?)?;
    assert_eq!(
        bundle["items"][0]["visible_row"],
        json!({
            "id": INVOICE, "customer_name": "Northwind Traders", "status": "overdue",
            "late_fee_cents": 5500, "waiver_reason": null,
        })
    );
    let replay: Json = serde_json::from_slice(&gateway.replay(&ticket, &format!("replay_{id}")).await?)?;
    assert_eq!(replay["evidence"][0]["evidence_bundle_id"], json!(evidence));
    for shown in [&proposal, &bundle, &replay] {
        let text = shown.to_string();
        for hidden in [
            "alice",
            "ed25519",
            "internal_note",
            "called twice",
            "spiffe",
            "nonce",
            "\"version\"",
        ] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    // An applied proposal cannot be withdrawn.
    let late = gateway.withdraw(&ticket, &id).await?;
    assert_eq!(
        (late.withdrawn, word(late.state).as_str(), late.code.as_deref()),
        (false, "applied", Some("PROPOSAL_ENDED"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_proposal_is_never_applied_and_is_logged() -> anyhow::Result<()> {
    let mut stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let mut gateway = Gateway::of(&stack)?;
    let ticket = gateway.ticket().await?;
    let (first, _) = gateway.propose(INVOICE, "goodwill").await?;
    let (second, _) = gateway.propose("INV-3002", "goodwill").await?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    for id in [&first, &second] {
        let subject = desk.subject(&stack.deployment, id).await?;
        desk.approve_and_order(&stack.deployment, &subject).await?;
    }
    // Both wait for a writer; the older one is withdrawn before a writer starts.
    let taken = gateway.withdraw(&ticket, &first).await?;
    assert_eq!((taken.withdrawn, word(taken.state).as_str()), (true, "canceled"));
    let before = stack.deployment.invoice(INVOICE)?;
    stack.start_writer(&[])?;
    assert_eq!(desk.outcome(&stack, &second).await?, "applied");
    assert_eq!(desk.state(&first).await?, "canceled");
    assert_eq!(stack.deployment.invoice(INVOICE)?, before);
    assert_eq!(stack.deployment.receipts()?, [(second, "applied".to_owned())]);

    let mut events = EventServiceClient::new(stack.ledger_as(Role::Operator, Some("alice"))?);
    let request = wire::GetReplayRequest {
        proposal: first,
        known: None,
        retired_at: Vec::new(),
    };
    let shown = events.get_replay(request).await?.into_inner();
    let records = shown
        .records
        .into_iter()
        .map(TryInto::try_into)
        .collect::<Result<Vec<_>, _>>()?;
    let trust = stack.deployment.trust()?;
    let bundle = ProofBundle::new(&trust.ledger_origin(), &shown.checkpoint, &records);
    let story = verify_bundle(&bundle, &trust)?.story;
    assert_eq!(story.state.as_str(), "canceled");
    let gateway = format!("spiffe://{}/gateway/{INSTANCE}", stack.deployment.id);
    assert_eq!(story.withdrawal.context("a withdrawal")?.gateway, gateway);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_finds_nothing_of_another_tenant() -> anyhow::Result<()> {
    let mut stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let mut gateway = Gateway::of(&stack)?;
    let acme = gateway.ticket().await?;
    let (theirs, their_evidence) = gateway.propose(INVOICE, "goodwill").await?;
    // The same gateway, with a reader of another tenant.
    stack.reader.kill();
    stack.reader = reader(&stack.deployment, &stack.ledger.address, "globex")?;
    let mut gateway = Gateway::of(&stack)?;
    let globex = gateway.ticket().await?;
    let mut watch = gateway.watch(&globex).await?;
    let (own, evidence) = gateway.propose("INV-9001", "goodwill").await?;
    assert_eq!(change(&mut watch).await?.0, own);
    let unknown = refusal_bytes(gateway.proposal(&globex, "wrp_ffffffffffffffffffff").await)?;
    assert_eq!(refusal_bytes(gateway.proposal(&globex, &theirs).await)?, unknown);
    assert_eq!(refusal_bytes(gateway.replay(&globex, &theirs).await)?, unknown);
    assert_eq!(
        refusal_bytes(gateway.evidence(&globex, &their_evidence).await)?,
        unknown
    );
    assert_eq!(refusal_bytes(gateway.withdraw(&globex, &theirs).await)?, unknown);
    assert_eq!(refusal_bytes(gateway.proposal(&acme, &own).await)?, unknown);
    assert_eq!(refusal_bytes(gateway.evidence(&acme, &evidence).await)?, unknown);
    assert!(gateway.proposal(&acme, &theirs).await.is_ok());

    // It cannot name the other tenant: its own signature makes no valid ticket, and the reader's ticket cannot be
    // altered.
    let signed: DsseEnvelope = globex.clone().try_into()?;
    let mut forged: ContextTicket = signed.decode_unverified(ObjectKind::ContextTicket)?;
    forged.contexts[0].tenant = "acme".to_owned();
    for key in [&stack.deployment.writer_key, &stack.deployment.ledger_key] {
        let forged = DsseEnvelope::sign(ObjectKind::ContextTicket, &forged, key)?;
        let refused = gateway.proposal(&forged.into(), &theirs).await.unwrap_err();
        assert_eq!(from_status(&refused).code, ErrorCode::TicketRefused);
    }
    let mut altered = globex;
    altered.payload = String::from_utf8(altered.payload)?
        .replace("globex", "acme")
        .into();
    let refused = gateway.proposal(&altered, &theirs).await.unwrap_err();
    assert_eq!(from_status(&refused).code, ErrorCode::TicketRefused);
    // A stolen ticket is useless to another gateway.
    let mut other_gateway = AgentRecordServiceClient::new(stack.ledger_as(Role::Gateway, Some("client-2"))?);
    let request = wire::AgentRecordServiceGetProposalRequest {
        ticket: Some(acme),
        proposal_id: theirs,
    };
    let refused = other_gateway.get_proposal(request).await.unwrap_err();
    assert_eq!(from_status(&refused).code, ErrorCode::TicketRefused);
    Ok(())
}

/// Gateway of the processes that `up` started, with a certificate of the same instance.
async fn beside_up(place: &CliFixture, up: &Json) -> anyhow::Result<Gateway> {
    let state = |name: &str| place.path(".synapsor").join(name);
    let instance = std::fs::read_dir(state("certs"))?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find_map(|name| Some(name.strip_prefix("gateway-")?.to_owned()))
        .context("a certificate of a gateway")?;
    let now = SystemClock.now_ms();
    let leaf = DevCa::load(&state("ca"))?.issue(Role::Gateway, Some(&instance), LEAF_TTL, now)?;
    let at = |role: Role| {
        let address = up["processes"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|p| p["name"] == json!(role.to_string()))
            .and_then(|p| p["address"].as_str())
            .with_context(|| format!("no address of the {role}: {up}"))?;
        anyhow::Ok(connect(&leaf.material(now)?, &Endpoint::new(role, address))?)
    };
    let reader = at(Role::Reader)?;
    Ok(Gateway {
        agents: AgentServiceClient::new(reader.clone()),
        reader,
        records: AgentRecordServiceClient::new(at(Role::Ledger)?),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_show_withdrawn_proposals() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    place.set("SYNAPSOR_RUNNER_HTTP_TOKEN", "a-token-of-this-test");
    let mut services = place.start(&["up", "--serve", "--port", "0", "--json"])?;
    services.until_printed(LIMIT, |out| serde_json::from_str::<Json>(out).is_ok())?;
    let up: Json = serde_json::from_str(&services.printed()?.0)?;
    let mut gateway = beside_up(&place, &up).await?;
    let ticket = gateway.ticket().await?;
    let (id, _) = gateway.propose(INVOICE, "goodwill").await?;
    assert!(gateway.withdraw(&ticket, &id).await?.withdrawn);

    let listed = place.json(&["proposals", "list", "--state", "canceled"])?;
    assert_eq!(listed["proposals"][0]["proposal_id"], json!(id), "{listed}");
    let shown = place.json(&["proposals", "show", &id])?;
    assert_eq!(shown["state"], json!("canceled"));
    let by = shown["withdrawal"]["gateway"].as_str().unwrap_or_default();
    assert!(by.contains("/gateway/"), "{shown}");
    let page = place.ok(&["proposals", "show", &id])?.stdout;
    assert!(page.contains("withdrawn       by its caller at"), "{page}");
    let story = place.json(&["replay", "show", &id])?;
    assert_eq!(story["replay"]["state"], json!("canceled"), "{story}");
    let page = place.ok(&["replay", "show", &id])?.stdout;
    assert!(page.contains("withdrawn by its agent"), "{page}");
    let tail = place.ok(&["events", "tail", "--json", "--kind", "proposal_withdrawn"])?;
    assert_eq!(tail.stdout.lines().count(), 1, "{tail}");
    place.run(&["proposals", "approve", &id, "--yes"])?.expect(4)?;
    place.run(&["apply", &id, "--yes"])?.expect(4)?;
    place.ok(&["ledger", "verify"])?;

    services.signal(rustix::process::Signal::TERM)?;
    services.end(LIMIT)?;
    until(LIMIT, || Ok(place.processes()?.is_empty()))
}

/// Returns the word of a state on the wire.
fn word(state: i32) -> String {
    let wire = synapsor_proto::ledger::v1::AgentProposalState::try_from(state).unwrap_or_default();
    AgentProposalState::try_from(wire)
        .map_or_else(|_| "unspecified".to_owned(), |state| state.as_str().to_owned())
}
