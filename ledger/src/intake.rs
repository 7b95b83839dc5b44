//! Accepts records of readers: reads, refused calls and proposals. Each is checked before it is stored and durable
//! before the ledger responds.

use std::sync::Arc;

use synapsor_codes::ErrorCode;
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::{EventKind, ReadBody, RepeatBody};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::{CLOCK_SKEW_SECONDS, PROPOSAL_LIFETIME_DAYS};
use synapsor_domain::proposal::{Proposal, ProposalState};
use synapsor_domain::record_fields::{AuditFields, EvidenceFields};
use synapsor_domain::signing::{BatchVerifier, DsseEnvelope, ObjectKind, PublicKey};
use synapsor_domain::timestamp::{Span, Timestamp};

use crate::secret_material::{self, SecretSearch};
use crate::store::requests::{self, RequestKey, StoredResponse};
use crate::store::{
    AuditView, Committed, EvidenceView, Group, NewEvent, ParsedBody, ReadProposal, StepKind, StoreError,
    StoreTxError, WriteTransaction, events, log, proposals,
};
use crate::trust::Trust;
use crate::{Ledger, RequestContext, check_request_id, expire};

/// Checked evidence with the body of its event.
#[derive(Debug)]
struct CheckedEvidence {
    view: Arc<EvidenceView>,
    bytes: Vec<u8>,
}

impl CheckedEvidence {
    fn read(&self) -> ParsedBody<'_> {
        ParsedBody::Records {
            evidence: Some(&self.view),
            audit: None,
        }
    }
}

/// Checked proposal, as received and in its stored form.
#[derive(Debug)]
struct CheckedProposal {
    read: ReadProposal,
    envelope: DsseEnvelope,
    bytes: Vec<u8>,
}

/// Checked audit record with its stored form.
#[derive(Debug)]
struct CheckedAudit {
    view: Arc<AuditView>,
    bytes: Vec<u8>,
}

impl CheckedAudit {
    fn read(&self) -> ParsedBody<'_> {
        ParsedBody::Records {
            evidence: None,
            audit: Some(&self.view),
        }
    }
}

/// Records that one call of a reader submits, as received.
#[derive(Debug, Clone)]
pub(crate) struct CallRecord {
    /// Request id, chosen by the reader.
    pub(crate) request_id: String,
    /// Trace id for finding the call in traces.
    pub(crate) trace_id: Option<String>,
    pub(crate) record: CallRecordBody,
}

/// Kinds of call records.
#[derive(Debug, Clone)]
pub(crate) enum CallRecordBody {
    /// A read that returned a row: its evidence and its audit record.
    Read { evidence: DsseEnvelope, audit: Vec<u8> },
    /// A refused call.
    Refusal { audit: Vec<u8> },
    /// A proposal with its evidence and audit record, recorded together or not at all. If an identical proposal is
    /// open, the ledger returns that one and links the new evidence to it.
    Proposal {
        proposal: DsseEnvelope,
        evidence: DsseEnvelope,
        audit: Vec<u8>,
    },
}

/// Result of a submitted proposal.
#[derive(Debug, Clone)]
pub(crate) struct SubmittedProposal {
    /// The proposal that is open now.
    pub(crate) envelope: DsseEnvelope,
    /// Whether an identical proposal was already open.
    pub(crate) already_open: bool,
    pub(crate) state: ProposalState,
}

impl Ledger {
    /// Refuses a caller that has verified a larger log than this one: an older copy of the store was restored. The
    /// caller would refuse the response too, but only after its records are in that copy.
    ///
    /// # Errors
    /// `LEDGER_ROLLED_BACK`.
    pub(crate) async fn refuse_if_rolled_back(&self, known: u64) -> Result<(), StoreTxError> {
        if known <= self.store.head().borrow().size {
            return Ok(());
        }
        // A batch is visible to readers of the store before the writing thread has announced it.
        let size = self
            .store
            .read(|stored| Ok(log::head(stored.conn())?.size))
            .await?;
        if known <= size {
            return Ok(());
        }
        let text =
            format!("ledger rollback: tree size {size} is below {known}, which the caller has verified");
        Err(PublicError::new(ErrorCode::LedgerRolledBack, text).into())
    }

