//! Limits the retries of a transaction: their number, total time and pauses. Each try is a whole new
//! transaction; this module does not know its content.

use std::time::{Duration, Instant};

use synapsor_chassis::random;
use synapsor_chassis::retry::Backoff;

use synapsor_source::EngineError;
use synapsor_source::error::EngineErrorKind;

/// Maximum number of whole transactions per lease.
const TRIES_MAX: u32 = 5;
/// Time after the first transaction in which another one may begin.
const TRY_FOR: Duration = Duration::from_secs(30);
/// Same limit while the outcome of a COMMIT is unknown; the number of tries then does not count.
const RESOLVE_FOR: Duration = Duration::from_secs(60);

/// Condition that a pause waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackoffClass {
    /// The end of another transaction.
    Contention,
    /// The return of a server or a network.
    Outage,
    /// The next second of the database clock.
    Tick,
}

impl BackoffClass {
    pub(crate) const fn of(error: &EngineError) -> Self {
        match error.kind {
            EngineErrorKind::Unavailable | EngineErrorKind::Timeout => Self::Outage,
            EngineErrorKind::Busy
            | EngineErrorKind::Denied
            | EngineErrorKind::NotFound
            | EngineErrorKind::TooLarge
            | EngineErrorKind::Unreadable
            | EngineErrorKind::Damaged
            | EngineErrorKind::Constraint
            | EngineErrorKind::Other => Self::Contention,
        }
    }

    const fn backoff(self) -> Backoff {
        let (first, longest) = match self {
            Self::Contention => (Duration::from_millis(20), Duration::from_secs(1)),
            Self::Outage => (Duration::from_secs(1), Duration::from_secs(8)),
            // Its fixed half exceeds one second.
            Self::Tick => (Duration::from_millis(2_100), Duration::from_millis(2_100)),
        };
        Backoff { first, longest }
    }
}

/// Tries of one lease.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    began: Instant,
    tries: u32,
    doubt: Option<Instant>,
}

impl RetryBudget {
    pub(crate) const fn begin(now: Instant) -> Self {
        Self {
            began: now,
            tries: 0,
            doubt: None,
        }
    }

    /// Records that the outcome of a COMMIT is unknown; returns true the first time.
    pub(crate) fn enter_in_doubt(&mut self, now: Instant) -> bool {
        let is_first = self.doubt.is_none();
        if is_first {
            self.doubt = Some(now);
            // The next tries look for one receipt, and the pauses start again.
            self.tries = 0;
        }
        is_first
    }

    pub(crate) const fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Returns the instant after which no other try begins, whatever their number.
    pub(crate) fn ends_at(&self) -> Instant {
        match self.doubt {
            Some(doubt) => doubt + RESOLVE_FOR,
            None => self.began + TRY_FOR,
        }
    }

    /// Counts a failed try; returns the pause before the next, or none if there is no other.
    pub(crate) fn next(&mut self, pace: BackoffClass, now: Instant) -> Option<Duration> {
        let pause = pause(self.tries, self.doubt.map_or(pace, |_| BackoffClass::Contention));
        self.tries += 1;
        let (since, limit) = match self.doubt {
            Some(doubt) => (doubt, RESOLVE_FOR),
            None if self.tries >= TRIES_MAX => return None,
            None => (self.began, TRY_FOR),
        };
        (now - since + pause < limit).then_some(pause)
    }
}

pub(crate) fn pause(tries: u32, pace: BackoffClass) -> Duration {
    pace.backoff().pause(tries, random::number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_budget_allows_five_transactions() {
        let now = Instant::now();
        let mut budget = RetryBudget::begin(now);
        let pauses: Vec<_> = std::iter::from_fn(|| budget.next(BackoffClass::Contention, now)).collect();
        assert_eq!(pauses.len(), 4, "{pauses:?}");
    }

    #[test]
    fn no_transaction_begins_after_thirty_seconds() {
        let now = Instant::now();
        let mut budget = RetryBudget::begin(now);
        assert!(budget.next(BackoffClass::Outage, now).is_some());
        assert_eq!(budget.next(BackoffClass::Outage, now + TRY_FOR), None);
    }

    #[test]
    fn retries_outlast_a_short_outage() {
        for _ in 0..50 {
            let now = Instant::now();
            let mut budget = RetryBudget::begin(now);
            let waited: Duration = std::iter::from_fn(|| budget.next(BackoffClass::Outage, now)).sum();
            assert!(waited >= Duration::from_secs(7), "{waited:?}");
        }
    }

    #[test]
    fn clock_tick_pause_exceeds_one_second() {
        for tries in 0..4 {
            assert!(pause(tries, BackoffClass::Tick) > Duration::from_secs(1));
        }
    }

    #[test]
    fn in_doubt_retries_last_one_minute() {
        let mut now = Instant::now();
        let mut budget = RetryBudget::begin(now);
        for _ in 0..4 {
            budget.next(BackoffClass::Outage, now);
        }
        assert!(budget.enter_in_doubt(now) && !budget.enter_in_doubt(now));
        let mut tries = 0;
        while let Some(pause) = budget.next(BackoffClass::Outage, now) {
            assert!(pause <= Duration::from_secs(1));
            now += pause;
            tries += 1;
        }
        assert!(tries > 55, "{tries}");
    }
}
