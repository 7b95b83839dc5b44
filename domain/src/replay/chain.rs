//! Verifies a bundle from the decisions to the receipt: every signature, and the references to earlier objects.

use synapsor_codes::ErrorCode;

use super::verify::BundleLog;
use super::{BundleError, Entry, EventBody};
use crate::approval::{
    ApplyOrder, Decision, SignerTreeHead, VerificationContext, VerifiedDecision, VerifiedOrder,
    VerifiedReceiptOrder, verify_decision_at, verify_order_at, verify_quorum, verify_receipt_order_at,
};
use crate::context_ticket::verify_withdrawal;
use crate::digest::Digest;
use crate::error::PublicError;
use crate::event::{AttemptFinishedBody, AttemptStartedBody, EventKind, EventRecord};
use crate::proposal::VerifiedProposal;
use crate::shadow::verify_human_action_at;
use crate::signing::{DsseEnvelope, KeyId, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{KeyStanding, TrustFile};
use crate::writeback::{AttemptReport, Receipt, ReceiptOutcome};

/// Chain verification with the findings so far.
pub(super) struct ChainVerifier<'a> {
    /// Trust file as given.
    trust: &'a TrustFile,
    /// Same file without revocations: earlier signatures of a revoked key still verify, and are reported as
    /// findings.
    unrevoked: TrustFile,
    proposal: &'a VerifiedProposal,
    log: &'a BundleLog<'a>,
    decisions: Vec<(u64, DsseEnvelope, VerifiedDecision)>,
    orders: Vec<(u64, Timestamp, DsseEnvelope, VerifiedOrder)>,
    /// Receipt orders among the earlier records.
    receipt_orders: Vec<VerifiedReceiptOrder>,
    receipt: Option<(Digest, Receipt)>,
    findings: Vec<String>,
}

impl<'a> ChainVerifier<'a> {
    pub(super) fn new(trust: &'a TrustFile, proposal: &'a VerifiedProposal, log: &'a BundleLog<'a>) -> Self {
        let mut unrevoked = trust.clone();
        for operator in &mut unrevoked.operators {
            operator.revoked = false;
            if operator.standing() == KeyStanding::Retired(None) {
                operator.retired = false;
            }
        }
        Self {
            trust,
            unrevoked,
            proposal,
            log,
            decisions: Vec::new(),
            orders: Vec::new(),
            receipt_orders: Vec::new(),
            receipt: None,
            findings: Vec::new(),
        }
    }

    /// Checks the entries, oldest first; returns the findings.
    pub(super) fn check(mut self, entries: &[Entry]) -> Result<Vec<String>, BundleError> {
        for entry in entries {
            let event = &entry.event;
            match &entry.body {
                EventBody::Decision(envelope) => self.decision(event, envelope)?,
                EventBody::Order(envelope) => self.order(event, envelope)?,
                EventBody::Withdrawn(ticket) => self.withdrawn(event, ticket)?,
                EventBody::Started(start) => self.start(event.seq, start)?,
                EventBody::Attempt(envelope) => {
                    self.attempt(event.seq, envelope)?;
                }
                EventBody::Settled(settled) => self.settled(event, settled)?,
                EventBody::ReceiptOrder(envelope) => self.receipt_order(event.seq, envelope)?,
                EventBody::HumanAction(envelope) => self.human_action(event.seq, envelope)?,
                EventBody::DecisionRefused(body) => self.findings.push(format!(
                    "event {}: a decision or order was presented and refused with {}",
                    event.seq, body.code
                )),
                EventBody::Alarm(body) => self
                    .findings
                    .push(format!("event {}: receipt alarm: {}", event.seq, body.reason)),
                EventBody::LedgerStarted(_)
                | EventBody::Evidence(_)
                | EventBody::Audit(_)
                | EventBody::Read { .. }
                | EventBody::Proposal(_)
                | EventBody::Repeated(_)
                | EventBody::Switch(_)
                | EventBody::Confirmation(_)
                | EventBody::Finding(_)
                | EventBody::Erasure(_)
                | EventBody::Discontinuity(_)
                | EventBody::Erased
                | EventBody::Expired => {}
            }
        }
        Ok(self.findings)
    }

