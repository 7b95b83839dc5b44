//! What can go wrong in a database, named by what the caller must do. Driver text ends here: `detail` is
//! for the own log and holds no value and no URL.

use std::fmt;

/// An error of an engine.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineError {
    pub kind: EngineErrorKind,
    /// For the log of this process only.
    pub detail: String,
}

/// Causes that a caller tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineErrorKind {
    /// Locked, deadlocked or not serializable: the whole transaction can be tried again.
    Busy,
    /// Not there, not reachable, disk full, read-only.
    Unavailable,
    /// The credential may not do this.
    Denied,
    /// Table or column does not exist.
    NotFound,
    /// A value or a row beyond the sizes that are served.
    TooLarge,
    /// A statement took longer than allowed.
    Timeout,
    /// A value that cannot be read exactly.
    Unreadable,
    /// Anything else; terminal.
    Other,
}

/// Why a receipt could not be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// Another transaction's receipt of this proposal is committed.
    Exists,
    Engine(EngineError),
}

/// Why a COMMIT did not answer with success: always doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitError(pub EngineError);

impl EngineError {
    pub fn new(kind: EngineErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// One word for results and codes.
    pub const fn reason(&self) -> &'static str {
        match self.kind {
            EngineErrorKind::Busy => "database_busy",
            EngineErrorKind::Unavailable => "database_unavailable",
            EngineErrorKind::Denied => "permission_denied",
            EngineErrorKind::NotFound => "object_not_found",
            EngineErrorKind::TooLarge => "too_large",
            EngineErrorKind::Timeout => "timeout",
            EngineErrorKind::Unreadable => "unreadable_value",
            EngineErrorKind::Other => "database_error",
        }
    }

    /// Whether the same work can succeed in a new transaction.
    pub const fn is_retryable(&self) -> bool {
        match self.kind {
            EngineErrorKind::Busy | EngineErrorKind::Unavailable | EngineErrorKind::Timeout => true,
            EngineErrorKind::Denied
            | EngineErrorKind::NotFound
            | EngineErrorKind::TooLarge
            | EngineErrorKind::Unreadable
            | EngineErrorKind::Other => false,
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
