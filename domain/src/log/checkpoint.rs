//! Checkpoints: signed tree heads, as C2SP checkpoints inside C2SP signed notes with one signature.

use signed_note::{Note, VerificationError, Verifier, Verifiers, key_id};
use tlog_tiles::checkpoint as tlog_checkpoint;
use tlog_tiles::tlog;

use super::tree::{EMPTY_ROOT, TREE_SIZE_MAX, TreeHash, TreeHead};
use super::{InclusionProof, LogError};
use crate::signing::{PublicKey, SigningKey};

/// Maximum size of a note, in bytes: several times what origin, size, root and one signature need.
pub const NOTE_BYTES_MAX: usize = 4096;

const ED25519_ALGORITHM: u8 = 1;

/// Verified tree head. Values come from [`verify_checkpoint`], or from the process that owns the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log: `synapsor/<deployment id>`.
    pub origin: String,
    /// Number of events.
    pub size: u64,
    /// Root of the tree over all of them.
    pub root: TreeHash,
}

impl Checkpoint {
    /// Returns size and root, without the name.
    pub const fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root,
        }
    }

    /// Returns the head of an empty log.
    pub fn empty(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            size: 0,
            root: EMPTY_ROOT,
        }
    }

    /// Verifies that the tree includes the event bytes at the position of the proof.
    pub fn includes(&self, event_bytes: &[u8], proof: &InclusionProof) -> Result<(), LogError> {
        if proof.size() != self.size {
            return Err(LogError::OtherTree);
        }
        proof.verify(&super::leaf_hash(event_bytes), &self.root)
    }
}

/// Signs a tree head. Equal input gives equal text, so the same batch never has two notes.
pub fn sign_checkpoint(
    origin: &str,
    size: u64,
    root: &TreeHash,
    key: &SigningKey,
) -> Result<String, LogError> {
    if !origin_is_usable(origin) {
        return Err(LogError::OriginMalformed);
    }
    if size > TREE_SIZE_MAX {
        return Err(LogError::SizeOutOfRange);
    }
    let head = tlog_checkpoint::Checkpoint::new(origin, size, tlog::Hash(*root), "")
        .map_err(|_| LogError::OriginMalformed)?;
    let mut note = Note::new(&head.to_bytes(), &[]).map_err(|_| LogError::OriginMalformed)?;
    let signer = NoteSigner { origin, key };
    note.add_sigs(&[&signer]).map_err(|_| LogError::NoteMalformed)?;
    String::from_utf8(note.to_bytes()).map_err(|_| LogError::NoteMalformed)
}

/// Reads and verifies a note: canonical spelling, no extension lines, this origin, exactly one signature, by
/// `key`.
pub fn verify_checkpoint(note: &str, origin: &str, key: &PublicKey) -> Result<Checkpoint, LogError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(LogError::NoteMalformed);
    }
    let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| LogError::NoteMalformed)?;
    // Base64 has several spellings of one value; only the spelling that this crate writes is accepted.
    if parsed.to_bytes() != note.as_bytes() {
        return Err(LogError::NoteMalformed);
    }
    let head = tlog_checkpoint::Checkpoint::from_bytes(parsed.text()).map_err(|_| LogError::NoteMalformed)?;
    if head.to_bytes() != parsed.text() || !head.extension().is_empty() || head.size() > TREE_SIZE_MAX {
        return Err(LogError::NoteMalformed);
    }
    if head.origin() != origin {
        return Err(LogError::OtherOrigin);
    }
    let verifier = NoteVerifier { origin, key };
    let (verified, others) = parsed.verify(&verifier).map_err(|_| LogError::NoteSignature)?;
    if verified.len() != 1 || !others.is_empty() {
        return Err(LogError::NoteSignature);
    }
    // The library counts a duplicate line once.
    let once = Note::new(parsed.text(), &verified).map_err(|_| LogError::NoteMalformed)?;
    if once.to_bytes() != note.as_bytes() {
        return Err(LogError::NoteMalformed);
    }
    Ok(Checkpoint {
        origin: origin.to_owned(),
        size: head.size(),
        root: head.hash().0,
    })
}

fn origin_is_usable(origin: &str) -> bool {
    signed_note::is_key_name_valid(origin) && origin.chars().all(|c| !c.is_control()) && origin.len() <= 200
}

fn note_key_id(origin: &str, public: &[u8; 32]) -> u32 {
    let mut material = [0_u8; 33];
    material[0] = ED25519_ALGORITHM;
    material[1..].copy_from_slice(public);
    key_id(origin, &material)
}

struct NoteSigner<'a> {
    origin: &'a str,
    key: &'a SigningKey,
}

impl signed_note::Signer for NoteSigner<'_> {
    fn name(&self) -> &str {
        self.origin
    }

    fn key_id(&self) -> u32 {
        note_key_id(self.origin, self.key.public_key().as_bytes())
    }

    fn sign(&self, msg: &[u8]) -> Result<Vec<u8>, ed25519_dalek::SignatureError> {
        Ok(self.key.sign(msg).to_vec())
    }
}

/// The library's own verifier accepts signatures that strict verification rejects, so this one replaces it.
struct NoteVerifier<'a> {
    origin: &'a str,
    key: &'a PublicKey,
}

impl Verifier for NoteVerifier<'_> {
    fn name(&self) -> &str {
        self.origin
    }

    fn key_id(&self) -> u32 {
        note_key_id(self.origin, self.key.as_bytes())
    }

    fn verify(&self, msg: &[u8], sig: &[u8]) -> bool {
        self.key.verifies(msg, sig)
    }
}

impl Verifiers for NoteVerifier<'_> {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        if name == self.origin && id == self.key_id() {
            return Ok(self);
        }
        Err(VerificationError::UnknownKey {
            name: name.to_owned(),
            id,
        })
    }
}
