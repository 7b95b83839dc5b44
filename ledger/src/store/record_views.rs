//! Keeps the views of evidence and audit records up to date: the newest records are in memory until enough of them can
//! be written in one transaction, or a query needs them. After a crash they are derived from the log again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::{AuditId, EvidenceId};

use super::blocks::Cursor;
use super::error::StoreError;
use super::nodes::Nodes;
use super::record_index::{self, RecordIndex, SEGMENT_EVENTS};
use super::records;
use super::row::{from_sql, to_sql};
use super::verify;
use super::views::{self, ParsedBody, RECORD_KINDS, RecordView};
use crate::failpoint::{self, Point};

/// Number of records from which the writing thread writes their views.
const WRITTEN_FROM: usize = 512;

/// Maximum number of records without views. More of them mean that the views cannot be written.
const WAITING_MAX: usize = 8 * WRITTEN_FROM;

/// Maximum number of records without views that a start on a full disk keeps in memory: those of a running ledger, with
/// the batch that was the last.
const LOADED_MAX: usize = 2 * WAITING_MAX;

/// Number of events after the stored position up to which a start keeps records in memory.
const WAITING_EVENTS_MAX: u64 = 4 * WRITTEN_FROM as u64;

/// Number of events that one transaction derives at the start.
const DERIVED_AT_ONCE: u64 = 4_096;

/// Position in the log up to which the views are complete. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ViewsEnd(Arc<AtomicU64>);

impl ViewsEnd {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Records that are durable and not yet in the views, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RecordViews {
    waiting: Vec<RecordView>,
    evidence: HashMap<EvidenceId, Digest>,
    audits: HashMap<AuditId, u64>,
    index: RecordIndex,
    end: ViewsEnd,
    /// Number of waiting records from which they are written; more of them after a failure.
    due_from: usize,
    /// Whether the last attempt to write failed: a COMMIT that failed may be durable after all.
    is_uncertain: bool,
}

impl RecordViews {
    /// Opens the views of a log of `size` events. A few records without views wait again, so that a start writes
    /// nothing, and succeeds on a full disk.
    pub(crate) fn open(conn: &Connection, size: u64) -> Result<Self, StoreError> {
        let mut views = Self {
            due_from: WRITTEN_FROM,
            // The file may have rows past its position.
            is_uncertain: true,
            ..Self::default()
        };
        match end(conn)?.filter(|end| *end <= size) {
            Some(end) if size - end <= WAITING_EVENTS_MAX => views.load(conn, (end, size), LOADED_MAX)?,
            _ => match views.derive(conn, size) {
                // Part of it may be done, and a ledger without space kept the rest in memory before.
                Err(StoreError::Full) => {
                    let end = end(conn)?.filter(|end| *end <= size).unwrap_or(0);
                    views.load(conn, (end, size), LOADED_MAX)?;
                }
                derived => derived?,
            },
        }
        Ok(views)
    }

    /// Keeps the records from position `end` on in memory, at most `records_max`.
    fn load(
        &mut self,
        conn: &Connection,
        (end, size): (u64, u64),
        records_max: usize,
    ) -> Result<(), StoreError> {
        let (mut entries, tree) = (Cursor::new(conn), Nodes::new(conn, size));
        for seq in end..size {
            if let Some(view) = derived(conn, &mut entries, &tree, seq)? {
                if self.waiting.len() == records_max {
                    return Err(StoreError::Full);
                }
                self.push(view);
            }
        }
        self.end.0.store(end, Ordering::Release);
        Ok(())
    }

