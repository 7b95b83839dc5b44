//! The looks of one transaction, in the order in which it takes them.

use std::sync::Arc;

use synapsor_domain::foreign_code::{Acknowledged, ForeignCode};
use synapsor_engine::mysql::account_powers::account_powers;
use synapsor_engine::mysql::inspect::Described;
use synapsor_engine::mysql::read;
use synapsor_source::{EngineError, EngineErrorKind, RowPlan, StoredReceipt};

use super::looks;
use super::write::MysqlTransaction;
use crate::transaction::{LookTarget, Rows};
use crate::violation::{LookError, Violation, ViolationKind};

/// What the first look found, for the later ones to compare with.
pub(super) struct FirstLook {
    /// Absent where the target is not concerned.
    pub(super) described: Option<Arc<Described>>,
    allowed: Acknowledged,
    /// What puts the account above every check.
    pub(super) powers: Vec<String>,
}

impl MysqlTransaction {
    /// Whether code of others may have run: it could have changed the session for later transactions.
    pub(super) fn may_have_run_code(&self) -> bool {
        let allowed = self.first.as_ref().map(|first| &first.allowed);
        !self.touched.is_empty() && allowed.is_none_or(|allowed| !allowed.is_empty())
    }

    /// Gives the connection back to the others, unless code of others may have run on it.
    pub(super) fn release(self) {
        if !self.may_have_run_code() {
            self.held.release();
        }
    }

    /// Both tables have their form, and the target runs no code but what was judged.
    pub(super) async fn look_first(
        &mut self,
        target: Option<LookTarget<'_>>,
    ) -> Result<FirstLook, LookError> {
        let (session, receipts) = (self.held.session(), &self.receipts);
        looks::receipt_table(session, receipts).await?;
        let Some(LookTarget { plan, allowed }) = target else {
            let (schema, table) = (&receipts.schema, &receipts.table);
            let described = self.shapes.fresh(session, schema, table).await;
            let described = described.map_err(EngineError::from)?;
            looks::receipt_triggers(&described, receipts)?;
            return Ok(FirstLook {
                described: None,
                allowed: Acknowledged::default(),
                powers: Vec::new(),
            });
        };
        looks::same_database(receipts, &plan.schema)?;
        let described = self.shapes.fresh(session, &plan.schema, &plan.table).await;
        let described = described.map_err(EngineError::from)?;
        looks::catalogue(&described, receipts, allowed)?;
        let grants = session.grants().await.map_err(EngineError::from)?;
        let tables = [
            (plan.schema.as_str(), plan.table.as_str()),
            (receipts.schema.as_str(), receipts.table.as_str()),
        ];
        Ok(FirstLook {
            described: Some(described),
            allowed: allowed.clone(),
            powers: account_powers(&grants, &tables),
        })
    }

    /// What acknowledged code did to this session, for the last look to report, and our settings and tables again
    /// for the statements until then.
    pub(super) async fn look_after_update(&mut self, plan: &RowPlan) -> Result<(), EngineError> {
        let session = self.held.session();
        if let Err(changed) = looks::settings(session).await {
            self.report_later(changed)?;
        }
        let session = self.held.session();
        if let Err(hidden) = looks::target_in_front(session, &plan.schema, &plan.table).await {
            self.report_later(hidden)?;
            looks::drop_temporary(self.held.session(), &plan.schema, &plan.table).await?;
        }
        let flavor = self.held.session().server()?.flavor;
        for statement in self.held.connector().settings(flavor) {
            self.held.session().command(statement).await?;
        }
        Ok(())
    }

    fn report_later(&mut self, error: LookError) -> Result<(), EngineError> {
        match error {
            LookError::Engine(error) => Err(error),
            violation @ LookError::Violation(_) => {
                self.found.get_or_insert(violation);
                Ok(())
            }
        }
    }

    /// Everything that could have changed in spite of the locks; returns the rows as they will be committed.
    pub(super) async fn look_last(
        &mut self,
        target: Option<LookTarget<'_>>,
        receipt: &StoredReceipt,
    ) -> Result<Rows, LookError> {
        if let Some(found) = self.found.take() {
            return Err(found);
        }
        let is_checked = self
            .first
            .as_ref()
            .is_some_and(|first| first.described.is_some() == target.is_some());
        if !is_checked {
            return Err(EngineError::new(EngineErrorKind::Other, "the tables were not checked").into());
        }
        looks::settings(self.held.session()).await?;
        let again = self.look_first(target).await?;
        let mut rows = Rows::new();
        if let (Some(LookTarget { plan, allowed }), Some(described)) = (target, &again.described) {
            self.look_at_effects(plan, allowed, described).await?;
            rows = self.select_described(described, plan, false).await?;
        }
        let place = self.receipts.place();
        let found = read::receipts(self.held.session(), &place, &receipt.proposal_id, &[]).await;
        let found = found.map_err(EngineError::from)?.of_key(&receipt.proposal_id);
        if found.as_ref() != Some(receipt) {
            let what = "the receipt does not read back as it was written";
            return Err(Violation::new(ViolationKind::ReadBack, what).into());
        }
        Ok(rows)
    }

    /// Nothing was changed besides the row but what was acknowledged.
    async fn look_at_effects(
        &mut self,
        plan: &RowPlan,
        allowed: &Acknowledged,
        described: &Described,
    ) -> Result<(), LookError> {
        if let Some(line) = self.collateral(described).into_iter().next() {
            return Err(Violation::new(ViolationKind::RowsElsewhere, line).into());
        }
        if allowed.is_empty() {
            return Ok(());
        }
        let session = self.held.session();
        looks::target_in_front(session, &plan.schema, &plan.table).await?;
        looks::rows_modified(session, &plan.schema, allowed).await
    }

    /// What the change may have set off besides the row. The servers keep no account of it by table, so what could
    /// have happened counts as done: code that was not acknowledged, and foreign keys that point at a column which
    /// was set, or which a trigger may have set.
    pub(super) fn collateral(&self, described: &Described) -> Vec<String> {
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
            lines.push("which triggers and foreign keys the table has cannot be seen".to_owned());
        }
        let follows = shape.referenced_by.iter().filter(|reference| {
            let is_touched = reference
                .referenced_columns
                .iter()
                .any(|c| self.touched.contains(c));
            !matches!(reference.on_update.as_str(), "NO ACTION" | "RESTRICT")
                && (is_touched || !shape.triggers.is_empty())
        });
        lines.extend(follows.map(|reference| {
            format!(
                "rows of `{}` may have followed by its foreign key",
                reference.table
            )
        }));
        lines
    }
}
