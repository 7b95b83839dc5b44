//! The writer's clock rule: when a time is accepted, what deadlines end by, and how the mark moves.
//!
//! Three clocks take part: the writer's, the database's, and the ledger's, which arrives unsigned with its answers.
//! One clock that was set wrong must move nothing, and a step of all of them must end when they are set right again.
//! The ledger's time may be a lie: it can only confirm what writer and database both say already.

use crate::error::PublicError;
use crate::limits::{CLOCK_SKEW_SECONDS, DATABASE_SKEW_SECONDS};
use crate::timestamp::{Span, Timestamp};

/// The three clocks as they were at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    pub writer: Timestamp,
    pub database: Timestamp,
    /// What the ledger last claimed, carried on by the time that passed since; `None` when it claimed nothing.
    pub ledger: Option<Timestamp>,
}

impl ClockReading {
    /// The time that deadlines end by: the later of writer and database.
    pub fn deadline_time(&self) -> Timestamp {
        self.writer.max(self.database)
    }

    /// Accepts the time, or names what has to be corrected. `mark` is what [`Self::next_mark`] gave at the last
    /// COMMIT.
    ///
    /// # Errors
    /// `refused:clock` when writer and database differ by more than [`DATABASE_SKEW_SECONDS`], or when both are more
    /// than [`CLOCK_SKEW_SECONDS`] before the mark and the ledger does not confirm them.
    pub fn check(&self, mark: Option<Timestamp>) -> Result<(), PublicError> {
        let apart = seconds_apart(self.writer, self.database);
        if differ(self.writer, self.database) {
            return Err(refused(format!(
                "the clocks of writer and database differ by {apart} s, {DATABASE_SKEW_SECONDS} s are allowed; \
                 set the wrong one"
            )));
        }
        let Some(mark) = mark else { return Ok(()) };
        if self.deadline_time() + Span::seconds(CLOCK_SKEW_SECONDS) >= mark || self.is_confirmed() {
            return Ok(());
        }
        let behind = seconds_apart(mark, self.deadline_time());
        Err(refused(format!(
            "the clocks of writer and database are {behind} s before this writer's last COMMIT, and the ledger's does \
             not agree with them; set the wrong ones"
        )))
    }

    /// Whether the ledger agrees with writer and database.
    pub fn is_confirmed(&self) -> bool {
        self.ledger.is_some_and(|ledger| {
            !differ(self.writer, self.database)
                && !differ(ledger, self.writer)
                && !differ(ledger, self.database)
        })
    }

    /// The mark after a COMMIT: the least of the clocks. It falls only when all three agree, which is how the step of
    /// all of them ends; a ledger alone cannot lower it.
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
    PublicError::new("refused:clock", public)
}

#[cfg(test)]
mod tests;
