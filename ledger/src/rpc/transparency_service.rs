//! `TransparencyService`: proofs about the log.

use rusqlite::Connection;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_proto::common::v1::ConsistencyProof;
use synapsor_proto::ledger::v1::transparency_service_server::TransparencyService;
use synapsor_proto::ledger::v1::{
    GetCheckpointRequest, GetCheckpointResponse, VerifyStoreRequest, VerifyStoreResponse,
};
use tonic::{Request, Response, Status};

use super::{LedgerServices, refuse};
use crate::error::status_of;
use crate::store::{SignedTreeHead, StoreError, StoreTxError, log};

/// Maximum number of tree sizes for which one request may ask proofs.
const RETIRED_AT_MAX: usize = 64;

#[tonic::async_trait]
impl TransparencyService for LedgerServices {
    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let message = request.into_inner();
        let known = message.known.map_or(0, |known| known.size);
        let retired_at = retired_at(message.retired_at)?;
        let ledger_now_ms = self.ledger.now().as_unix_millis();
        let is_expiry_paused = self.ledger.expiry_time().is_none();
        let response = self
            .ledger
            .store
            .read(move |reader| {
                let head = log::head(reader.conn())?;
                let consistency = log::proof_since(reader.conn(), known, &head)?;
                Ok(GetCheckpointResponse {
                    continued: continued(reader.conn(), &retired_at, &head)?,
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

    async fn verify_store(
        &self,
        request: Request<VerifyStoreRequest>,
    ) -> Result<Response<VerifyStoreResponse>, Status> {
        let known = request.into_inner().known.map_or(0, |known| known.size);
        // A finding is a result; a store that cannot be read at all is an error.
        let checked = self.ledger.verify_store().await;
        let (findings, records_checked) = match checked {
            Ok(events) => (Vec::new(), events),
            Err(StoreTxError::Store(
                error @ (StoreError::Tampered(_)
                | StoreError::OtherLog { .. }
                | StoreError::Foreign(_)
                | StoreError::Newer { .. }),
            )) => (vec![format!("{}: {error}", error.code())], 0),
            Err(error) => return Err(status_of(error)),
        };
        let proven = self
            .ledger
            .store
            .read(move |reader| {
                let head = log::head(reader.conn())?;
                // A damaged tree proves nothing; the finding gives the reason.
                let proof = log::proof_since(reader.conn(), known, &head).ok().flatten();
                Ok::<_, StoreTxError>((head.note, proof))
            })
            .await;
        let (checkpoint, consistency) = match proven {
            Ok((note, proof)) => (note, proof.as_ref().map(Into::into)),
            Err(_) if !findings.is_empty() => (String::new(), None),
            Err(error) => return Err(status_of(error)),
        };
        Ok(Response::new(VerifyStoreResponse {
            findings,
            records_checked,
            checkpoint,
            consistency,
        }))
    }
}

/// Rejects a request with too many tree sizes.
pub(super) fn retired_at(sizes: Vec<u64>) -> Result<Vec<u64>, Status> {
    if sizes.len() > RETIRED_AT_MAX {
        let text = format!("retired_at: at most {RETIRED_AT_MAX} sizes");
        return Err(refuse(PublicError::new(ErrorCode::Malformed, text)));
    }
    Ok(sizes)
}

/// Returns consistency proofs to the head from those of `sizes` that the log has reached.
pub(super) fn continued(
    conn: &Connection,
    sizes: &[u64],
    head: &SignedTreeHead,
) -> Result<Vec<ConsistencyProof>, StoreError> {
    sizes
        .iter()
        .filter_map(|size| log::proof_since(conn, *size, head).transpose())
        .map(|proof| proof.map(|proof| (&proof).into()))
        .collect()
}
