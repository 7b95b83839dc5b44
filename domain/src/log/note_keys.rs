//! Keys that sign the notes of one log, the retired ones included.

use super::checkpoint::{Checkpoint, verify_checkpoint};
use super::{LogError, TreeHead};
use crate::signing::PublicKey;
use crate::trust::{KeyStanding, TrustFile};

/// Ledger keys whose notes a log may contain.
#[derive(Debug, Clone)]
pub struct NoteKeys {
    current: PublicKey,
    /// Keys of earlier ledgers, each with the tree head at its retirement if the trust file names one.
    others: Vec<(PublicKey, Option<TreeHead>)>,
}

impl From<&PublicKey> for NoteKeys {
    fn from(key: &PublicKey) -> Self {
        Self {
            current: key.clone(),
            others: Vec::new(),
        }
    }
}

impl NoteKeys {
    /// Collects the current signing key and the other ledger keys of the trust file.
    pub fn of(current: &PublicKey, trust: &TrustFile) -> Self {
        let others = trust.ledgers.iter().filter(|key| key.public_key != *current);
        let others = others.map(|key| match key.standing() {
            KeyStanding::Retired(head) => (key.public_key.clone(), head),
            KeyStanding::InUse => (key.public_key.clone(), None),
        });
        Self {
            current: current.clone(),
            others: others.collect(),
        }
    }

    /// Collects the ledger keys of the trust file; `None` when none of them is in use.
    pub fn in_trust(trust: &TrustFile) -> Option<Self> {
        let current = trust.ledgers.iter().find(|key| !key.is_retired())?;
        Some(Self::of(&current.public_key, trust))
    }

    /// Decodes and verifies a note. A retired key verifies no head after the one at its retirement.
    pub fn verify(&self, note: &str, origin: &str) -> Result<Checkpoint, LogError> {
        let first = match verify_checkpoint(note, origin, &self.current) {
            Ok(checkpoint) => return Ok(checkpoint),
            Err(error) => error,
        };
        for (key, head) in &self.others {
            let Ok(checkpoint) = verify_checkpoint(note, origin, key) else {
                continue;
            };
            let is_past = head.is_none_or(|head| checkpoint.size < head.size || checkpoint.head() == head);
            return if is_past {
                Ok(checkpoint)
            } else {
                Err(LogError::NoteRetired)
            };
        }
        Err(first)
    }

    /// Returns whether a log of `size` events goes as far as the heads at which ledger keys were retired. A shorter one
    /// could be signed by the holder of a retired key.
    pub fn reaches_retirements(&self, size: u64) -> bool {
        self.heads().all(|head| head.size <= size)
    }

    /// Returns the tree heads at which keys were retired; the log must equal or extend each of them.
    pub fn heads(&self) -> impl Iterator<Item = TreeHead> {
        self.others.iter().filter_map(|(_, head)| *head)
    }
}
