//! Header and idle timeouts of HTTP connections.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Active clients send the next request sooner.
const BUFFER_RELEASE_DELAY: Duration = Duration::from_millis(100);
/// Poll interval while a request is in progress.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const NONE: u64 = u64::MAX;

/// Activity of one connection. Times are milliseconds since the connection began.
#[derive(Debug)]
pub(super) struct ConnectionActivity {
    begin: Instant,
    /// Time of the last byte read or written.
    moved: AtomicU64,
    /// Start of a request head whose request has not begun.
    head_begun: AtomicU64,
    /// Requests whose responses have not ended.
    requests: AtomicUsize,
    /// Whether bytes wait for the peer to read them.
    is_blocked: AtomicBool,
    /// False for HTTP/2: it has frames besides requests, so a byte does not imply a request head.
    sees_heads: bool,
}

impl ConnectionActivity {
    /// The first request head is due from the beginning.
    pub(super) fn of_http1() -> Self {
        Self {
            begin: Instant::now(),
            moved: AtomicU64::new(0),
            head_begun: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            is_blocked: AtomicBool::new(false),
            sees_heads: true,
        }
    }

    pub(super) fn of_http2() -> Self {
        Self {
            sees_heads: false,
            ..Self::of_http1()
        }
    }

    /// Counts a request as in progress until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_begun.store(NONE, Ordering::Relaxed);
        RequestGuard(self.clone())
    }

    /// Resolves when a timeout has expired.
    pub(super) async fn has_stopped(&self) {
        while let Some(left) = self.left(self.now()) {
            tokio::time::sleep(left).await;
        }
    }

    /// Resolves when all requests are answered completely and no byte was transferred for a while.
    pub(super) async fn rests(&self) {
        while !self.is_resting(self.now()) {
            let is_busy = self.requests.load(Ordering::Relaxed) > 0;
            tokio::time::sleep(if is_busy { LOOK_AGAIN } else { BUFFER_RELEASE_DELAY }).await;
        }
    }

    fn is_resting(&self, now: u64) -> bool {
        let silence = Duration::from_millis(now.saturating_sub(self.moved.load(Ordering::Relaxed)));
        silence >= BUFFER_RELEASE_DELAY
            && self.requests.load(Ordering::Relaxed) == 0
            && self.head_begun.load(Ordering::Relaxed) == NONE
            && !self.is_blocked.load(Ordering::Relaxed)
    }

    fn left(&self, now: u64) -> Option<Duration> {
        let until = |from: u64, limit: Duration| {
            let limit = u64::try_from(limit.as_millis()).unwrap_or(NONE);
            from.saturating_add(limit).saturating_sub(now)
        };
        if self.requests.load(Ordering::Relaxed) > 0 {
            return Some(HEADER_TIMEOUT);
        }
        let idle = until(self.moved.load(Ordering::Relaxed), IDLE_TIMEOUT);
        let head = match self.head_begun.load(Ordering::Relaxed) {
            NONE => HEADER_TIMEOUT.as_millis().try_into().unwrap_or(NONE),
            begun => until(begun, HEADER_TIMEOUT),
        };
        let left = idle.min(head);
        (left > 0).then(|| Duration::from_millis(left))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(NONE)
    }

    fn has_read(&self, now: u64) {
        self.moved.store(now, Ordering::Relaxed);
        if self.sees_heads && self.requests.load(Ordering::Relaxed) == 0 {
            // Only the first byte of a head starts the header timeout.
            let _ = self
                .head_begun
                .compare_exchange(NONE, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn has_written(&self, now: u64) {
        self.moved.store(now, Ordering::Relaxed);
    }
}

/// Guard of a request in progress.
#[derive(Debug)]
pub(super) struct RequestGuard(Arc<ConnectionActivity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.has_written(self.0.now());
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Stream that reports its traffic to [`ConnectionActivity`].
#[derive(Debug)]
pub(super) struct ActivityStream<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
}

impl<S> ActivityStream<S> {
    pub(super) fn new(stream: S, activity: Arc<ConnectionActivity>) -> Self {
        Self { stream, activity }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity
            .is_blocked
            .store(outcome.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(1..)) = outcome {
            self.activity.has_written(self.activity.now());
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ActivityStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.has_read(self.activity.now());
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ActivityStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The connection began at most a second ago, so the tests use differences of more than a second.
    fn has_stopped(activity: &ConnectionActivity, second: u64) -> bool {
        activity.left(second * 1_000).is_none()
    }

    #[test]
    fn header_timeout_is_not_extended_by_further_bytes() {
        let activity = Arc::new(ConnectionActivity::of_http1());
        activity.has_read(3_000);
        assert!(!has_stopped(&activity, 4));
        assert!(has_stopped(&activity, 5));
        drop(activity.request());
        assert!(!has_stopped(&activity, 30), "no head is due between requests");
        activity.has_read(30_000);
        activity.has_read(34_000);
        assert!(!has_stopped(&activity, 34));
        assert!(has_stopped(&activity, 35));
    }

    #[test]
    fn connection_rests_only_between_requests() {
        let activity = Arc::new(ConnectionActivity::of_http1());
        assert!(!activity.is_resting(4_000), "the first head is due");
        let under_way = activity.request();
        assert!(!activity.is_resting(100_000));
        drop(under_way);
        activity.has_written(100_000);
        assert!(!activity.is_resting(100_050));
        assert!(activity.is_resting(100_100));
        activity.is_blocked.store(true, Ordering::Relaxed);
        assert!(!activity.is_resting(101_000), "the response is not sent");
        activity.is_blocked.store(false, Ordering::Relaxed);
        activity.has_read(101_000);
        assert!(!activity.is_resting(103_000), "a head has begun");
    }

    #[test]
    fn idle_connection_times_out_but_not_during_a_request() {
        for activity in [ConnectionActivity::of_http1(), ConnectionActivity::of_http2()] {
            let activity = Arc::new(activity);
            let under_way = activity.request();
            assert!(!has_stopped(&activity, 600));
            drop(under_way);
            activity.has_written(600_000);
            assert!(!has_stopped(&activity, 659));
            assert!(has_stopped(&activity, 660));
        }
    }
}
