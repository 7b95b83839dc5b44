//! Certificates of all processes are renewed under load, and their authority is replaced: no call fails, no process
//! restarts, and a certificate that has ended opens nothing at any server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_chassis::grpc_channel::is_unreachable;
use synapsor_chassis::identity::Role;
use synapsor_chassis::tls::dev_ca::DevCa;
use tokio::task::JoinSet;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::Plan;
use super::invoices;
use crate::access::instance_of;
use crate::binaries::Build;
use crate::deployment::{Deployment, Issue};
use crate::mcp_http::{McpHttpClient, Message};
use crate::now;
use crate::operator::OperatorClient;
use crate::stack::{INSTANCE, Stack, WRITER, http_gateway_with};

const TOKEN: &str = "a-token-of-the-proof-of-lifetimes";
/// Clients that read at the same time.
const READERS: usize = 4;
/// Invoices, one for each proposal.
const INVOICES: usize = 6_000;
/// Lifetime of the certificates that are used past their end.
const BRIEF: Duration = Duration::from_secs(3);

/// Durations of a run.
struct Schedule {
    whole: Duration,
    lifetime: Duration,
    renewal: Duration,
}

impl Schedule {
    const FULL: Self = Self {
        whole: Duration::from_secs(600),
        lifetime: Duration::from_secs(120),
        renewal: Duration::from_secs(45),
    };
    const SMALL: Self = Self {
        whole: Duration::from_secs(60),
        lifetime: Duration::from_secs(24),
        renewal: Duration::from_secs(8),
    };
}

/// Calls of all clients and their failures.
#[derive(Debug, Default)]
struct Load {
    is_ended: AtomicBool,
    reads: AtomicU64,
    applied: AtomicU64,
    failures: AtomicU64,
}

impl Load {
    fn failed(&self, what: &str, error: &anyhow::Error) {
        println!("VIOLATION lifetimes: {what} failed at {}: {error:#}", now());
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }
}

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let schedule = if plan.small {
        Schedule::SMALL
    } else {
        Schedule::FULL
    };
    let deployment = Deployment::new(Build::Plain)?;
    fill(&deployment)?;
    issue(&deployment, |issue| issue.lifetime = schedule.lifetime);
    let stack = Arc::new(Stack::start(deployment)?);
    let flags = [
        ("--rate-per-second", "100000"),
        ("--ledger", &*stack.ledger.address),
    ];
    let gateway = http_gateway_with(&stack, TOKEN, &flags)?;
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..READERS {
        clients.spawn(read(McpHttpClient::at(&gateway.address), load.clone()));
    }
    clients.spawn(apply(
        McpHttpClient::at(&gateway.address),
        stack.clone(),
        load.clone(),
    ));
    let renewals = renew(&stack.deployment, &schedule).await?;
    load.is_ended.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    let refused = ended_certificates(&stack).await?;
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let (reads, applied, failures) = (count(&load.reads), count(&load.applied), count(&load.failures));
    ensure!(reads > 0 && applied > 0, "no load: {load:?}");
    Ok(json!({
        "proof": "lifetimes",
        "seconds": schedule.whole.as_secs(),
        "lifetime_seconds": schedule.lifetime.as_secs(),
        "renewals": renewals,
        "checks": reads + applied,
        "reads": reads,
        "applied": applied,
        "refused": refused,
        "violations": failures + (6 - refused),
        "skipped": [],
    }))
}

fn fill(deployment: &Deployment) -> anyhow::Result<()> {
    let names: Vec<String> = (0..INVOICES).map(invoice).collect();
    let database = deployment.open_database()?;
    for names in names.chunks(200) {
        database.execute_batch(&invoices::insert(names))?;
    }
    Ok(())
}

fn invoice(number: usize) -> String {
    format!("L-{number}")
}

fn issue(deployment: &Deployment, change: impl FnOnce(&mut Issue)) {
    change(&mut deployment.issue.lock().expect("changing it does not panic"));
}

/// Reads until the load ends.
async fn read(client: McpHttpClient, load: Arc<Load>) {
    let message = Message::inspect(&invoice(0));
    while !load.is_ended() {
        match call(&client, &message).await {
            Ok(_) => drop(load.reads.fetch_add(1, Ordering::Relaxed)),
            Err(error) => load.failed("a read", &error),
        }
    }
}

async fn call(client: &McpHttpClient, message: &Message) -> anyhow::Result<Json> {
    let reply = client.ask(TOKEN, message).await?;
    let envelope = reply.envelope()?;
    ensure!(envelope["ok"] == true, "{envelope}");
    Ok(envelope)
}