    /// Derives what the views lack from the log. The cost depends on the number of events after the last complete
    /// position, which is small unless that position was lost.
    pub(crate) fn derive(&mut self, conn: &Connection, size: u64) -> Result<(), StoreError> {
        self.index.forget();
        let stored = end(conn)?.filter(|end| *end <= size);
        if stored == Some(size) {
            self.complete(size);
            return Ok(());
        }
        // The index of the last segment is derived as a whole.
        let stored = stored.unwrap_or(0);
        let mut from = stored - stored % SEGMENT_EVENTS;
        tracing::info!(from, size, "deriving views of records");
        let (mut entries, tree) = (Cursor::new(conn), Nodes::new(conn, size));
        let mut is_first = true;
        while is_first || from < size {
            let to = size.min(from + DERIVED_AT_ONCE);
            let transaction = begin(conn)?;
            if std::mem::take(&mut is_first) {
                // Not on its own: the stored position never moves back, and a failure leaves the rows as they are.
                clear(conn, (from, i64::MAX.unsigned_abs()))?;
                record_index::clear(conn, from / SEGMENT_EVENTS)?;
            }
            for seq in from..to {
                if let Some(view) = derived(conn, &mut entries, &tree, seq)? {
                    view.write(conn, &mut self.index)?;
                }
            }
            self.index.flush(conn)?;
            set_end(conn, to)?;
            commit(transaction)?;
            from = to;
        }
        self.complete(size);
        Ok(())
    }

    /// Derives the views of some segments again, within the running batch; `size` is that of the log before it.
    pub(crate) fn derive_segments(
        &mut self,
        conn: &Connection,
        segments: &BTreeSet<u64>,
        size: u64,
    ) -> Result<(), StoreError> {
        // The cached segment may be one of them.
        self.index.forget();
        let end = end(conn)?.unwrap_or(0);
        for segment in segments {
            let (from, to) = (
                segment * SEGMENT_EVENTS,
                ((segment + 1) * SEGMENT_EVENTS).min(end),
            );
            clear(conn, (from, to))?;
            record_index::clear_segment(conn, *segment)?;
            let (mut entries, tree, mut index) =
                (Cursor::new(conn), Nodes::new(conn, size), RecordIndex::default());
            for seq in from..to {
                if let Some(view) = derived(conn, &mut entries, &tree, seq)? {
                    view.write(conn, &mut index)?;
                }
            }
            index.flush(conn)?;
        }
        Ok(())
    }

    /// Forgets the waiting records. Until then their ids are looked up in memory.
    fn complete(&mut self, size: u64) {
        self.truncate(0);
        self.is_uncertain = false;
        self.due_from = WRITTEN_FROM;
        self.end.0.store(size, Ordering::Release);
    }

    /// Returns the position up to which the views are complete, as it changes.
    pub(crate) fn end(&self) -> ViewsEnd {
        self.end.clone()
    }

    /// Adds a record of the running batch.
    pub(crate) fn push(&mut self, record: RecordView) {
        if let Some(evidence) = &record.evidence {
            self.evidence.insert(evidence.id.clone(), evidence.digest);
        }
        if let Some(audit) = &record.audit {
            self.audits.insert(audit.id.clone(), record.seq);
        }
        self.waiting.push(record);
    }

    /// Returns the number of waiting records.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Removes the newest records: their batch or their request has failed.
    pub(crate) fn truncate(&mut self, len: usize) {
        for record in self.waiting.drain(len..) {
            if let Some(evidence) = record.evidence {
                self.evidence.remove(&evidence.id);
            }
            if let Some(audit) = record.audit {
                self.audits.remove(&audit.id);
            }
        }
    }

    /// Removes the records from position `seq` on: their batch is not durable.
    pub(crate) fn forget_from(&mut self, seq: u64) {
        let kept = self.waiting.partition_point(|record| record.seq < seq);
        self.truncate(kept);
    }

    /// Returns whether a record with the same id exists.
    pub(crate) fn has_id_of(&self, conn: &Connection, record: &RecordView) -> Result<bool, StoreError> {
        if let Some(evidence) = &record.evidence
            && self.evidence_digest(conn, &evidence.id)?.is_some()
        {
            return Ok(true);
        }
        match &record.audit {
            Some(audit) => Ok(self.audit_seq(conn, &audit.id)?.is_some()),
            None => Ok(false),
        }
    }

