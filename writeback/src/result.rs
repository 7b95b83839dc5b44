//! Results of a transaction of the core.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::value::ColumnValue;
use synapsor_domain::writeback::{DryRunVerdict, Receipt};
use synapsor_source::db_error_message::raised_in_words;
use synapsor_source::{EngineError, EngineErrorKind, ErrorCause, SwitchRow};

use crate::known_receipts::LostReceipts;
use crate::permit::FailedReason;
use crate::receipt::Unusable;
use crate::violation::{CheckError, Violation, ViolationKind};

const RECEIPT_TABLE_UNUSABLE: &str = "the receipt table does not have the form of the migration; \
     `writeback doctor --check-db` names the difference";

/// Result of one transaction.
#[derive(Debug)]
pub enum ApplyResult {
    /// A receipt is committed. `is_new` if this transaction wrote it; `unexpected_column` if the attempt was rolled
    /// back because its UPDATE changed that column too.
    Receipt {
        receipt: Receipt,
        envelope: DsseEnvelope,
        is_new: bool,
        unexpected_column: Option<String>,
    },
    /// Nothing was written; a new transaction may succeed. The code is that of the attempt, if none does.
    Retryable(ErrorCode, EngineError),
    /// Nothing was written; the version can advance at the next tick of the database's clock.
    VersionNotAdvanced,
    /// Nothing was written; the basis of the authorization has changed.
    Stale,
    /// Nothing was written, and a retry will not help.
    Refused(RefusedBy),
    /// COMMIT was sent and did not answer.
    InDoubt,
    /// COMMIT took effect, and left another version of the row than the checked one.
    RowChanged {
        receipt: Receipt,
        envelope: DsseEnvelope,
        violation: Violation,
    },
}

/// The precondition of a write that did not hold.
#[derive(Debug)]
pub enum RefusedBy {
    /// The database is not the one that the proposal was read from.
    Source,
    /// The clocks of writer and database are too far apart, or the writer's own files reject the write.
    Own(PublicError),
    /// The stored receipt is invalid.
    Receipt(Unusable),
    /// The source lacks receipts that were committed there.
    EffectLost(Box<LostReceipts>),
    /// A precondition of the write does not hold in the transaction.
    Violation(Violation),
    /// The database rejected a statement.
    Database(EngineError),
    /// The database holds a freeze that no lift ended.
    Frozen(FrozenBy),
}

/// The row of the receipt table that stops the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrozenBy {
    /// A freeze that an operator signed.
    Freeze,
    /// A row with the key of a freeze that no lift can name.
    UnknownRow,
}

impl FrozenBy {
    pub(crate) fn of(found: &[SwitchRow]) -> Self {
        if found.contains(&SwitchRow::Unverified(None)) {
            Self::UnknownRow
        } else {
            Self::Freeze
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Freeze => "the database holds a freeze; resume with `synapsor-runner writeback unfreeze`",
            Self::UnknownRow => {
                "the receipt table holds a row whose key begins with `freeze_` but which is not a freeze of this \
                 deployment, so no lift can end it; find out who wrote it, then its owner deletes it"
            }
        }
    }
}

impl RefusedBy {
    /// Returns the reported error: code, target and fix.
    pub fn refusal(&self) -> PublicError {
        match self {
            Self::Source => PublicError::new(
                ErrorCode::RefusedSource,
                "the database is not the one that the proposal was read from",
            ),
            Self::Frozen(by) => PublicError::new(ErrorCode::RefusedFrozen, by.as_str()),
            Self::Own(refusal) => refusal.clone(),
            Self::Receipt(unusable) => unusable.refusal().clone(),
            Self::EffectLost(lost) => lost.refusal(),
            Self::Violation(violation) => violation.refusal(),
            Self::Database(error) if matches!(error.cause, ErrorCause::FileDenied(..)) => PublicError::new(
                ErrorCode::RefusedTableNotWritable,
                "the database file or its directory is not writable for the writer's user",
            ),
            Self::Database(error) if error.kind == EngineErrorKind::Denied => PublicError::new(
                ErrorCode::RefusedTableNotWritable,
                "the writer's account lacks rights on this table; `writeback doctor --check-db` lists them",
            ),
            Self::Database(error) if error.kind == EngineErrorKind::Constraint => {
                PublicError::new(ErrorCode::RefusedConstraint, row_rejected(error))
            }
            Self::Database(error) => PublicError::new(
                ErrorCode::RefusedDatabase,
                format!("the database rejected the statement: {}", error.reason()),
            ),
        }
    }
}

