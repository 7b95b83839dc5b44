//! The reason that an operator signs with a decision, a freeze or a receipt order.

use synapsor_codes::ErrorCode;

use crate::contract::{holds_connection_url, holds_secret};
use crate::error::PublicError;
use crate::limits::REASON_CHARS_MAX;

/// Checks a reason as the ledger does before it records one. Operators' tools check it before anything is signed;
/// writers check its length only, because a freeze is valid with any reason.
///
/// # Errors
/// `refused:malformed` for one that is too long; `SECRET_MATERIAL_REJECTED` for one that holds a connection URL, a
/// URL with a user name or password, a token or a private key.
pub fn check_reason(reason: Option<&str>) -> Result<(), PublicError> {
    check_length(reason)?;
    reason.map_or(Ok(()), |reason| check_text("the reason", reason))
}

/// Checks a string that an operator signs; `what` is its name in a message.
///
/// # Errors
/// `SECRET_MATERIAL_REJECTED`, as [`check_reason`].
pub fn check_text(what: &str, text: &str) -> Result<(), PublicError> {
    if holds_connection_url(text) || holds_secret(text) {
        let text =
            format!("{what} holds a connection URL, a token or a private key, which the log must not hold");
        return Err(PublicError::new(ErrorCode::SecretMaterialRejected, text));
    }
    Ok(())
}

/// # Errors
/// `refused:malformed` for a reason that is too long.
pub(super) fn check_length(reason: Option<&str>) -> Result<(), PublicError> {
    if reason.is_some_and(|text| text.chars().count() > REASON_CHARS_MAX) {
        let text = format!("the reason is longer than {REASON_CHARS_MAX} characters");
        return Err(PublicError::new(ErrorCode::RefusedMalformed, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_reasons_with_secrets() {
        let code = |reason: &str| check_reason(Some(reason)).map_err(|refusal| refusal.code);
        for text in [
            "see https://user:tok@wiki.example/x",
            "postgres://h/db",
            "Bearer abcdefghijklmnop1234",
        ] {
            assert_eq!(code(text), Err(ErrorCode::SecretMaterialRejected), "{text}");
        }
        assert_eq!(
            code(&"x".repeat(REASON_CHARS_MAX + 1)),
            Err(ErrorCode::RefusedMalformed)
        );
        assert_eq!(code("wrong fees, see https://wiki.example/x"), Ok(()));
        assert_eq!(check_reason(None), Ok(()));
    }
}
