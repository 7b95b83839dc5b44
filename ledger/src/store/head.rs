//! Head of the log: newest checkpoint with its signed note, stored in the transaction of its batch.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::log::{Checkpoint, LogError, TreeHash, TreeHead, sign_checkpoint, verify_checkpoint};
use synapsor_domain::signing::{PublicKey, SigningKey};
use synapsor_domain::trust::{KeyStanding, TrustFile};

use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// Size and root of the log after a batch, with the signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTreeHead {
    /// Number of events.
    pub size: u64,
    /// Root of the tree over all events.
    pub root: TreeHash,
    /// The signed checkpoint.
    pub note: String,
}

/// Signs and stores the head of a log of `size` events, with the tree nodes that its batch created.
pub(crate) fn store(
    conn: &Connection,
    origin: &str,
    (size, root): (u64, TreeHash),
    nodes: &[u8],
    key: &SigningKey,
) -> Result<SignedTreeHead, StoreError> {
    let note = sign_checkpoint(origin, size, &root, key).map_err(|e| StoreError::Failed(e.to_string()))?;
    conn.prepare_cached("INSERT INTO checkpoints (size, root, note, nodes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![to_sql(size), root, note, nodes])?;
    Ok(SignedTreeHead { size, root, note })
}

/// Returns the newest stored head.
pub(crate) fn newest(conn: &Connection) -> Result<Option<SignedTreeHead>, StoreError> {
    let mut query =
        conn.prepare_cached("SELECT size, root, note FROM checkpoints ORDER BY size DESC LIMIT 1")?;
    let found = query
        .query_row([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, [u8; 32]>(1)?,
                row.get::<_, String>(2)?,
            ))
        })
        .optional()?;
    found
        .map(|(size, root, note)| {
            Ok(SignedTreeHead {
                size: from_sql(size)?,
                root,
                note,
            })
        })
        .transpose()
}

/// Ledger keys whose notes a store may contain.
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

    /// Decodes and verifies a note. A retired key verifies no head after the one at its retirement.
    fn verify(&self, note: &str, origin: &str) -> Result<Checkpoint, LogError> {
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

    /// Returns the tree heads at which keys were retired; the log must equal or extend each of them.
    pub(crate) fn heads(&self) -> impl Iterator<Item = TreeHead> {
        self.others.iter().filter_map(|(_, head)| *head)
    }
}

/// Checks that the note matches the row and is signed by one of these keys.
pub(crate) fn check(head: &SignedTreeHead, origin: &str, keys: &NoteKeys) -> Result<(), StoreError> {
    let found = keys.verify(&head.note, origin).map_err(|e| {
        let theirs = head.note.lines().next().unwrap_or_default();
        if theirs != origin && theirs.starts_with("synapsor/") && theirs.len() <= 100 {
            return StoreError::OtherLog {
                found: theirs.escape_default().to_string(),
                expected: origin.to_owned(),
            };
        }
        StoreError::Tampered(format!("checkpoint {}: {e}", head.size))
    })?;
    let expected = Checkpoint {
        origin: origin.to_owned(),
        size: head.size,
        root: head.root,
    };
    if found == expected {
        return Ok(());
    }
    Err(StoreError::Tampered(format!(
        "checkpoint {} differs from its signed note",
        head.size
    )))
}
