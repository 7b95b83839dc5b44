//! What becomes of a caller's proposals while somebody listens. A ledger that goes away, or a ticket that ends, is
//! followed by another look from where the last one ended.

use std::sync::Arc;
use std::time::Duration;

use synapsor_domain::refusal::Refusal;
use synapsor_proto::ledger::v1::watch_response::Message;
use synapsor_proto::ledger::v1::{WatchChange, WatchRequest, WatchResponse};
use tonic::{Request, Streaming};

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
    stream: Streaming<WatchResponse>,
    seen: u64,
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
    pub(crate) async fn listen(records: Arc<Records>, caller: Caller) -> Result<Self, Refusal> {
        let mut stream = records.watch(&caller, None).await?;
        let seen = position(&mut stream).await?;
        Ok(Self {
            records,
            caller,
            stream,
            seen,
        })
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// When the caller may not listen any more, or the ledger stays away.
    pub(crate) async fn next(&mut self) -> Result<Next, Refusal> {
        loop {
            match self.stream.message().await {
                Ok(Some(WatchResponse {
                    message: Some(Message::Change(change)),
                })) => {
                    self.seen = self.seen.max(change.seq);
                    return Ok(Next::Change(change));
                }
                Ok(Some(WatchResponse {
                    message: Some(Message::Position(position)),
                })) => {
                    self.seen = self.seen.max(position.seq);
                }
                Ok(Some(WatchResponse { message: None })) => {}
                Ok(None) | Err(_) => {
                    if self.reconnect().await? {
                        return Ok(Next::Gap);
                    }
                }
            }
        }
    }

    /// True if what happened in between cannot be told.
    async fn reconnect(&mut self) -> Result<bool, Refusal> {
        let mut failures = 0;
        loop {
            let from = Some(self.seen);
            let failure = match self.records.watch(&self.caller, from).await {
                Ok(stream) => {
                    self.stream = stream;
                    return Ok(false);
                }
                Err(failure) => failure,
            };
            if failure.code == "WATCH_OUT_OF_RANGE" {
                self.stream = self.records.watch(&self.caller, None).await?;
                self.seen = position(&mut self.stream).await?;
                return Ok(true);
            }
            failures += 1;
            let passes = matches!(
                failure.code.as_ref(),
                "LEDGER_UNAVAILABLE" | "EXECUTOR_UNAVAILABLE"
            );
            if !passes || failures >= FAILURES_MAX {
                return Err(failure);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Where a stream that begins now begins.
async fn position(stream: &mut Streaming<WatchResponse>) -> Result<u64, Refusal> {
    match stream.message().await {
        Ok(Some(WatchResponse {
            message: Some(Message::Position(position)),
        })) => Ok(position.seq),
        Ok(_) => Err(Refusal::new(
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
    ) -> Result<Streaming<WatchResponse>, Refusal> {
        let message = WatchRequest {
            ticket: Some(self.tickets.of(caller).await?),
            after_seq,
        };
        let answer = self.client.clone().watch(Request::new(message)).await;
        self.said(answer)
    }
}
