//! Stream of changes to a caller's proposals. After a lost connection or an expired ticket, it resumes behind the
//! last event seen.

use std::sync::Arc;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_proto::ledger::v1::watch_response::Message;
use synapsor_proto::ledger::v1::{WatchChange, WatchRequest, WatchResponse};
use tokio::time::Instant;
use tonic::{Request, Status, Streaming};

use super::{RecordClient, refusal};
use crate::caller::Caller;

/// Pause between two attempts when the ledger is unavailable.
const PAUSE: Duration = Duration::from_secs(2);
/// Maximum number of consecutive failures before the stream ends with an error.
const FAILURES_MAX: u32 = 30;

/// Changes visible to one caller, starting when the stream was opened.
pub(crate) struct ChangeStream {
    records: Arc<RecordClient>,
    caller: Caller,
    feed: Feed<Streaming<WatchResponse>>,
}

/// Next item of the stream.
#[derive(Debug)]
pub(crate) enum ChangeEvent {
    Change(WatchChange),
    /// Changes may have been missed: the client must read every subscribed record again.
    Gap,
}

impl ChangeStream {
    /// Opens the stream. Every change after this call returns is delivered.
    pub(crate) async fn listen(records: Arc<RecordClient>, caller: Caller) -> Result<Self, PublicError> {
        let mut stream = records.watch(&caller, None).await?;
        let seen = position(&mut stream).await?;
        Ok(Self {
            records,
            caller,
            feed: Feed::new(stream, seen),
        })
    }

    /// Waits for the next change. Dropping the future loses nothing: the feed keeps its state, and the next call
    /// resumes from there.
    ///
    /// # Errors
    /// When the caller is no longer permitted to watch, or the ledger stays unavailable.
    pub(crate) async fn next(&mut self) -> Result<ChangeEvent, PublicError> {
        let (records, caller) = (&self.records, &self.caller);
        self.feed.next(|after| records.watch(caller, after)).await
    }
}

/// Source of watch messages.
trait Messages {
    /// Returns the next message; dropping the future loses none.
    fn message(&mut self) -> impl Future<Output = Result<Option<WatchResponse>, Status>> + Send;
}

impl Messages for Streaming<WatchResponse> {
    async fn message(&mut self) -> Result<Option<WatchResponse>, Status> {
        Self::message(self).await
    }
}

/// State of a feed. It never changes across an await point, so dropping a wait leaves the feed consistent.
#[derive(Debug)]
enum State<S> {
    Open(S),
    /// The stream ended; the next one resumes behind the last event seen.
    Lost,
    /// The ledger cannot resume from that position; the next stream starts from now.
    OutOfRange,
    /// A new stream that has not reported its position. Changes before that position may have been missed.
    Anew(S),
}

/// Joins consecutive watch streams into one.
#[derive(Debug)]
struct Feed<S> {
    state: State<S>,
    seen: u64,
    failures: u32,
    /// Earliest time to open the next stream.
    again_at: Option<Instant>,
    pause: Duration,
}

impl<S: Messages> Feed<S> {
    const fn new(stream: S, seen: u64) -> Self {
        Self {
            state: State::Open(stream),
            seen,
            failures: 0,
            again_at: None,
            pause: PAUSE,
        }
    }

    async fn next<F>(&mut self, open: impl Fn(Option<u64>) -> F) -> Result<ChangeEvent, PublicError>
    where
        F: Future<Output = Result<S, PublicError>>,
    {
        loop {
            match &mut self.state {
                State::Open(stream) => match stream.message().await {
                    Ok(Some(WatchResponse { message })) => {
                        self.failures = 0;
                        match message {
                            Some(Message::Change(change)) => {
                                self.seen = self.seen.max(change.seq);
                                return Ok(ChangeEvent::Change(change));
                            }
                            Some(Message::Position(position)) => self.seen = self.seen.max(position.seq),
                            None => {}
                        }
                    }
                    Ok(None) | Err(_) => self.state = State::Lost,
                },
                State::Anew(stream) => match position(stream).await {
                    Ok(seen) => {
                        self.seen = seen;
                        self.failures = 0;
                        if let State::Anew(stream) = std::mem::replace(&mut self.state, State::Lost) {
                            self.state = State::Open(stream);
                        }
                        return Ok(ChangeEvent::Gap);
                    }
                    Err(failure) => {
                        self.state = State::OutOfRange;
                        self.failed(failure)?;
                    }
                },
                State::Lost => self.reopen(Some(self.seen), &open).await?,
                State::OutOfRange => self.reopen(None, &open).await?,
            }
        }
    }

    async fn reopen<F>(
        &mut self,
        after: Option<u64>,
        open: impl Fn(Option<u64>) -> F,
    ) -> Result<(), PublicError>
    where
        F: Future<Output = Result<S, PublicError>>,
    {
        if let Some(at) = self.again_at {
            tokio::time::sleep_until(at).await;
        }
        match open(after).await {
            Ok(stream) => {
                // A stream that ends before its first message must not be reopened at once.
                self.again_at = Some(Instant::now() + self.pause);
                self.state = match after {
                    Some(_) => State::Open(stream),
                    None => State::Anew(stream),
                };
                Ok(())
            }
            Err(failure) if failure.code == ErrorCode::WatchOutOfRange && after.is_some() => {
                self.state = State::OutOfRange;
                Ok(())
            }
            Err(failure) => self.failed(failure),
        }
    }

