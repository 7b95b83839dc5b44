//! gRPC failures: every RPC with an empty message, with invalid bytes and by an unauthorized caller, and record
//! RPCs by the authorized one.

use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _};
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{Endpoint, connect};
use synapsor_chassis::identity::Role;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL};
use synapsor_proto::common::v1::DsseEnvelope;
use synapsor_proto::executor::v1::{CallCapabilitiesRequest, CapabilityCall, IssueContextTicketResponse};
use synapsor_proto::ledger::v1 as wire;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};

use super::scene::Scene;
use crate::access::{all_rpcs, is_allowed, served_by};
use crate::cli::INVOICE;
use crate::now;

const ISSUE_TICKET: &str = "/synapsor.executor.v1.AgentService/IssueContextTicket";
const GARBAGE: &[u8] = b"\x0a\xff\xff\xff\xff\x0f not a message";

pub(super) async fn all(scene: &mut Scene, proposal: &str) -> anyhow::Result<()> {
    let authority = DevCa::load(&scene.state("ca"))?;
    let instance = own_instance(scene)?;
    let mut ticket = None;
    for served in [Role::Reader, Role::Writer, Role::Ledger] {
        let address = scene.address(&served.to_string())?;
        for caller in Role::ALL {
            let name = match caller {
                Role::Ledger => None,
                Role::Gateway | Role::Reader | Role::Writer => Some(instance.as_str()),
                Role::Operator => Some("alice"),
            };
            let time = now().as_unix_millis();
            let material = authority.issue(caller, name, LEAF_TTL, time)?.material(time)?;
            let channel = connect(&material, &Endpoint::new(served, address.as_str()))?;
            for rpc in all_rpcs().iter().filter(|rpc| served_by(&rpc.service) == served) {
                let (path, allowed) = (rpc.path(), is_allowed(caller, &rpc.service, served));
                let from = format!("{path} by the {caller}");
                for message in [&b""[..], GARBAGE] {
                    // A lease stream stays open and takes jobs from the real writer.
                    if allowed && rpc.name == "Lease" && message.is_empty() {
                        continue;
                    }
                    let answer = call(&channel, &path, message).await;
                    scene.capture.add(from.clone(), bytes(&answer));
                    if !allowed || message == GARBAGE {
                        scene.failed(&from, answer.is_err(), "it answered");
                    }
                }
            }
            for (path, message) in records(caller, served, proposal, ticket.as_ref()) {
                let answer = call(&channel, path, &message).await;
                anyhow::ensure!(answer.is_ok(), "{path}: {answer:?}");
                scene.capture.add(path, bytes(&answer));
                if path == ISSUE_TICKET {
                    ticket = IssueContextTicketResponse::decode(answer?.as_slice())?.ticket;
                }
            }
        }
    }
    Ok(())
}

/// Instance of the services that `up` started, from the names of their certificates.
fn own_instance(scene: &Scene) -> anyhow::Result<String> {
    for entry in std::fs::read_dir(scene.state("certs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(instance) = name.strip_prefix("gateway-") {
            return Ok(instance.to_owned());
        }
    }
    anyhow::bail!("no certificate of a gateway")
}

/// Requests whose responses contain records.
fn records(
    caller: Role,
    served: Role,
    proposal: &str,
    ticket: Option<&DsseEnvelope>,
) -> Vec<(&'static str, Vec<u8>)> {
    let id = || proposal.to_owned();
    match (caller, served) {
        (Role::Gateway, Role::Reader) => {
            let arguments_json = format!("{{\"invoice_id\":\"{INVOICE}\"}}").into_bytes();
            let capability = "billing.inspect_invoice".to_owned();
            let call = CapabilityCall {
                number: 1,
                capability,
                arguments_json,
                result_format: 2,
                ..CapabilityCall::default()
            };
            let calls = CallCapabilitiesRequest {
                calls: vec![call],
                canceled: Vec::new(),
            };
            vec![
                (
                    "/synapsor.executor.v1.AgentService/CallCapabilities",
                    calls.encode_to_vec(),
                ),
                (ISSUE_TICKET, Vec::new()),
            ]
        }
        (Role::Gateway, Role::Ledger) => {
            let get = wire::AgentRecordServiceGetProposalRequest {
                ticket: ticket.cloned(),
                proposal_id: id(),
            };
            let replay = wire::AgentRecordServiceGetReplayRequest {
                ticket: ticket.cloned(),
                replay_id: id(),
            };
            vec![
                (
                    "/synapsor.ledger.v1.AgentRecordService/GetProposal",
                    get.encode_to_vec(),
                ),
                (
                    "/synapsor.ledger.v1.AgentRecordService/GetReplay",
                    replay.encode_to_vec(),
                ),
            ]
        }
        (Role::Operator, Role::Ledger) => {
            let get = wire::GetProposalRequest {
                proposal_ref: id(),
                known: None,
            };
            let tail = wire::TailRequest {
                limit: 200,
                ..Default::default()
            };
            let replay = wire::GetReplayRequest {
                proposal: id(),
                ..Default::default()
            };
            vec![
                (
                    "/synapsor.ledger.v1.ReviewService/GetProposal",
                    get.encode_to_vec(),
                ),
                ("/synapsor.ledger.v1.EventService/Tail", tail.encode_to_vec()),
                (
                    "/synapsor.ledger.v1.EventService/GetReplay",
                    replay.encode_to_vec(),
                ),
                ("/synapsor.ledger.v1.EventService/ListEvidence", Vec::new()),
                ("/synapsor.ledger.v1.EventService/ListReceipts", Vec::new()),
                ("/synapsor.ledger.v1.EventService/ListAuditRecords", Vec::new()),
                ("/synapsor.ledger.v1.WebhookService/ListWebhooks", Vec::new()),
            ]
        }
        _ => Vec::new(),
    }
}

/// All bytes of a response that a caller sees.
fn bytes(answer: &Result<Vec<u8>, Status>) -> Vec<u8> {
    match answer {
        Ok(bytes) => bytes.clone(),
        Err(status) => {
            let text = format!("{:?} {} {:?}", status.code(), status.message(), status.metadata());
            [text.as_bytes(), status.details()].concat()
        }
    }
}

async fn call(channel: &Channel, path: &str, message: &[u8]) -> Result<Vec<u8>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready()
        .await
        .map_err(|e| Status::unavailable(e.to_string()))?;
    let path = path.parse().expect("a path");
    let mut answers = grpc
        .server_streaming(Request::new(message.to_vec()), path, Raw)
        .await?
        .into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.extend(answer);
    }
    Ok(all)
}

/// Codec of raw message bytes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
