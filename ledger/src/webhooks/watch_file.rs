//! Starts the webhooks of the file, and starts them again after a change of it or of a file that it names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::files::{self, FileWatch};
use synapsor_chassis::run::ExitError;
use synapsor_domain::digest::Digest;
use synapsor_outbound::AddressPolicy;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::WebhookHandle;
use super::delivery::DeliveryTask;
use super::receiver::{self, FILE_BYTES_MAX, Receiver};
use crate::Ledger;

/// Interval at which the files are checked for changes.
const CHECK: Duration = Duration::from_secs(1);

/// The file, and the addresses that its receivers may have.
#[derive(Debug, Clone)]
pub(crate) struct WebhookSource {
    pub(crate) path: PathBuf,
    pub(crate) policy: AddressPolicy,
}

/// Receivers as the files describe them.
#[derive(Debug)]
pub(crate) struct WebhooksLoaded {
    source: WebhookSource,
    files: WatchedFiles,
    receivers: Vec<Arc<Receiver>>,
}

/// The file and the files that it names.
#[derive(Debug)]
struct WatchedFiles {
    watch: FileWatch,
    /// Digest of their content, because a stamp may change without it.
    content: Digest,
}

impl WebhookSource {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// An invalid file, so that a ledger does not start without its webhooks.
    pub(crate) fn load(self, now_ms: i64) -> Result<WebhooksLoaded, ExitError> {
        let (files, receivers) = self.read(now_ms);
        Ok(WebhooksLoaded {
            receivers: receivers?,
            source: self,
            files,
        })
    }

    fn read(&self, now_ms: i64) -> (WatchedFiles, Result<Vec<Arc<Receiver>>, ExitError>) {
        let paths = receiver::paths(&self.path);
        let mut watch = FileWatch::new(paths.clone());
        // Stamped before the read: a file that changes in between counts as changed.
        watch.may_have_changed(now_ms);
        let mut content = Vec::new();
        for path in &paths {
            let bytes = files::read_bounded(path, FILE_BYTES_MAX).unwrap_or_default();
            content.extend_from_slice(Digest::of_typed("webhooks", &bytes).as_bytes());
        }
        let content = Digest::of_typed("webhooks", &content);
        (
            WatchedFiles { watch, content },
            receiver::read_all(&self.path, &self.policy),
        )
    }
}

/// Runs the webhooks until `end`. A changed file that is invalid leaves the webhooks as they are.
pub(crate) async fn maintain(ledger: Ledger, loaded: WebhooksLoaded, end: CancellationToken) {
    let WebhooksLoaded {
        source,
        mut files,
        mut receivers,
    } = loaded;
    while !end.is_cancelled() {
        let stop = end.child_token();
        let mut tasks = start(&ledger, &receivers, &stop);
        tokio::select! {
            next = changed(&ledger, &source, &mut files, &end) => if let Some(next) = next {
                receivers = next;
            },
            Some(_) = tasks.join_next() => {
                tracing::error!("a webhook ended unexpectedly; all start again");
                tokio::time::sleep(CHECK).await;
            }
        }
        // The next tasks begin after these have ended, because two of one webhook would mix their order.
        stop.cancel();
        while tasks.join_next().await.is_some() {}
    }
}

fn start(ledger: &Ledger, receivers: &[Arc<Receiver>], stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut handles = Vec::new();
    for receiver in receivers {
        let (handle, inbox) = WebhookHandle::new(receiver.clone());
        let task = DeliveryTask::new(ledger.clone(), receiver.clone(), inbox);
        tasks.spawn(task.run(stop.clone()));
        handles.push(handle);
    }
    ledger.webhooks.set(handles);
    tasks
}

/// Waits for a valid change of the files; returns `None` at the end.
async fn changed(
    ledger: &Ledger,
    source: &WebhookSource,
    files: &mut WatchedFiles,
    end: &CancellationToken,
) -> Option<Vec<Arc<Receiver>>> {
    let mut reported = None;
    loop {
        tokio::select! {
            () = end.cancelled() => return None,
            () = tokio::time::sleep(CHECK) => {}
        }
        let now_ms = ledger.now().as_unix_millis();
        if !files.watch.may_have_changed(now_ms) {
            continue;
        }
        let (read, receivers) = source.read(now_ms);
        match receivers {
            Ok(_) if read.content == files.content => {
                ledger.webhooks.report(None);
                files.watch = read.watch;
            }
            Ok(receivers) => {
                tracing::info!(webhooks = receivers.len(), "webhooks file loaded");
                *files = read;
                return Some(receivers);
            }
            Err(failure) => {
                files.watch = read.watch;
                let text = format!("{}: {}", failure.code(), failure.message());
                if reported.as_ref() != Some(&text) {
                    tracing::error!(
                        code = %failure.code(),
                        "webhooks file reload failed; keeping previous version: {}",
                        failure.message()
                    );
                    ledger.webhooks.report(Some(text.clone()));
                    reported = Some(text);
                }
            }
        }
    }
}
