//! What a proof runs on: an engine, a server of it where it has one, and a deployment with a database of its own.
//! An engine whose server is missing is named in the summary, and fails the proof unless it was waived by name.

use std::pin::Pin;

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use super::bench::Bench;
use super::checker::Checker;
use super::{Plan, violations};
use crate::binaries::Build;
use crate::databases::{Engine, Server};
use crate::deployment::Deployment;
use crate::proxy::{Dialect, Proxy};

/// Engines in the order in which proofs take them.
pub const ENGINES: [Engine; 4] = [Engine::Sqlite, Engine::Postgres, Engine::Mysql, Engine::Mariadb];

/// An engine that is there.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) engine: Engine,
    pub(super) server: Option<Server>,
}

/// How one proof runs on one engine.
pub(super) type OnEngine = Pin<Box<dyn Future<Output = anyhow::Result<Json>> + Send>>;

/// Runs a proof on every engine of the plan; gives one summary around theirs.
pub(super) async fn on_every_engine(
    proof: &str,
    plan: Plan,
    run: impl Fn(Ground) -> OnEngine,
) -> anyhow::Result<Json> {
    let mut running = JoinSet::new();
    let mut skipped = Vec::new();
    for engine in ENGINES
        .into_iter()
        .filter(|e| plan.engine.is_none_or(|only| only == *e))
    {
        let server = match engine {
            Engine::Sqlite => None,
            _ => match Server::of(engine) {
                Ok(Some(server)) => Some(server),
                Ok(None) => {
                    skipped.push(json!({ "engine": engine.name(), "reason": "no server" }));
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        let run = run(Ground { engine, server });
        running.spawn(async move { (engine, run.await) });
    }
    let mut engines = serde_json::Map::new();
    while let Some(ended) = running.join_next().await {
        let (engine, summary) = ended.context("a proof's task")?;
        let summary = summary.unwrap_or_else(|error| {
            println!("VIOLATION {proof} on {engine} did not come to its end: {error:#}");
            json!({ "violations": 1, "error": error.root_cause().to_string() })
        });
        println!("{proof} on {engine}: {summary}");
        engines.insert(engine.name().to_owned(), summary);
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

impl Ground {
    /// A workplace in a deployment and a database of its own.
    pub(super) async fn bench(&self, build: Build) -> anyhow::Result<Bench> {
        let deployment = Deployment::new(build)?;
        let checker = self.checker(&deployment)?;
        Bench::new(deployment, checker).await
    }

    /// Another connection of the owner's to the deployment's database.
    pub(super) fn checker(&self, deployment: &Deployment) -> anyhow::Result<Checker> {
        Checker::of_file(&deployment.database())
    }

    /// A proxy before the server; `None` where there is none.
    pub(super) async fn proxy(&self) -> anyhow::Result<Option<Proxy>> {
        let Some(server) = &self.server else {
            return Ok(None);
        };
        let dialect = match self.engine {
            Engine::Postgres | Engine::Postgres18 => Dialect::Postgres,
            Engine::Sqlite | Engine::Mysql | Engine::Mariadb => Dialect::Mysql,
        };
        let address = server
            .address()
            .parse()
            .context("the server's address is a number")?;
        Proxy::start(address, dialect).await.map(Some)
    }

    /// The writer's URL with the proxy in the server's place.
    pub(super) fn through(&self, deployment: &Deployment, proxy: &Proxy) -> anyhow::Result<String> {
        let server = self.server.as_ref().context("a server")?;
        Ok(deployment
            .database_url()
            .replacen(server.address(), &proxy.address.to_string(), 1))
    }
}