/// Proposes, approves and applies one change after the other until the load ends.
async fn apply(client: McpHttpClient, stack: Arc<Stack>, load: Arc<Load>) {
    for number in 1..INVOICES {
        if load.is_ended() {
            return;
        }
        match apply_one(&client, &stack, &invoice(number)).await {
            Ok(()) => drop(load.applied.fetch_add(1, Ordering::Relaxed)),
            Err(error) => load.failed("a change", &error),
        }
    }
}

async fn apply_one(client: &McpHttpClient, stack: &Stack, invoice: &str) -> anyhow::Result<()> {
    let proposed = client.ask(TOKEN, &Message::propose(invoice, "goodwill")).await?;
    let proposal = &proposed.task()?;
    let mut operator = OperatorClient::open(stack, "alice")?;
    let subject = operator.subject(&stack.deployment, proposal).await?;
    operator.approve_and_order(&stack.deployment, &subject).await?;
    let outcome = operator.outcome(stack, proposal).await?;
    ensure!(outcome == "applied", "{proposal} ended as {outcome}");
    Ok(())
}

/// Renews the certificates of all processes again and again. At a quarter of the time both authorities are trusted,
/// at half of it the new one issues, at three quarters the old one is no longer trusted.
async fn renew(deployment: &Deployment, schedule: &Schedule) -> anyhow::Result<usize> {
    let new = DevCa::create(&deployment.path("new-ca"), &deployment.id, now().as_unix_millis())?;
    let new_pem = std::fs::read_to_string(new.cert_path())?;
    let mut new = Some(new);
    let begin = Instant::now();
    let mut renewals = 0;
    while begin.elapsed() < schedule.whole {
        tokio::time::sleep(schedule.renewal).await;
        let quarter = begin.elapsed().as_millis() * 4 / schedule.whole.as_millis();
        issue(deployment, |issue| match quarter {
            0 => {}
            1 if !issue.trusted.contains(&new_pem) => issue.trusted.push_str(&new_pem),
            2 => {
                if let Some(new) = new.take() {
                    issue.authority = new;
                }
            }
            3.. => issue.trusted.clone_from(&new_pem),
            _ => {}
        });
        for (role, instance) in [
            (Role::Ledger, None),
            (Role::Reader, Some(INSTANCE)),
            (Role::Writer, Some(WRITER)),
            (Role::Gateway, Some(INSTANCE)),
        ] {
            deployment.leaf(role, instance)?;
            renewals += 1;
        }
    }
    Ok(renewals)
}

/// Uses certificates past their end at every server: on a connection that is open, and for a new one. Returns how many
/// uses were refused.
async fn ended_certificates(stack: &Stack) -> anyhow::Result<u64> {
    let deployment = &stack.deployment;
    issue(deployment, |issue| issue.lifetime = BRIEF);
    let writer = stack.writer.as_ref().context("a writer")?;
    let mut refused = 0;
    for (role, address) in [
        (Role::Ledger, &stack.ledger.address),
        (Role::Reader, &stack.reader.address),
        (Role::Writer, &writer.address),
    ] {
        let files = deployment.leaf(Role::Operator, instance_of(Role::Operator))?;
        let read = |path| std::fs::read_to_string(path);
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&files.ca)?))
            .identity(Identity::from_pem(read(&files.cert)?, read(&files.key)?))
            .domain_name(role.server_name());
        let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
        let mut health = HealthClient::new(endpoint.connect().await?);
        let request = || HealthCheckRequest {
            service: String::new(),
        };
        health.check(request()).await?;
        let mut watch = health.watch(request()).await?.into_inner();
        // The first message is the state now; the stream then ends with the connection.
        watch.message().await?;
        let waited = tokio::time::timeout(BRIEF * 3, watch.message()).await;
        let is_cut = matches!(waited, Ok(Err(_) | Ok(None)));
        if is_cut {
            refused += 1;
        } else {
            println!("VIOLATION lifetimes: the {role} kept a connection past the end of its certificate");
        }
        let again = match endpoint.connect().await {
            Ok(channel) => HealthClient::new(channel).check(request()).await.map(drop),
            Err(error) => Err(tonic::Status::from_error(Box::new(error))),
        };
        if again.is_err_and(|status| is_unreachable(&status)) {
            refused += 1;
        } else {
            println!("VIOLATION lifetimes: the {role} accepted a certificate that has ended");
        }
    }
    Ok(refused)
}
