//! Parses the protected header: three members are used; embedded keys and key addresses are rejected.

use super::error::listed;
use super::profile::{HeaderMember, TokenProfile, TokenType, word_of};
use super::{Algorithm, DEPTH_MAX, TokenError, TokenPolicy};
use crate::json::{self, JsonNode};

/// Optional prefix of `typ` (RFC 7515, 4.1.9).
const TYPE_PREFIX: &str = "application/";
/// Members that would let a token choose its own key or interpretation. A profile can permit the two digests.
const REFUSED: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64"];
const KID_BYTES_MAX: usize = 256;
/// Longest value of the header that a message repeats; a longer one could hold a token.
const REPEATED_CHARS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    /// Used only for comparison with the names in the issuer's key set.
    pub(super) kid: String,
}

impl Header {
    pub(super) fn read(bytes: &[u8], policy: &TokenPolicy) -> Result<Self, TokenError> {
        let node = json::read(bytes, DEPTH_MAX).map_err(|e| TokenError::json("header", &e))?;
        let JsonNode::Map(entries) = node else {
            return Err(TokenError::Header("it is not an object"));
        };
        for (name, _) in &entries {
            check_member(name, &policy.profile)?;
        }
        check_type(&entries, &policy.profile)?;
        Ok(Self {
            algorithm: algorithm(&entries, &policy.algorithms)?,
            kid: kid(&entries)?.to_owned(),
        })
    }

    /// Returns the error for a `kid` that no key of the set has.
    pub(super) fn unknown_kid(&self) -> TokenError {
        TokenError::UnknownKeyId(described("kid", Some(&JsonNode::Text(self.kid.clone()))))
    }
}

fn member<'a>(entries: &'a [(String, JsonNode)], name: &str) -> Option<&'a JsonNode> {
    entries.iter().find(|(key, _)| key == name).map(|(_, node)| node)
}

/// Describes a member for a local log. Only short values of plain ASCII are repeated.
fn described(name: &str, node: Option<&JsonNode>) -> String {
    let is_plain = |text: &str| {
        text.len() <= REPEATED_CHARS_MAX && text.bytes().all(|b| b.is_ascii_graphic() && b != b'`')
    };
    match node {
        None => format!("`{name}` is missing"),
        Some(JsonNode::Text(text)) if text.is_empty() => format!("`{name}` is empty"),
        Some(JsonNode::Text(text)) if is_plain(text) => format!("`{name}` is `{text}`"),
        Some(JsonNode::Text(_)) => format!("`{name}` is a string that is not repeated here"),
        Some(other) => format!("`{name}` is {}", other.type_name()),
    }
}

fn algorithm(entries: &[(String, JsonNode)], accepted: &[Algorithm]) -> Result<Algorithm, TokenError> {
    let names = || listed(accepted.iter().map(|algorithm| algorithm.as_str()));
    let found = member(entries, "alg");
    let known = match found {
        Some(JsonNode::Text(text)) => Algorithm::of(text),
        _ => None,
    };
    match known {
        Some(algorithm) if accepted.contains(&algorithm) => Ok(algorithm),
        Some(algorithm) => Err(TokenError::AlgorithmNotListed {
            algorithm,
            listed: names(),
        }),
        None => Err(TokenError::HeaderValue {
            found: described("alg", found),
            accepted: names(),
        }),
    }
}

fn kid(entries: &[(String, JsonNode)]) -> Result<&str, TokenError> {
    let found = member(entries, "kid");
    match found {
        Some(JsonNode::Text(kid)) if (1..=KID_BYTES_MAX).contains(&kid.len()) => Ok(kid),
        _ => Err(TokenError::HeaderValue {
            found: described("kid", found),
            accepted: format!("a string of 1 to {KID_BYTES_MAX} bytes"),
        }),
    }
}

fn check_member(name: &str, profile: &TokenProfile) -> Result<(), TokenError> {
    let is_permitted = |member: &HeaderMember| word_of(HeaderMember::WORDS, *member) == name;
    let Some(refused) = REFUSED.into_iter().find(|refused| *refused == name) else {
        return Ok(());
    };
    if profile.header_members.iter().any(is_permitted) {
        return Ok(());
    }
    Err(match refused {
        "x5t" | "x5t#S256" => TokenError::CertificateDigest(refused),
        _ => TokenError::HeaderMember(refused),
    })
}

fn check_type(entries: &[(String, JsonNode)], profile: &TokenProfile) -> Result<(), TokenError> {
    let found = member(entries, "typ");
    let unknown = || TokenError::HeaderValue {
        found: described("typ", found),
        accepted: listed(profile.types.iter().map(|typ| word_of(TokenType::WORDS, *typ))),
    };
    let typ = match found {
        None => TokenType::Absent,
        Some(JsonNode::Text(text)) => typ_of(text).ok_or_else(unknown)?,
        Some(_) => return Err(unknown()),
    };
    if profile.types.contains(&typ) {
        return Ok(());
    }
    Err(TokenError::Header(match typ {
        TokenType::AtJwt => "`typ` is `at+jwt`, which `accept.typ` does not list",
        TokenType::Jwt => "`typ` is `JWT`, which `accept.typ` does not list",
        TokenType::Absent => "`typ` is missing, and `accept.typ` does not list `absent`",
    }))
}

fn typ_of(text: &str) -> Option<TokenType> {
    let bare = match text.split_at_checked(TYPE_PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(TYPE_PREFIX) => rest,
        _ => text,
    };
    let named = [TokenType::AtJwt, TokenType::Jwt];
    named
        .into_iter()
        .find(|typ| word_of(TokenType::WORDS, *typ).eq_ignore_ascii_case(bare))
}
