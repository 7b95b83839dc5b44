//! Public keys of the issuer (RFC 7517). Symmetric keys, encryption keys and unknown kinds are excluded from a
//! set, so that no token can select them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use synapsor_codes::ErrorCode;

use super::{Algorithm, TokenError};
use crate::error::PublicError;
use crate::json::{self, JsonNode};

/// Maximum size of a key set document, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Maximum number of keys in one set.
const KEYS_MAX: usize = 64;
const DEPTH_MAX: usize = 6;
const ED25519_BYTES: usize = 32;
const P256_COORDINATE_BYTES: usize = 32;
/// First byte of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Public keys by their `kid`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks(Vec<(String, JwkPublicKey)>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JwkPublicKey {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Jwks {
    /// Reads a JSON Web Key Set.
    ///
    /// # Errors
    /// `TOKEN_KEYS_UNREADABLE` if it is not a key set, or has too many keys, a duplicate `kid`, or no usable key.
    pub fn parse(bytes: &[u8]) -> Result<Self, PublicError> {
        let unreadable = |why: String| {
            PublicError::new(
                ErrorCode::TokenKeysUnreadable,
                format!("the key set cannot be used: {why}"),
            )
        };
        if bytes.len() > KEY_SET_BYTES_MAX {
            return Err(unreadable(format!("it has more than {KEY_SET_BYTES_MAX} bytes")));
        }
        let node = json::read(bytes, DEPTH_MAX).map_err(|error| unreadable(error.to_string()))?;
        let listed = member(&node, "keys");
        let Some(JsonNode::List(items)) = listed else {
            return Err(unreadable("it has no list `keys`".to_owned()));
        };
        if items.len() > KEYS_MAX {
            return Err(unreadable(format!("it has more than {KEYS_MAX} keys")));
        }
        let mut keys: Vec<(String, JwkPublicKey)> = Vec::with_capacity(items.len());
        for (kid, key) in items.iter().filter_map(usable) {
            if keys.iter().any(|(known, _)| *known == kid) {
                return Err(unreadable("duplicate `kid`".to_owned()));
            }
            keys.push((kid, key));
        }
        if keys.is_empty() {
            return Err(unreadable("no key in it can verify tokens".to_owned()));
        }
        Ok(Self(keys))
    }

    pub(super) fn find(&self, kid: &str) -> Option<&JwkPublicKey> {
        self.0.iter().find(|(known, _)| known == kid).map(|(_, key)| key)
    }
}

impl JwkPublicKey {
    const fn algorithm(&self) -> Algorithm {
        match self {
            JwkPublicKey::Ed25519(_) => Algorithm::EdDSA,
            JwkPublicKey::P256(_) => Algorithm::ES256,
            JwkPublicKey::Rsa { .. } => Algorithm::RS256,
        }
    }

    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        if self.algorithm() != algorithm {
            return Err(TokenError::KeyMismatch);
        }
        let verified = match self {
            JwkPublicKey::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
            JwkPublicKey::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(signed, signature)
            }
            JwkPublicKey::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
        };
        verified.map_err(|_| TokenError::Signature)
    }
}

fn member<'a>(node: &'a JsonNode, name: &str) -> Option<&'a JsonNode> {
    match node {
        JsonNode::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, node)| node),
        _ => None,
    }
}

fn text<'a>(node: &'a JsonNode, name: &str) -> Option<&'a str> {
    match member(node, name) {
        Some(JsonNode::Text(text)) => Some(text),
        _ => None,
    }
}

/// Returns a token signing key with its `kid`.
fn usable(node: &JsonNode) -> Option<(String, JwkPublicKey)> {
    let kid = text(node, "kid")?.to_owned();
    if text(node, "use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let bytes = |name: &str| text(node, name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
    let key = match (text(node, "kty")?, text(node, "crv")) {
        ("OKP", Some("Ed25519")) => JwkPublicKey::Ed25519(bytes("x").filter(|x| x.len() == ED25519_BYTES)?),
        ("EC", Some("P-256")) => {
            let coordinate = |name| bytes(name).filter(|part| part.len() == P256_COORDINATE_BYTES);
            JwkPublicKey::P256([vec![UNCOMPRESSED], coordinate("x")?, coordinate("y")?].concat())
        }
        ("RSA", _) => JwkPublicKey::Rsa {
            n: without_leading_zeros(bytes("n")?),
            e: without_leading_zeros(bytes("e")?),
        },
        _ => return None,
    };
    let is_for_another = text(node, "alg").is_some_and(|alg| alg != key.algorithm().as_str());
    (!is_for_another).then_some((kid, key))
}

/// Strips padding: some issuers pad big-endian integers; the verifier accepts only the shortest form.
fn without_leading_zeros(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}
