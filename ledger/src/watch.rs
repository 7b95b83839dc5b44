//! Reports state changes to gateways: one stream per ticket, fed as the log grows, ended by the ticket's deadline.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synapsor_codes::ErrorCode;
use synapsor_domain::context_ticket::{RecordKind, VerifiedTicket};
use synapsor_domain::error::PublicError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::store::StoreTxError;
use crate::store::agents::{self, AgentScope, StateChange};
use crate::store::listeners::{Listening, Topic};
use crate::{Ledger, RequestContext};

/// Maximum number of open watches of one gateway.
const WATCHES_MAX: usize = 64;

/// Maximum distance from the newest event at which a watch may resume, in events.
const RESUME_DISTANCE_MAX: u64 = 10_000;

/// Number of events that one query reads.
const WINDOW: u64 = 2_000;

/// Number of open watches of each gateway.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    open: Mutex<HashMap<String, usize>>,
}

/// One open watch in [`Watches`], released when it is dropped.
#[derive(Debug)]
struct WatchGuard {
    watches: Arc<Watches>,
    gateway: String,
}

/// A message of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WatchMessage {
    /// Every event up to and including this one has been reported.
    Position(u64),
    Change {
        change: StateChange,
        principal_matches: bool,
    },
}

/// One open watch.
#[derive(Debug)]
pub(crate) struct Watch {
    ledger: Ledger,
    ticket: VerifiedTicket,
    scope: AgentScope,
    /// Wakes the watch for its tenants.
    listening: Listening,
    /// The first event that was not read yet.
    next: u64,
    _guard: WatchGuard,
}

pub(crate) type Out = mpsc::Sender<Result<WatchMessage, PublicError>>;

impl Watches {
    fn enter(self: &Arc<Self>, gateway: &str) -> Result<WatchGuard, PublicError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(gateway.to_owned()).or_default();
        if *count >= WATCHES_MAX {
            let text = format!("this gateway has {WATCHES_MAX} open watches; end some before opening more");
            return Err(PublicError::new(ErrorCode::WatchesExceeded, text));
        }
        *count += 1;
        Ok(WatchGuard {
            watches: self.clone(),
            gateway: gateway.to_owned(),
        })
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut open = self.watches.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.gateway) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.gateway);
            }
        }
    }
}

impl Ledger {
    /// Opens a watch after the event `after`, or after the newest.
    ///
    /// # Errors
    /// `RECORD_NOT_FOUND` if the ticket excludes proposals, `WATCH_OUT_OF_RANGE` and `WATCHES_EXCEEDED`.
    pub(crate) fn watch(
        &self,
        caller: &RequestContext,
        ticket: VerifiedTicket,
        after: Option<u64>,
    ) -> Result<Watch, PublicError> {
        if !ticket.allows(RecordKind::Proposal) {
            return Err(crate::agent_record::not_found());
        }
        let scope = AgentScope::of(&ticket);
        // Registered before the size is read: an event in between is then found twice and reported once.
        let listening = self
            .store
            .listen(scope.tenants().map(|t| Topic::Tenant(t.to_owned())).collect());
        let size = self.store.head().borrow().size;
        let next = match after {
            None => size,
            Some(seq) if seq < size && size - seq <= RESUME_DISTANCE_MAX => seq + 1,
            Some(_) => {
                let text = format!(
                    "after_seq is not one of the last {RESUME_DISTANCE_MAX} events; watch from now on and read the proposals \
                     again"
                );
                return Err(PublicError::new(ErrorCode::WatchOutOfRange, text));
            }
        };
        Ok(Watch {
            ledger: self.clone(),
            scope,
            ticket,
            listening,
            next,
            _guard: self.watches.enter(&caller.identity)?,
        })
    }
}

impl Watch {
    /// Reports changes until the ticket expires, the receiver is closed, or `stop`.
    pub(crate) async fn run(mut self, out: Out, stop: CancellationToken) {
        let size = self.size();
        if !self.send(&out, self.position(), &stop).await || !self.send_up_to(size, &out, &stop).await {
            return;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = out.closed() => return,
                () = self.listening.woken() => {}
                () = tokio::time::sleep(self.left()) => {}
            }
            if self.is_over() {
                // The size is read first: events below it that are not pending do not concern this watch.
                let size = self.size();
                let first = self.listening.peek().map_or(size, |range| range.first);
                self.next = self.next.max(first);
                // A watch under a new ticket resumes from this position. With a full buffer it is not sent.
                let _ = out.try_send(Ok(self.position()));
                return;
            }
            if let Some(range) = self.listening.take() {
                self.next = self.next.max(range.first);
                if !self.send_up_to(range.end, &out, &stop).await {
                    return;
                }
            }
        }
    }

    fn size(&self) -> u64 {
        self.ledger.store.head().borrow().size
    }

    /// Returns false when the watch must end.
    async fn send_up_to(&mut self, size: u64, out: &Out, stop: &CancellationToken) -> bool {
        while self.next < size {
            let range = (self.next, size.min(self.next + WINDOW));
            let scope = self.scope.clone();
            let scan = self
                .ledger
                .store
                .read(move |reader| Ok(agents::changes(reader.conn(), range, &scope)?));
            let (changes, next) = match scan.await {
                Ok(found) => found,
                Err(error) => return self.fail(error, out),
            };
            for change in changes {
                let principal_matches = self.ticket.covers_principal(&change.tenant, &change.principal);
                let message = WatchMessage::Change {
                    change,
                    principal_matches,
                };
                if !self.send(out, message, stop).await {
                    return false;
                }
            }
            self.next = next;
        }
        true
    }

    /// Waits for a slow connection, but not longer than the ticket is valid.
    async fn send(&self, out: &Out, message: WatchMessage, stop: &CancellationToken) -> bool {
        if self.is_over() {
            return false;
        }
        tokio::select! {
            () = stop.cancelled() => false,
            sent = tokio::time::timeout(self.left(), out.send(Ok(message))) => matches!(sent, Ok(Ok(()))),
        }
    }

    fn fail(&self, error: StoreTxError, out: &Out) -> bool {
        let _ = out.try_send(Err(crate::error::log_and_convert(error)));
        false
    }

    fn position(&self) -> WatchMessage {
        WatchMessage::Position(self.next.saturating_sub(1))
    }

    fn is_over(&self) -> bool {
        self.ticket.check_not_expired(self.ledger.now()).is_err()
    }

    fn left(&self) -> Duration {
        let left = (self.ticket.expires_at() - self.ledger.now()).as_millis();
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }
}
