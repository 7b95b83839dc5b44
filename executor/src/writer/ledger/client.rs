//! The writer's client of the ledger: receives leases, sends reports, and pins the checkpoint of the log.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::clock::Clock;
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::with_deadline;
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::{Checkpoint, ConsistencyProof, ProvenEntry, TreeHead};
use synapsor_domain::proposal::Proposal;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::TrustFile;
use synapsor_proto::common::v1 as common;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use synapsor_proto::ledger::v1::writeback_service_client::WritebackServiceClient;
use synapsor_proto::status::from_status;

use synapsor_anchors::pinned_checkpoint::CheckpointPinFile;

use crate::writer::controls::WriterControls;
use crate::writer::ledger::clocks::WriterClocks;
use crate::writer::ledger::settled::Settled;
use crate::writer::ledger::time::LedgerTime;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of idempotent calls: a retry is cheaper than a long wait.
const REPEATABLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Timeout of the report of an attempt in doubt, which resolving waits for.
const IN_DOUBT_TIMEOUT: Duration = Duration::from_secs(1);

/// Ledger client of one writer.
#[derive(Debug, Clone)]
pub(crate) struct WritebackClient {
    client: WritebackServiceClient<Channel>,
    transparency: TransparencyServiceClient<Channel>,
    pinned: CheckpointPinFile,
    time: LedgerTime,
    /// Receipts that the ledger has taken.
    pub(crate) settled: Settled,
}

/// Leased proposal, still untrusted like the ledger that sent it.
#[derive(Debug, Clone)]
pub(crate) struct LeasedJob {
    pub(crate) proposal: ProvenEntry,
    pub(crate) decisions: Vec<ProvenEntry>,
    pub(crate) order: Option<ProvenEntry>,
    pub(crate) checkpoint: String,
    pub(crate) consistency: Vec<ConsistencyProof>,
    pub(crate) lease: Lease,
    /// Source and tenant as the unverified proposal states them: used only to schedule the job.
    pub(crate) source: String,
    pub(crate) tenant: String,
    /// An earlier attempt was announced and has no end on file.
    pub(crate) has_open_attempt: bool,
    /// Freezes and lifts that the ledger sent with it.
    pub(crate) switches: Vec<DsseEnvelope>,
    /// The newest receipt of its source.
    pub(crate) newest_receipt: Option<DsseEnvelope>,
}

/// Stops of a lease stream, still untrusted like the ledger that sent them.
#[derive(Debug, Clone)]
pub(crate) struct ReportedStops {
    /// Freezes and lifts.
    pub(crate) switches: Vec<DsseEnvelope>,
    /// Proposals with the decisions that reject them.
    pub(crate) rejections: Vec<(DsseEnvelope, DsseEnvelope)>,
}

/// One message of a lease stream.
#[derive(Debug, Clone)]
pub(crate) struct LeaseMessage {
    pub(crate) stops: ReportedStops,
    pub(crate) job: Option<LeasedJob>,
}

/// Jobs that a writer takes at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) all: u32,
    pub(crate) per_source: u32,
}

/// Lease data that authorizes calls to the ledger. A reconciler's report has no token.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) proposal_id: ProposalId,
    pub(crate) token: Vec<u8>,
    pub(crate) fence: u64,
    pub(crate) attempt: u32,
    pub(crate) ttl: Duration,
}

