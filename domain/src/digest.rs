//! SHA-256 over typed bytes. The digest input always includes the object kind, so that an object of one kind
//! cannot be used as another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::borrowed_text::BorrowedText;
use crate::signing::ObjectKind;

/// A SHA-256 digest; printed and stored as `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Error for a string that is not a digest in canonical spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected `sha256:` and 64 lower-case hex digits")]
pub struct InvalidDigest;

impl Digest {
    /// Computes the digest of a signed or digested object of this kind.
    pub fn of(kind: ObjectKind, bytes: &[u8]) -> Self {
        Self::of_typed(kind.payload_type(), bytes)
    }

    /// Computes the digest of bytes under any type string.
    pub fn of_typed(payload_type: &str, bytes: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(pae_head(payload_type, bytes.len()).as_bytes());
        hasher.update(bytes);
        Self(hasher.finalize().into())
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the first 60 bits as three groups of four base32 letters, for comparison by operators across
    /// devices. Never used for verification.
    pub fn short_code(&self) -> String {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut bits: u64 = 0;
        for byte in &self.0[..8] {
            bits = bits << 8 | u64::from(*byte);
        }
        let mut code = String::with_capacity(14);
        for i in 0..12 {
            if i > 0 && i % 4 == 0 {
                code.push('-');
            }
            let index = (bits >> (59 - 5 * i)) & 31;
            code.push(char::from(
                LETTERS[usize::try_from(index).expect("five bits fit")],
            ));
        }
        code
    }
}

/// Pre-authentication encoding of DSSE: `DSSEv1`, then length and string of the type, then length and bytes.
pub fn pae(payload_type: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = pae_head(payload_type, bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out
}

fn pae_head(payload_type: &str, length: usize) -> String {
    format!("DSSEv1 {} {} {} ", payload_type.len(), payload_type, length)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digits = text.strip_prefix("sha256:").ok_or(InvalidDigest)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidDigest);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidDigest)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BorrowedText::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_authentication_encoding_matches_published_example() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn rejects_other_spellings_of_a_digest() {
        let digest = Digest::of(ObjectKind::Proposal, b"{}");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        assert_ne!(digest, Digest::of(ObjectKind::Decision, b"{}"));
    }

    #[test]
    fn short_code_is_base32_of_the_first_sixty_bits() {
        let digest = Digest::from_bytes([0xff; 32]);
        assert_eq!(digest.short_code(), "7777-7777-7777");
        assert_eq!(Digest::from_bytes([0; 32]).short_code(), "AAAA-AAAA-AAAA");
    }
}
