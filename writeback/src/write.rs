//! The one UPDATE of a transaction, and the checks of its effect.

use std::ops::ControlFlow;

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::VersionAdvance;
use synapsor_domain::error::PublicError;
use synapsor_domain::foreign_code::{Acknowledged, ForeignCodeKind};
use synapsor_domain::guard::{self, NotAdvanced, RowCount};
use synapsor_domain::proposal::{Proposal, RowTarget};
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::value::ColumnValue;
use synapsor_domain::writeback::ViolatedConstraint;
use synapsor_source::error_cause::ConstraintViolation;
use synapsor_source::{EngineError, ErrorCause, RowPlan};

use crate::check::Matching;
use crate::commit::Decided;
use crate::crash_point::{CrashPoint, hit};
use crate::lock::{Open, Step, crash, engine};
use crate::permit::{DryRunPermit, EndPermit, FailedReason, MayUpdate, WritePermit};
use crate::result::{ApplyResult, FrozenBy, RefusedBy};
use crate::transaction::RowChange;
use crate::violation::{Violation, ViolationKind};
use crate::{Controls, target};

/// A transaction whose UPDATE changed exactly its row as requested.
#[derive(Debug)]
pub struct Updated<'a, P: MayUpdate> {
    pub(crate) open: Open<'a, P>,
    pub(crate) after: Vec<ColumnValue>,
}

/// Result of the UPDATE.
#[derive(Debug)]
pub enum Wrote<'a, P: MayUpdate> {
    /// The row is as requested.
    Updated(Updated<'a, P>),
    /// The write can never succeed; it was rolled back.
    Failed(Failed<P>),
}

/// A rolled-back write that can never succeed. Its permit opens no other write.
#[derive(Debug)]
pub struct Failed<P> {
    permit: P,
    reason: FailedReason,
}

impl Failed<WritePermit> {
    /// Returns the permit to record the failure in a transaction of its own.
    pub fn into_end_permit(self) -> EndPermit {
        self.permit.into_failed(self.reason)
    }
}

impl<P> Failed<P> {
    /// Returns the reason why the write fails.
    pub const fn reason(&self) -> &FailedReason {
        &self.reason
    }
}

impl<'a, P: MayUpdate> Matching<'a, P> {
    /// Rechecks under the lock what could have changed since the authorization, then updates the row.
    pub async fn update(self, controls: &dyn Controls) -> Step<Wrote<'a, P>> {
        let mut open = self.recheck(controls).await?.open;
        let written = write_row(&mut open).await?;
        match written {
            Written::Row(after) => ControlFlow::Continue(Wrote::Updated(Updated { open, after })),
            Written::NotYet => open.roll_back(ApplyResult::VersionNotAdvanced).await,
            Written::Failed(reason) => {
                open.transaction.roll_back().await;
                let permit = open.permit;
                ControlFlow::Continue(Wrote::Failed(Failed { permit, reason }))
            }
        }
    }

    /// Runs the recheck under the lock, immediately before the UPDATE.
    async fn recheck(mut self, controls: &dyn Controls) -> Step<Self> {
        let open = &mut self.open;
        if let Some(authorization) = open.permit.authorization() {
            let trust_digest = match (open.core.trust)() {
                Ok((_, digest)) => digest,
                Err(refusal) => {
                    return self
                        .open
                        .roll_back(ApplyResult::Refused(RefusedBy::Own(refusal)))
                        .await;
                }
            };
            let target = &authorization.proposal().target;
            let shape = engine(open.transaction.shape(&target.schema, &target.table).await)?;
            let now = open.core.read_clocks(open.database_time).deadline_time();
            let valid_until = authorization.standing().valid_until;
            if now >= valid_until {
                let text = format!("a deadline passed at {valid_until}; sign again");
                let refusal = PublicError::new(ErrorCode::RefusedExpired, text);
                let refused = ApplyResult::Refused(RefusedBy::Own(refusal));
                return self.open.roll_back(refused).await;
            }
            if !guard::is_authorization_current(authorization, now, trust_digest, &shape) {
                return self.open.roll_back(ApplyResult::Stale).await;
            }
        }
        if controls.is_frozen_by(&open.switches) {
            let by = FrozenBy::of(&open.switches);
            let refused = ApplyResult::Refused(RefusedBy::Frozen(by));
            return self.open.roll_back(refused).await;
        }
        if let Err(refused) = check_account(open) {
            return self.open.roll_back(ApplyResult::Refused(refused)).await;
        }
        if controls.try_enter_commit() {
            ControlFlow::Continue(self)
        } else {
            self.open.roll_back(ApplyResult::Stale).await
        }
    }
}