    /// Counts a temporary failure; returns any other failure, and the last permitted one.
    fn failed(&mut self, failure: PublicError) -> Result<(), PublicError> {
        self.failures += 1;
        self.again_at = Some(Instant::now() + self.pause);
        let passes = matches!(
            failure.code,
            ErrorCode::LedgerUnavailable | ErrorCode::ExecutorUnavailable
        );
        if passes && self.failures < FAILURES_MAX {
            Ok(())
        } else {
            Err(failure)
        }
    }
}

/// Returns the start position of a new stream.
async fn position(stream: &mut impl Messages) -> Result<u64, PublicError> {
    match stream.message().await {
        Ok(Some(WatchResponse {
            message: Some(Message::Position(position)),
        })) => Ok(position.seq),
        Ok(_) => Err(PublicError::new(
            ErrorCode::LedgerUnavailable,
            "The ledger did not report its position.",
        )),
        Err(status) => Err(refusal(&status)),
    }
}

impl RecordClient {
    /// No deadline: the stream lasts as long as the ticket.
    async fn watch(
        &self,
        caller: &Caller,
        after_seq: Option<u64>,
    ) -> Result<Streaming<WatchResponse>, PublicError> {
        let message = WatchRequest {
            ticket: Some(self.tickets.of(caller).await?),
            after_seq,
        };
        let answer = self.client.clone().watch(Request::new(message)).await;
        self.map_response(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::task::Poll;

    use synapsor_proto::ledger::v1::WatchPosition;

    use super::*;

    /// Scripted messages of a stream; `None` is a pending poll.
    #[derive(Debug)]
    struct Script(VecDeque<Option<Result<Option<WatchResponse>, Status>>>);

    impl Messages for Script {
        async fn message(&mut self) -> Result<Option<WatchResponse>, Status> {
            match self.0.pop_front() {
                Some(Some(said)) => said,
                // Pending once, so that the test can drop the wait here.
                Some(None) => std::future::pending().await,
                None => Ok(None),
            }
        }
    }

    const SHORT: Duration = Duration::from_millis(4);

    /// Returns a feed whose stream ended behind event 7.
    fn lost() -> Feed<Script> {
        Feed {
            pause: SHORT,
            ..Feed::new(script([]), 7)
        }
    }

    fn at(seq: u64) -> Option<Result<Option<WatchResponse>, Status>> {
        let message = Some(Message::Position(WatchPosition { seq }));
        Some(Ok(Some(WatchResponse { message })))
    }

    fn script(parts: impl IntoIterator<Item = Option<Result<Option<WatchResponse>, Status>>>) -> Script {
        Script(parts.into_iter().collect())
    }

    /// Polls a wait once and drops it.
    fn glance<S: Messages, F: Future<Output = Result<S, PublicError>>>(
        feed: &mut Feed<S>,
        open: impl Fn(Option<u64>) -> F,
    ) -> Option<ChangeEvent> {
        let wait = feed.next(open);
        let mut wait = std::pin::pin!(wait);
        match wait
            .as_mut()
            .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        {
            Poll::Ready(next) => Some(next.unwrap()),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn reconnect_dropped_at_any_await_still_reports_the_gap() {
        let asked = RefCell::new(Vec::new());
        let slow = Cell::new(true);
        // The ledger cannot resume from 7; the new stream reports its position only after a while.
        let open = |after: Option<u64>| {
            asked.borrow_mut().push(after);
            let slow = slow.replace(false);
            async move {
                if slow {
                    std::future::pending::<()>().await;
                }
                match after {
                    Some(_) => Err(PublicError::new(ErrorCode::WatchOutOfRange, "too far back")),
                    None => Ok(script([None, at(90)])),
                }
            }
        };
        let mut feed = lost();
        // Dropped while opening, and dropped again while the new stream is silent.
        assert!(glance(&mut feed, open).is_none());
        assert!(glance(&mut feed, open).is_none());
        assert_eq!(*asked.borrow(), [Some(7), Some(7), None]);
        assert!(matches!(glance(&mut feed, open), Some(ChangeEvent::Gap)));
        assert_eq!(feed.seen, 90);
        assert!(matches!(feed.state, State::Open(_)));
    }

    #[tokio::test]
    async fn failures_are_counted_across_dropped_waits() {
        let away = |_: Option<u64>| async {
            Err::<Script, _>(PublicError::new(
                ErrorCode::LedgerUnavailable,
                "The ledger is unavailable.",
            ))
        };
        let mut feed = lost();
        let mut ended = None;
        for _ in 0..FAILURES_MAX * 3 {
            // A session polls like this when it checks its client periodically.
            if let Ok(next) = tokio::time::timeout(SHORT / 2, feed.next(away)).await {
                ended = Some(next.unwrap_err().code);
                break;
            }
        }
        assert_eq!(ended, Some(ErrorCode::LedgerUnavailable));
    }

    #[tokio::test]
    async fn stream_that_ends_at_once_is_not_reopened_in_a_loop() {
        let asked = Cell::new(0);
        let open = |_: Option<u64>| {
            asked.set(asked.get() + 1);
            async { Ok(script([])) }
        };
        let mut feed = lost();
        let _ = tokio::time::timeout(SHORT * 5, feed.next(open)).await;
        assert!(asked.get() <= 7, "{}", asked.get());
    }
}
