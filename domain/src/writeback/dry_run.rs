//! Verdict of a dry run.

use std::fmt;

use synapsor_codes::ErrorCode;

use super::outcome::ReceiptOutcome;

/// Result that an apply would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRunVerdict {
    WouldApply,
    /// A receipt exists.
    AlreadyFinal(ReceiptOutcome),
    /// The apply would change nothing and end with this code of an attempt.
    WouldNotApply(ErrorCode),
    InDoubt,
}

/// Formats like the result of an attempt: `would_apply`, `already:applied`, `conflict:version_changed`,
/// `refused:frozen`.
impl fmt::Display for DryRunVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldApply => f.write_str("would_apply"),
            Self::AlreadyFinal(outcome) => write!(f, "already:{outcome}"),
            Self::WouldNotApply(code) => write!(f, "{code}"),
            Self::InDoubt => f.write_str("in_doubt"),
        }
    }
}
