//! Calls at a reader with a gateway's certificate, without a gateway.

use synapsor_chassis::grpc_channel::Channel;
use synapsor_proto::executor::v1::agent_service_client::AgentServiceClient;
use synapsor_proto::executor::v1::capability_answer::Outcome;
use synapsor_proto::executor::v1::{
    CallCapabilitiesRequest, CallCapabilitiesResponse, CapabilityAnswer, CapabilityCall, CapabilityResult,
};
use synapsor_proto::status::{from_wire, to_status};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

/// One stream of calls.
#[derive(Debug)]
pub struct CapabilityCalls {
    calls: mpsc::Sender<CallCapabilitiesRequest>,
    answers: Streaming<CallCapabilitiesResponse>,
    next_number: u64,
}

impl CapabilityCalls {
    /// Opens a stream with this metadata.
    pub async fn open(channel: Channel, metadata: MetadataMap) -> Result<Self, Status> {
        let (calls, sent) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(sent));
        *request.metadata_mut() = metadata;
        let answers = AgentServiceClient::new(channel)
            .call_capabilities(request)
            .await?;
        Ok(Self {
            calls,
            answers: answers.into_inner(),
            next_number: 1,
        })
    }

    /// Makes one call and waits for its result.
    pub async fn call(&mut self, mut call: CapabilityCall) -> Result<CapabilityResult, Status> {
        call.number = self.next_number;
        self.next_number += 1;
        let number = call.number;
        let message = CallCapabilitiesRequest {
            calls: vec![call],
            canceled: Vec::new(),
        };
        let ended = || Status::unavailable("the stream ended");
        self.calls.send(message).await.map_err(|_| ended())?;
        loop {
            let message = self.answers.message().await?.ok_or_else(ended)?;
            if let Some(answer) = message.answers.into_iter().find(|answer| answer.number == number) {
                return result_of(answer);
            }
        }
    }
}

/// Makes one call on a stream of its own.
pub async fn call_once(channel: Channel, call: CapabilityCall) -> Result<CapabilityResult, Status> {
    let mut calls = CapabilityCalls::open(channel, MetadataMap::new()).await?;
    calls.call(call).await
}

/// Result of a call, or its error as a status.
pub fn result_of(answer: CapabilityAnswer) -> Result<CapabilityResult, Status> {
    match answer.outcome {
        Some(Outcome::Result(result)) => Ok(result),
        Some(Outcome::Error(error)) => Err(to_status(&from_wire(&error.code, error.message))),
        None => Err(Status::internal("an answer without an outcome")),
    }
}
