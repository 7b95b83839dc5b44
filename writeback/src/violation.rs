//! What a transaction found that the protocol does not permit: a precondition of the write that does not hold.

use synapsor_domain::error::PublicError;
use synapsor_source::{EngineError, EngineErrorKind};

/// A precondition that does not hold. The transaction is rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub kind: ViolationKind,
    /// What was found and what fixes it; names objects of the database, no values.
    pub detail: String,
}

/// The kinds of violations, each with a code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViolationKind {
    /// The receipt table is not exactly the migration's.
    ReceiptTable,
    /// The target's definition changed while the transaction ran.
    TargetChanged,
    /// Code that is neither of the closed form nor acknowledged would run.
    ForeignCode,
    /// A setting of the transaction was changed by code that ran in it.
    SettingChanged,
    /// A cursor is open whose query would run inside COMMIT.
    OpenCursor,
    /// The transaction holds a writing lock on a table that is not part of the change.
    LockElsewhere,
    /// A deferrable trigger could run inside COMMIT.
    DeferrableTrigger,
    /// More rows were written than the contract acknowledges.
    RowsElsewhere,
    /// The row or the receipt does not read back as it was written.
    ReadBack,
    /// The account is above every check of the writer, and the environment is not `dev`.
    AccountTooPowerful,
    /// COMMIT took effect, and made another version of the row than the one that was checked.
    RowChangedInCommit,
}

impl ViolationKind {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ReceiptTable => "refused:receipt_table",
            Self::TargetChanged => "refused:schema_drift",
            Self::ForeignCode => "refused:foreign_code",
            Self::SettingChanged => "refused:setting_changed",
            Self::OpenCursor => "refused:open_cursor",
            Self::LockElsewhere => "refused:lock_elsewhere",
            Self::DeferrableTrigger => "refused:deferrable_trigger",
            Self::RowsElsewhere => "refused:rows_elsewhere",
            Self::ReadBack => "refused:read_back",
            Self::AccountTooPowerful => "refused:writer_account",
            Self::RowChangedInCommit => "refused:row_changed_in_commit",
        }
    }
}

impl Violation {
    pub fn new(kind: ViolationKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// The refusal as it is reported.
    pub fn refusal(&self) -> PublicError {
        PublicError::new(self.kind.code(), self.detail.clone())
    }
}

/// Why a look at the transaction did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookError {
    Violation(Violation),
    Engine(EngineError),
}

impl LookError {
    pub(crate) fn violation(kind: ViolationKind, detail: impl Into<String>) -> Self {
        Self::Violation(Violation::new(kind, detail))
    }

    /// As an error that ends the transaction.
    pub(crate) fn into_engine(self) -> EngineError {
        match self {
            Self::Engine(error) => error,
            Self::Violation(found) => {
                let detail = format!("{}: {}", found.kind.code(), found.detail);
                EngineError::new(EngineErrorKind::Other, detail)
            }
        }
    }
}

impl From<EngineError> for LookError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Violation> for LookError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
