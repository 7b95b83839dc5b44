//! End of a transaction: inserts the receipt, rechecks the data to commit, commits.

use std::ops::ControlFlow;

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::value::{ColumnValue, Value, find};
use synapsor_domain::writeback::{DryRunVerdict, Receipt, ReceiptOutcome};
use synapsor_source::{EngineError, EngineErrorKind, StoredReceipt};

use crate::crash_point::{CrashPoint, hit};
use crate::known_receipts::KnownReceipt;
use crate::lock::{Open, Step, crash};
use crate::permit::{MayCommit, Permit, WritePermit};
use crate::result::{ApplyResult, RefusedBy};
use crate::target;
use crate::transaction::{CheckTarget, CommitError, RecordError};
use crate::violation::{Violation, ViolationKind};

/// A transaction whose outcome is decided but not recorded. Only the earlier steps create it.
#[derive(Debug)]
pub struct Decided<'a, P: Permit> {
    open: Open<'a, P>,
    outcome: ReceiptOutcome,
    /// Why it has no effect; `None` for a change, and where the outcome is the whole reason.
    code: Option<ErrorCode>,
    previous_version: Option<Value>,
    new_version: Option<Value>,
    /// Whether the transaction locked rows of the target, and therefore checked it.
    has_target: bool,
    /// The row after the UPDATE, for a change.
    after: Option<Vec<ColumnValue>>,
}

/// A transaction whose receipt is inserted.
#[derive(Debug)]
pub struct Recorded<'a, P: Permit> {
    open: Open<'a, P>,
    has_target: bool,
    after: Option<Vec<ColumnValue>>,
    receipt: Receipt,
    envelope: DsseEnvelope,
    stored: StoredReceipt,
}

/// A transaction whose row and receipt were read back as decided: the only one that can be committed.
#[derive(Debug)]
pub struct Rechecked<'a, P: Permit> {
    open: Open<'a, P>,
    receipt: Receipt,
    envelope: DsseEnvelope,
    stored: StoredReceipt,
}

impl<'a, P: Permit> Decided<'a, P> {
    /// Decides an end without effect from the locked row.
    pub(crate) fn of_row(open: Open<'a, P>, outcome: ReceiptOutcome, code: Option<ErrorCode>) -> Self {
        Self {
            has_target: true,
            ..Self::without_effect(open, outcome, code)
        }
    }

    /// Decides an end without effect in a transaction that does not touch the target.
    pub(crate) const fn without_effect(
        open: Open<'a, P>,
        outcome: ReceiptOutcome,
        code: Option<ErrorCode>,
    ) -> Self {
        Self {
            open,
            outcome,
            code,
            previous_version: None,
            new_version: None,
            has_target: false,
            after: None,
        }
    }

    /// Decides a conflict or a change, with the versions that its receipt names: the proposal's, and that of
    /// `row`.
    pub(crate) fn with_versions(mut self, row: &[ColumnValue]) -> Self {
        let version = self.open.permit.proposal().guard.version.as_ref();
        self.previous_version = version.map(|v| v.value.clone());
        self.new_version = version.and_then(|v| find(row, &v.column)).cloned();
        self
    }

    /// Rolls the transaction back and returns what it would have recorded.
    pub(crate) async fn roll_back(self) -> DryRunVerdict {
        self.open.transaction.roll_back().await;
        self.code.map_or(
            DryRunVerdict::AlreadyFinal(self.outcome),
            DryRunVerdict::WouldNotApply,
        )
    }
}

impl<'a> Decided<'a, WritePermit> {
    /// Decides the change as read after the UPDATE.
    pub(crate) fn applied(open: Open<'a, WritePermit>, after: Vec<ColumnValue>) -> Self {
        let mut decided = Self::of_row(open, ReceiptOutcome::Applied, None).with_versions(&after);
        decided.after = Some(after);
        decided
    }
}

