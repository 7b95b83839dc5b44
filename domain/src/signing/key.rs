//! Ed25519 keys: PKCS#8 PEM storage, key ids derived from the public key, strict verification.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signature as DalekSignature, Signer as _};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Reason why key material cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("not an Ed25519 private key in PKCS#8 PEM form")]
    NotAPrivateKey,
    #[error("the key is protected by a passphrase")]
    Protected,
    #[error("wrong passphrase")]
    WrongPassphrase,
    #[error("not an Ed25519 public key in base64 (32 bytes)")]
    NotAPublicKey,
    #[error("not a key id: expected `ed25519:` and 32 lower-case hex digits")]
    NotAKeyId,
}

/// Key id: `ed25519:` and the first 32 hex digits of SHA-256 over the public key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

/// Public key. Parsing rejects small-order points.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// Private key. Zeroed when dropped; never printed.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads an unprotected key; a protected key returns [`KeyError::Protected`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if Self::is_protected(pem) {
            return Err(KeyError::Protected);
        }
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::NotAPrivateKey)?;
        Ok(Self(key))
    }

    pub fn from_protected_pem(pem: &str, passphrase: &[u8]) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(pem).map_err(|_| KeyError::NotAPrivateKey)?;
        if label != ENCRYPTED_LABEL {
            return Err(KeyError::NotAPrivateKey);
        }
        let info =
            EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| KeyError::NotAPrivateKey)?;
        let plain = info.decrypt(passphrase).map_err(|_| KeyError::WrongPassphrase)?;
        let key = ed25519_dalek::SigningKey::from_pkcs8_der(plain.as_bytes())
            .map_err(|_| KeyError::WrongPassphrase)?;
        Ok(Self(key))
    }

    pub fn is_protected(pem: &str) -> bool {
        pem.contains(ENCRYPTED_LABEL)
    }

    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0
            .to_pkcs8_pem(LineEnding::LF)
            .expect("an Ed25519 key always has a PKCS#8 form")
    }

    /// Encrypts the key under a passphrase: PBES2 with scrypt (N 2^15, r 8, p 1) and AES-256-CBC, which other
    /// tools also read. `salt` and `iv` must be fresh random bytes.
    pub fn to_protected_pem(&self, passphrase: &[u8], salt: &[u8; 16], iv: &[u8; 16]) -> Zeroizing<String> {
        let der = self
            .0
            .to_pkcs8_der()
            .expect("an Ed25519 key always has a PKCS#8 form");
        let info = PrivateKeyInfo::try_from(der.as_bytes()).expect("just encoded");
        let cost = pkcs8::pkcs5::scrypt::Params::new(15, 8, 1, 32).expect("constant parameters are valid");
        let parameters =
            pbes2::Parameters::scrypt_aes256cbc(cost, salt, iv).expect("constant parameters are valid");
        let document = info
            .encrypt_with_params(parameters, passphrase)
            .expect("encryption of a short document");
        document
            .to_pem(ENCRYPTED_LABEL, LineEnding::LF)
            .expect("DER always has a PEM form")
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn key_id(&self) -> KeyId {
        self.public_key().key_id()
    }

    /// Signs the bytes as they are. Objects are signed with [`super::DsseEnvelope::sign`].
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl PublicKey {
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPublicKey)?;
        if key.is_weak() {
            return Err(KeyError::NotAPublicKey);
        }
        Ok(Self(key))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub fn key_id(&self) -> KeyId {
        let digest = Sha256::digest(self.0.as_bytes());
        KeyId(format!("ed25519:{}", hex::encode(&digest[..16])))
    }

    /// Verifies strictly: rejects small-order keys and non-canonical signatures.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = DalekSignature::from_slice(signature) else {
            return false;
        };
        self.0.verify_strict(bytes, &signature).is_ok()
    }
}

impl KeyId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.strip_prefix("ed25519:").ok_or(KeyError::NotAKeyId)?;
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.len() != 32 || !digits.bytes().all(is_hex) {
            return Err(KeyError::NotAKeyId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE64.decode(text).map_err(|_| KeyError::NotAPublicKey)?;
        Self::from_bytes(&bytes.try_into().map_err(|_| KeyError::NotAPublicKey)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0.as_bytes()))
    }
}
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.key_id())
    }
}
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.key_id())
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&Zeroizing::new([7; 32]))
    }

    #[test]
    fn pem_form_preserves_key() {
        let again = SigningKey::from_pem(&key().to_pem()).unwrap();
        assert_eq!(again.key_id(), key().key_id());
    }

    #[test]
    fn protected_key_requires_its_passphrase() {
        let pem = key().to_protected_pem(b"correct horse", &[1; 16], &[2; 16]);
        assert!(matches!(SigningKey::from_pem(&pem), Err(KeyError::Protected)));
        assert!(matches!(
            SigningKey::from_protected_pem(&pem, b"wrong"),
            Err(KeyError::WrongPassphrase)
        ));
        assert_eq!(
            SigningKey::from_protected_pem(&pem, b"correct horse")
                .unwrap()
                .key_id(),
            key().key_id()
        );
    }

    #[test]
    fn rejects_small_order_public_keys() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(
            PublicKey::from_bytes(&identity).unwrap_err(),
            KeyError::NotAPublicKey
        );
    }

    #[test]
    fn rejects_signature_with_non_canonical_scalar() {
        // Adding the group order to S gives the same point equation, and so a second valid-looking signature.
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut signature = key().sign(b"x");
        assert!(key().public_key().verifies(b"x", &signature));
        let mut carry = 0u16;
        for i in 0..32 {
            let sum = u16::from(signature[32 + i]) + u16::from(ORDER[i]) + carry;
            signature[32 + i] = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!key().public_key().verifies(b"x", &signature));
    }
}
