//! Signs attempt reports and retries delivery to the ledger.

use std::time::{Duration, Instant};

use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{AttemptReport, AttemptResult, Receipt, ReceiptOutcome};

use crate::writer::Writer;
use crate::writer::ledger::client::{Lease, LeasedJob};
use crate::writer::retry::{BackoffClass, pause};
use synapsor_writeback::crash_point::{CrashPoint, hit};

/// Maximum time for which the end of an attempt is reported; then it is left to the reconciler.
const REPORT_RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// End of an attempt.
pub(crate) struct AttemptEnd {
    pub(crate) result: AttemptResult,
    pub(crate) message: String,
    pub(crate) receipt: Option<DsseEnvelope>,
}

/// Creates the report for a receipt that is committed.
pub(crate) fn settled(receipt: &Receipt, envelope: DsseEnvelope, fresh: bool) -> AttemptEnd {
    let result = match (receipt.outcome, fresh) {
        (ReceiptOutcome::Applied, false) => AttemptResult::AlreadyApplied,
        _ => AttemptResult::of_receipt(receipt),
    };
    let message = match receipt.outcome {
        ReceiptOutcome::Applied => "1 row changed, receipt committed with it".to_owned(),
        ReceiptOutcome::Conflict => {
            "the row is no longer the one that was reviewed; nothing was written".to_owned()
        }
        ReceiptOutcome::Failed => match &receipt.constraint {
            Some(violated) => format!(
                "the {violated} rejected the change; nothing was written; propose values that it accepts"
            ),
            None if result.code() == Some(ErrorCode::FailedSchemaDrift) => {
                "the table was altered after the proposal was made; nothing was written; submit a new proposal".to_owned()
            }
            None if result.code() == Some(ErrorCode::FailedPostImage) => {
                "the update changed a column that the proposal does not change, and was rolled back; list a column that \
                 the database itself changes in `db_managed` of the capability"
                    .to_owned()
            }
            None if result.code() == Some(ErrorCode::FailedMatchedRows) => {
                "the statement did not change exactly one row, and was rolled back; a trigger of the table can skip or \
                 replace a change"
                    .to_owned()
            }
            None => "the write was rolled back; nothing was written".to_owned(),
        },
        ReceiptOutcome::Rejected
        | ReceiptOutcome::Cancelled
        | ReceiptOutcome::Expired
        | ReceiptOutcome::Abandoned => "closed by a tombstone receipt; it can never be applied".to_owned(),
    };
    AttemptEnd {
        result,
        message,
        receipt: Some(envelope),
    }
}

pub(crate) fn refused(refusal: &PublicError) -> AttemptEnd {
    let result = AttemptResult::of_code(refusal.code);
    tracing::warn!(code = %refusal.code, detail = refusal.detail, "{}", refusal.public);
    AttemptEnd {
        result,
        message: refusal.public.clone(),
        receipt: None,
    }
}

/// Records the end of an attempt in the ledger.
pub(crate) async fn report(writer: &Writer, job: &LeasedJob, number: u32, end: AttemptEnd) {
    let lease = &job.lease;
    let Some(envelope) = sealed(writer, job, number, &end) else {
        return;
    };
    settle(writer, lease, &envelope, end.receipt.as_ref()).await;
    // No later step can fail; the crash points let the proofs stop the process here.
    let _ = hit(CrashPoint::AfterReport).await;
    tracing::info!(proposal = %lease.proposal_id, result = %end.result, "attempt ended");
    let _ = hit(CrashPoint::AttemptEnded).await;
}

