//! gRPC server with mutual TLS, access table, limits, deadlines, health service and graceful shutdown. Callers
//! pass the services as routes.

mod access;
mod admission;
mod incoming;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;

pub use access::{AccessDenied, AccessTable};
pub use admission::Deadline;
pub use incoming::{CallPermits, ConnectionCount};

use crate::run::ExitError;
use crate::tls::{TlsError, TlsMaterial};

/// Maximum size of a gRPC message, in bytes, for servers and clients. Generated services and clients set it
/// themselves: `.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)`.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Limit against peers that open streams only to reset them; exceeding it closes the connection.
const RESET_STREAMS_MAX: usize = 32;
/// Maximum time to close the remaining connections after the drain timeout.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Limits of one server.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Maximum number of connections; further ones wait in the operating system's queue.
    pub connections_max: usize,
    /// Maximum number of concurrent calls per connection.
    pub streams_per_connection_max: u32,
    /// Timeout of calls that are not in `streaming_methods`; they end with `DEADLINE_EXCEEDED`. A shorter
    /// `grpc-timeout` of the caller takes precedence.
    pub request_timeout: Duration,
    /// Full paths (`/package.Service/Method`) of calls whose response is a long-lived stream.
    pub streaming_methods: BTreeSet<String>,
    /// Interval of keepalive pings on a quiet connection.
    pub keepalive_interval: Duration,
    /// Timeout of a keepalive ping; the connection closes afterwards.
    pub keepalive_timeout: Duration,
    /// Maximum time for calls in progress to finish after a stop.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            streams_per_connection_max: 128,
            request_timeout: Duration::from_secs(30),
            streaming_methods: BTreeSet::new(),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl ServerLimits {
    /// Sets the streaming methods, each with its service.
    #[must_use]
    pub fn with_streaming(mut self, methods: &[(&str, &str)]) -> Self {
        let path = |(service, method): &(&str, &str)| format!("/{service}/{method}");
        self.streaming_methods = methods.iter().map(path).collect();
        self
    }
}

/// Reason why a server cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another process listens on the address.
    #[error("{0} is in use by another process")]
    AddressInUse(SocketAddr),
    /// The server cannot listen on the address.
    #[error("cannot listen on {address}: {kind}")]
    CannotListen {
        address: SocketAddr,
        kind: std::io::ErrorKind,
    },
    /// The server's own certificate has another role or deployment than required.
    #[error("certificate of {0} not valid for this server")]
    WrongCertificate(String),
    /// The certificates are invalid.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The transport failed.
    #[error("server failed: {0}")]
    Transport(String),
}

impl ServerError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::AddressInUse(_) => ErrorCode::AddressInUse,
            Self::CannotListen { .. } => ErrorCode::CannotListen,
            Self::WrongCertificate(_) => ErrorCode::TlsCertificateWrongRole,
            Self::Tls(error) => error.code(),
            Self::Transport(_) => ErrorCode::ServerFailed,
        }
    }
}

impl From<ServerError> for ExitError {
    fn from(error: ServerError) -> Self {
        let fix = match error {
            ServerError::Tls(inner) => return inner.into(),
            ServerError::AddressInUse(_) => {
                "stop that process, or listen on another port (0 selects a free one)"
            }
            ServerError::CannotListen { .. } => "listen on an address of this machine and a port above 1023",
            ServerError::WrongCertificate(_) => {
                "use a reader, writer or ledger certificate of this deployment"
            }
            ServerError::Transport(_) => "check the log, then restart the process",
        };
        ExitError::new(error.code(), error.to_string()).with_fix(fix)
    }
}

/// Server that is bound to its address but does not serve yet.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    tls: TlsMaterial,
    access: Arc<AccessTable>,
    limits: Arc<ServerLimits>,
    connections: ConnectionCount,
}

