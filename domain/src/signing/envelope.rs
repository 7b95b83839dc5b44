//! DSSE envelopes: the exact signed bytes, their type, and the signatures over both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::batch::{BatchPlace, BatchVerifier};
use super::{KeyId, ObjectKind, PublicKey, SigningKey};
use crate::canonical::{self, CanonicalError, StringObserver};
use crate::digest::{Digest, pae};
use crate::limits::{CANONICAL_BYTES_MAX, ENVELOPE_BYTES_MAX, SIGNATURES_MAX};

/// Signed object as it is sent and stored. An envelope alone does not prove who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DsseEnvelope {
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub payload: Vec<u8>,
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    pub signatures: Vec<Signature>,
}

/// Signature with the id of the key that it claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Present if the signature covers a batch of evidence instead of this object alone.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub batch: Option<BatchPlace>,
    pub keyid: KeyId,
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub sig: Vec<u8>,
}

/// Reason why an envelope is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("malformed: {0}")]
    Malformed(#[from] CanonicalError),
    #[error("unexpected payload type")]
    WrongType,
    #[error("expected exactly one signature")]
    SignatureCount,
    #[error("not signed by the expected key")]
    WrongKey,
    #[error("signature verification failed")]
    BadSignature,
    #[error("only evidence may be signed in a batch")]
    BatchNotAllowed,
}

impl DsseEnvelope {
    /// Encodes `object` canonically and signs it.
    pub fn sign<T: Serialize>(
        kind: ObjectKind,
        object: &T,
        key: &SigningKey,
    ) -> Result<Self, CanonicalError> {
        Ok(Self::seal_bytes(kind, canonical::encode(object)?, key))
    }

    /// Signs bytes that are already in canonical form.
    pub fn seal_bytes(kind: ObjectKind, payload: Vec<u8>, key: &SigningKey) -> Self {
        let sig = key.sign(&pae(kind.payload_type(), &payload)).to_vec();
        let signatures = vec![Signature {
            keyid: key.key_id(),
            sig,
            batch: None,
        }];
        Self {
            payload,
            payload_type: kind.payload_type().to_owned(),
            signatures,
        }
    }

    /// Returns the digest of the signed object, if it is of this kind.
    pub fn digest(&self, kind: ObjectKind) -> Result<Digest, EnvelopeError> {
        self.expect_kind(kind)?;
        Ok(Digest::of(kind, &self.payload))
    }

    /// Decodes the object without checking signatures.
    pub fn decode_unverified<T: DeserializeOwned>(&self, kind: ObjectKind) -> Result<T, EnvelopeError> {
        self.expect_kind(kind)?;
        Ok(canonical::decode(&self.payload)?)
    }

    /// Decodes the object in one pass like [`canonical::decode_observed`], without checking signatures.
    pub fn decode_observed<'de, T: Deserialize<'de>>(
        &'de self,
        kind: ObjectKind,
        observer: &mut impl StringObserver,
    ) -> Result<T, EnvelopeError> {
        self.expect_kind(kind)?;
        Ok(canonical::decode_observed(&self.payload, observer)?)
    }

    /// Returns the key id of the only signature.
    pub fn signer(&self) -> Result<&KeyId, EnvelopeError> {
        match self.signatures.as_slice() {
            [one] => Ok(&one.keyid),
            _ => Err(EnvelopeError::SignatureCount),
        }
    }

    /// Verifies exactly one signature by exactly this key over exactly these bytes, then decodes the object.
    pub fn verify_and_decode<T: DeserializeOwned>(
        &self,
        kind: ObjectKind,
        key: &PublicKey,
    ) -> Result<T, EnvelopeError> {
        self.verify_and_decode_in_batch(kind, key, &mut BatchVerifier::default())
    }

    /// Like [`Self::verify_and_decode`], for the objects of one request: the signature of a batch is verified once.
    pub fn verify_and_decode_in_batch<T: DeserializeOwned>(
        &self,
        kind: ObjectKind,
        key: &PublicKey,
        batch: &mut BatchVerifier,
    ) -> Result<T, EnvelopeError> {
        let object = self.decode_unverified(kind)?;
        self.verify_in_batch(kind, key, batch)?;
        Ok(object)
    }

