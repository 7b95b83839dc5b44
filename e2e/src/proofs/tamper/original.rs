//! Store for the tampering: written by the real processes, with older copies of itself and the pinned checkpoints
//! of the CLI and the writer.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rusqlite::Connection;
use synapsor_chassis::identity::Role;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::log::{PinnedCheckpoint, verify_checkpoint};
use synapsor_proto::ledger::v1::event_service_client::EventServiceClient;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use synapsor_proto::ledger::v1::{GetCheckpointRequest, ListEvidenceRequest};

use crate::agent::Agent;
use crate::binaries::Build;
use crate::deployment::Deployment;
use crate::operator::{OperatorClient, decision, seal_decision};
use crate::stack::Stack;

/// A finished store in its own deployment, without a running process.
pub(super) struct Original {
    pub(super) deployment: Deployment,
    /// The complete store in one file.
    pub(super) file: PathBuf,
    /// The same store at earlier times, each complete and genuine, oldest first.
    pub(super) older: Vec<PathBuf>,
    /// Pinned checkpoints of the CLI and the writer.
    pub(super) witnesses: Vec<PinnedCheckpoint>,
    pub(super) events: u64,
}

impl Original {
    /// Creates proposals with every outcome, and reads, until there are `proposals` of them.
    pub(super) async fn make(proposals: usize, copies: usize) -> anyhow::Result<Self> {
        let stack = Stack::start(Deployment::new(Build::Plain)?)?;
        fill_database(&stack.deployment, proposals)?;
        let agent = Agent::over_stdio(&stack).await?;
        let mut desk = OperatorClient::open(&stack, "alice")?;
        let mut older = Vec::new();
        for number in 1..=proposals {
            one_proposal(&stack, &agent, &mut desk, number).await?;
            if number * copies / proposals > older.len() && number < proposals {
                let copy = stack.deployment.path(&format!("older-{number}.db"));
                copy_whole(&stack.deployment.store(), &copy)?;
                older.push(copy);
            }
        }
        agent.close().await;
        write_record_views(&stack).await?;
        let of_person = last_seen(&stack).await?;
        let Stack {
            deployment,
            mut ledger,
            reader,
            writer,
        } = stack;
        drop((reader, writer));
        ledger.kill();
        let origin = deployment.trust()?.ledger_origin();
        let remembered = std::fs::read(deployment.path("writer-state/writer.witness"))?;
        let of_writer =
            PinnedCheckpoint::from_bytes(&remembered).context("pinned checkpoint of the writer")?;
        ensure!(
            of_writer.origin == origin && of_writer.size > 0,
            "writer has pinned no checkpoint"
        );
        let file = deployment.path("original.db");
        fold_log_in(&deployment.store())?;
        std::fs::copy(deployment.store(), &file)?;
        Ok(Self {
            deployment,
            file,
            older,
            events: of_person.size,
            witnesses: vec![of_person, of_writer],
        })
    }
}

fn invoice(number: usize) -> String {
    format!("TA-{number:04}")
}

fn fill_database(deployment: &Deployment, invoices: usize) -> anyhow::Result<()> {
    let mut connection = deployment.open_database()?;
    let filling = connection.transaction()?;
    for number in 1..=invoices {
        filling.execute(
            "INSERT INTO invoices (id, tenant_id, customer_name, status, late_fee_cents, version) \
             VALUES (?1, 'acme', 'Tamper Test', 'overdue', 700, 1)",
            [invoice(number)],
        )?;
    }
    Ok(filling.commit()?)
}

/// Most are applied; some are rejected, conflict with a changed row, wait, or are proposed twice.
async fn one_proposal(
    stack: &Stack,
    agent: &Agent,
    desk: &mut OperatorClient,
    number: usize,
) -> anyhow::Result<()> {
    let deployment = &stack.deployment;
    let invoice = invoice(number);
    agent.inspect(&invoice).await?;
    if number % 5 == 1 {
        agent.inspect("TA-none").await?;
    }
    let proposal = agent.propose(&invoice, "a goodwill gesture").await?;
    let subject = desk.subject(deployment, &proposal).await?;
    match number % 6 {
        0 => {
            let bob = deployment.person("bob");
            desk.decide(&seal_decision(
                bob,
                &decision(deployment, bob, &subject, DecisionKind::Reject),
            ))
            .await?;
        }
        1 => {
            agent.propose(&invoice, "a goodwill gesture").await?;
        }
        2 => {
            let sql = "UPDATE invoices SET internal_note = 'changed' WHERE id = ?1";
            deployment.open_database()?.execute(sql, [&invoice])?;
            desk.approve_and_order(deployment, &subject).await?;
            desk.outcome(stack, &proposal).await?;
        }
        _ => {
            desk.approve_and_order(deployment, &subject).await?;
            desk.outcome(stack, &proposal).await?;
        }
    }
    Ok(())
}

/// Makes the ledger write the views that it derives later, so that each is in the file and can be edited.
async fn write_record_views(stack: &Stack) -> anyhow::Result<()> {
    let mut client = EventServiceClient::new(stack.ledger_as(Role::Operator, Some("alice"))?);
    client.list_evidence(ListEvidenceRequest::default()).await?;
    Ok(())
}

/// Checkpoint that a command of the operator would pin now.
async fn last_seen(stack: &Stack) -> anyhow::Result<PinnedCheckpoint> {
    let trust = stack.deployment.trust()?;
    let mut client = TransparencyServiceClient::new(stack.ledger_as(Role::Operator, Some("alice"))?);
    let answer = client
        .get_checkpoint(GetCheckpointRequest::default())
        .await?
        .into_inner();
    let key = stack.deployment.ledger_key.public_key();
    let checkpoint = verify_checkpoint(&answer.checkpoint, &trust.ledger_origin(), &key)?;
    let mut pinned = PinnedCheckpoint::new(&trust.ledger_origin());
    pinned.advance(&checkpoint, None)?;
    Ok(pinned)
}

/// Copies a store that is in use as one consistent file.
fn copy_whole(from: &Path, to: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(from)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.execute("VACUUM INTO ?1", [to.to_str().context("a plain path")?])?;
    Ok(())
}

/// Moves the content of the write-ahead log into the file itself.
pub(super) fn fold_log_in(path: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(path)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(())
}
