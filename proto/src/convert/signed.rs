//! Signed objects.

use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::{Envelope, Signature};

use super::malformed;
use crate::common::v1;

impl From<&Envelope> for v1::DsseEnvelope {
    fn from(envelope: &Envelope) -> Self {
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

impl From<Envelope> for v1::DsseEnvelope {
    fn from(envelope: Envelope) -> Self {
        Self::from(&envelope)
    }
}

impl TryFrom<v1::DsseEnvelope> for Envelope {
    type Error = Refusal;

    fn try_from(signed: v1::DsseEnvelope) -> Result<Self, Refusal> {
        let signatures = signed
            .signatures
            .into_iter()
            .map(|s| {
                let keyid = s.key_id.parse().map_err(|e| malformed("key_id", e))?;
                Ok(Signature { keyid, sig: s.sig })
            })
            .collect::<Result<_, Refusal>>()?;
        let envelope = Self {
            payload: signed.payload,
            payload_type: signed.payload_type,
            signatures,
        };
        envelope.check_sizes().map_err(|e| malformed("payload", e))?;
        Ok(envelope)
    }
}
