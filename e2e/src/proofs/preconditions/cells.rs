//! Cells of one definition. It is created under a running writer, before a writer starts, and during a
//! transaction; then it is dropped, and all open proposals are applied.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use synapsor_domain::writeback::RECEIPT_TABLE;

use super::cases::{Case, CaseKind};
use super::judge::{CellVerdicts, Expected};
use super::scene::{Approved, Scene};
use super::tally::Moment;
use crate::agent::PROPOSE;

/// Crash points of a transaction between its lock and the receipt's INSERT.
const BETWEEN: [&str; 8] = [
    "after-lock",
    "after-receipt-lookup",
    "after-check",
    "before-update",
    "after-update",
    "after-reread",
    "after-side-effects",
    "before-receipt",
];
/// Later points, up to COMMIT.
const BEYOND: [&str; 2] = ["after-receipt", "before-commit"];

/// Maximum age of a reader's cached table view, plus a margin.
const VIEW_AGE: Duration = Duration::from_millis(2_200);

/// All cells of a harness, one definition after the other.
pub(super) struct Cells {
    pub(super) scene: Scene,
    pub(super) judged: CellVerdicts,
    /// Index of the next set of invoices.
    next: usize,
    /// Definitions that the server does not accept on a table with the present receipts.
    without_receipts: BTreeSet<String>,
}

impl Cells {
    pub(super) fn new(scene: Scene) -> anyhow::Result<Self> {
        let this = Self {
            scene,
            judged: CellVerdicts::default(),
            next: 0,
            without_receipts: BTreeSet::new(),
        };
        this.scene.tables.reset(&this.invoices())?;
        Ok(this)
    }

    /// Creates a definition under a running writer, for the next proposal, and before a writer starts.
    pub(super) async fn standing(&mut self, case: &Case) {
        let mut open = Vec::new();
        if let Err(error) = self.try_standing(case, &mut open).await {
            self.judged.failed(case, Moment::Before, &error);
        }
        self.repair(case, open).await;
    }

    async fn try_standing(&mut self, case: &Case, open: &mut Vec<Approved>) -> anyhow::Result<()> {
        let expected = expected(case);
        let first = self.propose_on_good_tables(case, 0).await?;
        open.push(first.clone());
        // An altered table ends a proposal, so that each moment has one of its own.
        let mut last = None;
        if expected == Expected::Refused {
            let approved = self.propose_on_good_tables(case, 2).await?;
            open.push(approved.clone());
            last = Some(approved);
        }
        self.scene.tables.keep_receipts()?;
        self.define(case)?;
        if expected == Expected::Refused {
            self.attempt(case, Moment::Running, expected, &first).await?;
        }
        if case.kind != CaseKind::Receipts {
            tokio::time::sleep(VIEW_AGE).await;
        }
        match self.propose(case, 1).await? {
            Ok(next) => {
                open.push(next.clone());
                self.attempt(case, Moment::Next, expected, &next).await?;
            }
            Err(code) if expected == Expected::Refused => self.judged.not_proposed(case, Moment::Next, &code),
            Err(code) => anyhow::bail!("not proposed: {code}"),
        }
        self.scene.restart_writer()?;
        let last = match last {
            Some(approved) => approved,
            None => {
                let approved = self.propose(case, 2).await?;
                let approved = approved.map_err(|code| anyhow::anyhow!("not proposed: {code}"))?;
                open.push(approved.clone());
                approved
            }
        };
        self.attempt(case, Moment::Before, expected, &last).await?;
        Ok(())
    }

    /// Creates a definition that the contract acknowledges, and applies the next proposal after it is dropped.
    pub(super) async fn acknowledged(&mut self, case: &Case, tool: &str) {
        let mut open = Vec::new();
        if let Err(error) = self.try_acknowledged((case, tool), &mut open).await {
            self.judged.failed(case, Moment::Acknowledged, &error);
        }
        self.repair(case, open).await;
        let good = self.try_next(case).await;
        if let Err(error) = good {
            self.judged.failed(case, Moment::Repaired, &error);
        }
    }

