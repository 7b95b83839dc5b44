//! Environment of a proof: an engine, its server if it has one, and a deployment with its own database. The
//! summary names an engine whose server is missing; the proof fails unless the engine is waived by name.

use std::pin::Pin;

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use tokio::task::{JoinSet, block_in_place};

use super::checker::Checker;
use super::crash_harness::CrashHarness;
use super::{Plan, violations};
use crate::binaries::Build;
use crate::databases::{Engine, EngineVersion, PrivateServer, Server, Session, is_waived};
use crate::deployment::Deployment;
use crate::proxy::{Dialect, Proxy};
use crate::target::Target;

/// Engines in the order of the proofs.
pub const ENGINES: [Engine; 4] = [Engine::Sqlite, Engine::Postgres, Engine::Mysql, Engine::Mariadb];

/// Origin of a proof's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Servers {
    /// Servers of the whole run.
    Shared,
    /// The proof's own servers, which it may kill.
    Private,
}

/// Available engine.
#[derive(Debug)]
pub(super) struct ProofEnv {
    pub(super) engine: Engine,
    server: Option<Server>,
    pub(super) private: Option<PrivateServer>,
}

/// Run of one proof on one engine.
pub(super) type OnEngine = Pin<Box<dyn Future<Output = anyhow::Result<Json>> + Send>>;

/// Runs a proof on every engine of the plan; returns one summary of all.
pub(super) async fn on_every_engine(
    proof: &str,
    plan: Plan,
    servers: Servers,
    run: impl Fn(ProofEnv) -> OnEngine,
) -> anyhow::Result<Json> {
    on_engines(proof, plan, servers, &ENGINES, run).await
}

/// Runs a proof on the given versions, as far as the plan names their engine.
pub(super) async fn on_engines(
    proof: &str,
    plan: Plan,
    servers: Servers,
    versions: &[impl Into<EngineVersion> + Copy],
    run: impl Fn(ProofEnv) -> OnEngine,
) -> anyhow::Result<Json> {
    let mut running = JoinSet::new();
    let mut skipped = Vec::new();
    let is_planned = |version: &EngineVersion| plan.engine.is_none_or(|only| only == version.engine);
    for version in versions.iter().map(|v| (*v).into()).filter(is_planned) {
        if let Some(ground) = ProofEnv::find(version, servers)? {
            let run = run(ground);
            running.spawn(async move { (version, run.await) });
        } else {
            let (name, is_waived) = (version.name, is_waived(version));
            skipped.push(json!({ "engine": name, "reason": super::NO_SERVER, "is_waived": is_waived }));
        }
    }
    let mut engines = serde_json::Map::new();
    while let Some(ended) = running.join_next().await {
        let (version, summary) = ended.context("a proof's task")?;
        let summary = summary.unwrap_or_else(|error| {
            println!("VIOLATION {proof} on {version} did not come to its end: {error:#}");
            json!({ "violations": 1, "error": error.root_cause().to_string() })
        });
        println!("{proof} on {version}: {summary}");
        for mut left_out in super::skipped(&summary).cloned() {
            left_out["engine"] = json!(version.name);
            skipped.push(left_out);
        }
        engines.insert(version.name.to_owned(), summary);
    }
    let sum = |field: &str| -> u64 { engines.values().filter_map(|e| e.get(field)?.as_u64()).sum() };
    Ok(json!({
        "proof": proof,
        "violations": engines.values().map(violations).sum::<u64>(),
        "skipped": skipped,
        "cells": sum("cells"),
        "engines": engines,
        "seed": plan.seed,
    }))
}

impl ProofEnv {
    /// Returns `None`, with a notice, if the machine has no such server.
    pub(super) fn find(version: impl Into<EngineVersion>, servers: Servers) -> anyhow::Result<Option<Self>> {
        let version = version.into();
        let mut ground = Self {
            engine: version.engine,
            server: None,
            private: None,
        };
        if ground.engine == Engine::Sqlite {
            return Ok(Some(ground));
        }
        ground.server = match servers {
            Servers::Shared => Server::of(version)?,
            Servers::Private => {
                ground.private = block_in_place(|| PrivateServer::start(version, &[]))?;
                ground.private.as_ref().map(|private| private.server().clone())
            }
        };
        Ok(ground.server.is_some().then_some(ground))
    }

    /// The server; `None` for a file.
    pub(super) fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Creates a harness with its own deployment and database.
    pub(super) async fn bench(&self, build: Build) -> anyhow::Result<CrashHarness> {
        let deployment = match &self.server {
            None => Deployment::new(build)?,
            Some(server) => Deployment::on(build, server)?,
        };
        let checker = self.checker(&deployment)?;
        CrashHarness::new(deployment, checker).await
    }

    /// Opens another connection of the owner to the deployment's database.
    pub(super) fn checker(&self, deployment: &Deployment) -> anyhow::Result<Checker> {
        match &deployment.target {
            Target::File(path) => Checker::of_file(path),
            Target::Server { database, .. } => Ok(Checker::Server(database.session())),
        }
    }

    /// Starts a proxy before the server; `None` for a file.
    pub(super) async fn proxy(&self) -> anyhow::Result<Option<Proxy>> {
        let Some(server) = &self.server else {
            return Ok(None);
        };
        let dialect = match self.engine {
            Engine::Postgres => Dialect::Postgres,
            Engine::Sqlite | Engine::Mysql | Engine::Mariadb => Dialect::Mysql,
        };
        let address = server.address().parse().context("server address is numeric")?;
        Proxy::start(address, dialect).await.map(Some)
    }

    /// The writer's URL with the proxy instead of the server.
    pub(super) fn through(&self, deployment: &Deployment, proxy: &Proxy) -> anyhow::Result<String> {
        let server = self.server.as_ref().context("a server")?;
        let url = deployment.database_url();
        // The first login of an account may need TLS, which a proxy cannot parse; this connection is the first
        // login.
        block_in_place(|| Session::new(self.engine, url.clone()).execute("SELECT 1"))?;
        Ok(url.replacen(server.address(), &proxy.address.to_string(), 1))
    }
}
