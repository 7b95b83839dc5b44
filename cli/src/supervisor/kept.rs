//! An executor that is started again when it dies: its neighbours go on meanwhile, and find it where it was.

use std::time::Duration;

use synapsor_chassis::run::Failure;

use super::executor::{self, Executor};
use super::{Child, Supervisor};

/// One that dies more often than this has a reason that starting it again does not remove.
const RESTARTS_MAX: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A running executor and what it takes to start it again.
#[derive(Debug)]
pub(crate) struct KeptExecutor<'a> {
    supervisor: &'a Supervisor<'a>,
    executor: Executor,
    child: Child,
}

impl<'a> KeptExecutor<'a> {
    pub(crate) async fn start(supervisor: &'a Supervisor<'a>, executor: Executor) -> Result<Self, Failure> {
        let child = executor::start(supervisor, executor).await?;
        let executor = executor.at(child.address()?);
        Ok(Self {
            supervisor,
            executor,
            child,
        })
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Returns only when starting it again is of no use.
    pub(crate) async fn keep(&mut self) -> Failure {
        let mut failure = self.child.wait_end().await;
        for attempt in 0..RESTARTS_MAX {
            tracing::warn!(
                process = self.child.name(),
                "{}; starting it again",
                failure.message()
            );
            tokio::time::sleep((PAUSE_FIRST * 2_u32.saturating_pow(attempt)).min(PAUSE_MAX)).await;
            failure = match executor::start(self.supervisor, self.executor).await {
                Ok(child) => {
                    self.child = child;
                    self.child.wait_end().await
                }
                Err(failure) => failure,
            };
        }
        failure
    }

    pub(crate) async fn stop(self) {
        self.child.stop().await;
    }
}
