//! OAuth 2 access tokens in JWT form (RFC 9068), verified against given keys: who issued them, for whom, until
//! when, and what they say of the caller. Pure: keys and time come in as arguments; fetching keys and mapping
//! claims to a tenant live elsewhere.
//!
//! A token's header chooses nothing. The algorithm must be on the policy's list and belong to the kind of the key
//! that `kid` names in the issuer's set; keys and addresses that a header brings along refuse the token.

mod claims;
mod header;
mod keys;
mod policy;
mod verifier;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use claims::{Scopes, VerifiedToken};
pub use keys::{Jwks, KEY_SET_BYTES_MAX};
pub use policy::{
    Algorithm, LIFETIME_SECONDS_DEFAULT, LIFETIME_SECONDS_MAX, LIFETIME_SECONDS_MIN, TokenPolicy, TokenScope,
};
pub use verifier::CachingTokenVerifier;

use claims::Claims;
use header::Header;

use crate::json::JsonError;
use crate::timestamp::Timestamp;

/// Bytes of one access token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Nesting of claims that is read at all.
const DEPTH_MAX: usize = 8;

/// Why a token is not accepted. The text is for this side's logs; a caller learns [`TokenError::description`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token is not three parts of base64url")]
    Form,
    #[error("the token's {part} is not acceptable JSON: {reason}")]
    Json { part: &'static str, reason: String },
    #[error("the header is refused: {0}")]
    Header(&'static str),
    #[error("no key of the issuer has this `kid`")]
    UnknownKeyId,
    #[error("the key of this `kid` is of another algorithm")]
    KeyMismatch,
    #[error("the signature is not of the issuer's key")]
    Signature,
    #[error("the claim `{0}` is missing or has another form")]
    Claim(&'static str),
    #[error("another issuer")]
    Issuer,
    #[error("another audience, or more than this one")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token is valid for longer than is accepted")]
    LifetimeTooLong,
}

impl TokenError {
    /// What the caller may know: whether a fresh token would help, and nothing else.
    pub const fn description(&self) -> &'static str {
        match self {
            TokenError::Expired => "the access token has expired",
            _ => "the access token is not accepted",
        }
    }

    /// Whether the issuer may have a newer key set in which this token's key stands.
    pub const fn may_be_a_new_key(&self) -> bool {
        matches!(self, TokenError::UnknownKeyId)
    }

    fn json(part: &'static str, error: &JsonError) -> Self {
        TokenError::Json {
            part,
            reason: error.reason.clone(),
        }
    }
}

/// Verifies one token in compact form.
///
/// # Errors
/// The first thing that is wrong: form, header, key, signature, then claims.
fn verify(
    token: &str,
    policy: &TokenPolicy,
    keys: &Jwks,
    now: Timestamp,
) -> Result<VerifiedToken, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Form);
    };
    let signed = &token[..header.len() + 1 + payload.len()];
    let header = Header::read(&decode(header)?)?;
    if !policy.algorithms.contains(&header.algorithm) {
        return Err(TokenError::Header("the algorithm is not on the list"));
    }
    let key = keys.find(&header.kid).ok_or(TokenError::UnknownKeyId)?;
    key.verify(header.algorithm, signed.as_bytes(), &decode(signature)?)?;
    Claims::read(&decode(payload)?)?.check(policy, now)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)
}

#[cfg(test)]
mod tests;