    fn verification(&self, now: Timestamp) -> VerificationContext<'_> {
        VerificationContext {
            trust: &self.unrevoked,
            now,
            proposal: self.proposal.proposal(),
            proposal_digest: self.proposal.digest(),
        }
    }

    fn decision(&mut self, event: &EventRecord, envelope: &DsseEnvelope) -> Result<(), BundleError> {
        let wrong = |refusal| BundleError::Decision {
            seq: event.seq,
            refusal,
        };
        let position = self.log.position(event.seq);
        let verified = verify_decision_at(envelope, &self.verification(event.at), &position)
            .map_err(|refusal| wrong(refusal.into()))?;
        let is_rejection = matches!(
            event.kind,
            EventKind::ProposalRejected | EventKind::RejectionRecorded
        );
        if verified.is_deny() != is_rejection {
            return Err(wrong(PublicError::new(
                ErrorCode::RefusedMalformed,
                "the event kind does not match the decision",
            )));
        }
        let Decision {
            seen_checkpoint,
            approver,
            ..
        } = verified.decision();
        self.check_seen(event.seq, seen_checkpoint.as_ref())
            .map_err(wrong)?;
        let key = approver.key_id.clone();
        self.note_revoked(event.seq, &key);
        self.decisions.push((event.seq, envelope.clone(), verified));
        Ok(())
    }

    fn order(&mut self, event: &EventRecord, envelope: &DsseEnvelope) -> Result<(), BundleError> {
        let wrong = |refusal| BundleError::Order {
            seq: event.seq,
            refusal,
        };
        let position = self.log.position(event.seq);
        let verified = verify_order_at(envelope, &self.verification(event.at), &position)
            .map_err(|refusal| wrong(refusal.into()))?;
        let ApplyOrder {
            seen_checkpoint,
            approver,
            decision_digests,
            ..
        } = verified.order();
        self.check_seen(event.seq, seen_checkpoint.as_ref())
            .map_err(wrong)?;
        let known = |digest: &Digest| {
            self.decisions
                .iter()
                .any(|(_, _, d)| d.digest() == *digest && !d.is_deny())
        };
        if !decision_digests.iter().all(known) {
            let text = "it cites a decision that is missing from the records";
            return Err(wrong(PublicError::new(ErrorCode::RefusedOrder, text)));
        }
        let key = approver.key_id.clone();
        self.note_revoked(event.seq, &key);
        self.orders
            .push((event.seq, event.at, envelope.clone(), verified));
        Ok(())
    }

    fn human_action(&mut self, seq: u64, envelope: &DsseEnvelope) -> Result<(), BundleError> {
        let subject = (self.proposal.proposal(), self.proposal.digest());
        let position = self.log.position(seq);
        let verified = verify_human_action_at(envelope, &self.unrevoked, &position, subject)
            .map_err(|refusal| BundleError::HumanAction { seq, refusal })?;
        let key = verified.action().operator.key_id.clone();
        self.note_revoked(seq, &key);
        Ok(())
    }

    fn withdrawn(&self, event: &EventRecord, ticket: &DsseEnvelope) -> Result<(), BundleError> {
        let position = self.log.position(event.seq);
        verify_withdrawal(ticket, event, self.proposal.proposal(), self.trust, &position).map_err(|refusal| {
            BundleError::Withdrawal {
                seq: event.seq,
                problem: format!("its ticket: {}", refusal.detail.unwrap_or(refusal.public)),
            }
        })
    }

    fn start(&self, seq: u64, start: &AttemptStartedBody) -> Result<(), BundleError> {
        self.check_subject(
            start.proposal_id.as_str(),
            start.proposal_digest,
            start.order_digest,
        )
        .map_err(|problem| BundleError::Attempt { seq, problem })
    }

    fn attempt(&self, seq: u64, envelope: &DsseEnvelope) -> Result<AttemptReport, BundleError> {
        let wrong = |problem| BundleError::Attempt { seq, problem };
        let report: AttemptReport = self.open(seq, envelope, ObjectKind::Attempt).map_err(wrong)?;
        if report.v != 1 {
            return Err(wrong("v must be 1".to_owned()));
        }
        self.check_subject(
            report.proposal_id.as_str(),
            report.proposal_digest,
            report.order_digest,
        )
        .map_err(wrong)?;
        Ok(report)
    }

    fn receipt_order(&mut self, seq: u64, envelope: &DsseEnvelope) -> Result<(), BundleError> {
        let verified = verify_receipt_order_at(envelope, &self.unrevoked, &self.log.position(seq))
            .map_err(|refusal| BundleError::Order { seq, refusal })?;
        self.findings.push(format!(
            "event {seq}: {} signed an order about the receipt",
            verified.person()
        ));
        self.receipt_orders.push(verified);
        Ok(())
    }

    fn settled(&mut self, event: &EventRecord, settled: &AttemptFinishedBody) -> Result<(), BundleError> {
        let wrong = |problem: String| BundleError::Receipt {
            seq: event.seq,
            problem,
        };
        let report = self.attempt(event.seq, &settled.attempt)?;
        let digest = Digest::of(ObjectKind::Receipt, &settled.receipt.payload);
        let receipt: Receipt = if self.is_adopted(digest) {
            self.open_past(&settled.receipt, ObjectKind::Receipt)
        } else {
            self.open(event.seq, &settled.receipt, ObjectKind::Receipt)
        }
        .map_err(wrong)?;
        if receipt.v != 1 || kind_of(receipt.outcome) != event.kind {
            return Err(wrong("its outcome or version differs from the event".to_owned()));
        }
        self.check_subject(
            receipt.proposal_id.as_str(),
            receipt.proposal_digest,
            receipt.order_digest,
        )
        .map_err(wrong)?;
        if report.receipt_digest.is_some_and(|named| named != digest) || !report.result.is_terminal() {
            return Err(wrong(
                "the attempt report in the same event names another receipt".to_owned(),
            ));
        }
        self.check_position(event.seq, receipt.ledger_size, &receipt.ledger_root)
            .map_err(wrong)?;
        if self.receipt.as_ref().is_some_and(|(before, _)| *before != digest) {
            return Err(wrong("a second, different receipt".to_owned()));
        }
        self.check_authority(event.seq, &receipt)?;
        self.receipt = Some((digest, receipt));
        Ok(())
    }

    /// A receipt of an effect, or of an attempt at one, requires an order and the decisions that the order
    /// names.
    fn check_authority(&self, seq: u64, receipt: &Receipt) -> Result<(), BundleError> {
        let Some(named) = receipt.order_digest else {
            if receipt.outcome == ReceiptOutcome::Applied {
                return Err(BundleError::Receipt {
                    seq,
                    problem: "applied without an apply order".to_owned(),
                });
            }
            return Ok(());
        };
        let wrong = |refusal| BundleError::Order { seq, refusal };
        let mut last = PublicError::new(
            ErrorCode::RefusedOrder,
            "the apply order of the receipt is missing from the records",
        );
        // The same order may have been submitted again; it must have been valid at least once.
        for (seq, at, envelope, order) in self.orders.iter().filter(|(.., o)| o.digest() == named) {
            match self.approved_by((*seq, *at), envelope, order) {
                Ok(()) => return Ok(()),
                Err(refusal) => last = refusal,
            }
        }
        Err(wrong(last))
    }

    fn approved_by(
        &self,
        (seq, at): (u64, Timestamp),
        envelope: &DsseEnvelope,
        order: &VerifiedOrder,
    ) -> Result<(), PublicError> {
        let verification = self.verification(at);
        let counted = |d: &VerifiedDecision| order.order().decision_digests.contains(&d.digest());
        let named = self.decisions.iter().filter(|(.., d)| d.is_deny() || counted(d));
        let decisions = named
            .map(|(seq, e, _)| verify_decision_at(e, &verification, &self.log.position(*seq)))
            .collect::<Result<Vec<_>, _>>()?;
        let order = verify_order_at(envelope, &verification, &self.log.position(seq))?;
        verify_quorum(
            &verification,
            self.proposal.proposal().approval.quorum,
            &decisions,
            order,
        )?;
        Ok(())
    }

    /// Returns whether an operator adopted the receipt although its key is retired.
    fn is_adopted(&self, digest: Digest) -> bool {
        let proposal = self.proposal.proposal();
        let mut orders = self.receipt_orders.iter();
        orders.any(|order| order.adopts(&proposal.source.id, &proposal.id, digest))
    }

    fn open_past<T: serde::de::DeserializeOwned>(
        &self,
        envelope: &DsseEnvelope,
        kind: ObjectKind,
    ) -> Result<T, String> {
        let signer = envelope.signer().map_err(|e| e.to_string())?;
        let key = self
            .trust
            .writer(signer)
            .ok_or("not signed by a writer of the trust file")?;
        envelope
            .verify_and_decode(kind, &key.public_key)
            .map_err(|e| e.to_string())
    }

    fn open<T: serde::de::DeserializeOwned>(
        &self,
        seq: u64,
        envelope: &DsseEnvelope,
        kind: ObjectKind,
    ) -> Result<T, String> {
        let signer = envelope.signer().map_err(|e| e.to_string())?;
        let key = self
            .trust
            .writer(signer)
            .ok_or("not signed by a writer of the trust file")?;
        let standing = key.standing();
        standing
            .check_past(&self.log.position(seq))
            .map_err(|retired| format!("signed by {signer}: {retired}"))?;
        envelope
            .verify_and_decode(kind, &key.public_key)
            .map_err(|e| e.to_string())
    }

    fn check_subject(&self, id: &str, digest: Digest, order: Option<Digest>) -> Result<(), String> {
        if id != self.proposal.proposal().id.as_str() || digest != self.proposal.digest() {
            return Err("it is about another proposal".to_owned());
        }
        match order {
            Some(order) if !self.orders.iter().any(|(.., o)| o.digest() == order) => {
                Err("it names an apply order that is missing from the earlier records".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_seen(&self, seq: u64, seen: Option<&SignerTreeHead>) -> Result<(), PublicError> {
        let Some(seen) = seen else { return Ok(()) };
        let wrong = |text: String| PublicError::new(ErrorCode::RefusedLedgerProof, text);
        if seen.origin != self.log.checkpoint.origin {
            return Err(wrong("the signer pinned another log".to_owned()));
        }
        self.check_position(seq, seen.size, &seen.root).map_err(wrong)
    }

    /// A tree head that a signer names must precede the record that carries the signature.
    fn check_position(&self, seq: u64, size: u64, root: &str) -> Result<(), String> {
        let checkpoint = &self.log.checkpoint;
        if size > seq || (size == checkpoint.size && root != hex::encode(checkpoint.root)) {
            return Err("the signer pinned another history of the log".to_owned());
        }
        Ok(())
    }

    fn note_revoked(&mut self, seq: u64, key: &KeyId) {
        if self.trust.operator(key).is_some_and(|o| o.revoked) {
            self.findings
                .push(format!("event {seq}: signed by {key}, which is revoked now"));
        }
    }
}

/// Returns the event kind of a receipt with this outcome.
const fn kind_of(outcome: ReceiptOutcome) -> EventKind {
    match outcome {
        ReceiptOutcome::Applied => EventKind::WritebackApplied,
        ReceiptOutcome::Conflict => EventKind::WritebackConflict,
        ReceiptOutcome::Failed => EventKind::WritebackFailed,
        ReceiptOutcome::Rejected
        | ReceiptOutcome::Cancelled
        | ReceiptOutcome::Expired
        | ReceiptOutcome::Abandoned => EventKind::WritebackCanceled,
    }
}
