//! The one writing thread. It commits the queued requests as one durable transaction and answers only afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;
use synapsor_chassis::files::FileLock;
use synapsor_domain::approval::ApprovalRefusal;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::ConsistencyProof;
use synapsor_domain::signing::SigningKey;
use tokio::sync::{mpsc, oneshot, watch};

use super::connection::FileIdentity;
use super::error::StoreError;
use super::event_times;
use super::head::{self, SignedTreeHead};
use super::listeners::{Listeners, Moved, Range};
use super::nodes::{NodeCache, Nodes};
use super::record_views::RecordViews;
use super::stats::StoreSize;
use super::step::{StepKind, WriteTransaction};
use super::vacuum;
use crate::failpoint::{self, Point};

/// Number of steps from which a transaction takes no more groups.
pub(crate) const BATCH_MAX: usize = 256;

/// Reason why a request stored nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreTxError {
    /// The request was refused.
    #[error(transparent)]
    Refused(#[from] PublicError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for StoreTxError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<ApprovalRefusal> for StoreTxError {
    fn from(refusal: ApprovalRefusal) -> Self {
        Self::Refused(refusal.into())
    }
}

/// Result of a step, with the head of the log after its batch.
#[derive(Debug, Clone)]
pub struct Committed<T> {
    /// Return value of the step.
    pub value: T,
    /// The log after the batch.
    pub head: SignedTreeHead,
    /// Proofs that the log extends the head that the caller knew, and the head before the batch.
    pub growth: Vec<Arc<ConsistencyProof>>,
}

/// What the writing thread is asked to do.
pub(crate) enum Work {
    /// Steps of one caller, for one batch.
    Steps(Vec<Box<dyn BatchRequest>>),
    /// Write the views of all durable records, for a query that needs them.
    Views(oneshot::Sender<Result<(), StoreError>>),
    /// Rewrite the file without its free pages.
    Vacuum(oneshot::Sender<VacuumResult>),
    /// Move the write-ahead log into the file.
    SettleFile(oneshot::Sender<Result<bool, StoreError>>),
}

/// Size of the file before and after it was rewritten.
type VacuumResult = Result<(StoreSize, StoreSize), StoreError>;

/// A durable batch.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    head: SignedTreeHead,
    /// Proofs from the head before the batch, and from each head that a caller of the batch knew.
    growth: Vec<Arc<ConsistencyProof>>,
    /// Size before the batch.
    before: u64,
    /// Proposals that it changed.
    moved: Vec<Moved>,
}

impl Batch {
    fn growth_since(&self, known: u64) -> Vec<Arc<ConsistencyProof>> {
        let wanted = |proof: &&Arc<ConsistencyProof>| [known, self.before].contains(&proof.old_size());
        self.growth.iter().filter(wanted).cloned().collect()
    }
}

/// One queued request.
pub(crate) trait BatchRequest: Send {
    /// Does the work inside its savepoint. On an error, nothing of it may stay. The error is kept for the answer,
    /// and returned in case the whole batch fails with it.
    fn run(&mut self, step: &mut WriteTransaction<'_>) -> Result<(), Option<StoreError>>;
    /// Returns what the work does; decides whether it needs a savepoint.
    fn kind(&self) -> StepKind;
    /// Returns the log size from which the caller wants a proof; 0 for none.
    fn known(&self) -> u64;
    /// Answers the caller after the batch is durable or has failed.
    fn answer(self: Box<Self>, outcome: &Result<Batch, StoreError>);
}

/// A request as a function with a channel for its answer.
pub(crate) struct Task<T, F> {
    work: Option<F>,
    kind: StepKind,
    known: Option<u64>,
    result: Option<Result<T, StoreTxError>>,
    reply: oneshot::Sender<Result<Committed<T>, StoreTxError>>,
}

impl<T, F> Task<T, F> {
    /// Creates a task with the log size from which the caller wants a proof, if it wants one.
    pub(crate) fn new(
        work: F,
        known: Option<u64>,
        kind: StepKind,
    ) -> (Self, oneshot::Receiver<Result<Committed<T>, StoreTxError>>) {
        let (reply, answer) = oneshot::channel();
        (
            Self {
                work: Some(work),
                kind,
                known,
                result: None,
                reply,
            },
            answer,
        )
    }
}

impl<T, F> BatchRequest for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut WriteTransaction<'_>) -> Result<T, StoreTxError> + Send,
{
    fn run(&mut self, step: &mut WriteTransaction<'_>) -> Result<(), Option<StoreError>> {
        let Some(work) = self.work.take() else {
            return Err(None);
        };
        let result = work(step);
        let outcome = match &result {
            Ok(_) => Ok(()),
            Err(StoreTxError::Refused(_)) => Err(None),
            Err(StoreTxError::Store(error)) => Err(Some(error.clone())),
        };
        self.result = Some(result);
        outcome
    }

