//! Clock steps of one process and of several: forwards, backwards and beyond the lifetime of a certificate. No
//! order is applied after its deadline, no open proposal ends for good, and everything works again after the step.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use synapsor_domain::timestamp::Span;
use tokio::task::JoinSet;

use super::locks::ReceiptLock;
use super::scene::Scene;
use crate::databases::Engine;
use crate::faketime::SteppedClock;
use crate::now;
use crate::operator::{order, seal_order};
use crate::process::Process;
use crate::proofs::crash_harness::Case;
use crate::proofs::findings::Findings;
use crate::proofs::proof_env::ProofEnv;
use crate::stack::WRITER;

/// The ledger checks for expired items once a minute.
const STEP_LASTS: Duration = Duration::from_secs(65);
const STEP_LASTS_SMALL: Duration = Duration::from_secs(5);
const RESUMED: Duration = Duration::from_secs(30);
/// Lifetime of an order that expires in the test.
const LIFE: Duration = Duration::from_secs(4);
const TWO_HOURS: i64 = 2 * 60 * 60;
/// From 2026 this is past the year 2038, where 32-bit timestamps overflow.
const TO_2038: i64 = 12 * 366 * 24 * 60 * 60;

/// Process whose clock steps. SQLite uses the writer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Writer,
    Ledger,
    Both,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    whose: Whose,
    seconds: i64,
    name: &'static str,
}

const STEPS: [(i64, &str); 3] = [
    (-TWO_HOURS, "two hours back"),
    (TWO_HOURS, "two hours ahead"),
    (TO_2038, "to 2038"),
];

/// Returns the number of cells; `None` without libfaketime.
pub(super) async fn run(
    ground: &Arc<ProofEnv>,
    findings: &mut Findings,
    small: bool,
) -> anyhow::Result<Option<usize>> {
    let mut cells = 0;
    for (seconds, name) in STEPS {
        // Concurrently: a step is mostly waiting.
        let mut running = JoinSet::new();
        for whose in [Whose::Writer, Whose::Ledger, Whose::Both] {
            // The ledger's own steps do not depend on the engine; the short form runs them on SQLite.
            let is_own = (whose == Whose::Writer) == (ground.engine != Engine::Sqlite);
            if !small || (is_own && seconds == TWO_HOURS) {
                running.spawn(cell(Arc::clone(ground), Step { whose, seconds, name }, small));
            }
        }
        while let Some(ended) = running.join_next().await {
            let Some(found) = ended.context("a step's task")?? else {
                return Ok(None);
            };
            findings.violations += found.violations;
            cells += 1;
        }
    }
    let Some(mut stepping) = Stepping::new(ground).await? else {
        return Ok(None);
    };
    stepping.revive(findings, ground).await?;
    Ok(Some(cells + 1))
}

async fn cell(ground: Arc<ProofEnv>, step: Step, small: bool) -> anyhow::Result<Option<Findings>> {
    let Some(mut stepping) = Stepping::new(&ground).await? else {
        return Ok(None);
    };
    let mut findings = Findings::default();
    stepping.play(&mut findings, step, small).await?;
    Ok(Some(findings))
}

/// A ledger and a writer under separate clocks.
struct Stepping {
    scene: Scene,
    ledger: SteppedClock,
    writer: SteppedClock,
}

impl Stepping {
    async fn new(ground: &ProofEnv) -> anyhow::Result<Option<Self>> {
        let mut scene = Scene::new(ground).await?;
        let path = |name: &str| scene.bench.stack.deployment.path(name);
        let (ledger, writer) = (path("ledger.clock"), path("writer.clock"));
        let (Some(ledger), Some(writer)) = (SteppedClock::new(ledger)?, SteppedClock::new(writer)?) else {
            return Ok(None);
        };
        let variables = ledger.variables();
        let pairs: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        scene.bench.stack.restart_ledger_in_place(&pairs)?;
        Ok(Some(Self {
            scene,
            ledger,
            writer,
        }))
    }

    fn start_writer(&self) -> anyhow::Result<Process> {
        let variables = self.writer.variables();
        let pairs: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.scene.bench.writer_with(WRITER, &pairs)
    }

    fn step(&self, step: Step, seconds: i64) -> anyhow::Result<()> {
        if step.whose != Whose::Ledger {
            self.writer.set(seconds)?;
        }
        if step.whose != Whose::Writer {
            self.ledger.set(seconds)?;
        }
        Ok(())
    }

    async fn play(&mut self, findings: &mut Findings, step: Step, small: bool) -> anyhow::Result<()> {
        let name = |what: &str| format!("{what}, {:?} {}", step.whose, step.name);
        let writer = self.start_writer()?;
        let before = self.scene.approved(&name("before the step")).await?;
        self.applies(findings, &before).await?;
        let during = self.scene.approved(&name("ordered during the step")).await?;
        let approved = self.scene.approved(&name("approved before the step")).await?;
        let open = self.scene.bench.proposed(&name("open before the step")).await?;

        self.step(step, step.seconds)?;
        self.scene.order(&during).await;
        tokio::time::sleep(if small { STEP_LASTS_SMALL } else { STEP_LASTS }).await;
        self.step(step, 0)?;

        if let Err(error) = self.scene.bench.desk.decide(&open.approval).await {
            findings.violated(&open.name, &format!("cannot be approved: {error}"));
        }
        let after = self.scene.approved(&name("after the step")).await?;
        for case in [&during, &approved, &open, &after] {
            self.applies(findings, case).await?;
        }
        drop(writer);
        let _writer = self.start_writer()?;
        let restarted = self.scene.approved(&name("after a restart")).await?;
        self.applies(findings, &restarted).await
    }

    /// Checks that a clock set back does not revive an expired order.
    async fn revive(&mut self, findings: &mut Findings, ground: &ProofEnv) -> anyhow::Result<()> {
        let _writer = self.start_writer()?;
        let before = self.scene.approved("before an order expires").await?;
        self.applies(findings, &before).await?;
        let case = self.scene.approved("an expired order").await?;
        let deployment = &self.scene.bench.stack.deployment;
        let alice = deployment.person("alice");
        let mut short = order(deployment, alice, &case.subject, &[&case.approval]);
        short.expires_at = now() + Span::seconds(i64::try_from(LIFE.as_secs())?);
        // The writer has the order in time and retries until the deadline.
        let lock = ReceiptLock::take(ground, deployment)?;
        let desk = &mut self.scene.bench.desk;
        desk.request_apply(&seal_order(alice, &short)).await?;
        tokio::time::sleep(LIFE + Duration::from_secs(1)).await;
        self.writer.set(-TWO_HOURS)?;
        lock.end()?;
        tokio::time::sleep(2 * LIFE).await;
        let seen = self.scene.bench.check_locked_target(&case)?;
        findings.check(seen.effects == 0, &case, "applied after its deadline", &seen);
        Ok(())
    }

    /// Orders a case, again if its job was returned, until it is applied.
    async fn applies(&mut self, findings: &mut Findings, case: &Case) -> anyhow::Result<()> {
        let pause = Duration::from_secs(2);
        for _ in 0..RESUMED.as_secs() / pause.as_secs() {
            self.scene.order(case).await;
            if self
                .scene
                .within(pause, case, |target| target.effects == 1)
                .await?
            {
                return Ok(());
            }
        }
        let seen = self.scene.bench.look(case).await?;
        findings.check(false, case, "not applied although every clock is right", &seen);
        Ok(())
    }
}
