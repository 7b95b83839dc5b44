//! What a proof runs on: an engine, a server of its own where the engine has one, and a deployment on it.

use crate::binaries::Build;
use crate::deployment::Deployment;

use super::bench::Bench;
use super::checker::Place;

/// Engines in the order in which proofs take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
}

/// An engine that is there.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) engine: Engine,
}

impl Ground {
    /// A workplace in a deployment and a database of its own.
    pub(super) async fn bench(&self, build: Build) -> anyhow::Result<Bench> {
        let deployment = Deployment::new(build)?;
        let place = Place::Sqlite(deployment.database());
        Bench::new(deployment, place).await
    }
}
