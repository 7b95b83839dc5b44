//! Crash test harness: processes, an agent, operators, its own invoices, and the observable state of a case in the
//! source database and in the ledger.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_proto::ledger::v1::ProposalRecord;

use super::checker::Checker;
use super::invoices::{self, Target};
use crate::agent::{Agent, PROPOSE};
use crate::deployment::Deployment;
use crate::operator::{OperatorClient, Subject, decision, order, seal_decision, seal_order, state_word};
use crate::process::Process;
use crate::stack::{self, Stack};

/// Number of invoices of one harness.
const INVOICES: usize = 2_000;
const LOOK: Duration = Duration::from_millis(5);
/// Longer than the lease of a killed writer.
const SETTLED: Duration = Duration::from_secs(100);
const REACHED: Duration = Duration::from_secs(30);
const ORDERS_MAX: u32 = 5;
/// The first calls after a restart of the ledger may use the broken connection.
const TRIES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct CrashHarness {
    pub(super) stack: Stack,
    pub(super) desk: OperatorClient,
    pub(super) checker: Checker,
    pub(super) agent: Agent,
    used: usize,
}

/// One proposal for one invoice.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) invoice: String,
    pub(super) proposal: String,
    pub(super) subject: Subject,
    pub(super) approval: DsseEnvelope,
}

/// Observable state of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) target: Target,
    pub(super) state: String,
    /// Signed bytes of the receipt in the ledger.
    pub(super) ledger_receipt: Option<String>,
}

impl CrashHarness {
    /// Starts ledger and reader, without a writer.
    pub(super) async fn new(deployment: Deployment, checker: Checker) -> anyhow::Result<Self> {
        Self::on(Stack::without_writer(deployment)?, checker).await
    }

    /// Creates the harness over running processes.
    pub(super) async fn on(stack: Stack, checker: Checker) -> anyhow::Result<Self> {
        let numbers: Vec<String> = (1..=INVOICES).map(invoice).collect();
        invoices::fill(&checker, &numbers)?;
        let agent = Agent::over_stdio(&stack).await?;
        let desk = OperatorClient::open(&stack, "alice")?;
        Ok(Self {
            stack,
            desk,
            checker,
            agent,
            used: 0,
        })
    }

    /// Creates a proposal and alice's approval of it, which is not yet sent.
    pub(super) async fn proposed(&mut self, name: &str) -> anyhow::Result<Case> {
        let invoice = self.invoice();
        self.proposed_on(&invoice, name).await
    }

    /// Returns an invoice that no case uses.
    pub(super) fn invoice(&mut self) -> String {
        self.used += 1;
        invoice(self.used)
    }

    /// Creates the same for an invoice that may have other proposals.
    pub(super) async fn proposed_on(&mut self, invoice: &str, name: &str) -> anyhow::Result<Case> {
        self.proposed_by(PROPOSE, invoice, name).await
    }

