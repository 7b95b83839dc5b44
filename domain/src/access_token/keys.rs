//! Public keys of the issuer (RFC 7517). Symmetric keys, encryption keys, unknown kinds and malformed keys are
//! excluded from a set, so that no token can select them and none makes the others unusable.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;
use synapsor_codes::ErrorCode;

use super::header::Header;
use super::{Algorithm, TokenError};
use crate::error::PublicError;
use crate::json::{self, JsonNode};

/// Maximum size of a key set document, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Maximum number of keys in one set.
const KEYS_MAX: usize = 64;
/// Maximum nesting depth of one key.
const DEPTH_MAX: usize = 4;
const ED25519_BYTES: usize = 32;
const P256_COORDINATE_BYTES: usize = 32;
/// First byte of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Public keys by their `kid`, which need not be unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks(Vec<(String, JwkPublicKey)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum JwkPublicKey {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Jwks {
    /// Reads a JSON Web Key Set.
    ///
    /// # Errors
    /// `TOKEN_KEYS_UNREADABLE` if it is not a key set, or has too many keys, or no usable key.
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
        let document: KeySetDocument<'_> = serde_json::from_slice(bytes)
            .map_err(|_| unreadable("it is not a JSON object with a list `keys`".to_owned()))?;
        if document.keys.len() > KEYS_MAX {
            return Err(unreadable(format!("it has more than {KEYS_MAX} keys")));
        }
        let mut keys: Vec<(String, JwkPublicKey)> = Vec::with_capacity(document.keys.len());
        for named in document.keys.iter().filter_map(|raw| usable(raw)) {
            if !keys.contains(&named) {
                keys.push(named);
            }
        }
        if keys.is_empty() {
            return Err(unreadable("no key in it can verify tokens".to_owned()));
        }
        Ok(Self(keys))
    }

    /// Verifies a signature with the keys that `kid` names; an issuer may give several keys the same name.
    pub(super) fn verify(&self, header: &Header, signed: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        let mut outcome = Err(header.unknown_kid());
        for (_, key) in self.0.iter().filter(|(kid, _)| *kid == header.kid) {
            let verified = key.verify(header.algorithm, signed, signature);
            match (&outcome, &verified) {
                (_, Ok(())) => return Ok(()),
                // A key of the right algorithm says more than one of another.
                (Err(TokenError::Signature), Err(_)) => {}
                (Ok(()) | Err(_), Err(_)) => outcome = verified,
            }
        }
        outcome
    }

    #[cfg(test)]
    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|(known, _)| known == kid)
    }
}

/// Keys as the issuer writes them; each is read by itself.
#[derive(Deserialize)]
struct KeySetDocument<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl JwkPublicKey {
    const fn algorithm(&self) -> Algorithm {
        match self {
            JwkPublicKey::Ed25519(_) => Algorithm::EdDSA,
            JwkPublicKey::P256(_) => Algorithm::ES256,
            JwkPublicKey::Rsa { .. } => Algorithm::RS256,
        }
    }

    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Result<(), TokenError> {
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
fn usable(raw: &RawValue) -> Option<(String, JwkPublicKey)> {
    let node = &json::read(raw.get().as_bytes(), DEPTH_MAX).ok()?;
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
