//! The checks of one transaction, in their order.

use std::sync::Arc;

use synapsor_domain::foreign_code::{Acknowledged, ForeignCode};
use synapsor_domain::schema::TableColumn;
use synapsor_engine::mysql::account_powers::account_powers;
use synapsor_engine::mysql::inspect::Described;
use synapsor_engine::mysql::read;
use synapsor_source::{EngineError, EngineErrorKind, RowPlan, StoredReceipt};

use super::checks::{self, RowsMax};
use super::tables;
use super::write::MysqlTransaction;
use crate::transaction::{CheckTarget, Rows};
use crate::violation::{CheckError, RECEIPT_DIFFERS, Violation, ViolationKind};

/// Findings of the first check, for comparison by the later ones.
pub(super) struct FirstCheck {
    /// The table that the transaction read or changes; absent if there is none.
    pub(super) described: Option<Arc<Described>>,
    /// Whether the caller named a target.
    pub(super) has_target: bool,
    allowed: Acknowledged,
    /// Whether no foreign code can have run on the connection.
    is_clean: bool,
    /// Rights and attributes that put the account above every check.
    pub(super) powers: Vec<String>,
}

impl MysqlTransaction {
    /// Whether the UPDATE may have run foreign code.
    pub(super) fn may_have_run_code(&self) -> bool {
        let allowed = self.first.as_ref().map(|first| &first.allowed);
        !self.touched.is_empty() && allowed.is_none_or(|allowed| !allowed.is_empty())
    }

    /// Returns the connection to the pool if certainly no foreign code ran on it: such code could have
    /// changed it for later transactions. Only the first check determines which tables a transaction read.
    pub(super) fn release(self) {
        if !self.is_unfit && self.first.as_ref().is_some_and(|first| first.is_clean) {
            self.held.release();
        }
    }

    /// Checks that every named table has its form and is not hidden, and that the target runs only the
    /// checked code. A table that was read is checked even if nothing will be changed.
    pub(super) async fn run_first_check(
        &mut self,
        target: Option<CheckTarget<'_>>,
    ) -> Result<FirstCheck, CheckError> {
        if let Some(CheckTarget { plan, .. }) = target {
            checks::same_database(&self.receipts, &plan.schema)?;
        }
        let named = target.map(|CheckTarget { plan, .. }| (plan.schema.clone(), plan.table.clone()));
        let read = named.or_else(|| self.was_read.clone());
        let (session, receipts) = (self.held.session(), &self.receipts);
        let own = (receipts.schema.clone(), receipts.table.clone());
        let (schema, table) = read.as_ref().unwrap_or(&own);
        // Runs before the tables are read, so that they are seen as the procedure of the migration left them.
        let described = self.shapes.fresh(session, schema, table).await;
        let described = described.map_err(EngineError::from)?;
        let target_name = read
            .as_ref()
            .map(|(schema, table)| (schema.as_str(), table.as_str()));
        let shown = tables::again(session, receipts, target_name).await;
        let shown = shown.map_err(EngineError::from)?;
        shown.own_tables(receipts)?;
        if read.is_some() {
            checks::base_table(&described)?;
            shown.target(table)?;
        }
        shown.settings()?;
        let Some(CheckTarget { plan, allowed }) = target else {
            checks::receipt_triggers(&described, receipts)?;
            let is_clean =
                read.is_none() || (described.is_complete && described.open_code().next().is_none());
            return Ok(FirstCheck {
                described: read.is_some().then_some(described),
                has_target: false,
                allowed: Acknowledged::default(),
                is_clean,
                powers: Vec::new(),
            });
        };
        checks::catalog(&described, receipts, allowed)?;
        let grants = session.grants().await.map_err(EngineError::from)?;
        let tables = [
            (plan.schema.as_str(), plan.table.as_str()),
            (receipts.schema.as_str(), receipts.table.as_str()),
        ];
        Ok(FirstCheck {
            described: Some(described),
            has_target: true,
            allowed: allowed.clone(),
            is_clean: allowed.is_empty(),
            powers: account_powers(&grants, &tables),
        })
    }

