//! Converts between wire and domain types: `TryFrom` inward, `From` outward. There are no defaults: a missing
//! field is an error.

mod log;
mod preflight;
mod signed;
mod states;
mod token_policy;

pub use states::{verdict_from_wire, verdict_to_wire};
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;

/// Creates the error for an absent or invalid message field.
pub(crate) fn malformed(field: &'static str, problem: impl std::fmt::Display) -> PublicError {
    PublicError::new(ErrorCode::Malformed, format!("{field}: {problem}"))
}

/// Returns a required field, or an error if it is absent.
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, PublicError> {
    value.ok_or_else(|| malformed(field, "is missing"))
}
