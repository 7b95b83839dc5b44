//! Converts signed objects.

use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{BatchPlace, DsseEnvelope, Signature};

use super::{malformed, required};
use crate::common::v1;

impl From<&DsseEnvelope> for v1::DsseEnvelope {
    fn from(envelope: &DsseEnvelope) -> Self {
        let signatures = envelope
            .signatures
            .iter()
            .map(|s| v1::Signature {
                key_id: s.keyid.to_string(),
                sig: s.sig.clone(),
                batch: s.batch.as_ref().map(|place| v1::BatchPlace {
                    root: place.root().to_vec(),
                    proof: Some(place.proof().into()),
                }),
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
                let batch = s.batch.map(place).transpose()?;
                Ok(Signature {
                    keyid,
                    sig: s.sig,
                    batch,
                })
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

fn place(sent: v1::BatchPlace) -> Result<BatchPlace, PublicError> {
    let root = sent
        .root
        .try_into()
        .map_err(|_| malformed("batch.root", "must have 32 bytes"))?;
    let proof = required("batch.proof", sent.proof)?.try_into()?;
    BatchPlace::new(root, proof).map_err(|e| malformed("batch", e))
}
