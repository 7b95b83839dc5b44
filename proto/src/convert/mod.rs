//! Between wire and domain: `TryFrom` inward, `From` outward, and no defaults: what is missing is refused.

mod log;
mod probe;
mod signed;

use synapsor_domain::error::PublicError;

/// A message field that is absent or not what it must be.
pub(crate) fn malformed(field: &'static str, problem: impl std::fmt::Display) -> PublicError {
    PublicError::new("MALFORMED", format!("{field}: {problem}"))
}

/// A field that must be there.
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, PublicError> {
    value.ok_or_else(|| malformed(field, "is missing"))
}
