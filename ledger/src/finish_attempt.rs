//! Ends attempts: a receipt ends the proposal, a report without a receipt returns it to the queue, and an unknown
//! result stays open. The ledger verifies reports under the writer's key of the trust file. Contradictory receipts
//! raise an alarm.

use synapsor_codes::ErrorCode;
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::{AttemptFinishedBody, EventKind, ReceiptAlarmBody};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::ENVELOPE_BYTES_MAX;
use synapsor_domain::proposal::{ProposalState, ProposalTransition, transition};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{Position, ServiceKey};
use synapsor_domain::writeback::{AttemptReport, AttemptResult, Receipt, ReceiptIncidentKind, ReceiptRef};

use crate::decide::DurableResult;
use crate::lease::held_lease;
use crate::receipt_orders::is_adopted;
use crate::store::proposals::{self, ProposalRow};
use crate::store::{
    Committed, NewEvent, ParsedBody, StoreError, StoreTxError, WriteTransaction, kind_of, leases, receipts,
    records,
};
use crate::trust::Trust;
use crate::{Ledger, RequestContext};

/// Maximum number of open attempts in one response.
pub(crate) const OPEN_ATTEMPTS_MAX: usize = 200;

/// A started attempt whose result is not recorded.
#[derive(Debug, Clone)]
pub(crate) struct OpenAttemptRow {
    pub(crate) proposal: DsseEnvelope,
    pub(crate) fence: u64,
    pub(crate) attempt: u32,
    /// Whether a writer holds the lease.
    pub(crate) leased: bool,
    /// Position of the last change of its proposal.
    pub(crate) changed_seq: u64,
}

/// A signed attempt report, with the receipt if there is one.
#[derive(Debug)]
pub(crate) struct FinishedAttempt {
    pub(crate) id: ProposalId,
    /// Empty when a reconciler finishes an attempt without a lease.
    pub(crate) token: Vec<u8>,
    pub(crate) attempt: DsseEnvelope,
    pub(crate) receipt: Option<DsseEnvelope>,
}

impl Ledger {
    /// Ends an attempt. Submitting the same receipt again changes nothing; a different one raises an alarm.
    pub(crate) async fn settle(
        &self,
        caller: RequestContext,
        settlement: FinishedAttempt,
    ) -> Result<Committed<DurableResult<ProposalState>>, StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let report = open_report(&settlement, &trust)?;
        // Verified here, where signatures do not block the writing thread.
        let receipt = settlement
            .receipt
            .as_ref()
            .map(|signed| OpenedReceipt::of(signed, &trust));
        let now = self.now();
        self.write(move |step| {
            let row = proposals::get(step.conn(), &settlement.id)?;
            if report.proposal_digest != row.digest {
                return Err(malformed("attempt", "names another proposal").into());
            }
            let closing = AttemptCloser {
                caller,
                now,
                row,
                settlement,
                report,
                trust,
            };
            if !closing.settlement.token.is_empty() {
                closing.check_lease(step)?;
            }
            match (&closing.settlement.receipt, receipt) {
                (Some(signed), Some(receipt)) => closing.with_receipt(step, signed, receipt),
                _ => closing.without_receipt(step).map(Ok),
            }
        })
        .await
    }

    /// Records that the response to COMMIT was lost. The lease stays.
    pub(crate) async fn report_in_doubt(
        &self,
        caller: RequestContext,
        settlement: FinishedAttempt,
    ) -> Result<(), StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let report = open_report(&settlement, &trust)?;
        if report.result != AttemptResult::InDoubt {
            return Err(malformed("attempt.result", "must be in_doubt").into());
        }
        let now = self.now();
        self.write(move |step| {
            let row = proposals::get(step.conn(), &settlement.id)?;
            let closing = AttemptCloser {
                caller,
                now,
                row,
                settlement,
                report,
                trust,
            };
            closing.check_lease(step)?;
            transition(
                closing.row.state,
                closing.row.started,
                ProposalTransition::MarkInDoubt,
            )?;
            closing.append_report(step, EventKind::WritebackInDoubt)
        })
        .await
        .map(|_| ())
    }

    /// Returns a page of the attempts of these sources that a reconciler must resolve, newest first, of those
    /// whose proposal changed before an event.
    pub(crate) async fn list_open_attempts(
        &self,
        sources: Vec<String>,
        before: Option<u64>,
    ) -> Result<Vec<OpenAttemptRow>, StoreTxError> {
        let now = self.now();
        self.store
            .read(move |reader| {
                let conn = reader.conn();
                let rows = proposals::open_attempts(conn, &sources, before, OPEN_ATTEMPTS_MAX)?;
                rows.into_iter()
                    .map(|row| {
                        let leased = leases::find(conn, &row.id)?.is_some_and(|lease| lease.expires_at > now);
                        let fence = records::newest_fence(conn, &row.id)?;
                        let (proposal, _) = proposals::signed(conn, &row)?;
                        Ok(OpenAttemptRow {
                            proposal,
                            fence,
                            attempt: row.attempts,
                            leased,
                            changed_seq: row.changed_seq,
                        })
                    })
                    .collect()
            })
            .await
    }
}

