//! Client of the ledger for the upkeep of its store.

use std::time::Duration;

use synapsor_chassis::grpc_channel::{Channel, Endpoint};
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::run::ExitError;
use synapsor_domain::approval::ErasureSelection;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1::maintenance_service_client::MaintenanceServiceClient;
use synapsor_proto::ledger::v1::{
    self as wire, BackUpStoreRequest, BackUpStoreResponse, CountErasableRequest, EndIfUnusedRequest,
    EraseRecordsRequest, GetStoreStatsRequest, RecordDiscontinuityRequest, VacuumStoreRequest,
};
use tonic::Streaming;

use super::{call, call_within, failure, refused};
use crate::connection::ServiceChannel;

/// Timeout of a call that reads or rewrites the whole store.
const WHOLE_STORE: Duration = Duration::from_secs(600);

/// Size of the store file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSize {
    pub(crate) page_bytes: u64,
    pub(crate) pages: u64,
    pub(crate) free_pages: u64,
    pub(crate) write_ahead_bytes: u64,
}

impl FileSize {
    /// Size of the file in bytes, without the write-ahead log beside it.
    pub(crate) const fn file_bytes(&self) -> u64 {
        self.page_bytes.saturating_mul(self.pages)
    }

    /// Bytes of the file that no record uses.
    pub(crate) const fn free_bytes(&self) -> u64 {
        self.page_bytes.saturating_mul(self.free_pages)
    }
}

impl From<wire::StoreSize> for FileSize {
    fn from(size: wire::StoreSize) -> Self {
        Self {
            page_bytes: size.page_bytes,
            pages: size.pages,
            free_pages: size.free_pages,
            write_ahead_bytes: size.write_ahead_bytes,
        }
    }
}

/// What a store contains.
#[derive(Debug)]
pub(crate) struct StoreContents {
    pub(crate) size: FileSize,
    pub(crate) events: u64,
    pub(crate) checkpoints: u64,
    /// Each table with its number of rows, by name.
    pub(crate) tables: Vec<(String, u64)>,
}

/// What a selection would erase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErasurePreview {
    pub(crate) proposals: u64,
    pub(crate) records: u64,
    /// Proposals that stay.
    pub(crate) kept: u64,
}

/// What an order erased.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErasedRecords {
    pub(crate) proposals: u64,
    /// Whether nothing of it is left in the store file.
    pub(crate) is_overwritten: bool,
    pub(crate) bodies: u64,
    pub(crate) events: u64,
}

fn wire_selection(selection: &ErasureSelection) -> wire::ErasureSelection {
    match selection {
        ErasureSelection::Tenant { tenant } => wire::ErasureSelection {
            tenant: tenant.clone(),
            ..wire::ErasureSelection::default()
        },
        ErasureSelection::Object { object_id, tables } => wire::ErasureSelection {
            object_id: object_id.clone(),
            tables: tables.clone(),
            ..wire::ErasureSelection::default()
        },
        ErasureSelection::Before { before } => wire::ErasureSelection {
            before_ms: before.as_unix_millis(),
            ..wire::ErasureSelection::default()
        },
    }
}

/// Client of `MaintenanceService`.
#[derive(Debug)]
pub(crate) struct MaintenanceClient {
    service: MaintenanceServiceClient<Channel>,
    target: Endpoint,
}

impl MaintenanceClient {
    pub(crate) fn new(ledger: &ServiceChannel) -> Self {
        Self {
            service: MaintenanceServiceClient::new(ledger.channel.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            target: ledger.target.clone(),
        }
    }

    pub(crate) async fn stats(&mut self) -> Result<StoreContents, ExitError> {
        let service = &mut self.service;
        let answer = call_within(&self.target, WHOLE_STORE, GetStoreStatsRequest {}, async |r| {
            service.get_store_stats(r).await
        })
        .await?;
        Ok(StoreContents {
            size: size("size", answer.size)?,
            events: answer.events,
            checkpoints: answer.checkpoints,
            tables: answer.tables.into_iter().map(|t| (t.table, t.rows)).collect(),
        })
    }

    /// Returns the size before and after.
    pub(crate) async fn vacuum(&mut self) -> Result<(FileSize, FileSize), ExitError> {
        let service = &mut self.service;
        let answer = call_within(&self.target, WHOLE_STORE, VacuumStoreRequest {}, async |r| {
            service.vacuum_store(r).await
        })
        .await?;
        Ok((size("before", answer.before)?, size("after", answer.after)?))
    }

    pub(crate) async fn back_up(&mut self) -> Result<BackupStream, ExitError> {
        let opened = self.service.back_up_store(BackUpStoreRequest {}).await;
        Ok(BackupStream {
            stream: opened
                .map_err(|status| failure(&status, &self.target))?
                .into_inner(),
            target: self.target.clone(),
        })
    }

    /// Counts what a selection would erase.
    pub(crate) async fn count_erasable(
        &mut self,
        selection: &ErasureSelection,
    ) -> Result<ErasurePreview, ExitError> {
        let service = &mut self.service;
        let message = CountErasableRequest {
            selection: Some(wire_selection(selection)),
        };
        let answer = call_within(&self.target, WHOLE_STORE, message, async |r| {
            service.count_erasable(r).await
        })
        .await?;
        Ok(ErasurePreview {
            proposals: answer.proposals,
            records: answer.records,
            kept: answer.kept,
        })
    }

    /// Submits an erasure order.
    pub(crate) async fn erase(&mut self, order: &DsseEnvelope) -> Result<ErasedRecords, ExitError> {
        let service = &mut self.service;
        let message = EraseRecordsRequest {
            order: Some(order.clone().into()),
        };
        let answer = call_within(&self.target, WHOLE_STORE, message, async |r| {
            service.erase_records(r).await
        })
        .await?;
        Ok(ErasedRecords {
            proposals: answer.proposals,
            is_overwritten: answer.is_overwritten,
            bodies: answer.bodies,
            events: answer.events,
        })
    }

    /// Records a discontinuity, and returns the position of its event.
    pub(crate) async fn record_discontinuity(&mut self, signed: &DsseEnvelope) -> Result<u64, ExitError> {
        let service = &mut self.service;
        let message = RecordDiscontinuityRequest {
            discontinuity: Some(signed.into()),
        };
        let answer = call(&self.target, message, async |r| {
            service.record_discontinuity(r).await
        })
        .await?;
        Ok(answer.seq)
    }

    /// Asks a ledger on demand to end, and returns whether it does.
    pub(crate) async fn end_if_unused(&mut self) -> Result<bool, ExitError> {
        let service = &mut self.service;
        let answer = call(&self.target, EndIfUnusedRequest {}, async |r| {
            service.end_if_unused(r).await
        })
        .await?;
        Ok(answer.is_ending)
    }
}

/// Items of a backup.
#[derive(Debug)]
pub(crate) struct BackupStream {
    stream: Streaming<BackUpStoreResponse>,
    target: Endpoint,
}

impl BackupStream {
    /// Returns the next item; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<BackUpStoreResponse>, ExitError> {
        let next = self.stream.message().await;
        next.map_err(|status| failure(&status, &self.target))
    }
}

fn size(field: &'static str, size: Option<wire::StoreSize>) -> Result<FileSize, ExitError> {
    required(field, size).map(FileSize::from).map_err(refused)
}
