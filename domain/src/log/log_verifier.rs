//! Recomputes a log from its events, in their order, without storing it.

use std::collections::BTreeMap;

use tlog_tiles::tlog::{self, Hash};

use super::record::{BODY_SALT_BYTES, body_commitment};
use super::tree::{EMPTY_ROOT, TREE_SIZE_MAX, TreeHash, TreeHead, leaf_hash};
use super::{Checkpoint, LogError, NoteKeys};
use crate::canonical;
use crate::event::{ErasureBody, EventKind, EventRecord};
use crate::limits::ENVELOPE_BYTES_MAX;

/// A log that grows event by event. Memory does not depend on its length.
#[derive(Debug)]
pub struct LogVerifier<'a> {
    origin: &'a str,
    keys: &'a NoteKeys,
    size: u64,
    /// Roots of the largest complete subtrees, from left to right, each with its height.
    edge: Vec<(u8, Hash)>,
    /// Ranges of events without a body.
    missing: Vec<(u64, u64)>,
    /// Ranges that events name as erased.
    erased: Vec<(u64, u64)>,
    /// Sizes whose roots are kept, with the root once it is known.
    watched: BTreeMap<u64, Option<TreeHash>>,
}

impl<'a> LogVerifier<'a> {
    /// Creates an empty log. Its roots at `sizes` are kept, for [`Self::equals_or_extends`].
    pub fn new(origin: &'a str, keys: &'a NoteKeys, sizes: impl IntoIterator<Item = u64>) -> Self {
        let mut watched: BTreeMap<_, _> = sizes.into_iter().map(|size| (size, None)).collect();
        if let Some(root) = watched.get_mut(&0) {
            *root = Some(EMPTY_ROOT);
        }
        Self {
            origin,
            keys,
            size: 0,
            edge: Vec::new(),
            missing: Vec::new(),
            erased: Vec::new(),
            watched,
        }
    }

    /// Adds the next event after checking its form, its position and its body. An event without a body needs a later one
    /// that erased it, which [`Self::finish`] checks.
    ///
    /// # Errors
    /// `EVENT_MALFORMED`, `EVENT_SEQ_MISMATCH`, `EVENT_BODY_MISMATCH`, `EVENT_BODY_MISSING` or `LOG_SIZE_OUT_OF_RANGE`.
    pub fn event(
        &mut self,
        event: &[u8],
        body: Option<(&[u8; BODY_SALT_BYTES], &[u8])>,
    ) -> Result<EventRecord, LogError> {
        let record: EventRecord = canonical::decode(event).map_err(|_| LogError::EventMalformed)?;
        if record.seq != self.size {
            return Err(LogError::SeqMismatch);
        }
        if self.size >= TREE_SIZE_MAX {
            return Err(LogError::SizeOutOfRange);
        }
        match body {
            Some((salt, body)) if body_commitment(salt, body) != record.body_digest => {
                return Err(LogError::BodyMismatch);
            }
            Some((_, body)) if record.kind == EventKind::BodiesErased => self.erased(body)?,
            Some(_) => {}
            None if record.kind.is_erasable() => match self.missing.last_mut() {
                Some((_, last)) if *last + 1 == self.size => *last = self.size,
                _ => self.missing.push((self.size, self.size)),
            },
            None => return Err(LogError::BodyMissing),
        }
        self.append(Hash(leaf_hash(event)));
        Ok(record)
    }

    fn erased(&mut self, body: &[u8]) -> Result<(), LogError> {
        let erased: ErasureBody =
            canonical::decode_within(body, 2 * ENVELOPE_BYTES_MAX).map_err(|_| LogError::EventMalformed)?;
        if !erased.is_in_order(self.size) {
            return Err(LogError::EventMalformed);
        }
        self.erased.extend(erased.ranges);
        Ok(())
    }

    /// Checks, after the last event, that exactly the erased bodies are missing.
    ///
    /// # Errors
    /// `EVENT_BODY_MISSING`.
    pub fn finish(&mut self) -> Result<(), LogError> {
        self.erased.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (first, last) in self.erased.drain(..) {
            match joined.last_mut() {
                Some((_, end)) if *end + 1 == first => *end = last,
                _ => joined.push((first, last)),
            }
        }
        if joined == self.missing {
            return Ok(());
        }
        Err(LogError::BodyMissing)
    }

    fn append(&mut self, leaf: Hash) {
        let (mut height, mut hash) = (0, leaf);
        while let Some((_, left)) = self.edge.pop_if(|(of, _)| *of == height) {
            hash = tlog::node_hash(left, hash);
            height += 1;
        }
        self.edge.push((height, hash));
        self.size += 1;
        if self.watched.contains_key(&self.size) {
            let root = self.root();
            self.watched.insert(self.size, Some(root));
        }
    }

