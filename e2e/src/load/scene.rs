//! Deployment under load: the real release binaries, a database with many rows, and no practical limit on open
//! proposals.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Plan;
use super::calls::Peer;
use super::http::McpEndpoint;
use super::usage::Measured;
use crate::binaries::Build;
use crate::databases::{Engine, PrivateServer, Server};
use crate::deployment::Deployment;
use crate::issuer::{self, IssuerKey, PROPOSE};
use crate::process::{Launch, Process};
use crate::stack::{Stack, http_gateway_with, ledger, token_gateway, token_reader};
use crate::tenants;

/// Static token of the gateway.
const TOKEN: &str = "token-of-the-load-harness";
/// Rows of the tenant under load; each proposal uses a different one until all are used.
pub(super) const ROWS: u64 = 200_000;
/// Maximum duration of a run.
const LIFETIME_SECONDS: i64 = 3_600;
/// Limit above the number of proposals of any run.
const OPEN_PROPOSALS: u32 = 10_000_000;

/// One caller creates all the load.
const NO_RATE_LIMIT: [(&str, &str); 1] = [("--rate-per-second", "100000")];

/// The test servers run without fsync; the baseline measurement must use it.
const DURABLE: [&str; 2] = ["-c", "fsync=on"];

/// A running deployment.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) gateway: Process,
    pub(super) stack: Stack,
    /// Server of the HTTP stack with a tool that only answers.
    echo: Option<Process>,
    pub(super) peer: Option<Peer>,
    issuer: Option<IssuerKey>,
    clients: AtomicU64,
    /// Dropped after everything that uses it.
    server: Option<PrivateServer>,
}

/// Key of a row.
pub(super) fn row_id(row: u64) -> String {
    format!("L-{row:07}")
}

impl Scene {
    /// Starts ledger, reader and gateway with a fresh PostgreSQL database or a SQLite file, without a writer. The
    /// server is the one of the environment, or else a durable one for this run.
    pub(super) fn start(plan: &Plan) -> anyhow::Result<Self> {
        let on_sqlite = plan.on_sqlite;
        let given = if on_sqlite { None } else { given_server()? };
        let own = match (&given, on_sqlite) {
            (None, false) => PrivateServer::start(Engine::Postgres, &DURABLE)?,
            (Some(_), _) | (None, true) => None,
        };
        let deployment = match given.as_ref().or(own.as_ref().map(PrivateServer::server)) {
            Some(server) => Deployment::on(Build::Plain, server)?,
            None => Deployment::new(Build::Plain)?,
        };
        let mut trust = deployment.default_trust();
        trust.ceilings.open_proposals = Some(OPEN_PROPOSALS);
        deployment.write_trust(&trust)?;
        deployment.target.execute(&rows(deployment.target.engine()))?;
        let (stack, gateway, issuer) = if plan.with_access_tokens {
            let (stack, gateway, key) = for_tokens(deployment)?;
            (stack, gateway, Some(key))
        } else {
            let stack = Stack::without_writer(deployment)?;
            let gateway = http_gateway_with(&stack, TOKEN, &NO_RATE_LIMIT)?;
            (stack, gateway, None)
        };
        Ok(Self {
            echo: plan.with_echo.then(|| echo(&stack.deployment)).transpose()?,
            peer: plan.peer.clone(),
            gateway,
            stack,
            issuer,
            clients: AtomicU64::new(0),
            server: own,
        })
    }

    /// Endpoint of the gateway, with the token of the next client: a new access token each time, or always the static
    /// token.
    pub(super) fn gateway_endpoint(&self) -> McpEndpoint {
        let token = self.access_token().unwrap_or_else(|| TOKEN.to_owned());
        endpoint(&self.gateway, token)
    }

    pub(super) fn echo_endpoint(&self) -> Option<McpEndpoint> {
        self.echo.as_ref().map(|echo| endpoint(echo, TOKEN.to_owned()))
    }

