//! PostgreSQL behind two versions of PgBouncer, in transaction mode with two shared connections and in session mode:
//! reads, the complete writeback, no state left in shared connections, a pooler that the URL does not declare, and a
//! refused statement pooler.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _, raw_sql};
use synapsor_chassis::settings::EnvVars;
use synapsor_domain::contract;
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_domain::writeback::RECEIPT_TABLE;
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::until;
use synapsor_e2e::databases::{Engine, Server, missing, program};
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::operator::OperatorClient;
use synapsor_e2e::stack::Stack;
use synapsor_e2e::target::Target;
use synapsor_engine::{Credential, EngineConfig, EngineLimits};
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::{ReceiptTable, RowPlan};
use tokio::task::JoinSet;

/// Server connections of an account in transaction mode.
const SERVER_CONNECTIONS: usize = 2;
/// The same in session mode, where each client has one of its own.
const SESSION_CONNECTIONS: usize = 40;
const LIMIT: Duration = Duration::from_secs(20);
/// State that a client may leave in a shared connection.
const TRACES: &str = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN \
    ('statement_timeout', 'lock_timeout', 'search_path', 'TimeZone', 'DateStyle', 'bytea_output', 'row_security', \
     'default_transaction_read_only', 'idle_in_transaction_session_timeout', 'synchronous_commit') \
    UNION ALL SELECT count(*)::text FROM pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER\\_%'";
/// The oldest version that moves prepared statements between server connections, under names of its own.
const PREPARES_SINCE: (u32, u32) = (1, 21);

/// PgBouncer in one version and mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolerKind {
    /// Name of the program in `servers.sh`.
    pub(crate) program: &'static str,
    pub(crate) mode: &'static str,
    /// Further lines of its settings.
    pub(crate) more: &'static str,
}

/// Both versions in each of these modes.
pub(crate) fn kinds(modes: &'static [&'static str]) -> impl Iterator<Item = PoolerKind> {
    modes.iter().flat_map(|mode| {
        ["pgbouncer", "pgbouncer_sid"].map(|program| PoolerKind {
            program,
            mode,
            more: "",
        })
    })
}

impl PoolerKind {
    fn server_connections(self) -> usize {
        match self.mode {
            "session" => SESSION_CONNECTIONS,
            _ => SERVER_CONNECTIONS,
        }
    }

    /// Whether statements of a client may be on the server connections of others, according to the version that the
    /// program prints.
    fn has_prepared_statements(self) -> anyhow::Result<bool> {
        let printed = Command::new(program(self.program)?)
            .arg("--version")
            .output()?
            .stdout;
        let printed = String::from_utf8(printed)?;
        let version = printed.split_whitespace().nth(1).context("no version")?;
        let mut numbers = version.split('.').map(str::parse);
        let (major, minor) = (numbers.next(), numbers.next());
        let version = (
            major.context("no major version")??,
            minor.context("no minor version")??,
        );
        Ok(self.mode == "transaction" && version >= PREPARES_SINCE)
    }
}

