//! Ed25519 keys: PKCS#8 PEM storage, key ids derived from the public key, strict verification.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use curve25519_dalek::constants::EIGHT_TORSION;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{SECRET_KEY_LENGTH, VerifyingKey};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::borrowed_text::BorrowedText;

const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Canonical encodings of the eight points whose order divides the cofactor.
static SMALL_ORDER_POINTS: LazyLock<[[u8; 32]; 8]> =
    LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().to_bytes()));

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

/// Public key: the canonical encoding of a point of large order.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// Private key. Zeroed when dropped; never printed.
///
/// `ed25519-dalek` encodes keys and checks their points; the faster `aws-lc-rs` signs and verifies.
pub struct SigningKey {
    encoded: ed25519_dalek::SigningKey,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    pub fn from_seed(seed: &Zeroizing<[u8; SECRET_KEY_LENGTH]>) -> Self {
        Self::of(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    fn of(encoded: ed25519_dalek::SigningKey) -> Self {
        let public = encoded.verifying_key();
        let pair = Ed25519KeyPair::from_seed_and_public_key(encoded.as_bytes(), public.as_bytes())
            .expect("the public key is derived from the seed");
        Self { encoded, pair }
    }

    /// Reads an unprotected key; a protected key returns [`KeyError::Protected`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if Self::is_protected(pem) {
            return Err(KeyError::Protected);
        }
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::NotAPrivateKey)?;
        Ok(Self::of(key))
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
        Ok(Self::of(key))
    }

    pub fn is_protected(pem: &str) -> bool {
        pem.contains(ENCRYPTED_LABEL)
    }

    pub fn to_pem(&self) -> Zeroizing<String> {
        self.key_alone()
            .to_pkcs8_pem(LineEnding::LF)
            .expect("an Ed25519 key always has a PKCS#8 form")
    }

    /// The first version of PKCS#8, which has no public key: OpenSSL before 3.2 reads no other.
    fn key_alone(&self) -> KeypairBytes {
        KeypairBytes {
            secret_key: self.encoded.to_bytes(),
            public_key: None,
        }
    }

    /// Encrypts the key under a passphrase: PBES2 with scrypt (N 2^15, r 8, p 1) and AES-256-CBC, which other
    /// tools also read. `salt` and `iv` must be fresh random bytes.
    pub fn to_protected_pem(&self, passphrase: &[u8], salt: &[u8; 16], iv: &[u8; 16]) -> Zeroizing<String> {
        let der = self
            .key_alone()
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
        PublicKey(self.encoded.verifying_key().to_bytes())
    }

    pub fn key_id(&self) -> KeyId {
        self.public_key().key_id()
    }

    /// Signs the bytes as they are. Objects are signed with [`super::DsseEnvelope::sign`].
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(bytes);
        signature
            .as_ref()
            .try_into()
            .expect("an Ed25519 signature has 64 bytes")
    }
}

impl PublicKey {
    /// # Errors
    /// [`KeyError::NotAPublicKey`] if the bytes are no point, a point of small order, or not its canonical encoding.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPublicKey)?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPublicKey);
        }
        Ok(Self(*bytes))
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn key_id(&self) -> KeyId {
        let digest = Sha256::digest(self.0);
        KeyId(format!("ed25519:{}", hex::encode(&digest[..16])))
    }

    /// Verifies strictly: rejects every signature that is not canonical, and points of small order.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        // The library compares R with the canonical encoding of the computed point, so that only the canonical
        // encodings of small-order points remain to be rejected.
        let is_small_order = SMALL_ORDER_POINTS
            .iter()
            .any(|point| signature.starts_with(point));
        !is_small_order
            && UnparsedPublicKey::new(&ED25519, &self.0)
                .verify(bytes, signature)
                .is_ok()
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
        f.write_str(&BASE64.encode(self.0))
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
        BorrowedText::deserialize(deserializer)?
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
        BorrowedText::deserialize(deserializer)?
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
        let pem = key().to_pem();
        let again = SigningKey::from_pem(&pem).unwrap();
        assert_eq!(again.key_id(), key().key_id());
        // 46 bytes follow: version 0, algorithm and seed.
        let (_, der) = SecretDocument::from_pem(&pem).unwrap();
        assert_eq!(
            (der.as_bytes().len(), &der.as_bytes()[..5]),
            (48, &[0x30, 0x2e, 2, 1, 0][..])
        );
    }

    #[test]
    fn keys_with_their_public_key_are_read_too() {
        let second = key().encoded.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_eq!(SigningKey::from_pem(&second).unwrap().key_id(), key().key_id());
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
