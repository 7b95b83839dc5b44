//! Ledger that hands every writer every job many times and keeps their reports. Its log is consistent and its job
//! inputs are genuine. It breaks only the guarantee that one writer at a time holds a lease. A report that a
//! writer repeats because the response was late counts once, as with any ledger.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use synapsor_chassis::grpc_server::{AccessTable, GrpcServer, ServerLimits};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::random;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::AttemptReport;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::writeback_service_server::{WritebackService, WritebackServiceServer};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::deployment::Deployment;
use crate::hostile_ledger::{FakeLog, JobInputs};
use crate::proofs::SeededRng;

const LEASE_MS: u32 = 60_000;

/// Report of a writer about one attempt.
#[derive(Debug, Clone)]
pub struct ReportedAttempt {
    pub report: AttemptReport,
    /// Signed bytes of the receipt in the report.
    pub receipt: Option<String>,
}

/// Running ledger.
#[derive(Debug)]
pub struct DuplicatingLedger {
    pub address: String,
    received: Arc<Received>,
    /// Total number of jobs to hand out.
    pub expected: usize,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Received {
    /// Ids of the jobs' proposals, in the order of the jobs.
    proposals: Vec<String>,
    reports: Mutex<BTreeMap<String, Vec<ReportedAttempt>>>,
    /// Signed bytes of every counted report.
    counted: Mutex<HashSet<Vec<u8>>>,
    /// Jobs that were answered, by writer: proposal and fence.
    answered: Mutex<HashSet<(String, String, u64)>>,
    count: watch::Sender<usize>,
}

impl Received {
    /// Returns false for a report whose bytes were received before.
    fn is_new(&self, report: &DsseEnvelope) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.insert(report.payload.clone())
    }

    fn has_answered(&self, writer: &str, proposal: String, fence: u64) -> bool {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.contains(&(writer.to_owned(), proposal, fence))
    }

