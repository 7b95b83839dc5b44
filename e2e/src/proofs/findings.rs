//! Invariants of every case, whatever the fault, and the list of violations.

use super::crash_harness::{Case, CrashHarness, Seen};

/// Violations, printed when they are found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) violations: u64,
    /// Ended cases and their observed state, for a later comparison.
    ended: Vec<(Case, Seen)>,
}

impl Findings {
    pub(super) fn violated(&mut self, case: &str, what: &str) {
        println!("VIOLATION {case}: {what}");
        self.violations += 1;
    }

    pub(super) fn check(&mut self, holds: bool, case: &Case, what: &str, seen: &dyn std::fmt::Debug) {
        if !holds {
            self.violated(
                &format!("{} ({})", case.name, case.proposal),
                &format!("{what}: {seen:?}"),
            );
        }
    }

    /// Checks an ended case: one receipt, equal in source and ledger, that agrees with the row.
    pub(super) async fn ended(
        &mut self,
        bench: &mut CrashHarness,
        case: Case,
        outcome: &str,
        state: &str,
    ) -> anyhow::Result<()> {
        let seen = bench.look(&case).await?;
        let target = &seen.target;
        let recorded = target.outcome.as_deref();
        self.check(target.effects <= 1, &case, "more than one effect", &seen);
        let is_true = (recorded == Some("applied")) == (target.effects == 1) && target.is_as_proposed;
        self.check(is_true, &case, "source receipt does not match the row", &seen);
        let is_same = target.receipt == seen.ledger_receipt;
        self.check(
            is_same,
            &case,
            "ledger receipt differs from the source receipt",
            &seen,
        );
        let is_expected = recorded == Some(outcome) && seen.state == state;
        self.check(
            is_expected,
            &case,
            &format!("it did not end as `{state}` by `{outcome}`"),
            &seen,
        );
        self.ended.push((case, seen));
        Ok(())
    }

    /// Reads every ended case again: its state is unchanged, and the ledger rejects a new order. Returns the
    /// number of cases.
    pub(super) async fn ask_again(&mut self, bench: &mut CrashHarness) -> anyhow::Result<usize> {
        let ended = std::mem::take(&mut self.ended);
        let asked = ended.len();
        for (case, before) in ended {
            let refused = bench.desk.request_apply(&bench.order(&case)).await.is_err();
            self.check(
                refused,
                &case,
                "an ended proposal accepted another order",
                &before,
            );
            let now = bench.look(&case).await?;
            self.check(
                now == before,
                &case,
                "outcome changed on a later read",
                &(before, &now),
            );
        }
        Ok(asked)
    }
}
