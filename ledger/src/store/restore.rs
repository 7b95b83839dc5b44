//! Builds a store from a backup. Every item is verified before it is stored, and the finished file is checked as a
//! whole.

use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, params};
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::log::{Checkpoint, leaf_hash};
use synapsor_proto::backup_file::{BackupError, BackupReader, VerifiedItem};
use synapsor_proto::ledger::v1::BackupEvent;

use super::blocks::{self, BODIES_BYTES_MAX, BlockEntry, Cursor, KeptBody};
use super::connection;
use super::error::StoreError;
use super::event_times::SegmentTimes;
use super::migrate;
use super::nodes::{NodeCache, Nodes};
use super::record_index::RecordIndex;
use super::record_views;
use super::row::to_sql;
use super::verify;

/// Reason why a store was not restored. The file at the path is incomplete then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RestoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Writes a new store to `path`, which must not exist.
///
/// # Errors
/// When the backup does not verify, or the file cannot be written.
pub(crate) fn write<R: Read>(backup: &mut BackupReader<'_, R>, path: &Path) -> Result<(), RestoreError> {
    let conn = connection::open_writer(path, true)?;
    // The file is used only when it is complete and on the disk.
    conn.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
    migrate::migrate(&conn)?;
    let mut restored = Restored {
        conn: &conn,
        cache: NodeCache::default(),
        size: 0,
        leaves: Vec::new(),
        erasures: Vec::new(),
    };
    while let Some(item) = backup.next_item()? {
        match item {
            VerifiedItem::Header(_) => {}
            VerifiedItem::Events {
                first,
                events,
                records,
            } => restored.events(first, events, &records)?,
            VerifiedItem::Checkpoint { checkpoint, note } => restored.checkpoint(&checkpoint, &note)?,
        }
    }
    let (size, erasures) = (restored.size, restored.erasures);
    derive(&conn, size, erasures)?;
    record_views::set_end(&conn, size)?;
    conn.execute_batch("COMMIT; PRAGMA synchronous = FULL")?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Derives the views of the whole log in its own file.
fn derive(conn: &Connection, size: u64, erasures: Vec<u64>) -> Result<(), StoreError> {
    let (mut entries, tree, mut index) = (Cursor::new(conn), Nodes::new(conn, size), RecordIndex::default());
    let (erasures, mut times) = (verify::erasures(conn, &tree, erasures)?, SegmentTimes::default());
    for seq in 0..size {
        let (event, body) = verify::event(&mut entries, &tree, seq)?;
        times.add(conn, seq, event.at)?;
        verify::derive_views(conn, (&event, body), &erasures, (&mut index, size))?;
    }
    index.flush(conn)
}

/// The part of the log that is stored.
struct Restored<'c> {
    conn: &'c Connection,
    cache: NodeCache,
    /// Number of events that have a checkpoint.
    size: u64,
    /// Leaves of the events after it.
    leaves: Vec<[u8; 32]>,
    /// Positions of the events that erased bodies.
    erasures: Vec<u64>,
}

impl Restored<'_> {
    fn events(
        &mut self,
        first: u64,
        events: Vec<BackupEvent>,
        records: &[EventRecord],
    ) -> Result<(), StoreError> {
        for (event, record) in events.iter().zip(records) {
            self.leaves.push(leaf_hash(&event.event));
            if record.kind == EventKind::BodiesErased {
                self.erasures.push(record.seq);
            }
        }
        let (mut first, mut bytes, mut block) = (first, 0, Vec::new());
        for event in events {
            bytes += event.body.len();
            block.push(entry(event)?);
            if bytes >= BODIES_BYTES_MAX {
                blocks::insert(self.conn, first, &block)?;
                first += u64::try_from(block.len()).expect("an item fits in memory");
                bytes = 0;
                block.clear();
            }
        }
        if block.is_empty() {
            return Ok(());
        }
        blocks::insert(self.conn, first, &block)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint, note: &str) -> Result<(), StoreError> {
        let mut nodes = Nodes::kept(self.conn, self.size, &self.cache);
        for (seq, leaf) in (self.size..).zip(self.leaves.drain(..)) {
            nodes.append(seq, &leaf)?;
        }
        self.conn
            .prepare_cached("INSERT INTO checkpoints (size, root, note, nodes) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                to_sql(checkpoint.size),
                checkpoint.root,
                note,
                nodes.created()
            ])?;
        self.size = checkpoint.size;
        Ok(())
    }
}

fn entry(event: BackupEvent) -> Result<BlockEntry, StoreError> {
    let kept = match event.body_salt.as_slice() {
        [] => None,
        salt => Some(KeptBody {
            salt: salt
                .try_into()
                .map_err(|_| StoreError::Failed("the salt of a body has a wrong length".to_owned()))?,
            body: event.body,
        }),
    };
    Ok(BlockEntry {
        event: event.event,
        kept,
    })
}

