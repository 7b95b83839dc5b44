//! Ledger under an attacker's control. It holds the genuine ledger key and certificate and keeps a fabricated log
//! with valid proofs. It hands a real writer each job that the test expects the writer to refuse.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use synapsor_chassis::grpc_server::{AccessTable, GrpcServer, ServerLimits};
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_domain::canonical;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::{ConsistencyProof, InclusionProof, ProvenEntry, body_commitment, sign_checkpoint};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::writeback::AttemptReport;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::writeback_service_server::{WritebackService, WritebackServiceServer};
use tlog_tiles::tlog;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::deployment::Deployment;
use crate::now;

/// In-memory log with proofs.
#[derive(Debug, Default)]
pub struct FakeLog {
    events: Vec<(Vec<u8>, [u8; 32], Vec<u8>)>,
    hashes: Vec<tlog::Hash>,
}

struct Hashes<'a>(&'a [tlog::Hash]);

impl tlog::HashReader for Hashes<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes
            .iter()
            .map(|i| self.0[usize::try_from(*i).expect("log size fits")])
            .collect())
    }
}

impl FakeLog {
    /// Appends a log entry and returns its index.
    pub fn append(&mut self, kind: EventKind, proposal: &ProposalId, body: Vec<u8>) -> u64 {
        let salt = random::bytes::<32>();
        let seq = self.events.len() as u64;
        let event = EventRecord {
            seq,
            kind,
            at: now(),
            actor: "forged".to_owned(),
            proposal_id: Some(proposal.clone()),
            body_digest: body_commitment(&salt, &body),
            trace_id: None,
        };
        let bytes = canonical::encode(&event).expect("event has a canonical form");
        let leaf = tlog::record_hash(&bytes);
        let more =
            tlog::stored_hashes_for_record_hash(seq, leaf, &Hashes(&self.hashes)).expect("log size fits");
        self.hashes.extend(more);
        self.events.push((bytes, salt, body));
        seq
    }

    pub fn size(&self) -> u64 {
        self.events.len() as u64
    }

    pub fn root(&self) -> [u8; 32] {
        tlog::tree_hash(self.size(), &Hashes(&self.hashes))
            .expect("log size fits")
            .0
    }

    pub fn note(&self, origin: &str, key: &SigningKey) -> String {
        sign_checkpoint(origin, self.size(), &self.root(), key).expect("log size fits")
    }

    pub fn record(&self, seq: u64) -> ProvenEntry {
        let (event_bytes, body_salt, body) = self.events[usize::try_from(seq).expect("small")].clone();
        let proof = tlog::prove_record(self.size(), seq, &Hashes(&self.hashes)).expect("log entry exists");
        let hashes = proof.into_iter().map(|h| h.0).collect();
        let proof = InclusionProof::new(seq, self.size(), hashes).expect("log proof exists");
        ProvenEntry {
            event_bytes,
            body_salt,
            body,
            proof,
        }
    }

    pub fn consistency(&self, old: u64) -> Option<ConsistencyProof> {
        if old == 0 {
            return None;
        }
        let hashes = tlog::prove_tree(self.size(), old, &Hashes(&self.hashes)).ok()?;
        ConsistencyProof::new(old, self.size(), hashes.into_iter().map(|h| h.0).collect()).ok()
    }
}

/// Inputs of a forged job; each of them may be wrong.
#[derive(Debug, Clone)]
pub struct JobInputs {
    pub proposal: DsseEnvelope,
    pub decisions: Vec<DsseEnvelope>,
    pub order: Option<DsseEnvelope>,
}

/// Running ledger.
#[derive(Debug)]
pub struct HostileLedger {
    pub address: String,
    pub forge: Arc<Mutex<FakeLog>>,
    origin: String,
    jobs: mpsc::Sender<wire::Job>,
    reports: mpsc::Receiver<AttemptReport>,
    stop: CancellationToken,
    last: Arc<AtomicU64>,
    /// Receipts that it serves and receives.
    pub receipts: Arc<Receipts>,
    /// Newest receipt that comes with the next jobs.
    pub newest_receipt: Option<DsseEnvelope>,
    /// Lease duration of the next job; the renewal interval is a third of it.
    pub lease_ms: u32,
    /// Response to renewals.
    pub deny: Arc<Mutex<Option<DsseEnvelope>>>,
    /// Counts renewals.
    pub renewals: watch::Receiver<u32>,
    /// Counts announced attempts.
    pub starts: watch::Receiver<u32>,
    /// Counts attempts that a writer reports as in doubt.
    pub doubts: watch::Receiver<u32>,
    /// While the test holds this lock, a writer in doubt gets no answer.
    pub doubt: Arc<tokio::sync::Mutex<()>>,
    /// Kinds of calls that get no answer from now on.
    pub dropped_calls: Arc<DroppedCalls>,
}

