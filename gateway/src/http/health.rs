//! `/healthz`: the process serves. `/readyz`: so does what it depends on. Neither needs a token, so neither says
//! where anything is.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::sessions::Sessions;

/// However often somebody asks, what is behind the gateway is asked once in so long.
const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type Check = dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

/// What a server tells about itself.
pub struct About {
    transport: &'static str,
    tools: usize,
    mode: String,
    is_ready: Box<Check>,
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("About");
        shown
            .field("transport", &self.transport)
            .field("tools", &self.tools);
        shown.field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl About {
    /// A server with so many tools in a mode; `is_ready` asks cheaply whether what it depends on answers.
    pub fn new<F>(
        tools: usize,
        mode: impl Into<String>,
        is_ready: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self {
            transport: "streamable-http",
            tools,
            mode: mode.into(),
            is_ready: Box::new(move || Box::pin(is_ready())),
        }
    }

    pub(super) fn over(mut self, transport: &'static str) -> Self {
        self.transport = transport;
        self
    }
}

/// The answers to both questions.
#[derive(Debug)]
pub(super) struct Health {
    about: About,
    sessions: Option<Arc<Sessions>>,
    checked: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    /// Sessions are told of where there are any.
    pub(super) fn new(about: About, sessions: Option<Arc<Sessions>>) -> Self {
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
        "mode": about.mode,
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
