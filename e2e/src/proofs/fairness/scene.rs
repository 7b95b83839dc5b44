//! Processes whose contract has one working source and others behind gates, all on the same tables.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value as Json, json};
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::DsseEnvelope;

use super::gate::Gate;
use super::{LOOK, WAITS};
use crate::agent::Agent;
use crate::binaries::Build;
use crate::databases::{Server, Session};
use crate::deployment::Deployment;
use crate::operator::{OperatorClient, Subject, decision, order, seal_decision, seal_order};
use crate::stack::{self, Stack};

/// Index of the working source.
pub(super) const WORKING: usize = 0;
/// Rows of each tenant in a scene.
const ROWS: usize = 1_500;
/// Maximum open proposals of a tenant: more than any scene creates.
const OPEN_MAX: u32 = 5_000;
/// Maximum time of one apply.
const APPLIED: Duration = Duration::from_secs(60);

pub(super) struct Scene {
    pub(super) gates: Vec<Gate>,
    stack: Stack,
    agent: Agent,
    desk: OperatorClient,
    tenant: String,
    used: usize,
}

/// Proposal that alice has approved.
#[derive(Debug, Clone)]
pub(super) struct Approved {
    pub(super) source: usize,
    id: String,
    subject: Subject,
    approval: DsseEnvelope,
}

impl Scene {
    /// Starts ledger and reader, without a writer.
    pub(super) async fn new(server: &Server, hanging: usize) -> anyhow::Result<Self> {
        let deployment = Deployment::on(Build::Plain, server)?;
        std::fs::write(
            deployment.contract(),
            with_sources(&std::fs::read_to_string(deployment.contract())?, hanging)?,
        )?;
        let mut trust = deployment.default_trust();
        trust.ceilings.open_proposals = Some(OPEN_MAX);
        deployment.write_trust(&trust)?;
        fill(&deployment)?;
        let address = server
            .address()
            .parse()
            .context("a server with a port on loopback")?;
        let mut gates = Vec::new();
        for _ in 0..hanging {
            gates.push(Gate::closed(address).await?);
        }
        let stack = Stack::without_writer(deployment)?;
        Ok(Self {
            agent: Agent::over_stdio(&stack).await?,
            desk: OperatorClient::open(&stack, "alice")?,
            gates,
            stack,
            tenant: "acme".to_owned(),
            used: 0,
        })
    }

    /// Creates later proposals for another tenant.
    pub(super) async fn become_tenant(&mut self, tenant: &str) -> anyhow::Result<()> {
        let ledger = self.stack.ledger.address.clone();
        self.stack.reader.kill();
        self.stack.reader = stack::reader(&self.stack.deployment, &ledger, tenant)?;
        self.agent = Agent::over_stdio(&self.stack).await?;
        tenant.clone_into(&mut self.tenant);
        self.used = 0;
        Ok(())
    }

    /// Starts a writer that reaches each hanging source through its gate.
    pub(super) fn start_writer(&mut self) -> anyhow::Result<()> {
        let url = self.stack.deployment.database_url();
        let server = self.server_of(&url)?;
        let urls: Vec<(String, String)> = (1..)
            .zip(&self.gates)
            .map(|(n, gate)| {
                let through = url.replacen(&server, &gate.address.to_string(), 1);
                (write_variable(n), through)
            })
            .collect();
        let extra: Vec<(&str, &str)> = urls.iter().map(|(n, u)| (n.as_str(), u.as_str())).collect();
        self.stack.start_writer(&extra)
    }

    /// `host:port` of a URL.
    fn server_of(&self, url: &str) -> anyhow::Result<String> {
        let (_, rest) = url.split_once('@').context("a URL with a user")?;
        let (server, _) = rest.split_once('/').context("a URL with a database")?;
        Ok(server.to_owned())
    }

    pub(super) fn fresh_row(&mut self) -> String {
        self.used += 1;
        row(&self.tenant, self.used)
    }

    /// Creates proposals, each on its own row, approved and not ordered.
    pub(super) async fn approved(&mut self, source: usize, count: usize) -> anyhow::Result<Vec<Approved>> {
        let mut all = Vec::new();
        for _ in 0..count {
            let row = self.fresh_row();
            all.push(self.approved_on(source, &row).await?);
        }
        Ok(all)
    }

    /// Creates a proposal for one row.
    pub(super) async fn approved_on(&mut self, source: usize, row: &str) -> anyhow::Result<Approved> {
        let reason = synapsor_chassis::random::hex_id(12);
        let arguments = json!({ "invoice_id": row, "reason": reason });
        let envelope = self.agent.call(&tool(source), arguments).await?;
        let id = envelope.pointer("/proposal/id").and_then(Json::as_str);
        let id = id.with_context(|| format!("no proposal: {envelope}"))?.to_owned();
        let deployment = &self.stack.deployment;
        let subject = self.desk.subject(deployment, &id).await?;
        let alice = deployment.person("alice");
        let approval = seal_decision(
            alice,
            &decision(deployment, alice, &subject, DecisionKind::Approve),
        );
        self.desk.decide(&approval).await?;
        Ok(Approved {
            source,
            id,
            subject,
            approval,
        })
    }

