//! Verifies OAuth 2 access tokens in JWT form (RFC 9068) against given keys: issuer, audience, lifetime and
//! claims. Pure: keys and time are arguments; other modules fetch keys and map claims to a tenant.
//!
//! The header selects neither key material nor policy. The algorithm must be on the policy's list and match the
//! kind of the key that `kid` names in the issuer's set. A token with a key or key address in its header is
//! rejected.

mod claims;
mod error;
mod header;
mod keys;
mod policy;
mod profile;
mod verifier;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use claims::{Scopes, VerifiedToken};
pub use error::TokenError;
pub use keys::{Jwks, KEY_SET_BYTES_MAX};
pub use policy::{
    Algorithm, LIFETIME_SECONDS_DEFAULT, LIFETIME_SECONDS_MAX, LIFETIME_SECONDS_MIN, TokenPolicy, TokenScope,
};
pub(crate) use profile::value_of;
pub use profile::{AudienceMode, Audiences, HeaderMember, ScopeClaim, TokenProfile, TokenType};
pub use verifier::CachingTokenVerifier;

use claims::Claims;
use header::Header;

use crate::timestamp::Timestamp;

/// Maximum size of an access token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Maximum nesting depth of claims.
const DEPTH_MAX: usize = 8;

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
    let header = Header::read(&decode(header)?, policy)?;
    keys.verify(&header, signed.as_bytes(), &decode(signature)?)?;
    Claims::read(&decode(payload)?)?.check(policy, signed, now)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)
}

#[cfg(test)]
mod tests;
