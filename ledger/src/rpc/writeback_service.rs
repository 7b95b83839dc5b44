//! `WritebackService`: jobs that writers pull and results that they report.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::common::v1::ProposalState as WireState;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::writeback_service_server::WritebackService;
use synapsor_proto::ledger::v1::{
    ConfirmSwitchRequest, ConfirmSwitchResponse, FinishAttemptRequest, FinishAttemptResponse, Job as WireJob,
    LeaseJobsRequest, LeaseJobsResponse, ListOpenAttemptsRequest, ListOpenAttemptsResponse,
    ListSwitchesRequest, ListSwitchesResponse, OpenAttempt, Rejection, RenewLeaseRequest, RenewLeaseResponse,
    ReportInDoubtRequest, ReportInDoubtResponse, StartAttemptRequest, StartAttemptResponse,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{LedgerServices, caller, envelope, refuse};
use crate::error::status_of;
use crate::finish_attempt::{FinishedAttempt, OPEN_ATTEMPTS_MAX};
use crate::job::JobGrant;
use crate::lease::{
    CAPACITY_MAX, CAPACITY_PER_SOURCE_MAX, GROUP_INTERVAL, LEASE_MS, LeaseStreamTerms, Leased, SOURCES_MAX,
};
use crate::receipt_incidents::{ReportedReceipt, SOURCE_RECEIPTS_MAX};

/// Maximum number of proposals in one request for orders.
const ORDERS_OF_MAX: usize = 500;

/// Number of jobs buffered for a slow connection.
const JOBS_BUFFERED: usize = 4;

type Jobs = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<LeaseJobsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl WritebackService for LedgerServices {
    type LeaseJobsStream = Jobs;

    async fn lease_jobs(&self, request: Request<LeaseJobsRequest>) -> Result<Response<Jobs>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        self.ledger.clock.compare_with_writer(message.writer_now_ms);
        if message.capacity == 0 || message.capacity > CAPACITY_MAX {
            return Err(refuse(PublicError::new(
                ErrorCode::Malformed,
                format!("capacity: must be 1 to {CAPACITY_MAX}"),
            )));
        }
        if message.capacity_per_source > CAPACITY_PER_SOURCE_MAX {
            return Err(refuse(PublicError::new(
                ErrorCode::Malformed,
                format!("capacity_per_source: must be at most {CAPACITY_PER_SOURCE_MAX}"),
            )));
        }
        let sources = sources(message.source_ids)?;
        let terms = LeaseStreamTerms {
            writer: caller.identity,
            capacity: message.capacity,
            capacity_per_source: match message.capacity_per_source {
                0 => share(message.capacity, sources.len()),
                asked => asked,
            },
            sources,
            known_size: message.known.map_or(0, |known| known.size),
            group_interval: GROUP_INTERVAL,
        };
        tracing::info!(
            writer = terms.writer,
            trust = message.trust_digest,
            contracts = message.contract_digests.len(),
            "lease stream opened"
        );
        let (sender, receiver) = mpsc::channel(JOBS_BUFFERED);
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        tokio::spawn(async move { ledger.serve_leases(terms, sender, stop).await });
        let ledger = self.ledger.clone();
        let stream = ReceiverStream::new(receiver).map(move |job| {
            job.map(|job| LeaseJobsResponse {
                ledger_now_ms: ledger.now().as_unix_millis(),
                ..leased(job)
            })
            .map_err(refuse)
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn renew_lease(
        &self,
        request: Request<RenewLeaseRequest>,
    ) -> Result<Response<RenewLeaseResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        self.ledger.clock.compare_with_writer(message.writer_now_ms);
        let id = proposal_id(&message.proposal_id)?;
        let deny = self
            .ledger
            .renew_lease(caller, id, message.lease_token)
            .await
            .map_err(status_of)?;
        Ok(Response::new(RenewLeaseResponse {
            lease_ms: LEASE_MS,
            rejection: deny.map(Into::into),
            ledger_now_ms: self.ledger.now().as_unix_millis(),
        }))
    }

    async fn start_attempt(
        &self,
        request: Request<StartAttemptRequest>,
    ) -> Result<Response<StartAttemptResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        self.ledger.clock.compare_with_writer(message.writer_now_ms);
        let id = proposal_id(&message.proposal_id)?;
        let done = self
            .ledger
            .start(caller, id, message.lease_token)
            .await
            .map_err(status_of)?;
        Ok(Response::new(StartAttemptResponse {
            attempt: done.value,
            ledger_now_ms: self.ledger.now().as_unix_millis(),
        }))
    }

    async fn finish_attempt(
        &self,
        request: Request<FinishAttemptRequest>,
    ) -> Result<Response<FinishAttemptResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        self.ledger.clock.compare_with_writer(message.writer_now_ms);
        let receipt = message
            .receipt
            .map(|signed| envelope("receipt", Some(signed)))
            .transpose()?;
        let settlement = FinishedAttempt {
            id: proposal_id(&message.proposal_id)?,
            token: message.lease_token,
            attempt: envelope("attempt", message.attempt)?,
            receipt,
        };
        let done = self.ledger.settle(caller, settlement).await.map_err(status_of)?;
        let state = done.value.map_err(refuse)?;
        Ok(Response::new(FinishAttemptResponse {
            state: WireState::from(state).into(),
            checkpoint: done.head.note,
        }))
    }

    async fn report_in_doubt(
        &self,
        request: Request<ReportInDoubtRequest>,
    ) -> Result<Response<ReportInDoubtResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let settlement = FinishedAttempt {
            id: proposal_id(&message.proposal_id)?,
            token: message.lease_token,
            attempt: envelope("attempt", message.attempt)?,
            receipt: None,
        };
        self.ledger
            .report_in_doubt(caller, settlement)
            .await
            .map_err(status_of)?;
        Ok(Response::new(ReportInDoubtResponse {}))
    }

    async fn list_open_attempts(
        &self,
        request: Request<ListOpenAttemptsRequest>,
    ) -> Result<Response<ListOpenAttemptsResponse>, Status> {
        let message = request.into_inner();
        self.ledger.clock.compare_with_writer(message.writer_now_ms);
        let sources = sources(message.source_ids)?;
        let before = Some(message.before_seq).filter(|seq| *seq > 0);
        let found = self
            .ledger
            .list_open_attempts(sources, before)
            .await
            .map_err(status_of)?;
        let next = found.last().filter(|_| found.len() == OPEN_ATTEMPTS_MAX);
        let next_before_seq = next.map_or(0, |last| last.changed_seq);
        let attempts = found.into_iter().map(|open| OpenAttempt {
            proposal: Some(open.proposal.into()),
            fence: open.fence,
            attempt: open.attempt,
            leased: open.leased,
        });
        Ok(Response::new(ListOpenAttemptsResponse {
            attempts: attempts.collect(),
            ledger_now_ms: self.ledger.now().as_unix_millis(),
            next_before_seq,
        }))
    }

    async fn list_switches(
        &self,
        _: Request<ListSwitchesRequest>,
    ) -> Result<Response<ListSwitchesResponse>, Status> {
        let found = self.ledger.switches(None).await.map_err(status_of)?;
        Ok(Response::new(ListSwitchesResponse {
            switches: found.signed.into_iter().map(Into::into).collect(),
        }))
    }

    async fn confirm_switch(
        &self,
        request: Request<ConfirmSwitchRequest>,
    ) -> Result<Response<ConfirmSwitchResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let signed = envelope("confirmation", message.confirmation)?;
        self.ledger
            .confirm_switch(caller, signed)
            .await
            .map_err(status_of)?;
        Ok(Response::new(ConfirmSwitchResponse {}))
    }

    async fn list_source_receipts(
        &self,
        request: Request<wire::ListSourceReceiptsRequest>,
    ) -> Result<Response<wire::ListSourceReceiptsResponse>, Status> {
        let message = request.into_inner();
        let before = Some(message.before_seq).filter(|seq| *seq > 0);
        let limit = match message.limit {
            0 => SOURCE_RECEIPTS_MAX,
            limit => limit.min(SOURCE_RECEIPTS_MAX),
        };
        let found = self
            .ledger
            .source_receipts(message.source_id, before, limit)
            .await
            .map_err(status_of)?;
        Ok(Response::new(wire::ListSourceReceiptsResponse {
            receipts: found.receipts.into_iter().map(source_receipt).collect(),
            next_before_seq: found.next_before.unwrap_or_default(),
            archived_before_ms: found.archived_before.map_or(0, Timestamp::as_unix_millis),
        }))
    }

    async fn report_receipt_finding(
        &self,
        request: Request<wire::ReportReceiptFindingRequest>,
    ) -> Result<Response<wire::ReportReceiptFindingResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let signed = envelope("finding", message.finding)?;
        let recorded = self
            .ledger
            .record_finding(caller, signed)
            .await
            .map_err(status_of)?;
        Ok(Response::new(wire::ReportReceiptFindingResponse { recorded }))
    }

    async fn find_receipt_orders(
        &self,
        request: Request<wire::FindReceiptOrdersRequest>,
    ) -> Result<Response<wire::FindReceiptOrdersResponse>, Status> {
        let message = request.into_inner();
        if message.proposal_ids.len() > ORDERS_OF_MAX {
            return Err(refuse(PublicError::new(
                ErrorCode::Malformed,
                format!("proposal_ids: at most {ORDERS_OF_MAX}"),
            )));
        }
        let proposals = message.proposal_ids.iter().map(|id| proposal_id(id));
        let proposals = proposals.collect::<Result<_, _>>()?;
        let known = message.known.map_or(0, |known| known.size);
        let found = self
            .ledger
            .find_receipt_orders(message.source_id, proposals, known)
            .await
            .map_err(status_of)?;
        Ok(Response::new(wire::FindReceiptOrdersResponse {
            orders: found.orders.iter().map(Into::into).collect(),
            checkpoint: found.checkpoint,
            consistency: found.consistency.as_ref().map(Into::into),
        }))
    }
}