impl WritebackClient {
    pub(crate) fn new(channel: Channel, pinned: CheckpointPinFile, clock: Arc<dyn Clock>) -> Self {
        let transparency = TransparencyServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let client = WritebackServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            client,
            transparency,
            pinned,
            time: LedgerTime::new(clock),
            settled: Settled::default(),
        }
    }

    /// Returns the ledger's wall clock, if the ledger reported it; not signed.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        self.time.now()
    }

    /// Returns the clocks of a writer with this ledger and these switches.
    pub(crate) fn clocks(&self, switches: WriterControls) -> WriterClocks {
        WriterClocks::new(self.time.clone(), switches)
    }

    pub(crate) fn writeback(&self) -> WritebackServiceClient<Channel> {
        self.client.clone()
    }

    pub(crate) const fn pinned(&self) -> &CheckpointPinFile {
        &self.pinned
    }

    /// Records the ledger's time from a job.
    pub(crate) fn learn_time(&self, ledger_now_ms: i64) {
        self.time.learn(ledger_now_ms);
    }

    /// Opens the stream of jobs.
    pub(crate) async fn lease(
        &self,
        source_ids: Vec<String>,
        capacity: Capacity,
        trust_digest: String,
        contract_digests: Vec<String>,
    ) -> Result<tonic::Streaming<wire::LeaseJobsResponse>, PublicError> {
        let known = Some(self.pinned.known());
        let request = wire::LeaseJobsRequest {
            source_ids,
            capacity: capacity.all,
            capacity_per_source: capacity.per_source,
            known,
            trust_digest,
            contract_digests,
            writer_now_ms: self.time.own_ms(),
        };
        let answer = self
            .client
            .clone()
            .lease_jobs(request)
            .await
            .map_err(|s| from_status(&s))?;
        Ok(answer.into_inner())
    }

    /// Accepts a checkpoint that a trusted ledger key signed and that continues the pinned one. Nothing may
    /// depend on it before [`Self::persist_checkpoint`].
    pub(crate) fn accept(&self, job: &LeasedJob, trust: &TrustFile) -> Result<Checkpoint, PublicError> {
        self.pinned.accept(&job.checkpoint, &job.consistency, trust)
    }

    /// Returns whether the verified log provably continues a tree head at which a key was retired.
    pub(crate) fn continues(&self, head: &TreeHead) -> bool {
        self.pinned.continues(head)
    }

    /// Requests the missing proofs that the log continues the tree heads at which keys of the trust file were
    /// retired. An unproven retirement does not count; nothing else depends on it.
    pub(crate) async fn prove_retirements(&self, trust: &TrustFile) {
        let mut heads = trust.retirements();
        heads.retain(|head| !self.pinned.continues(head));
        if heads.is_empty() {
            return;
        }
        let before = self.pinned.seen();
        let request = wire::GetCheckpointRequest {
            known: Some((&before).into()),
            retired_at: heads.iter().map(|head| head.size).collect(),
        };
        let call = self
            .transparency
            .clone()
            .get_checkpoint(with_deadline(request, CALL_TIMEOUT))
            .await;
        let proven = call.map_err(|s| from_status(&s)).and_then(|answer| {
            self.pinned
                .follow_from(&before, &answer.into_inner(), &heads, trust)
        });
        if let Err(refusal) = proven {
            tracing::warn!(code = %refusal.code, "no consistency proof for the retirement of a key: {}", refusal.public);
        }
    }

    /// Returns when every checkpoint accepted until now is persisted.
    pub(crate) async fn persist_checkpoint(&self) -> Result<(), PublicError> {
        self.pinned.persist().await
    }

    /// Returns freezes in force and the newest lifts, as the ledger reports them.
    pub(crate) async fn switches(&self) -> Result<Vec<DsseEnvelope>, PublicError> {
        let request = wire::ListSwitchesRequest {};
        let answer = self
            .client
            .clone()
            .list_switches(with_deadline(request, REPEATABLE_TIMEOUT))
            .await;
        envelopes(answer.map_err(|s| from_status(&s))?.into_inner().switches)
    }

    /// Submits this writer's confirmation of a freeze or lift.
    pub(crate) async fn confirm_switch(&self, confirmation: &DsseEnvelope) -> Result<(), PublicError> {
        let request = wire::ConfirmSwitchRequest {
            confirmation: Some(confirmation.into()),
        };
        let answer = self
            .client
            .clone()
            .confirm_switch(with_deadline(request, REPEATABLE_TIMEOUT))
            .await;
        answer.map_err(|s| from_status(&s)).map(|_| ())
    }

    /// Renews a lease; returns a rejection that arrived meanwhile.
    pub(crate) async fn renew_lease(&self, lease: &Lease) -> Result<Option<DsseEnvelope>, PublicError> {
        let request = wire::RenewLeaseRequest {
            proposal_id: lease.proposal_id.to_string(),
            lease_token: lease.token.clone(),
            writer_now_ms: self.time.own_ms(),
        };
        let answer = self
            .client
            .clone()
            .renew_lease(with_deadline(request, CALL_TIMEOUT))
            .await;
        let answer = answer.map_err(|s| from_status(&s))?.into_inner();
        self.time.learn(answer.ledger_now_ms);
        answer.rejection.map(DsseEnvelope::try_from).transpose()
    }

    /// Announces an attempt; returns its number once the announcement is durable.
    pub(crate) async fn start(&self, lease: &Lease) -> Result<u32, PublicError> {
        let request = wire::StartAttemptRequest {
            proposal_id: lease.proposal_id.to_string(),
            lease_token: lease.token.clone(),
            writer_now_ms: self.time.own_ms(),
        };
        let answer = self
            .client
            .clone()
            .start_attempt(with_deadline(request, REPEATABLE_TIMEOUT))
            .await;
        let answer = answer.map_err(|s| from_status(&s))?.into_inner();
        self.time.learn(answer.ledger_now_ms);
        Ok(answer.attempt)
    }

    /// Reports how an attempt ended.
    pub(crate) async fn settle(
        &self,
        id: &ProposalId,
        token: &[u8],
        attempt: &DsseEnvelope,
        receipt: Option<&DsseEnvelope>,
    ) -> Result<(), PublicError> {
        let request = wire::FinishAttemptRequest {
            proposal_id: id.to_string(),
            lease_token: token.to_vec(),
            attempt: Some(attempt.into()),
            receipt: receipt.map(Into::into),
            writer_now_ms: self.time.own_ms(),
        };
        let answer = self
            .client
            .clone()
            .finish_attempt(with_deadline(request, REPEATABLE_TIMEOUT))
            .await;
        answer.map_err(|s| from_status(&s))?;
        if receipt.is_some() {
            self.settled.add(id);
        }
        Ok(())
    }

    pub(crate) async fn report_in_doubt(
        &self,
        lease: &Lease,
        attempt: &DsseEnvelope,
    ) -> Result<(), PublicError> {
        let request = wire::ReportInDoubtRequest {
            proposal_id: lease.proposal_id.to_string(),
            lease_token: lease.token.clone(),
            attempt: Some(attempt.into()),
        };
        let answer = self
            .client
            .clone()
            .report_in_doubt(with_deadline(request, IN_DOUBT_TIMEOUT))
            .await;
        answer.map_err(|s| from_status(&s)).map(|_| ())
    }

    /// Returns announced attempts without an end on file that no lease holds.
    ///
    /// One page, newest first, of the proposals that changed before an event, and the start of the next page.
    pub(crate) async fn open_attempts(
        &self,
        source_ids: Vec<String>,
        before: Option<u64>,
    ) -> Result<(Vec<OpenAttempt>, Option<u64>), PublicError> {
        let request = wire::ListOpenAttemptsRequest {
            source_ids,
            writer_now_ms: self.time.own_ms(),
            before_seq: before.unwrap_or(0),
        };
        let answer = self
            .client
            .clone()
            .list_open_attempts(with_deadline(request, CALL_TIMEOUT))
            .await;
        let answer = answer.map_err(|s| from_status(&s))?.into_inner();
        self.time.learn(answer.ledger_now_ms);
        let next = Some(answer.next_before_seq).filter(|seq| *seq > 0);
        // A ledger that repeats pages is not followed.
        let next = next.filter(|next| before.is_none_or(|before| *next < before));
        let free = answer.attempts.into_iter().filter(|a| !a.leased);
        Ok((free.map(OpenAttempt::try_from).collect::<Result<_, _>>()?, next))
    }
}