impl<'a, P: MayCommit> Decided<'a, P> {
    /// Signs the receipt of the outcome and inserts it.
    pub async fn record(self) -> Step<Recorded<'a, P>> {
        let sealed = self.seal();
        let (mut open, has_target, after) = (self.open, self.has_target, self.after);
        let (receipt, envelope, stored) = match sealed {
            Ok(sealed) => sealed,
            Err(refusal) => {
                return open
                    .roll_back(ApplyResult::Refused(RefusedBy::Own(refusal)))
                    .await;
            }
        };
        if !has_target && let Err(error) = open.transaction.first_check(None).await {
            return open.roll_back(ApplyResult::of_check(error)).await;
        }
        crash(hit(CrashPoint::BeforeReceipt).await)?;
        match open.transaction.insert_receipt(&stored).await {
            Ok(()) => {}
            // Another writer's receipt was committed first; a new transaction will find it under the lock.
            Err(RecordError::Exists) => {
                let error = EngineError::new(EngineErrorKind::Busy, "receipt exists");
                return ControlFlow::Break(ApplyResult::Retryable(ErrorCode::RetryableDatabaseBusy, error));
            }
            Err(RecordError::Engine(error)) => return ControlFlow::Break(ApplyResult::of_receipts(error)),
        }
        crash(hit(CrashPoint::AfterReceipt).await)?;
        ControlFlow::Continue(Recorded {
            open,
            has_target,
            after,
            receipt,
            envelope,
            stored,
        })
    }

    fn seal(&self) -> Result<(Receipt, DsseEnvelope, StoredReceipt), PublicError> {
        let (core, permit, terms) = (self.open.core, &self.open.permit, self.open.permit.terms());
        let receipt = Receipt {
            v: 1,
            proposal_id: permit.proposal().id.clone(),
            proposal_digest: permit.proposal_digest(),
            outcome: self.outcome,
            reason: self.code.map_or("", ErrorCode::reason).to_owned(),
            constraint: terms.constraint,
            rows_affected: u32::from(self.outcome == ReceiptOutcome::Applied),
            previous_version: self.previous_version.clone(),
            new_version: self.new_version.clone(),
            order_digest: terms.order_digest,
            fence: terms.lease.fence,
            attempt: terms.lease.attempt,
            writer: core.name.clone(),
            ledger_size: terms.ledger_size,
            ledger_root: hex::encode(terms.ledger_root),
            database_identity: self.open.identity.clone(),
            created_at: core.now(),
        };
        let envelope = DsseEnvelope::sign(ObjectKind::Receipt, &receipt, &core.key)
            .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))?;
        let stored = StoredReceipt::from_envelope(&envelope)?;
        Ok((receipt, envelope, stored))
    }
}

impl<'a, P: MayCommit> Recorded<'a, P> {
    /// Reads receipt and row again: exactly the data read here is committed.
    pub async fn check(self) -> Step<Rechecked<'a, P>> {
        let Self {
            mut open,
            has_target,
            after,
            receipt,
            envelope,
            stored,
        } = self;
        let scoped = target::by_key_and_tenant(open.permit.proposal());
        let allowed = open.permit.acknowledged();
        let check = has_target.then_some(CheckTarget {
            plan: &scoped,
            allowed: &allowed,
        });
        let rows = match open.transaction.last_check(check, &stored).await {
            Ok(rows) => rows,
            Err(error) => return open.roll_back(ApplyResult::of_check(error)).await,
        };
        if let Some(after) = &after
            && rows.as_slice() != std::slice::from_ref(after)
        {
            let text = "the row read back differs from the update";
            let violation = Violation::new(ViolationKind::ReadBack, text);
            return open.roll_back(ApplyResult::of_check(violation.into())).await;
        }
        ControlFlow::Continue(Rechecked {
            open,
            receipt,
            envelope,
            stored,
        })
    }
}

impl<P: MayCommit> Rechecked<'_, P> {
    /// Commits the change and its receipt.
    pub async fn commit(self) -> ApplyResult {
        if let Err(error) = hit(CrashPoint::BeforeCommit).await {
            return ApplyResult::of_engine(error);
        }
        let (core, database_time) = (self.open.core, self.open.database_time);
        let source = self.open.permit.proposal().source.id.clone();
        let committed = self.open.transaction.commit().await;
        if committed.is_ok() {
            core.move_mark(database_time);
            let known = KnownReceipt::of(self.receipt.clone(), &self.envelope, self.stored);
            core.known.committed(&source, known);
        }
        match committed {
            Ok(()) if hit(CrashPoint::AfterCommit).await.is_ok() => ApplyResult::Receipt {
                receipt: self.receipt,
                envelope: self.envelope,
                is_new: true,
                unexpected_column: None,
            },
            Ok(()) => ApplyResult::InDoubt,
            Err(CommitError::NotCommitted(error)) => ApplyResult::of_engine(error),
            Err(CommitError::Doubt(error)) => {
                tracing::warn!(reason = error.reason(), detail = %error.detail, "COMMIT did not return success");
                ApplyResult::InDoubt
            }
            Err(CommitError::Violation(violation)) => {
                tracing::error!(
                    proposal = %self.receipt.proposal_id,
                    "COMMIT took effect with another row than the checked one"
                );
                ApplyResult::RowChanged {
                    receipt: self.receipt,
                    envelope: self.envelope,
                    violation,
                }
            }
        }
    }
}