    /// Records the submissions of several calls. Each succeeds or fails on its own; a record that could not be
    /// decoded fails in its position. Successful ones are durable when this returns, with the proposal for each
    /// call that submitted one. They are queued together, so that one batch contains them all.
    pub(crate) async fn submit(
        &self,
        caller: &RequestContext,
        submissions: Vec<Result<CallRecord, PublicError>>,
    ) -> Vec<Result<Committed<Option<SubmittedProposal>>, StoreTxError>> {
        let trust = Trust::current(&self.trust);
        let times = Times {
            now: self.now(),
            expiry: self.expiry_time(),
        };
        let mut batch = BatchVerifier::default();
        let checked: Vec<_> = submissions
            .into_iter()
            .map(|submission| {
                submission.and_then(|submission| {
                    CheckedSubmission::check(submission, caller, &trust, times, &mut batch)
                })
            })
            .collect();
        let mut group = Group::new(caller.known);
        let pending: Vec<_> = checked
            .into_iter()
            .map(|job| job.map(|job| group.push(job.kind(), move |step| job.run(step))))
            .collect();
        let queued = self.store.submit(group);
        let mut outcomes = Vec::with_capacity(pending.len());
        for pending in pending {
            outcomes.push(match (pending, &queued) {
                (Ok(pending), Ok(())) => pending.answer().await,
                (Ok(_), Err(error)) => Err(error.clone().into()),
                (Err(error), _) => Err(error.into()),
            });
        }
        outcomes
    }
}

/// Wall clock, and the time that decides expiry.
#[derive(Debug, Clone, Copy)]
struct Times {
    now: Timestamp,
    expiry: Option<Timestamp>,
}

/// A checked call record with everything that the batch needs.
struct CheckedSubmission {
    caller: RequestContext,
    now: Timestamp,
    expiry_time: Option<Timestamp>,
    audit: CheckedAudit,
    record: CheckedRecord,
}

enum CheckedRecord {
    /// Evidence with the body that also contains the audit record.
    Read(CheckedEvidence),
    Refusal,
    Proposal {
        key: RequestKey,
        evidence: CheckedEvidence,
        proposal: Box<CheckedProposal>,
        /// Maximum number of open proposals of one tenant and principal.
        open_max: u64,
    },
}

impl CheckedSubmission {
    fn check(
        submission: CallRecord,
        caller: &RequestContext,
        trust: &Result<Trust, PublicError>,
        times: Times,
        batch: &mut BatchVerifier,
    ) -> Result<Self, PublicError> {
        let caller = RequestContext {
            trace_id: submission.trace_id,
            ..caller.clone()
        };
        let id = &submission.request_id;
        check_request_id(id)?;
        let (audit, record) = match submission.record {
            CallRecordBody::Read { evidence, audit } => {
                let fields = check_evidence(&evidence, trust.as_ref().map_err(Clone::clone)?, batch)?;
                let view = Arc::new(EvidenceView::of(fields, evidence_digest(&evidence)));
                let audit = check_audit(audit)?;
                if audit.view.evidence_id.as_ref() != Some(&view.id) {
                    return Err(malformed("audit", "does not name the submitted evidence"));
                }
                let bytes = ReadBody::encode(&evidence, &audit.bytes);
                let bytes = bytes.map_err(|e| malformed("evidence", &e.to_string()))?;
                (audit, CheckedRecord::Read(CheckedEvidence { view, bytes }))
            }
            CallRecordBody::Refusal { audit } => (check_audit(audit)?, CheckedRecord::Refusal),
            CallRecordBody::Proposal {
                proposal,
                evidence,
                audit,
            } => {
                let trust = trust.as_ref().map_err(Clone::clone)?;
                let fields = check_evidence(&evidence, trust, batch)?;
                let digest = evidence_digest(&evidence);
                let proposal = check_proposal(proposal, (&fields, digest), trust, times.now)?;
                let view = Arc::new(EvidenceView::of(fields, digest));
                let bytes = evidence.to_bytes();
                let bytes = bytes.map_err(|e| malformed("evidence", &e.to_string()))?;
                let evidence = CheckedEvidence { view, bytes };
                let audit = check_audit(audit)?;
                if audit.view.evidence_id.as_ref() != Some(&evidence.view.id)
                    || audit.view.proposal_id.as_ref() != Some(&proposal.read.proposal.id)
                {
                    let problem = "does not name the submitted evidence and proposal";
                    return Err(malformed("audit", problem));
                }
                let key = caller.request(id, &[&proposal.bytes, &evidence.bytes, &audit.bytes])?;
                let record = CheckedRecord::Proposal {
                    key,
                    evidence,
                    proposal: Box::new(proposal),
                    open_max: trust.file.open_proposals_max(),
                };
                (audit, record)
            }
        };
        Ok(Self {
            caller,
            now: times.now,
            expiry_time: times.expiry,
            audit,
            record,
        })
    }