    fn kind(&self) -> StepKind {
        self.kind
    }

    fn known(&self) -> u64 {
        self.known.unwrap_or(0)
    }

    fn answer(self: Box<Self>, outcome: &Result<Batch, StoreError>) {
        let answer = match (outcome, self.result) {
            (Ok(batch), Some(Ok(value))) => Ok(Committed {
                value,
                head: batch.head.clone(),
                growth: self
                    .known
                    .map_or_else(Vec::new, |known| batch.growth_since(known)),
            }),
            (Ok(_), Some(Err(error))) => Err(error),
            (Ok(_), None) => Err(StoreError::Closed.into()),
            (Err(error), _) => Err(error.clone().into()),
        };
        // A caller that has disconnected does not undo a durable batch.
        let _ = self.reply.send(answer);
    }
}

/// State that the writing thread owns.
pub(crate) struct StoreWriter {
    pub(crate) conn: Connection,
    pub(crate) file: FileIdentity,
    pub(crate) origin: String,
    pub(crate) key: SigningKey,
    pub(crate) head: watch::Sender<SignedTreeHead>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) nodes: NodeCache,
    pub(crate) records: RecordViews,
    /// Held as long as this thread can write.
    #[expect(dead_code, reason = "held for as long as it lives, never read")]
    pub(crate) lock: Option<FileLock>,
}

impl StoreWriter {
    /// Serves the queue until every sender is dropped.
    pub(crate) fn serve(mut self, mut queue: mpsc::Receiver<Work>) {
        let mut broken: Option<StoreError> = None;
        while let Some(work) = queue.blocking_recv() {
            let (mut batch, mut waiting) = (Vec::new(), Vec::new());
            let (mut vacuums, mut settles) = (Vec::new(), Vec::new());
            let mut next = Some(work);
            while let Some(work) = next.take() {
                match work {
                    Work::Steps(steps) => batch.extend(steps),
                    Work::Views(answer) => waiting.push(answer),
                    Work::Vacuum(answer) => vacuums.push(answer),
                    Work::SettleFile(answer) => settles.push(answer),
                }
                if batch.len() < BATCH_MAX {
                    next = queue.try_recv().ok();
                }
            }
            if !batch.is_empty() {
                self.serve_batch(batch, &mut broken);
            }
            if !waiting.is_empty() || self.records.are_due() {
                let written = broken.clone().map_or_else(|| self.write_views(), Err);
                for answer in waiting {
                    // A caller that no longer waits needs no answer.
                    let _ = answer.send(written.clone());
                }
            }
            for answer in settles {
                let done = broken.clone().map_or_else(|| vacuum::settle(&self.conn), Err);
                let _ = answer.send(done);
            }
            if !vacuums.is_empty() {
                let done = broken.clone().map_or_else(|| self.vacuum(), Err);
                for answer in vacuums {
                    let _ = answer.send(done.clone());
                }
            }
        }
        if broken.is_none() {
            // The error is in the log; the next start derives the views.
            let _ = self.write_views();
        }
    }

    fn serve_batch(&mut self, mut batch: Vec<Box<dyn BatchRequest>>, broken: &mut Option<StoreError>) {
        let outcome = match &*broken {
            Some(error) => Err(error.clone()),
            None if self.records.are_behind() => self.write_views().and_then(|()| self.commit(&mut batch)),
            None => self.commit(&mut batch),
        };
        if let Err(error) = &outcome {
            tracing::error!(code = %error.code(), "a batch was not committed: {error}");
            if broken.is_none() {
                *broken = self.recover(error);
            }
        }
        for job in batch {
            job.answer(&outcome);
        }
    }

    fn vacuum(&mut self) -> VacuumResult {
        self.file.still_there()?;
        vacuum::run(&self.conn, self.file.path())
    }

    /// Writes the views of the records that are durable.
    fn write_views(&mut self) -> Result<(), StoreError> {
        let size = self.head.borrow().size;
        let written = self
            .file
            .still_there()
            .and_then(|()| self.records.write(&self.conn, size));
        if let Err(error) = &written {
            tracing::error!(code = %error.code(), "views of records were not written: {error}");
        }
        written
    }

