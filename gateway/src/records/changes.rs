//! What becomes of a caller's proposals while somebody listens. A ledger that goes away, or a ticket that ends, is
//! followed by another look from where the last one ended.

use std::sync::Arc;
use std::time::Duration;

use synapsor_domain::error::PublicError;
use synapsor_proto::ledger::v1::watch_response::Message;
use synapsor_proto::ledger::v1::{WatchChange, WatchRequest, WatchResponse};
use tokio::time::Instant;
use tonic::{Request, Status, Streaming};

use super::{Records, refusal};
use crate::caller::Caller;

/// Between two looks when the ledger does not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// Looks in a row that may fail before whoever listens is told that it is over.
const FAILURES_MAX: u32 = 30;

/// The changes that one caller may see, from the moment it was made.
pub(crate) struct Changes {
    records: Arc<Records>,
    caller: Caller,
    feed: Feed<Streaming<WatchResponse>>,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Change(WatchChange),
    /// Something may have been missed: everything that is listened to has to be looked at again.
    Gap,
}

impl Changes {
    /// Begins to listen; what changes after this returned is told.
    pub(crate) async fn listen(records: Arc<Records>, caller: Caller) -> Result<Self, PublicError> {
        let mut stream = records.watch(&caller, None).await?;
        let seen = position(&mut stream).await?;
        Ok(Self {
            records,
            caller,
            feed: Feed::new(stream, seen),
        })
    }

    /// Waits for the next change. Dropping the future loses nothing: whatever it had come to is kept, and the next
    /// call goes on from there.
    ///
    /// # Errors
    /// When the caller may not listen any more, or the ledger stays away.
    pub(crate) async fn next(&mut self) -> Result<Next, PublicError> {
        let (records, caller) = (&self.records, &self.caller);
        self.feed.next(|after| records.watch(caller, after)).await
    }
}

/// Messages of a watch, one after the other.
trait Messages {
    /// The next message; the future may be dropped without loss.
    fn message(&mut self) -> impl Future<Output = Result<Option<WatchResponse>, Status>> + Send;
}

impl Messages for Streaming<WatchResponse> {
    async fn message(&mut self) -> Result<Option<WatchResponse>, Status> {
        Self::message(self).await
    }
}

/// Where a feed stands. It is changed only where no wait can come between, so that a wait that is given up anywhere
/// leaves the feed as it was.
#[derive(Debug)]
enum State<S> {
    Open(S),
    /// The stream ended; the next one goes on behind the last record that was seen.
    Lost,
    /// The ledger cannot go on from there; the next stream begins anew.
    OutOfRange,
    /// A stream that began anew and has not said where. What came before it may have been missed.
    Anew(S),
}

/// One watch after the other, as if it were one.
#[derive(Debug)]
struct Feed<S> {
    state: State<S>,
    seen: u64,
    failures: u32,
    /// No earlier than this another stream is asked for.
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

    async fn next<F>(&mut self, open: impl Fn(Option<u64>) -> F) -> Result<Next, PublicError>
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
                                return Ok(Next::Change(change));
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
                        return Ok(Next::Gap);
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
                // One that ends again before it says anything is not asked for again at once.
                self.again_at = Some(Instant::now() + self.pause);
                self.state = match after {
                    Some(_) => State::Open(stream),
                    None => State::Anew(stream),
                };
                Ok(())
            }
            Err(failure) if failure.code == "WATCH_OUT_OF_RANGE" && after.is_some() => {
                self.state = State::OutOfRange;
                Ok(())
            }
            Err(failure) => self.failed(failure),
        }
    }

    /// Counts a failure that passes; gives any other one, and the last of too many, back.
    fn failed(&mut self, failure: PublicError) -> Result<(), PublicError> {
        self.failures += 1;
        self.again_at = Some(Instant::now() + self.pause);
        let passes = matches!(
            failure.code.as_ref(),
            "LEDGER_UNAVAILABLE" | "EXECUTOR_UNAVAILABLE"
        );
        if passes && self.failures < FAILURES_MAX {
            Ok(())
        } else {
            Err(failure)
        }
    }
}

/// Where a stream that begins now begins.
async fn position(stream: &mut impl Messages) -> Result<u64, PublicError> {
    match stream.message().await {
        Ok(Some(WatchResponse {
            message: Some(Message::Position(position)),
        })) => Ok(position.seq),
        Ok(_) => Err(PublicError::new(
            "LEDGER_UNAVAILABLE",
            "The ledger does not say where it stands.",
        )),
        Err(status) => Err(refusal(&status)),
    }
}

impl Records {
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
        self.said(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::task::Poll;

    use synapsor_proto::ledger::v1::WatchPosition;

    use super::*;

    /// What a stream says, one after the other; `None` is a moment without anything.
    #[derive(Debug)]
    struct Script(VecDeque<Option<Result<Option<WatchResponse>, Status>>>);

    impl Messages for Script {
        async fn message(&mut self) -> Result<Option<WatchResponse>, Status> {
            match self.0.pop_front() {
                Some(Some(said)) => said,
                // Pending once: whoever waits is given the chance to be dropped here.
                Some(None) => std::future::pending().await,
                None => Ok(None),
            }
        }
    }

    const SHORT: Duration = Duration::from_millis(4);

    /// A feed whose stream is over, behind record 7.
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
    ) -> Option<Next> {
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
    async fn a_reconnect_that_is_given_up_anywhere_loses_no_gap() {
        let asked = RefCell::new(Vec::new());
        let slow = Cell::new(true);
        // The ledger cannot go on from 7; the stream that begins anew says where only after a while.
        let open = |after: Option<u64>| {
            asked.borrow_mut().push(after);
            let slow = slow.replace(false);
            async move {
                if slow {
                    std::future::pending::<()>().await;
                }
                match after {
                    Some(_) => Err(PublicError::new("WATCH_OUT_OF_RANGE", "too far back")),
                    None => Ok(script([None, at(90)])),
                }
            }
        };
        let mut feed = lost();
        // Dropped while it asks, and dropped again while the new stream is silent.
        assert!(glance(&mut feed, open).is_none());
        assert!(glance(&mut feed, open).is_none());
        assert_eq!(*asked.borrow(), [Some(7), Some(7), None]);
        assert!(matches!(glance(&mut feed, open), Some(Next::Gap)));
        assert_eq!(feed.seen, 90);
        assert!(matches!(feed.state, State::Open(_)));
    }

    #[tokio::test]
    async fn failures_count_on_over_waits_that_are_given_up() {
        let away = |_: Option<u64>| async {
            Err::<Script, _>(PublicError::new("LEDGER_UNAVAILABLE", "The ledger is away."))
        };
        let mut feed = lost();
        let mut ended = None;
        for _ in 0..FAILURES_MAX * 3 {
            // As a session does that looks after its client now and then.
            if let Ok(next) = tokio::time::timeout(SHORT / 2, feed.next(away)).await {
                ended = Some(next.unwrap_err().code);
                break;
            }
        }
        assert_eq!(ended.as_deref(), Some("LEDGER_UNAVAILABLE"));
    }

    #[tokio::test]
    async fn a_stream_that_ends_at_once_is_not_asked_for_in_a_circle() {
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
