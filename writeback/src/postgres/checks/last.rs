//! The last check before COMMIT.

use std::collections::BTreeSet;

use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::foreign_code::NO_TABLE;
use synapsor_engine::postgres::read;
use synapsor_engine::postgres::session::StatementCounts;
use synapsor_source::{RowPlan, StoredReceipt};

use super::{FirstCheck, TransactionChecks, lock_elsewhere};
use crate::postgres::check_facts::{self, CheckFacts, HeldLock, RowCounts};
use crate::postgres::together::{self, LastReads, RowAgain};
use crate::postgres::version::{RowVersion, rows_with_version};
use crate::postgres::write::has_only_ours;
use crate::transaction::Rows;
use crate::violation::{CheckError, RECEIPT_DIFFERS, ViolationKind};

/// Data with which the last check compares.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct LastCheck<'a> {
    pub(in crate::postgres) first: &'a FirstCheck,
    /// Whether a separate statement locked the row first.
    pub(in crate::postgres) is_locked: bool,
    /// The row that was updated; absent if none was.
    pub(in crate::postgres) plan: Option<&'a RowPlan>,
    pub(in crate::postgres) receipt: &'a StoredReceipt,
    /// Rows of the target that the UPDATE matched.
    pub(in crate::postgres) matched: u64,
}

/// Result of the last check, with all data that COMMIT needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) struct Checked {
    pub(in crate::postgres) transaction_id: u64,
    /// The version of the checked row, if the account can read it.
    pub(in crate::postgres) version: Option<RowVersion>,
}

impl TransactionChecks<'_> {
    /// Runs the last check: only its last statement runs between its findings and COMMIT.
    pub(in crate::postgres) async fn last(
        &self,
        lease: &mut PgPooledConnection,
        check: LastCheck<'_>,
    ) -> Result<(Rows, Checked), CheckError> {
        // A target without code defers and changes nothing; the stamp proves below that it had none.
        let LastReads {
            rows,
            receipts,
            facts,
        } = if check.first.has_code() {
            self.settle_code(lease).await?;
            self.read_in_order(lease, check).await?
        } else {
            let (covered, watched) = (&check.first.verified.covered, check.first.watched());
            let id = &check.receipt.proposal_id;
            together::last_reads(lease, self.receipts, (covered, &watched), id, check.row()).await?
        };
        if receipts.of_key(&check.receipt.proposal_id).as_ref() != Some(check.receipt) {
            return Err(CheckError::violation(ViolationKind::ReadBack, RECEIPT_DIFFERS));
        }
        let found = facts;
        self.check_settings(&found.settings)?;
        check.compare(&found)?;
        if found.process_id != lease.facts().process_id {
            return Err(CheckError::violation(
                ViolationKind::SettingChanged,
                "the connection was replaced",
            ));
        }
        let transaction_id = found
            .transaction_id
            .ok_or_else(|| CheckError::violation(ViolationKind::ReadBack, "the transaction wrote nothing"))?;
        let checked = Checked {
            transaction_id,
            version: rows.first().and_then(|(_, version)| version.clone()),
        };
        Ok((rows.into_iter().map(|(row, _)| row).collect(), checked))
    }

    /// Reads the row as it will be committed, the receipt, and last the facts: reading a row can run code.
    async fn read_in_order(
        &self,
        lease: &mut PgPooledConnection,
        check: LastCheck<'_>,
    ) -> Result<LastReads, CheckError> {
        let rows = match check.row() {
            Some(row) => rows_with_version(lease, row.plan, row.shape, row.is_versioned).await?,
            None => Vec::new(),
        };
        let receipts = read::receipts(lease, self.receipts, &check.receipt.proposal_id, &[]).await?;
        let (covered, watched) = (&check.first.verified.covered, check.first.watched());
        let facts = check_facts::read(lease, covered, &watched, true).await?;
        Ok(LastReads {
            rows,
            receipts,
            facts,
        })
    }

    /// Runs constraints first, since they can run code; then compares the settings, and sets them again.
    async fn settle_code(&self, lease: &mut PgPooledConnection) -> Result<(), CheckError> {
        let rows = lease
            .batch(format!(
                "SET CONSTRAINTS ALL IMMEDIATE; {}; {}; {}",
                StatementCounts::SQL,
                check_facts::settings_statement(),
                self.set_again
            ))
            .await?;
        if !has_only_ours(lease, &rows) {
            return Err(CheckError::violation(
                ViolationKind::SettingChanged,
                "prepared statements of the session were dropped or replaced",
            ));
        }
        self.check_settings(&check_facts::settings_of(&rows))
    }
}

