//! Compares the locked row with the reviewed row.

use std::ops::ControlFlow;

use synapsor_codes::ErrorCode;
use synapsor_domain::guard::{self, Conflict, RowCount};
use synapsor_domain::writeback::ReceiptOutcome;

use crate::commit::Decided;
use crate::crash_point::{CrashPoint, hit};
use crate::lock::{Open, Step, crash, engine};
use crate::permit::{FailedReason, MayUpdate};
use crate::target;
use crate::transaction::Rows;

/// A transaction that holds the row lock and found no receipt.
#[derive(Debug)]
pub struct Locked<'a, P: MayUpdate> {
    pub(crate) open: Open<'a, P>,
    pub(crate) rows: Rows,
}

/// A transaction whose locked row is exactly the reviewed one.
#[derive(Debug)]
pub struct Matching<'a, P: MayUpdate> {
    pub(crate) open: Open<'a, P>,
}

/// Result of the comparison.
#[derive(Debug)]
pub enum Checked<'a, P: MayUpdate> {
    /// The row equals the reviewed row; it may be updated.
    Matching(Matching<'a, P>),
    /// The row differs; the proposal ends without effect.
    Decided(Decided<'a, P>),
}

impl<'a, P: MayUpdate> Locked<'a, P> {
    /// Compares the locked row with the proposal byte for byte.
    pub async fn check(self) -> Step<Checked<'a, P>> {
        let Self { mut open, rows } = self;
        let decided = match guard::single_row(&rows) {
            RowCount::None => {
                let by_key = target::by_key(open.permit.proposal());
                let is_visible = engine(open.transaction.is_visible_unlocked(&by_key).await)?;
                let code = if is_visible {
                    ErrorCode::ConflictTargetInvisible
                } else {
                    ErrorCode::ConflictTargetMissing
                };
                Decided::of_row(open, ReceiptOutcome::Conflict, Some(code))
            }
            RowCount::More => {
                Decided::of_row(open, ReceiptOutcome::Failed, Some(FailedReason::NotUnique.code()))
            }
            RowCount::One(row) => match guard::check_locked(open.permit.proposal(), row) {
                Ok(()) => {
                    crash(hit(CrashPoint::AfterCheck).await)?;
                    return ControlFlow::Continue(Checked::Matching(Matching { open }));
                }
                Err(Conflict(code)) => {
                    Decided::of_row(open, ReceiptOutcome::Conflict, Some(code)).with_versions(row)
                }
            },
        };
        ControlFlow::Continue(Checked::Decided(decided))
    }
}
