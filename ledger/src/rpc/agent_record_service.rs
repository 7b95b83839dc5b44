//! `AgentRecordService`: records that gateways read for their agents. Every request carries its own context
//! ticket.

use synapsor_domain::context_ticket::VerifiedTicket;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_proto::common::v1 as common;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1::agent_record_service_server::AgentRecordService;
use synapsor_proto::ledger::v1::watch_response::Message;
use synapsor_proto::ledger::v1::{
    AgentProposalState, AgentRecordServiceGetEvidenceRequest, AgentRecordServiceGetEvidenceResponse,
    AgentRecordServiceGetProposalRequest, AgentRecordServiceGetProposalResponse,
    AgentRecordServiceGetReplayRequest, AgentRecordServiceGetReplayResponse, WatchChange, WatchPosition,
    WatchRequest, WatchResponse, WithdrawRequest, WithdrawResponse,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{LedgerServices, caller, refuse};
use crate::RequestContext;
use crate::error::status_of;
use crate::store::StoreTxError;
use crate::watch::WatchMessage;

/// Number of changes buffered for a slow connection.
const CHANGES_BUFFERED: usize = 16;

type WatchResponses =
    std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AgentRecordService for LedgerServices {
    type WatchStream = WatchResponses;

    async fn get_proposal(
        &self,
        request: Request<AgentRecordServiceGetProposalRequest>,
    ) -> Result<Response<AgentRecordServiceGetProposalResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let ticket = self.ticket(&caller, message.ticket)?;
        let record = self
            .ledger
            .proposal_for(ticket, message.proposal_id)
            .await
            .map_err(status_of)?;
        Ok(Response::new(AgentRecordServiceGetProposalResponse {
            record_json: record.json.to_string().into_bytes(),
            state: AgentProposalState::from(record.state).into(),
            is_final: record.state.is_final(),
            is_own: record.principal_matches,
            created_at_ms: record.proposal.created_at.as_unix_millis(),
            updated_at_ms: record.updated_at.as_unix_millis(),
            not_after_ms: record.proposal.not_after.as_unix_millis(),
            capability: record.proposal.capability,
        }))
    }

    async fn get_evidence(
        &self,
        request: Request<AgentRecordServiceGetEvidenceRequest>,
    ) -> Result<Response<AgentRecordServiceGetEvidenceResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let ticket = self.ticket(&caller, message.ticket)?;
        let json = self
            .ledger
            .evidence_for(ticket, message.evidence_id)
            .await
            .map_err(status_of)?;
        Ok(Response::new(AgentRecordServiceGetEvidenceResponse {
            record_json: json.to_string().into_bytes(),
        }))
    }

    async fn get_replay(
        &self,
        request: Request<AgentRecordServiceGetReplayRequest>,
    ) -> Result<Response<AgentRecordServiceGetReplayResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let ticket = self.ticket(&caller, message.ticket)?;
        let json = self
            .ledger
            .replay_for(ticket, message.replay_id)
            .await
            .map_err(status_of)?;
        Ok(Response::new(AgentRecordServiceGetReplayResponse {
            record_json: json.to_string().into_bytes(),
        }))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<WatchResponses>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let ticket = self.ticket(&caller, message.ticket)?;
        let watch = self
            .ledger
            .watch(&caller, ticket, message.after_seq)
            .map_err(refuse)?;
        let (sender, receiver) = mpsc::channel(CHANGES_BUFFERED);
        tokio::spawn(watch.run(sender, self.stop.clone()));
        let stream = ReceiverStream::new(receiver).map(|item| item.map(to_wire).map_err(refuse));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn withdraw(
        &self,
        request: Request<WithdrawRequest>,
    ) -> Result<Response<WithdrawResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let ticket = self.ticket(&caller, message.ticket)?;
        let done = self
            .ledger
            .withdraw(caller, &message.request_id, ticket, message.proposal_id)
            .await
            .map_err(status_of)?;
        Ok(Response::new(WithdrawResponse {
            withdrawn: done.refusal.is_none(),
            state: AgentProposalState::from(done.state).into(),
            code: done.refusal.map(|refusal| refusal.code.to_string()),
        }))
    }
}

impl LedgerServices {
    /// Decodes the ticket of a request; a missing or malformed ticket gets the same error as any other refused
    /// ticket.
    fn ticket(
        &self,
        caller: &RequestContext,
        signed: Option<common::DsseEnvelope>,
    ) -> Result<VerifiedTicket, Status> {
        required("ticket", signed)
            .and_then(DsseEnvelope::try_from)
            .map_err(|refusal| VerifiedTicket::unreadable(&refusal.public))
            .and_then(|envelope| self.ledger.verify_ticket(caller, envelope))
            .map_err(|refusal| status_of(StoreTxError::Refused(refusal)))
    }
}

fn to_wire(message: WatchMessage) -> WatchResponse {
    let wire = match message {
        WatchMessage::Position(seq) => Message::Position(WatchPosition { seq }),
        WatchMessage::Change {
            change,
            principal_matches,
        } => Message::Change(WatchChange {
            seq: change.seq,
            proposal_id: change.proposal.to_string(),
            state: AgentProposalState::from(change.state).into(),
            is_final: change.state.is_final(),
            is_own: principal_matches,
        }),
    };
    WatchResponse { message: Some(wire) }
}
