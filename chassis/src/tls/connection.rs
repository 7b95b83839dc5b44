//! TLS connection that ends when the certificate of either side ends, however long it is in use.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::clock::{Clock as _, SystemClock};

/// Interval at which the clock is read on an idle connection: it may have been set, or the machine suspended.
const CLOCK_INTERVAL: Duration = Duration::from_secs(30);

/// Connection that is readable until a time, or until it is cut. `K` is kept for as long as the connection.
#[derive(Debug)]
pub(crate) struct ExpiringConnection<S, K = ()> {
    stream: S,
    ends_at_ms: i64,
    timer: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    kept: K,
}

impl<S, K> ExpiringConnection<S, K> {
    /// Ends the connection at `ends_at_ms` milliseconds since 1970, or when `cut` is canceled.
    pub(crate) fn new(stream: S, ends_at_ms: i64, cut: CancellationToken, kept: K) -> Self {
        let remaining = remaining(ends_at_ms).unwrap_or_default();
        Self {
            stream,
            ends_at_ms,
            timer: Box::pin(tokio::time::sleep(remaining)),
            cut: Box::pin(cut.cancelled_owned()),
            kept,
        }
    }

    pub(crate) fn kept(&self) -> &K {
        &self.kept
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let Some(remaining) = remaining(self.ends_at_ms) else {
                return Poll::Ready(());
            };
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer.as_mut().reset(Instant::now() + remaining);
        }
    }
}

/// Returns the time to the next look at the clock; `None` after the end.
fn remaining(ends_at_ms: i64) -> Option<Duration> {
    let remaining = u64::try_from(ends_at_ms - SystemClock.now_ms()).ok()?;
    (remaining > 0).then(|| Duration::from_millis(remaining).min(CLOCK_INTERVAL))
}

impl<S: AsyncRead + Unpin, K: Unpin> AsyncRead for ExpiringConnection<S, K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.poll_end(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, K: Unpin> AsyncWrite for ExpiringConnection<S, K> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn expiring<S>(stream: S, ends_at_ms: i64) -> ExpiringConnection<S> {
        ExpiringConnection::new(stream, ends_at_ms, CancellationToken::new(), ())
    }

    #[tokio::test]
    async fn waiting_reader_is_ended_at_the_time() {
        let (_other, stream) = tokio::io::duplex(16);
        let mut connection = expiring(stream, SystemClock.now_ms() + 50);
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn bytes_that_arrive_after_the_end_are_not_read() {
        let (mut other, stream) = tokio::io::duplex(16);
        tokio::io::AsyncWriteExt::write_all(&mut other, b"late")
            .await
            .unwrap();
        let mut connection = expiring(stream, SystemClock.now_ms());
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
