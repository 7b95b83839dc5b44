//! How a transaction of the core ends.

use synapsor_domain::error::PublicError;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::value::ColumnValue;
use synapsor_domain::writeback::Receipt;
use synapsor_source::{EngineError, EngineErrorKind, SwitchRow};

use crate::known_receipts::LostReceipts;
use crate::permit::FailedReason;
use crate::receipt::Unusable;
use crate::violation::{LookError, Violation, ViolationKind};

const RECEIPT_TABLE_UNUSABLE: &str = "the receipt table cannot be used as the migration made it; \
     `writeback doctor --check-db` names the difference";

/// How one transaction ended.
#[derive(Debug)]
pub enum ApplyResult {
    /// A receipt is committed. `is_new` when this transaction wrote it.
    Receipt {
        receipt: Receipt,
        envelope: DsseEnvelope,
        is_new: bool,
    },
    /// Nothing was written; a new transaction may succeed.
    Retryable(EngineError),
    /// Nothing was written; by the next tick of the database's clock the version can advance.
    VersionNotAdvanced,
    /// Nothing was written; what the authorization rested on has changed.
    Stale,
    /// Nothing was written, and trying again will not help.
    Refused(RefusedBy),
    /// COMMIT was sent and did not answer.
    InDoubt,
    /// COMMIT took effect, and left another version of the row than the one that was checked.
    RowChanged {
        receipt: Receipt,
        envelope: DsseEnvelope,
        violation: Violation,
    },
}

/// Which precondition of a write did not hold.
#[derive(Debug)]
pub enum RefusedBy {
    /// The database is another one than the proposal was read from.
    Source,
    /// The clocks of writer and database are too far apart, or the writer's own files refuse.
    Own(PublicError),
    /// The stored receipt does not count.
    Receipt(Unusable),
    /// The source lacks receipts that were committed there.
    EffectLost(Box<LostReceipts>),
    /// A precondition of the write does not hold in the transaction.
    Violation(Violation),
    /// The database refused a statement.
    Database(EngineError),
    /// The database holds a freeze that no lift ended.
    Frozen(FrozenBy),
}

/// What in the receipt table stops the write.
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
                "the receipt table holds a row whose key begins with `freeze_` and which is no freeze of this \
                 deployment, so that no lift can end it; look at who wrote it, then its owner deletes it"
            }
        }
    }
}

impl RefusedBy {
    /// The refusal as it is reported: code, place and fix.
    pub fn refusal(&self) -> PublicError {
        match self {
            Self::Source => PublicError::new(
                "refused:source",
                "the database is not the one that the proposal was read from",
            ),
            Self::Frozen(by) => PublicError::new("refused:frozen", by.as_str()),
            Self::Own(refusal) => refusal.clone(),
            Self::Receipt(unusable) => unusable.refusal().clone(),
            Self::EffectLost(lost) => lost.refusal(),
            Self::Violation(violation) => violation.refusal(),
            Self::Database(error) if error.kind == EngineErrorKind::Denied => PublicError::new(
                "refused:table_not_writable",
                "the writer cannot write this table with its account; `writeback doctor --check-db` names what is missing",
            ),
            Self::Database(error) if error.kind == EngineErrorKind::Constraint => PublicError::new(
                "refused:constraint",
                "a check, a key or another constraint of the table refuses the new values; reject the proposal and \
                 propose values that the table takes",
            ),
            Self::Database(error) => PublicError::new(
                "refused:database",
                format!("the database refused: {}", error.reason()),
            ),
        }
    }
}

impl ApplyResult {
    pub(crate) fn of_look(error: LookError) -> Self {
        match error {
            LookError::Engine(error) => Self::of_engine(error),
            LookError::Violation(violation) => {
                tracing::error!(code = violation.kind.code(), "{}", violation.detail);
                Self::Refused(RefusedBy::Violation(violation))
            }
        }
    }

    /// A statement on the receipt table failed. A table that cannot be read or written as the migration made it, by a
    /// connection that may do so, is not the migration's.
    pub(crate) fn of_receipts(error: EngineError) -> Self {
        match error.kind {
            EngineErrorKind::NotFound
            | EngineErrorKind::Unreadable
            | EngineErrorKind::Damaged
            | EngineErrorKind::Constraint
            | EngineErrorKind::Other => {
                tracing::warn!(reason = error.reason(), detail = %error.detail, "database error at the receipt table");
                Self::of_look(LookError::violation(
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
        if error.is_retryable() {
            Self::Retryable(error)
        } else {
            Self::Refused(RefusedBy::Database(error))
        }
    }
}

/// What a dry run came to: a result in the words of receipts, and the row as it would be.
#[derive(Debug)]
pub struct DryRunResult {
    /// `would_apply`, or what would have happened instead.
    pub result: String,
    /// The row as it would be after the change.
    pub after: Option<Vec<ColumnValue>>,
    /// The precondition that did not hold, when that is the result.
    pub refused: Option<RefusedBy>,
}

impl DryRunResult {
    pub(crate) fn would_apply(after: Vec<ColumnValue>) -> Self {
        Self {
            result: "would_apply".to_owned(),
            after: Some(after),
            refused: None,
        }
    }

    pub(crate) const fn without_row(result: String) -> Self {
        Self {
            result,
            after: None,
            refused: None,
        }
    }

    pub(crate) fn ended(ended: ApplyResult) -> Self {
        let result = ended.as_dry_run();
        let refused = match ended {
            ApplyResult::Refused(by) => Some(by),
            _ => None,
        };
        Self {
            refused,
            ..Self::without_row(result)
        }
    }
}

impl ApplyResult {
    pub(crate) fn as_dry_run(&self) -> String {
        match self {
            Self::Receipt { receipt, .. } => format!("already:{}", receipt.outcome),
            Self::Retryable(error) => format!("retryable:{}", error.reason()),
            Self::VersionNotAdvanced => format!("retryable:{}", FailedReason::VersionNotAdvanced.as_str()),
            Self::Stale => "retryable:outdated".to_owned(),
            Self::Refused(refused) => refused.refusal().code.to_string(),
            Self::InDoubt => "in_doubt".to_owned(),
            Self::RowChanged { violation, .. } => violation.refusal().code.to_string(),
        }
    }
}
