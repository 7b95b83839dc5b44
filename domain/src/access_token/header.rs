//! Parses the protected header: three members are used; embedded keys and key addresses are rejected.

use super::profile::{HeaderMember, TokenProfile, TokenType, word_of};
use super::{Algorithm, DEPTH_MAX, TokenError};
use crate::json::{self, JsonNode};

/// Optional prefix of `typ` (RFC 7515, 4.1.9).
const TYPE_PREFIX: &str = "application/";
/// Members that would let a token choose its own key or interpretation. A profile can permit the two digests.
const REFUSED: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64"];
const KID_BYTES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    /// Used only for comparison with the names in the issuer's key set.
    pub(super) kid: String,
}

impl Header {
    pub(super) fn read(bytes: &[u8], profile: &TokenProfile) -> Result<Self, TokenError> {
        let node = json::read(bytes, DEPTH_MAX).map_err(|e| TokenError::json("header", &e))?;
        let JsonNode::Map(entries) = node else {
            return Err(TokenError::Header("it is not an object"));
        };
        for (name, _) in &entries {
            check_member(name, profile)?;
        }
        check_type(&entries, profile)?;
        let text = |wanted: &str| {
            entries.iter().find_map(|(name, node)| match node {
                JsonNode::Text(text) if name == wanted => Some(text.as_str()),
                _ => None,
            })
        };
        let algorithm = text("alg")
            .and_then(Algorithm::of)
            .ok_or(TokenError::Header("unknown algorithm"))?;
        let kid = text("kid")
            .filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()))
            .ok_or(TokenError::Header("no `kid`"))?;
        Ok(Self {
            algorithm,
            kid: kid.to_owned(),
        })
    }
}

fn check_member(name: &str, profile: &TokenProfile) -> Result<(), TokenError> {
    let is_permitted = |member: &HeaderMember| word_of(HeaderMember::WORDS, *member) == name;
    if !REFUSED.contains(&name) || profile.header_members.iter().any(is_permitted) {
        return Ok(());
    }
    Err(TokenError::Header(match name {
        "x5t" | "x5t#S256" => "it has a certificate digest, which `accept.header` does not list",
        _ => "it brings its own key, address or extension",
    }))
}

fn check_type(entries: &[(String, JsonNode)], profile: &TokenProfile) -> Result<(), TokenError> {
    let typ = match entries.iter().find(|(name, _)| name == "typ") {
        None => TokenType::Absent,
        Some((_, JsonNode::Text(text))) => typ_of(text).ok_or(UNKNOWN_TYPE)?,
        Some(_) => return Err(UNKNOWN_TYPE),
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

const UNKNOWN_TYPE: TokenError = TokenError::Header("`typ` is not that of an access token");

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
