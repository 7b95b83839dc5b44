//! The ledger's store, the only directory that uses the database driver. Events, bodies, tree nodes and
//! checkpoints are authoritative; the other tables are derived from the events for lookups.

pub(crate) mod agents;
pub(crate) mod backup;
mod blocks;
mod check;
mod connection;
pub(crate) mod erase;
mod error;
pub(crate) mod event_times;
pub(crate) mod events;
mod head;
pub(crate) mod human_actions;
pub(crate) mod leases;
pub(crate) mod listeners;
pub(crate) mod log;
pub(crate) mod migrate;
mod migrate_events;
mod nodes;
pub mod packed;
mod pool;
mod proofs;
pub(crate) mod proposals;
pub(crate) mod queue;
pub(crate) mod receipts;
pub(crate) mod record_index;
mod record_views;
pub(crate) mod records;
pub(crate) mod requests;
pub(crate) mod restore;
mod row;
pub(crate) mod stats;
mod step;
pub(crate) mod switches;
mod vacuum;
mod verify;
mod views;
pub(crate) mod webhooks;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::files::FileLock;
use synapsor_domain::log::{EMPTY_ROOT, NoteKeys};
use synapsor_domain::signing::SigningKey;
use synapsor_domain::trust::TrustFile;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use error::StoreError;
pub use head::SignedTreeHead;
pub use verify::{VerifyReport, verify_file, verify_under};
pub use writer::{Committed, StoreTxError};

pub(crate) use nodes::NodeCache;
pub(crate) use pool::ReadTransaction;
pub(crate) use proofs::ProofReader;
pub(crate) use step::{NewEvent, StepKind, WriteTransaction};
pub(crate) use views::{AuditView, EvidenceView, ParsedBody, ReadProposal, kind_of, kind_of_finding};

use connection::{FileIdentity, ReadAs};
use listeners::{Listeners, Listening, Topic};
use pool::ReadPool;
use record_views::{RecordViews, ViewsEnd};
use stats::{StoreSize, StoreStats};
use writer::{BatchRequest, StoreWriter, Task, Work};

/// Number of tries to empty the write-ahead log, and the pause between two.
const SETTLE_TRIES: u32 = 40;
const SETTLE_PAUSE: Duration = Duration::from_millis(250);

/// Maximum number of requests that wait for the writing thread.
const QUEUE_MAX: usize = 1024;

/// A step queued for the next batch. Dropping it does not withdraw the step.
pub(crate) struct Pending<T>(oneshot::Receiver<Result<Committed<T>, StoreTxError>>);

impl<T> Pending<T> {
    /// Completes when the batch is durable or has failed.
    pub(crate) async fn answer(self) -> Result<Committed<T>, StoreTxError> {
        self.0
            .await
            .map_err(|_| StoreTxError::Store(StoreError::Closed))?
    }
}

/// Steps of one request to the ledger, which are queued together and become one batch.
pub(crate) struct Group {
    known: u64,
    steps: Vec<Box<dyn BatchRequest>>,
}

impl Group {
    /// Creates a group whose results carry proofs that the log extends the `known` events of the caller.
    pub(crate) const fn new(known: u64) -> Self {
        Self {
            known,
            steps: Vec::new(),
        }
    }

    /// Adds a step. It never completes if the group is not submitted.
    pub(crate) fn push<T, F>(&mut self, kind: StepKind, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTransaction<'_>) -> Result<T, StoreTxError> + Send + 'static,
    {
        let (task, answer) = Task::new(work, Some(self.known), kind);
        self.steps.push(Box::new(task));
        Pending(answer)
    }
}

/// An open store. Clones share the writing thread, which ends when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    path: Arc<PathBuf>,
    origin: Arc<str>,
    keys: Arc<NoteKeys>,
    queue: mpsc::Sender<Work>,
    readers: Arc<ReadPool>,
    head: watch::Receiver<SignedTreeHead>,
    listeners: Arc<Listeners>,
    /// Position up to which the views of records are complete.
    records_end: ViewsEnd,
    /// Canceled when the writing thread has ended.
    writer_ended: CancellationToken,
    /// Set when the disk was full at the start, with the lock that the writing thread would hold.
    read_only: Option<Arc<Option<FileLock>>>,
}

impl Store {
    /// Opens the file, creating it when it is missing. Fails for a foreign, newer or visibly damaged file and for
    /// another log. The cost does not grow with the number of records.
    pub fn open(path: &Path, origin: &str, key: SigningKey) -> Result<Self, StoreError> {
        let keys = NoteKeys::from(&key.public_key());
        Self::open_under(path, origin, (key, keys), None)
    }

    /// Opens the file like [`Self::open`], under a lock that is released only when nothing can be written any
    /// more. The log of `trust` may contain checkpoints of ledger keys that are retired there.
    pub fn open_locked(
        path: &Path,
        trust: &TrustFile,
        key: SigningKey,
        lock: FileLock,
    ) -> Result<Self, StoreError> {
        let keys = NoteKeys::of(&key.public_key(), trust);
        Self::open_under(path, &trust.ledger_origin(), (key, keys), Some(lock))
    }

