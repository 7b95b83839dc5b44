//! Client connection that follows certificates: it is opened with the newest ones, replaced before one of either side
//! ends or after they are renewed, and calls in progress finish on the connection that they began on.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport;
use tower::Service;

use super::Endpoint;
use crate::clock::{Clock as _, SystemClock};
use crate::identity::Role;
use crate::tls::connection::ExpiringConnection;
use crate::tls::failure::{CauseKind, CertificateCause, OwnCertificateEnded, certificate_cause};
use crate::tls::{TlsMaterial, Validity};

/// Time for opening a connection, with its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Minimum time between two replacements of a connection whose certificate is about to end, in milliseconds.
const REPLACE_INTERVAL_MS: i64 = 1_000;
/// Minimum time between two log lines about connections that are not opened.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Size of the buffer for the first bytes of a server; larger reads do not use it.
const FIRST_BYTES_MAX: usize = 64;

/// Connection to one server. Clones share it.
pub struct Channel {
    route: Arc<Route>,
    /// Connection of the next call; a channel that is only cloned holds none, so that it keeps no replaced one open.
    open: Option<OpenChannel>,
}

impl Clone for Channel {
    fn clone(&self) -> Self {
        Self {
            route: Arc::clone(&self.route),
            open: None,
        }
    }
}

/// Server of a channel, and its newest connection.
struct Route {
    endpoint: transport::Endpoint,
    connector: Connector,
    newest: Mutex<OpenChannel>,
}

/// One connection, opened at its first call.
#[derive(Clone)]
struct OpenChannel {
    channel: transport::Channel,
    /// Version of the own certificates when this was created.
    certificates: u64,
    number: u64,
    /// When to use another connection, in milliseconds since 1970.
    replace_at_ms: Arc<AtomicI64>,
}

impl Channel {
    pub(super) fn new(endpoint: transport::Endpoint, tls: TlsMaterial, target: &Endpoint) -> Self {
        let connector = Connector {
            tls,
            target: target.clone(),
            logged: Arc::default(),
        };
        let newest = Mutex::new(open(&endpoint, &connector, 0));
        Self {
            route: Arc::new(Route {
                endpoint,
                connector,
                newest,
            }),
            open: None,
        }
    }
}

impl Channel {
    /// Returns the number of the connection that the next call uses. A stream stays on the connection that it began on:
    /// when the number is another, the next calls need a new stream.
    pub fn connection_number(&self) -> u64 {
        self.route.newest().number
    }
}

impl Route {
    /// Returns the connection for the next call.
    fn newest(&self) -> OpenChannel {
        let certificates = self.connector.tls.current().version();
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = SystemClock.now_ms() >= newest.replace_at_ms.load(Ordering::Relaxed);
        if is_due || newest.certificates < certificates {
            *newest = open(&self.endpoint, &self.connector, newest.number + 1);
        }
        newest.clone()
    }
}

fn open(endpoint: &transport::Endpoint, connector: &Connector, number: u64) -> OpenChannel {
    let certificates = connector.tls.current().version();
    let replace_at_ms = Arc::new(AtomicI64::new(i64::MAX));
    let (connector, replace_at) = (connector.clone(), replace_at_ms.clone());
    let channel = endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
        let (connector, replace_at) = (connector.clone(), replace_at.clone());
        async move { connector.connect(&replace_at).await }
    }));
    OpenChannel {
        channel,
        certificates,
        number,
        replace_at_ms,
    }
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = transport::Error;
    type Future = transport::channel::ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let newest = self.route.newest();
        let open = match self.open.take() {
            Some(open) if open.number == newest.number => self.open.insert(open),
            Some(_) | None => self.open.insert(newest),
        };
        open.channel.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // Ready means that `poll_ready` has set it.
        let open = self.open.get_or_insert_with(|| self.route.newest());
        open.channel.call(request)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Channel")
            .field(&self.route.connector.target)
            .finish()
    }
}