/// Attempt of which the ledger has only the announcement.
#[derive(Debug, Clone)]
pub(crate) struct OpenAttempt {
    pub(crate) proposal: DsseEnvelope,
    pub(crate) fence: u64,
    pub(crate) attempt: u32,
}

impl TryFrom<wire::OpenAttempt> for OpenAttempt {
    type Error = PublicError;

    fn try_from(attempt: wire::OpenAttempt) -> Result<Self, PublicError> {
        let proposal = required("proposal", attempt.proposal)?.try_into()?;
        Ok(Self {
            proposal,
            fence: attempt.fence,
            attempt: attempt.attempt,
        })
    }
}

impl TryFrom<wire::LeaseJobsResponse> for LeaseMessage {
    type Error = PublicError;

    fn try_from(answer: wire::LeaseJobsResponse) -> Result<Self, PublicError> {
        let rejections = answer.rejections.into_iter().map(|rejection| {
            Ok((
                required("proposal", rejection.proposal)?.try_into()?,
                required("decision", rejection.decision)?.try_into()?,
            ))
        });
        Ok(Self {
            stops: ReportedStops {
                switches: envelopes(answer.switches)?,
                rejections: rejections.collect::<Result<_, PublicError>>()?,
            },
            job: answer.job.map(LeasedJob::try_from).transpose()?,
        })
    }
}