    /// Creates the same through another tool with the same arguments.
    pub(super) async fn proposed_by(
        &mut self,
        tool: &str,
        invoice: &str,
        name: &str,
    ) -> anyhow::Result<Case> {
        let mut tries = 0;
        let proposal = loop {
            match self.agent.propose_by(tool, invoice, name).await {
                Ok(proposal) => break proposal,
                Err(error) if tries == TRIES_MAX => return Err(error.context(name.to_owned())),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            tries += 1;
        };
        let record = self.record(&proposal).await?;
        let deployment = &self.stack.deployment;
        let subject = Subject::of(record, deployment)?;
        let alice = deployment.person("alice");
        let approval = seal_decision(
            alice,
            &decision(deployment, alice, &subject, DecisionKind::Approve),
        );
        Ok(Case {
            name: name.to_owned(),
            invoice: invoice.to_owned(),
            proposal,
            subject,
            approval,
        })
    }

    /// Creates a proposal, approves and orders it.
    pub(super) async fn ordered(&mut self, name: &str) -> anyhow::Result<Case> {
        let case = self.proposed(name).await?;
        self.desk.decide(&case.approval).await?;
        self.desk.request_apply(&self.order(&case)).await?;
        Ok(case)
    }

    /// Signs a new apply order by alice.
    pub(super) fn order(&self, case: &Case) -> DsseEnvelope {
        let deployment = &self.stack.deployment;
        let alice = deployment.person("alice");
        seal_order(alice, &order(deployment, alice, &case.subject, &[&case.approval]))
    }

    /// Waits for the end of a case; orders it again whenever its job was returned.
    pub(super) async fn end(&mut self, case: &Case) -> anyhow::Result<()> {
        let until = Instant::now() + SETTLED;
        let mut orders = 0;
        loop {
            let state: ProposalState = self.state(case).await?.parse()?;
            if state.is_terminal() {
                return Ok(());
            }
            if state == ProposalState::Approved {
                orders += 1;
                if orders > ORDERS_MAX {
                    bail!("{}: returned after every order", case.name);
                }
                self.desk.request_apply(&self.order(case)).await?;
            }
            if Instant::now() > until {
                bail!("{}: still `{state}` after {SETTLED:?}", case.name);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// State of the proposal in the ledger.
    pub(super) async fn state(&mut self, case: &Case) -> anyhow::Result<String> {
        state_word(self.record(&case.proposal).await?.state)
    }

    /// Record of the proposal in the ledger.
    async fn record(&mut self, proposal: &str) -> anyhow::Result<ProposalRecord> {
        let mut tries = 0;
        loop {
            match self.desk.record(proposal).await {
                Err(_) if tries < TRIES_MAX => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
            tries += 1;
        }
    }

    pub(super) async fn look(&mut self, case: &Case) -> anyhow::Result<Seen> {
        let target = self.check_locked_target(case)?;
        let record = self.record(&case.proposal).await?;
        let receipt = record.receipt.map(DsseEnvelope::try_from).transpose()?;
        let ledger_receipt = receipt.map(|e| String::from_utf8(e.payload)).transpose()?;
        Ok(Seen {
            target,
            state: state_word(record.state)?,
            ledger_receipt,
        })
    }

    pub(super) fn check_locked_target(&self, case: &Case) -> anyhow::Result<Target> {
        invoices::look(&self.checker, &case.invoice, &case.proposal, &case.name)
    }

    /// Starts a writer of this name with a crash point; `point` is `NAME:ACTION[:COUNT]`.
    pub(super) fn failing_writer(&self, name: &str, point: &str) -> anyhow::Result<Failing> {
        let log = self.stack.deployment.path(&format!("{name}.log"));
        let from = logged(&log);
        let extra = [("SYNAPSOR_FAILPOINT", point)];
        let process = stack::writer(&self.stack.deployment, &self.stack.ledger.address, name, &extra)?;
        Ok(Failing { process, from })
    }

    pub(super) fn writer(&self, name: &str) -> anyhow::Result<Process> {
        self.writer_with(name, &[])
    }

    /// Starts a writer with some of its environment variables replaced.
    pub(super) fn writer_with(&self, name: &str, extra: &[(&str, &str)]) -> anyhow::Result<Process> {
        stack::writer(&self.stack.deployment, &self.stack.ledger.address, name, extra)
    }
}

fn invoice(number: usize) -> String {
    format!("CR-{number:04}")
}

/// Offset at which the next part of a log begins.
pub(super) fn logged(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |m| m.len())
}

/// Writer with a crash point, and the offset of its own part of the log.
pub(super) struct Failing {
    pub(super) process: Process,
    from: u64,
}

impl Failing {
    pub(super) async fn reached(&mut self, action: Action) -> anyhow::Result<()> {
        reached(&mut self.process, self.from, action).await
    }
}

/// Waits until the log, from an offset on, reports that a crash point was reached. A process that kills itself there
/// has exited then.
pub(super) async fn reached(process: &mut Process, from: u64, action: Action) -> anyhow::Result<()> {
    let until = Instant::now() + REACHED;
    let from = usize::try_from(from)?;
    loop {
        let log = std::fs::read(&process.log)?;
        let own = log.get(from..).context("log is append-only")?;
        if String::from_utf8_lossy(own).contains("a crash point is reached") {
            break;
        }
        if Instant::now() > until {
            bail!(
                "the crash point was not reached in {REACHED:?}:\n{}",
                process.log_text()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
    if action == Action::Kill {
        process.wait(REACHED)?;
    }
    Ok(())
}

/// Action of a process at a crash point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Kill,
    /// Hangs until the harness kills it.
    Hang,
    Error,
}

impl Action {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Hang, Self::Error];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Hang => "hang",
            Self::Error => "error",
        }
    }
}
