//! Server with certificates that can change while it runs, a database with least-privilege accounts, and engines
//! that are opened as the executor opens them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_chassis::settings::EnvVars;
use synapsor_domain::contract::Contract;
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_domain::writeback::{GrantTarget, RECEIPT_TABLE};
use synapsor_e2e::databases::{Database, Engine, PrivateServer, Roles, Session};
use synapsor_e2e::deployment::CONTRACT;
use synapsor_engine::{Credential, EngineConfig};
use synapsor_source::{EngineError, RowPlan};

use super::authority::{Age, Authority, Leaf, write_for_owner};

pub(crate) const READ_URL: &str = "BILLING_READ_URL";
pub(crate) const WRITE_URL: &str = "BILLING_WRITE_URL";
/// Names under which the tests reach the server.
pub(crate) const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];
const LIMIT: Duration = Duration::from_secs(20);

/// Environment variables of a process.
pub(crate) type Variables<'a> = &'a [(&'a str, &'a str)];

pub(crate) struct Scene {
    pub(crate) engine: Engine,
    pub(crate) server: PrivateServer,
    pub(crate) database: Database,
    pub(crate) roles: Roles,
    pub(crate) authority: Authority,
}

impl Scene {
    /// Returns `None` if the machine has no such server.
    pub(crate) fn new(engine: Engine) -> anyhow::Result<Option<Self>> {
        let authority = Authority::new("authority of a test")?;
        let leaf = authority.leaf(&NAMES, Age::Valid)?;
        let prepare = |folder: &Path| prepare(engine, folder, &authority, &leaf);
        let Some(server) = PrivateServer::start_with(engine, prepare)? else {
            return Ok(None);
        };
        let (database, roles) = tables(&server)?;
        Ok(Some(Self {
            engine,
            server,
            database,
            roles,
            authority,
        }))
    }

    /// Makes the server present this certificate to new connections.
    pub(crate) fn present(&self, leaf: &Leaf) -> anyhow::Result<()> {
        // Some servers verify their own certificate.
        write_for_owner(&self.server.folder().join("ca.pem"), &leaf.issuer)?;
        write_leaf(self.server.folder(), leaf)?;
        self.reload()
    }

    /// Makes the server reload its settings and certificates, and waits until new connections use them.
    pub(crate) fn reload(&self) -> anyhow::Result<()> {
        let owner = self.server.server().session();
        match self.engine {
            Engine::Mysql => owner.execute("ALTER INSTANCE RELOAD TLS"),
            Engine::Mariadb => owner.execute("FLUSH SSL"),
            Engine::Postgres | Engine::Sqlite => {
                let mark = synapsor_chassis::random::hex_id(8);
                // The server reports a setting of an unknown module only after its first use.
                owner.execute(&format!("SET synapsor.mark = '{mark}'"))?;
                owner.execute(&format!("ALTER SYSTEM SET synapsor.mark = '{mark}'"))?;
                owner.execute("SELECT pg_reload_conf()")?;
                until(|| {
                    owner.close();
                    Ok(owner.value("SHOW synapsor.mark").is_ok_and(|shown| shown == mark))
                })
            }
        }
    }

    /// Opens an engine as the executor does, from a contract with these TLS settings and a process with these
    /// variables.
    pub(crate) fn open(
        &self,
        ssl: Option<Json>,
        variables: Variables<'_>,
    ) -> anyhow::Result<Arc<dyn synapsor_source::Engine>> {
        open(self.engine, ssl, variables)
    }

    /// Opens a writer's database with a URL in its variable.
    pub(crate) fn writer(
        &self,
        ssl: Option<Json>,
        variables: Variables<'_>,
    ) -> anyhow::Result<synapsor_writeback::Database> {
        open_writer(self.engine, ssl, variables)
    }

    /// Opens a reader's engine with a URL in its variable.
    pub(crate) fn reader(
        &self,
        ssl: Json,
        url: &str,
        more: Variables<'_>,
    ) -> anyhow::Result<Arc<dyn synapsor_source::Engine>> {
        let mut variables = vec![(READ_URL, url)];
        variables.extend(more);
        self.open(Some(ssl), &variables)
    }

    /// URL parameter that requires a verified certificate.
    pub(crate) const fn verify_parameter(&self) -> &'static str {
        match self.engine {
            Engine::Mysql | Engine::Mariadb => "ssl-mode=VERIFY_IDENTITY",
            Engine::Postgres | Engine::Sqlite => "sslmode=verify-full",
        }
    }

    pub(crate) fn plan(&self) -> RowPlan {
        plan(&self.database)
    }

    /// Server ids of the connections of a role.
    pub(crate) fn sessions_of(&self, role: &str) -> anyhow::Result<Vec<String>> {
        sessions_of(&self.database.session(), self.engine, role)
    }
}

/// Creates a database with one row of `items`, and its accounts.
pub(crate) fn tables(server: &PrivateServer) -> anyhow::Result<(Database, Roles)> {
    let database = server.server().database()?;
    database.execute(
        "CREATE TABLE items (id VARCHAR(20) PRIMARY KEY, tenant VARCHAR(20) NOT NULL, amount INT NOT NULL)",
    )?;
    database.execute("INSERT INTO items VALUES ('one', 'acme', 10)")?;
    let columns = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let roles = database.prepare_writeback(vec![GrantTarget {
        schema: database.schema().to_owned(),
        table: "items".to_owned(),
        reads: columns(&["id", "tenant", "amount"]),
        writes: columns(&["amount"]),
    }])?;
    Ok((database, roles))
}

