//! Routes MCP messages by protocol revision: stateless or session-based. Requests of revision 2026-07-28 and later
//! are served one by one. A handshake of an earlier revision opens a session, and requests that name a session go
//! to it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rmcp::transport::streamable_http_server::session::SessionManager;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use synapsor_codes::HttpError;
use synapsor_domain::limits::MCP_BODY_BYTES_MAX;
use tokio_util::sync::CancellationToken;

use super::accept;
use super::admission::{HeldPermits, JSON, has_type};
use super::guarded_body;
use super::plain_call::{self, PlainRequest, ToolHandler};
use super::sessions::{CallGuard, CallerSessionManager, SessionEnterError, SessionUse, Sessions};
use super::{refused, refused_for_now};
use crate::caller::Caller;
use crate::headers::{AmbiguousHeader, sole};
use crate::message_validation::{self, MessageKind};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// First revision without sessions.
pub(super) const SESSIONLESS_SINCE: &str = "2026-07-28";
const RETRY_SECONDS: u64 = 5;
/// Time after which a call in a session is answered as a stream: clients and proxies wait only so long for a first byte.
const SLOW_CALL: Duration = Duration::from_secs(2);

/// MCP handler for stateless requests and for sessions.
pub(super) struct RevisionRouter<H: ToolHandler> {
    handler: H,
    one_by_one: StreamableHttpService<H, NeverSessionManager>,
    sessions: Arc<Sessions>,
    stop: CancellationToken,
}

impl<H: ToolHandler> RevisionRouter<H> {
    /// Canceling `stop` ends streams that no request opened; requests in progress continue.
    pub(super) fn new(handler: H, sessions: Arc<Sessions>, stop: CancellationToken) -> Self {
        let each = handler.clone();
        let config = config().with_legacy_session_mode(false);
        let never = Arc::new(NeverSessionManager::default());
        Self {
            one_by_one: StreamableHttpService::new(move || Ok(each.clone()), never, config),
            handler,
            sessions,
            stop,
        }
    }

    /// Serves a request in a session of `caller`. `client` is what the client supports, as far as known.
    async fn in_sessions(&self, caller: &Caller, client: ClientSupport, request: Request) -> Response {
        let mut config = config();
        if !client.takes_priming {
            config.sse_retry = None;
        }
        if request.method() == Method::GET {
            config = config.with_cancellation_token(self.stop.child_token());
        }
        let owner = caller.key().into();
        let manager = Arc::new(CallerSessionManager::new(
            self.sessions.clone(),
            owner,
            client.takes_priming,
            client.takes_tasks,
        ));
        let each = self.handler.clone();
        let service = StreamableHttpService::new(move || Ok(each.clone()), manager.clone(), config);
        let ends = request.method() == Method::DELETE;
        let mut response = served(&service, request).await;
        if manager.was_full() {
            return refused_for_now(HttpError::TooManySessions, RETRY_SECONDS);
        }
        if ends && response.status() == StatusCode::ACCEPTED {
            // The session is already closed, and some clients treat 202 as a failure.
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        response
    }

    async fn without_session(&self, caller: &Caller, request: Request) -> Response {
        match self.plain(&request, caller) {
            // The client cancels the call by closing the connection, which drops this future.
            Some(PlainRequest { call, reply }) => {
                plain_call::json_response(reply.message(self.handler.call_plain(call).await))
            }
            None => served(&self.one_by_one, request).await,
        }
    }

    /// Returns the plain call that the request is, if the handler takes such calls of the tool.
    fn plain(&self, request: &Request, caller: &Caller) -> Option<PlainRequest> {
        let plain = PlainRequest::of(request, caller)?;
        self.handler.is_plain(&plain.call.tool).then_some(plain)
    }

    /// Answers a plain call of a session. In the revisions that have sessions, a closed connection does not cancel a call:
    /// it continues in a task of its own, with the permits of its request.
    async fn plain_in_session(
        &self,
        plain: PlainRequest,
        call: CallGuard,
        permits: Option<HeldPermits>,
    ) -> Response {
        let PlainRequest { call: asked, reply } = plain;
        let handler = self.handler.clone();
        let mut calling = tokio::spawn(async move {
            let _permits = permits;
            let result = call.canceled.run_until_cancelled(handler.call_plain(asked)).await;
            result.map(|result| reply.message(result))
        });
        match tokio::time::timeout(SLOW_CALL, &mut calling).await {
            Ok(Ok(Some(message))) => plain_call::json_response(message),
            Ok(Ok(None)) => plain_call::canceled_response(),
            Ok(Err(_)) => refused(HttpError::GatewayFailed),
            Err(_) => plain_call::stream_response(calling),
        }
    }

    async fn in_session(&self, caller: &Caller, id: &str, request: Request) -> Response {
        let purpose = if request.method() == Method::GET {
            SessionUse::Listen
        } else {
            SessionUse::Message
        };
        match self.sessions.enter(id, caller.key(), purpose) {
            Ok(in_use) => {
                if let Some(plain) = self.plain(&request, caller)
                    && let Some(call) = in_use.begin_call(&plain.reply.id)
                {
                    let permits = request.extensions().get().cloned();
                    let response = self.plain_in_session(plain, call, permits).await;
                    return guarded_body::hold(response, in_use);
                }
                if let Some(MessageKind::Initialize { .. }) = request.extensions().get() {
                    in_use.end_plain_calls();
                }
                let canceled = plain_call::canceled_request(&request);
                let client = ClientSupport {
                    takes_priming: is_revision(request.headers(), message_validation::supports_priming_event),
                    takes_tasks: false,
                };
                let response = self.in_sessions(caller, client, request).await;
                if let Some(canceled) = canceled.filter(|_| response.status() == StatusCode::ACCEPTED) {
                    in_use.cancel_call(&canceled);
                }
                guarded_body::hold(response, in_use)
            }
            Err(SessionEnterError::Unknown) => refused(HttpError::SessionNotFound),
            Err(SessionEnterError::TooManyListeners) => {
                refused_for_now(HttpError::TooManyStreams, RETRY_SECONDS)
            }
        }
    }
}

/// What the client supports.
#[derive(Clone, Copy)]
struct ClientSupport {
    /// Streams that begin with an event without a message.
    takes_priming: bool,
    /// Tasks; matters in the handshake only.
    takes_tasks: bool,
}

/// Hosts, origins and sizes are checked before; checking them again would only cost time.
fn config() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_json_response(true)
        .disable_allowed_hosts()
        .with_max_request_body_bytes(MCP_BODY_BYTES_MAX)
}