/// Restores a store from a backup of another one.
#[cfg(test)]
pub(crate) fn copy(store: &super::Store, path: &Path) {
    use synapsor_domain::log::NoteKeys;

    use crate::test_kit::{LEDGER_KEY, ORIGIN, key};

    let keys = NoteKeys::from(&key(LEDGER_KEY).public_key());
    let bytes = tests::backup_of(store);
    let mut backup = BackupReader::new(bytes.as_slice(), ORIGIN, &keys, []).unwrap();
    write(&mut backup, path).unwrap();
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use synapsor_domain::log::{NoteKeys, TreeHead};
    use synapsor_domain::trust::TrustFile;
    use synapsor_proto::backup_file::BackupWriter;
    use synapsor_proto::ledger::v1::BackUpStoreResponse;

    use super::*;
    use crate::store::{Store, verify_under};
    use crate::test_kit::{LEDGER_KEY, NOBODY_KEY, NOW_MS, ORIGIN, TestLedger, key, trust_file};

    fn keys() -> NoteKeys {
        NoteKeys::from(&key(LEDGER_KEY).public_key())
    }

    pub(super) fn backup_of(store: &Store) -> Vec<u8> {
        let mut out = BackupWriter::new(Vec::new()).unwrap();
        store
            .back_up(NOW_MS, &mut |item| {
                out.write(&BackUpStoreResponse { item: Some(item) }).unwrap();
                Ok(())
            })
            .unwrap();
        out.into_inner()
    }

    /// Reads, and proposals of which one is decided.
    async fn recorded() -> TestLedger {
        let world = TestLedger::new();
        for n in 0..5 {
            world.read(&world.draft(&format!("read-{n}"))).await;
        }
        for n in 0..3 {
            world.propose(&world.draft(&n.to_string())).await;
        }
        world
    }

    fn restored(bytes: &[u8], path: &Path) -> Result<TreeHead, RestoreError> {
        let keys = keys();
        let mut backup = BackupReader::new(bytes, ORIGIN, &keys, [])?;
        write(&mut backup, path)?;
        Ok(backup.head())
    }

    fn path_in(world: &TestLedger, name: &str) -> PathBuf {
        world.dir.path().join(name)
    }

    #[tokio::test]
    async fn restored_store_is_whole_and_continues() {
        let world = recorded().await;
        let path = path_in(&world, "restored.db");
        let head = restored(&backup_of(&world.ledger.store), &path).unwrap();
        let newest = world.ledger.store.head().borrow().clone();
        assert_eq!((head.size, head.root), (newest.size, newest.root));
        let report = verify_under(&path, ORIGIN, &keys()).unwrap();
        assert_eq!((report.events, report.note), (newest.size, newest.note));
        let store = Store::open(&path, ORIGIN, key(LEDGER_KEY)).unwrap();
        // Evidence and audit records are found in it as well.
        let stats = store.stats().await.unwrap();
        assert_eq!(
            stats,
            world.ledger.store.stats().await.unwrap().with_size_of(&stats)
        );
        assert_eq!(backup_of(&store), backup_of(&world.ledger.store));
    }

    /// Keys of a deployment whose earlier ledger key was retired at a tree head.
    fn keys_after_a_retirement(head: TreeHead) -> NoteKeys {
        let mut trust: serde_json::Value = serde_json::from_str(&trust_file(false)).unwrap();
        let earlier = key(NOBODY_KEY);
        trust["ledgers"].as_array_mut().unwrap().push(serde_json::json!({
            "key_id": earlier.key_id(), "public_key": earlier.public_key(), "retired": true,
            "retired_at_size": head.size, "retired_at_root": hex::encode(head.root),
        }));
        let trust = TrustFile::parse(trust.to_string().as_bytes()).unwrap();
        NoteKeys::of(&key(LEDGER_KEY).public_key(), &trust)
    }

    #[tokio::test]
    async fn backup_must_continue_the_log_of_a_retirement() {
        let world = recorded().await;
        let bytes = backup_of(&world.ledger.store);
        let newest = world.ledger.store.head().borrow().clone();
        let (size, root) = (newest.size, newest.root);
        for (head, is_continued) in [
            (TreeHead { size, root }, true),
            (TreeHead { size: size + 1, root }, false),
            (TreeHead { size, root: [7; 32] }, false),
        ] {
            let keys = keys_after_a_retirement(head);
            let mut backup = BackupReader::new(bytes.as_slice(), ORIGIN, &keys, []).unwrap();
            let read = std::iter::from_fn(|| backup.next_item().transpose());
            match read.collect::<Result<Vec<_>, _>>() {
                Ok(_) => assert!(is_continued, "{head:?}"),
                Err(error) => assert!(
                    !is_continued && matches!(error, BackupError::Retired),
                    "{error:?}"
                ),
            }
        }
    }

    #[tokio::test]
    async fn changed_backup_is_refused_whatever_byte_changed() {
        let world = recorded().await;
        let bytes = backup_of(&world.ledger.store);
        let newest = world.ledger.store.head().borrow().clone();
        let whole = |bytes: &[u8]| {
            let keys = keys();
            let mut backup = BackupReader::new(bytes, ORIGIN, &keys, [])?;
            while backup.next_item()?.is_some() {}
            Ok::<_, BackupError>(backup.head())
        };
        let (mut refused, mut tried) = (0, 0);
        for at in (0..bytes.len()).step_by(17) {
            tried += 1;
            let mut changed = bytes.clone();
            changed[at] ^= 0x01;
            match whole(&changed) {
                // Version and time of the ledger that sent it are not part of the log.
                Ok(head) => assert_eq!((head.size, head.root), (newest.size, newest.root), "byte {at}"),
                Err(_) => refused += 1,
            }
            assert!(whole(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(refused + 4 > tried, "{refused} of {tried}");
        let longer = [bytes.as_slice(), &bytes].concat();
        assert!(whole(&longer).is_err());
    }
}
