//! Database servers of the tests, found by the URLs that `e2e/databases/servers.sh` provides. Each test gets a
//! fresh database with least-privilege roles, or a server of its own that it may kill.

mod client;
mod database;
mod private;
mod version;

use anyhow::{Context as _, bail};
use synapsor_domain::contract;

pub use client::Session;
pub use database::{Database, Roles};
pub use private::{PrivateServer, Variables, program};
pub use version::{Engine, EngineVersion};

use crate::namespaces::left_out;

/// Set to `required` where every server must be available, as in continuous integration.
const DEMAND: &str = "SYNAPSOR_TEST_DATABASES";
/// Comma-separated names of servers that may be missing all the same.
const WAIVED: &str = "SYNAPSOR_TEST_WAIVED";
/// Set to `all` where the servers of `make prove` run too.
const SERVERS: &str = "SYNAPSOR_TEST_SERVERS";

/// Running server and the URL of its owner.
#[derive(Debug, Clone)]
pub struct Server {
    pub engine: Engine,
    version: EngineVersion,
    url: String,
}

impl Server {
    /// Returns the server of an engine version; `None`, with a notice, if this run should have one and does not.
    ///
    /// # Errors
    /// A missing server in a run that requires it.
    pub fn of(version: impl Into<EngineVersion>) -> anyhow::Result<Option<Self>> {
        let version = version.into();
        let name = format!("SYNAPSOR_TEST_{}_URL", version.name.to_uppercase());
        match variable(&name) {
            Some(url) => Ok(Some(Self::at(version, url))),
            None => missing(version, &format!("{name} is not set; `make test` sets it")).map(|()| None),
        }
    }

    fn at(version: EngineVersion, url: String) -> Self {
        Self {
            engine: version.engine,
            version,
            url,
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
        Database::create(self, options).with_context(|| format!("a database on {}", self.version))
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

/// Checks whether a run may skip the server of this version.
pub fn is_waived(version: EngineVersion) -> bool {
    is_among(WAIVED, version.name)
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

/// Reports that a version is not tested and why, unless only `make prove` tests it; fails if it is required and not
/// waived by name.
pub fn missing(version: impl Into<EngineVersion>, reason: &str) -> anyhow::Result<()> {
    let version = version.into();
    if !version.is_in_every_run && !is_among(SERVERS, "all") {
        return Ok(());
    }
    if is_among(DEMAND, "required") && !is_waived(version) {
        bail!(
            "{DEMAND} is `required`, {WAIVED} does not name {version}, and there is no {version} server: {reason}"
        );
    }
    left_out(format_args!("{version}: {reason}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_url_keeps_only_the_server_of_the_owner_url() {
        let url = "mysql://root:secret@127.0.0.1:3307/mysql?ssl-mode=DISABLED".to_owned();
        let server = Server::at(EngineVersion::MARIADB, url);
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