    async fn try_acknowledged(
        &mut self,
        (case, tool): (&Case, &str),
        open: &mut Vec<Approved>,
    ) -> anyhow::Result<()> {
        self.scene.tables.keep_receipts()?;
        self.define(case)?;
        tokio::time::sleep(VIEW_AGE).await;
        match self.propose_by(tool, case, 0).await? {
            Ok(approved) => {
                open.push(approved.clone());
                let expected = if case.is_stopped_last {
                    Expected::Refused
                } else {
                    Expected::Either
                };
                self.attempt(case, Moment::Acknowledged, expected, &approved)
                    .await
            }
            Err(code) => {
                self.judged.not_proposed(case, Moment::Acknowledged, &code);
                Ok(())
            }
        }
    }

    /// Checks that the code left no state on the writer's connections.
    async fn try_next(&mut self, case: &Case) -> anyhow::Result<()> {
        tokio::time::sleep(VIEW_AGE).await;
        let approved = self.propose_on_good_tables(case, 1).await?;
        self.attempt(case, Moment::Repaired, Expected::Applied, &approved)
            .await
    }

    /// Creates a definition while no transaction is open; without the receipts if it cannot be created with them.
    fn define(&mut self, case: &Case) -> anyhow::Result<()> {
        let made = self.scene.tables.as_owner(&self.sql(case));
        let is_made = match made {
            Ok(is_made) => is_made,
            Err(_) if self.without_receipts.insert(case.name.clone()) => {
                self.scene.tables.reset(&self.invoices())?;
                self.scene.tables.as_owner(&self.sql(case))?
            }
            Err(error) => return Err(error),
        };
        anyhow::ensure!(is_made, "definition waits for a lock of an idle writer");
        if case.kind == CaseKind::Receipts && self.scene.state()?.receipts.is_empty() {
            self.scene.tables.put_receipts_back();
        }
        Ok(())
    }

    fn sql(&self, case: &Case) -> String {
        if self.without_receipts.contains(&case.name) {
            format!("DELETE FROM {RECEIPT_TABLE}; {}", case.sql)
        } else {
            case.sql.clone()
        }
    }

    /// Creates a definition while the writer is halted before the receipt's INSERT.
    pub(super) async fn between(&mut self, number: usize, case: &Case) {
        self.halted(case, BETWEEN[number % BETWEEN.len()], Moment::Between)
            .await;
    }

    /// Creates a definition at every point between lock and COMMIT.
    pub(super) async fn every_point(&mut self, case: &Case) {
        for point in BETWEEN.into_iter().chain(BEYOND) {
            self.halted(case, point, Moment::EveryPoint).await;
        }
    }

    async fn halted(&mut self, case: &Case, point: &str, moment: Moment) {
        loop {
            let mut open = Vec::new();
            let tried = self.try_halted(case, (point, moment), &mut open).await;
            self.repair(case, open).await;
            match tried {
                Ok(()) => return,
                Err(_) if self.without_receipts.insert(case.name.clone()) => {}
                Err(error) => return self.judged.failed(case, moment, &error.context(point.to_owned())),
            }
        }
    }

    async fn try_halted(
        &mut self,
        case: &Case,
        (point, moment): (&str, Moment),
        open: &mut Vec<Approved>,
    ) -> anyhow::Result<()> {
        let approved = self.propose_on_good_tables(case, 0).await?;
        open.push(approved.clone());
        self.scene.tables.keep_receipts()?;
        let before = self.scene.state()?;
        self.scene.halt_at(point)?;
        let order = self.scene.order(&approved).await?;
        let halted = self.scene.is_halted(point).await;
        let made = halted.and_then(|()| self.scene.tables.as_owner(&self.sql(case)));
        // The writer is not responsible for rows that the definition itself wrote.
        let damaged = self.scene.state();
        self.scene.go_on()?;
        let ended = self.scene.ended(&approved, &order).await?;
        let is_made = made?;
        let expected = match (is_made, case.kind) {
            (_, CaseKind::Harmless) => Expected::Either,
            (false, _) => Expected::Applied,
            // The receipt is present and the last check has passed: later definitions run in no transaction of the
            // writer.
            (true, _) if BEYOND.contains(&point) => Expected::Either,
            (true, _) => Expected::Refused,
        };
        let before = damaged.unwrap_or(before);
        let what = (case, moment, expected);
        self.judged
            .attempt(what, &self.scene, (&approved, &ended), &before)?;
        Ok(())
    }

