//! Processes of the proof: an agent that proposes, alice who approves and orders, and a writer that the proof
//! halts at named points.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::AttemptReport;

use super::state::State;
use super::tables::Tables;
use crate::agent::Agent;
use crate::deployment::Deployment;
use crate::operator::{OperatorClient, Subject, decision, order, seal_decision, seal_order, state_word};
use crate::process::Process;
use crate::stack::{self, Stack, WRITER};

const LOOK: Duration = Duration::from_millis(5);
const REACHED: Duration = Duration::from_secs(20);
/// Longer than a writer retries.
const ENDED: Duration = Duration::from_secs(60);

pub(super) struct Scene {
    pub(super) tables: Tables,
    stack: Stack,
    desk: OperatorClient,
    agent: Agent,
    writer: Process,
    /// File that names the point at which the writer halts next.
    halt: PathBuf,
}

/// One approved proposal for one invoice.
#[derive(Debug, Clone)]
pub(super) struct Approved {
    pub(super) id: String,
    pub(super) invoice: String,
    /// Value from the agent.
    pub(super) reason: String,
    subject: Subject,
    approval: DsseEnvelope,
}

/// Outcome of an order.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// Result of the attempt, for example `applied` or `refused:receipt_table`.
    pub(super) result: String,
    /// State of the proposal in the ledger.
    pub(super) state: String,
}

impl Scene {
    pub(super) async fn new(deployment: Deployment, tables: Tables) -> anyhow::Result<Self> {
        let halt = deployment.path("writer-state/halt");
        let stack = Stack::without_writer(deployment)?;
        let writer = start_writer(&stack, &halt)?;
        Ok(Self {
            tables,
            desk: OperatorClient::open(&stack, "alice")?,
            agent: Agent::over_stdio(&stack).await?,
            writer,
            halt,
            stack,
        })
    }

    /// Kills the writer and starts it again.
    pub(super) fn restart_writer(&mut self) -> anyhow::Result<()> {
        self.writer.kill();
        self.writer = start_writer(&self.stack, &self.halt)?;
        Ok(())
    }

    /// Creates a proposal that alice has approved, or returns the code with which the reader refused it.
    pub(super) async fn approved(
        &mut self,
        tool: &str,
        invoice: &str,
        reason: &str,
    ) -> anyhow::Result<Result<Approved, String>> {
        let arguments = json!({ "invoice_id": invoice, "reason": reason });
        let answer = self.agent.call(tool, arguments).await?;
        let Some(id) = answer.pointer("/proposal/id").and_then(Json::as_str) else {
            let code = answer.pointer("/error/code").and_then(Json::as_str);
            let code =
                code.with_context(|| format!("response has neither a proposal nor a code: {answer}"))?;
            return Ok(Err(code.to_owned()));
        };
        let deployment = &self.stack.deployment;
        let subject = self.desk.subject(deployment, id).await?;
        let alice = deployment.person("alice");
        let approval = seal_decision(
            alice,
            &decision(deployment, alice, &subject, DecisionKind::Approve),
        );
        self.desk.decide(&approval).await?;
        Ok(Ok(Approved {
            id: id.to_owned(),
            invoice: invoice.to_owned(),
            reason: reason.to_owned(),
            subject,
            approval,
        }))
    }

    /// Orders a proposal and waits for the result.
    pub(super) async fn apply(&mut self, approved: &Approved) -> anyhow::Result<Ended> {
        let order = self.order(approved).await?;
        self.ended(approved, &order).await
    }

    /// Sends a new apply order.
    pub(super) async fn order(&mut self, approved: &Approved) -> anyhow::Result<DsseEnvelope> {
        let deployment = &self.stack.deployment;
        let alice = deployment.person("alice");
        let order = seal_order(
            alice,
            &order(deployment, alice, &approved.subject, &[&approved.approval]),
        );
        self.desk.request_apply(&order).await?;
        Ok(order)
    }

    /// Waits for the report of the attempt for an order.
    pub(super) async fn ended(&mut self, approved: &Approved, order: &DsseEnvelope) -> anyhow::Result<Ended> {
        let digest = Some(Digest::of(ObjectKind::ApplyOrder, &order.payload));
        let until = Instant::now() + ENDED;
        loop {
            let record = self.desk.record(&approved.id).await?;
            let report = record.attempt.clone().map(DsseEnvelope::try_from).transpose()?;
            let report: Option<AttemptReport> =
                report.and_then(|report| report.decode_unverified(ObjectKind::Attempt).ok());
            let state: ProposalState = record.state().try_into()?;
            if let Some(report) = report
                && report.order_digest == digest
                && (state.is_terminal() || state == ProposalState::Approved)
            {
                return Ok(Ended {
                    result: report.result.to_string(),
                    state: state_word(record.state)?,
                });
            }
            if Instant::now() > until {
                return Ok(Ended {
                    result: "no answer".to_owned(),
                    state: state_word(record.state)?,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Checks whether the ledger has a final state of a proposal.
    pub(super) async fn is_ended(&mut self, approved: &Approved) -> anyhow::Result<bool> {
        let state: ProposalState = self.desk.state(&approved.id).await?.parse()?;
        Ok(state.is_terminal())
    }

    /// Rejects an open proposal, so that the agent may create more, and waits for the tombstone.
    pub(super) async fn reject(&mut self, approved: &Approved) -> anyhow::Result<()> {
        let deployment = &self.stack.deployment;
        let alice = deployment.person("alice");
        let rejection = decision(deployment, alice, &approved.subject, DecisionKind::Reject);
        self.desk.decide(&seal_decision(alice, &rejection)).await?;
        let until = Instant::now() + REACHED;
        while self.state()?.outcome(&approved.id).is_none() && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Makes the writer halt when it next reaches a point.
    pub(super) fn halt_at(&self, point: &str) -> anyhow::Result<()> {
        let new = self.halt.with_extension("new");
        std::fs::write(&new, format!("{point}:stop"))?;
        Ok(std::fs::rename(new, &self.halt)?)
    }

    /// Waits until the writer has halted.
    pub(super) async fn is_halted(&self, point: &str) -> anyhow::Result<()> {
        let until = Instant::now() + REACHED;
        let status = format!("/proc/{}/stat", self.writer.pid());
        loop {
            let text = std::fs::read_to_string(&status)?;
            let state = text
                .rsplit(')')
                .next()
                .and_then(|rest| rest.trim().chars().next());
            if state == Some('T') && !self.halt.exists() {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("`{point}` was not reached in {REACHED:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        let _ = std::fs::remove_file(&self.halt);
        Ok(kill_process(Pid::from_child(&self.writer.child), Signal::CONT)?)
    }

    pub(super) fn state(&self) -> anyhow::Result<State> {
        State::read(&self.tables)
    }

    /// End of the writer's log, for unexplained failures.
    pub(super) fn log(&self) -> String {
        let text = self.writer.log_text();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

fn start_writer(stack: &Stack, halt: &std::path::Path) -> anyhow::Result<Process> {
    let point = format!("@{}", halt.display());
    stack::writer(
        &stack.deployment,
        &stack.ledger.address,
        WRITER,
        &[("SYNAPSOR_FAILPOINT", &point)],
    )
}
