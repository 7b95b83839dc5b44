//! The caller's own valid ticket with every foreign record and every method.

use std::time::Duration;

use anyhow::Context as _;
use synapsor_codes::ErrorCode;
use synapsor_e2e::issuer::READ;
use synapsor_e2e::tenants::{ACME, GLOBEX};
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::agent_record_service_client::AgentRecordServiceClient;
use synapsor_proto::status::from_status;
use tonic::Status;

use super::Scene;
use super::attempts::Attempts;
use super::hands::{StolenGateway, Way};

const LIMIT: Duration = Duration::from_secs(20);
const UNKNOWN: &str = "wrp_ffffffffffffffffffff";

/// Full content of a refusal that the caller sees.
fn refusal_bytes(status: &Status) -> Vec<u8> {
    let text = format!("{:?} {}", status.code(), status.message());
    [text.as_bytes(), status.details()].concat()
}

pub(crate) async fn run(
    scene: &Scene,
    hands: &mut StolenGateway,
    attempts: &mut Attempts,
) -> anyhow::Result<()> {
    let ticket = hands.ticket(&scene.token).await?;
    let (proposal, evidence) = (&scene.victim.proposal, &scene.victim.evidence);
    let replay = format!("replay_{proposal}");
    let asked = [
        (Way::Proposal, proposal.as_str()),
        (Way::Replay, proposal),
        (Way::Replay, &replay),
        (Way::Evidence, evidence),
        (Way::Evidence, proposal),
        (Way::Proposal, evidence),
        (Way::Withdraw, proposal),
    ];
    for (number, (way, id)) in asked.into_iter().enumerate() {
        let unknown = hands.ask(way, Some(ticket.clone()), UNKNOWN).await;
        let unknown = attempts.checked("an unknown record", unknown);
        let answer = hands.ask(way, Some(ticket.clone()), id).await;
        let name = format!("{way:?} of the other tenant's, {number}");
        let status = attempts.refused(&name, answer);
        assert_eq!(refusal_bytes(&status), refusal_bytes(&unknown), "{name}");
    }
    for id in [
        "",
        "%",
        "wrp_%",
        "' OR '1'='1",
        "globex",
        "../globex",
        "wrp_\u{0}",
    ] {
        let answer = hands.ask(Way::Proposal, Some(ticket.clone()), id).await;
        attempts.refused(&format!("Proposal {id:?}"), answer);
    }
    // A colleague's proposal is readable within the tenant, and only the colleague may withdraw it.
    let colleague = &scene.colleague.proposal;
    let answer = hands.ask(Way::Withdraw, Some(ticket.clone()), colleague).await;
    let status = attempts.refused("withdraw a colleague's proposal", answer);
    assert_eq!(from_status(&status).code, ErrorCode::RecordNotFound, "{status:?}");
    // A read-only token does not let its gateway withdraw a proposal of the same bearer.
    let reads = scene.tenants.token_for(ACME, "ann", READ);
    let ticket_that_reads = hands.ticket(&reads).await?;
    let own = &scene.own.proposal;
    let seen = hands
        .ask(Way::Proposal, Some(ticket_that_reads.clone()), own)
        .await;
    anyhow::ensure!(seen.is_ok(), "{seen:?}");
    let answer = hands.ask(Way::Withdraw, Some(ticket_that_reads), own).await;
    let status = attempts.refused("withdraw under a ticket of a token that only reads", answer);
    assert_eq!(
        from_status(&status).code,
        ErrorCode::WithdrawalNotAllowed,
        "{status:?}"
    );
    watch(scene, hands, attempts, ticket).await
}

/// A watch from the beginning of the log, while the other tenant continues to work.
async fn watch(
    scene: &Scene,
    hands: &mut StolenGateway,
    attempts: &Attempts,
    ticket: synapsor_proto::common::v1::DsseEnvelope,
) -> anyhow::Result<()> {
    let mut records = AgentRecordServiceClient::new(hands.ledger.clone());
    let request = wire::WatchRequest {
        ticket: Some(ticket),
        after_seq: Some(0),
    };
    let mut stream = records.watch(request).await?.into_inner();
    let (tenants, victim) = (&scene.tenants, scene.tenants.token(GLOBEX, "yan"));
    tenants.file(GLOBEX, &victim, "second of the victim").await?;
    let last = tenants
        .file(ACME, &tenants.token(ACME, "bea"), "the last one")
        .await?;
    let mut received = String::new();
    while !received.contains(&last.proposal) {
        let next = tokio::time::timeout(LIMIT, stream.message()).await??;
        received.push_str(&format!("{:?}", next.context("the watch ended")?));
    }
    attempts.shows_nothing("a watch from the beginning", received.as_bytes());
    Ok(())
}
