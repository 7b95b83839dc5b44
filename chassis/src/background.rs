//! Background tasks that a process requires. If one ends before shutdown, the process exits with an error instead
//! of serving without the task.

use std::collections::HashMap;

use synapsor_codes::ErrorCode;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::run::ExitError;

/// Background tasks of one process. Dropping it aborts the running tasks.
#[derive(Debug, Default)]
pub struct Background {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Background {
    /// Starts a task. The error message uses `name`: "the NAME ended".
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
        handle
    }

    /// Returns when a task ends before `stop` is canceled, or panics. Never returns if there is no task.
    pub async fn failed(&mut self, stop: &CancellationToken) -> ExitError {
        while let Some(failure) = self.next_end(stop).await {
            if let Err(failure) = failure {
                return failure;
            }
        }
        std::future::pending().await
    }

    /// Waits until all tasks have ended; they end when `stop` is canceled.
    ///
    /// # Errors
    /// When a task panicked.
    pub async fn join(mut self, stop: &CancellationToken) -> Result<(), ExitError> {
        while let Some(ended) = self.next_end(stop).await {
            ended?;
        }
        Ok(())
    }

    async fn next_end(&mut self, stop: &CancellationToken) -> Option<Result<(), ExitError>> {
        let ended = self.tasks.join_next_with_id().await?;
        let (id, how) = match &ended {
            Ok((id, ())) => (*id, TaskEnd::Returned),
            Err(error) if error.is_panic() => (error.id(), TaskEnd::Panicked),
            Err(error) => (error.id(), TaskEnd::Aborted),
        };
        let name = self.names.remove(&id).unwrap_or("background task");
        if how == TaskEnd::Panicked || !stop.is_cancelled() {
            return Some(Err(task_ended(name, how)));
        }
        Some(Ok(()))
    }
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEnd {
    Returned,
    Panicked,
    Aborted,
}

impl TaskEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Returned => "ended",
            Self::Panicked => "panicked",
            Self::Aborted => "was aborted",
        }
    }
}

/// Builds the error of a process that lost a required task.
pub fn task_ended(name: &str, how: TaskEnd) -> ExitError {
    ExitError::new(
        ErrorCode::BackgroundTaskEnded,
        format!("the {name} {}", how.as_str()),
    )
    .with_fix("check the log for the cause, then restart the process")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn early_end_or_panic_of_a_task_is_reported() {
        let stop = CancellationToken::new();
        let mut background = Background::default();
        let waiting = stop.clone();
        background.spawn("sweep", async move { waiting.cancelled().await });
        background.spawn("reload", async {});
        assert_eq!(background.failed(&stop).await.message(), "the reload ended");
        background.spawn("reload", async { panic!("on purpose") });
        let failure = background.failed(&stop).await;
        assert_eq!(failure.message(), "the reload panicked");
        assert_eq!(failure.code(), ErrorCode::BackgroundTaskEnded);
    }

    #[tokio::test]
    async fn task_that_ends_after_stop_is_not_a_failure() {
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