/// End of one attempt, inside the batch.
struct AttemptCloser {
    caller: RequestContext,
    now: Timestamp,
    row: ProposalRow,
    settlement: FinishedAttempt,
    report: AttemptReport,
    trust: Trust,
}

/// A receipt signed by a writer key.
struct OpenedReceipt {
    receipt: Receipt,
    /// Set when its key is retired and the log does not contain the receipt from before the retirement.
    unproven: Option<PublicError>,
}

impl OpenedReceipt {
    fn of(signed: &DsseEnvelope, trust: &Trust) -> Result<Self, PublicError> {
        let (receipt, key) = open_under::<Receipt>(signed, ObjectKind::Receipt, "receipt", trust)?;
        let unproven = check_in_use(signed, key, "receipt").err();
        Ok(Self { receipt, unproven })
    }
}

impl AttemptCloser {
    fn check_lease(&self, step: &WriteTransaction<'_>) -> Result<(), StoreTxError> {
        held_lease(step, &self.row.id, &self.caller.identity, &self.settlement.token).map(|_| ())
    }

    fn with_receipt(
        &self,
        step: &mut WriteTransaction<'_>,
        signed: &DsseEnvelope,
        opened: Result<OpenedReceipt, PublicError>,
    ) -> Result<DurableResult<ProposalState>, StoreTxError> {
        let presented = Digest::of(ObjectKind::Receipt, &signed.payload);
        let known = records::receipt(step.conn(), &self.row.id)?.map(|(digest, _)| digest);
        if known == Some(presented) {
            return Ok(Ok(self.row.state));
        }
        let checked = match opened {
            Ok(opened) => self.check_standing(step, opened, presented)?,
            Err(refusal) => Err(refusal),
        };
        let checked = checked.and_then(|receipt| self.check_receipt(receipt, presented));
        let named = self.named(presented);
        let source = &self.row.source_id;
        if checked.is_ok()
            && receipts::is_open(
                step.conn(),
                source,
                ReceiptIncidentKind::RowChangedInCommit,
                &named,
            )?
        {
            return Ok(Err(row_changed()));
        }
        let refusal = match (checked, known) {
            (Err(refusal), _) => refusal,
            (Ok(_), Some(known)) => PublicError::new(
                ErrorCode::ReceiptDiffers,
                format!(
                    "this proposal has a different receipt with the digest {known}; an operator must compare both"
                ),
            ),
            (Ok(receipt), None) => {
                match transition(
                    self.row.state,
                    self.row.started,
                    ProposalTransition::Settle(receipt.outcome),
                ) {
                    Ok(state) => {
                        self.append_settlement(step, signed, kind_of(receipt.outcome))?;
                        leases::release(step.conn(), &self.row.id)?;
                        return Ok(Ok(state));
                    }
                    Err(refusal) => refusal,
                }
            }
        };
        // One alarm for each receipt that waits for an operator, however often a writer presents it.
        if refusal.code != ErrorCode::RefusedReceiptUnproven
            || !receipts::is_open(step.conn(), source, ReceiptIncidentKind::ReceiptUnproven, &named)?
        {
            self.record_receipt_mismatch(step, known, presented, &refusal)?;
        }
        Ok(Err(refusal))
    }

    /// A receipt of a retired key counts when an operator adopted it.
    fn check_standing(
        &self,
        step: &WriteTransaction<'_>,
        opened: OpenedReceipt,
        digest: Digest,
    ) -> Result<Result<Receipt, PublicError>, StoreTxError> {
        let Some(unproven) = opened.unproven else {
            return Ok(Ok(opened.receipt));
        };
        let is_adopted = is_adopted(step.conn(), &self.row.source_id, &self.named(digest), &self.trust)?;
        Ok(if is_adopted {
            Ok(opened.receipt)
        } else {
            Err(unproven)
        })
    }

    fn named(&self, receipt_digest: Digest) -> ReceiptRef {
        ReceiptRef {
            proposal_id: self.row.id.clone(),
            receipt_digest,
        }
    }

    fn check_receipt(&self, receipt: Receipt, digest: Digest) -> Result<Receipt, PublicError> {
        if receipt.v != 1 || receipt.proposal_id != self.row.id || receipt.proposal_digest != self.row.digest
        {
            return Err(integrity("receipt", "names another proposal"));
        }
        if self.report.receipt_digest != Some(digest) || !self.report.result.is_terminal() {
            return Err(integrity("attempt", "does not name the submitted receipt"));
        }
        Ok(receipt)
    }

    fn without_receipt(&self, step: &mut WriteTransaction<'_>) -> Result<ProposalState, StoreTxError> {
        // Without a receipt, only the lease holder may report that nothing was written.
        self.check_lease(step)?;
        if self.report.result.is_terminal() || self.report.result == AttemptResult::InDoubt {
            return Err(malformed("receipt", "is missing for a result that ends the proposal").into());
        }
        let state = transition(
            self.row.state,
            self.row.started,
            ProposalTransition::ReturnToApproved,
        )?;
        self.append_report(step, EventKind::WritebackReleased)?;
        leases::release(step.conn(), &self.row.id)?;
        Ok(state)
    }

