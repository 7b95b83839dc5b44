//! Client of the reader: fetches the catalog once, then makes one gRPC call with a deadline per tool call.
//! Forwards results unchanged.

mod call_stream;

use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{self, CALL_TIMEOUT, Endpoint};
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::random;
use synapsor_chassis::retry::{Backoff, RetryPolicy, retry};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_chassis::trace_context::TraceParent;
use synapsor_codes::{ErrorCode, RpcStatus};
use synapsor_domain::contract::{Mode, ResultFormat};
use synapsor_domain::error::PublicError;
use synapsor_proto::common::v1::DsseEnvelope;
use synapsor_proto::executor::v1::agent_service_client::AgentServiceClient;
use synapsor_proto::executor::v1::capability_answer::Outcome;
use synapsor_proto::executor::v1::{
    CapabilityCall, CapabilityResult, GetCatalogRequest, GetJwksRequest, IssueContextTicketRequest,
    TokenPolicy,
};
use synapsor_proto::status;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use self::call_stream::CallStreams;
use crate::caller::Caller;

/// Maximum number of concurrent calls per gateway; further calls get a retryable error. A reader accepts the same
/// number per connection.
const CALLS_IN_FLIGHT_MAX: usize = 128;
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Backoff while a reader that starts together with the gateway comes up.
const START: RetryPolicy = RetryPolicy {
    attempts_max: 100,
    backoff: Backoff {
        first: Duration::from_millis(50),
        longest: Duration::from_millis(500),
    },
    total_max: Duration::from_secs(5),
};

/// Connection to one reader, opened on first use and reopened after a failure.
#[derive(Debug)]
pub(crate) struct ReaderClient {
    client: AgentServiceClient<Channel>,
    channel: Channel,
    target: Endpoint,
    streams: CallStreams,
    calls: Semaphore,
}

/// Catalog response of the reader.
#[derive(Debug)]
pub(crate) struct FetchedCatalog {
    /// UTF-8 JSON.
    pub(crate) json: Vec<u8>,
    pub(crate) digest: String,
    pub(crate) mode: Mode,
    /// `None` if the contract does not set a format.
    pub(crate) result_format: Option<ResultFormat>,
    /// Token policy for callers; `None` if callers present no access token.
    pub(crate) authorization: Option<TokenPolicy>,
}

/// One tool call to the reader.
#[derive(Debug)]
pub(crate) struct ToolCall {
    pub(crate) capability: String,
    /// Arguments as the JSON text that the client wrote.
    pub(crate) arguments: Vec<u8>,
    pub(crate) format: ResultFormat,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) caller: Caller,
}

