//! Accepts decisions and apply orders of operators. The ledger verifies each with its own trust file before it
//! stores it; the writer verifies all of them again. The ledger records refused objects as refused.

use std::collections::BTreeSet;

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    ApplyOrder, ApprovalRefusal, Decision, DecisionKind, VerificationContext, VerifiedDecision,
    VerifiedOrder, check_reason, verify_quorum,
};
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::{EventKind, RefusedDecisionBody};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{Proposal, ProposalMode, ProposalState, ProposalTransition, transition};
use synapsor_domain::signing::{DsseEnvelope, EnvelopeError, ObjectKind};
use synapsor_domain::timestamp::Timestamp;

use crate::signature_checks::SignatureChecks;
use crate::store::leases::{self, LeaseRow};
use crate::store::proposals::{self, ProposalRow};
use crate::store::records::{self, DecisionRow};
use crate::store::requests::{self, RequestKey, StoredResponse};
use crate::store::{Committed, NewEvent, ParsedBody, StoreError, StoreTxError, WriteTransaction, events};
use crate::trust::Trust;
use crate::{Ledger, RequestContext, expire};

/// State of a proposal after a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecisionResult {
    pub(crate) state: ProposalState,
    /// Number of distinct operators whose approvals are valid now.
    pub(crate) approvals: u32,
    pub(crate) quorum: u32,
}

/// A recorded apply order.
#[derive(Debug, Clone)]
pub(crate) struct OrderResult {
    /// Position of the order in the log.
    pub(crate) seq: u64,
    pub(crate) source_id: String,
    /// Lease that keeps other writers from the proposal.
    pub(crate) lease: Option<LeaseRow>,
}

/// Result that is durable either way: the ledger records a refused object as refused.
pub(crate) type DurableResult<T> = Result<T, PublicError>;

impl Ledger {
    /// Records a decision, approve or reject.
    pub(crate) async fn decide(
        &self,
        caller: RequestContext,
        request_id: &str,
        signed: DsseEnvelope,
    ) -> Result<Committed<DurableResult<DecisionResult>>, StoreTxError> {
        let submission = self
            .submission(caller, request_id, ObjectKind::Decision, signed)
            .await?;
        self.write(move |step| {
            if let Some(answer) = requests::find_response(step.conn(), &submission.key)? {
                return Ok(Ok(submission.standing(step, answer.proposal()?)?));
            }
            expire::expire_due(step, submission.expiry_time)?;
            match submission.decide(step) {
                Err(StoreTxError::Refused(refusal)) => submission.refuse(step, refusal).map(Err),
                Err(other) => Err(other),
                Ok(decided) => Ok(Ok(decided)),
            }
        })
        .await
    }

    /// Records an apply order; a writer pulls it.
    pub(crate) async fn request_apply(
        &self,
        caller: RequestContext,
        request_id: &str,
        signed: DsseEnvelope,
    ) -> Result<Committed<DurableResult<OrderResult>>, StoreTxError> {
        let submission = self
            .submission(caller, request_id, ObjectKind::ApplyOrder, signed)
            .await?;
        self.write(move |step| {
            if requests::find_response(step.conn(), &submission.key)?.is_some() {
                return submission.submitted_before(step).map(Ok);
            }
            expire::expire_due(step, submission.expiry_time)?;
            match submission.order(step) {
                Err(StoreTxError::Refused(refusal)) => submission.refuse(step, refusal).map(Err),
                Err(other) => Err(other),
                Ok(ordered) => Ok(Ok(ordered)),
            }
        })
        .await
    }

    /// Prepares a signed object outside the writing thread: it is verified here.
    async fn submission(
        &self,
        caller: RequestContext,
        request_id: &str,
        kind: ObjectKind,
        signed: DsseEnvelope,
    ) -> Result<SignedSubmission, StoreTxError> {
        let bytes = signed
            .to_bytes()
            .map_err(|e| PublicError::new(ErrorCode::Malformed, format!("signed object: {e}")))?;
        let key = caller.request(request_id, &[&bytes])?;
        let (trust, now) = (Trust::current(&self.trust)?, self.now());
        let (presented, verified_by) = (signed.clone(), trust.clone());
        let checks = self
            .store
            .read(move |reader| SignatureChecks::of(reader, (kind, &presented), &verified_by, now))
            .await?;
        Ok(SignedSubmission {
            caller,
            key,
            trust,
            now,
            expiry_time: self.expiry_time(),
            kind,
            signed,
            bytes,
            checks,
        })
    }
}

/// Input for recording a signed object inside the batch.
struct SignedSubmission {
    caller: RequestContext,
    key: RequestKey,
    trust: Trust,
    now: Timestamp,
    expiry_time: Option<Timestamp>,
    kind: ObjectKind,
    signed: DsseEnvelope,
    bytes: Vec<u8>,
    checks: SignatureChecks,
}