/// Receipts that the ledger serves and receives.
#[derive(Debug, Default)]
pub struct Receipts {
    /// Receipts that came with reports.
    pub settled: Mutex<Vec<DsseEnvelope>>,
    /// Receipts that it claims to hold of every source.
    pub held: Mutex<Vec<DsseEnvelope>>,
    /// Findings of the writer.
    pub findings: Mutex<Vec<DsseEnvelope>>,
    /// Orders of operators; its log contains them from the next request on.
    pub orders: Mutex<Vec<(ProposalId, DsseEnvelope)>>,
}

/// Calls that the ledger leaves unanswered, by kind.
#[derive(Debug, Default)]
pub struct DroppedCalls {
    pub starts: AtomicU32,
    pub settles: AtomicU32,
    pub renewals: AtomicU32,
}

impl DroppedCalls {
    fn refuses(calls: &AtomicU32) -> Result<(), Status> {
        let counted = calls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match counted {
            Ok(_) => Err(Status::unavailable("temporarily unavailable")),
            Err(_) => Ok(()),
        }
    }
}

impl HostileLedger {
    pub async fn start(deployment: &Deployment) -> anyhow::Result<Self> {
        let tls = deployment.material(Role::Ledger, None)?;
        let access =
            AccessTable::new(&deployment.id).allow("synapsor.ledger.v1.WritebackService", &[Role::Writer]);
        let limits =
            ServerLimits::default().with_streaming(&[("synapsor.ledger.v1.WritebackService", "LeaseJobs")]);
        let server = GrpcServer::bind("127.0.0.1:0".parse()?, &tls, access, limits).await?;
        let address = server.local_addr().to_string();
        let (jobs, queue) = mpsc::channel(16);
        let (report, reports) = mpsc::channel(64);
        let deny = Arc::default();
        let (beat, renewals) = watch::channel(0);
        let (start, starts) = watch::channel(0);
        let (doubted, doubts) = watch::channel(0);
        let doubt = Arc::default();
        let dropped_calls = Arc::<DroppedCalls>::default();
        let (forge, last) = (Arc::<Mutex<FakeLog>>::default(), Arc::<AtomicU64>::default());
        let receipts = Arc::<Receipts>::default();
        let origin = format!("synapsor/{}", deployment.id);
        let service = Service {
            queue: Arc::new(Mutex::new(Some(queue))),
            report,
            deny: Arc::clone(&deny),
            beat,
            start,
            doubted,
            doubt: Arc::clone(&doubt),
            dropped_calls: Arc::clone(&dropped_calls),
            log: Log {
                forge: Arc::clone(&forge),
                last: Arc::clone(&last),
                origin: origin.clone(),
                key: SigningKey::from_pem(&deployment.ledger_key.to_pem())?,
                orders: Mutex::default(),
            },
            receipts: Arc::clone(&receipts),
        };
        let stop = CancellationToken::new();
        let routes = tonic::service::Routes::new(WritebackServiceServer::new(service));
        tokio::spawn(server.serve(routes, stop.clone()));
        Ok(Self {
            address,
            forge,
            origin,
            jobs,
            reports,
            stop,
            last,
            receipts,
            newest_receipt: None,
            lease_ms: 60_000,
            deny,
            renewals,
            starts,
            doubts,
            doubt,
            dropped_calls,
        })
    }

