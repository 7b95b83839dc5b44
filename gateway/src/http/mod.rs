//! MCP over streamable HTTP on a loopback address: the routes, and what stands in front of them. Each POST is
//! served by itself; there are no sessions to guess, to steal or to lose.

mod admission;
mod origin;
mod token;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use synapsor_chassis::grpc_server::ServerError;
use synapsor_chassis::run::Failure;
use synapsor_chassis::shutdown;
use synapsor_domain::limits::MCP_BODY_BYTES_MAX;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::run_file;
use crate::server::Gateway;
use crate::settings::HttpSettings;
use admission::Admission;
use origin::Names;
use token::Gate;

/// Serves until `stop` is cancelled or the lifeline ends.
pub(crate) async fn serve(
    gateway: Gateway,
    settings: &HttpSettings,
    run_file: Option<&Path>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| cannot_listen(settings.listen, &error))?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(settings.listen, &error))?;
    let routes = routes(gateway, settings, address);
    let _run_file = run_file::write(run_file, Some(address))?;
    tracing::info!(%address, "listening");
    if settings.has_lifeline {
        let stop = stop.clone();
        tokio::spawn(async move {
            shutdown::lifeline().await;
            stop.cancel();
        });
    }
    wire::serve(listener, routes, stop).await;
    Ok(())
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => ServerError::AddressInUse(address).into(),
        kind => ServerError::CannotListen { address, kind }.into(),
    }
}

/// From the outside in: the names under which the gateway answers, then the path, then the token, then limits.
fn routes(gateway: Gateway, settings: &HttpSettings, address: SocketAddr) -> Router {
    let names = Arc::new(Names::of(address));
    let gate = Arc::new(Gate::new(settings.token.clone()));
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(names.hosts().to_vec())
        .with_allowed_origins(names.origins().to_vec())
        .with_max_request_body_bytes(MCP_BODY_BYTES_MAX);
    let health = Health {
        tools: gateway.listing().tools().len(),
        mode: gateway.listing().mode().to_owned(),
    };
    let mcp = StreamableHttpService::new(
        move || Ok(gateway.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let guarded = Router::new()
        .route_service("/mcp", mcp)
        .route_layer(from_fn_with_state(Arc::new(Admission::new()), admission::admit))
        .route_layer(from_fn_with_state(gate, token::authenticate));
    Router::new()
        .route("/healthz", get(healthz).with_state(Arc::new(health)))
        .merge(guarded)
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "not_found") })
        .method_not_allowed_fallback(|| async {
            refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
        })
        .layer(from_fn_with_state(names, origin::check))
}

#[derive(Debug)]
struct Health {
    tools: usize,
    mode: String,
}

async fn healthz(State(health): State<Arc<Health>>) -> Response {
    Json(json!({
        "ok": true,
        "transport": "streamable-http",
        "tools": health.tools,
        "mode": health.mode,
    }))
    .into_response()
}

/// A refusal before MCP.
fn refused(status: StatusCode, error: &'static str) -> Response {
    (status, Json(json!({"ok": false, "error": error}))).into_response()
}
