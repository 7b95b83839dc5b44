//! Maps driver errors to causes. Drops the driver's text, which can quote values, statements and paths.

use rusqlite::Error;
use rusqlite::ffi::{
    ErrorCode, SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_DATATYPE, SQLITE_CONSTRAINT_FOREIGNKEY,
    SQLITE_CONSTRAINT_NOTNULL, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID,
    SQLITE_CONSTRAINT_TRIGGER, SQLITE_CONSTRAINT_UNIQUE, SQLITE_READONLY, SQLITE_READONLY_CANTLOCK,
    SQLITE_READONLY_DIRECTORY, SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK,
};
use synapsor_domain::writeback::{ConstraintClass, ViolatedConstraint};

use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::{ConstraintViolation, ErrorCause, FileAccess};

/// Results for a file with an interrupted transaction that a read-only connection cannot roll back.
const INTERRUPTED: [i32; 3] = [
    SQLITE_READONLY_RECOVERY,
    SQLITE_READONLY_CANTLOCK,
    SQLITE_READONLY_ROLLBACK,
];

const FOREIGN_KEY_FAILED: &str = "FOREIGN KEY constraint failed";

/// Returns the cause of a driver error; the detail is only SQLite's result code.
pub fn map_driver_error(error: Error) -> EngineError {
    use EngineErrorKind as Kind;
    match error {
        Error::SqliteFailure(inner, Some(text)) if is_missing(&text) => {
            EngineError::new(Kind::NotFound, code(inner))
        }
        Error::SqlInputError {
            error: inner, msg, ..
        } if is_missing(&msg) => EngineError::new(Kind::NotFound, code(inner)),
        Error::SqliteFailure(inner, text) => match violated(inner.extended_code, text.as_deref()) {
            Some(cause) => failure(inner).because(cause),
            None => failure(inner),
        },
        Error::SqlInputError { error: inner, .. } => failure(inner),
        Error::Utf8Error(..) | Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) => {
            EngineError::new(Kind::Unreadable, "a value is not of the expected type")
        }
        Error::IntegralValueOutOfRange(..) => {
            EngineError::new(Kind::Unreadable, "an integer is out of range")
        }
        // Every other variant is a defect of this program or an unused driver feature.
        _ => EngineError::new(Kind::Other, "driver error"),
    }
}

/// Whether the error reports that a row with this key exists.
pub fn is_unique_violation(error: &Error) -> bool {
    let unique = [
        SQLITE_CONSTRAINT_PRIMARYKEY,
        SQLITE_CONSTRAINT_ROWID,
        SQLITE_CONSTRAINT_UNIQUE,
    ];
    matches!(error, Error::SqliteFailure(inner, _) if unique.contains(&inner.extended_code))
}

/// Returns the constraint that rejected a statement. SQLite names it, or its columns, in the text only.
fn violated(code: i32, text: Option<&str>) -> Option<ErrorCause> {
    let class = match code {
        SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID | SQLITE_CONSTRAINT_UNIQUE => {
            ConstraintClass::Unique
        }
        SQLITE_CONSTRAINT_CHECK => ConstraintClass::Check,
        SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintClass::ForeignKey,
        // A foreign key with RESTRICT is enforced like a trigger.
        SQLITE_CONSTRAINT_TRIGGER if text == Some(FOREIGN_KEY_FAILED) => ConstraintClass::ForeignKey,
        SQLITE_CONSTRAINT_TRIGGER => return Some(ErrorCause::RaisedByCode(None)),
        SQLITE_CONSTRAINT_NOTNULL => ConstraintClass::NotNull,
        SQLITE_CONSTRAINT_DATATYPE => ConstraintClass::Type,
        _ => return None,
    };
    let name = text.and_then(|text| text.split_once(" constraint failed: "));
    let constraint = ViolatedConstraint::new(class, name.map(|(_, name)| name));
    Some(ErrorCause::ConstraintViolated(Box::new(ConstraintViolation {
        constraint,
        // The name of a check or of an index can have a dot as well.
        table: None,
        is_of_statement: false,
    })))
}

fn is_missing(text: &str) -> bool {
    [
        "no such table",
        "no such column",
        "no such function",
        "unknown database",
    ]
    .iter()
    .any(|start| text.starts_with(start))
}

fn failure(inner: rusqlite::ffi::Error) -> EngineError {
    use EngineErrorKind as Kind;
    let kind = match inner.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Kind::Busy,
        ErrorCode::CannotOpen
        | ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::ReadOnly
        | ErrorCode::OutOfMemory
        | ErrorCode::FileLockingProtocolFailed => Kind::Unavailable,
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => Kind::Denied,
        ErrorCode::OperationInterrupted => Kind::Timeout,
        ErrorCode::TooBig => Kind::TooLarge,
        ErrorCode::ConstraintViolation => Kind::Constraint,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Kind::Damaged,
        _ => Kind::Other,
    };
    let cause = match inner.extended_code {
        code if INTERRUPTED.contains(&code) => ErrorCause::InterruptedTransaction,
        SQLITE_READONLY | SQLITE_READONLY_DIRECTORY => denied(FileAccess::Write),
        _ => ErrorCause::Unspecified,
    };
    EngineError::new(kind, code(inner)).because(cause)
}

/// The user of this process may not do this with the file.
pub fn denied(access: FileAccess) -> ErrorCause {
    ErrorCause::FileDenied(access, rustix::process::geteuid().as_raw())
}

fn code(inner: rusqlite::ffi::Error) -> String {
    format!("sqlite result {}", inner.extended_code)
}
