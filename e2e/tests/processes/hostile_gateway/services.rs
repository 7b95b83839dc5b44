//! All services that the gateway may not use: approval, apply, leases, settlement, submission, logs, schemas, dry
//! runs, freezes.

use synapsor_chassis::identity::Role;
use synapsor_e2e::access::{all_rpcs, call, call_with, is_allowed};
use synapsor_proto::common::v1::{DsseEnvelope, Signature};
use synapsor_proto::executor::v1 as executor;
use synapsor_proto::ledger::v1 as ledger;
use tonic::{Code, Status};

use super::Scene;
use super::attempts::Attempts;
use super::hands::StolenGateway;

const LEDGER: &str = "/synapsor.ledger.v1";
const EXECUTOR: &str = "/synapsor.executor.v1";

pub(crate) async fn run(scene: &Scene, hands: &StolenGateway, attempts: &mut Attempts) -> anyhow::Result<()> {
    for (role, channel) in [
        (Role::Reader, &hands.reader),
        (Role::Ledger, &hands.ledger),
        (Role::Writer, &hands.writer),
    ] {
        let foreign = all_rpcs()
            .into_iter()
            .filter(|rpc| !is_allowed(Role::Gateway, &rpc.service, role));
        for rpc in foreign {
            let answer = call(channel, &rpc.path()).await;
            let name = format!("{role}: {}", rpc.path());
            is_closed(&name, &attempts.checked(&name, answer.map(|()| "an answer")));
        }
    }
    let (id, signed) = (scene.victim.proposal.clone(), signed(&scene.victim.proposal));
    reviews(hands, attempts, &id, &signed).await;
    writebacks(hands, attempts, &id, &signed).await;
    writers(hands, attempts, &signed).await;
    Ok(())
}

fn closed(attempts: &mut Attempts, name: &str, answer: Result<(), Status>) {
    is_closed(name, &attempts.refused(name, answer.map(|()| "an answer")));
}

/// A caller without access to a service gets that refusal, independent of its message.
fn is_closed(name: &str, status: &Status) {
    let is_closed = matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated);
    assert!(is_closed, "{name}: {status:?}");
}

/// Message in the form of a signed object.
fn signed(about: &str) -> DsseEnvelope {
    DsseEnvelope {
        payload_type: "application/vnd.synapsor.decision.v1+json".to_owned(),
        payload: format!("{{\"proposal_id\":\"{about}\",\"decision\":\"approve\"}}").into_bytes(),
        signatures: vec![Signature {
            key_id: "sk_0000000000000000".to_owned(),
            sig: vec![7; 64],
            batch: None,
        }],
    }
}

async fn reviews(hands: &StolenGateway, attempts: &mut Attempts, id: &str, signed: &DsseEnvelope) {
    let path = |method: &str| format!("{LEDGER}.{method}");
    let list = ledger::ListProposalsRequest {
        tenant: "globex".to_owned(),
        ..Default::default()
    };
    let answer = call_with(&hands.ledger, &path("ReviewService/ListProposals"), list).await;
    closed(attempts, "list the proposals of a tenant", answer);
    let get = ledger::GetProposalRequest {
        proposal_ref: id.to_owned(),
        known: None,
    };
    let answer = call_with(&hands.ledger, &path("ReviewService/GetProposal"), get).await;
    closed(attempts, "show a proposal as an operator", answer);
    let decide = ledger::SubmitDecisionRequest {
        request_id: "0".repeat(32),
        decision: Some(signed.clone()),
    };
    let answer = call_with(&hands.ledger, &path("ReviewService/SubmitDecision"), decide).await;
    closed(attempts, "approve a proposal", answer);
    let apply = ledger::SubmitApplyOrderRequest {
        request_id: "0".repeat(32),
        apply_order: Some(signed.clone()),
    };
    let answer = call_with(&hands.ledger, &path("ReviewService/SubmitApplyOrder"), apply).await;
    closed(attempts, "order a proposal to be applied", answer);
    let evidence = ledger::ListEvidenceRequest {
        tenant: "globex".to_owned(),
        ..Default::default()
    };
    let answer = call_with(&hands.ledger, &path("EventService/ListEvidence"), evidence).await;
    closed(attempts, "list the evidence of a tenant", answer);
    let replay = ledger::GetReplayRequest {
        proposal: id.to_owned(),
        known: None,
        ..Default::default()
    };
    let answer = call_with(&hands.ledger, &path("EventService/GetReplay"), replay).await;
    closed(attempts, "export the replay of a proposal", answer);
    let tail = ledger::TailRequest {
        follow: true,
        ..Default::default()
    };
    let answer = call_with(&hands.ledger, &path("EventService/Tail"), tail).await;
    closed(attempts, "follow the log", answer);
}

async fn writebacks(hands: &StolenGateway, attempts: &mut Attempts, id: &str, signed: &DsseEnvelope) {
    let path = |method: &str| format!("{LEDGER}.{method}");
    let proposal = ledger::ProposalCall {
        proposal: Some(signed.clone()),
        evidence: Some(signed.clone()),
        audit: b"{}".to_vec(),
    };
    let submission = ledger::SubmitRequest {
        records: vec![ledger::CallRecord {
            request_id: "0".repeat(32),
            traceparent: String::new(),
            record: Some(ledger::call_record::Record::Proposal(proposal)),
        }],
        known: None,
    };
    let answer = call_with(&hands.ledger, &path("IntakeService/Submit"), submission).await;
    closed(attempts, "file a proposal past the reader", answer);
    let lease = ledger::LeaseJobsRequest {
        source_ids: vec!["billing_db".to_owned()],
        capacity: 1,
        capacity_per_source: 1,
        ..Default::default()
    };
    let answer = call_with(&hands.ledger, &path("WritebackService/LeaseJobs"), lease).await;
    closed(attempts, "lease jobs", answer);
    let settle = ledger::FinishAttemptRequest {
        proposal_id: id.to_owned(),
        attempt: Some(signed.clone()),
        receipt: Some(signed.clone()),
        ..Default::default()
    };
    let answer = call_with(&hands.ledger, &path("WritebackService/FinishAttempt"), settle).await;
    closed(attempts, "settle a job", answer);
}

async fn writers(hands: &StolenGateway, attempts: &mut Attempts, signed: &DsseEnvelope) {
    let path = |method: &str| format!("{EXECUTOR}.{method}");
    let preview = executor::DryRunRequest {
        proposal: Some(signed.clone()),
    };
    let answer = call_with(&hands.writer, &path("WriterService/DryRun"), preview).await;
    closed(attempts, "dry-run a proposal", answer);
    let deny = executor::RejectRequest {
        proposal: Some(signed.clone()),
        decision: Some(signed.clone()),
    };
    let answer = call_with(&hands.writer, &path("WriterService/Reject"), deny).await;
    closed(attempts, "reject a proposal at the writer", answer);
    for frozen in [true, false] {
        let freeze = executor::SetFrozenRequest {
            frozen,
            unfreeze: Some(signed.clone()),
            freeze: None,
        };
        let answer = call_with(&hands.writer, &path("WriterService/SetFrozen"), freeze).await;
        closed(attempts, &format!("freeze: {frozen}"), answer);
    }
    let inspect = executor::InspectRequest {
        source_id: "billing_db".to_owned(),
        schema: None,
        table: Some("invoices".to_owned()),
    };
    let answer = call_with(&hands.reader, &path("SchemaService/Inspect"), inspect).await;
    closed(attempts, "inspect the database", answer);
}
