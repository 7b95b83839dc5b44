//! Database products of the tests and the versions of each that have a server.

use std::fmt;

use synapsor_domain::contract;

/// Database product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    Sqlite,
    Postgres,
    Mysql,
    Mariadb,
}

impl Engine {
    /// Name of the engine in options and of its first version in scripts and variables.
    pub const fn name(self) -> &'static str {
        EngineVersion::first(self).name
    }

    /// Name of the engine in a contract.
    pub const fn in_contract(self) -> contract::EngineKind {
        match self {
            Self::Sqlite => contract::EngineKind::Sqlite,
            Self::Postgres => contract::EngineKind::Postgres,
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

/// One version of an engine. An [`Engine`] alone means its first version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EngineVersion {
    pub engine: Engine,
    /// Name of its server in scripts and variables.
    pub name: &'static str,
    /// Whether `make test` runs its server; `make prove` runs all.
    pub is_in_every_run: bool,
}

impl EngineVersion {
    pub const SQLITE: Self = Self::of(Engine::Sqlite, "sqlite");
    pub const POSTGRES: Self = Self::of(Engine::Postgres, "postgres");
    pub const POSTGRES_13: Self = Self::of(Engine::Postgres, "postgres13");
    pub const POSTGRES_14: Self = Self::of_prove(Engine::Postgres, "postgres14");
    pub const POSTGRES_17: Self = Self::of_prove(Engine::Postgres, "postgres17");
    pub const POSTGRES_18: Self = Self::of(Engine::Postgres, "postgres18");
    pub const MYSQL: Self = Self::of(Engine::Mysql, "mysql");
    pub const MARIADB: Self = Self::of(Engine::Mariadb, "mariadb");
    pub const MARIADB_118: Self = Self::of_prove(Engine::Mariadb, "mariadb118");

    /// One version of each engine with a server.
    pub const SERVER_ENGINES: [Self; 3] = [Self::POSTGRES, Self::MYSQL, Self::MARIADB];

    /// Versions with a server.
    pub const SERVERS: [Self; 8] = [
        Self::POSTGRES,
        Self::POSTGRES_13,
        Self::POSTGRES_14,
        Self::POSTGRES_17,
        Self::POSTGRES_18,
        Self::MYSQL,
        Self::MARIADB,
        Self::MARIADB_118,
    ];

    const fn of(engine: Engine, name: &'static str) -> Self {
        Self {
            engine,
            name,
            is_in_every_run: true,
        }
    }

    const fn of_prove(engine: Engine, name: &'static str) -> Self {
        Self {
            is_in_every_run: false,
            ..Self::of(engine, name)
        }
    }

    const fn first(engine: Engine) -> Self {
        match engine {
            Engine::Sqlite => Self::SQLITE,
            Engine::Postgres => Self::POSTGRES,
            Engine::Mysql => Self::MYSQL,
            Engine::Mariadb => Self::MARIADB,
        }
    }

    /// Versions whose servers `make test` runs.
    pub fn servers_of_every_run() -> impl Iterator<Item = Self> {
        Self::SERVERS
            .into_iter()
            .filter(|version| version.is_in_every_run)
    }
}

impl From<Engine> for EngineVersion {
    fn from(engine: Engine) -> Self {
        Self::first(engine)
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