impl SignedSubmission {
    fn decide(&self, step: &mut WriteTransaction<'_>) -> Result<DecisionResult, StoreTxError> {
        let claimed: Decision = self
            .signed
            .decode_unverified(ObjectKind::Decision)
            .map_err(malformed)?;
        check_reason(claimed.reason.as_deref())?;
        let (row, proposal) = self.proposal(step, &claimed.proposal_id)?;
        let verified = self
            .checks
            .decision(&self.signed, &self.verification(&row, &proposal))?;
        let on_file = records::decisions(step.conn(), &row.id)?;
        if !on_file.iter().any(|d| d.digest == verified.digest()) {
            let kind = if verified.is_deny() {
                rejection_kind(&row)?
            } else {
                transition(row.state, row.started, ProposalTransition::Approve)?;
                EventKind::ProposalApproved
            };
            self.append(step, kind, verified.person(), &row.id)?;
        }
        self.store_response(step, &row)?;
        self.standing(step, &row.id)
    }

    fn order(&self, step: &mut WriteTransaction<'_>) -> Result<OrderResult, StoreTxError> {
        let claimed: ApplyOrder = self
            .signed
            .decode_unverified(ObjectKind::ApplyOrder)
            .map_err(malformed)?;
        let (row, proposal) = self.proposal(step, &claimed.proposal_id)?;
        let verification = self.verification(&row, &proposal);
        let next = transition(row.state, row.started, ProposalTransition::OrderApply)?;
        let order = self.checks.order(&self.signed, &verification)?;
        let (digest, person) = (order.digest(), order.person().to_owned());
        let decisions = self.counted(step, &row, &verification, &order)?;
        verify_quorum(&verification, row.quorum, &decisions, order)?;
        // An order without an attempt yet: submitting the same order again returns that order.
        let waiting = (next == row.state)
            .then(|| records::order(step.conn(), &digest))
            .transpose()?
            .flatten();
        let seq = match waiting {
            Some(seq) => seq,
            None => self.append(step, EventKind::ApplyRequested, &person, &row.id)?,
        };
        self.store_response(step, &row)?;
        self.ordered(step, row, seq)
    }

    fn submitted_before(&self, step: &WriteTransaction<'_>) -> Result<OrderResult, StoreTxError> {
        let digest = Digest::of(ObjectKind::ApplyOrder, &self.signed.payload);
        let claimed: ApplyOrder = self
            .signed
            .decode_unverified(ObjectKind::ApplyOrder)
            .map_err(malformed)?;
        let row = proposals::get(step.conn(), &claimed.proposal_id)?;
        let seq = records::order(step.conn(), &digest)?.ok_or_else(proposals::not_found)?;
        self.ordered(step, row, seq)
    }

    fn ordered(
        &self,
        step: &WriteTransaction<'_>,
        row: ProposalRow,
        seq: u64,
    ) -> Result<OrderResult, StoreTxError> {
        let lease = leases::find(step.conn(), &row.id)?.filter(|lease| lease.expires_at > self.now);
        Ok(OrderResult {
            seq,
            source_id: row.source_id,
            lease,
        })
    }

    fn store_response(&self, step: &WriteTransaction<'_>, row: &ProposalRow) -> Result<(), StoreTxError> {
        let response = StoredResponse::Named(row.id.clone());
        Ok(requests::store_response(
            step.conn(),
            &self.key,
            &response,
            self.now,
        )?)
    }

    fn proposal(
        &self,
        step: &WriteTransaction<'_>,
        id: &ProposalId,
    ) -> Result<(ProposalRow, Proposal), StoreTxError> {
        let row = proposals::get(step.conn(), id)?;
        if row.mode == ProposalMode::Shadow {
            let text = "a shadow proposal is for comparison only and cannot be approved or applied";
            return Err(PublicError::new(ErrorCode::ShadowWritebackDisabled, text).into());
        }
        let proposal = self.read_proposal(step, &row)?;
        Ok((row, proposal))
    }

    /// Uses the proposal read before the batch; a proposal never changes.
    fn read_proposal(
        &self,
        step: &WriteTransaction<'_>,
        row: &ProposalRow,
    ) -> Result<Proposal, StoreTxError> {
        match &self.checks.proposal {
            Some(proposal) if proposal.id == row.id => Ok(proposal.clone()),
            Some(_) | None => Ok(proposals::signed(step.conn(), row)?.1),
        }
    }

    fn verification<'a>(&'a self, row: &ProposalRow, proposal: &'a Proposal) -> VerificationContext<'a> {
        VerificationContext {
            trust: &self.trust.file,
            now: self.now,
            proposal,
            proposal_digest: row.digest,
        }
    }

