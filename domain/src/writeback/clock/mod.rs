//! Clock rule of the writer: when a time is accepted, which time deadlines use, and how the high-water mark
//! moves.
//!
//! Three clocks are involved: the writer's, the database's, and the ledger's, whose responses carry an unsigned
//! time. One wrong clock must change nothing, and a step of all clocks must end when they are corrected. The
//! ledger's time may be a lie: it can only confirm a time on which writer and database already agree.

use synapsor_codes::ErrorCode;

use crate::error::PublicError;
use crate::limits::{CLOCK_SKEW_SECONDS, DATABASE_SKEW_SECONDS};
use crate::timestamp::{Span, Timestamp};

/// Values of the three clocks at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    pub writer: Timestamp,
    pub database: Timestamp,
    /// Last time that the ledger claimed, advanced by the time elapsed since; `None` without a claim.
    pub ledger: Option<Timestamp>,
}

impl ClockReading {
    /// Returns the time used for deadlines: the later of writer and database.
    pub fn deadline_time(&self) -> Timestamp {
        self.writer.max(self.database)
    }

    /// Accepts the time, or returns an error that names the clocks to correct. `mark` is the result of
    /// [`Self::next_mark`] at the last COMMIT.
    ///
    /// # Errors
    /// `refused:clock` when writer and database differ by more than [`DATABASE_SKEW_SECONDS`], or when both are
    /// more than [`CLOCK_SKEW_SECONDS`] before the mark and the ledger does not confirm them.
    pub fn check(&self, mark: Option<Timestamp>) -> Result<(), PublicError> {
        let apart = seconds_apart(self.writer, self.database);
        if differ(self.writer, self.database) {
            return Err(refused(format!(
                "the clocks of writer and database differ by {apart} s, more than the allowed {DATABASE_SKEW_SECONDS} s; \
                 correct the wrong one"
            )));
        }
        let Some(mark) = mark else { return Ok(()) };
        if self.deadline_time() + Span::seconds(CLOCK_SKEW_SECONDS) >= mark || self.is_confirmed() {
            return Ok(());
        }
        let behind = seconds_apart(mark, self.deadline_time());
        Err(refused(format!(
            "the clocks of writer and database are {behind} s behind this writer's last COMMIT, and the ledger's does \
             not agree with them; correct the wrong ones"
        )))
    }

    /// Returns whether the ledger agrees with writer and database.
    pub fn is_confirmed(&self) -> bool {
        self.ledger.is_some_and(|ledger| {
            !differ(self.writer, self.database)
                && !differ(ledger, self.writer)
                && !differ(ledger, self.database)
        })
    }

    /// Returns the mark after a COMMIT: the earliest of the clocks. It falls only when all three agree, so a
    /// step of all three can end; the ledger alone cannot lower it.
    pub fn next_mark(&self, mark: Option<Timestamp>) -> Timestamp {
        let both = self.writer.min(self.database);
        let least = self.ledger.map_or(both, |ledger| both.min(ledger));
        match mark {
            Some(mark) if !self.is_confirmed() => least.max(mark),
            _ => least,
        }
    }
}

fn differ(one: Timestamp, other: Timestamp) -> bool {
    (one - other).as_millis().abs() > Span::seconds(DATABASE_SKEW_SECONDS).as_millis()
}

fn seconds_apart(one: Timestamp, other: Timestamp) -> i64 {
    (one - other).as_seconds().abs()
}

fn refused(public: String) -> PublicError {
    PublicError::new(ErrorCode::RefusedClock, public)
}

#[cfg(test)]
mod tests;
