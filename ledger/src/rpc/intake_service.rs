//! `IntakeService`: what readers file.

use std::sync::Arc;

use synapsor_domain::log::ConsistencyProof;
use synapsor_proto::common::v1 as common;
use synapsor_proto::common::v1::KnownCheckpoint;
use synapsor_proto::ledger::v1::intake_service_server::IntakeService;
use synapsor_proto::ledger::v1::{
    FileProposalRequest, FileProposalResponse, RecordReadRequest, RecordReadResponse, RecordRefusalRequest,
    RecordRefusalResponse,
};
use tonic::{Request, Response, Status};

use super::{Service, caller, envelope};
use crate::error::status_of;

#[tonic::async_trait]
impl IntakeService for Service {
    async fn record_read(
        &self,
        request: Request<RecordReadRequest>,
    ) -> Result<Response<RecordReadResponse>, Status> {
        let mut caller = caller(&request)?;
        let message = request.into_inner();
        caller.known = size_of(message.known.as_ref());
        let evidence = envelope("evidence", message.evidence)?;
        let done = self
            .ledger
            .record_read(caller, &message.request_id, &evidence, message.audit)
            .await
            .map_err(status_of)?;
        Ok(Response::new(RecordReadResponse {
            checkpoint: done.head.note,
            consistency: wire(&done.growth),
        }))
    }

    async fn record_refusal(
        &self,
        request: Request<RecordRefusalRequest>,
    ) -> Result<Response<RecordRefusalResponse>, Status> {
        let mut caller = caller(&request)?;
        let message = request.into_inner();
        caller.known = size_of(message.known.as_ref());
        let done = self
            .ledger
            .record_refusal(caller, &message.request_id, message.audit)
            .await
            .map_err(status_of)?;
        Ok(Response::new(RecordRefusalResponse {
            checkpoint: done.head.note,
            consistency: wire(&done.growth),
        }))
    }

    async fn file_proposal(
        &self,
        request: Request<FileProposalRequest>,
    ) -> Result<Response<FileProposalResponse>, Status> {
        let mut caller = caller(&request)?;
        let message = request.into_inner();
        caller.known = size_of(message.known.as_ref());
        let proposal = envelope("proposal", message.proposal)?;
        let evidence = envelope("evidence", message.evidence)?;
        let done = self
            .ledger
            .file_proposal(caller, &message.request_id, &proposal, &evidence, message.audit)
            .await
            .map_err(status_of)?;
        Ok(Response::new(FileProposalResponse {
            proposal: Some(done.value.envelope.into()),
            repeated: done.value.repeated,
            state: done.value.state.to_string(),
            checkpoint: done.head.note,
            consistency: wire(&done.growth),
        }))
    }
}

fn size_of(known: Option<&KnownCheckpoint>) -> u64 {
    known.map_or(0, |known| known.size)
}

fn wire(growth: &[Arc<ConsistencyProof>]) -> Vec<common::ConsistencyProof> {
    growth.iter().map(|proof| proof.as_ref().into()).collect()
}
