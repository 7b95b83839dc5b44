//! From what went wrong in this process to what a caller may know.

use synapsor_chassis::run::Failure;
use synapsor_domain::refusal::Refusal;

use crate::engine::EngineError;
use crate::engine::error::EngineErrorKind;

/// A refusal at start, where only the operator sees it.
pub fn failure(refusal: &Refusal) -> Failure {
    Failure::new(refusal.code.clone(), &refusal.public)
}

/// What a failed read of the source means to a call. The engine's detail stays in the refusal's own.
pub(crate) fn source_refusal(error: &EngineError) -> Refusal {
    let (code, public) = match error.kind {
        EngineErrorKind::Busy | EngineErrorKind::Unavailable => {
            ("SOURCE_UNAVAILABLE", "The source database cannot be reached now.")
        }
        EngineErrorKind::Timeout => ("SOURCE_TIMEOUT", "The source database did not answer in time."),
        EngineErrorKind::Denied => ("SOURCE_DENIED", "The source database refused the read."),
        EngineErrorKind::NotFound => (
            "SOURCE_OBJECT_NOT_FOUND",
            "The source database has no such table or column as the contract names.",
        ),
        EngineErrorKind::TooLarge => ("ROW_TOO_LARGE", "The row is larger than what is served."),
        EngineErrorKind::Unreadable => ("VALUE_UNREADABLE", "A value of the row cannot be read exactly."),
        EngineErrorKind::Other => ("SOURCE_FAILED", "The source database failed."),
    };
    Refusal::new(code, public).with_detail(error.detail.clone())
}