fn envelopes(signed: Vec<common::DsseEnvelope>) -> Result<Vec<DsseEnvelope>, PublicError> {
    signed.into_iter().map(DsseEnvelope::try_from).collect()
}

impl TryFrom<wire::Job> for LeasedJob {
    type Error = PublicError;

    fn try_from(job: wire::Job) -> Result<Self, PublicError> {
        let proposal: ProvenEntry = required("proposal", job.proposal)?.try_into()?;
        let id = proposal_id(&proposal)?;
        let lease = Lease {
            proposal_id: id,
            token: job.lease_token,
            fence: job.fence,
            attempt: job.attempt,
            ttl: Duration::from_millis(job.lease_ms.into()),
        };
        let (source, tenant) = turn_of(&proposal);
        Ok(Self {
            proposal,
            source,
            tenant,
            decisions: records(job.decisions)?,
            order: job.apply_order.map(ProvenEntry::try_from).transpose()?,
            checkpoint: job.checkpoint,
            consistency: job
                .consistency
                .into_iter()
                .map(ConsistencyProof::try_from)
                .collect::<Result<_, _>>()?,
            lease,
            has_open_attempt: job.has_open_attempt,
            switches: envelopes(job.switches)?,
            newest_receipt: job.newest_receipt.map(DsseEnvelope::try_from).transpose()?,
        })
    }
}

fn records(records: Vec<common::ProvenEntry>) -> Result<Vec<ProvenEntry>, PublicError> {
    records.into_iter().map(ProvenEntry::try_from).collect()
}

fn turn_of(record: &ProvenEntry) -> (String, String) {
    let proposal: Option<Proposal> = DsseEnvelope::from_bytes(&record.body)
        .ok()
        .and_then(|envelope| envelope.decode_unverified(ObjectKind::Proposal).ok());
    // Verification rejects an invalid proposal later, without a database.
    proposal.map_or_else(Default::default, |p| (p.source.id, p.requested_by.tenant))
}

/// Only a name for the lease; verification determines the real content of the proposal.
fn proposal_id(record: &ProvenEntry) -> Result<ProposalId, PublicError> {
    let malformed = || PublicError::new(ErrorCode::RefusedMalformed, "job without a proposal id");
    let event: synapsor_domain::event::EventRecord =
        synapsor_domain::canonical::decode(&record.event_bytes).map_err(|_| malformed())?;
    event.proposal_id.ok_or_else(malformed)
}