impl<'a> LastCheck<'a> {
    /// Returns the row to read again, with its version if the account can read that.
    fn row(&self) -> Option<RowAgain<'a>> {
        Some(RowAgain {
            plan: self.plan?,
            shape: self.first.shape()?,
            is_versioned: self.first.may_read_version(),
        })
    }

    fn compare(&self, found: &CheckFacts) -> Result<(), CheckError> {
        if found.stamp != self.first.verified.stamp {
            return Err(CheckError::violation(
                ViolationKind::TargetChanged,
                "a definition of the target or of the receipt table changed inside the transaction",
            ));
        }
        if let Some(name) = found.cursors.first() {
            return Err(CheckError::violation(
                ViolationKind::OpenCursor,
                format!("a cursor is open: `{name}`"),
            ));
        }
        if let Some(name) = found.deferrable.first() {
            return Err(CheckError::violation(
                ViolationKind::DeferrableTrigger,
                format!("the trigger `{name}` could run inside COMMIT"),
            ));
        }
        self.check_locks(&found.locks)?;
        self.check_counts(found)
    }

    /// Permits write locks only on both tables, their dependent relations and declared tables.
    fn check_locks(&self, locks: &[HeldLock]) -> Result<(), CheckError> {
        let covered = &self.first.verified.covered;
        let mut allowed: BTreeSet<u32> = covered.related.lockable.iter().copied().collect();
        allowed.extend(self.first.declared.iter().flat_map(|table| &table.lockable));
        let is_allowed = |oid: u32| allowed.contains(&oid);
        if let Some(lock) = locks.iter().find(|lock| lock.is_writing_elsewhere(is_allowed)) {
            return Err(lock_elsewhere(lock));
        }
        let holds = |oid: u32, mode: &str| {
            locks
                .iter()
                .any(|lock| lock.relation == Some(oid) && lock.mode == mode)
        };
        let is_locked_there =
            !self.is_locked || covered.target == NO_TABLE || holds(covered.target, "RowShareLock");
        let is_updated_there = self.matched == 0 || holds(covered.target, "RowExclusiveLock");
        if is_locked_there && is_updated_there && holds(covered.receipts, "RowExclusiveLock") {
            return Ok(());
        }
        Err(CheckError::violation(
            ViolationKind::TargetChanged,
            "row lock, UPDATE and receipt are not in the checked tables",
        ))
    }

    fn check_counts(&self, found: &CheckFacts) -> Result<(), CheckError> {
        let before = &self.first.facts.counts;
        let since = |oid: u32| -> RowCounts {
            let earlier = before.get(&oid).copied().unwrap_or_default();
            let now = found.counts.get(&oid).copied().unwrap_or_default();
            [0, 1, 2].map(|at| now[at] - earlier[at])
        };
        let covered = &self.first.verified.covered;
        let refuse = |name: &str, rows: RowCounts| {
            let [inserted, updated, deleted] = rows;
            let detail = format!(
                "{inserted} rows inserted, {updated} updated and {deleted} deleted in {name} beyond the allowed changes"
            );
            Err(CheckError::violation(ViolationKind::RowsElsewhere, detail))
        };
        let [inserted, updated, deleted] = since(covered.receipts);
        if [inserted, updated, deleted] != [1, 0, 0] {
            return refuse("the receipt table", [inserted - 1, updated, deleted]);
        }
        if covered.target != NO_TABLE {
            let matched = i64::try_from(self.matched).unwrap_or(i64::MAX);
            let [inserted, updated, deleted] = since(covered.target);
            let more = [inserted, updated - matched, deleted];
            if !is_within(more, self.first.target_rows_max) {
                return refuse("the target", more);
            }
        }
        for table in &self.first.declared {
            let is_counted_above = table.oid == covered.target || table.oid == covered.receipts;
            if !is_counted_above && !is_within(since(table.oid), table.rows_max) {
                return refuse(&format!("`{}`", table.name), since(table.oid));
            }
        }
        Ok(())
    }
}

/// Whether these are at most the allowed rows, and none was rolled back.
pub(in crate::postgres) fn is_within(rows: RowCounts, rows_max: u32) -> bool {
    let sum = rows.iter().try_fold(0_i64, |sum, n| sum.checked_add(*n));
    rows.iter().all(|n| *n >= 0) && sum.is_some_and(|sum| sum <= i64::from(rows_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_cannot_be_added_are_not_allowed() {
        assert!(is_within([1, 0, 1], 2));
        assert!(!is_within([1, 1, 1], 2));
        assert!(!is_within([-1, 0, 1], 2));
        // What the server's answer holds no number for is counted as the largest.
        assert!(!is_within([i64::MAX, i64::MAX, 0], 2));
    }
}
