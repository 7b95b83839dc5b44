//! Test harness for one writer: a real proposal, a real writer process, and a ledger under the test's control that
//! presents any job inputs to the writer.

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{Decision, DecisionKind};
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::Proposal;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::{AttemptReport, AttemptResult};

use crate::agent::Agent;
use crate::binaries::Build;
use crate::deployment::{Deployment, Person};
use crate::hostile_ledger::{HostileLedger, JobInputs};
use crate::operator::{self, OperatorClient, Subject, decision, order, seal_decision, seal_order};
use crate::process::Process;
use crate::stack::{self, Stack, WRITER};

/// Invoice that every case uses.
pub const INVOICE: &str = "INV-3001";

/// A real proposal, a real writer, and an attacker's ledger between them.
#[derive(Debug)]
pub struct WriterHarness {
    pub stack: Stack,
    pub ledger: HostileLedger,
    pub subject: Subject,
    pub before: String,
    pub writer: Process,
}

impl WriterHarness {
    pub async fn open() -> anyhow::Result<Self> {
        Self::with(Deployment::new(Build::Plain)?, &[]).await
    }

    /// Starts the harness in this deployment; the writer gets extra environment variables.
    pub async fn with(deployment: Deployment, extra: &[(&str, &str)]) -> anyhow::Result<Self> {
        let stack = Stack::without_writer(deployment)?;
        let agent = Agent::over_stdio(&stack).await?;
        let id = agent.propose(INVOICE, "goodwill").await?;
        let subject = OperatorClient::open(&stack, "alice")?
            .subject(&stack.deployment, &id)
            .await?;
        let ledger = HostileLedger::start(&stack.deployment).await?;
        let writer = stack::writer(&stack.deployment, &ledger.address, WRITER, extra)?;
        let before = stack.deployment.dump()?;
        Ok(Self {
            stack,
            ledger,
            subject,
            before,
            writer,
        })
    }

    pub fn deployment(&self) -> &Deployment {
        &self.stack.deployment
    }
    pub fn person(&self, name: &str) -> &Person {
        self.deployment().person(name)
    }

    /// Job inputs that the writer must accept.
    pub fn valid_inputs(&self) -> JobInputs {
        let alice = self.person("alice");
        let approval = seal_decision(
            alice,
            &decision(self.deployment(), alice, &self.subject, DecisionKind::Approve),
        );
        self.job_inputs(approval)
    }

    /// Job inputs with alice's apply order for one decision, valid or not.
    pub fn job_inputs(&self, approval: DsseEnvelope) -> JobInputs {
        let alice = self.person("alice");
        let order = seal_order(
            alice,
            &order(self.deployment(), alice, &self.subject, &[&approval]),
        );
        JobInputs {
            proposal: self.subject.envelope.clone(),
            decisions: vec![approval],
            order: Some(order),
        }
    }

    /// Job inputs with an approval of alice that is altered in one field and signed by her.
    pub fn with_altered_decision(&self, alter: impl FnOnce(&mut Decision)) -> JobInputs {
        let alice = self.person("alice");
        let mut approval = decision(self.deployment(), alice, &self.subject, DecisionKind::Approve);
        alter(&mut approval);
        self.job_inputs(seal_decision(alice, &approval))
    }

    /// Presents job inputs to the writer and returns its report.
    pub async fn present(&mut self, inputs: &JobInputs) -> anyhow::Result<AttemptReport> {
        let Self { stack, ledger, .. } = self;
        ledger.present(&stack.deployment, inputs).await
    }

    /// Presents inputs that the writer must refuse with exactly this code, without a database write.
    pub async fn refuses(&mut self, inputs: &JobInputs, code: ErrorCode) -> anyhow::Result<()> {
        let report = self.present(inputs).await?;
        assert_eq!(report.result, AttemptResult::of_code(code), "{}", report.message);
        assert_eq!(
            self.deployment().dump()?,
            self.before,
            "the source changed on a refusal"
        );
        Ok(())
    }

    /// Checks that the harness still applies valid inputs, so that earlier refusals had no other cause.
    pub async fn expect_valid_job_applied(&mut self) -> anyhow::Result<()> {
        let inputs = self.valid_inputs();
        let report = self.present(&inputs).await?;
        assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
        assert_eq!(self.deployment().invoice(INVOICE)?.0, 0);
        Ok(())
    }

    pub fn change_trust(&self, change: impl FnOnce(&mut TrustFile)) -> anyhow::Result<()> {
        let mut trust = self.deployment().default_trust();
        change(&mut trust);
        self.deployment().write_trust(&trust)
    }

    /// The proposal, altered and signed again by the genuine reader key, with alice's decision and order for it.
    pub fn rewritten(&self, alter: impl FnOnce(&mut Proposal)) -> JobInputs {
        let mut proposal = self.subject.proposal.clone();
        alter(&mut proposal);
        let envelope = DsseEnvelope::sign(ObjectKind::Proposal, &proposal, &self.deployment().reader_key)
            .expect("canonical");
        let digest = Digest::of(ObjectKind::Proposal, &envelope.payload);
        let subject = Subject {
            proposal,
            digest,
            envelope,
        };
        let alice = self.person("alice");
        let approval = seal_decision(
            alice,
            &decision(self.deployment(), alice, &subject, DecisionKind::Approve),
        );
        let order = seal_order(
            alice,
            &operator::order(self.deployment(), alice, &subject, &[&approval]),
        );
        JobInputs {
            proposal: subject.envelope,
            decisions: vec![approval],
            order: Some(order),
        }
    }
}
