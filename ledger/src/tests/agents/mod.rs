//! Records that gateways read, over real gRPC with certificates: two tenants, a served ledger, and the tickets
//! that a reader would mint.

mod cost;
mod isolation;
mod tickets;
mod watch;
mod withdraw;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{Endpoint, connect};
use synapsor_chassis::grpc_server::{GrpcServer, ServerLimits};
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL};
use synapsor_codes::ErrorCode;
use synapsor_domain::agent_view::AgentProposalState;
use synapsor_domain::context_ticket::{ContextTicket, RecordKind, TicketAudience, TicketContext};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_proto::common::v1 as common;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::agent_record_service_client::AgentRecordServiceClient;
use synapsor_proto::status::from_status;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use crate::test_kit::{Draft, ORIGIN, READER_KEY, TestLedger, seal, with_evidence};
use crate::{STREAMING_METHODS, access_table, routes};

const DEPLOYMENT: &str = "dep-test";
pub(super) const GATEWAY: &str = "spiffe://dep-test/gateway/g1";

/// Tenant, and principal in it.
pub(super) const ANN: (&str, &str) = ("acme", "agent-1");
pub(super) const BEN: (&str, &str) = ("acme", "agent-2");
pub(super) const NORA: (&str, &str) = ("north", "agent-1");

pub(super) struct Scene {
    pub(super) world: TestLedger,
    ca: DevCa,
    address: String,
    _stop: DropGuard,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let world = TestLedger::new();
        let now = SystemClock.now_ms();
        let ca = DevCa::create(&world.dir.path().join("ca"), DEPLOYMENT, now).unwrap();
        let own = ca
            .issue(Role::Ledger, None, LEAF_TTL, now)
            .unwrap()
            .material(now)
            .unwrap();
        let limits = ServerLimits::default().with_streaming(&STREAMING_METHODS);
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = GrpcServer::bind(listen, &own, access_table(DEPLOYMENT), limits)
            .await
            .unwrap();
        let address = server.local_addr().to_string();
        let stop = CancellationToken::new();
        let served = server.serve(routes(&world.ledger, &stop, None), stop.clone());
        tokio::spawn(served);
        Self {
            world,
            ca,
            address,
            _stop: stop.drop_guard(),
        }
    }

    pub(super) fn channel(&self, role: Role, instance: Option<&str>) -> Channel {
        let now = SystemClock.now_ms();
        let leaf = self.ca.issue(role, instance, LEAF_TTL, now).unwrap();
        let target = Endpoint::new(Role::Ledger, self.address.as_str());
        connect(&leaf.material(now).unwrap(), &target).unwrap()
    }

    /// Returns a client of the service for the gateway of this instance.
    pub(super) fn gateway(&self, instance: &str) -> Gateway {
        Gateway {
            client: AgentRecordServiceClient::new(self.channel(Role::Gateway, Some(instance))),
        }
    }

    /// Returns the ticket that a reader would mint for these contexts, for the gateway `g1`.
    pub(super) fn ticket(&self, contexts: &[(&str, &str)]) -> ContextTicket {
        let mut contexts: Vec<_> = contexts
            .iter()
            .map(|(tenant, principal)| TicketContext {
                principal: (*principal).to_owned(),
                tenant: (*tenant).to_owned(),
            })
            .collect();
        contexts.sort();
        let now = self.world.now();
        let columns = vec!["id".to_owned(), "fee".to_owned()];
        ContextTicket {
            audience: TicketAudience::Ledger,
            contexts,
            deployment_id: DEPLOYMENT.to_owned(),
            environment: DeploymentEnvironment::Dev,
            expires_at: now + Span::minutes(5),
            gateway: GATEWAY.to_owned(),
            issued_at: now,
            kinds: RecordKind::ALL.to_vec(),
            ledger_origin: ORIGIN.to_owned(),
            may_withdraw: true,
            v: 1,
            visible: [("billing.waive_fee".to_owned(), columns)].into(),
        }
    }

    pub(super) fn signed(&self, contexts: &[(&str, &str)]) -> common::DsseEnvelope {
        sign(&self.ticket(contexts))
    }

    /// Returns a change that this principal proposes.
    pub(super) fn draft(&self, (tenant, principal): (&str, &str), new_value: &str) -> Draft {
        let mut draft = self.world.draft(new_value);
        for by in [&mut draft.proposal.requested_by, &mut draft.evidence.requested_by] {
            by.tenant = tenant.to_owned();
            by.principal = principal.to_owned();
        }
        with_evidence(draft)
    }
}

