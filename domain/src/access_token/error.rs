//! Reasons why a token is rejected, with what was found and what the contract requires.

use super::{Algorithm, TOKEN_BYTES_MAX};
use crate::json::JsonError;
use crate::limits::CLOCK_SKEW_SECONDS;
use crate::timestamp::Timestamp;

/// Reason why a token is rejected. The text is for local logs: it names the property and the contract's own value, never
/// a value of the token except short names of its header. A caller receives [`TokenError::description`].
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
    #[error("invalid token header: {found}; accepted: {accepted}")]
    HeaderValue { found: String, accepted: String },
    #[error("invalid token header: it has `{0}`, with which a token would choose its own key or rules")]
    HeaderMember(&'static str),
    #[error("invalid token header: it has the certificate digest `{0}`, which `accept.header` does not list")]
    CertificateDigest(&'static str),
    #[error("`alg` is `{}`, which the setting `algorithms` does not list: {listed}", .algorithm.as_str())]
    AlgorithmNotListed { algorithm: Algorithm, listed: String },
    #[error("{0}, and no key of the issuer has this `kid`")]
    UnknownKeyId(String),
    #[error("the key of this `kid` has another algorithm")]
    KeyMismatch,
    #[error("invalid token signature")]
    Signature,
    #[error("claim `{claim}` is missing{}", hint(*.setting))]
    ClaimMissing {
        claim: String,
        /// What a profile can set for this claim.
        setting: Option<&'static str>,
    },
    #[error("claim `{claim}` is {found}, and must be {wanted}")]
    ClaimForm {
        claim: String,
        found: &'static str,
        wanted: String,
    },
    #[error("claim `scope` is a list, and must be a space-separated string; only `scp` may be a list")]
    ScopeList,
    #[error("`iss` is not the contract's issuer `{0}`")]
    Issuer(String),
    #[error("`iss` differs from the contract's issuer `{0}` by a slash at the end")]
    IssuerSlash(String),
    #[error("`aud` names no audience of the contract: {0}")]
    Audience(String),
    #[error("`aud` names others besides the contract's audience, and `audience_mode` is `exact`: {0}")]
    AudienceNotAlone(String),
    #[error("`exp` is past by {CLOCK_SKEW_SECONDS} seconds or more; the clock of this machine shows {now}")]
    Expired { now: Timestamp },
    #[error(
        "`{claim}` is in the future by more than {CLOCK_SKEW_SECONDS} seconds; the clock of this machine shows {now}"
    )]
    NotYetValid { claim: &'static str, now: Timestamp },
    #[error("the time from `iat` to `exp` exceeds `max_lifetime_seconds`, {0}")]
    LifetimeTooLong(u32),
}

impl TokenError {
    /// Description for the caller; it discloses only whether a new token would help.
    pub const fn description(&self) -> &'static str {
        match self {
            TokenError::Expired { .. } => "the access token has expired",
            _ => "the access token is not accepted",
        }
    }

    /// Whether a newer key set of the issuer could contain this token's key.
    pub const fn may_be_a_new_key(&self) -> bool {
        matches!(self, TokenError::UnknownKeyId(_))
    }

    pub(super) fn json(part: &'static str, error: &JsonError) -> Self {
        TokenError::Json {
            part,
            reason: error.reason.clone(),
        }
    }
}

fn hint(setting: Option<&str>) -> String {
    setting.map_or_else(String::new, |setting| format!("; {setting}"))
}

/// Lists values of the contract for a message.
pub(super) fn listed<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = values.into_iter().map(|value| format!("`{value}`")).collect();
    quoted.join(", ")
}