fn source_receipt(found: ReportedReceipt) -> wire::SourceReceipt {
    wire::SourceReceipt {
        seq: found.seq,
        receipt: Some(found.signed.into()),
        reported_lost: found.is_lost,
    }
}

fn leased(leased: Leased) -> LeaseJobsResponse {
    match leased {
        Leased::Job(job) => LeaseJobsResponse {
            job: Some(to_wire(*job)),
            ..LeaseJobsResponse::default()
        },
        Leased::Stops(stops) => LeaseJobsResponse {
            job: None,
            switches: stops.switches.into_iter().map(Into::into).collect(),
            rejections: stops
                .rejections
                .into_iter()
                .map(|(proposal, decision)| Rejection {
                    proposal: Some(proposal.into()),
                    decision: Some(decision.into()),
                })
                .collect(),
            ledger_now_ms: 0,
        },
    }
}

/// Returns the capacity per source when the writer names only a total capacity.
fn share(capacity: u32, sources: usize) -> u32 {
    let sources = u32::try_from(sources).unwrap_or(u32::MAX).max(1);
    capacity.div_ceil(sources).clamp(1, CAPACITY_PER_SOURCE_MAX)
}

fn to_wire(job: JobGrant) -> WireJob {
    WireJob {
        proposal: Some((&job.proposal).into()),
        decisions: job.decisions.iter().map(Into::into).collect(),
        apply_order: job.order.as_ref().map(Into::into),
        checkpoint: job.checkpoint,
        consistency: job.consistency.iter().map(Into::into).collect(),
        lease_token: job.token.to_vec(),
        fence: job.fence,
        attempt: job.attempt,
        lease_ms: LEASE_MS,
        has_open_attempt: job.has_open_attempt,
        switches: job.switches.into_iter().map(Into::into).collect(),
        newest_receipt: job.newest_receipt.map(Into::into),
    }
}

fn proposal_id(text: &str) -> Result<ProposalId, Status> {
    text.parse().map_err(|e| {
        refuse(PublicError::new(
            ErrorCode::Malformed,
            format!("proposal_id: {e}"),
        ))
    })
}

fn sources(ids: Vec<String>) -> Result<Vec<String>, Status> {
    if ids.is_empty() || ids.len() > SOURCES_MAX {
        return Err(refuse(PublicError::new(
            ErrorCode::Malformed,
            format!("source_ids: 1 to {SOURCES_MAX} names"),
        )));
    }
    Ok(ids)
}
