//! Child process that is restarted at the same address when it exits.

use std::time::Instant;

use synapsor_chassis::run::ExitError;

use super::budget::Budget;
use super::executor::{self, ExecutorLaunch};
use super::gateway::{self, Http, Upstream};
use super::{Child, Supervisor};

/// A running child and the settings for its restart.
#[derive(Debug)]
pub(crate) struct RestartingChild<'a> {
    supervisor: &'a Supervisor<'a>,
    service: Service,
    child: Child,
}

/// Settings of the child, with its previous address.
#[derive(Debug)]
enum Service {
    Executor(ExecutorLaunch),
    Gateway { upstream: Upstream, http: Http },
}

impl Service {
    async fn start(&self, supervisor: &Supervisor<'_>) -> Result<Child, ExitError> {
        match self {
            Self::Executor(executor) => executor::start(supervisor, *executor).await,
            Self::Gateway { upstream, http } => gateway::http(supervisor, *upstream, http).await,
        }
    }
}

impl<'a> RestartingChild<'a> {
    pub(crate) async fn executor(
        supervisor: &'a Supervisor<'a>,
        executor: ExecutorLaunch,
    ) -> Result<Self, ExitError> {
        let child = executor::start(supervisor, executor).await?;
        let service = Service::Executor(executor.at(child.address()?));
        Ok(Self {
            supervisor,
            service,
            child,
        })
    }

    /// A gateway over HTTP; its upstream addresses are stable while they are supervised.
    pub(crate) async fn gateway(
        supervisor: &'a Supervisor<'a>,
        upstream: Upstream,
        http: &Http,
    ) -> Result<Self, ExitError> {
        let child = gateway::http(supervisor, upstream, http).await?;
        let http = Http {
            listen: child.address()?,
            ..http.clone()
        };
        Ok(Self {
            supervisor,
            service: Service::Gateway { upstream, http },
            child,
        })
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Returns only when the restart budget is used up.
    pub(crate) async fn run_until_fatal(&mut self) -> ExitError {
        let mut budget = Budget::default();
        let mut started = Instant::now();
        let mut failure = self.child.wait_end().await;
        while let Some(pause) = budget.ended_after(started.elapsed()) {
            tracing::warn!(
                process = self.child.name(),
                "{}; restarting it",
                failure.message()
            );
            tokio::time::sleep(pause).await;
            started = Instant::now();
            failure = match self.service.start(self.supervisor).await {
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