    /// False if the writer answered the job before.
    fn is_first_answer(&self, report: &AttemptReport) -> bool {
        let job = (
            report.writer.clone(),
            report.proposal_id.to_string(),
            report.fence,
        );
        self.answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(job)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<ReportedAttempt>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DuplicatingLedger {
    /// Starts a ledger that hands each of `writers` each job `times` times.
    pub async fn start(
        deployment: &Deployment,
        inputs: &[(ProposalId, JobInputs)],
        writers: usize,
        times: usize,
    ) -> anyhow::Result<Self> {
        let tls = deployment.material(Role::Ledger, None)?;
        let access =
            AccessTable::new(&deployment.id).allow("synapsor.ledger.v1.WritebackService", &[Role::Writer]);
        let limits =
            ServerLimits::default().with_streaming(&[("synapsor.ledger.v1.WritebackService", "LeaseJobs")]);
        let server = GrpcServer::bind("127.0.0.1:0".parse()?, &tls, access, limits).await?;
        let address = server.local_addr().to_string();
        let received = Arc::new(Received {
            proposals: inputs.iter().map(|(id, _)| id.to_string()).collect(),
            reports: Mutex::default(),
            counted: Mutex::default(),
            answered: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let service = Service {
            jobs: Arc::new(jobs(deployment, inputs)),
            times,
            received: Arc::clone(&received),
        };
        let stop = CancellationToken::new();
        let routes = tonic::service::Routes::new(WritebackServiceServer::new(service));
        tokio::spawn(server.serve(routes, stop.clone()));
        Ok(Self {
            address,
            received,
            expected: writers * times * inputs.len(),
            stop,
        })
    }

    /// Waits until every job has an answer; returns all reports by proposal.
    pub async fn everything(
        &self,
        within: Duration,
    ) -> anyhow::Result<BTreeMap<String, Vec<ReportedAttempt>>> {
        let mut count = self.received.count.subscribe();
        let all = count.wait_for(|count| *count >= self.expected);
        if tokio::time::timeout(within, all).await.is_err() {
            let count = *self.received.count.borrow();
            bail!("{count} of {} jobs were answered in {within:?}", self.expected);
        }
        Ok(std::mem::take(&mut *self.received.lock()))
    }
}

impl Drop for DuplicatingLedger {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// One job per proposal, all proven under the same checkpoint.
fn jobs(deployment: &Deployment, inputs: &[(ProposalId, JobInputs)]) -> Vec<wire::Job> {
    let mut forge = FakeLog::default();
    let body = |e: &DsseEnvelope| e.to_bytes().expect("envelope has a byte form");
    let places: Vec<_> = inputs
        .iter()
        .map(|(id, inputs)| {
            let proposal = forge.append(EventKind::ProposalCreated, id, body(&inputs.proposal));
            let mut decided = |d: &DsseEnvelope| forge.append(EventKind::ProposalApproved, id, body(d));
            let decisions: Vec<u64> = inputs.decisions.iter().map(&mut decided).collect();
            let order = inputs.order.as_ref();
            let order = order.map(|o| forge.append(EventKind::ApplyRequested, id, body(o)));
            (proposal, decisions, order)
        })
        .collect();
    let checkpoint = forge.note(&format!("synapsor/{}", deployment.id), &deployment.ledger_key);
    places
        .into_iter()
        .map(|(proposal, decisions, order)| wire::Job {
            proposal: Some((&forge.record(proposal)).into()),
            decisions: decisions.iter().map(|d| (&forge.record(*d)).into()).collect(),
            apply_order: order.map(|o| (&forge.record(o)).into()),
            checkpoint: checkpoint.clone(),
            consistency: Vec::new(),
            lease_token: random::bytes::<32>().to_vec(),
            fence: 1,
            attempt: 1,
            lease_ms: LEASE_MS,
            has_open_attempt: false,
            switches: Vec::new(),
            newest_receipt: None,
        })
        .collect()
}

struct Service {
    jobs: Arc<Vec<wire::Job>>,
    times: usize,
    received: Arc<Received>,
}

type Jobs =
    std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<wire::LeaseJobsResponse, Status>> + Send>>;

/// Jobs of one writer in the order in which it gets them, each this many times. In the first pass all writers get them
/// in the same order, so that they contend. In later passes each writer has its own order.
fn sequence(jobs: &[wire::Job], times: usize, writer: &str) -> Vec<(usize, u64)> {
    let seed = writer
        .bytes()
        .fold(0, |seed: u64, byte| seed.wrapping_mul(31) ^ u64::from(byte));
    let mut dice = SeededRng::new(seed);
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    let mut sequence = Vec::with_capacity(times * jobs.len());
    for time in 0..times {
        for place in (1..order.len()).rev().filter(|_| time > 0) {
            order.swap(place, dice.below(place + 1));
        }
        sequence.extend(order.iter().map(|index| (*index, time as u64 + 1)));
    }
    sequence
}

fn applied() -> Response<wire::FinishAttemptResponse> {
    Response::new(wire::FinishAttemptResponse {
        state: synapsor_proto::common::v1::ProposalState::Applied.into(),
        checkpoint: String::new(),
    })
}

#[tonic::async_trait]
impl WritebackService for Service {
    type LeaseJobsStream = Jobs;

    async fn lease_jobs(&self, request: Request<wire::LeaseJobsRequest>) -> Result<Response<Jobs>, Status> {
        let peer = request.extensions().get::<PeerIdentity>();
        let writer = peer
            .and_then(PeerIdentity::instance)
            .ok_or_else(|| Status::unauthenticated("no writer"))?
            .to_owned();
        let (queue, pending) = mpsc::channel(1);
        let (jobs, times, received) = (Arc::clone(&self.jobs), self.times, Arc::clone(&self.received));
        tokio::spawn(async move {
            // A stream can break under load; the next one carries the jobs that this writer has not answered.
            for (index, fence) in sequence(&jobs, times, &writer) {
                let mut job = jobs[index].clone();
                let proposal = received.proposals[index].clone();
                if received.has_answered(&writer, proposal, fence) {
                    continue;
                }
                job.fence = fence;
                if queue.send(job).await.is_err() {
                    return;
                }
            }
            // The stream stays open, as that of a ledger without jobs does.
            queue.closed().await;
        });
        let jobs = pending;
        let jobs = ReceiverStream::new(jobs).map(|job| {
            Ok(wire::LeaseJobsResponse {
                job: Some(job),
                ..Default::default()
            })
        });
        Ok(Response::new(Box::pin(jobs)))
    }

    async fn renew_lease(
        &self,
        _: Request<wire::RenewLeaseRequest>,
    ) -> Result<Response<wire::RenewLeaseResponse>, Status> {
        Ok(Response::new(wire::RenewLeaseResponse {
            lease_ms: LEASE_MS,
            rejection: None,
            ..Default::default()
        }))
    }

    async fn start_attempt(
        &self,
        _: Request<wire::StartAttemptRequest>,
    ) -> Result<Response<wire::StartAttemptResponse>, Status> {
        Ok(Response::new(wire::StartAttemptResponse {
            attempt: 1,
            ..Default::default()
        }))
    }

    async fn finish_attempt(
        &self,
        request: Request<wire::FinishAttemptRequest>,
    ) -> Result<Response<wire::FinishAttemptResponse>, Status> {
        let request = request.into_inner();
        let refused = |r: synapsor_domain::error::PublicError| Status::invalid_argument(r.public);
        let attempt: DsseEnvelope = required("attempt", request.attempt)
            .and_then(DsseEnvelope::try_from)
            .map_err(refused)?;
        let report: AttemptReport = attempt
            .decode_unverified(ObjectKind::Attempt)
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        if !self.received.is_new(&attempt) {
            return Ok(applied());
        }
        let receipt = request
            .receipt
            .map(DsseEnvelope::try_from)
            .transpose()
            .map_err(refused)?;
        // A reconciler reports receipts without a lease; only an attempt answers a job.
        let answers_a_job = !request.lease_token.is_empty() && self.received.is_first_answer(&report);
        let reported = ReportedAttempt {
            report,
            receipt: receipt.map(|r| String::from_utf8_lossy(&r.payload).into_owned()),
        };
        self.received
            .lock()
            .entry(reported.report.proposal_id.to_string())
            .or_default()
            .push(reported);
        if answers_a_job {
            self.received.count.send_modify(|count| *count += 1);
        }
        Ok(applied())
    }

    async fn report_in_doubt(
        &self,
        _: Request<wire::ReportInDoubtRequest>,
    ) -> Result<Response<wire::ReportInDoubtResponse>, Status> {
        Ok(Response::new(wire::ReportInDoubtResponse {}))
    }

    async fn list_switches(
        &self,
        _: Request<wire::ListSwitchesRequest>,
    ) -> Result<Response<wire::ListSwitchesResponse>, Status> {
        Ok(Response::new(wire::ListSwitchesResponse { switches: Vec::new() }))
    }

    async fn confirm_switch(
        &self,
        _: Request<wire::ConfirmSwitchRequest>,
    ) -> Result<Response<wire::ConfirmSwitchResponse>, Status> {
        Ok(Response::new(wire::ConfirmSwitchResponse {}))
    }

    async fn list_source_receipts(
        &self,
        _: Request<wire::ListSourceReceiptsRequest>,
    ) -> Result<Response<wire::ListSourceReceiptsResponse>, Status> {
        Ok(Response::new(wire::ListSourceReceiptsResponse::default()))
    }

    async fn report_receipt_finding(
        &self,
        _: Request<wire::ReportReceiptFindingRequest>,
    ) -> Result<Response<wire::ReportReceiptFindingResponse>, Status> {
        Ok(Response::new(wire::ReportReceiptFindingResponse::default()))
    }

    async fn find_receipt_orders(
        &self,
        _: Request<wire::FindReceiptOrdersRequest>,
    ) -> Result<Response<wire::FindReceiptOrdersResponse>, Status> {
        Ok(Response::new(wire::FindReceiptOrdersResponse::default()))
    }

    async fn list_open_attempts(
        &self,
        _: Request<wire::ListOpenAttemptsRequest>,
    ) -> Result<Response<wire::ListOpenAttemptsResponse>, Status> {
        Ok(Response::new(wire::ListOpenAttemptsResponse {
            attempts: Vec::new(),
            ..Default::default()
        }))
    }
}
