//! Tasks that a process cannot do without: one that ends before it is told to is the end of the process, with a
//! reason, instead of a process that answers and no longer works.

use std::collections::HashMap;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::run::ExitError;

/// The background tasks of one process. Dropped, it aborts those that still run.
#[derive(Debug, Default)]
pub struct Background {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Background {
    /// Starts a task. `name` is what the failure calls it: "the NAME ended".
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
        handle
    }

    /// Returns when a task has ended, or has panicked, although `stop` was not cancelled; never without one.
    pub async fn failed(&mut self, stop: &CancellationToken) -> ExitError {
        while let Some(failure) = self.next_end(stop).await {
            if let Err(failure) = failure {
                return failure;
            }
        }
        std::future::pending().await
    }

    /// Waits until all tasks have ended, which they do when `stop` is cancelled.
    ///
    /// # Errors
    /// When one of them panicked.
    pub async fn join(mut self, stop: &CancellationToken) -> Result<(), ExitError> {
        while let Some(ended) = self.next_end(stop).await {
            ended?;
        }
        Ok(())
    }

    async fn next_end(&mut self, stop: &CancellationToken) -> Option<Result<(), ExitError>> {
        let ended = self.tasks.join_next_with_id().await?;
        let (id, how) = match &ended {
            Ok((id, ())) => (*id, "ended"),
            Err(error) if error.is_panic() => (error.id(), "panicked"),
            Err(error) => (error.id(), "was aborted"),
        };
        let name = self.names.remove(&id).unwrap_or("background task");
        if how == "panicked" || !stop.is_cancelled() {
            return Some(Err(task_ended(name, how)));
        }
        Some(Ok(()))
    }
}

/// The failure of a process that has lost a part it cannot work without.
pub fn task_ended(name: &str, how: &str) -> ExitError {
    ExitError::new("BACKGROUND_TASK_ENDED", format!("the {name} {how}"))
        .with_fix("see the log for the cause, then start the process again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_early_or_panics_is_named() {
        let stop = CancellationToken::new();
        let mut background = Background::default();
        let waiting = stop.clone();
        background.spawn("sweep", async move { waiting.cancelled().await });
        background.spawn("reload", async {});
        assert_eq!(background.failed(&stop).await.message(), "the reload ended");
        background.spawn("reload", async { panic!("on purpose") });
        let failure = background.failed(&stop).await;
        assert_eq!(failure.message(), "the reload panicked");
        assert_eq!(failure.code(), "BACKGROUND_TASK_ENDED");
    }

    #[tokio::test]
    async fn a_task_that_ends_when_told_to_is_no_failure() {
        let stop = CancellationToken::new();
        let mut background = Background::default();
        let waiting = stop.clone();
        background.spawn("sweep", async move { waiting.cancelled().await });
        stop.cancel();
        let failed = std::pin::pin!(background.failed(&stop));
        let told = tokio::time::timeout(std::time::Duration::from_millis(100), failed).await;
        assert!(told.is_err());
    }
}