/// Names the constraint or the code that rejected a row, with the fix.
fn row_rejected(error: &EngineError) -> String {
    const OTHER_VALUES: &str = "reject the proposal and propose values that are accepted";
    match &error.cause {
        ErrorCause::RaisedByCode(name) => format!(
            "{} rejected the row; {OTHER_VALUES}, or correct that code and apply again",
            raised_in_words(name.as_deref())
        ),
        // A constraint that the statement itself violated ends the proposal instead.
        ErrorCause::ConstraintViolated(violation) => format!(
            "the {violation} rejects the new values, or values that a trigger, rule, policy or function of the table makes of \
             them; {OTHER_VALUES}, or correct that code and apply again"
        ),
        _ => format!("a check, key or other constraint of the table rejects the new values; {OTHER_VALUES}"),
    }
}

impl ApplyResult {
    pub(crate) fn of_check(error: CheckError) -> Self {
        match error {
            CheckError::Engine(error) => Self::of_engine(error),
            CheckError::Violation(violation) => {
                tracing::error!(code = %violation.kind.code(), "{}", violation.detail);
                Self::Refused(RefusedBy::Violation(violation))
            }
        }
    }

    /// Maps a failed statement on the receipt table. A table that cannot be read or written like the
    /// migration's, by a connection with the rights to do so, is not the migration's table.
    pub(crate) fn of_receipts(error: EngineError) -> Self {
        match error.kind {
            EngineErrorKind::NotFound
            | EngineErrorKind::Unreadable
            | EngineErrorKind::Damaged
            | EngineErrorKind::Constraint
            | EngineErrorKind::Other => {
                tracing::warn!(reason = error.reason(), detail = %error.detail, "database error at the receipt table");
                Self::of_check(CheckError::violation(
                    ViolationKind::ReceiptTable,
                    RECEIPT_TABLE_UNUSABLE,
                ))
            }
            EngineErrorKind::Busy
            | EngineErrorKind::Unavailable
            | EngineErrorKind::Denied
            | EngineErrorKind::TooLarge
            | EngineErrorKind::Timeout => Self::of_engine(error),
        }
    }

    pub(crate) fn of_engine(error: EngineError) -> Self {
        tracing::warn!(reason = error.reason(), detail = %error.detail, "database error during a writeback");
        match error.retryable_code() {
            Some(code) => Self::Retryable(code, error),
            None => Self::Refused(RefusedBy::Database(error)),
        }
    }
}

/// Result of a dry run: a result name as in receipts, and the row as it would be.
#[derive(Debug)]
pub struct DryRunResult {
    pub verdict: DryRunVerdict,
    /// The row as it would be after the change.
    pub after: Option<Vec<ColumnValue>>,
    /// The precondition that did not hold, if that is the result.
    pub refused: Option<RefusedBy>,
    /// Why the write would fail, if that is the result.
    pub failed: Option<FailedReason>,
    /// Why the database cannot be used now, if that is the result.
    pub unusable: Option<EngineError>,
}

impl DryRunResult {
    pub(crate) fn would_apply(after: Vec<ColumnValue>) -> Self {
        Self {
            verdict: DryRunVerdict::WouldApply,
            after: Some(after),
            refused: None,
            failed: None,
            unusable: None,
        }
    }

    pub(crate) const fn without_row(verdict: DryRunVerdict) -> Self {
        Self {
            verdict,
            after: None,
            refused: None,
            failed: None,
            unusable: None,
        }
    }

    pub(crate) fn would_fail(reason: &FailedReason) -> Self {
        Self {
            failed: Some(reason.clone()),
            ..Self::without_row(DryRunVerdict::WouldNotApply(reason.code()))
        }
    }

    pub(crate) fn ended(ended: ApplyResult) -> Self {
        let verdict = ended.as_dry_run();
        let (refused, unusable) = match ended {
            ApplyResult::Refused(by) => (Some(by), None),
            ApplyResult::Retryable(_, error) => (None, Some(error)),
            _ => (None, None),
        };
        Self {
            refused,
            unusable,
            ..Self::without_row(verdict)
        }
    }
}

impl ApplyResult {
    /// Adds the column that the rolled-back UPDATE changed too.
    pub(crate) fn with_unexpected_column(mut self, column: Option<String>) -> Self {
        if let Self::Receipt {
            unexpected_column, ..
        } = &mut self
        {
            *unexpected_column = column;
        }
        self
    }

    pub(crate) fn as_dry_run(&self) -> DryRunVerdict {
        let code = match self {
            Self::Receipt { receipt, .. } => return DryRunVerdict::AlreadyFinal(receipt.outcome),
            Self::InDoubt => return DryRunVerdict::InDoubt,
            Self::Retryable(code, _) => *code,
            Self::VersionNotAdvanced => ErrorCode::RetryableVersionNotAdvanced,
            Self::Stale => ErrorCode::RetryableOutdated,
            Self::Refused(refused) => refused.refusal().code,
            Self::RowChanged { violation, .. } => violation.refusal().code,
        };
        DryRunVerdict::WouldNotApply(code)
    }
}
