//! Head of the log: newest checkpoint with its signed note, stored in the transaction of its batch.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::log::{Checkpoint, NoteKeys, TreeHash, sign_checkpoint};
use synapsor_domain::signing::SigningKey;

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
