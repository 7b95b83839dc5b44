//! Verifies OAuth 2 access tokens in JWT form (RFC 9068) against given keys: issuer, audience, lifetime and
//! claims. Pure: keys and time are arguments; other modules fetch keys and map claims to a tenant.
//!
//! The header selects neither key material nor policy. The algorithm must be on the policy's list and match the
//! kind of the key that `kid` names in the issuer's set. A token with a key or key address in its header is
//! rejected.

mod claims;
mod header;
mod keys;
mod policy;
mod profile;
mod verifier;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use claims::{Scopes, VerifiedToken};
pub use keys::{Jwks, KEY_SET_BYTES_MAX};
pub use policy::{
    Algorithm, LIFETIME_SECONDS_DEFAULT, LIFETIME_SECONDS_MAX, LIFETIME_SECONDS_MIN, TokenPolicy, TokenScope,
};
pub(crate) use profile::value_of;
pub use profile::{AudienceMode, Audiences, HeaderMember, ScopeClaim, TokenProfile, TokenType};
pub use verifier::CachingTokenVerifier;

use claims::Claims;
use header::Header;

use crate::json::JsonError;
use crate::timestamp::Timestamp;

/// Maximum size of an access token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Maximum nesting depth of claims.
const DEPTH_MAX: usize = 8;

/// Reason why a token is rejected. The text is for local logs: it names the property, never a value of the token. A
/// caller receives [`TokenError::description`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token does not consist of three base64url parts")]
    Form,
    #[error("invalid JSON in the token's {part}: {reason}")]
    Json { part: &'static str, reason: String },
    #[error("invalid token header: {0}")]
    Header(&'static str),
    #[error("no key of the issuer has this `kid`")]
    UnknownKeyId,
    #[error("the key of this `kid` has another algorithm")]
    KeyMismatch,
    #[error("invalid token signature")]
    Signature,
    #[error(
        "claim `{0}` is missing or malformed; a profile of the context names the claims of other issuers"
    )]
    Claim(String),
    #[error("claim `scope` is a list, and must be a space-separated string; only `scp` may be a list")]
    ScopeList,
    #[error("`iss` is not the configured issuer")]
    Issuer,
    #[error("`iss` differs from the configured issuer by a slash at the end")]
    IssuerSlash,
    #[error("`aud` names no audience of the contract")]
    Audience,
    #[error("`aud` names others besides the contract's audience, and `audience_mode` is `exact`")]
    AudienceNotAlone,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the time from `iat` to `exp` exceeds `max_lifetime_seconds`")]
    LifetimeTooLong,
}

impl TokenError {
    /// Description for the caller; it discloses only whether a new token would help.
    pub const fn description(&self) -> &'static str {
        match self {
            TokenError::Expired => "the access token has expired",
            _ => "the access token is not accepted",
        }
    }

    /// Whether a newer key set of the issuer could contain this token's key.
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
/// The first error, in this order: form, header, key, signature, claims.
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
    let header = Header::read(&decode(header)?, &policy.profile)?;
    if !policy.algorithms.contains(&header.algorithm) {
        return Err(TokenError::Header("the algorithm is not on the list"));
    }
    keys.verify(&header, signed.as_bytes(), &decode(signature)?)?;
    Claims::read(&decode(payload)?)?.check(policy, signed, now)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)
}

#[cfg(test)]
mod tests;
