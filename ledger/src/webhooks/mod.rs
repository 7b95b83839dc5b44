//! Webhooks: delivers events of the log to the receivers that a file lists.
//!
//! The log is the outbox. Each webhook has a position in it, and the subjects whose next event failed. Deliveries read
//! outside the writing thread; the state of each webhook is written in steps of its own, at most a few times a second.

mod delivery;
mod receiver;
mod round;
mod watch_file;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) use receiver::Receiver;
pub(crate) use watch_file::{WebhookSource, WebhooksLoaded, maintain};

use crate::store::StoreTxError;

/// Maximum number of commands of operators that wait for one webhook.
const COMMANDS_MAX: usize = 16;

/// Webhooks that run. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Webhooks(Arc<Mutex<RunningWebhooks>>);

#[derive(Debug, Default)]
struct RunningWebhooks {
    by_name: BTreeMap<String, WebhookHandle>,
    /// Why the file that was changed last is not in use.
    problem: Option<String>,
}

/// A webhook that runs.
#[derive(Debug, Clone)]
pub(crate) struct WebhookHandle {
    pub(crate) receiver: Arc<Receiver>,
    commands: mpsc::Sender<Rewind>,
    /// Wakes the webhook after an operator scheduled a dead letter.
    pub(crate) scheduled: Arc<Notify>,
}

/// Command to deliver again from a position. The answer is the position before, or `None` if it is not behind `to`.
#[derive(Debug)]
struct Rewind {
    to: u64,
    answer: oneshot::Sender<Result<Option<u64>, StoreTxError>>,
}

/// The receiving side of a [`WebhookHandle`].
#[derive(Debug)]
struct WebhookInbox {
    commands: mpsc::Receiver<Rewind>,
    scheduled: Arc<Notify>,
}

impl WebhookHandle {
    fn new(receiver: Arc<Receiver>) -> (Self, WebhookInbox) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let scheduled = Arc::<Notify>::default();
        let handle = Self {
            receiver,
            commands,
            scheduled: scheduled.clone(),
        };
        (
            handle,
            WebhookInbox {
                commands: inbox,
                scheduled,
            },
        )
    }

    /// Moves the webhook back to a position. `None` when the webhook has ended or cannot take a command now.
    pub(crate) async fn rewind(&self, to: u64) -> Option<Result<Option<u64>, StoreTxError>> {
        let (answer, answered) = oneshot::channel();
        self.commands.try_send(Rewind { to, answer }).ok()?;
        answered.await.ok()
    }
}

impl Webhooks {
    fn lock(&self) -> MutexGuard<'_, RunningWebhooks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the webhook with this name.
    pub(crate) fn get(&self, name: &str) -> Option<WebhookHandle> {
        self.lock().by_name.get(name).cloned()
    }

    /// Returns the webhooks that run, and why the file that was changed last is not in use.
    pub(crate) fn all(&self) -> (Vec<WebhookHandle>, Option<String>) {
        let running = self.lock();
        (
            running.by_name.values().cloned().collect(),
            running.problem.clone(),
        )
    }

    fn set(&self, handles: Vec<WebhookHandle>) {
        let mut running = self.lock();
        running.problem = None;
        running.by_name = handles
            .into_iter()
            .map(|handle| (handle.receiver.entry.name.clone(), handle))
            .collect();
    }

    fn report(&self, problem: Option<String>) {
        self.lock().problem = problem;
    }
}