impl<'a> Updated<'a, WritePermit> {
    /// Decides on the change for the receipt.
    pub fn decide(self) -> Decided<'a, WritePermit> {
        Decided::applied(self.open, self.after)
    }
}

impl Updated<'_, DryRunPermit> {
    /// Rolls everything back; returns the row as it would be.
    pub async fn roll_back(self) -> Vec<ColumnValue> {
        self.open.transaction.roll_back().await;
        self.after
    }
}

/// Requires, outside the environment `dev`, that the account cannot bypass the checks of its own transaction.
fn check_account<P: MayUpdate>(open: &Open<'_, P>) -> Result<(), RefusedBy> {
    let Some(power) = open.transaction.account_powers().first() else {
        return Ok(());
    };
    let (trust, _) = (open.core.trust)().map_err(RefusedBy::Own)?;
    if trust.environment == DeploymentEnvironment::Dev {
        return Ok(());
    }
    let detail =
        format!("the writer's account {power}; grant it only the rights that `writeback grants` prints");
    Err(RefusedBy::Violation(Violation::new(
        ViolationKind::AccountTooPowerful,
        detail,
    )))
}

enum Written {
    Row(Vec<ColumnValue>),
    NotYet,
    Failed(FailedReason),
}

async fn write_row<P: MayUpdate>(open: &mut Open<'_, P>) -> Step<Written> {
    let scoped = target::by_key_and_tenant(open.permit.proposal());
    crash(hit(CrashPoint::BeforeUpdate).await)?;
    let proposal = open.permit.proposal();
    let change = RowChange {
        set: &proposal.set,
        guard: proposal.guard.version.as_ref(),
        now: moved_by_clock(proposal),
    };
    let matched = match open.transaction.update(&scoped, change).await {
        Err(error) => match violated_constraint(&open.permit, &error) {
            Some(violated) => {
                tracing::warn!(proposal = %open.permit.proposal().id, constraint = %violated, "constraint violated");
                return ControlFlow::Continue(Written::Failed(FailedReason::Constraint(violated)));
            }
            None => engine(Err(error))?,
        },
        matched => engine(matched)?,
    };
    crash(hit(CrashPoint::AfterUpdate).await)?;
    if matched != 1 {
        return ControlFlow::Continue(Written::Failed(FailedReason::MatchedRows));
    }
    let rows = engine(open.transaction.reread(&scoped).await)?;
    crash(hit(CrashPoint::AfterReread).await)?;
    let RowCount::One(after) = guard::single_row(&rows) else {
        return ControlFlow::Continue(Written::Failed(FailedReason::PostImage { column: None }));
    };
    let after = after.to_vec();
    match check_after(&open.permit, &after) {
        Written::Row(_) => {}
        other => return ControlFlow::Continue(other),
    }
    has_side_effects(open, &scoped, after).await
}

/// Returns the constraint of the target that rejected the UPDATE. With code of others on the target the cause can be
/// in another table, and can go away, unless it is proven that the statement itself failed at the target.
fn violated_constraint<P: MayUpdate>(permit: &P, error: &EngineError) -> Option<ViolatedConstraint> {
    let ErrorCause::ConstraintViolated(violation) = &error.cause else {
        return None;
    };
    let (target, acknowledged) = (&permit.proposal().target, permit.validated().acknowledged());
    let is_of_target = acknowledged.is_empty() || is_of_target(target, acknowledged, violation);
    is_of_target.then(|| violation.constraint.clone())
}

