//! Violations: preconditions of the write that do not hold in the transaction.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_source::{EngineError, EngineErrorKind};

/// Detail of [`ViolationKind::ReadBack`] for the receipt.
pub(crate) const RECEIPT_DIFFERS: &str = "the receipt read back differs from the inserted one";

/// A precondition that does not hold. The transaction is rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub kind: ViolationKind,
    /// The finding and its fix; names objects of the database, no values.
    pub detail: String,
}

/// Kinds of violations, each with its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViolationKind {
    /// The receipt table does not have exactly the migration's form.
    ReceiptTable,
    /// The target's definition changed while the transaction ran.
    TargetChanged,
    /// Code that is neither of the closed form nor acknowledged would run.
    ForeignCode,
    /// Code that ran in the transaction changed a setting.
    SettingChanged,
    /// An open cursor's query would run inside COMMIT.
    OpenCursor,
    /// The transaction holds a write lock on a table that is not part of the change.
    LockElsewhere,
    /// A deferrable trigger could run inside COMMIT.
    DeferrableTrigger,
    /// More rows were written than the contract acknowledges.
    RowsElsewhere,
    /// The row or the receipt read back differs from the written one.
    ReadBack,
    /// The account is above every check of the writer, and the environment is not `dev`.
    AccountTooPowerful,
    /// COMMIT took effect, and created another version of the row than the checked one.
    RowChangedInCommit,
}

impl ViolationKind {
    /// Returns the stable code.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::ReceiptTable => ErrorCode::RefusedReceiptTable,
            Self::TargetChanged => ErrorCode::RefusedSchemaDrift,
            Self::ForeignCode => ErrorCode::RefusedForeignCode,
            Self::SettingChanged => ErrorCode::RefusedSettingChanged,
            Self::OpenCursor => ErrorCode::RefusedOpenCursor,
            Self::LockElsewhere => ErrorCode::RefusedLockElsewhere,
            Self::DeferrableTrigger => ErrorCode::RefusedDeferrableTrigger,
            Self::RowsElsewhere => ErrorCode::RefusedRowsElsewhere,
            Self::ReadBack => ErrorCode::RefusedReadBack,
            Self::AccountTooPowerful => ErrorCode::RefusedWriterAccount,
            Self::RowChangedInCommit => ErrorCode::RefusedRowChangedInCommit,
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

    /// Returns the reported error.
    pub fn refusal(&self) -> PublicError {
        PublicError::new(self.kind.code(), self.detail.clone())
    }
}

/// Reasons why a check of the transaction failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckError {
    Violation(Violation),
    Engine(EngineError),
}

impl CheckError {
    pub(crate) fn violation(kind: ViolationKind, detail: impl Into<String>) -> Self {
        Self::Violation(Violation::new(kind, detail))
    }

    /// Converts to an error that ends the transaction.
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

impl From<EngineError> for CheckError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Violation> for CheckError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}