    fn commit(&mut self, batch: &mut [Box<dyn BatchRequest>]) -> Result<Batch, StoreError> {
        self.file.still_there()?;
        let changes = self.conn.total_changes();
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let made = self.fill(batch)?;
        let head = &made.head;
        // A sweep without changes is no crash point, because a proof could not choose its time.
        let has_changes = self.conn.total_changes() != changes;
        crash_point(has_changes, Point::BeforeCommit)?;
        self.file.still_there()?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        crash_point(has_changes, Point::AfterCommit)?;
        self.listeners.wake(&made.moved);
        self.head.send_if_modified(|old| {
            let grew = old.size != head.size;
            old.clone_from(head);
            grew
        });
        Ok(made)
    }

    /// Runs every request, then extends tree and checkpoint once for all of them.
    fn fill(&mut self, batch: &mut [Box<dyn BatchRequest>]) -> Result<Batch, StoreError> {
        let old = self.head.borrow().clone();
        if head::newest(&self.conn)?.as_ref() != Some(&old) {
            let text = "store was modified by another process";
            return Err(StoreError::Tampered(text.to_owned()));
        }
        let mut step = WriteTransaction::new(&self.conn, &mut self.records, old.size);
        for job in &mut *batch {
            match job.kind() {
                StepKind::Any => run_in_savepoint(job.as_mut(), &mut step)?,
                StepKind::Record => run_record(job.as_mut(), &mut step)?,
            }
        }
        let (leaves, moved) = step.finish()?;
        let size = old.size + u64::try_from(leaves.len()).expect("a batch fits in memory");
        event_times::complete(&self.conn, old.size, size)?;
        let mut nodes = Nodes::kept(&self.conn, old.size, &self.nodes);
        for (seq, leaf) in (old.size..).zip(&leaves) {
            nodes.append(seq, leaf)?;
        }
        let before = old.size;
        let head = if leaves.is_empty() {
            old
        } else {
            let head = (size, nodes.root(size)?);
            head::store(&self.conn, &self.origin, head, &nodes.created(), &self.key)?
        };
        let wanted: BTreeSet<u64> = batch.iter().map(|job| job.known()).chain([before]).collect();
        let growth = wanted
            .into_iter()
            .filter(|known| (1..=size).contains(known))
            .map(|known| nodes.consistency(known, size).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Batch {
            head,
            growth,
            before,
            moved,
        })
    }

    /// Rolls back a failed batch and checks the content of the file. Returns a permanent error when the store can
    /// no longer be trusted.
    fn recover(&mut self, cause: &StoreError) -> Option<StoreError> {
        self.nodes.forget();
        if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
            return Some(StoreError::Closed);
        }
        let newest = head::newest(&self.conn);
        let first = self.head.borrow().size;
        // The failed batch may be durable after all. Its records wait for their views then.
        let durable = newest
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map_or(first, |head| head.size);
        self.records.forget_from(durable);
        match cause {
            StoreError::Vanished | StoreError::Tampered(_) => return Some(cause.clone()),
            _ => {}
        }
        match newest {
            // If the head has changed, the next batch continues from it.
            Ok(Some(head)) => {
                if head.size > first {
                    let end = head.size;
                    self.listeners.wake_all(Range { first, end });
                }
                self.head.send_if_modified(|old| {
                    let moved = old.size != head.size;
                    *old = head;
                    moved
                });
                None
            }
            Ok(None) => Some(StoreError::Tampered("the checkpoints are missing".to_owned())),
            Err(error) => Some(error),
        }
    }
}

/// Runs a request whose effects are undone when it fails.
fn run_in_savepoint(job: &mut dyn BatchRequest, step: &mut WriteTransaction<'_>) -> Result<(), StoreError> {
    step.savepoint()?;
    match job.run(step) {
        Ok(()) => step.release(true),
        // A full disk has rolled back the whole transaction. The savepoint is then gone, and this error is the
        // cause.
        Err(cause) => step.release(false).map_err(|lost| cause.unwrap_or(lost)),
    }
}

/// Runs a request that refuses before its first change, if it refuses. If it changed anything and then failed, the
/// batch fails.
fn run_record(job: &mut dyn BatchRequest, step: &mut WriteTransaction<'_>) -> Result<(), StoreError> {
    let before = step.next_seq();
    let Err(cause) = job.run(step) else {
        return Ok(());
    };
    let is_unchanged = step.next_seq() == before && !step.conn().is_autocommit();
    match cause {
        None | Some(StoreError::Duplicate) if is_unchanged => Ok(()),
        Some(cause) => Err(cause),
        None => Err(StoreError::Failed(
            "a record was refused after its first change".to_owned(),
        )),
    }
}

fn crash_point(is_one: bool, point: Point) -> Result<(), StoreError> {
    if is_one {
        failpoint::hit(point).map_err(|e| StoreError::Failed(e.to_string()))?;
    }
    Ok(())
}