    /// Detects what acknowledged code did to this session, for the last check to report, and restores our
    /// settings and tables for the statements until then.
    pub(super) async fn check_after_update(&mut self, plan: &RowPlan) -> Result<(), EngineError> {
        let table = (plan.schema.as_str(), plan.table.as_str());
        let shown = tables::target_alone(self.held.session(), table).await?;
        if let Err(changed) = shown.settings() {
            self.report_later(changed)?;
        }
        if let Err(hidden) = shown.target(&plan.table) {
            self.report_later(hidden)?;
            checks::drop_temporary(self.held.session(), &plan.schema, &plan.table).await?;
        }
        let flavor = self.held.session().server()?.flavor;
        for statement in self.held.connector().settings(flavor) {
            self.held.session().command(statement).await?;
        }
        Ok(())
    }

    fn report_later(&mut self, error: CheckError) -> Result<(), EngineError> {
        match error {
            CheckError::Engine(error) => Err(error),
            violation @ CheckError::Violation(_) => {
                self.found.get_or_insert(violation);
                Ok(())
            }
        }
    }

    /// Checks everything that could have changed despite the locks; returns the rows as they will be
    /// committed.
    pub(super) async fn run_last_check(
        &mut self,
        target: Option<CheckTarget<'_>>,
        receipt: &StoredReceipt,
    ) -> Result<Rows, CheckError> {
        if let Some(found) = self.found.take() {
            return Err(found);
        }
        let is_checked = self
            .first
            .as_ref()
            .is_some_and(|first| first.has_target == target.is_some());
        if !is_checked {
            return Err(EngineError::new(EngineErrorKind::Other, "the tables were not checked").into());
        }
        let again = self.run_first_check(target).await?;
        let mut rows = Rows::new();
        if let (Some(CheckTarget { plan, allowed }), Some(described)) = (target, &again.described) {
            self.check_effects(plan, allowed, described).await?;
            rows = self.select_described(described, plan, false).await?;
        }
        let table = self.receipts.qualified_name();
        let found = read::receipts(self.held.session(), &table, &receipt.proposal_id, &[]).await;
        let found = found.map_err(EngineError::from)?.of_key(&receipt.proposal_id);
        if found.as_ref() != Some(receipt) {
            return Err(Violation::new(ViolationKind::ReadBack, RECEIPT_DIFFERS).into());
        }
        Ok(rows)
    }

    /// Checks that besides the row only acknowledged changes were made.
    async fn check_effects(
        &mut self,
        plan: &RowPlan,
        allowed: &Acknowledged,
        described: &Described,
    ) -> Result<(), CheckError> {
        if let Some(line) = self.possible_side_effects(described).into_iter().next() {
            return Err(Violation::new(ViolationKind::RowsElsewhere, line).into());
        }
        if allowed.is_empty() {
            return Ok(());
        }
        // Without an UPDATE the receipt is the only row.
        let is_change = !self.touched.is_empty();
        let rows_max = RowsMax {
            own: if is_change { 2 } else { 1 },
            acknowledged: if is_change { allowed.rows_total() } else { 0 },
        };
        checks::rows_modified(self.held.session(), &plan.schema, rows_max).await
    }

    /// Lists possible side effects of the change besides the row. The servers do not report them by table, so
    /// every possible effect counts as done. These are code that was not acknowledged, and foreign keys that
    /// reference a column which was set, which changes by itself, or which a trigger may have set.
    pub(super) fn possible_side_effects(&self, described: &Described) -> Vec<String> {
        if self.touched.is_empty() {
            return Vec::new();
        }
        let allowed = self.first.as_ref().map(|first| &first.allowed);
        let is_allowed = |code: &&ForeignCode| allowed.is_some_and(|allowed| allowed.code().contains(code));
        let mut lines: Vec<String> = described
            .open_code()
            .filter(|code| !is_allowed(code))
            .map(|code| format!("the {} `{}` may have changed anything", code.kind, code.name))
            .collect();
        let shape = &described.shape;
        if !described.is_complete {
            lines.push("triggers and foreign keys of the table are not visible".to_owned());
        }
        let changes = |name: &String| {
            let by_itself = |column: &TableColumn| column.generated || column.moves_by_itself();
            self.touched.contains(name) || shape.column(name).is_none_or(by_itself)
        };
        let follows = shape.referenced_by.iter().filter(|reference| {
            let is_touched = reference.referenced_columns.iter().any(changes);
            !matches!(reference.on_update.as_str(), "NO ACTION" | "RESTRICT")
                && (is_touched || !shape.triggers.is_empty())
        });
        lines.extend(follows.map(|reference| {
            format!(
                "rows of `{}` may have changed by its foreign key",
                reference.table
            )
        }));
        lines
    }
}
