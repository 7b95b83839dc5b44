//! Shared parts of the cells: a harness, the list of violations, and checks that a row does not change.

use std::time::{Duration, Instant};

use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::identity::Role;
use synapsor_domain::approval::DecisionKind;
use synapsor_proto::executor::v1::writer_service_client::WriterServiceClient;
use synapsor_proto::executor::v1::{RejectEffect, RejectRequest};

use super::commands::Commands;
use crate::binaries::Build;
use crate::operator::{decision, seal_decision};
use crate::process::Process;
use crate::proofs::crash_harness::{Case, CrashHarness};
use crate::proofs::findings::Findings;
use crate::proofs::proof_env::ProofEnv;
use crate::stack;

/// A running writer applies an order many times over in this time.
const QUIET: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(5);
const PROBE: Duration = Duration::from_secs(5);

pub(super) struct Scene {
    pub(super) bench: CrashHarness,
    pub(super) commands: Commands,
}

impl Scene {
    pub(super) async fn new(ground: &ProofEnv) -> anyhow::Result<Self> {
        Self::of(ground.bench(Build::Plain).await?)
    }

    pub(super) fn of(bench: CrashHarness) -> anyhow::Result<Self> {
        let commands = Commands::new(&bench.stack)?;
        Ok(Self { bench, commands })
    }

    /// Creates a proposal that alice has approved.
    pub(super) async fn approved(&mut self, name: &str) -> anyhow::Result<Case> {
        let case = self.bench.proposed(name).await?;
        self.bench.desk.decide(&case.approval).await?;
        Ok(case)
    }

    /// Orders a case. A ledger that refuses the order has stopped it as well.
    pub(super) async fn order(&mut self, case: &Case) {
        let order = self.bench.order(case);
        let _ = self.bench.desk.request_apply(&order).await;
    }

    /// Orders cases and checks that the writers do not apply them.
    pub(super) async fn stays_untouched(
        &mut self,
        findings: &mut Findings,
        cases: &[&Case],
        why: &str,
    ) -> anyhow::Result<()> {
        for case in cases {
            self.order(case).await;
        }
        tokio::time::sleep(QUIET).await;
        for case in cases {
            let seen = self.bench.check_locked_target(case)?;
            let is_untouched = seen.effects == 0 && seen.outcome.as_deref() != Some("applied");
            findings.check(is_untouched, case, why, &seen);
        }
        Ok(())
    }

    /// Checks whether a condition on the source row becomes true within a time.
    pub(super) async fn within(
        &self,
        time: Duration,
        case: &Case,
        holds: impl Fn(&crate::proofs::invoices::Target) -> bool,
    ) -> anyhow::Result<bool> {
        let until = Instant::now() + time;
        loop {
            if holds(&self.bench.check_locked_target(case)?) {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sends alice's signed rejection of a case directly to one writer, without the ledger.
    pub(super) async fn reject_at(&self, writer: &Process, case: &Case) -> Result<RejectEffect, String> {
        let deployment = &self.bench.stack.deployment;
        let alice = deployment.person("alice");
        let rejection = decision(deployment, alice, &case.subject, DecisionKind::Reject);
        let request = RejectRequest {
            proposal: Some((&case.subject.envelope).into()),
            decision: Some((&seal_decision(alice, &rejection)).into()),
        };
        let channel = self.channel(writer).map_err(|error| format!("{error:#}"))?;
        let answer = WriterServiceClient::new(channel).reject(request).await;
        answer
            .map(|answer| answer.into_inner().effect())
            .map_err(|status| synapsor_proto::status::from_status(&status).code.to_string())
    }

    /// Checks whether a writer reports that it serves.
    pub(super) async fn is_healthy(&self, writer: &Process) -> anyhow::Result<bool> {
        let endpoint = Endpoint::new(Role::Writer, &writer.address);
        Ok(grpc_channel::is_serving(&self.channel(writer)?, &endpoint, PROBE).await?)
    }

    fn channel(&self, writer: &Process) -> anyhow::Result<synapsor_chassis::grpc_channel::Channel> {
        stack::channel(
            &self.bench.stack.deployment,
            Role::Operator,
            Some("alice"),
            Role::Writer,
            &writer.address,
        )
    }
}