    /// Access token of one more client, if clients use access tokens.
    pub(super) fn access_token(&self) -> Option<String> {
        let key = self.issuer.as_ref()?;
        let principal = format!("agent-{}", self.clients.fetch_add(1, Ordering::Relaxed));
        let mut claims = issuer::claims("acme", &principal, PROPOSE);
        let issued = claims["iat"].as_i64().unwrap_or_default();
        claims["exp"] = (issued + LIFETIME_SECONDS).into();
        Some(key.token(&claims))
    }

    /// The running processes, including this process as the client.
    pub(super) fn processes(&self) -> Vec<Measured> {
        let mut all = vec![Measured::one("client", std::process::id())];
        let own = [&self.gateway, &self.stack.reader, &self.stack.ledger];
        let others = self.stack.writer.as_ref().into_iter().chain(&self.echo);
        let named = own.into_iter().chain(others);
        all.extend(named.map(|p| Measured::one(&p.name, p.pid())));
        let database = self.server.as_ref().and_then(PrivateServer::pid);
        all.extend(database.map(|pid| Measured {
            with_children: true,
            ..Measured::one("database", pid)
        }));
        let peer = self.peer.as_ref().and_then(|peer| peer.pid);
        all.extend(peer.map(|pid| Measured::one("peer", pid)));
        all
    }
}

fn endpoint(process: &Process, token: String) -> McpEndpoint {
    McpEndpoint {
        address: process.address.clone(),
        path: "/mcp".to_owned(),
        token: Some(token),
    }
}

/// Starts the HTTP stack with tools that need no reader.
fn echo(deployment: &Deployment) -> anyhow::Result<Process> {
    let mut arguments = vec!["--listen".to_owned(), "127.0.0.1:0".to_owned()];
    arguments.extend(
        NO_RATE_LIMIT
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]),
    );
    let launch = Launch {
        name: "echo".to_owned(),
        binary: deployment.build.binary("conformance")?,
        arguments,
        environment: vec![("SYNAPSOR_RUNNER_HTTP_TOKEN".to_owned(), TOKEN.to_owned())],
        account: deployment.account.clone(),
    };
    launch.start(deployment.folder.path())
}

/// Processes for callers with access tokens, and the key of their issuer.
fn for_tokens(deployment: Deployment) -> anyhow::Result<(Stack, Process, IssuerKey)> {
    let key = IssuerKey::ed25519("load")?;
    let contract = std::fs::read_to_string(deployment.contract())?;
    std::fs::write(deployment.contract(), tenants::for_tokens(&contract, None))?;
    std::fs::create_dir(deployment.path("issuer"))?;
    let keys = tenants::keys_file(&deployment);
    issuer::publish(&keys, &[&key])?;
    let ledger = ledger(&deployment, &[])?;
    let reader = token_reader(&deployment, &ledger.address, Some(&keys))?;
    let stack = Stack {
        deployment,
        ledger,
        reader,
        writer: None,
    };
    let gateway = token_gateway(&stack, &NO_RATE_LIMIT.map(|(flag, value)| [flag, value]).concat())?;
    Ok((stack, gateway, key))
}

fn given_server() -> anyhow::Result<Option<Server>> {
    if std::env::var_os("SYNAPSOR_TEST_POSTGRES_URL").is_none() {
        return Ok(None);
    }
    Server::postgres()
}

/// Statement that creates the rows.
fn rows(engine: Engine) -> String {
    let numbers = match engine {
        Engine::Postgres => {
            format!("SELECT n FROM generate_series(0, {ROWS} - 1) AS g (n)")
        }
        Engine::Sqlite | Engine::Mysql | Engine::Mariadb => {
            format!(
                "WITH RECURSIVE g (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < {ROWS} - 1) SELECT n FROM g"
            )
        }
    };
    let columns = "id, tenant_id, customer_name, status, late_fee_cents, version";
    let (key, customer) = match engine {
        Engine::Sqlite => ("printf('L-%07d', n)", "printf('Customer %d', n)"),
        Engine::Postgres | Engine::Mysql | Engine::Mariadb => (
            "concat('L-', lpad(concat(n, ''), 7, '0'))",
            "concat('Customer ', n)",
        ),
    };
    format!(
        "INSERT INTO invoices ({columns}) SELECT {key}, 'acme', {customer}, 'overdue', 5500, 1 FROM ({numbers}) AS r"
    )
}