    const fn kind(&self) -> StepKind {
        match self.record {
            CheckedRecord::Read(_) | CheckedRecord::Refusal => StepKind::Record,
            CheckedRecord::Proposal { .. } => StepKind::Any,
        }
    }

    fn run(&self, step: &mut WriteTransaction<'_>) -> Result<Option<SubmittedProposal>, StoreTxError> {
        let about = EventContext::new(&self.caller, self.now, None);
        match &self.record {
            CheckedRecord::Read(evidence) => {
                if !self.is_recorded(step, Some(evidence))? {
                    let read = ParsedBody::Records {
                        evidence: Some(&evidence.view),
                        audit: Some(&self.audit.view),
                    };
                    step.record(&about.event(EventKind::ReadRecorded, &evidence.bytes, read))?;
                }
                Ok(None)
            }
            CheckedRecord::Refusal => {
                if !self.is_recorded(step, None)? {
                    let (bytes, read) = (&self.audit.bytes, self.audit.read());
                    step.record(&about.event(EventKind::CallRefused, bytes, read))?;
                }
                Ok(None)
            }
            CheckedRecord::Proposal {
                key,
                evidence,
                proposal,
                open_max,
            } => {
                let submission = ProposalSubmission {
                    job: self,
                    key,
                    evidence,
                    proposal,
                    open_max: *open_max,
                };
                submission.run(step).map(Some)
            }
        }
    }

    /// Returns whether the same records are in the log already: the reader repeats a request whose response it did
    /// not get. Its records have the same ids, so their ids name the request, however old it is.
    fn is_recorded(
        &self,
        step: &mut WriteTransaction<'_>,
        evidence: Option<&CheckedEvidence>,
    ) -> Result<bool, StoreTxError> {
        let digest = match evidence {
            Some(checked) => step.evidence_digest(&checked.view.id)?,
            None => None,
        };
        let Some(seq) = step.audit_seq(&self.audit.view.id)? else {
            return match digest {
                Some(_) => Err(StoreError::Duplicate.into()),
                None => Ok(false),
            };
        };
        let is_same_evidence = digest == evidence.map(|checked| checked.view.digest);
        // The record may be of this batch.
        step.store_block()?;
        let (kind, audit) = events::audit(step.conn(), seq)?;
        let is_same_kind = evidence.is_none() == (kind == EventKind::CallRefused);
        if is_same_evidence && is_same_kind && audit == self.audit.bytes {
            return Ok(true);
        }
        Err(StoreError::Duplicate.into())
    }
}

/// A proposal inside the batch.
struct ProposalSubmission<'a> {
    job: &'a CheckedSubmission,
    key: &'a RequestKey,
    evidence: &'a CheckedEvidence,
    proposal: &'a CheckedProposal,
    open_max: u64,
}

