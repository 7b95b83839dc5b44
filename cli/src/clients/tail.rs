//! Event stream of the ledger. Callers verify the signed bodies.

use synapsor_chassis::grpc_channel::Endpoint;
use synapsor_chassis::run::ExitError;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::ledger::v1::TailResponse;
use tonic::Streaming;

/// Part of the log to stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct EventQuery {
    pub(crate) from_seq: u64,
    /// Proposal id; empty matches every proposal.
    pub(crate) proposal_id: String,
    pub(crate) kind: Option<EventKind>,
    pub(crate) follow: bool,
    /// Maximum number of events; 0 for no limit.
    pub(crate) limit: u32,
    /// Certificate identity or operator; empty matches every actor.
    pub(crate) actor: String,
    /// Position before which the stream ends; 0 for none.
    pub(crate) to_seq: u64,
    pub(crate) at_from: Option<Timestamp>,
    pub(crate) at_to: Option<Timestamp>,
}

impl EventQuery {
    /// Whether an event meets the conditions. An earlier ledger does not know all of them.
    pub(crate) fn is_met_by(&self, event: &EventRecord) -> bool {
        event.seq >= self.from_seq
            && (self.to_seq == 0 || event.seq < self.to_seq)
            && self
                .kind
                .is_none_or(|kind| kind == event.kind || event.kind == EventKind::ReadRecorded)
            && (self.actor.is_empty() || self.actor == event.actor)
            && self.at_from.is_none_or(|from| event.at >= from)
            && self.at_to.is_none_or(|to| event.at < to)
    }
}

/// An event as the ledger returns it.
#[derive(Debug)]
pub(crate) struct TailEvent {
    pub(crate) event: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// An open event stream.
#[derive(Debug)]
pub(crate) struct EventStream {
    stream: Streaming<TailResponse>,
    target: Endpoint,
}

impl EventStream {
    pub(super) fn new(stream: Streaming<TailResponse>, target: Endpoint) -> Self {
        Self { stream, target }
    }

    /// Returns the next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<TailEvent>, ExitError> {
        match self.stream.message().await {
            Ok(next) => Ok(next.map(|e| TailEvent {
                event: e.event,
                body: e.body,
            })),
            Err(status) => Err(super::failure(&status, &self.target)),
        }
    }
}