    fn append_report(&self, step: &mut WriteTransaction<'_>, kind: EventKind) -> Result<(), StoreTxError> {
        let body = self
            .settlement
            .attempt
            .to_bytes()
            .map_err(|e| malformed("attempt", &e.to_string()))?;
        self.append(step, kind, &body)
    }

    fn append_settlement(
        &self,
        step: &mut WriteTransaction<'_>,
        signed: &DsseEnvelope,
        kind: EventKind,
    ) -> Result<(), StoreTxError> {
        let body = AttemptFinishedBody {
            attempt: self.settlement.attempt.clone(),
            receipt: signed.clone(),
        };
        let body = canonical::encode_within(&body, 2 * ENVELOPE_BYTES_MAX)
            .map_err(|e| malformed("receipt", &e.to_string()))?;
        self.append(step, kind, &body)
    }

    fn record_receipt_mismatch(
        &self,
        step: &mut WriteTransaction<'_>,
        known: Option<Digest>,
        presented: Digest,
        refusal: &PublicError,
    ) -> Result<(), StoreTxError> {
        tracing::error!(proposal = %self.row.id, code = %refusal.code, "receipt contradicts the ledger");
        let reason = refusal.to_string();
        let body = ReceiptAlarmBody {
            known_digest: known,
            presented_digest: presented,
            reason,
        };
        let body = canonical::encode(&body)
            .map_err(|e| StoreError::Failed(format!("event has no canonical form: {e}")))?;
        self.append(step, EventKind::ReceiptAlarm, &body)
    }

    fn append(
        &self,
        step: &mut WriteTransaction<'_>,
        kind: EventKind,
        body: &[u8],
    ) -> Result<(), StoreTxError> {
        step.append(&NewEvent {
            kind,
            at: self.now,
            actor: &self.caller.identity,
            proposal_id: Some(&self.row.id),
            body,
            read: ParsedBody::No,
            trace_id: self.caller.trace_id.as_deref(),
        })?;
        Ok(())
    }
}

fn open_report(settlement: &FinishedAttempt, trust: &Trust) -> Result<AttemptReport, PublicError> {
    let report: AttemptReport = open_of_writer(&settlement.attempt, ObjectKind::Attempt, "attempt", trust)?;
    if report.v != 1 || report.proposal_id != settlement.id {
        return Err(malformed("attempt", "names another proposal"));
    }
    Ok(report)
}

fn open_of_writer<T: serde::de::DeserializeOwned>(
    envelope: &DsseEnvelope,
    kind: ObjectKind,
    what: &'static str,
    trust: &Trust,
) -> Result<T, PublicError> {
    let (object, key) = open_under(envelope, kind, what, trust)?;
    check_in_use(envelope, key, what)?;
    Ok(object)
}

/// Verifies and decodes an object signed by a writer key of the trust file, retired or not.
fn open_under<'t, T: serde::de::DeserializeOwned>(
    envelope: &DsseEnvelope,
    kind: ObjectKind,
    what: &'static str,
    trust: &'t Trust,
) -> Result<(T, &'t ServiceKey), PublicError> {
    let signer = envelope.signer().map_err(|e| integrity(what, &e.to_string()))?;
    let key = trust.file.writer(signer).ok_or_else(|| {
        integrity(
            what,
            &format!("unknown writer key {signer}: not in the ledger's trust file"),
        )
    })?;
    let object = envelope
        .verify_and_decode(kind, &key.public_key)
        .map_err(|e| integrity(what, &e.to_string()))?;
    Ok((object, key))
}

/// Refuses a retired key: objects signed before the retirement are in the log, and nothing proves that for this
/// one.
fn check_in_use(envelope: &DsseEnvelope, key: &ServiceKey, what: &str) -> Result<(), PublicError> {
    key.for_object_at(&Position::Unproven).map_err(|retired| {
        let (code, fix) = if envelope.payload_type == ObjectKind::Receipt.payload_type() {
            (
                ErrorCode::RefusedReceiptUnproven,
                "; check the row, then run `synapsor-runner receipts adopt PROPOSAL`",
            )
        } else {
            (ErrorCode::RefusedReceiptIntegrity, "")
        };
        PublicError::new(code, format!("{what}: signed by {}: {retired}{fix}", key.key_id))
    })?;
    Ok(())
}

fn row_changed() -> PublicError {
    PublicError::new(
        ErrorCode::RefusedRowChangedInCommit,
        "the COMMIT of this receipt left a different version of the row than the one checked; check the row, then \
         run `synapsor-runner receipts adopt PROPOSAL`",
    )
}

fn integrity(what: &str, problem: &str) -> PublicError {
    PublicError::new(ErrorCode::RefusedReceiptIntegrity, format!("{what}: {problem}"))
}

fn malformed(field: &str, problem: &str) -> PublicError {
    PublicError::new(ErrorCode::Malformed, format!("{field}: {problem}"))
}