/// Whether the statement itself violated a constraint of its target.
pub(crate) fn is_of_target(
    target: &RowTarget,
    acknowledged: &Acknowledged,
    violation: &ConstraintViolation,
) -> bool {
    let mut without_context = acknowledged.without_error_context();
    let is_of_table = match &violation.table {
        // Of the code whose errors have no context, only a rule writes rows.
        Some((schema, table)) => {
            *schema == target.schema
                && *table == target.table
                && !without_context.any(|code| code.kind == ForeignCodeKind::Rule)
        }
        // The check of a domain, and length, range and type of a value, belong to no table.
        None => without_context.next().is_none(),
    };
    violation.is_of_statement && is_of_table
}

/// Checks that the row after the UPDATE is the row before it with exactly the requested change.
fn check_after<P: MayUpdate>(permit: &P, after: &[ColumnValue]) -> Written {
    let (proposal, validated) = (permit.proposal(), permit.validated());
    match guard::check_advanced(proposal, validated.is_version_maintained(), after) {
        Ok(()) => {}
        Err(NotAdvanced::ClockNotTicked) => return Written::NotYet,
        Err(NotAdvanced::NotMaintained) => return Written::Failed(FailedReason::VersionNotAdvanced),
    }
    if let Some(column) = guard::first_unexpected_column(validated, after) {
        tracing::warn!(proposal = %proposal.id, column, "row after the update is not as requested");
        let column = Some(column.to_owned());
        return Written::Failed(FailedReason::PostImage { column });
    }
    Written::Row(Vec::new())
}

async fn has_side_effects<P: MayUpdate>(
    open: &mut Open<'_, P>,
    scoped: &RowPlan,
    after: Vec<ColumnValue>,
) -> Step<Written> {
    let effects = engine(open.transaction.side_effects(scoped).await)?;
    crash(hit(CrashPoint::AfterSideEffects).await)?;
    if effects.is_empty() {
        return ControlFlow::Continue(Written::Row(after));
    }
    tracing::warn!(proposal = %open.permit.proposal().id, ?effects, "the update changed more than its row");
    ControlFlow::Continue(Written::Failed(FailedReason::Collateral))
}

/// Returns the version column that is set to the database's own time.
fn moved_by_clock(proposal: &Proposal) -> Option<&str> {
    let version = proposal.guard.version.as_ref()?;
    (proposal.guard.advance == VersionAdvance::Now).then_some(version.column.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use synapsor_domain::contract::SideEffectAck;
    use synapsor_domain::foreign_code::{CodeForm, ForeignCode};
    use synapsor_domain::writeback::ConstraintClass;

    use super::*;

    fn acknowledged(kind: ForeignCodeKind, has_error_context: bool) -> Acknowledged {
        let form = CodeForm::Acknowledgeable;
        let code = ForeignCode::new(kind, "code", &BTreeMap::new(), Vec::new(), form)
            .with_error_context(has_error_context);
        let entry = SideEffectAck {
            name: code.name.clone(),
            digest: code.digest,
            functions: Vec::new(),
            writes: Vec::new(),
        };
        Acknowledged::acknowledge(&[code], &[entry]).unwrap()
    }

    #[test]
    fn only_the_statement_itself_violates_its_targets_constraint() {
        let target = RowTarget {
            schema: "public".to_owned(),
            table: "invoices".to_owned(),
            keys: Vec::new(),
            tenant: None,
        };
        for (table, is_of_statement, expected) in [
            (Some("invoices"), true, true),
            (Some("invoices"), false, false),
            (Some("journal"), true, false),
            (Some("journal"), false, false),
            // The check of a domain.
            (None, true, true),
            (None, false, false),
        ] {
            let violation = ConstraintViolation {
                constraint: ViolatedConstraint::new(ConstraintClass::Check, Some("c")),
                table: table.map(|table| ("public".to_owned(), table.to_owned())),
                is_of_statement,
            };
            let by_trigger = acknowledged(ForeignCodeKind::Trigger, true);
            assert_eq!(
                is_of_target(&target, &by_trigger, &violation),
                expected,
                "{violation:?}"
            );
            for (kind, is_of_table) in [
                (ForeignCodeKind::Rule, false),
                (ForeignCodeKind::Trigger, true),
                (ForeignCodeKind::Policy, true),
            ] {
                let expected = expected && is_of_table && table.is_some();
                let is_of_target = is_of_target(&target, &acknowledged(kind, false), &violation);
                assert_eq!(is_of_target, expected, "{kind} {violation:?}");
            }
        }
    }
}