/// Running pooler; stops when it is dropped.
pub(crate) struct Pooler {
    address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Starts it for the accounts of these URLs.
    pub(crate) fn start(server: &Server, kind: PoolerKind, urls: [&str; 2]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("synapsor-pooler-")
            .tempdir_in("/tmp")?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (host, port) = server.address().split_once(':').context("a port")?;
        let at = folder.path().display();
        let (mode, more, connections) = (kind.mode, kind.more, kind.server_connections());
        let settings = format!(
            "[databases]\n* = host={host} port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {at}/users\n\
             pool_mode = {mode}\ndefault_pool_size = {connections}\nmax_client_conn = 200\n{more}",
            address.port()
        );
        let users = urls.map(|url| {
            let login = url.split(['/', '@']).nth(2).unwrap_or_default();
            let (user, password) = login.split_once(':').unwrap_or_default();
            format!("\"{user}\" \"{password}\"\n")
        });
        std::fs::write(folder.path().join("users"), users.concat())?;
        std::fs::write(folder.path().join("settings.ini"), settings)?;
        let mut command = Command::new(program(kind.program)?);
        command.arg(folder.path().join("settings.ini"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(folder.path().join("log"))?);
        if rustix::process::geteuid().is_root() {
            // It does not run as root; `daemon` owns no other files.
            const DAEMON: u32 = 1;
            for path in [
                folder.path().to_owned(),
                folder.path().join("users"),
                folder.path().join("settings.ini"),
            ] {
                std::os::unix::fs::chown(path, Some(DAEMON), Some(DAEMON))?;
            }
            command.uid(DAEMON).gid(DAEMON);
        }
        let pooler = Self {
            address,
            process: command.spawn()?,
            _folder: folder,
        };
        until(LIMIT, || Ok(TcpStream::connect(address).is_ok())).context("the pooler does not answer")?;
        Ok(pooler)
    }

    /// URL through the pooler.
    pub(crate) fn url(&self, server: &Server, url: &str) -> String {
        let through = url.replacen(server.address(), &self.address.to_string(), 1);
        format!("{through}?pgbouncer=true")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Deployment whose processes connect only to the pooler.
struct Scene {
    deployment: Deployment,
    pooler: Pooler,
}

impl Scene {
    /// Returns `None` without PostgreSQL or a pooler.
    fn new(kind: PoolerKind) -> anyhow::Result<Option<Self>> {
        let Some(server) = Server::postgres()? else {
            return Ok(None);
        };
        if let Err(reason) = program(kind.program) {
            missing(Engine::Postgres, &format!("{}: {reason}", kind.program))?;
            return Ok(None);
        }
        let mut deployment = Deployment::on(Build::Plain, &server)?;
        let Target::Server { database, roles } = &mut deployment.target else {
            anyhow::bail!("a server has the target");
        };
        database.execute(
            "INSERT INTO invoices SELECT 'P-' || n, 'acme', 'many', 'open', 100, NULL, NULL, 1 FROM generate_series(1, 12) n",
        )?;
        database.execute(&format!(
            "CREATE VIEW slow AS SELECT 'k'::text AS id, 'acme'::text AS tenant, pg_sleep(60)::text AS body; \
             GRANT SELECT ON slow TO {}",
            roles.reader
        ))?;
        let pooler = Pooler::start(&server, kind, [&roles.read_url, &roles.write_url])?;
        roles.read_url = pooler.url(&server, &roles.read_url);
        roles.write_url = pooler.url(&server, &roles.write_url);
        Ok(Some(Self { deployment, pooler }))
    }

    fn opening(url: String) -> EngineConfig {
        EngineConfig {
            name: "through the pooler".to_owned(),
            kind: contract::EngineKind::Postgres,
            credential: Credential::of_variable("URL", &EnvVars::fixed([("URL", url)])),
            receipts: ReceiptTable {
                schema: None,
                table: RECEIPT_TABLE.to_owned(),
            },
            limits: EngineLimits::default(),
        }
    }

    fn reader(&self) -> anyhow::Result<Arc<dyn synapsor_source::Engine>> {
        Self::opening(self.deployment.target.read_url())
            .open()
            .map_err(|failure| anyhow::anyhow!("{}", failure.code()))
    }

    fn writer(&self) -> anyhow::Result<synapsor_writeback::Database> {
        synapsor_writeback::Database::open(Self::opening(self.deployment.target.write_url()))
            .map_err(|failure| anyhow::anyhow!("{}", failure.code()))
    }

    /// Connection of another client through the same pool.
    async fn neighbour(&self, url: String) -> anyhow::Result<PgConnection> {
        let (url, _) = url.split_once('?').context("a parameter")?;
        let options = PgConnectOptions::from_str(url)?.extra_float_digits(None);
        Ok(options.connect().await?)
    }
}

async fn texts(connection: &mut PgConnection, sql: &str) -> anyhow::Result<Vec<String>> {
    let rows = raw_sql(AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(row.try_get_unchecked(0)?)).collect()
}

fn plan(table: &str, id: &str, columns: &[&str]) -> RowPlan {
    let tenant = if table == "slow" { "tenant" } else { "tenant_id" };
    RowPlan {
        schema: "public".to_owned(),
        table: table.to_owned(),
        keys: vec![ColumnValue::new("id", Value::text(id))],
        tenant: Some(ColumnValue::new(tenant, Value::text("acme"))),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loop_runs_through_a_transaction_pooler() -> anyhow::Result<()> {
    for kind in kinds(&["transaction"]) {
        the_loop_runs(kind).await.with_context(|| format!("{kind:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn loop_runs_through_a_session_pooler() -> anyhow::Result<()> {
    for kind in kinds(&["session"]) {
        the_loop_runs(kind).await.with_context(|| format!("{kind:?}"))?;
    }
    Ok(())
}

async fn the_loop_runs(kind: PoolerKind) -> anyhow::Result<()> {
    let Some(Scene { deployment, pooler }) = Scene::new(kind)? else {
        return Ok(());
    };
    let stack = Stack::start(deployment)?;
    let agent = Agent::over_stdio(&stack).await?;
    let mut desk = OperatorClient::open(&stack, "alice")?;
    let mut proposals = Vec::new();
    for n in 1..=12 {
        proposals.push(agent.propose(&format!("P-{n}"), "goodwill").await?);
    }
    for id in &proposals {
        let subject = desk.subject(&stack.deployment, id).await?;
        desk.approve_and_order(&stack.deployment, &subject).await?;
    }
    for id in &proposals {
        assert_eq!(desk.outcome(&stack, id).await?, "applied");
    }
    assert_eq!(stack.deployment.receipts()?.len(), 12);
    assert_eq!(
        stack.deployment.invoice("P-12")?,
        (0, Some("goodwill".to_owned()), 2)
    );
    drop(pooler);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pooled_connections_keep_no_client_state() -> anyhow::Result<()> {
    for kind in kinds(&["transaction", "session"]) {
        no_state_is_left(kind)
            .await
            .with_context(|| format!("{kind:?}"))?;
    }
    Ok(())
}

/// Runs reads and transactions beside other clients of the pool, which use prepared statements where the pooler supports
/// them.
async fn no_state_is_left(kind: PoolerKind) -> anyhow::Result<()> {
    let Some(scene) = Scene::new(kind)? else {
        return Ok(());
    };
    let has_prepared_statements = kind.has_prepared_statements()?;
    let (reader, writer) = (scene.reader()?, scene.writer()?);
    let mut neighbours = [
        scene.neighbour(scene.deployment.target.read_url()).await?,
        scene.neighbour(scene.deployment.target.write_url()).await?,
    ];
    let mut before = Vec::new();
    for neighbour in &mut neighbours {
        before.push(texts(neighbour, TRACES).await?);
    }
    assert_eq!(before[0][1], "0", "{before:?}");
    let mut running = JoinSet::new();
    for n in 0..64 {
        let (reader, writer) = (reader.clone(), writer.clone());
        running.spawn(async move {
            let plan = plan("invoices", &format!("P-{}", n % 12 + 1), &["late_fee_cents"]);
            if n % 4 == 0 {
                writer.try_begin().await?;
                return Ok(1);
            }
            Ok::<_, synapsor_source::EngineError>(reader.read(&plan).await?.rows.len())
        });
    }
    let mut seen = Vec::new();
    while let Some(done) = running.join_next().await {
        let rows = done?.map_err(|error| anyhow::anyhow!("{error}: {}", error.detail))?;
        assert_eq!(rows, 1);
        for (neighbour, before) in neighbours.iter_mut().zip(&before) {
            if has_prepared_statements {
                let echoed = sqlx::query("SELECT $1::text")
                    .bind("x")
                    .fetch_one(&mut *neighbour);
                ensure!(
                    echoed.await?.try_get::<String, _>(0)? == "x",
                    "a prepared statement"
                );
            }
            let now = texts(neighbour, TRACES).await?;
            ensure!(now == *before, "left behind: {now:?}, before: {before:?}");
        }
        seen.push(rows);
    }
    assert_eq!(seen.len(), 64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn canceled_read_stops_behind_pgbouncer() -> anyhow::Result<()> {
    for kind in kinds(&["transaction", "session"]) {
        abandoned_read_stops(kind)
            .await
            .with_context(|| format!("{kind:?}"))?;
    }
    Ok(())
}

async fn abandoned_read_stops(kind: PoolerKind) -> anyhow::Result<()> {
    let Some(scene) = Scene::new(kind)? else {
        return Ok(());
    };
    let reader = scene.reader()?;
    let Target::Server { database, roles } = &scene.deployment.target else {
        anyhow::bail!("a server has the target");
    };
    let asleep = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND state = 'active' AND query LIKE '%slow%' \
         AND pid <> pg_backend_pid()",
        roles.reader
    );
    let owner = database.session();
    for _ in 0..SERVER_CONNECTIONS {
        let slow = plan("slow", "k", &["body"]);
        let waiting = tokio::spawn({
            let reader = reader.clone();
            async move { reader.read(&slow).await.map(drop) }
        });
        until(LIMIT, || Ok(owner.value(&asleep)? == "1")).context("the read began")?;
        waiting.abort();
        until(Duration::from_secs(4), || Ok(owner.value(&asleep)? == "0")).context("read continues")?;
    }
    let row = plan("invoices", "P-1", &["late_fee_cents"]);
    for _ in 0..2 * SERVER_CONNECTIONS {
        let found = reader
            .read(&row)
            .await
            .map_err(|e| anyhow::anyhow!("{e}: {}", e.detail))?;
        assert_eq!(found.rows.len(), 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_statement_pooler() -> anyhow::Result<()> {
    for kind in kinds(&["statement"]) {
        let Some(scene) = Scene::new(kind)? else {
            continue;
        };
        let row = plan("invoices", "P-1", &["late_fee_cents"]);
        let read = scene.reader()?.read(&row).await.map(drop);
        let begun = scene.writer()?.try_begin().await.map(drop);
        for refused in [read, begun] {
            let cause = refused.as_ref().err().map(|error| &error.cause);
            let is_named = matches!(cause, Some(ErrorCause::PoolerOfStatements));
            ensure!(is_named, "{kind:?}: {cause:?}");
            let server = refused.as_ref().err().and_then(|error| error.server.as_deref());
            ensure!(
                server.is_some_and(|server| server.contains(':')),
                "{kind:?}: {server:?}"
            );
        }
        assert_eq!(scene.deployment.receipts()?, [], "{kind:?}");
    }
    Ok(())
}

/// Settings of a pooler that drops the settings of a connection instead of refusing them.
pub(crate) const IGNORES: &str = "ignore_startup_parameters = extra_float_digits,options\n";

#[tokio::test(flavor = "multi_thread")]
async fn undeclared_pooler_is_reported_by_its_code() -> anyhow::Result<()> {
    for kind in kinds(&["transaction", "session"]) {
        for more in ["", IGNORES] {
            let kind = PoolerKind { more, ..kind };
            let Some(mut scene) = Scene::new(kind)? else {
                continue;
            };
            let Target::Server { roles, .. } = &mut scene.deployment.target else {
                anyhow::bail!("a server has the target");
            };
            for url in [&mut roles.read_url, &mut roles.write_url] {
                let (plain, _) = url.split_once('?').context("a parameter")?;
                *url = plain.to_owned();
            }
            let row = plan("invoices", "P-1", &["late_fee_cents"]);
            let read = scene.reader()?.read(&row).await.map(drop);
            let begun = scene.writer()?.try_begin().await.map(drop);
            for refused in [read, begun] {
                let cause = refused.as_ref().err().map(|error| &error.cause);
                let is_named = matches!(cause, Some(ErrorCause::PoolerUndeclared));
                ensure!(is_named, "{kind:?}: {refused:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_pooler_names_the_cause_of_a_login() -> anyhow::Result<()> {
    for kind in kinds(&["transaction"]) {
        for user in ["known", "unknown"] {
            let Some(mut scene) = Scene::new(kind)? else {
                continue;
            };
            let Target::Server { roles, .. } = &mut scene.deployment.target else {
                anyhow::bail!("a server has the target");
            };
            let (_, address) = roles.read_url.split_once('@').context("an address")?;
            let user = if user == "known" {
                &*roles.reader
            } else {
                "stranger"
            };
            roles.read_url = format!("postgres://{user}:wrong@{address}");
            let row = plan("invoices", "P-1", &["late_fee_cents"]);
            let refused = scene.reader()?.read(&row).await.map(drop);
            let cause = refused.as_ref().err().map(|error| &error.cause);
            let is_named = matches!(cause, Some(ErrorCause::PasswordRejected));
            ensure!(is_named, "{kind:?}: {refused:?} {cause:?}");
        }
    }
    Ok(())
}

/// A pooler that sets an option of a connection by itself instead of passing it on, so that a reset ends it.
#[tokio::test(flavor = "multi_thread")]
async fn connection_that_loses_an_option_is_not_reused() -> anyhow::Result<()> {
    let kind = PoolerKind {
        program: "pgbouncer_sid",
        mode: "session",
        more: "track_extra_parameters = default_transaction_read_only\n\
               ignore_startup_parameters = extra_float_digits,options\n",
    };
    let Some(mut scene) = Scene::new(kind)? else {
        return Ok(());
    };
    let Target::Server { database, roles } = &mut scene.deployment.target else {
        anyhow::bail!("a server has the target");
    };
    let role = &roles.reader;
    // Every option that the check of a new connection would miss is set for the role.
    database.execute(&format!(
        "CREATE VIEW rights AS SELECT 'k'::text AS id, 'acme'::text AS tenant_id, \
         current_setting('transaction_read_only') AS is_read_only; GRANT SELECT ON rights TO {role}; \
         ALTER ROLE {role} SET search_path = pg_catalog, pg_temp; ALTER ROLE {role} SET TimeZone = 'UTC'; \
         ALTER ROLE {role} SET plan_cache_mode = force_generic_plan; \
         ALTER ROLE {role} SET constraint_exclusion = off; \
         ALTER ROLE {role} SET client_min_messages = warning"
    ))?;
    let (plain, _) = roles.read_url.split_once('?').context("a parameter")?;
    roles.read_url = plain.to_owned();
    let reader = scene.reader()?;
    let rights = plan("rights", "k", &["is_read_only"]);
    for n in 0..4 {
        let found = reader
            .read(&rights)
            .await
            .map_err(|e| anyhow::anyhow!("{n}: {e}: {}: {:?}", e.detail, e.cause))?;
        ensure!(
            found.rows == [[ColumnValue::new("is_read_only", Value::text("on"))]],
            "{n}: {:?}",
            found.rows
        );
    }
    Ok(())
}