impl GrpcServer {
    /// Listens on `address` (port 0 selects a free one).
    ///
    /// # Errors
    /// When the address is in use or invalid, or the certificate does not match this access table.
    pub async fn bind(
        address: SocketAddr,
        tls: &TlsMaterial,
        access: AccessTable,
        limits: ServerLimits,
    ) -> Result<Self, ServerError> {
        let own = tls.identity();
        if !own.role().serves() || own.deployment() != access.deployment() {
            return Err(ServerError::WrongCertificate(own.uri()));
        }
        let listen_error = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::AddrInUse => ServerError::AddressInUse(address),
            kind => ServerError::CannotListen { address, kind },
        };
        let listener = TcpListener::bind(address).await.map_err(listen_error)?;
        let local_addr = listener.local_addr().map_err(listen_error)?;
        Ok(Self {
            listener,
            local_addr,
            tls: tls.clone(),
            access: Arc::new(access),
            limits: Arc::new(limits),
            connections: ConnectionCount::new(),
        })
    }

    /// Returns the listen address, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the count of open connections; it can be observed while the server runs.
    pub fn connections(&self) -> ConnectionCount {
        self.connections.clone()
    }

    /// Serves `routes` and `grpc.health.v1` until `stop` is canceled. Then it accepts no new call, lets calls in
    /// progress finish within the drain timeout, closes the remaining connections, and returns. Handlers of
    /// endless streams must end them when `stop` is canceled.
    ///
    /// # Errors
    /// When the transport cannot be set up.
    pub async fn serve(self, routes: Routes, stop: CancellationToken) -> Result<(), ServerError> {
        let (_always, healthy) = watch::channel(true);
        self.serve_while(routes, healthy, stop).await
    }

    /// Serves like [`Self::serve`]. While `healthy` is false, the health service reports `NOT_SERVING`; calls are
    /// still served.
    ///
    /// # Errors
    /// When the transport cannot be set up.
    pub async fn serve_while(
        self,
        routes: Routes,
        healthy: watch::Receiver<bool>,
        stop: CancellationToken,
    ) -> Result<(), ServerError> {
        let limits = self.limits.clone();
        let (health, health_service) = tonic_health::server::health_reporter();
        let services: Vec<String> = self.access.services().map(str::to_owned).collect();
        let is_healthy = *healthy.borrow();
        report_health(&health, &services, is_healthy).await;
        let _reporting = AbortOnDrop(tokio::spawn(follow_health(health, services, healthy)));
        let cut = CancellationToken::new();
        let incoming =
            incoming::Incoming::new(self.listener, self.tls, &limits, self.connections, cut.clone());
        let serving = Server::builder()
            .max_concurrent_streams(limits.streams_per_connection_max)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS_MAX))
            .http2_max_local_error_reset_streams(Some(RESET_STREAMS_MAX))
            .http2_keepalive_interval(Some(limits.keepalive_interval))
            .http2_keepalive_timeout(Some(limits.keepalive_timeout))
            .layer(admission::AdmissionLayer::new(self.access, limits.clone()))
            .serve_with_incoming_shutdown(
                routes.add_service(health_service).prepare(),
                incoming,
                stop.clone().cancelled_owned(),
            );
        let mut serving = Box::pin(serving);
        tokio::select! {
            ended = &mut serving => return ended.map_err(transport),
            () = async { stop.cancelled().await; tokio::time::sleep(limits.drain_timeout).await } => {}
        }
        cut.cancel();
        match tokio::time::timeout(ABORT_TIMEOUT, serving).await {
            Ok(ended) => ended.map_err(transport),
            Err(_) => Ok(()),
        }
    }
}

/// Aborts a task when its owner is dropped.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow_health(
    health: tonic_health::server::HealthReporter,
    services: Vec<String>,
    mut healthy: watch::Receiver<bool>,
) {
    while healthy.changed().await.is_ok() {
        let is_healthy = *healthy.borrow_and_update();
        report_health(&health, &services, is_healthy).await;
    }
}

/// Sets the status of every service and of the empty name, which is the whole server.
async fn report_health(health: &tonic_health::server::HealthReporter, services: &[String], is_healthy: bool) {
    let status = if is_healthy {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    health.set_service_status("", status).await;
    for service in services {
        health.set_service_status(service.as_str(), status).await;
    }
}

fn transport(error: tonic::transport::Error) -> ServerError {
    ServerError::Transport(error.to_string())
}
