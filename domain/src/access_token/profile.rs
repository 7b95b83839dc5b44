//! How the tokens of one issuer may differ from RFC 9068, taken from the reviewed contract. The default permits no
//! difference. No profile permits a token that names none of the contract's audiences, or a key in its header.

use serde::{Deserialize, Serialize};

/// Value of the header member `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TokenType {
    /// Access token (RFC 9068, 2.1), with or without the prefix `application/`.
    #[serde(rename = "at+jwt")]
    AtJwt,
    /// Any JWT: the issuer does not mark its access tokens.
    #[serde(rename = "JWT")]
    Jwt,
    /// The header has no `typ`.
    #[serde(rename = "absent")]
    Absent,
}

/// Header member that a token may have although it is not used: a digest of the issuer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeaderMember {
    #[serde(rename = "x5t")]
    X5t,
    #[serde(rename = "x5t#S256")]
    X5tS256,
}

/// Claim that holds the scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeClaim {
    /// `scope`, a space-separated string.
    #[default]
    Scope,
    /// `scp`, a list or a space-separated string. A token that also has `scope` is judged by `scope`.
    Scp,
}

/// How `aud` must name this deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudienceMode {
    /// Only audiences of the contract.
    #[default]
    Exact,
    /// At least one audience of the contract.
    Contains,
}

/// Names of one setting and their values.
pub(super) type Choices<T> = &'static [(&'static str, T)];

impl TokenType {
    pub const WORDS: Choices<Self> = &[
        ("at+jwt", TokenType::AtJwt),
        ("JWT", TokenType::Jwt),
        ("absent", TokenType::Absent),
    ];
}

impl HeaderMember {
    pub const WORDS: Choices<Self> = &[("x5t", HeaderMember::X5t), ("x5t#S256", HeaderMember::X5tS256)];
}

impl ScopeClaim {
    pub const WORDS: Choices<Self> = &[("scope", ScopeClaim::Scope), ("scp", ScopeClaim::Scp)];
}

impl AudienceMode {
    pub const WORDS: Choices<Self> = &[
        ("exact", AudienceMode::Exact),
        ("contains", AudienceMode::Contains),
    ];
}

/// Returns the name of a value.
pub(super) fn word_of<T: Copy + PartialEq>(words: Choices<T>, value: T) -> &'static str {
    let found = words.iter().find(|(_, known)| *known == value);
    found.map_or("", |(word, _)| word)
}

/// Returns the value of a name.
pub(crate) fn value_of<T: Copy>(words: Choices<T>, name: &str) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == name);
    found.map(|(_, value)| *value)
}

/// Accepted form of an issuer's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenProfile {
    /// Accepted `typ`; never empty.
    pub types: Vec<TokenType>,
    /// Header members that are ignored instead of rejected.
    pub header_members: Vec<HeaderMember>,
    pub scope_claim: ScopeClaim,
    /// Scopes of a token without a scope claim, separated by spaces; `None` gives it no scope.
    pub scope_when_absent: Option<String>,
    /// The claim that holds the client.
    pub client_id_claim: String,
    /// Whether a token without `jti` is rejected.
    pub require_jti: bool,
    pub audience_mode: AudienceMode,
}

impl Default for TokenProfile {
    fn default() -> Self {
        Self {
            types: vec![TokenType::AtJwt],
            header_members: Vec::new(),
            scope_claim: ScopeClaim::default(),
            scope_when_absent: None,
            client_id_claim: "client_id".to_owned(),
            require_jti: true,
            audience_mode: AudienceMode::default(),
        }
    }
}

impl TokenProfile {
    /// Whether it permits tokens of RFC 9068 only.
    pub fn is_strict(&self) -> bool {
        *self == Self::default()
    }
}

/// Accepted values of `aud`; never empty. One value is written as a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl Audiences {
    /// Returns `None` for an empty list.
    pub fn of(mut audiences: Vec<String>) -> Option<Self> {
        match audiences.len() {
            0 => None,
            1 => audiences.pop().map(Self::One),
            _ => Some(Self::Several(audiences)),
        }
    }

    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(audience) => std::slice::from_ref(audience),
            Self::Several(audiences) => audiences,
        }
    }

    pub(super) fn contains(&self, audience: &str) -> bool {
        self.as_slice().iter().any(|known| known == audience)
    }
}