    /// Restores the tables and applies open proposals.
    async fn repair(&mut self, case: &Case, open: Vec<Approved>) {
        if let Err(error) = self.try_repair(case, open).await {
            self.judged.failed(case, Moment::Repaired, &error);
        }
    }

    async fn try_repair(&mut self, case: &Case, open: Vec<Approved>) -> anyhow::Result<()> {
        // If the damaged table is unreadable, no proposal was applied since the last time.
        if self.scene.tables.keep_receipts().is_err() {
            self.judged.tally.unreadable += 1;
        }
        let had = self.invoices();
        self.next += 1;
        let all: Vec<String> = had.into_iter().chain(self.invoices()).collect();
        self.scene.tables.reset(&all)?;
        for approved in open {
            let before = self.scene.state()?;
            if before.outcome(&approved.id).is_some() || self.scene.is_ended(&approved).await? {
                continue;
            }
            let ended = self.scene.apply(&approved).await?;
            // A proposal that was created from the damaged table may remain refused.
            let what = (case, Moment::Repaired, Expected::Either);
            let is_applied = self
                .judged
                .attempt(what, &self.scene, (&approved, &ended), &before)?;
            if !is_applied && !self.scene.is_ended(&approved).await? {
                self.scene.reject(&approved).await?;
            }
        }
        self.scene.tables.keep_receipts()
    }

    async fn attempt(
        &mut self,
        case: &Case,
        moment: Moment,
        expected: Expected,
        approved: &Approved,
    ) -> anyhow::Result<()> {
        let before = self.scene.state()?;
        let ended = self.scene.apply(approved).await?;
        let what = (case, moment, expected);
        self.judged
            .attempt(what, &self.scene, (approved, &ended), &before)?;
        if expected == Expected::Applied {
            self.scene.tables.keep_receipts()?;
        }
        Ok(())
    }

    /// The reader may still have a cached view of the damaged table.
    async fn propose_on_good_tables(&mut self, case: &Case, row: usize) -> anyhow::Result<Approved> {
        if let Ok(approved) = self.propose(case, row).await? {
            return Ok(approved);
        }
        tokio::time::sleep(VIEW_AGE).await;
        let approved = self.propose(case, row).await?;
        approved.map_err(|code| anyhow::anyhow!("not proposed on good tables: {code}"))
    }

    async fn propose(&mut self, case: &Case, row: usize) -> anyhow::Result<Result<Approved, String>> {
        self.propose_by(PROPOSE, case, row).await
    }

    async fn propose_by(
        &mut self,
        tool: &str,
        case: &Case,
        row: usize,
    ) -> anyhow::Result<Result<Approved, String>> {
        let invoices = self.invoices();
        let invoice = invoices.get(row).context("an invoice")?;
        let reason = format!("{} of {invoice}", case.name);
        self.scene.approved(tool, invoice, &reason).await
    }

    /// Invoices of the next definition.
    fn invoices(&self) -> Vec<String> {
        (0..3).map(|row| format!("PC-{:04}-{row}", self.next)).collect()
    }
}

fn expected(case: &Case) -> Expected {
    match case.kind {
        CaseKind::Harmless => Expected::Applied,
        CaseKind::Receipts | CaseKind::Code => Expected::Refused,
    }
}
