//! File form of a replay with its proofs: every record byte for byte, in one canonical JSON object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::BundleError;
use crate::canonical;
use crate::log::{BODY_SALT_BYTES, ConsistencyProof, InclusionProof, ProvenEntry, TreeHash};

/// Maximum size of a bundle file, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 16 * 1024 * 1024;

const BUNDLE_VERSION: u32 = 1;

/// Records of one proposal, each with its proof under one signed checkpoint. All content is untrusted until
/// [`super::verify`] checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofBundle {
    v: u32,
    /// Name of the log.
    pub origin: String,
    /// Signed note of the checkpoint.
    pub checkpoint: String,
    records: Vec<BundleEntry>,
    /// Proofs between the checkpoint and the tree heads at which keys were retired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    consistency: Vec<Consistency>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Consistency {
    old_size: u64,
    new_size: u64,
    /// Hex, from the leaf upward.
    hashes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleEntry {
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    event: Vec<u8>,
    /// Hex.
    body_salt: String,
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    body: Vec<u8>,
    proof: Proof,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    index: u64,
    size: u64,
    /// Hex, from the leaf upward.
    hashes: Vec<String>,
}

impl ProofBundle {
    /// Packs records as a ledger returned them, oldest first.
    pub fn new(origin: &str, checkpoint: &str, records: &[ProvenEntry]) -> Self {
        let records = records.iter().map(BundleEntry::of).collect();
        Self {
            v: BUNDLE_VERSION,
            origin: origin.to_owned(),
            checkpoint: checkpoint.to_owned(),
            records,
            consistency: Vec::new(),
        }
    }

    /// Adds proofs between the checkpoint and the tree heads at which keys were retired.
    #[must_use]
    pub fn with_consistency(mut self, proofs: &[ConsistencyProof]) -> Self {
        self.consistency = proofs.iter().map(Consistency::of).collect();
        self
    }

    /// Encodes the bundle in canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        canonical::encode_within(self, BUNDLE_BYTES_MAX).map_err(malformed)
    }

    /// Reads exactly what [`Self::to_bytes`] writes; one line feed at the end is allowed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bundle: Self = canonical::decode_within(bytes, BUNDLE_BYTES_MAX).map_err(malformed)?;
        if bundle.v != BUNDLE_VERSION {
            return Err(malformed(format!("v must be {BUNDLE_VERSION}")));
        }
        Ok(bundle)
    }

    /// Returns the proofs between the checkpoint and other states of the log.
    pub fn consistency(&self) -> Result<Vec<ConsistencyProof>, BundleError> {
        self.consistency.iter().map(Consistency::proof).collect()
    }

    /// Returns the records as the log holds them.
    pub fn records(&self) -> Result<Vec<ProvenEntry>, BundleError> {
        self.records
            .iter()
            .enumerate()
            .map(|(position, r)| r.logged(position))
            .collect()
    }
}

impl Consistency {
    fn of(proof: &ConsistencyProof) -> Self {
        Self {
            old_size: proof.old_size(),
            new_size: proof.new_size(),
            hashes: proof.hashes().iter().map(hex::encode).collect(),
        }
    }

    fn proof(&self) -> Result<ConsistencyProof, BundleError> {
        let hashes = self.hashes.iter().map(|h| fixed(h));
        let hashes: Vec<TreeHash> = hashes
            .collect::<Option<_>>()
            .ok_or_else(|| malformed("consistency: a hash is not lower-case hex of 32 bytes"))?;
        ConsistencyProof::new(self.old_size, self.new_size, hashes).map_err(malformed)
    }
}

impl BundleEntry {
    fn of(record: &ProvenEntry) -> Self {
        let proof = &record.proof;
        Self {
            event: record.event_bytes.clone(),
            body_salt: hex::encode(record.body_salt),
            body: record.body.clone(),
            proof: Proof {
                index: proof.index(),
                size: proof.size(),
                hashes: proof.hashes().iter().map(hex::encode).collect(),
            },
        }
    }

    fn logged(&self, position: usize) -> Result<ProvenEntry, BundleError> {
        let wrong = |what: &str| {
            malformed(format!(
                "record {position}: {what} is not lower-case hex of 32 bytes"
            ))
        };
        let hashes = self.proof.hashes.iter();
        let hashes: Vec<TreeHash> = hashes
            .map(|h| fixed(h))
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("a hash of the proof"))?;
        let body_salt: [u8; BODY_SALT_BYTES] = fixed(&self.body_salt).ok_or_else(|| wrong("body_salt"))?;
        let proof = InclusionProof::new(self.proof.index, self.proof.size, hashes)
            .map_err(|error| BundleError::Record { position, error })?;
        Ok(ProvenEntry {
            event_bytes: self.event.clone(),
            body_salt,
            body: self.body.clone(),
            proof,
        })
    }
}

/// Decodes 32 bytes from their canonical hex spelling.
fn fixed(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    (hex::encode(bytes) == text).then_some(bytes)
}

fn malformed(problem: impl std::fmt::Display) -> BundleError {
    BundleError::Malformed(problem.to_string())
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64
        .decode(String::deserialize(deserializer)?)
        .map_err(serde::de::Error::custom)
}