/// Plan of the one row of `items`.
pub(crate) fn plan(database: &Database) -> RowPlan {
    RowPlan {
        schema: database.schema().to_owned(),
        table: "items".to_owned(),
        keys: vec![ColumnValue::new("id", Value::text("one"))],
        tenant: Some(ColumnValue::new("tenant", Value::text("acme"))),
        columns: vec!["amount".to_owned()],
    }
}

pub(crate) fn sessions_of(owner: &Session, engine: Engine, role: &str) -> anyhow::Result<Vec<String>> {
    let sql = match engine {
        Engine::Mysql | Engine::Mariadb => {
            format!(
                "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE user = '{role}' ORDER BY 1"
            )
        }
        Engine::Postgres | Engine::Sqlite => {
            format!("SELECT pid::text FROM pg_stat_activity WHERE usename = '{role}' ORDER BY 1")
        }
    };
    Ok(owner.query_text(&sql)?.into_iter().flatten().flatten().collect())
}

/// See [`Scene::open`].
pub(crate) fn open(
    engine: Engine,
    ssl: Option<Json>,
    variables: Variables<'_>,
) -> anyhow::Result<Arc<dyn synapsor_source::Engine>> {
    let more = ssl.map_or(json!({}), |ssl| json!({ "ssl": ssl }));
    let (contract, env) = contract(engine, &more, variables)?;
    let source = contract.sources().first().context("a source")?;
    let credential = Credential::for_reading(source, &env);
    let opened = EngineConfig::of_source(source, credential, RECEIPT_TABLE).open();
    opened.map_err(|failure| anyhow::anyhow!("{}: {failure}", failure.code()))
}

/// Opens a writer's database as the executor does.
pub(crate) fn open_writer(
    engine: Engine,
    ssl: Option<Json>,
    variables: Variables<'_>,
) -> anyhow::Result<synapsor_writeback::Database> {
    let more = ssl.map_or(json!({}), |ssl| json!({ "ssl": ssl }));
    open_writer_source(engine, &more, variables)
}

/// Opens the same with more fields of the source.
pub(crate) fn open_writer_source(
    engine: Engine,
    more: &Json,
    variables: Variables<'_>,
) -> anyhow::Result<synapsor_writeback::Database> {
    let (contract, env) = contract(engine, more, variables)?;
    let source = contract.sources().first().context("a source")?;
    let opened = synapsor_writeback::Database::of_source(source, &env, RECEIPT_TABLE);
    opened
        .map_err(|failure| anyhow::anyhow!("{}: {failure}", failure.code()))?
        .context("a URL's variable")
}

fn contract(engine: Engine, more: &Json, variables: Variables<'_>) -> anyhow::Result<(Contract, EnvVars)> {
    let mut contract: Json = serde_json::from_str(CONTRACT)?;
    let source = &mut contract["sources"]["billing_db"];
    source["engine"] = json!(engine.in_contract().as_str());
    for (name, value) in more.as_object().into_iter().flatten() {
        source[name] = value.clone();
    }
    let checked = Contract::parse(contract.to_string().as_bytes())
        .map_err(|report| anyhow::anyhow!("the contract: {report:?}"))?;
    Ok((checked.contract, EnvVars::fixed(variables.iter().copied())))
}

/// Writes files and returns options for the server's start.
pub(crate) fn prepare(
    engine: Engine,
    folder: &Path,
    authority: &Authority,
    leaf: &Leaf,
) -> anyhow::Result<Vec<String>> {
    write_for_owner(&folder.join("ca.pem"), &authority.pem)?;
    write_leaf(folder, leaf)?;
    let at = |name: &str| folder.join(name).display().to_string();
    Ok(match engine {
        Engine::Mysql | Engine::Mariadb => vec![
            format!("--ssl-ca={}", at("ca.pem")),
            format!("--ssl-cert={}", at("server.pem")),
            format!("--ssl-key={}", at("server.key")),
        ],
        Engine::Postgres | Engine::Sqlite => [
            "ssl=on".to_owned(),
            format!("ssl_ca_file={}", at("ca.pem")),
            format!("ssl_cert_file={}", at("server.pem")),
            format!("ssl_key_file={}", at("server.key")),
        ]
        .into_iter()
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect(),
    })
}

fn write_leaf(folder: &Path, leaf: &Leaf) -> anyhow::Result<()> {
    write_for_owner(&folder.join("server.pem"), &leaf.certificate)?;
    write_for_owner(&folder.join("server.key"), &leaf.key)
}

/// An engine's error with its log details.
pub(crate) fn with_detail(error: EngineError) -> anyhow::Error {
    anyhow::anyhow!("{error}: {}", error.detail)
}

/// Waits until a condition holds.
pub(crate) fn until(mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + LIMIT;
    while !holds()? {
        ensure!(Instant::now() < end, "condition not met within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(30));
    }
    Ok(())
}

/// Waits until an asynchronous condition holds.
pub(crate) async fn until_it(
    what: &str,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let end = Instant::now() + LIMIT;
    while !holds().await.with_context(|| what.to_owned())? {
        ensure!(Instant::now() < end, "condition not met within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(())
}
