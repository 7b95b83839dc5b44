//! The ledger's wall clock as the writer received it last, extrapolated with the monotonic clock.

use std::sync::{Arc, Mutex, PoisonError};

use synapsor_chassis::clock::Clock;
use synapsor_domain::timestamp::{Span, Timestamp};

/// Clones share the last value. The time is a hint: it is not signed, and guarantees based on it
/// (`synapsor_domain::writeback::ClockReading`) hold although a ledger may lie.
#[derive(Debug, Clone)]
pub(crate) struct LedgerTime {
    clock: Arc<dyn Clock>,
    last: Arc<Mutex<Option<LedgerTimeReading>>>,
}

/// One reading of the ledger's clock.
#[derive(Debug, Clone, Copy)]
struct LedgerTimeReading {
    ledger_ms: i64,
    monotonic_ms: i64,
}

impl LedgerTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            last: Arc::default(),
        }
    }

    /// Returns this writer's own wall clock for the ledger, in milliseconds since 1970.
    pub(crate) fn own_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Records the time in a response; 0 means none.
    pub(crate) fn learn(&self, ledger_ms: i64) {
        if ledger_ms > 0 {
            let answer = LedgerTimeReading {
                ledger_ms,
                monotonic_ms: self.clock.monotonic_ms(),
            };
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
    }

    /// Returns the ledger's time now; `None` before the first reading.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|answer| {
            let since_ms = self.clock.monotonic_ms() - answer.monotonic_ms;
            Timestamp::from_unix_millis(answer.ledger_ms) + Span::millis(since_ms)
        })
    }
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::clock::ManualClock;

    use super::*;

    #[test]
    fn ledger_time_advances_with_monotonic_clock_only() {
        let clock = Arc::new(ManualClock::at(1_000));
        let time = LedgerTime::new(clock.clone());
        time.learn(0);
        assert_eq!(time.now(), None);
        time.learn(5_000_000);
        clock.set_ms(9_000_000);
        clock.advance_ms(250);
        assert_eq!(time.now(), Some(Timestamp::from_unix_millis(5_000_250)));
    }
}
