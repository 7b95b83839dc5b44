//! A child that is started again when it dies: its neighbours go on meanwhile, and find it where it was.

use std::time::Instant;

use synapsor_chassis::run::ExitError;

use super::budget::Budget;
use super::executor::{self, Executor};
use super::gateway::{self, Http, Upstream};
use super::{Child, Supervisor};

/// A running child and what it takes to start it again.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    supervisor: &'a Supervisor<'a>,
    service: Service,
    child: Child,
}

/// What is started, with the address at which it already was.
#[derive(Debug)]
enum Service {
    Executor(Executor),
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

impl<'a> Kept<'a> {
    pub(crate) async fn executor(
        supervisor: &'a Supervisor<'a>,
        executor: Executor,
    ) -> Result<Self, ExitError> {
        let child = executor::start(supervisor, executor).await?;
        let service = Service::Executor(executor.at(child.address()?));
        Ok(Self {
            supervisor,
            service,
            child,
        })
    }

    /// A gateway over HTTP, with upstreams that stay where they are as long as they are kept.
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

    /// Returns only when starting it again is of no use.
    pub(crate) async fn keep(&mut self) -> ExitError {
        let mut budget = Budget::default();
        let mut started = Instant::now();
        let mut failure = self.child.wait_end().await;
        while let Some(pause) = budget.ended_after(started.elapsed()) {
            tracing::warn!(
                process = self.child.name(),
                "{}; starting it again",
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
