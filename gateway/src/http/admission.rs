//! Request limits: rate and concurrency per caller and overall, body size and timeout, JSON shape, request
//! timeout.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use synapsor_codes::HttpError;
use synapsor_domain::limits::MCP_BODY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::authentication::Authenticator;
use super::callers::{CallerLimits, CallerQuota};
use super::guarded_body;
use super::plain_call::MessageBytes;
use super::revision_router::session_of;
use super::sessions::Sessions;
use super::{refused, refused_for_now};
use crate::caller::Caller;
use crate::headers::sole;
use crate::message_validation::{self, BadMessage, MessageKind, ValidatedMessage};

const REQUESTS_IN_FLIGHT_MAX: usize = 256;
const STREAMS_MAX: usize = 1_000;
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// From the body to the response head. Longer than the reader's call timeout.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const JSON: &str = "application/json";
pub(super) const EVENT_STREAM: &str = "text/event-stream";
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// Permits for requests and streams.
#[derive(Debug)]
pub(super) struct RequestLimiter {
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    pub(super) callers: CallerLimits,
    gate: Arc<Authenticator>,
    sessions: Arc<Sessions>,
}

/// Permit of the caller and permit of the whole gateway.
type RequestPermits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Permits of a request, kept until the last clone is dropped: work that continues without its request keeps one.
#[derive(Clone, Debug)]
pub(super) struct HeldPermits(#[expect(dead_code, reason = "held, not read")] Arc<RequestPermits>);

impl RequestLimiter {
    pub(super) fn new(per_second: NonZeroU32, gate: Arc<Authenticator>, sessions: Arc<Sessions>) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            callers: CallerLimits::new(per_second),
            gate,
            sessions,
        }
    }

    /// Takes one request from the rate of the caller, or of its session. An id that is not one of its sessions counts as
    /// none: a client could make up any number of them.
    fn take_rate(&self, caller: &Caller, standing: &CallerQuota, headers: &HeaderMap) -> Result<(), u64> {
        let named = session_of(headers).ok().flatten();
        let session = named.filter(|id| self.sessions.is_of(id, caller.key()));
        self.callers.take(standing, session.as_deref())
    }

    fn request(&self, standing: &CallerQuota) -> Result<RequestPermits, Box<Response>> {
        permits(&standing.requests, &self.requests)
    }

    fn stream(&self, standing: &CallerQuota) -> Result<RequestPermits, Box<Response>> {
        permits(&standing.streams, &self.streams)
    }
}

fn permits(own: &Arc<Semaphore>, of_all: &Arc<Semaphore>) -> Result<RequestPermits, Box<Response>> {
    let Ok(own) = own.clone().try_acquire_owned() else {
        return Err(Box::new(refused_for_now(HttpError::CallerBusy, 1)));
    };
    match of_all.clone().try_acquire_owned() {
        Ok(of_all) => Ok((own, of_all)),
        Err(_) => Err(Box::new(busy())),
    }
}

fn busy() -> Response {
    refused_for_now(HttpError::GatewayBusy, 1)
}

/// Applies the rate limit and permits, reads and checks the body of a POST, and sets the request timeout. Bodies
/// of other methods are ignored.
pub(super) async fn admit(
    State(admission): State<Arc<RequestLimiter>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return refused(HttpError::Unauthorized);
    };
    let Some(standing) = admission.callers.standing(caller.key()) else {
        return busy();
    };
    if let Err(seconds) = admission.take_rate(&caller, &standing, request.headers()) {
        return refused_for_now(HttpError::RateLimited, seconds);
    }
    let opens_stream = request.method() == Method::GET;
    let taken = if opens_stream {
        admission.stream(&standing)
    } else {
        admission.request(&standing)
    };
    let mut permits = match taken {
        Ok(permits) => permits,
        Err(response) => return *response,
    };
    let mut body = Bytes::new();
    if request.method() == Method::POST {
        let inspected;
        (request, body, inspected) = match take_body(request).await {
            Ok(taken) => taken,
            Err(response) => return *response,
        };
        if let Some(response) = admission.gate.refusal(&caller, &inspected) {
            return response;
        }
        if inspected.kind == MessageKind::Listen {
            permits = match admission.stream(&standing) {
                Ok(permits) => permits,
                Err(response) => return *response,
            };
        }
    }
    let permits = HeldPermits(Arc::new(permits));
    request.extensions_mut().insert(permits.clone());
    let Ok(response) = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await else {
        return refused(HttpError::RequestTimeout);
    };
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // The media type is checked above, so this status means that rmcp cannot parse the message.
        return bad_message(&body, message_validation::not_of_mcp(&body));
    }
    if has_type(response.headers(), EVENT_STREAM) {
        return guarded_body::hold(response, permits);
    }
    response
}

/// Reads and checks the body. Records the result in the request extensions.
async fn take_body(request: Request) -> Result<(Request, Bytes, ValidatedMessage), Box<Response>> {
    let headers = request.headers();
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Box::new(refused(HttpError::ContentEncodingNotAccepted)));
    }
    if !has_type(headers, JSON) {
        return Err(Box::new(refused(HttpError::ContentTypeNotJson)));
    }
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    let inspected = message_validation::check(&body).map_err(|bad| Box::new(bad_message(&body, bad)))?;
    let mut request = Request::from_parts(parts, Body::from(body.clone()));
    if inspected.kind == MessageKind::Notification {
        name_method(request.headers_mut(), inspected.method.as_deref());
    }
    request.extensions_mut().insert(inspected.arguments.clone());
    request.extensions_mut().insert(inspected.kind);
    request.extensions_mut().insert(MessageBytes(body.clone()));
    Ok((request, body, inspected))
}

/// Adds the method header to notifications. Only requests must name their method in a header, and some clients
/// omit it for notifications. The rmcp service always requires it; an existing header must still match the body.
fn name_method(headers: &mut HeaderMap, method: Option<&str>) {
    if let Some(Ok(method)) = method.map(HeaderValue::from_str) {
        headers.entry(METHOD).or_insert(method);
    }
}

fn bad_message(body: &[u8], bad: BadMessage) -> Response {
    let headers = [(header::CONTENT_TYPE, JSON)];
    (
        StatusCode::BAD_REQUEST,
        headers,
        message_validation::error_line(body, bad),
    )
        .into_response()
}

pub(super) fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let Ok(Some(value)) = sole(headers, &header::CONTENT_TYPE) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}

async fn read(body: Body) -> Result<Bytes, Box<Response>> {
    let mut request = Request::new(body);
    DefaultBodyLimit::max(MCP_BODY_BYTES_MAX).apply(&mut request);
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Box::new(refused(HttpError::BodyTooLarge)))
        }
        Ok(Err(_)) => Err(Box::new(refused(HttpError::BodyUnreadable))),
        Err(_) => Err(Box::new(refused(HttpError::BodyTimeout))),
    }
}
