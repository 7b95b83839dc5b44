//! The way to the reader: its catalog once, then one call per tool call, each with a deadline. What comes back
//! is passed on, never judged.

use std::time::Duration;

use synapsor_chassis::grpc_channel::{self, CALL_TIMEOUT, Endpoint};
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::random;
use synapsor_chassis::retry::{RetryPolicy, retry};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_chassis::trace_context::TraceParent;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::error::PublicError;
use synapsor_proto::common::v1::DsseEnvelope;
use synapsor_proto::executor::v1::agent_service_client::AgentServiceClient;
use synapsor_proto::executor::v1::{
    CallCapabilityRequest, CallCapabilityResponse, GetCatalogRequest, GetJwksRequest,
    IssueContextTicketRequest, TokenPolicy,
};
use synapsor_proto::status;
use tokio::sync::Semaphore;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::caller::Caller;

/// Calls of one gateway that may be under way at once; more are told to come back. A reader takes as many on one
/// connection.
const CALLS_IN_FLIGHT_MAX: usize = 128;
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);

/// A reader that is started together with the gateway gets this long to come up.
const START: RetryPolicy = RetryPolicy {
    attempts_max: 100,
    pause_first: Duration::from_millis(50),
    pause_max: Duration::from_millis(500),
    total_max: Duration::from_secs(5),
};

/// A connection to one reader, made when first used and again when it breaks.
#[derive(Debug)]
pub(crate) struct Reader {
    client: AgentServiceClient<Channel>,
    channel: Channel,
    target: Endpoint,
    calls: Semaphore,
}

/// What the reader says about its tools.
#[derive(Debug)]
pub(crate) struct FetchedCatalog {
    /// UTF-8 JSON.
    pub(crate) json: Vec<u8>,
    pub(crate) digest: String,
    pub(crate) mode: String,
    /// `None` if the contract does not say.
    pub(crate) result_format: Option<ResultFormat>,
    /// Which access tokens callers show; `None` if they show none.
    pub(crate) authorization: Option<TokenPolicy>,
}

/// One tool call on its way to the reader.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) capability: String,
    /// The JSON text of the arguments as the client wrote it.
    pub(crate) arguments: Vec<u8>,
    pub(crate) format: ResultFormat,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) caller: Caller,
}

impl Reader {
    /// Nothing is dialled yet.
    pub(crate) fn connect(tls: &TlsMaterial, target: &Endpoint) -> Result<Self, ExitError> {
        let channel = grpc_channel::connect(tls, target)?;
        let client = AgentServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self {
            client,
            channel,
            target: target.clone(),
            calls: Semaphore::new(CALLS_IN_FLIGHT_MAX),
        })
    }

    /// The catalog; waits a few seconds for a reader that is still starting.
    pub(crate) async fn catalog(&self) -> Result<FetchedCatalog, ExitError> {
        let answer = retry(START, random::number, grpc_channel::is_unreachable, || {
            let mut client = self.client.clone();
            async move {
                let request = grpc_channel::with_deadline(GetCatalogRequest {}, CATALOG_TIMEOUT);
                client.get_catalog(request).await
            }
        })
        .await
        .map_err(|status| self.explain(&status))?
        .into_inner();
        Ok(FetchedCatalog {
            json: answer.catalog_json,
            digest: answer.digest,
            mode: answer.mode,
            result_format: match answer.result_format {
                1 => Some(ResultFormat::V1),
                2 => Some(ResultFormat::V2),
                _ => None,
            },
            authorization: answer.token_policy,
        })
    }

    /// The token issuer's key set; `refresh` lets the reader ask the issuer anew.
    pub(crate) async fn token_keys(&self, refresh: bool) -> Result<Vec<u8>, PublicError> {
        let request = grpc_channel::with_deadline(GetJwksRequest { refresh }, CALL_TIMEOUT);
        let answer = self.client.clone().get_jwks(request).await;
        answer
            .map(|answer| answer.into_inner().jwks_json)
            .map_err(|status| refusal(&status))
    }

    /// A context ticket for the caller, with the moment at which it ends in milliseconds since 1970.
    pub(crate) async fn ticket(&self, caller: &Caller) -> Result<(DsseEnvelope, i64), PublicError> {
        let message = IssueContextTicketRequest {
            access_token: caller.access_token().to_owned(),
        };
        let request = grpc_channel::with_deadline(message, CALL_TIMEOUT);
        let answer = self.client.clone().issue_context_ticket(request).await;
        let answer = answer.map_err(|status| refusal(&status))?.into_inner();
        let ticket = answer
            .ticket
            .ok_or_else(|| PublicError::new("INTERNAL", "the reader issued no ticket"))?;
        Ok((ticket, answer.expires_at_ms))
    }

    /// Whether the reader can be reached and serves.
    pub(crate) async fn is_answering(&self) -> bool {
        grpc_channel::check_health(&self.channel, &self.target, PROBE_TIMEOUT)
            .await
            .is_ok()
    }

    fn explain(&self, status: &Status) -> ExitError {
        grpc_channel::status_to_error(status, &self.target).unwrap_or_else(|| {
            let refusal = status::from_status(status);
            ExitError::new(refusal.code.into_owned(), refusal.public)
                .with_fix("look at the reader's log, then start the gateway again")
        })
    }

    /// One call. Dropping the future cancels it at the reader.
    pub(crate) async fn call(&self, call: Call) -> Result<CallCapabilityResponse, PublicError> {
        let _permit = self
            .calls
            .try_acquire()
            .map_err(|_| unavailable("too many calls under way"))?;
        let message = CallCapabilityRequest {
            capability: call.capability,
            arguments_json: call.arguments,
            result_format: match call.format {
                ResultFormat::V1 => 1,
                ResultFormat::V2 => 2,
            },
            access_token: call.caller.access_token().to_owned(),
        };
        let mut request = grpc_channel::with_deadline(message, CALL_TIMEOUT);
        if let Some(trace) = call.trace {
            trace.inject(request.metadata_mut());
        }
        let mut client = self.client.clone();
        let answer = client.call_capability(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| refusal(&status))
    }
}

/// The caller may try again after what passes by itself, and not after anything else.
fn refusal(status: &Status) -> PublicError {
    let passes = grpc_channel::is_unreachable(status)
        || grpc_channel::is_timeout(status)
        || matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
    let cause = status::from_status(status);
    tracing::warn!(code = %cause.code, "the reader did not answer a call");
    if passes { unavailable(&cause.code) } else { cause }
}

fn unavailable(why: &str) -> PublicError {
    PublicError::new("EXECUTOR_UNAVAILABLE", "the reader cannot be reached now").with_detail(why)
}