    /// Hands job inputs to the writer with a valid log, and returns the writer's report.
    pub async fn present(
        &mut self,
        deployment: &Deployment,
        inputs: &JobInputs,
    ) -> anyhow::Result<AttemptReport> {
        let id = proposal_id(&inputs.proposal);
        let job = {
            let mut forge = self.forge.lock().expect("fake log lock is not poisoned");
            let body = |e: &DsseEnvelope| e.to_bytes().expect("envelope has a byte form");
            let proposal = forge.append(EventKind::ProposalCreated, &id, body(&inputs.proposal));
            let decisions: Vec<u64> = inputs
                .decisions
                .iter()
                .map(|d| forge.append(EventKind::ProposalApproved, &id, body(d)))
                .collect();
            let order = inputs
                .order
                .as_ref()
                .map(|o| forge.append(EventKind::ApplyRequested, &id, body(o)));
            let consistency = forge.consistency(self.last.swap(forge.size(), Ordering::SeqCst));
            wire::Job {
                proposal: Some((&forge.record(proposal)).into()),
                decisions: decisions.iter().map(|d| (&forge.record(*d)).into()).collect(),
                apply_order: order.map(|o| (&forge.record(o)).into()),
                checkpoint: forge.note(&self.origin, &deployment.ledger_key),
                consistency: consistency.iter().map(Into::into).collect(),
                lease_token: vec![7; 32],
                fence: 1,
                attempt: 1,
                lease_ms: self.lease_ms,
                has_open_attempt: false,
                switches: Vec::new(),
                newest_receipt: self.newest_receipt.as_ref().map(Into::into),
            }
        };
        self.present_job(job).await
    }

    /// Hands over a job unchanged.
    pub async fn present_job(&mut self, job: wire::Job) -> anyhow::Result<AttemptReport> {
        self.jobs.send(job).await.context("writer stream closed")?;
        self.next_report().await
    }

    /// Returns the next report of the writer.
    pub async fn next_report(&mut self) -> anyhow::Result<AttemptReport> {
        let report = tokio::time::timeout(Duration::from_secs(20), self.reports.recv()).await;
        report
            .context("writer sent no report")?
            .context("the ledger ended")
    }
}

