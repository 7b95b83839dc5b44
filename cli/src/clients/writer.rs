//! Calls to a writer: rehearse, deny, freeze. None of them writes to a target.

use std::time::Duration;

use synapsor_chassis::grpc_channel::Target;
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::run::Failure;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Envelope;
use synapsor_domain::writeback::SourceProbe;
use synapsor_proto::executor::v1::{self as wire, writer_service_client::WriterServiceClient};
use tonic::transport::Channel;

use super::{call, call_within, not_believed};
use crate::session::Link;

/// A probe opens connections and tries every statement, on every source.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// A running writer.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    client: WriterServiceClient<Channel>,
    target: Target,
}

/// What a rehearsal came to.
#[derive(Debug)]
pub(crate) struct Preview {
    /// `would_apply`, `conflict:<reason>`, `refused:<reason>`, `failed:<reason>`, `already:<outcome>`,
    /// `retryable:<reason>`.
    pub(crate) result: String,
    pub(crate) message: String,
    /// UTF-8 JSON of tagged values.
    pub(crate) after_json: Option<Vec<u8>>,
}

/// What a writer could do with a deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DenyEffect {
    Killed,
    EndedBefore,
    InFlight,
    BlockedHere,
}

/// A writer's answer to a deny.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) effect: DenyEffect,
    pub(crate) receipt: Option<Envelope>,
}

impl Writer {
    pub(crate) fn at(link: &Link) -> Self {
        let client = WriterServiceClient::new(link.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            client,
            target: link.target.clone(),
        }
    }

    pub(crate) async fn preview(&mut self, proposal: &Envelope) -> Result<Preview, Failure> {
        let message = wire::PreviewRequest {
            proposal: Some(proposal.into()),
        };
        let answer = call(&self.target, message, async |m| self.client.preview(m).await).await?;
        Ok(Preview {
            result: answer.result,
            message: answer.message,
            after_json: answer.after_json,
        })
    }

    /// Proves the write path of every source that it serves; nothing is changed.
    pub(crate) async fn probe(&mut self) -> Result<Vec<SourceProbe>, Failure> {
        let message = wire::ProbeRequest::default();
        let answer = call_within(&self.target, PROBE_TIMEOUT, message, async |m| {
            self.client.probe(m).await
        })
        .await?;
        let probes: Result<_, Refusal> = answer.sources.into_iter().map(TryInto::try_into).collect();
        probes.map_err(odd)
    }

    pub(crate) async fn deny(&mut self, proposal: &Envelope, decision: &Envelope) -> Result<Denied, Failure> {
        let message = wire::DenyRequest {
            proposal: Some(proposal.into()),
            decision: Some(decision.into()),
        };
        let answer = call(&self.target, message, async |m| self.client.deny(m).await).await?;
        let effect = match answer.effect() {
            wire::DenyEffect::Killed => DenyEffect::Killed,
            wire::DenyEffect::EndedBefore => DenyEffect::EndedBefore,
            wire::DenyEffect::InFlight => DenyEffect::InFlight,
            wire::DenyEffect::BlockedHere => DenyEffect::BlockedHere,
            wire::DenyEffect::Unspecified => {
                return Err(not_believed(
                    "WRITER_ANSWER_MALFORMED",
                    "it does not say what became of the deny",
                ));
            }
        };
        let receipt = answer.receipt.map(Envelope::try_from).transpose().map_err(odd)?;
        Ok(Denied { effect, receipt })
    }

    /// The writer's name, as it tells it; what is signed for it goes to this writer only.
    pub(crate) async fn name(&mut self) -> Result<String, Failure> {
        let message = wire::GetStatusRequest {};
        Ok(
            call(&self.target, message, async |m| self.client.get_status(m).await)
                .await?
                .writer,
        )
    }

    /// Stops all writeback, or resumes it on the strength of a signed `unfreeze`.
    pub(crate) async fn freeze(
        &mut self,
        frozen: bool,
        unfreeze: Option<&Envelope>,
    ) -> Result<bool, Failure> {
        let message = wire::FreezeRequest {
            frozen,
            unfreeze: unfreeze.map(Into::into),
            freeze: None,
        };
        Ok(call(&self.target, message, async |m| self.client.freeze(m).await)
            .await?
            .frozen)
    }
}

impl DenyEffect {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::EndedBefore => "ended_before",
            Self::InFlight => "in_flight",
            Self::BlockedHere => "blocked_here",
        }
    }
}

fn odd(refusal: Refusal) -> Failure {
    not_believed("WRITER_ANSWER_MALFORMED", refusal)
}
