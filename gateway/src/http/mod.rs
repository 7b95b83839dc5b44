//! MCP over HTTP: routes and middleware. It accepts any MCP handler, so test programs can use exactly this stack.

mod accept;
mod admission;
mod authentication;
mod bridge;
mod callers;
mod connections;
mod cors;
mod flags;
mod guarded_body;
mod health;
mod maintenance;
mod origin;
mod plain_call;
mod revision_router;
mod sessions;
mod static_tokens;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, get};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use synapsor_chassis::background::Background;
use synapsor_chassis::grpc_server::ServerError;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::shutdown;
use synapsor_codes::HttpError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use flags::HttpProtocol;
pub use flags::{HttpFlags, HttpSettings};
pub use health::ServerInfo;
pub use plain_call::{PlainCall, PlainResult, ToolHandler};

use crate::access_tokens::{AccessTokenAuthenticator, METADATA_PATH};
use crate::run_file::{self, ListenAddress};
use admission::RequestLimiter;
use authentication::Authenticator;
use bridge::Bridge;
use health::Health;
use maintenance::MaintenanceTask;
use origin::HostPolicy;
use revision_router::RevisionRouter;
use sessions::Sessions;

/// Spellings of the MCP endpoint. Clients append the slash, and many do not follow a redirect of a POST.
const ENDPOINTS: [&str; 2] = ["/mcp", "/mcp/"];

/// Serves `handler` until `stop` is canceled or the lifeline ends.
///
/// # Errors
/// When files that the settings name are invalid, or the listener cannot bind to the address.
pub async fn serve<H: ToolHandler>(
    handler: H,
    about: ServerInfo,
    settings: &HttpSettings,
    run_file: Option<&Path>,
    stop: CancellationToken,
) -> Result<(), ExitError> {
    let (gate, tokens) = settings.gate()?;
    let tls = settings.server_tls()?.map(Arc::new);
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| cannot_listen(settings.listen, &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(settings.listen, &error))?;
    let sessions = Arc::new(Sessions::new(settings.session_idle));
    let limiter = RequestLimiter::new(settings.per_second, gate.clone(), sessions.clone());
    let stack = Stack {
        names: Arc::new(settings.names(address)),
        admission: Arc::new(limiter),
        gate,
        sessions,
    };
    let maintenance = MaintenanceTask {
        admission: stack.admission.clone(),
        sessions: stack.sessions.clone(),
        tokens,
        tls: tls.clone(),
    };
    let routes = match settings.wire {
        HttpProtocol::Streamable => stack.streamable(handler, about, stop.clone()),
        HttpProtocol::Bridge => {
            tracing::warn!("the JSON-RPC bridge is legacy; use --transport streamable-http for MCP clients");
            stack.bridge(handler, about)
        }
    };
    let listen = ListenAddress {
        transport: settings.wire.as_str(),
        address,
        is_https: tls.is_some(),
    };
    let _run_file = run_file::write(run_file, Some(listen))?;
    tracing::info!(%address, "listening");
    let mut background = Background::default();
    if settings.has_lifeline {
        let stop = stop.clone();
        background.spawn("lifeline", async move {
            shutdown::wait_for_stdin_close().await;
            stop.cancel();
        });
    }
    background.spawn("reload and session cleanup", maintenance.keep(stop.clone()));
    tokio::select! {
        () = connections::serve(listener, tls, routes, stop.clone()) => Ok(()),
        failure = background.failed(&stop) => Err(failure),
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> ExitError {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => ServerError::AddressInUse(address).into(),
        kind => ServerError::CannotListen { address, kind }.into(),
    }
}

/// Middleware state of every request.
struct Stack {
    names: Arc<HostPolicy>,
    gate: Arc<Authenticator>,
    admission: Arc<RequestLimiter>,
    sessions: Arc<Sessions>,
}

impl Stack {
    fn streamable<H: ToolHandler>(self, handler: H, about: ServerInfo, stop: CancellationToken) -> Router {
        let health = Health::new(about, Some(self.sessions.clone()));
        let mcp = Arc::new(RevisionRouter::new(handler, self.sessions.clone(), stop));
        self.guarded(&any(revision_router::serve::<H>).with_state(mcp), health)
    }

    fn bridge<H: ToolHandler>(self, handler: H, about: ServerInfo) -> Router {
        let health = Health::new(about.over("http"), None);
        let bridge = Arc::new(Bridge::new(handler));
        self.guarded(&any(bridge::serve::<H>).with_state(bridge), health)
    }

    /// Order from the outside in: host and origin check, path, authentication, limits.
    fn guarded(self, mcp: &MethodRouter, health: Health) -> Router {
        let health = Arc::new(health);
        let metadata = match &*self.gate {
            Authenticator::Issued(tokens) => metadata(tokens),
            Authenticator::Open | Authenticator::Static(_) => Router::new(),
        };
        let inner = ENDPOINTS
            .into_iter()
            .fold(Router::new(), |routes, path| routes.route(path, mcp.clone()))
            .route_layer(from_fn_with_state(self.admission, admission::admit))
            .route_layer(from_fn_with_state(self.gate, authentication::authenticate));
        Router::new()
            .route("/healthz", get(health::healthz).with_state(health.clone()))
            .route("/readyz", get(health::readyz).with_state(health))
            .merge(metadata)
            .merge(inner)
            .fallback(|_: Request| async { refused(HttpError::NotFound) })
            .method_not_allowed_fallback(|| async { refused(HttpError::MethodNotAllowed) })
            .layer(from_fn_with_state(self.names, origin::check))
    }
}

/// Serves the resource metadata, which names the token issuer. It requires no token.
fn metadata(tokens: &AccessTokenAuthenticator) -> Router {
    let Some(document) = tokens.metadata() else {
        return Router::new();
    };
    let answer = get(move || {
        let document = document.clone();
        async move { Json(document) }
    });
    Router::new()
        .route(METADATA_PATH, answer.clone())
        .route(&format!("{METADATA_PATH}/{{*resource}}"), answer)
}

/// Builds an error response that is not an MCP message.
fn refused(error: HttpError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"ok": false, "error": error.as_str(), "message": error.meaning()});
    (status, Json(body)).into_response()
}

/// Builds a temporary error response with `Retry-After` in seconds.
fn refused_for_now(error: HttpError, seconds: u64) -> Response {
    let mut response = refused(error);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
