//! gRPC service of a reader for the gateway.

use std::sync::Arc;

use synapsor_chassis::grpc_channel::caller;
use synapsor_chassis::grpc_server::CallPermits;
use synapsor_chassis::secret::Secret;
use synapsor_chassis::trace_context::TraceParent;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::error::PublicError;
use synapsor_proto::executor::v1 as wire;
use synapsor_proto::executor::v1::agent_service_server::AgentService;
use synapsor_proto::status::to_status;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::call_stream::{self, AnswerStream};
use crate::call_handler::{self, CapabilityCall};
use crate::role::ReaderRole;
use crate::ticket;

/// Path of the stream of calls, for the log.
const CALLS_PATH: &str = "/synapsor.executor.v1.AgentService/CallCapabilities";

/// Service of a reader.
#[derive(Debug, Clone)]
pub struct AgentRpc {
    reader: Arc<ReaderRole>,
    /// Canceled when the server stops: streams of calls end then.
    stop: CancellationToken,
}

impl AgentRpc {
    pub const fn new(reader: Arc<ReaderRole>, stop: CancellationToken) -> Self {
        Self { reader, stop }
    }

    /// Runs one call of a stream, for the gateway with this identity.
    ///
    /// # Errors
    /// Why the call has no result, not even a refusal.
    pub async fn call(
        &self,
        call: wire::CapabilityCall,
        gateway: String,
    ) -> Result<wire::CapabilityResult, PublicError> {
        let call = CapabilityCall {
            capability: call.capability,
            arguments_json: call.arguments_json,
            format: format(call.result_format)?,
            access_token: Secret::new(call.access_token),
            client: gateway,
            // A malformed trace counts as absent.
            trace: call.traceparent.parse().ok(),
        };
        let trace_id = call.trace.as_ref().map(TraceParent::trace_id);
        let span = tracing::info_span!("call", path = CALLS_PATH, peer = %call.client, trace_id);
        let answer = call_handler::answer(&self.reader, &call).instrument(span).await;
        Ok(wire::CapabilityResult {
            envelope_json: answer.envelope_json,
            is_error: answer.code.is_some(),
            code: answer.code.map(|code| code.to_string()),
            model_text: answer.model_text,
        })
    }
}

fn format(number: u32) -> Result<Option<ResultFormat>, PublicError> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(ResultFormat::V1)),
        2 => Ok(Some(ResultFormat::V2)),
        _ => Err(PublicError::new(
            ErrorCode::Malformed,
            "result_format: must be 1 or 2, or 0 for the contract's own",
        )),
    }
}

#[tonic::async_trait]
impl AgentService for AgentRpc {
    async fn get_catalog(
        &self,
        _: Request<wire::GetCatalogRequest>,
    ) -> Result<Response<wire::GetCatalogResponse>, Status> {
        let catalog = &self.reader.catalog;
        let catalog_json = serde_json::to_vec(catalog)
            .map_err(|_| to_status(&PublicError::new(ErrorCode::Internal, "catalog not serializable")))?;
        let result_format = match self.reader.contract.result_format() {
            ResultFormat::V1 => 1,
            ResultFormat::V2 => 2,
        };
        Ok(Response::new(wire::GetCatalogResponse {
            catalog_json,
            digest: catalog.digest().to_string(),
            result_format,
            mode: wire::Mode::from(self.reader.mode()).into(),
            token_policy: self.reader.callers.policy().cloned().map(Into::into),
        }))
    }

    async fn get_jwks(
        &self,
        request: Request<wire::GetJwksRequest>,
    ) -> Result<Response<wire::GetJwksResponse>, Status> {
        let keys = self.reader.callers.published_keys(request.into_inner().refresh);
        let jwks_json = keys.await.map_err(|refusal| to_status(&refusal))?;
        Ok(Response::new(wire::GetJwksResponse { jwks_json }))
    }

    type CallCapabilitiesStream = AnswerStream;

    async fn call_capabilities(
        &self,
        request: Request<Streaming<wire::CallCapabilitiesRequest>>,
    ) -> Result<Response<AnswerStream>, Status> {
        let client = client(&request)?;
        let permits = CallPermits::of(&request).ok_or_else(|| {
            to_status(&PublicError::new(
                ErrorCode::Internal,
                "the call has no connection",
            ))
        })?;
        let service = self.clone();
        let run = move |call| {
            let (service, client) = (service.clone(), client.clone());
            async move { service.call(call, client).await }
        };
        let answers = call_stream::serve(request.into_inner(), permits, self.stop.clone(), run);
        Ok(Response::new(answers))
    }

    async fn issue_context_ticket(
        &self,
        request: Request<wire::IssueContextTicketRequest>,
    ) -> Result<Response<wire::IssueContextTicketResponse>, Status> {
        let gateway = client(&request)?;
        let access_token = Secret::new(request.into_inner().access_token);
        let caller = self.reader.callers.identify(access_token.expose()).await;
        let issued = caller.and_then(|caller| ticket::issue(&self.reader, &caller, &gateway));
        let issued = issued.map_err(|refusal| {
            let detail = refusal.detail.as_deref().unwrap_or_default();
            tracing::warn!(code = %refusal.code, detail, "context ticket not issued");
            to_status(&refusal)
        })?;
        Ok(Response::new(wire::IssueContextTicketResponse {
            ticket: Some(issued.ticket.into()),
            expires_at_ms: issued.expires_at.as_unix_millis(),
        }))
    }
}

/// Returns the identity in the calling gateway's certificate.
fn client<T>(request: &Request<T>) -> Result<String, Status> {
    caller(request).map(ToString::to_string).ok_or_else(|| {
        to_status(&PublicError::new(
            ErrorCode::IdentityNotAllowed,
            "peer identity missing",
        ))
    })
}
