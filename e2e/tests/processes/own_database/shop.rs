//! Example shop in a test database: its published SQL with unique names.

use std::iter;
use std::process::Command;

use anyhow::{Context as _, ensure};
use synapsor_domain::contract;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Engine, EngineVersion, Server};

const PASSWORD: &str = "not-a-secret-7";

/// User directory with the contract and the variables of the example, and its database.
#[derive(Debug)]
pub struct Shop {
    pub place: CliFixture,
    pub engine: Engine,
    /// `None` for SQLite, whose database is the file `orders.db`.
    pub database: Option<Database>,
}

/// SQLite and every version whose server runs in every run.
pub fn versions() -> impl Iterator<Item = EngineVersion> {
    iter::once(EngineVersion::SQLITE).chain(EngineVersion::servers_of_every_run())
}

/// Published SQL and contract of an engine.
pub fn published(engine: Engine) -> (&'static str, &'static str) {
    match engine.in_contract() {
        contract::EngineKind::Postgres => (
            include_str!("../../../../examples/orders/postgres.sql"),
            include_str!("../../../../examples/orders/postgres.runner.json"),
        ),
        contract::EngineKind::Mysql => (
            include_str!("../../../../examples/orders/mysql.sql"),
            include_str!("../../../../examples/orders/mysql.runner.json"),
        ),
        contract::EngineKind::Sqlite => (
            include_str!("../../../../examples/orders/sqlite.sql"),
            include_str!("../../../../examples/orders/sqlite.runner.json"),
        ),
    }
}

/// Creates the shop on a server; `None`, with a notice, if there is none.
pub fn open(version: impl Into<EngineVersion>) -> anyhow::Result<Option<Shop>> {
    let version = version.into();
    let engine = version.engine;
    let mut place = CliFixture::empty()?;
    place.set("ORDERS_SHOP", "nord");
    place.set("ORDERS_AGENT", "support-agent");
    let (sql, contract) = published(engine);
    let database = if engine == Engine::Sqlite {
        rusqlite::Connection::open(place.path("orders.db"))?.execute_batch(sql)?;
        let url = format!("sqlite://{}", place.path("orders.db").display());
        place.set("ORDERS_READ_URL", &url);
        place.set("ORDERS_WRITE_URL", &url);
        place.write("synapsor.runner.json", contract)?;
        None
    } else {
        let Some(server) = Server::of(version)? else {
            return Ok(None);
        };
        let database = server.database()?;
        let renamed = |text: &str| renamed(text, &database);
        database.execute(&renamed(sql))?;
        place.write("synapsor.runner.json", &renamed(contract))?;
        for (variable, role) in [
            ("ORDERS_READ_URL", "orders_reader"),
            ("ORDERS_WRITE_URL", "orders_writer"),
        ] {
            let role = renamed(role);
            database.execute(&match engine.in_contract() {
                contract::EngineKind::Mysql => {
                    format!("ALTER USER {role} IDENTIFIED BY '{PASSWORD}' ACCOUNT UNLOCK")
                }
                contract::EngineKind::Postgres | contract::EngineKind::Sqlite => {
                    format!("ALTER ROLE {role} PASSWORD '{PASSWORD}'")
                }
            })?;
            place.set(variable, &url(&database, &role));
        }
        Some(database)
    };
    Ok(Some(Shop {
        place,
        engine,
        database,
    }))
}

/// URL of an account in the test's database.
pub fn url(database: &Database, role: &str) -> String {
    let scheme = match database.engine().in_contract() {
        contract::EngineKind::Mysql => "mysql",
        contract::EngineKind::Postgres | contract::EngineKind::Sqlite => "postgres",
    };
    let (address, name) = (database.server().address(), database.name());
    format!("{scheme}://{role}:{PASSWORD}@{address}/{name}")
}

/// Published text with this test's accounts and, on MySQL, its database.
pub fn renamed(text: &str, database: &Database) -> String {
    let name = database.name();
    let mut text = text.to_owned();
    for (from, to) in [
        ("orders_reader", "r"),
        ("orders_writer", "w"),
        ("shop_reader", "sr"),
        ("shop_writer", "sw"),
    ] {
        text = text.replace(from, &format!("{name}_{to}"));
    }
    if database.engine().in_contract() == contract::EngineKind::Mysql {
        for (from, to) in [
            ("CREATE DATABASE shop CHARACTER SET utf8mb4;", String::new()),
            ("USE shop;", String::new()),
            ("`shop`", format!("`{name}`")),
            ("'shop'", format!("'{name}'")),
            ("'shop/'", format!("'{name}/'")),
            ("\"schema\": \"shop\"", format!("\"schema\": \"{name}\"")),
        ] {
            text = text.replace(from, &to);
        }
    }
    text
}

impl Shop {
    /// Qualified name of the orders table in SQL.
    pub fn table(&self) -> &'static str {
        match self.engine.in_contract() {
            contract::EngineKind::Postgres => "shop.orders",
            contract::EngineKind::Mysql | contract::EngineKind::Sqlite => "orders",
        }
    }

    /// Schema of the contract.
    pub fn schema(&self) -> &str {
        match (&self.database, self.engine.in_contract()) {
            (Some(database), contract::EngineKind::Mysql) => database.name(),
            (_, contract::EngineKind::Postgres) => "shop",
            _ => "main",
        }
    }

    /// Runs statements as the owner.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        match &self.database {
            Some(database) => database.execute(sql),
            None => {
                let connection = rusqlite::Connection::open(self.place.path("orders.db"))?;
                Ok(connection.execute_batch(sql)?)
            }
        }
    }

    /// One value of one order, as the owner sees it.
    pub fn order(&self, number: &str, column: &str) -> anyhow::Result<String> {
        let sql = format!(
            "SELECT {column} FROM {} WHERE order_number = '{number}'",
            self.table()
        );
        match &self.database {
            Some(database) => database.value(&sql),
            None => {
                let connection = rusqlite::Connection::open(self.place.path("orders.db"))?;
                let value: rusqlite::types::Value = connection.query_row(&sql, [], |row| row.get(0))?;
                match value {
                    rusqlite::types::Value::Integer(number) => Ok(number.to_string()),
                    rusqlite::types::Value::Text(text) => Ok(text),
                    other => anyhow::bail!("{other:?}"),
                }
            }
        }
    }
}

/// Runs a shell script of the documentation in the user's directory, with our binaries and those of `more` on its
/// path.
pub fn shell(place: &CliFixture, script: &str, more: &[&std::path::Path]) -> anyhow::Result<String> {
    let mut path = Build::Plain.folder()?.display().to_string();
    for folder in more {
        path = format!("{path}:{}", folder.display());
    }
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(place.folder())
        .env_clear()
        .envs(place.environment.iter().map(|(name, value)| (name, value)))
        .env("PATH", format!("{path}:/usr/bin:/bin"))
        .env("HOME", place.folder())
        .output()
        .context("bash")?;
    let out = String::from_utf8_lossy(&run.stdout).into_owned();
    let err = String::from_utf8_lossy(&run.stderr);
    ensure!(
        run.status.success(),
        "{script}\n--- printed\n{out}\n--- stderr\n{err}"
    );
    Ok(out)
}