    fn standing(&self, step: &WriteTransaction<'_>, id: &ProposalId) -> Result<DecisionResult, StoreTxError> {
        let row = proposals::get(step.conn(), id)?;
        let proposal = self.read_proposal(step, &row)?;
        let verification = self.verification(&row, &proposal);
        let mut persons = BTreeSet::new();
        for decision in records::decisions(step.conn(), id)?
            .iter()
            .filter(|d| d.kind == DecisionKind::Approve)
        {
            if let Ok(verified) = self.on_file(step, decision, &verification)? {
                persons.insert(verified.person().to_owned());
            }
        }
        let approvals = u32::try_from(persons.len()).unwrap_or(u32::MAX);
        Ok(DecisionResult {
            state: row.state,
            approvals,
            quorum: row.quorum,
        })
    }

    /// Returns the decisions that an order names, each verified again, and every rejection.
    fn counted(
        &self,
        step: &WriteTransaction<'_>,
        row: &ProposalRow,
        verification: &VerificationContext<'_>,
        order: &VerifiedOrder,
    ) -> Result<Vec<VerifiedDecision>, StoreTxError> {
        let on_file = records::decisions(step.conn(), &row.id)?;
        let named = &order.order().decision_digests;
        if let Some(missing) = named
            .iter()
            .find(|digest| !on_file.iter().any(|d| d.digest == **digest))
        {
            return Err(PublicError::new(
                ErrorCode::RefusedOrder,
                format!("the order names decision {missing}, which is not in the ledger"),
            )
            .into());
        }
        relevant(&on_file, Some(named))
            .map(|d| Ok(self.on_file(step, d, verification)??))
            .collect()
    }

    fn on_file(
        &self,
        step: &WriteTransaction<'_>,
        decision: &DecisionRow,
        verification: &VerificationContext<'_>,
    ) -> Result<Result<VerifiedDecision, ApprovalRefusal>, StoreTxError> {
        let read = || Ok(events::envelope(step.conn(), decision.seq)?);
        self.checks.on_file(decision.digest, read, verification)
    }

    fn append(
        &self,
        step: &mut WriteTransaction<'_>,
        kind: EventKind,
        person: &str,
        id: &ProposalId,
    ) -> Result<u64, StoreTxError> {
        Ok(step.append(&NewEvent {
            kind,
            at: self.now,
            actor: person,
            proposal_id: Some(id),
            body: &self.bytes,
            read: ParsedBody::No,
            trace_id: self.caller.trace_id.as_deref(),
        })?)
    }

    /// Records that a signed object was presented and refused. Only the digest of the object is stored.
    fn refuse(
        &self,
        step: &mut WriteTransaction<'_>,
        refusal: PublicError,
    ) -> Result<PublicError, StoreTxError> {
        let body = RefusedDecisionBody {
            presented_digest: Digest::of(self.kind, &self.signed.payload),
            code: refusal.code.to_string(),
            reason: refusal.public.clone(),
        };
        let body = canonical::encode(&body)
            .map_err(|e| StoreError::Failed(format!("event has no canonical form: {e}")))?;
        let claimed = match self.kind {
            ObjectKind::Decision => self
                .signed
                .decode_unverified::<Decision>(ObjectKind::Decision)
                .ok()
                .map(|d| d.proposal_id),
            _ => self
                .signed
                .decode_unverified::<ApplyOrder>(ObjectKind::ApplyOrder)
                .ok()
                .map(|o| o.proposal_id),
        };
        let known = claimed
            .map(|id| proposals::find(step.conn(), &id))
            .transpose()?
            .flatten();
        step.append(&NewEvent {
            kind: EventKind::DecisionRefused,
            at: self.now,
            actor: &self.caller.identity,
            proposal_id: known.as_ref().map(|row| &row.id),
            body: &body,
            read: ParsedBody::No,
            trace_id: self.caller.trace_id.as_deref(),
        })?;
        Ok(refusal)
    }
}

/// Event kind of a rejection. After an attempt has started, only a receipt can end the proposal; the rejection is
/// then recorded for every writer to find.
fn rejection_kind(row: &ProposalRow) -> Result<EventKind, PublicError> {
    match transition(row.state, row.started, ProposalTransition::Reject) {
        Ok(_) => Ok(EventKind::ProposalRejected),
        Err(refusal) if refusal.code == ErrorCode::WritebackStarted => Ok(EventKind::RejectionRecorded),
        Err(refusal) => Err(refusal),
    }
}

/// Returns the recorded decisions that an order names, and every rejection. Without an order, returns all.
pub(crate) fn relevant<'a>(
    on_file: &'a [DecisionRow],
    named: Option<&'a Vec<Digest>>,
) -> impl Iterator<Item = &'a DecisionRow> {
    on_file.iter().filter(move |d| {
        d.kind == DecisionKind::Reject || named.is_none_or(|named| named.contains(&d.digest))
    })
}

fn malformed(error: EnvelopeError) -> PublicError {
    PublicError::new(ErrorCode::RefusedMalformed, error.to_string())
}