impl ReaderClient {
    /// Creates the client without connecting.
    pub(crate) fn connect(tls: &TlsMaterial, target: &Endpoint) -> Result<Self, ExitError> {
        let channel = grpc_channel::connect(tls, target)?;
        let client = AgentServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self {
            streams: CallStreams::new(client.clone(), channel.clone()),
            client,
            channel,
            target: target.clone(),
            calls: Semaphore::new(CALLS_IN_FLIGHT_MAX),
        })
    }

    /// Fetches the catalog; waits a few seconds for a reader that is still starting.
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
        let mode = answer
            .mode()
            .try_into()
            .map_err(|refusal: PublicError| ExitError::new(refusal.code, refusal.public))?;
        Ok(FetchedCatalog {
            json: answer.catalog_json,
            digest: answer.digest,
            mode,
            result_format: match answer.result_format {
                1 => Some(ResultFormat::V1),
                2 => Some(ResultFormat::V2),
                _ => None,
            },
            authorization: answer.token_policy,
        })
    }

    /// Fetches the token issuer's JWKS; `refresh` makes the reader fetch it from the issuer again.
    pub(crate) async fn token_keys(&self, refresh: bool) -> Result<Vec<u8>, PublicError> {
        let request = grpc_channel::with_deadline(GetJwksRequest { refresh }, CALL_TIMEOUT);
        let answer = self.client.clone().get_jwks(request).await;
        answer
            .map(|answer| answer.into_inner().jwks_json)
            .map_err(|status| refusal(&status))
    }

    /// Fetches a context ticket for the caller, and its expiry in milliseconds since 1970.
    pub(crate) async fn ticket(&self, caller: &Caller) -> Result<(DsseEnvelope, i64), PublicError> {
        let message = IssueContextTicketRequest {
            access_token: caller.access_token().to_owned(),
        };
        let request = grpc_channel::with_deadline(message, CALL_TIMEOUT);
        let answer = self.client.clone().issue_context_ticket(request).await;
        let answer = answer.map_err(|status| refusal(&status))?.into_inner();
        let ticket = answer
            .ticket
            .ok_or_else(|| PublicError::new(ErrorCode::Internal, "the reader issued no ticket"))?;
        Ok((ticket, answer.expires_at_ms))
    }

    /// Whether the reader is reachable and serving.
    pub(crate) async fn is_answering(&self) -> bool {
        grpc_channel::check_health(&self.channel, &self.target, PROBE_TIMEOUT)
            .await
            .is_ok()
    }

    fn explain(&self, status: &Status) -> ExitError {
        grpc_channel::status_to_error(status, &self.target).unwrap_or_else(|| {
            let refusal = status::from_status(status);
            ExitError::new(refusal.code, refusal.public)
                .with_fix("check the reader's log, then restart the gateway")
        })
    }

    /// Makes one call. Dropping the future cancels it at the reader.
    pub(crate) async fn call(&self, call: ToolCall) -> Result<CapabilityResult, PublicError> {
        let _permit = self
            .calls
            .try_acquire()
            .map_err(|_| busy("too many calls in progress"))?;
        let message = CapabilityCall {
            traceparent: call.trace.map(|trace| trace.to_string()).unwrap_or_default(),
            capability: call.capability,
            arguments_json: call.arguments,
            result_format: match call.format {
                ResultFormat::V1 => 1,
                ResultFormat::V2 => 2,
            },
            access_token: call.caller.access_token().to_owned(),
            ..CapabilityCall::default()
        };
        let answer = self.streams.call(message, CALL_TIMEOUT).await;
        match answer.map_err(|status| refusal(&status))?.outcome {
            Some(Outcome::Result(result)) => Ok(result),
            Some(Outcome::Error(error)) => Err(reported(status::from_wire(&error.code, error.message))),
            None => Err(PublicError::new(
                ErrorCode::Internal,
                "the reader answered without an outcome",
            )),
        }
    }
}

/// Maps temporary failures to a retryable error, and keeps all others.
fn refusal(status: &Status) -> PublicError {
    let cause = status::from_status(status);
    tracing::warn!(code = %cause.code, "reader call failed");
    let is_lost = grpc_channel::is_unreachable(status) || grpc_channel::is_timeout(status);
    match status.code() {
        Code::ResourceExhausted => busy(cause.code.as_str()),
        Code::Unavailable => unavailable(cause.code.as_str()),
        _ if is_lost => unavailable(cause.code.as_str()),
        _ => cause,
    }
}

/// Like [`refusal`], for the error of one call on a stream.
fn reported(cause: PublicError) -> PublicError {
    tracing::warn!(code = %cause.code, "reader call failed");
    match cause.code.rpc_status() {
        RpcStatus::ResourceExhausted => busy(cause.code.as_str()),
        RpcStatus::Unavailable => unavailable(cause.code.as_str()),
        _ if cause.code == ErrorCode::DeadlineExceeded => unavailable(cause.code.as_str()),
        _ => cause,
    }
}

fn unavailable(why: &str) -> PublicError {
    PublicError::new(ErrorCode::ExecutorUnavailable, "the reader is unreachable").with_detail(why)
}

fn busy(why: &str) -> PublicError {
    PublicError::new(ErrorCode::ExecutorBusy, "too many calls are in progress").with_detail(why)
}
