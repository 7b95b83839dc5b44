//! Converts signed objects.

use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, Signature};

use super::malformed;
use crate::common::v1;

impl From<&DsseEnvelope> for v1::DsseEnvelope {
    fn from(envelope: &DsseEnvelope) -> Self {
        let signatures = envelope
            .signatures
            .iter()
            .map(|s| v1::Signature {
                key_id: s.keyid.to_string(),
                sig: s.sig.clone(),
            })
            .collect();
        Self {
            payload_type: envelope.payload_type.clone(),
            payload: envelope.payload.clone(),
            signatures,
        }
    }
}

impl From<DsseEnvelope> for v1::DsseEnvelope {
    fn from(envelope: DsseEnvelope) -> Self {
        Self::from(&envelope)
    }
}

impl TryFrom<v1::DsseEnvelope> for DsseEnvelope {
    type Error = PublicError;

    fn try_from(signed: v1::DsseEnvelope) -> Result<Self, PublicError> {
        let signatures = signed
            .signatures
            .into_iter()
            .map(|s| {
                let keyid = s.key_id.parse().map_err(|e| malformed("key_id", e))?;
                Ok(Signature { keyid, sig: s.sig })
            })
            .collect::<Result<_, PublicError>>()?;
        let envelope = Self {
            payload: signed.payload,
            payload_type: signed.payload_type,
            signatures,
        };
        envelope.check_sizes().map_err(|e| malformed("payload", e))?;
        Ok(envelope)
    }
}