impl ProposalSubmission<'_> {
    fn run(&self, step: &mut WriteTransaction<'_>) -> Result<SubmittedProposal, StoreTxError> {
        let key = self.key;
        if let Some(answer) = requests::find_response(step.conn(), key)? {
            return submitted_before(step, &answer);
        }
        let CheckedSubmission { now, expiry_time, .. } = self.job;
        expire::expire_due(step, *expiry_time)?;
        let read = &self.proposal.read;
        match proposals::open_with_content(step.conn(), &read.content_digest)? {
            Some(open) => {
                self.repeat(step, &open.id)?;
                let response = StoredResponse::AlreadyOpen(open.id);
                requests::store_response(step.conn(), key, &response, *now)?;
                submitted_before(step, &response)
            }
            None => {
                self.create(step)?;
                let id = &read.proposal.id;
                requests::store_response(step.conn(), key, &StoredResponse::Created(id.clone()), *now)?;
                Ok(SubmittedProposal {
                    envelope: self.proposal.envelope.clone(),
                    already_open: false,
                    state: proposals::get(step.conn(), id)?.state,
                })
            }
        }
    }

    fn create(&self, step: &mut WriteTransaction<'_>) -> Result<(), StoreTxError> {
        let proposal = &self.proposal.read.proposal;
        if proposals::find(step.conn(), &proposal.id)?.is_some() {
            return Err(PublicError::new(
                ErrorCode::ProposalImmutabilityViolation,
                "a proposal with this id already exists and cannot be replaced",
            )
            .into());
        }
        let by = &proposal.requested_by;
        let open = proposals::count_open(step.conn(), &by.tenant, &by.principal)?;
        if open >= self.open_max {
            let text = format!(
                "{open} proposals of this tenant and principal are open; wait for decisions on some of them. An operator \
                 can reject them together (`proposals reject --principal`) or raise `ceilings.open_proposals` in the \
                 trust file; undecided proposals expire after {PROPOSAL_LIFETIME_DAYS} days"
            );
            return Err(PublicError::new(ErrorCode::OpenProposalsExceeded, text).into());
        }
        let (bytes, read) = (&self.proposal.bytes, ParsedBody::Proposal(&self.proposal.read));
        let CheckedSubmission {
            caller, now, audit, ..
        } = self.job;
        let about = EventContext::new(caller, *now, Some(&proposal.id));
        step.append_all(&[
            about.evidence(self.evidence),
            about.event(EventKind::ProposalCreated, bytes, read),
            about.event(EventKind::QueryAudited, &audit.bytes, audit.read()),
        ])?;
        Ok(())
    }

    fn repeat(&self, step: &mut WriteTransaction<'_>, open: &ProposalId) -> Result<(), StoreTxError> {
        let body = RepeatBody {
            evidence_id: self.evidence.view.id.clone(),
            audit_id: self.job.audit.view.id.clone(),
        };
        let body = canonical::encode(&body).map_err(|e| malformed("audit", &e.to_string()))?;
        let CheckedSubmission {
            caller, now, audit, ..
        } = self.job;
        let about = EventContext::new(caller, *now, Some(open));
        step.append_all(&[
            about.evidence(self.evidence),
            about.event(EventKind::QueryAudited, &audit.bytes, audit.read()),
            about.event(EventKind::ProposalRepeated, &body, ParsedBody::No),
        ])?;
        Ok(())
    }
}

fn submitted_before(
    step: &WriteTransaction<'_>,
    response: &StoredResponse,
) -> Result<SubmittedProposal, StoreTxError> {
    let row = proposals::get(step.conn(), response.proposal()?)?;
    let (envelope, _) = proposals::signed(step.conn(), &row)?;
    Ok(SubmittedProposal {
        envelope,
        already_open: matches!(response, StoredResponse::AlreadyOpen(_)),
        state: row.state,
    })
}

/// Values that the events of one call share.
struct EventContext<'s> {
    caller: &'s RequestContext,
    at: Timestamp,
    proposal_id: Option<&'s ProposalId>,
}

impl<'s> EventContext<'s> {
    const fn new(caller: &'s RequestContext, at: Timestamp, proposal_id: Option<&'s ProposalId>) -> Self {
        Self {
            caller,
            at,
            proposal_id,
        }
    }

    fn evidence(&self, evidence: &'s CheckedEvidence) -> NewEvent<'s> {
        self.event(EventKind::EvidenceRecorded, &evidence.bytes, evidence.read())
    }

    fn event(&self, kind: EventKind, body: &'s [u8], read: ParsedBody<'s>) -> NewEvent<'s> {
        NewEvent {
            kind,
            at: self.at,
            actor: &self.caller.identity,
            proposal_id: self.proposal_id,
            body,
            read,
            trace_id: self.caller.trace_id.as_deref(),
        }
    }
}