/// Reports to the ledger as long as a retry can help: a repeated report changes nothing. The reconciler reports
/// later what is lost here.
async fn settle(writer: &Writer, lease: &Lease, attempt: &DsseEnvelope, receipt: Option<&DsseEnvelope>) {
    let mut token = lease.token.as_slice();
    let until = Instant::now() + REPORT_RETRY_TIMEOUT;
    for round in 0.. {
        let told = match hit(CrashPoint::BeforeReport).await {
            Ok(()) => {
                let id = &lease.proposal_id;
                writer.ledger.settle(id, token, attempt, receipt).await
            }
            Err(_) => Err(PublicError::new(ErrorCode::Unreachable, "injected")),
        };
        let Err(refusal) = told else { return };
        tracing::warn!(proposal = %lease.proposal_id, code = %refusal.code, "{}", refusal.public);
        match refusal.code {
            // The lease was granted again meanwhile; a receipt needs none.
            ErrorCode::LeaseNotHeld if receipt.is_some() && !token.is_empty() => token = &[],
            code if is_transient(code) && Instant::now() < until => {
                tokio::time::sleep(pause(round, BackoffClass::Contention)).await;
            }
            _ => return,
        }
    }
}

/// Returns whether the same call to the ledger can succeed a moment later.
pub(crate) const fn is_transient(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Unreachable
            | ErrorCode::DeadlineExceeded
            | ErrorCode::TooLargeOrBusy
            | ErrorCode::StoreBusy
            | ErrorCode::StoreLocked
            | ErrorCode::StoreFull
            | ErrorCode::StoreFailed
            | ErrorCode::StoreClosed
    )
}

/// Reports to the ledger that the outcome is unknown. Nothing depends on the delivery: the announced attempt has
/// no end on file either way.
pub(crate) async fn report_doubt(writer: &Writer, job: &LeasedJob, number: u32) {
    let message = "no response to COMMIT; resolving the outcome".to_owned();
    let end = AttemptEnd {
        result: AttemptResult::InDoubt,
        message,
        receipt: None,
    };
    let Some(envelope) = sealed(writer, job, number, &end) else {
        return;
    };
    if let Err(refusal) = writer.ledger.report_in_doubt(&job.lease, &envelope).await {
        tracing::warn!(proposal = %job.lease.proposal_id, code = %refusal.code, "{}", refusal.public);
    }
}

fn sealed(writer: &Writer, job: &LeasedJob, number: u32, end: &AttemptEnd) -> Option<DsseEnvelope> {
    let proposal = DsseEnvelope::from_bytes(&job.proposal.body)
        .ok()?
        .digest(ObjectKind::Proposal)
        .ok()?;
    let order = job
        .order
        .as_ref()
        .and_then(|o| DsseEnvelope::from_bytes(&o.body).ok());
    let lease = &job.lease;
    let subject = Subject {
        proposal_id: lease.proposal_id.clone(),
        proposal_digest: proposal,
        order_digest: order.and_then(|o| o.digest(ObjectKind::ApplyOrder).ok()),
        fence: lease.fence,
        attempt: number,
    };
    seal_report(writer, subject, end)
}

/// Subject of an attempt report.
pub(crate) struct Subject {
    pub(crate) proposal_id: synapsor_domain::ids::ProposalId,
    pub(crate) proposal_digest: Digest,
    pub(crate) order_digest: Option<Digest>,
    pub(crate) fence: u64,
    pub(crate) attempt: u32,
}

pub(crate) fn seal_report(writer: &Writer, subject: Subject, end: &AttemptEnd) -> Option<DsseEnvelope> {
    let receipt_digest = end
        .receipt
        .as_ref()
        .and_then(|r| r.digest(ObjectKind::Receipt).ok());
    let report = AttemptReport {
        v: 1,
        proposal_id: subject.proposal_id,
        proposal_digest: subject.proposal_digest,
        order_digest: subject.order_digest,
        writer: writer.name.clone(),
        fence: subject.fence,
        attempt: subject.attempt,
        result: end.result.clone(),
        message: end.message.clone(),
        receipt_digest,
        at: writer.now(),
    };
    DsseEnvelope::sign(ObjectKind::Attempt, &report, &writer.key)
        .inspect_err(|error| tracing::error!(%error, "attempt report not signed"))
        .ok()
}
