//! `EventService`: events that operators read.

use std::sync::Arc;

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::writeback::ReceiptOutcome;
use synapsor_proto::common::v1::DsseEnvelope;
use synapsor_proto::common::v1::ProposalState as WireState;
use synapsor_proto::ledger::v1::event_service_server::EventService;
use synapsor_proto::ledger::v1::{
    GetAuditRecordRequest, GetAuditRecordResponse, GetEvidenceRequest, GetEvidenceResponse, GetReplayRequest,
    GetReplayResponse, ListAuditRecordsRequest, ListAuditRecordsResponse, ListEvidenceRequest,
    ListEvidenceResponse, ListReceiptsRequest, ListReceiptsResponse, ListedAuditRecord, ReceiptOutcomeGroup,
    TailRequest, TailResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::page::Page;
use super::transparency_service::{continued, retired_at};
use super::{LedgerServices, non_empty, refuse};
use crate::Ledger;
use crate::error::status_of;
use crate::store::event_times::TimeRange;
use crate::store::events::{EventRow, TailFilter};
use crate::store::records::{OutcomeGroup, ReceiptFilter, RecordFilter};
use crate::store::{
    NodeCache, ProofReader, ReadTransaction, StoreError, StoreTxError, events, log, proposals, records,
};

/// Maximum number of times that new events of a proposal may overtake its replay.
const REPLAY_TRIES_MAX: usize = 16;

/// Number of events buffered for a slow connection.
const EVENTS_BUFFERED: usize = 16;

#[tonic::async_trait]
impl EventService for LedgerServices {
    type TailStream = ReceiverStream<Result<TailResponse, Status>>;

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let message = request.into_inner();
        let filter = TailFilter {
            proposal: non_empty(message.proposal_id)
                .map(|id| id.parse().map_err(|e| malformed("proposal_id", e)))
                .transpose()?,
            kind: non_empty(message.kind)
                .map(|kind| kind.parse().map_err(|e| malformed("kind", e)))
                .transpose()?,
            actor: non_empty(message.actor),
            times: TimeRange {
                from_ms: bound(message.at_from_ms),
                to_ms: bound(message.at_to_ms),
            },
        };
        let tail = TailTask {
            ledger: self.ledger.clone(),
            filter,
            next: message.from_seq,
            end: Some(message.to_seq).filter(|end| *end > 0),
            follow: message.follow,
            left: (message.limit > 0).then_some(message.limit),
        };
        let (sender, receiver) = mpsc::channel(EVENTS_BUFFERED);
        tokio::spawn(tail.run(sender, self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_replay(
        &self,
        request: Request<GetReplayRequest>,
    ) -> Result<Response<GetReplayResponse>, Status> {
        let message = request.into_inner();
        let known = message.known.map_or(0, |known| known.size);
        let retired_at = retired_at(message.retired_at)?;
        let scan = Arc::new(move |reader: &ReadTransaction<'_>| {
            let conn = reader.conn();
            let row = proposals::resolve(conn, &message.proposal)?;
            let head = log::head(conn)?;
            let seqs = events::about_proposal(conn, row.id.as_str())?;
            // Evidence of the newest event may have no view yet.
            let end = reader.records_end()?;
            if seqs.last().is_some_and(|last| *last >= end) {
                return Ok(None);
            }
            let cache = NodeCache::default();
            let records = ProofReader::new(conn, head.size, &cache).logged_all(&seqs)?;
            Ok(Some(GetReplayResponse {
                continued: continued(conn, &retired_at, &head)?,
                records: records.iter().map(Into::into).collect(),
                consistency: log::proof_since(conn, known, &head)?.as_ref().map(Into::into),
                checkpoint: head.note,
                state: WireState::from(row.state).into(),
            }))
        });
        for _ in 0..REPLAY_TRIES_MAX {
            let scan = scan.clone();
            let store = &self.ledger.store;
            let response = store.read_records(move |reader| scan(reader)).await;
            if let Some(response) = response.map_err(status_of)? {
                return Ok(Response::new(response));
            }
        }
        Err(status_of(StoreError::Busy.into()))
    }

    async fn list_evidence(
        &self,
        request: Request<ListEvidenceRequest>,
    ) -> Result<Response<ListEvidenceResponse>, Status> {
        let message = request.into_inner();
        let page = Page::from_wire(message.page).map_err(refuse)?;
        let filter = RecordFilter {
            tenant: non_empty(message.tenant),
            principal: non_empty(message.principal),
            capability: non_empty(message.capability),
            proposal_id: non_empty(message.proposal_id),
            source_id: non_empty(message.source_id),
            table: TableFilter {
                table: non_empty(message.table),
                object_type: non_empty(message.object_type),
            },
            object_id: non_empty(message.object_id),
            query_fingerprint: non_empty(message.query_fingerprint),
            from_ms: bound(message.read_from_ms),
            to_ms: bound(message.read_to_ms),
            ..RecordFilter::default()
        };
        let (evidence, next_page_token) = self
            .ledger
            .store
            .read_records(move |reader| {
                let seqs = records::list_evidence(reader.conn(), &filter, page.before, page.scan())?;
                page.fill(
                    seqs,
                    |seq| *seq,
                    |seq| Ok::<_, StoreTxError>(sized(events::evidence(reader.conn(), *seq)?.into())),
                )
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(ListEvidenceResponse {
            evidence,
            next_page_token,
        }))
    }

    async fn get_evidence(
        &self,
        request: Request<GetEvidenceRequest>,
    ) -> Result<Response<GetEvidenceResponse>, Status> {
        let id = request.into_inner().evidence_id;
        let response = self
            .ledger
            .store
            .read_records(move |reader| {
                let (seq, proposal_ids) = records::resolve_evidence(reader.conn(), &id)?;
                let evidence = events::evidence(reader.conn(), seq)?;
                Ok(GetEvidenceResponse {
                    evidence: Some(evidence.into()),
                    proposal_ids,
                })
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(response))
    }

    async fn list_audit_records(
        &self,
        request: Request<ListAuditRecordsRequest>,
    ) -> Result<Response<ListAuditRecordsResponse>, Status> {
        let message = request.into_inner();
        let page = Page::from_wire(message.page).map_err(refuse)?;
        let filter = RecordFilter {
            tenant: non_empty(message.tenant),
            principal: non_empty(message.principal),
            capability: non_empty(message.capability),
            source_id: non_empty(message.source_id),
            table: TableFilter {
                table: non_empty(message.table),
                object_type: non_empty(message.object_type),
            },
            object_id: non_empty(message.object_id),
            query_fingerprint: non_empty(message.query_fingerprint),
            result: non_empty(message.result),
            proposal_id: non_empty(message.proposal_id),
            evidence_id: non_empty(message.evidence_id),
            without_proposal: message.without_proposal,
            from_ms: bound(message.from_ms),
            to_ms: bound(message.to_ms),
        };
        let (records, next_page_token) = self
            .ledger
            .store
            .read_records(move |reader| {
                let conn = reader.conn();
                let seqs = records::list_audit(conn, &filter, page.before, page.scan())?;
                page.fill(
                    seqs,
                    |seq| *seq,
                    |seq| {
                        let (_, audit) = events::audit(conn, *seq)?;
                        let size = audit.len();
                        Ok::<_, StoreTxError>((ListedAuditRecord { seq: *seq, audit }, size))
                    },
                )
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(ListAuditRecordsResponse {
            records,
            next_page_token,
        }))
    }

    async fn get_audit_record(
        &self,
        request: Request<GetAuditRecordRequest>,
    ) -> Result<Response<GetAuditRecordResponse>, Status> {
        let message = request.into_inner();
        let known = message.known.map_or(0, |known| known.size);
        let response = self
            .ledger
            .store
            .read_records(move |reader| {
                let conn = reader.conn();
                let seq = records::resolve_audit(conn, &message.audit_ref)?;
                let head = log::head(conn)?;
                let cache = NodeCache::default();
                let found = ProofReader::new(conn, head.size, &cache).logged_all(&[seq])?;
                Ok(GetAuditRecordResponse {
                    record: found.first().map(Into::into),
                    consistency: log::proof_since(conn, known, &head)?.as_ref().map(Into::into),
                    checkpoint: head.note,
                })
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(response))
    }

    async fn list_receipts(
        &self,
        request: Request<ListReceiptsRequest>,
    ) -> Result<Response<ListReceiptsResponse>, Status> {
        let message = request.into_inner();
        let outcome = match message.outcome() {
            ReceiptOutcomeGroup::Unspecified => None,
            ReceiptOutcomeGroup::Applied => Some(OutcomeGroup::One(ReceiptOutcome::Applied)),
            ReceiptOutcomeGroup::Conflict => Some(OutcomeGroup::One(ReceiptOutcome::Conflict)),
            ReceiptOutcomeGroup::Failed => Some(OutcomeGroup::One(ReceiptOutcome::Failed)),
            ReceiptOutcomeGroup::Tombstoned => Some(OutcomeGroup::Tombstoned),
        };
        let page = Page::from_wire(message.page).map_err(refuse)?;
        let filter = ReceiptFilter {
            proposal_id: non_empty(message.proposal_id),
            outcome,
            from_ms: bound(message.created_from_ms),
            to_ms: bound(message.created_to_ms),
        };
        let (receipts, next_page_token) = self
            .ledger
            .store
            .read(move |reader| {
                let conn = reader.conn();
                let seqs = records::list_receipts(conn, &filter, page.before, page.scan())?;
                let show = |seq: &u64| {
                    Ok::<_, StoreTxError>(sized(records::settle_body(conn, *seq)?.receipt.into()))
                };
                page.fill(seqs, |seq| *seq, show)
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(ListReceiptsResponse {
            receipts,
            next_page_token,
        }))
    }
}

/// Returns the bound of a time filter; 0 means open.
fn bound(ms: i64) -> Option<i64> {
    Some(ms).filter(|ms| *ms != 0)
}

/// One open tail.
struct TailTask {
    ledger: Ledger,
    filter: TailFilter,
    next: u64,
    /// Position before which the tail ends.
    end: Option<u64>,
    follow: bool,
    left: Option<u32>,
}

impl TailTask {
    /// Sends existing events, then, when following, new ones. It sleeps until the log grows.
    async fn run(mut self, out: mpsc::Sender<Result<TailResponse, Status>>, stop: CancellationToken) {
        let mut head = self.ledger.store.head();
        loop {
            let size = head.borrow_and_update().size;
            let to = self.end.map_or(size, |end| end.min(size));
            if !self.send_up_to(to, &out).await {
                return;
            }
            if !self.follow || self.end == Some(to) {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = out.closed() => return,
                changed = head.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Returns false when the receiver is closed, the limit is reached or the store failed.
    async fn send_up_to(&mut self, size: u64, out: &mpsc::Sender<Result<TailResponse, Status>>) -> bool {
        while self.next < size {
            let (range, filter) = ((self.next, size), self.filter.clone());
            // Every event is in the log itself, and the index of the others is written with them.
            let needs_views = filter.finds_records();
            let scan = move |reader: &ReadTransaction<'_>| Ok(events::tail(reader.conn(), range, &filter)?);
            let store = &self.ledger.store;
            let page = if needs_views {
                store.read_records(scan).await
            } else {
                store.read(scan).await
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let _ = out.send(Err(status_of(error))).await;
                    return false;
                }
            };
            self.next = page.next;
            for event in page.events {
                if out.send(Ok(to_wire(event))).await.is_err() {
                    return false;
                }
                if let Some(left) = &mut self.left {
                    *left -= 1;
                    if *left == 0 {
                        return false;
                    }
                }
            }
        }
        true
    }
}

fn to_wire(event: EventRow) -> TailResponse {
    TailResponse {
        seq: event.seq,
        event: event.bytes,
        body: event.body,
    }
}

fn sized(signed: DsseEnvelope) -> (DsseEnvelope, usize) {
    let bytes = signed.payload.len() + 256;
    (signed, bytes)
}

fn malformed(field: &str, problem: impl std::fmt::Display) -> Status {
    refuse(PublicError::new(
        ErrorCode::Malformed,
        format!("{field}: {problem}"),
    ))
}
