//! `TransparencyService`: proofs about the log itself.

use synapsor_proto::ledger::v1::transparency_service_server::TransparencyService;
use synapsor_proto::ledger::v1::{
    GetCheckpointRequest, GetCheckpointResponse, VerifyRequest, VerifyResponse,
};
use tonic::{Request, Response, Status};

use super::Service;
use crate::error::status_of;
use crate::store::{StepError, StoreError, log};

#[tonic::async_trait]
impl TransparencyService for Service {
    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let known = request.into_inner().known.map_or(0, |known| known.size);
        let ledger_now_ms = self.ledger.now().as_unix_millis();
        let is_expiry_paused = self.ledger.expiry_time().is_none();
        let response = self
            .ledger
            .store
            .read(move |reader| {
                let head = log::head(reader.conn())?;
                let consistency = log::proof_since(reader.conn(), known, &head)?;
                Ok(GetCheckpointResponse {
                    consistency: consistency.as_ref().map(Into::into),
                    checkpoint: head.note,
                    ledger_now_ms,
                    is_expiry_paused,
                })
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(response))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        let known = request.into_inner().known.map_or(0, |known| known.size);
        // What is found is an answer; a store that cannot be read at all is an error.
        let (findings, records_checked) = match self.ledger.store.verify_full().await {
            Ok(report) => (Vec::new(), report.events),
            Err(
                error @ (StoreError::Tampered(_)
                | StoreError::OtherLog { .. }
                | StoreError::Foreign(_)
                | StoreError::Newer { .. }),
            ) => (vec![format!("{}: {error}", error.code())], 0),
            Err(error) => return Err(status_of(error.into())),
        };
        let proven = self
            .ledger
            .store
            .read(move |reader| {
                let head = log::head(reader.conn())?;
                // A damaged tree proves nothing; the finding says why.
                let proof = log::proof_since(reader.conn(), known, &head).ok().flatten();
                Ok::<_, StepError>((head.note, proof))
            })
            .await;
        let (checkpoint, consistency) = match proven {
            Ok((note, proof)) => (note, proof.as_ref().map(Into::into)),
            Err(_) if !findings.is_empty() => (String::new(), None),
            Err(error) => return Err(status_of(error)),
        };
        Ok(Response::new(VerifyResponse {
            findings,
            records_checked,
            checkpoint,
            consistency,
        }))
    }
}
