//! Body of [`EventKind::ReadRecorded`](super::EventKind::ReadRecorded): evidence and audit record of one read.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::canonical::{self, CanonicalError};
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::signing::{DsseEnvelope, ObjectKind, Signature};

/// Maximum size of a body, in bytes: that of evidence and audit record, and signatures.
const BODY_BYTES_MAX: usize = 2 * ENVELOPE_BYTES_MAX;

/// Evidence as the reader signed it, and the audit record in canonical form.
///
/// Both are members of the body as they are, because they are canonical JSON themselves: the bytes that the signature
/// covers are those of the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBody {
    pub evidence: DsseEnvelope,
    pub audit: Vec<u8>,
}

/// Members of the body, in canonical order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    audit: Box<RawValue>,
    evidence: Box<RawValue>,
    signatures: Vec<Signature>,
}

impl ReadBody {
    /// Encodes the body in canonical form. Both records must have been decoded: their depth is then bounded.
    pub fn encode(evidence: &DsseEnvelope, audit: &[u8]) -> Result<Vec<u8>, CanonicalError> {
        let signatures = canonical::encode(&evidence.signatures)?;
        let parts: [&[u8]; 7] = [
            br#"{"audit":"#,
            audit,
            br#","evidence":"#,
            &evidence.payload,
            br#","signatures":"#,
            &signatures,
            b"}",
        ];
        Ok(parts.concat())
    }

    /// Reads exactly what [`Self::encode`] writes. The records are canonical, and not yet decoded.
    pub fn decode(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let members: Members = canonical::decode_within(bytes, BODY_BYTES_MAX)?;
        let evidence = DsseEnvelope {
            payload: members.evidence.get().as_bytes().to_vec(),
            payload_type: ObjectKind::Evidence.payload_type().to_owned(),
            signatures: members.signatures,
        };
        evidence.check_sizes()?;
        let audit = members.audit.get().as_bytes().to_vec();
        Ok(Self { evidence, audit })
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::signing::{SigningKey, sign_evidence};

    #[test]
    fn records_of_a_body_are_the_bytes_that_were_encoded() {
        let key = SigningKey::from_seed(&Zeroizing::new([1; 32]));
        let payload = r#"{"a":"\u0001\"}]\\é","b":[{"x":null},-7]}"#.as_bytes().to_vec();
        let audit = br#"{"audit":"{","evidence":1}"#;
        for payloads in [vec![payload.clone()], vec![b"{}".to_vec(), payload.clone()]] {
            let signed = sign_evidence(payloads, &key).pop().unwrap();
            let bytes = ReadBody::encode(&signed, audit).unwrap();
            let body = ReadBody::decode(&bytes).unwrap();
            assert_eq!((&body.evidence, body.audit.as_slice()), (&signed, &audit[..]));
            let opened = body
                .evidence
                .verify_and_decode::<serde_json::Value>(ObjectKind::Evidence, &key.public_key());
            opened.unwrap();
            let text = String::from_utf8(bytes).unwrap();
            for (from, to) in [
                (r#"{"audit":"#, r#"{ "audit":"#),
                (r#"{"audit":"#, r#"{"a":1,"audit":"#),
                (r#"{"audit":{"audit":"{","evidence":1},"#, "{"),
                (r#""b":["#, r#""b": ["#),
                (r#""sig":"#, r#""sig":"AAAA","sig":"#),
            ] {
                assert!(text.contains(from), "{from}");
                let altered = text.replacen(from, to, 1);
                assert!(ReadBody::decode(altered.as_bytes()).is_err(), "{altered}");
            }
        }
    }
}
