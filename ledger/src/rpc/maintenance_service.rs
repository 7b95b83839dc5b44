//! `MaintenanceService`: upkeep of the store.

use std::sync::Arc;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::ErasureSelection;
use synapsor_domain::error::PublicError;
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1::back_up_store_response::Item;
use synapsor_proto::ledger::v1::maintenance_service_server::MaintenanceService;
use synapsor_proto::ledger::v1::{
    self as wire, BackUpStoreRequest, BackUpStoreResponse, CountErasableRequest, CountErasableResponse,
    EndIfUnusedRequest, EndIfUnusedResponse, EraseRecordsRequest, EraseRecordsResponse, GetStoreStatsRequest,
    GetStoreStatsResponse, RecordDiscontinuityRequest, RecordDiscontinuityResponse, TableRows,
    VacuumStoreRequest, VacuumStoreResponse,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{LedgerServices, caller, envelope, refuse};
use crate::error::status_of;
use crate::store::StoreError;
use crate::store::stats::StoreSize;

/// Number of items buffered for a slow receiver of a backup.
const ITEMS_BUFFERED: usize = 4;

/// Time after which a receiver that takes nothing loses its backup. Until then the write-ahead log grows.
const STALL: Duration = Duration::from_secs(30);

#[tonic::async_trait]
impl MaintenanceService for LedgerServices {
    type BackUpStoreStream = ReceiverStream<Result<BackUpStoreResponse, Status>>;

    async fn get_store_stats(
        &self,
        _request: Request<GetStoreStatsRequest>,
    ) -> Result<Response<GetStoreStatsResponse>, Status> {
        let stats = self.ledger.store.stats().await.map_err(status_of)?;
        Ok(Response::new(GetStoreStatsResponse {
            size: Some(wire_size(stats.size)),
            events: stats.events,
            checkpoints: stats.checkpoints,
            tables: stats
                .tables
                .into_iter()
                .map(|(table, rows)| TableRows {
                    table: table.to_owned(),
                    rows,
                })
                .collect(),
        }))
    }

    async fn vacuum_store(
        &self,
        _request: Request<VacuumStoreRequest>,
    ) -> Result<Response<VacuumStoreResponse>, Status> {
        let vacuumed = self.ledger.store.vacuum().await;
        let (before, after) = vacuumed.map_err(|error| status_of(error.into()))?;
        Ok(Response::new(VacuumStoreResponse {
            before: Some(wire_size(before)),
            after: Some(wire_size(after)),
        }))
    }

    async fn back_up_store(
        &self,
        _request: Request<BackUpStoreRequest>,
    ) -> Result<Response<Self::BackUpStoreStream>, Status> {
        let Ok(turn) = Arc::clone(&self.backup).try_acquire_owned() else {
            let text = "another backup of this ledger is running";
            return Err(refuse(PublicError::new(ErrorCode::BackupRunning, text)));
        };
        let (sender, receiver) = mpsc::channel(ITEMS_BUFFERED);
        let (store, now_ms) = (self.ledger.store.clone(), self.ledger.now().as_unix_millis());
        let (runtime, stop) = (Handle::current(), self.stop.clone());
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let send = |item: Result<BackUpStoreResponse, Status>| {
                runtime.block_on(async {
                    tokio::select! {
                        () = stop.cancelled() => Err(Interruption::Gone),
                        sent = sender.send_timeout(item, STALL) => sent.map_err(|error| match error {
                            SendTimeoutError::Timeout(_) => Interruption::Stalled,
                            SendTimeoutError::Closed(_) => Interruption::Gone,
                        }),
                    }
                })
            };
            let mut interruption = None;
            let sent = store.back_up(now_ms, &mut |item: Item| {
                send(Ok(BackUpStoreResponse { item: Some(item) })).map_err(|reason| {
                    interruption = Some(reason);
                    StoreError::Closed
                })
            });
            let failure = match (interruption, sent) {
                (None, Ok(())) | (Some(Interruption::Gone), _) => return,
                (Some(Interruption::Stalled), _) => refuse(PublicError::new(
                    ErrorCode::BackupStalled,
                    format!(
                        "the receiver of the backup took no data for {} s",
                        STALL.as_secs()
                    ),
                )),
                (None, Err(error)) => status_of(error.into()),
            };
            // A receiver that has disconnected needs no reason.
            let _ = send(Err(failure));
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn count_erasable(
        &self,
        request: Request<CountErasableRequest>,
    ) -> Result<Response<CountErasableResponse>, Status> {
        let selection = required("selection", request.into_inner().selection)
            .and_then(selection)
            .map_err(refuse)?;
        let counted = self.ledger.count_erasable(selection).await.map_err(status_of)?;
        Ok(Response::new(CountErasableResponse {
            proposals: counted.proposals,
            records: counted.records,
            kept: counted.kept,
        }))
    }

    async fn erase_records(
        &self,
        request: Request<EraseRecordsRequest>,
    ) -> Result<Response<EraseRecordsResponse>, Status> {
        let caller = caller(&request)?;
        let order = envelope("order", request.into_inner().order)?;
        // It continues without its caller, so that what a part erased is overwritten in any case.
        let ledger = self.ledger.clone();
        let erased = tokio::spawn(async move { ledger.erase(caller, order).await })
            .await
            .map_err(|_| status_of(StoreError::Failed("the erasure failed".to_owned()).into()))?
            .map_err(status_of)?;
        Ok(Response::new(EraseRecordsResponse {
            proposals: erased.proposals,
            bodies: erased.bodies,
            events: erased.events,
            is_overwritten: erased.is_overwritten,
        }))
    }

    async fn record_discontinuity(
        &self,
        request: Request<RecordDiscontinuityRequest>,
    ) -> Result<Response<RecordDiscontinuityResponse>, Status> {
        let caller = caller(&request)?;
        let signed = envelope("discontinuity", request.into_inner().discontinuity)?;
        let recorded = self.ledger.record_discontinuity(caller, signed).await;
        let seq = recorded.map_err(status_of)?;
        Ok(Response::new(RecordDiscontinuityResponse { seq }))
    }

    async fn end_if_unused(
        &self,
        _request: Request<EndIfUnusedRequest>,
    ) -> Result<Response<EndIfUnusedResponse>, Status> {
        // The caller itself has one connection.
        let is_ending = self.on_demand.as_ref().is_some_and(|open| open.count() <= 1);
        if is_ending {
            self.stop.cancel();
        }
        Ok(Response::new(EndIfUnusedResponse { is_ending }))
    }
}

fn selection(message: wire::ErasureSelection) -> Result<ErasureSelection, PublicError> {
    let wire::ErasureSelection {
        tenant,
        object_id,
        tables,
        before_ms,
    } = message;
    match (tenant.is_empty(), object_id.is_empty(), before_ms) {
        (false, true, 0) => Ok(ErasureSelection::Tenant { tenant }),
        (true, false, 0) => Ok(ErasureSelection::Object { object_id, tables }),
        (true, true, before) if before > 0 => Ok(ErasureSelection::Before {
            before: Timestamp::from_unix_millis(before),
        }),
        _ => {
            let text = "selection: set exactly one of `tenant`, `object_id` and `before_ms`";
            Err(PublicError::new(ErrorCode::Malformed, text))
        }
    }
}

/// Why a backup ended early.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    /// The receiver has disconnected, or the ledger ends.
    Gone,
    /// The receiver takes nothing.
    Stalled,
}

fn wire_size(size: StoreSize) -> wire::StoreSize {
    wire::StoreSize {
        page_bytes: size.page_bytes,
        pages: size.pages,
        free_pages: size.free_pages,
        write_ahead_bytes: size.write_ahead_bytes,
    }
}