    pub(super) async fn order(&mut self, all: &[Approved]) -> anyhow::Result<()> {
        let deployment = &self.stack.deployment;
        let alice = deployment.person("alice");
        for one in all {
            let order = seal_order(alice, &order(deployment, alice, &one.subject, &[&one.approval]));
            self.desk.request_apply(&order).await?;
        }
        Ok(())
    }

    /// Orders each proposal and waits for its receipt before the next; returns the total time.
    pub(super) async fn apply_each(&mut self, all: Vec<Approved>) -> anyhow::Result<Duration> {
        let start = Instant::now();
        for one in all {
            self.order(std::slice::from_ref(&one)).await?;
            self.applied(&one).await?;
        }
        Ok(start.elapsed())
    }

    async fn applied(&mut self, one: &Approved) -> anyhow::Result<()> {
        let until = Instant::now() + APPLIED;
        loop {
            let state: ProposalState = self.desk.state(&one.id).await?.parse()?;
            match state {
                ProposalState::Applied => return Ok(()),
                ProposalState::PendingWorker | ProposalState::InDoubt if Instant::now() < until => {}
                other => bail!("{} ended `{other}`", one.id),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until one of these proposals is applied.
    pub(super) async fn first_applied(&mut self, any: &[&Approved]) -> anyhow::Result<()> {
        let until = Instant::now() + WAITS;
        loop {
            for one in any {
                if self.desk.state(&one.id).await? == ProposalState::Applied.as_str() {
                    return Ok(());
                }
            }
            ensure!(Instant::now() < until, "none was applied within {WAITS:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Locks rows until the connection rolls back.
    pub(super) fn lock(&self, rows: &[String]) -> anyhow::Result<Session> {
        let session = self.owner()?;
        let ids: Vec<String> = rows.iter().map(|row| format!("'{row}'")).collect();
        session.execute("BEGIN")?;
        session.execute(&format!(
            "SELECT id FROM invoices WHERE id IN ({}) FOR UPDATE",
            ids.join(", ")
        ))?;
        Ok(session)
    }

    /// Waits until this many connections of the writer wait for a lock.
    pub(super) async fn waits_for_locks(&self, count: i64) -> anyhow::Result<()> {
        let until = Instant::now() + WAITS;
        while self.waiting_sessions()? < count {
            ensure!(Instant::now() < until, "writer does not wait for a lock");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    pub(super) fn waiting_sessions(&self) -> anyhow::Result<i64> {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
        Ok(self.owner()?.value(sql)?.parse()?)
    }

    fn owner(&self) -> anyhow::Result<Session> {
        match &self.stack.deployment.target {
            crate::target::Target::Server { database, .. } => Ok(database.session()),
            crate::target::Target::File(_) => bail!("a scene has a server"),
        }
    }
}

fn fill(deployment: &Deployment) -> anyhow::Result<()> {
    for tenant in ["acme", "globex"] {
        let rows: Vec<String> = (1..=ROWS)
            .map(|n| format!("('{}', '{tenant}', 'Fair', 'overdue', 900, 1)", row(tenant, n)))
            .collect();
        deployment.target.execute(&format!(
            "INSERT INTO invoices (id, tenant_id, customer_name, status, late_fee_cents, version) VALUES {}",
            rows.join(", ")
        ))?;
    }
    Ok(())
}

fn row(tenant: &str, number: usize) -> String {
    format!("F-{tenant}-{number:04}")
}

fn tool(source: usize) -> String {
    match source {
        WORKING => "billing.propose_late_fee_waiver".to_owned(),
        n => format!("billing.propose_late_fee_waiver_{n:02}"),
    }
}

fn write_variable(source: usize) -> String {
    format!("HANGING_{source:02}_WRITE_URL")
}

/// Extends the contract with more sources, each with the proposal capability of the first.
fn with_sources(contract: &str, count: usize) -> anyhow::Result<String> {
    let mut contract: Json = serde_json::from_str(contract)?;
    let first = contract["sources"]["billing_db"].clone();
    let capabilities = contract["capabilities"].as_array().context("capabilities")?;
    let proposal = capabilities
        .iter()
        .find(|c| c["name"] == json!(tool(WORKING)))
        .context("a proposal")?
        .clone();
    for n in 1..=count {
        let name = format!("hanging_{n:02}");
        let mut source = first.clone();
        source["write_url_env"] = json!(write_variable(n));
        contract["sources"][&name] = source;
        let mut capability = proposal.clone();
        capability["name"] = json!(tool(n));
        capability["source"] = json!(name);
        contract["capabilities"]
            .as_array_mut()
            .context("capabilities")?
            .push(capability);
    }
    Ok(contract.to_string())
}
