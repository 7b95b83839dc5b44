//! Token policy, taken from the reviewed contract.

use serde::{Deserialize, Serialize};

use super::profile::{Audiences, TokenProfile};

/// Default maximum token lifetime, in seconds.
pub const LIFETIME_SECONDS_DEFAULT: u32 = 3_600;
/// Smallest maximum lifetime that a contract may set.
pub const LIFETIME_SECONDS_MIN: u32 = 60;
/// Largest maximum lifetime that a contract may set.
pub const LIFETIME_SECONDS_MAX: u32 = 86_400;

/// Signature algorithms of tokens. There is no symmetric one and no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519.
    EdDSA,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits.
    RS256,
}

impl Algorithm {
    /// Algorithms with their registered names, most preferred first.
    pub const WORDS: &[(&str, Algorithm)] = &[
        ("EdDSA", Algorithm::EdDSA),
        ("ES256", Algorithm::ES256),
        ("RS256", Algorithm::RS256),
    ];

    pub fn of(name: &str) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(word, _)| *word == name);
        found.map(|(_, algorithm)| *algorithm)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::EdDSA => "EdDSA",
            Algorithm::ES256 => "ES256",
            Algorithm::RS256 => "RS256",
        }
    }
}

/// Operations that a token may permit. No scope permits approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScope {
    Read,
    Propose,
}

/// Which tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPolicy {
    /// Compared byte by byte with `iss`.
    pub issuer: String,
    /// Compared byte by byte with `aud`: the resource identifier of this deployment (RFC 8707), or constants of
    /// the issuer.
    pub audience: Audiences,
    /// URL under which clients know this deployment, for an audience that is not a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Never empty.
    pub algorithms: Vec<Algorithm>,
    /// `exp - iat` at most.
    pub lifetime_seconds_max: u32,
    /// The claim that holds the tenant.
    pub tenant_claim: String,
    /// The claim that holds the principal.
    pub principal_claim: String,
    /// Scope that permits reads; the scope for proposals also permits them.
    pub read_scope: String,
    /// Scope that permits proposals.
    pub propose_scope: String,
    // Absent for tokens of RFC 9068, so that such contracts keep their digests.
    #[serde(default, skip_serializing_if = "TokenProfile::is_strict")]
    pub profile: TokenProfile,
}

impl TokenPolicy {
    /// Returns the URL under which clients know this deployment; `None` if the contract names none.
    pub fn resource(&self) -> Option<&str> {
        let is_url = |text: &&str| text.starts_with("https://") || text.starts_with("http://");
        let audiences = self.audience.as_slice().iter().map(String::as_str);
        self.resource
            .as_deref()
            .or_else(|| audiences.into_iter().find(is_url))
    }

    /// Returns the scope string that tokens carry.
    pub fn word(&self, scope: TokenScope) -> &str {
        match scope {
            TokenScope::Read => &self.read_scope,
            TokenScope::Propose => &self.propose_scope,
        }
    }
}
