//! Health endpoints. `/healthz`: the process serves. `/readyz`: its dependencies serve too. Both need no token, so
//! neither discloses an address.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use synapsor_domain::contract::Mode;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::sessions::Sessions;

/// Minimum time between two checks of the dependencies, whatever the request rate.
const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type HealthCheck = dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

/// Server information in health responses.
pub struct ServerInfo {
    transport: &'static str,
    tools: usize,
    mode: Mode,
    is_ready: Box<HealthCheck>,
}

impl std::fmt::Debug for ServerInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("ServerInfo");
        shown
            .field("transport", &self.transport)
            .field("tools", &self.tools);
        shown.field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl ServerInfo {
    /// Describes a server with `tools` tools in `mode`; `is_ready` is a cheap check of its dependencies.
    pub fn new<F>(tools: usize, mode: Mode, is_ready: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self {
            transport: "streamable-http",
            tools,
            mode,
            is_ready: Box::new(move || Box::pin(is_ready())),
        }
    }

    pub(super) fn over(mut self, transport: &'static str) -> Self {
        self.transport = transport;
        self
    }
}

/// State of both endpoints.
#[derive(Debug)]
pub(super) struct Health {
    about: ServerInfo,
    sessions: Option<Arc<Sessions>>,
    checked: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    /// `sessions` is `None` for transports without sessions.
    pub(super) fn new(about: ServerInfo, sessions: Option<Arc<Sessions>>) -> Self {
        Self {
            about,
            sessions,
            checked: Mutex::new(None),
        }
    }

    async fn is_ready(&self) -> bool {
        let mut checked = self.checked.lock().await;
        if let Some((at, was_ready)) = *checked
            && at.elapsed() < CHECK_EVERY
        {
            return was_ready;
        }
        let asked = tokio::time::timeout(CHECK_TIMEOUT, (self.about.is_ready)()).await;
        let is_ready = asked.unwrap_or(false);
        *checked = Some((Instant::now(), is_ready));
        is_ready
    }
}

pub(super) async fn healthz(State(health): State<Arc<Health>>) -> Response {
    let about = &health.about;
    let mut answer = json!({
        "ok": true,
        "transport": about.transport,
        "tools": about.tools,
        "mode": about.mode.as_str(),
    });
    if let Some(sessions) = &health.sessions {
        answer["sessions"] = sessions.count().into();
    }
    Json(answer).into_response()
}

pub(super) async fn readyz(State(health): State<Arc<Health>>) -> Response {
    let is_ready = health.is_ready().await;
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({"ok": is_ready}))).into_response()
}
