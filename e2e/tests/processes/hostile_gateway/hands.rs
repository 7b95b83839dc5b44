//! Attacker with the gateway's certificate.

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{Endpoint, connect};
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_chassis::tls::TlsFiles;
use synapsor_e2e::capability_calls::CapabilityCalls;
use synapsor_e2e::stack::INSTANCE;
use synapsor_proto::common::v1::DsseEnvelope;
use synapsor_proto::executor::v1::agent_service_client::AgentServiceClient;
use synapsor_proto::executor::v1::{
    CallCapabilitiesRequest, CapabilityCall, CapabilityResult, IssueContextTicketRequest,
};
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::agent_record_service_client::AgentRecordServiceClient;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::Scene;

/// Channels to reader, ledger and writer, with the files of the running gateway.
pub(crate) struct StolenGateway {
    pub(crate) reader: Channel,
    pub(crate) ledger: Channel,
    pub(crate) writer: Channel,
}

/// Methods that read or end a record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Proposal,
    Evidence,
    Replay,
    Withdraw,
    Watch,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [
        Self::Proposal,
        Self::Evidence,
        Self::Replay,
        Self::Withdraw,
        Self::Watch,
    ];
}

impl StolenGateway {
    pub(crate) fn of(scene: &Scene) -> anyhow::Result<Self> {
        let stack = &scene.tenants.stack;
        let name = format!("gateway-{INSTANCE}");
        let tls = TlsFiles::in_dir(&stack.deployment.path("certificates").join(&name), &name);
        let tls = tls.load()?;
        let writer = stack.writer.as_ref().map(|writer| writer.address.clone());
        let to = |role, address: &str| connect(&tls, &Endpoint::new(role, address));
        Ok(Self {
            reader: to(Role::Reader, &stack.reader.address)?,
            ledger: to(Role::Ledger, &stack.ledger.address)?,
            writer: to(Role::Writer, &writer.unwrap_or_default())?,
        })
    }

    /// One call; an error in the envelope counts as a refusal.
    pub(crate) async fn call(
        &mut self,
        token: &str,
        capability: &str,
        arguments: &str,
    ) -> Result<Vec<u8>, Status> {
        self.call_with(token, capability, arguments, &[]).await
    }

    pub(crate) async fn call_with(
        &mut self,
        token: &str,
        capability: &str,
        arguments: &str,
        metadata: &[(&'static str, &'static str)],
    ) -> Result<Vec<u8>, Status> {
        let call = CapabilityCall {
            capability: capability.to_owned(),
            arguments_json: arguments.as_bytes().to_vec(),
            result_format: 2,
            access_token: token.to_owned(),
            ..CapabilityCall::default()
        };
        let mut of_stream = MetadataMap::new();
        for (name, value) in metadata {
            of_stream.insert(*name, value.parse().expect("a value"));
        }
        let mut calls = CapabilityCalls::open(self.reader.clone(), of_stream).await?;
        of_answer(calls.call(call).await?)
    }

    /// Sends this many calls in one message.
    pub(crate) async fn flood(&mut self, calls: usize) -> Result<Vec<u8>, Status> {
        let message = CallCapabilitiesRequest {
            calls: vec![CapabilityCall::default(); calls],
            canceled: Vec::new(),
        };
        let mut client = AgentServiceClient::new(self.reader.clone());
        let answers = client.call_capabilities(tokio_stream::once(message)).await?;
        let mut answers = answers.into_inner();
        while answers.message().await?.is_some() {}
        Ok(Vec::new())
    }

    pub(crate) async fn ticket(&mut self, token: &str) -> Result<DsseEnvelope, Status> {
        let request = IssueContextTicketRequest {
            access_token: token.to_owned(),
        };
        let answer = AgentServiceClient::new(self.reader.clone())
            .issue_context_ticket(request)
            .await?;
        let ticket = answer.into_inner().ticket;
        ticket.ok_or_else(|| Status::internal("no ticket"))
    }

    /// Requests a record from the ledger with a ticket; returns the response.
    pub(crate) async fn ask(
        &mut self,
        way: Way,
        ticket: Option<DsseEnvelope>,
        id: &str,
    ) -> Result<Vec<u8>, Status> {
        let mut records = AgentRecordServiceClient::new(self.ledger.clone());
        let id = id.to_owned();
        match way {
            Way::Proposal => {
                let request = wire::AgentRecordServiceGetProposalRequest {
                    ticket,
                    proposal_id: id,
                };
                Ok(records.get_proposal(request).await?.into_inner().record_json)
            }
            Way::Evidence => {
                let request = wire::AgentRecordServiceGetEvidenceRequest {
                    ticket,
                    evidence_id: id,
                };
                Ok(records.get_evidence(request).await?.into_inner().record_json)
            }
            Way::Replay => {
                let request = wire::AgentRecordServiceGetReplayRequest {
                    ticket,
                    replay_id: id,
                };
                Ok(records.get_replay(request).await?.into_inner().record_json)
            }
            Way::Withdraw => {
                let request = wire::WithdrawRequest {
                    ticket,
                    proposal_id: id,
                    request_id: random::hex_id(16),
                };
                let answer = records.withdraw(request).await?.into_inner();
                Ok(format!("{answer:?}").into_bytes())
            }
            Way::Watch => {
                let request = wire::WatchRequest {
                    ticket,
                    after_seq: Some(0),
                };
                let first = records.watch(request).await?.into_inner().message().await?;
                Ok(format!("{first:?}").into_bytes())
            }
        }
    }
}

/// Content of a response, or the reason of its refusal.
pub(crate) fn of_answer(answer: CapabilityResult) -> Result<Vec<u8>, Status> {
    if !answer.is_error {
        return Ok(answer.envelope_json);
    }
    let text = format!(
        "{} {}",
        answer.code.as_deref().unwrap_or_default(),
        String::from_utf8_lossy(&answer.envelope_json)
    );
    let code = answer.code.as_deref().unwrap_or_default();
    Err(if code.contains("UNAVAILABLE") || code == "INTERNAL" {
        Status::unavailable(text)
    } else {
        Status::failed_precondition(text)
    })
}
