//! Results of the steps of an attempt, and their conversion from what the write core and the source return.

use synapsor_chassis::refusal_cause::{self, RefusalCause};
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::writeback::Receipt;
use synapsor_source::error::source_refusal;
use synapsor_source::{EngineError, EngineErrorKind};
use synapsor_writeback::{ApplyResult, LostReceipts, RefusedBy, UnprovenReceipt, Unusable};

use crate::writer::Writer;
use crate::writer::ledger::report::{AttemptEnd, refused, settled};
use crate::writer::receipts::changed_rows::row_changed;
use crate::writer::receipts::orders::digest_of;
use crate::writer::retry::BackoffClass;

/// Result of one attempt step.
pub(super) enum AttemptStep {
    Report(AttemptEnd),
    /// Nothing was written, and a later transaction may succeed. The code is that of the attempt, if none does.
    Retry(ErrorCode, BackoffClass),
    /// The facts of the authorization changed in between: authorize again with fresh ones.
    Outdated,
    Doubt,
    /// A receipt was found that is genuine except that its key is retired.
    Unproven(Box<UnprovenReceipt>),
    /// A receipt is committed whose COMMIT left another row; the error reports it.
    RowChanged(Box<ChangedRow>),
    /// The source lost receipts; nothing was written.
    EffectLost(Box<LostReceipts>),
}

/// Committed receipt that does not count before an operator adopts it.
pub(super) struct ChangedRow {
    pub(super) receipt: Receipt,
    pub(super) envelope: DsseEnvelope,
    pub(super) refusal: PublicError,
    /// Found by this attempt's own COMMIT, and not reported yet.
    pub(super) is_new: bool,
}

/// A committed receipt that was found is the result, unless its COMMIT is known to have left another row.
pub(super) fn found_step(writer: &Writer, receipt: Receipt, envelope: DsseEnvelope) -> AttemptStep {
    if writer
        .changed_rows
        .has(&receipt.proposal_id, digest_of(&envelope))
    {
        return AttemptStep::RowChanged(Box::new(ChangedRow {
            refusal: row_changed(),
            receipt,
            envelope,
            is_new: false,
        }));
    }
    AttemptStep::Report(settled(&receipt, envelope, false))
}

pub(super) fn unusable_step(unusable: Unusable) -> AttemptStep {
    match unusable {
        Unusable::Unproven(unproven) => AttemptStep::Unproven(unproven),
        Unusable::NotGenuine(refusal) | Unusable::OtherDatabase(refusal) => {
            AttemptStep::Report(refused(&refusal))
        }
    }
}

pub(super) fn step_of(writer: &Writer, result: ApplyResult) -> AttemptStep {
    match result {
        ApplyResult::Receipt {
            receipt,
            envelope,
            is_new: true,
            unexpected_column,
        } => {
            if let Some(column) = unexpected_column {
                record_unexpected_column(&column);
            }
            AttemptStep::Report(settled(&receipt, envelope, true))
        }
        ApplyResult::Receipt {
            receipt, envelope, ..
        } => found_step(writer, receipt, envelope),
        ApplyResult::RowChanged {
            receipt, envelope, ..
        } => AttemptStep::RowChanged(Box::new(ChangedRow {
            refusal: row_changed(),
            receipt,
            envelope,
            is_new: true,
        })),
        ApplyResult::Refused(RefusedBy::Receipt(unusable)) => unusable_step(unusable),
        ApplyResult::Refused(RefusedBy::EffectLost(lost)) => AttemptStep::EffectLost(lost),
        ApplyResult::Retryable(code, error) => {
            log_unusable(&error);
            AttemptStep::Retry(code, BackoffClass::of(&error))
        }
        ApplyResult::VersionNotAdvanced => {
            AttemptStep::Retry(ErrorCode::RetryableVersionNotAdvanced, BackoffClass::Tick)
        }
        ApplyResult::Stale => AttemptStep::Outdated,
        ApplyResult::Refused(by) => {
            if let RefusedBy::Database(error) = &by {
                log_unusable(error);
            }
            AttemptStep::Report(refused(&by.refusal()))
        }
        ApplyResult::InDoubt => AttemptStep::Doubt,
    }
}

/// Keeps the column for the operator; the signed report has only the code.
fn record_unexpected_column(column: &str) {
    refusal_cause::record(RefusalCause {
        code: ErrorCode::FailedPostImage,
        correlation_id: None,
        text: Some(format!("the update changed the column `{column}` too")),
        fix: Some(format!(
            "if the database itself changes it, add \"{column}\" to the list `db_managed` of the capability"
        )),
    });
}

/// Error for a database that does not report its identity.
pub(super) fn unidentified(error: &EngineError) -> AttemptStep {
    if error.kind != EngineErrorKind::Unreadable {
        return unusable(error);
    }
    tracing::warn!(detail = %error.detail, "database identity not available");
    AttemptStep::Report(refused(&PublicError::new(
        ErrorCode::RefusedSource,
        "database identity not available; run `writeback doctor --check-db` for the cause",
    )))
}

/// Logs the cause for the operator; the signed report has only its class.
pub(super) fn log_unusable(error: &EngineError) {
    let PublicError {
        code,
        detail,
        operator_fix,
        ..
    } = source_refusal(error);
    tracing::warn!(%code, detail, fix = operator_fix, "database not usable");
    refusal_cause::record(RefusalCause {
        code,
        correlation_id: None,
        text: detail,
        fix: operator_fix,
    });
}

pub(super) fn unusable(error: &EngineError) -> AttemptStep {
    log_unusable(error);
    match error.retryable_code() {
        Some(code) => AttemptStep::Retry(code, BackoffClass::of(error)),
        None => AttemptStep::Report(refused(&RefusedBy::Database(error.clone()).refusal())),
    }
}
