//! The stream of events. Bodies that people and processes signed are verified by who reads them.

use synapsor_chassis::grpc_channel::Endpoint;
use synapsor_chassis::run::ExitError;
use synapsor_domain::event::EventKind;
use synapsor_proto::ledger::v1::TailResponse;
use tonic::Streaming;

/// Which part of the log to follow.
#[derive(Debug, Default, Clone)]
pub(crate) struct TailFilter {
    pub(crate) from_seq: u64,
    /// Empty: every proposal.
    pub(crate) proposal_id: String,
    pub(crate) kind: Option<EventKind>,
    pub(crate) follow: bool,
    /// 0: no limit.
    pub(crate) limit: u32,
}

/// An event as the ledger shows it.
#[derive(Debug)]
pub(crate) struct TailEvent {
    pub(crate) event: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// An open stream of events.
#[derive(Debug)]
pub(crate) struct Tail {
    stream: Streaming<TailResponse>,
    target: Endpoint,
}

impl Tail {
    pub(super) fn new(stream: Streaming<TailResponse>, target: Endpoint) -> Self {
        Self { stream, target }
    }

    /// The next event; `None` at the end.
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
