//! Database errors, classified by what the caller must do. Driver text is removed here: `detail` is for the
//! process log and contains no value and no URL.

use std::fmt;

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;

use crate::db_error_message::{DbErrorMessage, explain, explain_read};
use crate::error_cause::ErrorCause;

const SOURCE_FAILED: &str = "The source database failed.";

/// An error of an engine.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineError {
    pub kind: EngineErrorKind,
    /// For the log of this process only.
    pub detail: String,
    /// For the owner of the credential.
    pub cause: ErrorCause,
    /// Host and port, or the directory of a socket; for the owner of the credential and the log.
    pub server: Option<String>,
}

/// Causes that a caller distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineErrorKind {
    /// Locked, deadlocked or not serializable: the whole transaction can be retried.
    Busy,
    /// Missing, unreachable, disk full or read-only.
    Unavailable,
    /// The credential lacks the right.
    Denied,
    /// Table or column does not exist.
    NotFound,
    /// A value or a row that exceeds the size limits.
    TooLarge,
    /// A statement exceeded its timeout.
    Timeout,
    /// A value that cannot be read exactly.
    Unreadable,
    /// Not a database file, or a damaged one.
    Damaged,
    /// A check, a key or another constraint rejects the values, or a trigger or function raised an error of its own.
    Constraint,
    /// Anything else; terminal.
    Other,
}

impl EngineErrorKind {
    /// Returns the name used in results and codes.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Busy => "database_busy",
            Self::Unavailable => "database_unavailable",
            Self::Denied => "permission_denied",
            Self::NotFound => "object_not_found",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::Unreadable => "unreadable_value",
            Self::Damaged => "database_damaged",
            Self::Constraint => "constraint_violated",
            Self::Other => "database_error",
        }
    }
}

impl EngineError {
    pub fn new(kind: EngineErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            cause: ErrorCause::Unspecified,
            server: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: ErrorCause) -> Self {
        self.cause = cause;
        self
    }

    /// Adds the address of the server.
    #[must_use]
    pub fn at(mut self, server: &str) -> Self {
        self.server = Some(server.to_owned());
        self
    }

    /// Returns the name used in results and codes.
    pub const fn reason(&self) -> &'static str {
        self.kind.reason()
    }

    /// Whether the same work can succeed in a new transaction.
    pub const fn is_retryable(&self) -> bool {
        self.retryable_code().is_some()
    }

    /// Returns the code of an attempt that this error ends, if the same work can succeed in a new transaction.
    pub const fn retryable_code(&self) -> Option<ErrorCode> {
        match self.kind {
            EngineErrorKind::Busy => Some(ErrorCode::RetryableDatabaseBusy),
            EngineErrorKind::Unavailable => Some(ErrorCode::RetryableDatabaseUnavailable),
            EngineErrorKind::Timeout => Some(ErrorCode::RetryableTimeout),
            EngineErrorKind::Denied
            | EngineErrorKind::NotFound
            | EngineErrorKind::TooLarge
            | EngineErrorKind::Unreadable
            | EngineErrorKind::Damaged
            | EngineErrorKind::Constraint
            | EngineErrorKind::Other => None,
        }
    }
}

impl fmt::Debug for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EngineError({})", self.reason())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for EngineError {}

/// Table of the contract that a call reads, for the messages of its operator.
#[derive(Debug, Clone, Copy)]
pub struct ReadTable<'a> {
    pub source: &'a str,
    pub schema: &'a str,
    pub table: &'a str,
}

impl fmt::Display for ReadTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema {
            "" => write!(f, "`{}`", self.table),
            schema => write!(f, "`{schema}.{}`", self.table),
        }
    }
}

/// Maps a failed read or attempt to the error of a call, by its cause, else by its kind. The engine's detail and its fix
/// are kept in the internal part of the error.
pub fn source_refusal(error: &EngineError) -> PublicError {
    let refusal = refusal_of("the database", error, explain(error));
    match doctor_fix(error) {
        Some(fix) => refusal.with_operator_fix(fix),
        None => refusal,
    }
}

/// Maps a failed read of a table, which the operator's part of the error names with its source.
pub fn table_refusal(error: &EngineError, table: ReadTable<'_>) -> PublicError {
    let database = format!("the database of source `{}`", table.source);
    let refusal = refusal_of(&database, error, explain_read(error));
    let Some(fix) = doctor_fix(error) else {
        return refusal;
    };
    let detail = refusal.detail.as_deref().unwrap_or_default();
    let detail = format!("{detail}, needed by a read of the table {table}");
    refusal.with_detail(detail).with_operator_fix(fix)
}

/// Maps a failed inspection, whose fix is about the request.
pub fn catalog_refusal(error: &EngineError) -> PublicError {
    refusal_of("the database", error, explain_read(error))
}

/// Returns the fix for a table that is not as the contract describes it; `None` for other errors.
fn doctor_fix(error: &EngineError) -> Option<&'static str> {
    match (error.kind, explain(error).is_by_cause) {
        (EngineErrorKind::NotFound, false) => Some(
            "run `synapsor-runner writeback doctor --check-db`, which names the missing table or column; create it, or \
             correct the contract",
        ),
        (EngineErrorKind::Denied, false) => Some(
            "run `synapsor-runner writeback doctor --check-db`, which names the missing right; grant what \
             `synapsor-runner writeback grants` prints",
        ),
        _ => None,
    }
}

