//! Database servers of the tests, found by the URLs that `e2e/databases/servers.sh` provides. Each test gets a
//! fresh database with least-privilege roles, or a server of its own that it may kill.

mod client;
mod database;
mod private;

use std::fmt;

use anyhow::{Context as _, bail};
use synapsor_domain::contract;

pub use client::Session;
pub use database::{Database, Roles};
pub use private::{PrivateServer, Variables, program};

use crate::namespaces::left_out;

/// Set to `required` where every server must be available, as in continuous integration.
const DEMAND: &str = "SYNAPSOR_TEST_DATABASES";
/// Comma-separated names of servers that may be missing all the same.
const WAIVED: &str = "SYNAPSOR_TEST_WAIVED";

/// Database products of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    Sqlite,
    Postgres,
    /// PostgreSQL 18, where the machine can install it; never required.
    Postgres18,
    Mysql,
    Mariadb,
}

impl Engine {
    /// Engines with a server.
    pub const SERVERS: &[Self] = &[Self::Postgres, Self::Postgres18, Self::Mysql, Self::Mariadb];

    /// Name of the engine in scripts and variables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Postgres18 => "postgres18",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
        }
    }

    /// Name of the engine in a contract.
    pub const fn in_contract(self) -> contract::EngineKind {
        match self {
            Self::Sqlite => contract::EngineKind::Sqlite,
            Self::Postgres | Self::Postgres18 => contract::EngineKind::Postgres,
            Self::Mysql | Self::Mariadb => contract::EngineKind::Mysql,
        }
    }

    /// Quotes a name as the engine does.
    pub fn quote(self, name: &str) -> String {
        match self.in_contract() {
            contract::EngineKind::Mysql => format!("`{}`", name.replace('`', "``")),
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => {
                format!("\"{}\"", name.replace('"', "\"\""))
            }
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Running server and the URL of its owner.
#[derive(Debug, Clone)]
pub struct Server {
    pub engine: Engine,
    url: String,
}

impl Server {
    /// Returns the server of an engine; `None`, with a notice, if there is none.
    ///
    /// # Errors
    /// A missing server in a run that requires it.
    pub fn of(engine: Engine) -> anyhow::Result<Option<Self>> {
        let name = format!("SYNAPSOR_TEST_{}_URL", engine.name().to_uppercase());
        match variable(&name) {
            Some(url) => Ok(Some(Self { engine, url })),
            None => missing(engine, &format!("{name} is not set; `make test` sets it")).map(|()| None),
        }
    }

    /// [`Server::of`] PostgreSQL.
    pub fn postgres() -> anyhow::Result<Option<Self>> {
        Self::of(Engine::Postgres)
    }

    /// [`Server::of`] MySQL.
    pub fn mysql() -> anyhow::Result<Option<Self>> {
        Self::of(Engine::Mysql)
    }

    /// [`Server::of`] MariaDB.
    pub fn mariadb() -> anyhow::Result<Option<Self>> {
        Self::of(Engine::Mariadb)
    }

    /// Creates an empty database that is dropped with the value.
    pub fn database(&self) -> anyhow::Result<Database> {
        self.database_with("")
    }

    /// Creates one with further options of CREATE DATABASE.
    pub fn database_with(&self, options: &str) -> anyhow::Result<Database> {
        Database::create(self, options).with_context(|| format!("a database on {}", self.engine))
    }

    /// `host:port` of the server, for a proxy.
    pub fn address(&self) -> &str {
        let rest = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, at)| at)
    }

    /// The owner's URL with another user and another database.
    pub fn url_for(&self, user: Option<(&str, &str)>, database: &str) -> String {
        let scheme = match self.engine.in_contract() {
            contract::EngineKind::Mysql => "mysql",
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => "postgres",
        };
        let rest = self
            .url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, rest)| rest);
        let owner = rest.rsplit_once('@').map_or("", |(owner, _)| owner).to_owned();
        let user = user.map_or(owner, |(name, password)| format!("{name}:{password}"));
        format!("{scheme}://{user}@{}/{database}", self.address())
    }

    /// Opens a connection of the owner to the server itself.
    pub fn session(&self) -> Session {
        Session::new(self.engine, self.url.clone())
    }
}

/// Checks whether a run may skip this engine.
pub fn is_waived(engine: Engine) -> bool {
    is_among(WAIVED, engine.name())
}

/// Variable of the test's own environment, unless it is empty.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)?
        .into_string()
        .ok()
        .filter(|value| !value.is_empty())
}

fn is_among(name: &str, wanted: &str) -> bool {
    variable(name).is_some_and(|value| value.split(',').any(|part| part.trim() == wanted))
}

/// Reports that an engine is not tested and why; fails if it is required and not waived by name.
pub fn missing(engine: Engine, reason: &str) -> anyhow::Result<()> {
    let is_demanded = is_among(DEMAND, "required") && engine != Engine::Postgres18;
    if is_demanded && !is_waived(engine) {
        bail!(
            "{DEMAND} is `required`, {WAIVED} does not name {engine}, and there is no {engine} server: {reason}"
        );
    }
    left_out(format_args!("{engine}: {reason}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_url_keeps_only_the_server_of_the_owner_url() {
        let server = Server {
            engine: Engine::Mariadb,
            url: "mysql://root:secret@127.0.0.1:3307/mysql?ssl-mode=DISABLED".to_owned(),
        };
        assert_eq!(server.address(), "127.0.0.1:3307");
        assert_eq!(
            server.url_for(Some(("reader", "word")), "shop"),
            "mysql://reader:word@127.0.0.1:3307/shop"
        );
        assert_eq!(
            server.url_for(None, "shop"),
            "mysql://root:secret@127.0.0.1:3307/shop"
        );
    }
}