    /// Verifies exactly one signature by exactly this key over exactly these bytes, whatever they are.
    pub fn verify_in_batch(
        &self,
        kind: ObjectKind,
        key: &PublicKey,
        batch: &mut BatchVerifier,
    ) -> Result<(), EnvelopeError> {
        self.expect_kind(kind)?;
        if *self.signer()? != key.key_id() {
            return Err(EnvelopeError::WrongKey);
        }
        let covered = pae(kind.payload_type(), &self.payload);
        let signature = &self.signatures[0];
        let is_valid = match &signature.batch {
            None => key.verifies(&covered, &signature.sig),
            // Whatever moves a row is signed alone.
            Some(_) if kind != ObjectKind::Evidence => return Err(EnvelopeError::BatchNotAllowed),
            Some(place) => place
                .signed_bytes(&covered)
                .is_some_and(|covered| batch.verifies(key, covered, &signature.sig)),
        };
        if is_valid {
            Ok(())
        } else {
            Err(EnvelopeError::BadSignature)
        }
    }

    /// Encodes the envelope in canonical form, as it is stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::encode_within(self, ENVELOPE_BYTES_MAX)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let envelope: Self = canonical::decode_within(bytes, ENVELOPE_BYTES_MAX)?;
        envelope.check_sizes()?;
        Ok(envelope)
    }

    /// Checks the size limits before anything else is processed.
    pub fn check_sizes(&self) -> Result<(), CanonicalError> {
        if self.payload.len() > CANONICAL_BYTES_MAX {
            return Err(CanonicalError::TooLarge(self.payload.len(), CANONICAL_BYTES_MAX));
        }
        if self.signatures.len() > SIGNATURES_MAX || self.signatures.iter().any(|s| s.sig.len() != 64) {
            return Err(CanonicalError::Shape(
                "at most 8 signatures of 64 bytes each".to_owned(),
            ));
        }
        Ok(())
    }

    fn expect_kind(&self, kind: ObjectKind) -> Result<(), EnvelopeError> {
        if self.payload_type == kind.payload_type() {
            Ok(())
        } else {
            Err(EnvelopeError::WrongType)
        }
    }
}

/// Refuses null, which would be a second form of an absent place.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BatchPlace>, D::Error> {
    BatchPlace::deserialize(deserializer).map(Some)
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64
        .decode(String::deserialize(deserializer)?)
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Zeroizing::new([seed; 32]))
    }

    #[test]
    fn rejects_object_of_another_kind() {
        let sealed = DsseEnvelope::sign(ObjectKind::Decision, &serde_json::json!({"a": 1}), &key(1)).unwrap();
        let open = |kind| sealed.verify_and_decode::<serde_json::Value>(kind, &key(1).public_key());
        assert!(open(ObjectKind::Decision).is_ok());
        assert_eq!(open(ObjectKind::ApplyOrder), Err(EnvelopeError::WrongType));
        let mut renamed = sealed.clone();
        renamed.payload_type = ObjectKind::ApplyOrder.payload_type().to_owned();
        let opened =
            renamed.verify_and_decode::<serde_json::Value>(ObjectKind::ApplyOrder, &key(1).public_key());
        assert_eq!(opened, Err(EnvelopeError::BadSignature));
    }

    #[test]
    fn rejects_changed_byte_other_key_and_second_signature() {
        let sealed = DsseEnvelope::sign(ObjectKind::Decision, &serde_json::json!({"a": 1}), &key(1)).unwrap();
        let open = |e: &DsseEnvelope, k: &SigningKey| {
            e.verify_and_decode::<serde_json::Value>(ObjectKind::Decision, &k.public_key())
        };
        let mut changed = sealed.clone();
        changed.payload = br#"{"a":2}"#.to_vec();
        assert_eq!(open(&changed, &key(1)), Err(EnvelopeError::BadSignature));
        assert_eq!(open(&sealed, &key(2)), Err(EnvelopeError::WrongKey));
        let mut doubled = sealed.clone();
        doubled.signatures.push(sealed.signatures[0].clone());
        assert_eq!(open(&doubled, &key(1)), Err(EnvelopeError::SignatureCount));
        assert_eq!(
            DsseEnvelope::from_bytes(&sealed.to_bytes().unwrap()).unwrap(),
            sealed
        );
    }
}
