//! Incoming connections: limited in number, authenticated by mutual TLS, counted, and closed on abort or at the end
//! of a certificate.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, PollSemaphore};
use tonic::transport::server::Connected;

use super::ServerLimits;
use crate::tls::connection::ExpiringConnection;
use crate::tls::failure::handshake_cause;
use crate::tls::{TlsMaterial, Validity};

/// Timeout of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept, for example when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Number of open connections of a running server.
#[derive(Debug, Clone)]
pub struct ConnectionCount(Arc<watch::Sender<usize>>);

impl ConnectionCount {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Returns the number of open connections.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Resolves after `idle` without a connection, counted from this call or from the end of the last connection.
    pub async fn idle_shutdown(&self, idle: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // `self` owns the sender, so waiting cannot fail.
            let _ = count.wait_for(|open| *open == 0).await;
            tokio::select! {
                () = tokio::time::sleep(idle) => return,
                _ = count.changed() => {}
            }
        }
    }

    fn open(&self) -> ConnectionGuard {
        self.0.send_modify(|open| *open += 1);
        ConnectionGuard(self.clone())
    }
}

/// Guard that counts one open connection.
#[derive(Debug)]
struct ConnectionGuard(ConnectionCount);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

/// Stream of accepted connections. Handshakes run side by side, so that a slow client delays no other.
#[derive(Debug)]
pub(super) struct Incoming {
    listener: TcpListener,
    tls: TlsMaterial,
    handshakes: JoinSet<Option<AcceptedConnection>>,
    permits: PollSemaphore,
    free: Option<OwnedSemaphorePermit>,
    pause: Option<Pin<Box<Sleep>>>,
    connections: ConnectionCount,
    calls_max: usize,
    cut: CancellationToken,
}

impl Incoming {
    pub(super) fn new(
        listener: TcpListener,
        tls: TlsMaterial,
        limits: &ServerLimits,
        connections: ConnectionCount,
        cut: CancellationToken,
    ) -> Self {
        let permits = PollSemaphore::new(Arc::new(Semaphore::new(limits.connections_max)));
        Self {
            listener,
            tls,
            handshakes: JoinSet::new(),
            permits,
            free: None,
            pause: None,
            connections,
            calls_max: limits.streams_per_connection_max as usize,
            cut,
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<AcceptedConnection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Poll::Ready(Some(ended)) = self.handshakes.poll_join_next(cx) {
            if let Ok(Some(connection)) = ended {
                return Poll::Ready(Some(Ok(connection)));
            }
        }
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.free.is_none() {
                self.free = ready!(self.permits.poll_acquire(cx));
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((socket, address)) => {
                    // Small messages must not wait for the acknowledgement of earlier ones. The option is not
                    // required, so an error is ignored.
                    let _ = socket.set_nodelay(true);
                    let handshake = Handshake {
                        tls: self.tls.clone(),
                        cut: self.cut.clone(),
                        counted: self.connections.open(),
                        calls_max: self.calls_max,
                        permit: self.free.take(),
                    };
                    self.handshakes.spawn(handshake.run(socket, address));
                    // Polls the new task.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "connection not accepted");
                    self.pause = Some(Box::pin(tokio::time::sleep(ACCEPT_PAUSE)));
                }
            }
        }
    }
}

/// Handshake of one accepted connection, which counts from here on.
struct Handshake {
    tls: TlsMaterial,
    cut: CancellationToken,
    counted: ConnectionGuard,
    permit: Option<OwnedSemaphorePermit>,
    calls_max: usize,
}

impl Handshake {
    /// Returns the connection; `None` after a failure, which is logged.
    async fn run(self, socket: TcpStream, address: SocketAddr) -> Option<AcceptedConnection> {
        let certificates = self.tls.current();
        let accepting = TlsAcceptor::from(certificates.server_config()).accept(socket);
        let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                let cause = handshake_cause(&error).unwrap_or_else(|| error.kind().to_string());
                tracing::info!(client = %address, "TLS handshake failed: {cause}");
                return None;
            }
            Err(_) => {
                tracing::info!(client = %address, "TLS handshake timed out");
                return None;
            }
        };
        let peer = stream
            .get_ref()
            .1
            .peer_certificates()?
            .first()?
            .clone()
            .into_owned();
        let peer_ends_ms = Validity::of(&peer).ok()?.not_after_ms;
        let ends_at_ms = peer_ends_ms.min(certificates.not_after_ms());
        let accepted = Accepted {
            peer: ConnectedPeer {
                certificate: Arc::new(peer),
                calls: CallPermits::new(self.calls_max),
            },
            _counted: self.counted,
            _permit: self.permit,
        };
        Some(ExpiringConnection::new(stream, ends_at_ms, self.cut, accepted))
    }
}

/// Client of one connection. Every request has a copy.
#[derive(Debug, Clone)]
pub(super) struct ConnectedPeer {
    /// As the handshake verified it.
    pub(super) certificate: Arc<CertificateDer<'static>>,
    pub(super) calls: CallPermits,
}

/// Permits for the calls of one connection that streams carry: HTTP/2 limits only the number of streams.
#[derive(Debug, Clone)]
pub struct CallPermits(Arc<Semaphore>);

impl CallPermits {
    /// Creates permits for `calls_max` concurrent calls.
    pub fn new(calls_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(calls_max)))
    }

    /// Returns the permits of a request's connection; `None` only outside a [`GrpcServer`](super::GrpcServer).
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Self> {
        let peer = request.extensions().get::<ConnectedPeer>()?;
        Some(peer.calls.clone())
    }

    /// Waits until another call may run; it counts until the permit is dropped.
    pub async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.0.clone().acquire_owned().await.ok()
    }
}

/// One accepted connection.
pub(super) type AcceptedConnection = ExpiringConnection<TlsStream<TcpStream>, Accepted>;

/// What a connection holds until it is closed.
#[derive(Debug)]
pub(super) struct Accepted {
    peer: ConnectedPeer,
    _counted: ConnectionGuard,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connected for AcceptedConnection {
    type ConnectInfo = ConnectedPeer;

    fn connect_info(&self) -> ConnectedPeer {
        self.kept().peer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn server_without_connections_becomes_idle() {
        ConnectionCount::new().idle_shutdown(IDLE).await;
    }

    #[tokio::test]
    async fn idle_time_begins_at_the_end_of_the_last_connection() {
        let connections = ConnectionCount::new();
        let (first, second) = (connections.open(), connections.open());
        assert_eq!(connections.count(), 2);
        let mut idle = Box::pin(connections.idle_shutdown(IDLE));
        assert!(tokio::time::timeout(IDLE * 5, &mut idle).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(IDLE * 5, &mut idle).await.is_err());
        drop(second);
        let begin = tokio::time::Instant::now();
        idle.await;
        assert!(begin.elapsed() >= IDLE);
    }

    #[tokio::test]
    async fn connection_during_the_wait_restarts_the_idle_time() {
        let connections = ConnectionCount::new();
        let mut idle = Box::pin(connections.idle_shutdown(IDLE));
        // The first poll starts the wait; the connection opens before the wait ends.
        assert!(std::future::poll_fn(|cx| Poll::Ready(idle.as_mut().poll(cx).is_pending())).await);
        let open = connections.open();
        assert!(tokio::time::timeout(IDLE * 5, &mut idle).await.is_err());
        drop(open);
        idle.await;
    }
}
