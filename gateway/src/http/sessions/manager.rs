//! rmcp session manager, restricted to the sessions of one caller in one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::WorkerTransport;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionHandle, LocalSessionManagerError, LocalSessionWorker, SessionConfig, SessionError,
    create_local_session,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId, SessionManager};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::{SessionLimitReached, Sessions, new_id};

/// Sessions of one caller.
#[derive(Debug)]
pub(in crate::http) struct CallerSessionManager {
    sessions: Arc<Sessions>,
    owner: Arc<str>,
    takes_priming: bool,
    takes_tasks: bool,
    was_full: AtomicBool,
}

impl CallerSessionManager {
    /// With `takes_priming`, streams of sessions opened here begin with an event without a message; with `takes_tasks`,
    /// their clients declare tasks.
    pub(in crate::http) fn new(
        sessions: Arc<Sessions>,
        owner: Arc<str>,
        takes_priming: bool,
        takes_tasks: bool,
    ) -> Self {
        Self {
            sessions,
            owner,
            takes_priming,
            takes_tasks,
            was_full: AtomicBool::new(false),
        }
    }

    /// Whether opening a session failed because the limit is reached.
    pub(in crate::http) fn was_full(&self) -> bool {
        self.was_full.load(Ordering::Relaxed)
    }

    fn handle(&self, id: &SessionId) -> Result<LocalSessionHandle, LocalSessionManagerError> {
        self.sessions
            .handle(id)
            .ok_or_else(|| LocalSessionManagerError::SessionNotFound(id.clone()))
    }
}

/// [`Sessions`] closes idle sessions, because it also counts open streams.
fn config(takes_priming: bool) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.keep_alive = None;
    if !takes_priming {
        config.sse_retry = None;
    }
    config
}

impl SessionManager for CallerSessionManager {
    type Error = LocalSessionManagerError;
    type Transport = WorkerTransport<LocalSessionWorker>;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let id = new_id();
        let (handle, worker) = create_local_session(id.clone(), config(self.takes_priming));
        let opened = self
            .sessions
            .open(id.clone(), self.owner.clone(), handle, self.takes_tasks);
        opened.map_err(|SessionLimitReached| {
            self.was_full.store(true, Ordering::Relaxed);
            SessionError::SessionServiceTerminated
        })?;
        Ok((id, WorkerTransport::spawn(worker)))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        Ok(self.handle(id)?.initialize(message).await?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.sessions.handle(id).is_some())
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.sessions.remove(id);
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let handle = self.handle(id)?;
        let receiver = handle.establish_request_wise_channel().await?;
        handle.push_message(message, receiver.http_request_id).await?;
        Ok(ReceiverStream::new(receiver.inner))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        Ok(self.handle(id)?.push_message(message, None).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let receiver = self.handle(id)?.establish_common_channel().await?;
        Ok(ReceiverStream::new(receiver.inner))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let last_event_id = last_event_id.parse()?;
        let receiver = self.handle(id)?.resume(last_event_id).await?;
        Ok(ReceiverStream::new(receiver.inner))
    }
}