    /// Verifies a note as the signed checkpoint of the events until now.
    ///
    /// # Errors
    /// Any error of the note; `LOG_PROOF_REFUSED` when it states another size or root.
    pub fn checkpoint(&self, note: &str) -> Result<Checkpoint, LogError> {
        let checkpoint = self.keys.verify(note, self.origin)?;
        if checkpoint.head() == self.head() {
            return Ok(checkpoint);
        }
        Err(LogError::ProofRefused)
    }

    /// Returns size and root of the events until now.
    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root(),
        }
    }

    /// Returns whether the log equals or extends a tree head whose size was named at the start.
    pub fn equals_or_extends(&self, head: &TreeHead) -> bool {
        self.watched.get(&head.size).copied().flatten() == Some(head.root)
    }

    fn root(&self) -> TreeHash {
        let mut subtrees = self.edge.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = subtrees.next() else {
            return EMPTY_ROOT;
        };
        subtrees.fold(last, |right, left| tlog::node_hash(left, right)).0
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::log::sign_checkpoint;
    use crate::signing::SigningKey;
    use crate::timestamp::Timestamp;

    const ORIGIN: &str = "synapsor/test";
    const SALT: [u8; BODY_SALT_BYTES] = [7; BODY_SALT_BYTES];

    fn event(seq: u64) -> Vec<u8> {
        let record = EventRecord {
            actor: "ledger".to_owned(),
            at: Timestamp::from_unix_millis(1_700_000_000_000),
            body_digest: body_commitment(&SALT, b"body"),
            kind: EventKind::LedgerStarted,
            proposal_id: None,
            seq,
            trace_id: None,
        };
        canonical::encode(&record).unwrap()
    }

    /// Root by the definition of RFC 6962.
    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [leaf] => *leaf,
            _ => {
                let left = (leaves.len() + 1).next_power_of_two() / 2;
                let left = if left == leaves.len() { left / 2 } else { left };
                let (left, right) = leaves.split_at(left);
                tlog::node_hash(root_of(left), root_of(right))
            }
        }
    }

    #[test]
    fn every_size_has_the_root_of_its_tree() {
        let key = SigningKey::from_seed(&Zeroizing::new([3; 32]));
        let keys = NoteKeys::from(&key.public_key());
        let mut log = LogVerifier::new(ORIGIN, &keys, 0..=70);
        assert_eq!(log.head().root, EMPTY_ROOT);
        let mut leaves = Vec::new();
        for seq in 0..70 {
            log.event(&event(seq), Some((&SALT, b"body"))).unwrap();
            leaves.push(Hash(leaf_hash(&event(seq))));
            let expected = root_of(&leaves).0;
            assert_eq!(
                log.head(),
                TreeHead {
                    size: seq + 1,
                    root: expected
                }
            );
            let note = sign_checkpoint(ORIGIN, seq + 1, &expected, &key).unwrap();
            assert_eq!(log.checkpoint(&note).unwrap().size, seq + 1);
            assert!(log.equals_or_extends(&TreeHead {
                size: seq + 1,
                root: expected
            }));
            assert!(!log.equals_or_extends(&TreeHead {
                size: seq + 1,
                root: EMPTY_ROOT
            }));
        }
        let first = Hash(leaf_hash(&event(0))).0;
        assert!(log.equals_or_extends(&TreeHead { size: 1, root: first }));
        assert!(!log.equals_or_extends(&TreeHead {
            size: 71,
            root: first
        }));
    }

    #[test]
    fn changed_events_and_notes_are_refused() {
        let key = SigningKey::from_seed(&Zeroizing::new([3; 32]));
        let keys = NoteKeys::from(&key.public_key());
        let mut log = LogVerifier::new(ORIGIN, &keys, []);
        assert_eq!(
            log.event(&event(1), Some((&SALT, b"body"))),
            Err(LogError::SeqMismatch)
        );
        assert_eq!(
            log.event(&event(0), Some((&SALT, b"other"))),
            Err(LogError::BodyMismatch)
        );
        assert_eq!(
            log.event(&event(0), Some((&[8; 32], b"body"))),
            Err(LogError::BodyMismatch)
        );
        // The start of a ledger is never erased.
        assert_eq!(log.event(&event(0), None), Err(LogError::BodyMissing));
        assert_eq!(
            log.event(b"{}", Some((&SALT, b"body"))),
            Err(LogError::EventMalformed)
        );
        log.event(&event(0), Some((&SALT, b"body"))).unwrap();
        let head = log.head();
        let note = |size, root, key: &SigningKey| sign_checkpoint(ORIGIN, size, &root, key).unwrap();
        assert!(log.checkpoint(&note(1, head.root, &key)).is_ok());
        let refused = log.checkpoint(&note(1, EMPTY_ROOT, &key));
        assert_eq!(refused, Err(LogError::ProofRefused));
        let other = SigningKey::from_seed(&Zeroizing::new([4; 32]));
        let refused = log.checkpoint(&note(1, head.root, &other));
        assert_eq!(refused, Err(LogError::NoteSignature));
    }
}