impl Drop for HostileLedger {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn proposal_id(envelope: &DsseEnvelope) -> ProposalId {
    let named = envelope
        .decode_unverified::<serde_json::Value>(ObjectKind::Proposal)
        .ok();
    let id = named.and_then(|p| p.get("id")?.as_str()?.parse().ok());
    id.unwrap_or_else(|| ProposalId::from_random(random::bytes()))
}

struct Service {
    queue: Arc<Mutex<Option<mpsc::Receiver<wire::Job>>>>,
    report: mpsc::Sender<AttemptReport>,
    deny: Arc<Mutex<Option<DsseEnvelope>>>,
    beat: watch::Sender<u32>,
    start: watch::Sender<u32>,
    doubted: watch::Sender<u32>,
    doubt: Arc<tokio::sync::Mutex<()>>,
    dropped_calls: Arc<DroppedCalls>,
    log: Log,
    receipts: Arc<Receipts>,
}

/// The forged log and its signing key.
struct Log {
    forge: Arc<Mutex<FakeLog>>,
    last: Arc<AtomicU64>,
    origin: String,
    key: SigningKey,
    /// Log indexes of orders.
    orders: Mutex<Vec<u64>>,
}

impl Log {
    /// Every order, proven under the newest checkpoint.
    fn orders(
        &self,
        new: Vec<(ProposalId, DsseEnvelope)>,
    ) -> Result<wire::FindReceiptOrdersResponse, Status> {
        let poisoned = || Status::internal("poisoned");
        let mut forge = self.forge.lock().map_err(|_| poisoned())?;
        let mut orders = self.orders.lock().map_err(|_| poisoned())?;
        for (id, order) in new {
            let body = order.to_bytes().map_err(|e| Status::internal(e.to_string()))?;
            orders.push(forge.append(EventKind::ReceiptsOrdered, &id, body));
        }
        // A lease stream continues from its own last job.
        let seen = self.last.load(Ordering::SeqCst);
        Ok(wire::FindReceiptOrdersResponse {
            orders: orders.iter().map(|seq| (&forge.record(*seq)).into()).collect(),
            checkpoint: forge.note(&self.origin, &self.key),
            consistency: forge.consistency(seen).as_ref().map(Into::into),
        })
    }
}

type Jobs =
    std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<wire::LeaseJobsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl WritebackService for Service {
    type LeaseJobsStream = Jobs;

    async fn lease_jobs(&self, _: Request<wire::LeaseJobsRequest>) -> Result<Response<Jobs>, Status> {
        let queue = self
            .queue
            .lock()
            .map_err(|_| Status::internal("poisoned"))?
            .take();
        let queue = queue.ok_or_else(|| Status::unavailable("one stream only"))?;
        let jobs = ReceiverStream::new(queue).map(|job| {
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
        self.beat.send_modify(|count| *count += 1);
        DroppedCalls::refuses(&self.dropped_calls.renewals)?;
        let deny = self
            .deny
            .lock()
            .map_err(|_| Status::internal("poisoned"))?
            .clone();
        Ok(Response::new(wire::RenewLeaseResponse {
            lease_ms: 60_000,
            rejection: deny.map(Into::into),
            ..Default::default()
        }))
    }

    async fn start_attempt(
        &self,
        _: Request<wire::StartAttemptRequest>,
    ) -> Result<Response<wire::StartAttemptResponse>, Status> {
        DroppedCalls::refuses(&self.dropped_calls.starts)?;
        self.start.send_modify(|count| *count += 1);
        Ok(Response::new(wire::StartAttemptResponse {
            attempt: 1,
            ..Default::default()
        }))
    }

    async fn finish_attempt(
        &self,
        request: Request<wire::FinishAttemptRequest>,
    ) -> Result<Response<wire::FinishAttemptResponse>, Status> {
        DroppedCalls::refuses(&self.dropped_calls.settles)?;
        let request = request.into_inner();
        let envelope: DsseEnvelope = required("attempt", request.attempt)
            .and_then(DsseEnvelope::try_from)
            .map_err(|r| Status::invalid_argument(r.public))?;
        if let Some(receipt) = request.receipt.and_then(|receipt| receipt.try_into().ok()) {
            let settled = self.receipts.settled.lock();
            settled.map_err(|_| Status::internal("poisoned"))?.push(receipt);
        }
        let report = envelope
            .decode_unverified(ObjectKind::Attempt)
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        self.report
            .send(report)
            .await
            .map_err(|_| Status::unavailable("ended"))?;
        Ok(Response::new(wire::FinishAttemptResponse {
            state: synapsor_proto::common::v1::ProposalState::Approved.into(),
            checkpoint: String::new(),
        }))
    }

    async fn report_in_doubt(
        &self,
        _: Request<wire::ReportInDoubtRequest>,
    ) -> Result<Response<wire::ReportInDoubtResponse>, Status> {
        self.doubted.send_modify(|count| *count += 1);
        drop(self.doubt.lock().await);
        Ok(Response::new(wire::ReportInDoubtResponse {}))
    }

    async fn list_switches(
        &self,
        _: Request<wire::ListSwitchesRequest>,
    ) -> Result<Response<wire::ListSwitchesResponse>, Status> {
        // It withholds every freeze.
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
        let held = self.receipts.held.lock();
        let held = held.map_err(|_| Status::internal("poisoned"))?;
        let receipts = held
            .iter()
            .rev()
            .zip(1..)
            .map(|(receipt, seq)| wire::SourceReceipt {
                seq,
                receipt: Some(receipt.into()),
                reported_lost: false,
            });
        Ok(Response::new(wire::ListSourceReceiptsResponse {
            receipts: receipts.collect(),
            ..Default::default()
        }))
    }

    async fn report_receipt_finding(
        &self,
        request: Request<wire::ReportReceiptFindingRequest>,
    ) -> Result<Response<wire::ReportReceiptFindingResponse>, Status> {
        let finding = required("finding", request.into_inner().finding)
            .and_then(DsseEnvelope::try_from)
            .map_err(|r| Status::invalid_argument(r.public))?;
        let findings = self.receipts.findings.lock();
        findings.map_err(|_| Status::internal("poisoned"))?.push(finding);
        Ok(Response::new(wire::ReportReceiptFindingResponse::default()))
    }

    async fn find_receipt_orders(
        &self,
        _: Request<wire::FindReceiptOrdersRequest>,
    ) -> Result<Response<wire::FindReceiptOrdersResponse>, Status> {
        let new = self.receipts.orders.lock();
        let new = std::mem::take(&mut *new.map_err(|_| Status::internal("poisoned"))?);
        self.log.orders(new).map(Response::new)
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