    fn open_under(
        path: &Path,
        origin: &str,
        (key, keys): (SigningKey, NoteKeys),
        lock: Option<FileLock>,
    ) -> Result<Self, StoreError> {
        let prepared = connection::open_writer(path, true).and_then(|conn| {
            prepare(&conn, origin, &key)?;
            Ok(conn)
        });
        let conn = match prepared {
            Ok(conn) => conn,
            Err(StoreError::Full) => return Self::open_read_only(path, origin, keys, lock),
            Err(error) => return Err(error),
        };
        let head = check::newest_head(&conn, origin, &keys)?;
        let records = RecordViews::open(&conn, head.size)?;
        let records_end = records.end();
        let file = FileIdentity::of(path)?;
        let readers = ReadPool::open(path, file.clone(), ReadAs::Shared)?;
        let (sender, watcher) = watch::channel(head);
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let listeners = Arc::<Listeners>::default();
        let writer = StoreWriter {
            conn,
            file,
            origin: origin.to_owned(),
            key,
            head: sender,
            listeners: listeners.clone(),
            nodes: NodeCache::default(),
            records,
            lock,
        };
        let writer_ended = CancellationToken::new();
        let guard = writer_ended.clone().drop_guard();
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let _guard = guard;
                writer.serve(jobs);
            })
            .map_err(|_| StoreError::Failed("cannot start the writing thread".to_owned()))?;
        Ok(Self {
            path: Arc::new(path.to_owned()),
            origin: origin.into(),
            keys: Arc::new(keys),
            queue,
            readers: Arc::new(readers),
            head: watcher,
            listeners,
            records_end,
            writer_ended,
            read_only: None,
        })
    }

    /// Opens a store on a full disk: records are readable, and every write fails with an error code. Requires a
    /// file that its last process closed, with an empty write-ahead log.
    fn open_read_only(
        path: &Path,
        origin: &str,
        keys: NoteKeys,
        lock: Option<FileLock>,
    ) -> Result<Self, StoreError> {
        if !connection::has_no_log(path) {
            return Err(StoreError::Full);
        }
        let conn = connection::open_reader(path, ReadAs::Immutable)?;
        if migrate::version(&conn)? != migrate::known_version() {
            return Err(StoreError::Full);
        }
        let head = check::newest_head(&conn, origin, &keys)?;
        let readers = ReadPool::open(path, FileIdentity::of(path)?, ReadAs::Immutable)?;
        tracing::error!("disk of the store is full; the ledger is read-only");
        Ok(Self {
            path: Arc::new(path.to_owned()),
            origin: origin.into(),
            keys: Arc::new(keys),
            queue: mpsc::channel(1).0,
            readers: Arc::new(readers),
            head: watch::channel(head).1,
            listeners: Arc::default(),
            records_end: ViewsEnd::default(),
            writer_ended: CancellationToken::new(),
            read_only: Some(Arc::new(lock)),
        })
    }

    /// Returns when the writing thread has ended. While this handle exists, that means a panic. Nothing can be
    /// written afterwards.
    pub async fn writer_ended(&self) {
        self.writer_ended.cancelled().await;
    }

    /// Runs a step in the next batch, and returns when that batch is durable. A refused step stores nothing.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<Committed<T>, StoreTxError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTransaction<'_>) -> Result<T, StoreTxError> + Send + 'static,
    {
        let (task, answer) = Task::new(work, None, StepKind::Any);
        self.enqueue(vec![Box::new(task)])?;
        Pending(answer).answer().await
    }

    /// Queues the steps of a group for the next batch at once.
    pub(crate) fn submit(&self, group: Group) -> Result<(), StoreError> {
        self.enqueue(group.steps)
    }

    fn enqueue(&self, steps: Vec<Box<dyn BatchRequest>>) -> Result<(), StoreError> {
        if self.read_only.is_some() {
            return Err(StoreError::FullAtStart);
        }
        self.send(Work::Steps(steps))
    }

    fn send(&self, work: Work) -> Result<(), StoreError> {
        self.queue.try_send(work).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })
    }

    /// Runs `look` on one consistent state of the file, outside the writing thread.
    pub(crate) async fn read<T, F>(&self, scan: F) -> Result<T, StoreTxError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction<'_>) -> Result<T, StoreTxError> + Send + 'static,
    {
        self.readers.clone().read(scan).await
    }

    /// Like [`Self::read`], for queries about evidence and audit records: their views contain every record that was
    /// durable before this call.
    ///
    /// # Errors
    /// `STORE_FULL` while the disk is full and some of these records are not in the views.
    pub(crate) async fn read_records<T, F>(&self, scan: F) -> Result<T, StoreTxError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction<'_>) -> Result<T, StoreTxError> + Send + 'static,
    {
        let size = self.head.borrow().size;
        if self.read_only.is_some() {
            return self
                .read(move |reader| match reader.records_end()? < size {
                    true => Err(StoreError::FullAtStart.into()),
                    false => scan(reader),
                })
                .await;
        }
        if self.records_end.get() < size {
            let (answer, written) = oneshot::channel();
            self.send(Work::Views(answer))?;
            written.await.map_err(|_| StoreError::Closed)??;
        }
        self.read(scan).await
    }

    /// Registers a listener for batches that change proposals of these topics.
    pub(crate) fn listen(&self, topics: Vec<Topic>) -> Listening {
        self.listeners.listen(topics)
    }

    /// Returns the head of the log as it changes; every value is durable.
    pub fn head(&self) -> watch::Receiver<SignedTreeHead> {
        self.head.clone()
    }

    /// Returns the origin of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Measures the file and counts its rows.
    pub(crate) async fn stats(&self) -> Result<StoreStats, StoreTxError> {
        let path = self.path.clone();
        self.read_records(move |reader| Ok(stats::count(reader.conn(), &path)?))
            .await
    }

    /// Gives free pages back to the file system. Returns the size before and after.
    ///
    /// # Errors
    /// `STORE_FULL` when there is not enough space for a second copy of the file and its way there.
    pub(crate) async fn vacuum(&self) -> Result<(StoreSize, StoreSize), StoreError> {
        if self.read_only.is_some() {
            return Err(StoreError::FullAtStart);
        }
        let (answer, done) = oneshot::channel();
        self.send(Work::Vacuum(answer))?;
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// Moves the write-ahead log into the file and empties it, so that it holds nothing of what was erased. Returns whether
    /// that is done: a reader that needs an older state for long prevents it.
    pub(crate) async fn settle_file(&self) -> Result<bool, StoreError> {
        for _ in 0..SETTLE_TRIES {
            let (answer, done) = oneshot::channel();
            self.send(Work::SettleFile(answer))?;
            if done.await.map_err(|_| StoreError::Closed)?? {
                return Ok(true);
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        Ok(false)
    }

    /// Checks the order of each erasure under a trust file, by the position at which the log holds it.
    ///
    /// # Errors
    /// `STORE_TAMPERED` for one that no operator with the role could have signed.
    pub(crate) async fn check_erasure_orders(&self, trust: Arc<TrustFile>) -> Result<(), StoreError> {
        let checked = self
            .read(move |reader| Ok(erase::check_orders(reader.conn(), &trust)?))
            .await;
        checked.map_err(|error| match error {
            StoreTxError::Store(error) => error,
            StoreTxError::Refused(refusal) => StoreError::Failed(refusal.public),
        })
    }

    /// Sends the log as it is now, with its own connection, so that no other reader waits.
    pub(crate) fn back_up(&self, created_at_ms: i64, sink: &mut backup::Sink<'_>) -> Result<(), StoreError> {
        let read_as = match &self.read_only {
            Some(_) => ReadAs::Immutable,
            None => ReadAs::Shared,
        };
        let conn = connection::open_reader(&self.path, read_as)?;
        conn.execute_batch("BEGIN DEFERRED")?;
        backup::send(&conn, &self.origin, created_at_ms, sink)
    }

    /// Recomputes everything in the file, with its own connection.
    pub async fn verify_full(&self) -> Result<VerifyReport, StoreError> {
        let (path, origin, keys) = (self.path.clone(), self.origin.clone(), self.keys.clone());
        let views_end = self.records_end.get();
        tokio::task::spawn_blocking(move || verify::verify_open(&path, &origin, &keys, views_end))
            .await
            .map_err(|_| StoreError::Failed("the verification task failed".to_owned()))?
    }
}

/// Moves the write-ahead log of a store into its file. No process may have it open.
pub(crate) fn settle_closed(path: &Path) -> Result<(), StoreError> {
    let conn = connection::open_writer(path, false)?;
    vacuum::settle(&conn).map(|_| ())
}

/// Checks the erasure orders of a store that no process has open.
pub(crate) fn check_closed_erasures(path: &Path, trust: &TrustFile) -> Result<(), StoreError> {
    erase::check_orders(&connection::open_reader(path, ReadAs::Shared)?, trust)
}

/// Removes the body of an event without an order, as an edit of the file does.
#[cfg(test)]
pub(crate) fn empty_body(conn: &rusqlite::Connection, seq: u64) {
    blocks::erase(conn, &[seq]).unwrap();
}

/// Migrates an older or empty file in one transaction; an empty one gets the checkpoint of the empty log.
fn prepare(conn: &rusqlite::Connection, origin: &str, key: &SigningKey) -> Result<(), StoreError> {
    let version = migrate::version(conn)?;
    if version == migrate::known_version() {
        return Ok(());
    }
    let tx = rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate)?;
    migrate::migrate(&tx)?;
    if version == 0 {
        head::store(&tx, origin, (0, EMPTY_ROOT), &[], key)?;
    }
    tx.commit()?;
    Ok(())
}