async fn served<H: ToolHandler, M: SessionManager>(
    service: &StreamableHttpService<H, M>,
    request: Request,
) -> Response {
    named(service.handle(request).await.map(Body::new))
}

/// Replaces an error that rmcp answers as plain text by the gateway's own error for the same cause.
fn named(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || has_type(response.headers(), JSON) {
        return response;
    }
    match status {
        // The media type is checked before: this status marks a message that rmcp cannot parse.
        StatusCode::UNSUPPORTED_MEDIA_TYPE => response,
        StatusCode::BAD_REQUEST => refused(HttpError::RevisionNotServed),
        StatusCode::NOT_FOUND => refused(HttpError::SessionNotFound),
        StatusCode::METHOD_NOT_ALLOWED => refused(HttpError::MethodNotAllowed),
        StatusCode::NOT_ACCEPTABLE => refused(HttpError::NotAcceptable),
        _ => {
            tracing::error!(%status, "the MCP service failed");
            refused(HttpError::GatewayFailed)
        }
    }
}

/// Serves one authenticated request.
pub(super) async fn serve<H: ToolHandler>(
    State(mcp): State<Arc<RevisionRouter<H>>>,
    mut request: Request,
) -> Response {
    accept::name_types(request.headers_mut());
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return refused(HttpError::Unauthorized);
    };
    let is_sessionless = is_revision(request.headers(), |revision| revision >= SESSIONLESS_SINCE);
    let Ok(session) = session_of(request.headers()) else {
        return refused(HttpError::SessionIdInvalid);
    };
    let kind = request.extensions().get::<MessageKind>().copied();
    match (request.method(), kind, session) {
        (
            &Method::POST,
            Some(MessageKind::Initialize {
                takes_priming,
                takes_tasks,
            }),
            None,
        ) => {
            let client = ClientSupport {
                takes_priming,
                takes_tasks,
            };
            mcp.in_sessions(&caller, client, request).await
        }
        // A handshake that names a session belongs to that session, which may have ended or be another caller's.
        (&Method::POST, Some(MessageKind::Initialize { .. }), Some(id)) => {
            mcp.in_session(&caller, &id, request).await
        }
        (&Method::POST | &Method::GET | &Method::DELETE, _, Some(id)) if !is_sessionless => {
            mcp.in_session(&caller, &id, request).await
        }
        (&Method::POST, _, _) => mcp.without_session(&caller, request).await,
        _ => {
            let allowed = if is_sessionless {
                "POST"
            } else {
                "POST, GET, DELETE"
            };
            let mut response = refused(HttpError::MethodNotAllowed);
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allowed));
            response
        }
    }
}

/// Whether the request names a revision that satisfies `is_meant`.
fn is_revision(headers: &HeaderMap, is_meant: impl Fn(&str) -> bool) -> bool {
    let named = headers
        .get(PROTOCOL_VERSION)
        .and_then(|revision| revision.to_str().ok());
    named.is_some_and(is_meant)
}

/// Returns the session id if the request names exactly one; several are an error.
pub(super) fn session_of(headers: &HeaderMap) -> Result<Option<String>, AmbiguousHeader> {
    Ok(sole(headers, &SESSION_ID)?.map(str::to_owned))
}
