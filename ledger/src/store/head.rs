//! The head of the log: newest checkpoint with its signed note, stored in the transaction of its batch.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::log::{Checkpoint, TreeHash, sign_checkpoint, verify_checkpoint};
use synapsor_domain::signing::{PublicKey, SigningKey};

use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// The log after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of events.
    pub size: u64,
    /// Root of the tree over all of them.
    pub root: TreeHash,
    /// The signed checkpoint.
    pub note: String,
}

/// Signs and stores the head of a log of `size` events.
pub(crate) fn store(
    conn: &Connection,
    origin: &str,
    size: u64,
    root: TreeHash,
    key: &SigningKey,
) -> Result<Head, StoreError> {
    let note = sign_checkpoint(origin, size, &root, key).map_err(|e| StoreError::Failed(e.to_string()))?;
    conn.prepare_cached("INSERT INTO checkpoints (size, root, note) VALUES (?1, ?2, ?3)")?
        .execute(params![to_sql(size), root, note])?;
    Ok(Head { size, root, note })
}

/// The newest stored head.
pub(crate) fn newest(conn: &Connection) -> Result<Option<Head>, StoreError> {
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
            Ok(Head {
                size: from_sql(size)?,
                root,
                note,
            })
        })
        .transpose()
}

/// Checks that the note says what the row says, under this key.
pub(crate) fn check(head: &Head, origin: &str, key: &PublicKey) -> Result<(), StoreError> {
    let found = verify_checkpoint(&head.note, origin, key).map_err(|e| {
        let theirs = head.note.lines().next().unwrap_or_default();
        if theirs != origin && theirs.starts_with("synapsor/") && theirs.len() <= 100 {
            return StoreError::OtherLog {
                found: theirs.escape_default().to_string(),
                expected: origin.to_owned(),
            };
        }
        StoreError::Tampered(format!("checkpoint {}: {e}", head.size))
    })?;
    let said = Checkpoint {
        origin: origin.to_owned(),
        size: head.size,
        root: head.root,
    };
    if found == said {
        return Ok(());
    }
    Err(StoreError::Tampered(format!(
        "checkpoint {} says something else than its signed note",
        head.size
    )))
}
