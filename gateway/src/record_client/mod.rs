//! Records that agents read: proposals, evidence, replays, and changes to proposals. The reader signs a context
//! ticket for this gateway and caller, and the ledger decides which records and fields the ticket gives access to.
//! The gateway forwards them unchanged.

mod address;
mod changes;
mod tickets;

use std::sync::Arc;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{self, CALL_TIMEOUT, Endpoint};
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_proto::ledger::v1::agent_record_service_client::AgentRecordServiceClient;
use synapsor_proto::ledger::v1::{
    AgentRecordServiceGetEvidenceRequest, AgentRecordServiceGetProposalRequest,
    AgentRecordServiceGetProposalResponse, AgentRecordServiceGetReplayRequest, WithdrawRequest,
    WithdrawResponse,
};
use synapsor_proto::status;
use tonic::{Response, Status};

pub(crate) use address::{ResourceUri, TEMPLATES};
pub(crate) use changes::{ChangeEvent, ChangeStream};

use crate::caller::Caller;
use crate::reader_client::ReaderClient;
use tickets::Tickets;

/// Client of the ledger's agent record service.
#[derive(Debug)]
pub(crate) struct RecordClient {
    client: AgentRecordServiceClient<Channel>,
    tickets: Tickets,
}

/// Digits of a request id, which makes a repeated withdrawal idempotent.
const REQUEST_DIGITS: usize = 20;

impl RecordClient {
    /// Creates the client without connecting.
    pub(crate) fn connect(
        tls: &TlsMaterial,
        ledger: &Endpoint,
        reader: Arc<ReaderClient>,
    ) -> Result<Self, ExitError> {
        let channel = grpc_channel::connect(tls, ledger)?;
        let client = AgentRecordServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self {
            client,
            tickets: Tickets::new(reader),
        })
    }

    /// Returns the JSON of one record, as the ledger limits it for this caller.
    ///
    /// # Errors
    /// `RECORD_NOT_FOUND` for missing records and those of other callers; retryable errors for temporary failures.
    pub(crate) async fn read(&self, caller: &Caller, address: &ResourceUri) -> Result<Vec<u8>, PublicError> {
        match address {
            ResourceUri::Proposal(id) => Ok(self.proposal(caller, id).await?.record_json),
            ResourceUri::Evidence(id) => {
                let message = AgentRecordServiceGetEvidenceRequest {
                    ticket: Some(self.tickets.of(caller).await?),
                    evidence_id: id.clone(),
                };
                let request = grpc_channel::with_deadline(message, CALL_TIMEOUT);
                Ok(self
                    .map_response(self.client.clone().get_evidence(request).await)?
                    .record_json)
            }
            ResourceUri::Replay(id) => {
                let message = AgentRecordServiceGetReplayRequest {
                    ticket: Some(self.tickets.of(caller).await?),
                    replay_id: id.clone(),
                };
                let request = grpc_channel::with_deadline(message, CALL_TIMEOUT);
                Ok(self
                    .map_response(self.client.clone().get_replay(request).await)?
                    .record_json)
            }
        }
    }

    /// Returns a proposal with its state.
    pub(crate) async fn proposal(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<AgentRecordServiceGetProposalResponse, PublicError> {
        let message = AgentRecordServiceGetProposalRequest {
            ticket: Some(self.tickets.of(caller).await?),
            proposal_id: id.to_owned(),
        };
        let request = grpc_channel::with_deadline(message, CALL_TIMEOUT);
        self.map_response(self.client.clone().get_proposal(request).await)
    }

    /// Returns a proposal that this principal created.
    ///
    /// # Errors
    /// `RECORD_NOT_FOUND` for missing proposals and those of other principals; retryable errors for temporary
    /// failures.
    pub(crate) async fn own_proposal(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<AgentRecordServiceGetProposalResponse, PublicError> {
        match self.proposal(caller, id).await {
            Ok(record) if record.is_own => Ok(record),
            Ok(_) => Err(not_own()),
            Err(refusal) if refusal.code == ErrorCode::RecordNotFound => Err(not_own()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Withdraws the caller's own proposal, unless an attempt has started.
    pub(crate) async fn withdraw(&self, caller: &Caller, id: &str) -> Result<WithdrawResponse, PublicError> {
        let message = WithdrawRequest {
            ticket: Some(self.tickets.of(caller).await?),
            proposal_id: id.to_owned(),
            request_id: random::hex_id(REQUEST_DIGITS),
        };
        let request = grpc_channel::with_deadline(message, CALL_TIMEOUT);
        self.map_response(self.client.clone().withdraw(request).await)
    }

    fn map_response<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, PublicError> {
        answer
            .map(Response::into_inner)
            .map_err(|status| refusal(&status))
    }
}

/// Same error for missing proposals, those of other principals, and malformed ids.
fn not_own() -> PublicError {
    PublicError::new(ErrorCode::RecordNotFound, "no such proposal of this principal")
}

/// Maps temporary failures to a retryable error, and keeps the ledger's other errors.
fn refusal(status: &Status) -> PublicError {
    let passes = grpc_channel::is_unreachable(status) || grpc_channel::is_timeout(status);
    let cause = status::from_status(status);
    if passes {
        tracing::warn!(code = %cause.code, "ledger call failed");
        return PublicError::new(
            ErrorCode::LedgerUnavailable,
            "The records are unavailable; try again later.",
        );
    }
    cause
}