/// Opens connections to one server.
#[derive(Clone)]
struct Connector {
    tls: TlsMaterial,
    target: Endpoint,
    /// When the certificate that keeps a connection from being opened was logged last.
    logged: Arc<Mutex<Option<Instant>>>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Holds the first bytes of the server, which the connector waits for.
type ServerStream = BufReader<TlsStream<TcpStream>>;
type Connection = TokioIo<ExpiringConnection<ServerStream>>;

impl Connector {
    /// Opens a connection, and stores when to replace it.
    async fn connect(&self, replace_at_ms: &AtomicI64) -> Result<Connection, BoxError> {
        let opening = tokio::time::timeout(CONNECT_TIMEOUT, self.handshake());
        let opened = opening.await?;
        if let Some(cause) = opened
            .as_ref()
            .err()
            .and_then(|error| certificate_cause(&**error))
        {
            self.log(&cause);
        }
        let (stream, ends_at_ms) = opened?;
        let now_ms = SystemClock.now_ms();
        let remaining_ms = ends_at_ms.saturating_sub(now_ms);
        // The last quarter is left for calls in progress.
        let replaced_after_ms = (remaining_ms - remaining_ms / 4).max(REPLACE_INTERVAL_MS);
        replace_at_ms.fetch_min(now_ms.saturating_add(replaced_after_ms), Ordering::Relaxed);
        let connection = ExpiringConnection::new(stream, ends_at_ms, CancellationToken::new(), ());
        Ok(TokioIo::new(connection))
    }

    /// Logs the certificate that keeps a connection from being opened: callers log a server that is unreachable.
    fn log(&self, cause: &CertificateCause) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|at| at.elapsed() < LOG_INTERVAL) {
            return;
        }
        *logged = Some(Instant::now());
        let (server, text) = (&self.target, &cause.text);
        match cause.kind {
            CauseKind::OwnEnded => tracing::warn!(%server, "connection not opened: {text}"),
            CauseKind::OwnRejected | CauseKind::Peer => {
                tracing::info!(%server, "connection not opened: {text}");
            }
        }
    }

    /// Returns the connection, and the end of the certificate that ends first.
    async fn handshake(&self) -> Result<(ServerStream, i64), BoxError> {
        let Endpoint {
            role,
            address,
            instance,
        } = &self.target;
        let certificates = self.tls.current();
        if certificates.not_after_ms() <= SystemClock.now_ms() {
            return Err(Box::new(OwnCertificateEnded {
                identity: certificates.identity().uri(),
                file: certificates.path().map(Path::to_owned),
                not_after_ms: certificates.not_after_ms(),
            }));
        }
        let config = certificates.client_config(*role, instance.clone())?;
        let socket = TcpStream::connect(address).await?;
        // The option is not required.
        let _ = socket.set_nodelay(true);
        let stream = TlsConnector::from(Arc::new(config))
            .connect(server_name(*role)?, socket)
            .await?;
        let peer = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first());
        let peer_ends_ms = match peer {
            Some(peer) => Validity::of(peer)?.not_after_ms,
            None => return Err("the server presented no certificate".into()),
        };
        // A server verifies the certificate of its client after the client's part of the handshake, and then sends
        // either its first frame or an alert. Without this wait the transport would lose the reason.
        let mut stream = BufReader::with_capacity(FIRST_BYTES_MAX, stream);
        if stream.fill_buf().await?.is_empty() {
            return Err(Box::new(io::Error::from(io::ErrorKind::UnexpectedEof)));
        }
        Ok((stream, peer_ends_ms.min(certificates.not_after_ms())))
    }
}

fn server_name(role: Role) -> Result<ServerName<'static>, BoxError> {
    Ok(ServerName::try_from(role.server_name())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::logged;
    use crate::tls::dev_ca::DevCa;

    #[test]
    fn ended_own_certificate_is_logged_once_a_minute() {
        let dir = tempfile::tempdir().unwrap();
        let (minute, issued_ms) = (Duration::from_secs(60), SystemClock.now_ms() - 3_600_000);
        let authority = DevCa::create(&dir.path().join("ca"), "d1", issued_ms).unwrap();
        let leaf = authority.issue(Role::Writer, Some("w1"), minute, issued_ms);
        let connector = Connector {
            tls: leaf.unwrap().material(issued_ms).unwrap(),
            target: Endpoint::new(Role::Ledger, "127.0.0.1:1"),
            logged: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let log = logged(false, || {
            for _ in 0..3 {
                let opened = runtime.block_on(connector.connect(&AtomicI64::new(0)));
                assert!(opened.is_err());
            }
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        for part in ["WARN", "spiffe://d1/writer/w1", "ended at", "clock"] {
            assert!(log.contains(part), "{log}");
        }
    }
}
