//! Event stream of the ledger. Callers verify the signed bodies.

use synapsor_chassis::grpc_channel::Endpoint;
use synapsor_chassis::run::ExitError;
use synapsor_domain::event::EventKind;
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