    /// Returns the digest of recorded evidence.
    pub(crate) fn evidence_digest(
        &self,
        conn: &Connection,
        id: &EvidenceId,
    ) -> Result<Option<Digest>, StoreError> {
        match self.evidence.get(id) {
            Some(digest) => Ok(Some(*digest)),
            None => records::evidence_digest(conn, id),
        }
    }

    /// Returns the position of a recorded audit record.
    pub(crate) fn audit_seq(&self, conn: &Connection, id: &AuditId) -> Result<Option<u64>, StoreError> {
        match self.audits.get(id) {
            Some(seq) => Ok(Some(*seq)),
            None => records::audit_seq(conn, id),
        }
    }

    pub(crate) fn are_due(&self) -> bool {
        self.waiting.len() >= self.due_from
    }

    /// Returns whether so many records wait that no more can be accepted.
    pub(crate) fn are_behind(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// Writes the views of every waiting record in one transaction; `size` is that of the log.
    pub(crate) fn write(&mut self, conn: &Connection, size: u64) -> Result<(), StoreError> {
        if self.end.get() == size {
            return Ok(());
        }
        let written = if self.is_uncertain {
            self.derive(conn, size)
        } else {
            self.write_in_transaction(conn, size)
        };
        match &written {
            Ok(()) => self.complete(size),
            Err(_) => {
                self.is_uncertain = true;
                self.due_from = self.waiting.len() + WRITTEN_FROM;
            }
        }
        written
    }

    fn write_in_transaction(&mut self, conn: &Connection, size: u64) -> Result<(), StoreError> {
        let transaction = begin(conn)?;
        for record in &self.waiting {
            record.write(conn, &mut self.index)?;
        }
        self.index.flush(conn)?;
        set_end(conn, size)?;
        commit(transaction)
    }
}

fn begin(conn: &Connection) -> Result<Transaction<'_>, StoreError> {
    Ok(Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?)
}

fn commit(transaction: Transaction<'_>) -> Result<(), StoreError> {
    reached(Point::ViewsWritten)?;
    transaction.commit()?;
    reached(Point::ViewsCommitted)
}

fn reached(point: Point) -> Result<(), StoreError> {
    failpoint::hit(point).map_err(|e| StoreError::Failed(e.to_string()))
}

/// Returns the view of the record at `seq`, if there is one, after checking the event.
fn derived(
    conn: &Connection,
    entries: &mut Cursor<'_>,
    tree: &Nodes<'_>,
    seq: u64,
) -> Result<Option<RecordView>, StoreError> {
    match verify::event(entries, tree, seq)? {
        (event, Some(body)) => RecordView::of(&event, &body, ParsedBody::No),
        (_, None) if views::is_erased(conn, seq)? => Ok(None),
        (_, None) => Err(verify::no_body(seq)),
    }
}

/// Returns the stored position; `None` when it is missing.
pub(crate) fn end(conn: &Connection) -> Result<Option<u64>, StoreError> {
    let end: Option<i64> = conn
        .query_row("SELECT seq FROM record_views_end", [], |row| row.get(0))
        .optional()?;
    end.map(from_sql).transpose()
}

pub(crate) fn set_end(conn: &Connection, seq: u64) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT OR REPLACE INTO record_views_end (id, seq) VALUES (1, ?1)")?
        .execute([to_sql(seq)])?;
    Ok(())
}

