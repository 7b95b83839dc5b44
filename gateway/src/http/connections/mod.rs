//! HTTP connections: limits, TLS, timeouts and graceful shutdown.

mod idle_timeout;

use std::convert::Infallible;
use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guarded_body;
use super::tls::{H2, ServerTls};
use idle_timeout::{ActivityStream, ConnectionActivity, IDLE_TIMEOUT};

const CONNECTIONS_MAX: usize = 2_000;
/// Timeout for the first byte, and for the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_BYTES_MAX: usize = 16 * 1024;
const H2_HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
const H2_STREAMS_MAX: u32 = 100;
/// Limit against peers that open streams only to reset them; exceeding it closes the connection.
const H2_RESET_STREAMS_MAX: usize = 32;
const H2_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const H2_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const H2_SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// A connection closes when the peer does not acknowledge sent data for this time.
const UNACKNOWLEDGED_MS_MAX: u32 = 30_000;
/// Maximum time for requests in progress to finish after a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept, for example when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is canceled, then lets requests in progress finish.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    routes: Router,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = stop.cancelled() => break,
        };
        let Some((stream, slot)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = Connection {
            routes: routes.clone(),
            stop: stop.clone(),
        };
        match tls.clone() {
            None => tasks.spawn(async move {
                connection.plain(stream).await;
                drop(slot);
            }),
            Some(tls) => tasks.spawn(async move {
                connection.over_tls(stream, &tls).await;
                drop(slot);
            }),
        };
    }
    drop(listener);
    tasks.close();
    // Remaining connections close when the process exits.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait()).await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = permits
        .clone()
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await.ok()?;
    // Responses are small and must not be delayed. Both options are optional, so errors are ignored.
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MS_MAX);
    Some((stream, slot))
}

struct Connection {
    routes: Router,
    stop: CancellationToken,
}

impl Connection {
    async fn over_tls(self, stream: TcpStream, tls: &ServerTls) {
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = self.stop.cancelled() => return,
        };
        let Ok(Ok(stream)) = shaken else {
            return;
        };
        if stream.get_ref().1.alpn_protocol() == Some(H2) {
            Box::pin(self.http2(stream)).await;
        } else {
            // TLS keeps its buffers in any case, so parking the connection would free little.
            Box::pin(self.http1(stream, false)).await;
        }
    }

    /// Allocates nothing for a connection before its first byte or while it is idle between requests.
    async fn plain(self, mut stream: TcpStream) {
        let mut patience = HANDSHAKE_TIMEOUT;
        loop {
            let begun = tokio::time::timeout(patience, stream.readable());
            let begun = tokio::select! {
                begun = begun => begun,
                () = self.stop.cancelled() => return,
            };
            if !matches!(begun, Ok(Ok(()))) {
                return;
            }
            match self.http1(stream, true).await {
                Some(resting) => stream = resting,
                None => return,
            }
            patience = IDLE_TIMEOUT;
        }
    }

    /// Serves until the connection ends. With `may_rest`, returns the stream when no request is in progress and
    /// none begins.
    async fn http1<S>(&self, stream: S, may_rest: bool) -> Option<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(ConnectionActivity::of_http1());
        let io = TokioIo::new(ActivityStream::new(stream, activity.clone()));
        // `Pulse` enforces the header timeout, because hyper's timer also runs between requests.
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(io, service(self.routes.clone(), activity.clone()));
        let mut serving = Box::pin(serving);
        tokio::select! {
            () = until_over(serving.as_mut(), &activity, &self.stop) => return None,
            () = activity.rests(), if may_rest => {}
        }
        let parts = Pin::into_inner(serving).into_parts();
        // A partly received request head keeps the connection active, so the buffer is empty here.
        parts
            .read_buf
            .is_empty()
            .then(|| parts.io.into_inner().into_inner())
    }

    async fn http2(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let activity = Arc::new(ConnectionActivity::of_http2());
        let io = TokioIo::new(ActivityStream::new(stream, activity.clone()));
        let serving = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS_MAX)
            .max_header_list_size(H2_HEADER_LIST_BYTES_MAX)
            .max_pending_accept_reset_streams(H2_RESET_STREAMS_MAX)
            .max_local_error_reset_streams(H2_RESET_STREAMS_MAX)
            .max_send_buf_size(H2_SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(H2_KEEPALIVE_INTERVAL)
            .keep_alive_timeout(H2_KEEPALIVE_TIMEOUT)
            .serve_connection(io, service(self.routes, activity.clone()));
        until_over(std::pin::pin!(serving), &activity, &self.stop).await;
    }
}

/// Wraps the routes so that every request is counted in `pulse`.
fn service(
    routes: Router,
    activity: Arc<ConnectionActivity>,
) -> impl hyper::service::Service<
    http::Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future: Send + 'static,
> {
    let routes = TowerToHyperService::new(routes);
    service_fn(move |request| {
        let answer = routes.call(request);
        let under_way = activity.request();
        async move {
            answer
                .await
                .map(|response| guarded_body::hold(response, under_way))
        }
    })
}

/// Waits for the end of a connection: closed by the peer, drained after a stop, or timed out.
async fn until_over<C>(mut serving: Pin<&mut C>, activity: &ConnectionActivity, stop: &CancellationToken)
where
    C: GracefulConnection<Error: Display>,
{
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = activity.has_stopped() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