pub(super) fn sign(ticket: &ContextTicket) -> common::DsseEnvelope {
    (&seal(ObjectKind::ContextTicket, ticket, READER_KEY)).into()
}

pub(super) fn envelope(signed: common::DsseEnvelope) -> DsseEnvelope {
    signed.try_into().unwrap()
}

/// Client with a gateway's certificate.
pub(super) struct Gateway {
    pub(super) client: AgentRecordServiceClient<Channel>,
}

impl Gateway {
    pub(super) async fn proposal(
        &mut self,
        ticket: &common::DsseEnvelope,
        id: &str,
    ) -> Result<wire::AgentRecordServiceGetProposalResponse, Status> {
        let request = wire::AgentRecordServiceGetProposalRequest {
            ticket: Some(ticket.clone()),
            proposal_id: id.to_owned(),
        };
        self.client
            .get_proposal(request)
            .await
            .map(tonic::Response::into_inner)
    }

    pub(super) async fn evidence(
        &mut self,
        ticket: &common::DsseEnvelope,
        id: &str,
    ) -> Result<Vec<u8>, Status> {
        let request = wire::AgentRecordServiceGetEvidenceRequest {
            ticket: Some(ticket.clone()),
            evidence_id: id.to_owned(),
        };
        let answer = self.client.get_evidence(request).await?;
        Ok(answer.into_inner().record_json)
    }

    pub(super) async fn replay(
        &mut self,
        ticket: &common::DsseEnvelope,
        id: &str,
    ) -> Result<Vec<u8>, Status> {
        let request = wire::AgentRecordServiceGetReplayRequest {
            ticket: Some(ticket.clone()),
            replay_id: id.to_owned(),
        };
        let answer = self.client.get_replay(request).await?;
        Ok(answer.into_inner().record_json)
    }

    pub(super) async fn withdraw(
        &mut self,
        ticket: &common::DsseEnvelope,
        id: &str,
    ) -> Result<wire::WithdrawResponse, Status> {
        self.withdraw_as(ticket, id, &random::hex_id(16)).await
    }

    pub(super) async fn withdraw_as(
        &mut self,
        ticket: &common::DsseEnvelope,
        id: &str,
        request_id: &str,
    ) -> Result<wire::WithdrawResponse, Status> {
        let request = wire::WithdrawRequest {
            ticket: Some(ticket.clone()),
            proposal_id: id.to_owned(),
            request_id: request_id.to_owned(),
        };
        self.client
            .withdraw(request)
            .await
            .map(tonic::Response::into_inner)
    }

    pub(super) async fn watch(
        &mut self,
        ticket: &common::DsseEnvelope,
        after_seq: Option<u64>,
    ) -> Result<tonic::Streaming<wire::WatchResponse>, Status> {
        let request = wire::WatchRequest {
            ticket: Some(ticket.clone()),
            after_seq,
        };
        self.client.watch(request).await.map(tonic::Response::into_inner)
    }
}

pub(super) fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> ErrorCode {
    from_status(&answer.unwrap_err()).code
}

/// Returns every part of an error that the caller receives.
pub(super) fn error_bytes<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<u8> {
    let status = answer.unwrap_err();
    let mut headers = status.metadata().clone().into_headers();
    headers.remove("date");
    let text = format!("{:?} {} {headers:?}", status.code(), status.message());
    [text.as_bytes(), status.details()].concat()
}

pub(super) fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Returns an id that matches no record.
pub(super) fn unknown() -> ProposalId {
    ProposalId::from_random([0xee; 10])
}

/// Returns the word of a state on the wire.
pub(super) fn word(state: i32) -> &'static str {
    let wire = synapsor_proto::ledger::v1::AgentProposalState::try_from(state).unwrap();
    AgentProposalState::try_from(wire).unwrap().as_str()
}