/// Removes rows of a range of positions: a file that was edited may have some at its end.
fn clear(conn: &Connection, (from, to): (u64, u64)) -> Result<(), StoreError> {
    let kinds = RECORD_KINDS.map(|kind| format!("'{kind}'")).join(", ");
    for sql in [
        "DELETE FROM evidence WHERE seq >= ?1 AND seq < ?2".to_owned(),
        "DELETE FROM audit WHERE seq >= ?1 AND seq < ?2".to_owned(),
        format!("DELETE FROM event_index WHERE seq >= ?1 AND seq < ?2 AND kind IN ({kinds})"),
    ] {
        conn.execute(&sql, [to_sql(from), to_sql(to)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::{Store, StoreTxError};
    use crate::test_kit::{LEDGER_KEY, ORIGIN, TestLedger, key};
    use synapsor_domain::log::NoteKeys;

    /// Evidence, audit records, and entries of the index for records.
    async fn rows(store: &Store) -> [i64; 3] {
        let kinds = RECORD_KINDS.map(|kind| format!("'{kind}'")).join(", ");
        let read = store.read(move |reader| {
            let count = |sql: &str| reader.conn().query_row(sql, [], |row| row.get(0));
            Ok([
                count("SELECT count(*) FROM evidence")?,
                count("SELECT count(*) FROM audit")?,
                count(&format!(
                    "SELECT count(*) FROM event_index WHERE kind IN ({kinds})"
                ))?,
            ])
        });
        read.await.unwrap()
    }

    /// Ledger with a read, whose records have no views yet, and a proposal.
    async fn recorded() -> TestLedger {
        let world = TestLedger::new();
        world.read(&world.draft("0")).await;
        world.propose(&world.draft("1")).await;
        world
    }

    fn copy(world: &TestLedger, name: &str) -> std::path::PathBuf {
        let path = world.dir.path().join(name);
        Connection::open(world.store_path())
            .unwrap()
            .execute("VACUUM INTO ?1", [path.to_str().unwrap()])
            .unwrap();
        path
    }

    fn reopened(path: &Path) -> Store {
        Store::open(path, ORIGIN, key(LEDGER_KEY)).unwrap()
    }

    #[tokio::test]
    async fn query_waits_for_the_views_of_durable_records() {
        let world = recorded().await;
        let store = &world.ledger.store;
        assert_eq!(rows(store).await, [0, 0, 0]);
        // A store whose views are behind is whole.
        store.verify_full().await.unwrap();
        world.write_views().await;
        assert_eq!(rows(store).await, [2, 2, 2]);
        store.verify_full().await.unwrap();
    }

    #[tokio::test]
    async fn id_of_a_record_without_views_is_taken_after_a_start() {
        let world = TestLedger::new();
        let draft = world.draft("0");
        world.read(&draft).await;
        let store = reopened(&copy(&world, "behind.db"));
        assert_eq!(rows(&store).await, [0, 0, 0]);
        let id = draft.evidence.id.clone();
        let found = store
            .write(move |step| Ok(step.evidence_digest(&id)?))
            .await
            .unwrap();
        assert!(found.value.is_some());
    }

    /// A ledger without space keeps serving with records in memory, so the next start must do so too.
    #[tokio::test]
    async fn start_on_a_full_disk_keeps_records_in_memory() {
        let world = TestLedger::new();
        for n in 0..100 {
            world.read(&world.draft(&n.to_string())).await;
        }
        let conn = Connection::open(copy(&world, "full.db")).unwrap();
        let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .unwrap();
        conn.execute("DELETE FROM record_views_end", []).unwrap();
        let size = crate::store::blocks::event_count(&conn).unwrap();
        let mut views = RecordViews::open(&conn, size).unwrap();
        assert_eq!(views.len(), 100);
        let refused = RecordViews::default().load(&conn, (0, size), 99);
        assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
        let written = views.write(&conn, size);
        assert!(matches!(written, Err(StoreError::Full)), "{written:?}");
        assert_eq!(end(&conn).unwrap(), None, "a failed derivation changes nothing");
        conn.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(()))
            .unwrap();
        views.write(&conn, size).unwrap();
        let count = |table: &str| -> i64 {
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!((count("evidence"), count("audit"), views.len()), (100, 100, 0));
    }

    /// A full disk when views are due: nothing is lost, and later requests are served when there is space.
    #[tokio::test]
    async fn views_that_cannot_be_written_are_written_later() {
        let world = recorded().await;
        let store = &world.ledger.store;
        let limit = |pages: &'static str| {
            store.write(move |step| Ok(step.conn().query_row(pages, [], |_| Ok(())).map(drop)?))
        };
        for n in 0..WRITTEN_FROM / 2 - 4 {
            world.read(&world.draft(&n.to_string())).await;
        }
        limit("PRAGMA max_page_count = 1").await.unwrap();
        let refused = store.read_records(|_| Ok(())).await;
        assert!(matches!(refused, Err(StoreTxError::Store(StoreError::Full))));
        limit("PRAGMA max_page_count = 1000000").await.unwrap();
        store.read_records(|_| Ok(())).await.unwrap();
        let reads = i64::try_from(WRITTEN_FROM / 2 - 4).unwrap() + 2;
        assert_eq!(rows(store).await, [reads, reads, 2]);
        store.verify_full().await.unwrap();
    }

    #[tokio::test]
    async fn lowered_position_of_an_open_store_is_reported() {
        let world = recorded().await;
        world.write_views().await;
        Connection::open(world.store_path())
            .unwrap()
            .execute_batch("DELETE FROM evidence; UPDATE record_views_end SET seq = 0")
            .unwrap();
        let verified = world.ledger.store.verify_full().await;
        assert!(matches!(verified, Err(StoreError::Tampered(_))), "{verified:?}");
    }

    /// A query about records must not answer that they do not exist.
    #[tokio::test]
    async fn read_only_store_without_all_views_answers_no_query() {
        let world = recorded().await;
        let behind = copy(&world, "behind.db");
        world.write_views().await;
        let whole = copy(&world, "whole.db");
        let keys = NoteKeys::from(&key(LEDGER_KEY).public_key());
        let opened = |path: &Path| Store::open_read_only(path, ORIGIN, keys.clone(), None).unwrap();
        opened(&whole).read_records(|_| Ok(())).await.unwrap();
        let refused = opened(&behind).read_records(|_| Ok(())).await;
        assert!(
            matches!(refused, Err(StoreTxError::Store(StoreError::FullAtStart))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn views_are_written_when_enough_records_wait() {
        let world = TestLedger::new();
        let drafts: Vec<_> = (0..WRITTEN_FROM).map(|n| world.draft(&n.to_string())).collect();
        for (n, draft) in drafts.iter().enumerate() {
            assert_eq!(rows(&world.ledger.store).await, [0, 0, 0], "before read {n}");
            world.read(draft).await;
        }
        // The next batch begins after the views.
        world.ledger.store.write(|_| Ok(())).await.unwrap();
        let reads = i64::try_from(drafts.len()).unwrap();
        assert_eq!(rows(&world.ledger.store).await, [reads, reads, 0]);
    }

    #[tokio::test]
    async fn missing_views_are_derived_after_a_start() {
        let world = recorded().await;
        let behind = copy(&world, "behind.db");
        world.write_views().await;
        let whole = copy(&world, "whole.db");
        let fake = "INSERT INTO evidence SELECT 99, 'ev_0', digest, tenant, principal, capability, source_id, \
                    table_name, read_at FROM evidence LIMIT 1";
        for (name, path, damage) in [
            ("behind", &behind, ""),
            ("position lost", &whole, "DELETE FROM record_views_end"),
            (
                "position past the end",
                &whole,
                "UPDATE record_views_end SET seq = 999",
            ),
            (
                "rows lost with the position",
                &whole,
                "DELETE FROM record_views_end; DELETE FROM evidence; DELETE FROM record_segments; \
                 DELETE FROM record_postings",
            ),
            (
                "rows too many",
                &whole,
                &format!("UPDATE record_views_end SET seq = 1; {fake}"),
            ),
        ] {
            let path = {
                let copied = world.dir.path().join("copied.db");
                std::fs::copy(path, &copied).unwrap();
                copied
            };
            Connection::open(&path).unwrap().execute_batch(damage).unwrap();
            let store = reopened(&path);
            store.read_records(|_| Ok(())).await.unwrap();
            assert_eq!(rows(&store).await, [2, 2, 2], "{name}");
            store.verify_full().await.unwrap();
            drop(store);
        }
    }
}
