//! One signature over the evidence of several calls: it covers the root of a Merkle tree (RFC 6962) whose leaves are
//! the bytes that a single signature would cover. Each evidence keeps its path to the root, so that it verifies
//! alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use tlog_tiles::tlog::{self, HashReader};

use super::envelope::Signature;
use super::{DsseEnvelope, ObjectKind, PublicKey, SigningKey};
use crate::digest::pae;
use crate::log::{InclusionProof, LogError, TreeHash, leaf_hash};

/// Maximum number of objects under one signature, and of records in one request to the ledger.
pub const BATCH_OBJECTS_MAX: usize = 64;
/// Number of hashes that lead from a leaf of the largest batch to its root.
const PATH_HASHES_MAX: usize = 6;
/// Type of the bytes that the signature of a batch covers.
const PAYLOAD_TYPE: &str = "application/vnd.synapsor.evidence-batch.v1";

/// Place of an object in the batch that its signature covers: the tree's root and the path to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WirePlace", into = "WirePlace")]
pub struct BatchPlace {
    root: TreeHash,
    proof: InclusionProof,
}

impl BatchPlace {
    /// Rejects a batch of fewer than two or more than [`BATCH_OBJECTS_MAX`] objects, and a path longer than that of
    /// the largest batch.
    pub fn new(root: TreeHash, proof: InclusionProof) -> Result<Self, LogError> {
        if !(2..=BATCH_OBJECTS_MAX as u64).contains(&proof.size()) {
            return Err(LogError::SizeOutOfRange);
        }
        if proof.hashes().len() > PATH_HASHES_MAX {
            return Err(LogError::ProofTooLong);
        }
        Ok(Self { root, proof })
    }

    /// Returns the root of the batch's tree.
    pub const fn root(&self) -> &TreeHash {
        &self.root
    }

    /// Returns the path from the object's leaf to the root.
    pub const fn proof(&self) -> &InclusionProof {
        &self.proof
    }

    /// Returns the bytes that the signature covers, if an object with these bytes is at this place.
    pub(super) fn signed_bytes(&self, object: &[u8]) -> Option<Vec<u8>> {
        self.proof.verify(&leaf_hash(object), &self.root).ok()?;
        Some(signed_bytes(self.proof.size(), &self.root))
    }
}

fn signed_bytes(size: u64, root: &TreeHash) -> Vec<u8> {
    let covered = [&size.to_be_bytes()[..], root].concat();
    pae(PAYLOAD_TYPE, &covered)
}

/// Signs evidence in canonical form, all of it with one signature. A single one gets a signature of its own.
///
/// # Panics
/// More than [`BATCH_OBJECTS_MAX`] payloads.
pub fn sign_evidence(payloads: Vec<Vec<u8>>, key: &SigningKey) -> Vec<DsseEnvelope> {
    assert!(
        payloads.len() <= BATCH_OBJECTS_MAX,
        "too many objects for one signature"
    );
    if payloads.len() < 2 {
        let alone = payloads.into_iter();
        return alone
            .map(|payload| DsseEnvelope::seal_bytes(ObjectKind::Evidence, payload, key))
            .collect();
    }
    let payload_type = ObjectKind::Evidence.payload_type();
    let mut tree = Tree(Vec::new());
    for (index, payload) in (0..).zip(&payloads) {
        let leaf = tlog::Hash(leaf_hash(&pae(payload_type, payload)));
        let made = tlog::stored_hashes_for_record_hash(index, leaf, &tree);
        tree.0.extend(made.expect("the tree has every earlier node"));
    }
    let size = payloads.len() as u64;
    let root = tlog::tree_hash(size, &tree).expect("the tree has every node").0;
    let sig = key.sign(&signed_bytes(size, &root)).to_vec();
    let place = |index| {
        let path = tlog::prove_record(size, index, &tree).expect("the tree has every node");
        let hashes = path.into_iter().map(|hash| hash.0).collect();
        let proof = InclusionProof::new(index, size, hashes).expect("the index is in the tree");
        BatchPlace { root, proof }
    };
    (0..)
        .zip(payloads)
        .map(|(index, payload)| DsseEnvelope {
            payload,
            payload_type: payload_type.to_owned(),
            signatures: vec![Signature {
                keyid: key.key_id(),
                sig: sig.clone(),
                batch: Some(place(index)),
            }],
        })
        .collect()
}

/// Stored nodes of a batch's tree.
struct Tree(Vec<tlog::Hash>);

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let node = |index: &u64| self.0.get(usize::try_from(*index).ok()?).copied();
        let hashes: Option<Vec<_>> = indexes.iter().map(node).collect();
        hashes.ok_or(tlog::Error::IndexesNotInTree)
    }
}

/// Verifies signatures, the signature of a batch once for all objects that follow each other.
#[derive(Debug, Default)]
pub struct BatchVerifier(Option<VerifiedBatch>);

#[derive(Debug, PartialEq, Eq)]
struct VerifiedBatch {
    key: PublicKey,
    covered: Vec<u8>,
    sig: Vec<u8>,
}

impl BatchVerifier {
    /// Returns whether the key made this signature over the bytes of a batch.
    pub(super) fn verifies(&mut self, key: &PublicKey, covered: Vec<u8>, sig: &[u8]) -> bool {
        let wanted = VerifiedBatch {
            key: key.clone(),
            covered,
            sig: sig.to_vec(),
        };
        if self.0.as_ref() == Some(&wanted) {
            return true;
        }
        let is_valid = key.verifies(&wanted.covered, &wanted.sig);
        if is_valid {
            self.0 = Some(wanted);
        }
        is_valid
    }
}

/// JSON form of [`BatchPlace`], its fields in canonical order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePlace {
    hashes: Vec<String>,
    index: u64,
    root: String,
    size: u64,
}

impl From<BatchPlace> for WirePlace {
    fn from(place: BatchPlace) -> Self {
        let hashes = place.proof.hashes().iter();
        Self {
            hashes: hashes.map(|hash| BASE64.encode(hash)).collect(),
            index: place.proof.index(),
            root: BASE64.encode(place.root),
            size: place.proof.size(),
        }
    }
}

impl TryFrom<WirePlace> for BatchPlace {
    type Error = LogError;

    fn try_from(wire: WirePlace) -> Result<Self, LogError> {
        if wire.hashes.len() > PATH_HASHES_MAX {
            return Err(LogError::ProofTooLong);
        }
        let decode = |text: &String| BASE64.decode(text).map_err(|_| LogError::HashLength);
        let hashes = wire.hashes.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let root = TreeHash::try_from(decode(&wire.root)?).map_err(|_| LogError::HashLength)?;
        Self::new(root, InclusionProof::from_wire(wire.index, wire.size, &hashes)?)
    }
}