fn check_evidence<'e>(
    envelope: &'e DsseEnvelope,
    trust: &Trust,
    batch: &mut BatchVerifier,
) -> Result<EvidenceFields<'e>, PublicError> {
    let key = reader_key(envelope, "evidence", trust)?;
    let mut secrets = SecretSearch::default();
    let evidence: EvidenceFields<'_> = envelope
        .decode_observed(ObjectKind::Evidence, &mut secrets)
        .and_then(|evidence| {
            envelope.verify_in_batch(ObjectKind::Evidence, key, batch)?;
            Ok(evidence)
        })
        .map_err(|e| attestation("evidence", &e.to_string()))?;
    if evidence.v != 1 {
        return Err(malformed("evidence.v", "must be 1"));
    }
    if *evidence.ledger_origin != trust.file.ledger_origin() {
        return Err(malformed("evidence.ledger_origin", "names another ledger"));
    }
    secrets.refuse("evidence")?;
    Ok(evidence)
}

fn evidence_digest(envelope: &DsseEnvelope) -> Digest {
    Digest::of(ObjectKind::Evidence, &envelope.payload)
}

fn check_proposal(
    envelope: DsseEnvelope,
    (seen, digest): (&EvidenceFields<'_>, Digest),
    trust: &Trust,
    now: Timestamp,
) -> Result<CheckedProposal, PublicError> {
    let key = reader_key(&envelope, "proposal", trust)?;
    let proposal: Proposal = envelope
        .verify_and_decode(ObjectKind::Proposal, key)
        .map_err(|e| attestation("proposal", &e.to_string()))?;
    if !proposal.has_known_version() {
        return Err(malformed("proposal.v", "is not supported by this build"));
    }
    if proposal.ledger_origin != trust.file.ledger_origin() || proposal.environment != trust.file.environment
    {
        return Err(malformed("proposal", "names another ledger or environment"));
    }
    let rests_on_it = proposal
        .evidence
        .iter()
        .any(|e| e.id == seen.id && e.digest == digest);
    if !rests_on_it || seen.requested_by != proposal.requested_by || seen.source != proposal.source {
        return Err(malformed(
            "proposal.evidence",
            "does not name the submitted evidence",
        ));
    }
    if proposal.created_at > now + Span::seconds(CLOCK_SKEW_SECONDS) {
        return Err(malformed(
            "proposal.created_at",
            "is in the future; check the clocks",
        ));
    }
    if proposal.not_after <= now
        || proposal.not_after > proposal.created_at + Span::days(PROPOSAL_LIFETIME_DAYS)
    {
        return Err(malformed(
            "proposal.not_after",
            "is in the past or exceeds the maximum lifetime of a proposal",
        ));
    }
    secret_material::refuse("proposal", &envelope.payload)?;
    let bytes = envelope
        .to_bytes()
        .map_err(|e| malformed("proposal", &e.to_string()))?;
    Ok(CheckedProposal {
        read: ReadProposal::new(proposal, &envelope.payload),
        envelope,
        bytes,
    })
}

/// Returns the key of the reader that the envelope names as its signer.
fn reader_key<'t>(
    envelope: &DsseEnvelope,
    what: &'static str,
    trust: &'t Trust,
) -> Result<&'t PublicKey, PublicError> {
    let signer = envelope.signer().map_err(|e| attestation(what, &e.to_string()))?;
    let unknown = || {
        attestation(
            what,
            &format!("unknown reader key {signer}: not in the trust file"),
        )
    };
    trust.reader(signer).ok_or_else(unknown)
}

fn check_audit(bytes: Vec<u8>) -> Result<CheckedAudit, PublicError> {
    let mut secrets = SecretSearch::default();
    let record: AuditFields<'_> =
        canonical::decode_observed(&bytes, &mut secrets).map_err(|e| malformed("audit", &e.to_string()))?;
    if record.v != 1 {
        return Err(malformed("audit.v", "must be 1"));
    }
    secrets.refuse("audit")?;
    let view = Arc::new(AuditView::of(record));
    Ok(CheckedAudit { view, bytes })
}

fn attestation(what: &str, problem: &str) -> PublicError {
    PublicError::new(ErrorCode::RefusedAttestation, format!("{what}: {problem}"))
}

fn malformed(field: &str, problem: &str) -> PublicError {
    PublicError::new(ErrorCode::Malformed, format!("{field}: {problem}"))
}