fn refusal_of(database: &str, error: &EngineError, explained: DbErrorMessage) -> PublicError {
    let (code, public) = if explained.is_by_cause {
        (explained.code, unusable_text(explained.code))
    } else {
        refusal_of_kind(error.kind)
    };
    let detail = match error.detail.as_str() {
        "" => error.reason(),
        detail => detail,
    };
    PublicError::new(code, public)
        .with_detail(format!("{database} {} ({detail})", explained.text))
        .with_operator_fix(explained.fix)
}

/// Returns the public text for a database that cannot be used; only its operator learns the cause.
const fn unusable_text(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::SourceUnavailable => "The source database is unreachable.",
        ErrorCode::SourceDenied => "The source database denied the read.",
        ErrorCode::SourceFailed => SOURCE_FAILED,
        _ => "The source database cannot be used.",
    }
}

const fn refusal_of_kind(kind: EngineErrorKind) -> (ErrorCode, &'static str) {
    match kind {
        EngineErrorKind::Busy => (ErrorCode::SourceBusy, "The source database is busy."),
        EngineErrorKind::Unavailable => (
            ErrorCode::SourceUnavailable,
            unusable_text(ErrorCode::SourceUnavailable),
        ),
        EngineErrorKind::Timeout => (
            ErrorCode::SourceTimeout,
            "The source database did not answer in time.",
        ),
        EngineErrorKind::Denied => (ErrorCode::SourceDenied, unusable_text(ErrorCode::SourceDenied)),
        EngineErrorKind::NotFound => (
            ErrorCode::SourceObjectNotFound,
            "The source database lacks a table or column that the contract names.",
        ),
        EngineErrorKind::TooLarge => (ErrorCode::RowTooLarge, "The row exceeds the size limit."),
        EngineErrorKind::Unreadable => (
            ErrorCode::ValueUnreadable,
            "A value of the row cannot be read exactly; the operator has to leave its column out of the tool.",
        ),
        EngineErrorKind::Damaged => (ErrorCode::SourceDamaged, "The source database is damaged."),
        EngineErrorKind::Constraint | EngineErrorKind::Other => (ErrorCode::SourceFailed, SOURCE_FAILED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_and_doctor_report_one_code_for_a_cause() {
        for cause in [
            ErrorCause::LoginRejected,
            ErrorCause::OtherProtocol,
            ErrorCause::CertificateNotTrusted,
            ErrorCause::DatabaseMissing,
            ErrorCause::PooledDatabaseMissing,
            ErrorCause::PoolerUndeclared,
            ErrorCause::IdentityDamaged,
        ] {
            let error = EngineError::new(EngineErrorKind::Unavailable, "a detail").because(cause.clone());
            assert_eq!(source_refusal(&error).code, explain(&error).code, "{cause:?}");
        }
    }

    #[test]
    fn call_names_the_table_and_inspection_its_request() {
        let table = ReadTable {
            source: "billing",
            schema: "public",
            table: "invoices",
        };
        for kind in [EngineErrorKind::NotFound, EngineErrorKind::Denied] {
            let error = EngineError::new(kind, "sqlstate 42501");
            let of_call = table_refusal(&error, table);
            let detail = of_call.detail.unwrap();
            for part in ["source `billing`", "`public.invoices`", "sqlstate 42501"] {
                assert!(detail.contains(part), "{detail}");
            }
            let fixes = [of_call.operator_fix, source_refusal(&error).operator_fix];
            for fix in fixes.map(Option::unwrap) {
                assert!(fix.contains("writeback doctor --check-db"), "{fix}");
            }
            let of_inspection = catalog_refusal(&error).operator_fix.unwrap();
            assert_eq!(of_inspection, explain(&error).fix);
        }
        let raised =
            EngineError::new(EngineErrorKind::Constraint, "").because(ErrorCause::RaisedByCode(None));
        let fix = table_refusal(&raised, table).operator_fix.unwrap();
        assert_eq!(fix, explain_read(&raised).fix, "no values are proposed");
        let damaged = table_refusal(&EngineError::new(EngineErrorKind::Damaged, ""), table);
        assert!(damaged.detail.unwrap().contains("source `billing` is damaged"));
        let missing = EngineError::new(EngineErrorKind::NotFound, "").because(ErrorCause::DatabaseMissing);
        let fix = table_refusal(&missing, table).operator_fix.unwrap();
        assert_eq!(fix, explain(&missing).fix, "a known cause has its own fix");
    }

    #[test]
    fn error_without_a_cause_is_reported_by_its_kind() {
        let busy = EngineError::new(EngineErrorKind::Busy, "");
        assert_eq!(source_refusal(&busy).code, ErrorCode::SourceBusy);
        let column = EngineError::new(EngineErrorKind::Unreadable, "")
            .because(ErrorCause::ColumnUnreadable("notes".to_owned()));
        assert_eq!(source_refusal(&column).code, ErrorCode::ValueUnreadable);
    }
}
