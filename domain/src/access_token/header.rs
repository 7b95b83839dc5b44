//! Parses the protected header: three members are used; embedded keys and key addresses are rejected.

use super::{Algorithm, DEPTH_MAX, TokenError};
use crate::json::{self, JsonNode};

/// `typ` of an access token, with and without the optional prefix of JWS (RFC 9068, 2.1).
const TYPES: [&str; 2] = ["at+jwt", "application/at+jwt"];
/// Members that would let a token choose its own key or interpretation.
const REFUSED: [&str; 8] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64"];
const KID_BYTES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    /// Used only for comparison with the names in the issuer's key set.
    pub(super) kid: String,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, TokenError> {
        let node = json::read(bytes, DEPTH_MAX).map_err(|e| TokenError::json("header", &e))?;
        let JsonNode::Map(entries) = node else {
            return Err(TokenError::Header("it is not an object"));
        };
        if entries.iter().any(|(name, _)| REFUSED.contains(&name.as_str())) {
            return Err(TokenError::Header("it brings its own key, address or extension"));
        }
        let text = |wanted: &str| {
            entries.iter().find_map(|(name, node)| match node {
                JsonNode::Text(text) if name == wanted => Some(text.as_str()),
                _ => None,
            })
        };
        let is_type = |typ: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(typ));
        if !text("typ").is_some_and(is_type) {
            return Err(TokenError::Header("`typ` is not that of an access token"));
        }
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
