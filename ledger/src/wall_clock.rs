//! The ledger's wall clock, and whether it may expire proposals.
//!
//! An expiry is final, so a stepped wall clock must not cause one. While the wall clock differs from the monotonic
//! clock by more than the allowed skew, nothing expires until the clock is set back or a writer reports the same
//! time. The writer's time is not signed and needs no signature: it expires nothing by itself, and the ledger only
//! trusts its own clock again.

use std::sync::{Arc, Mutex, PoisonError};

use synapsor_chassis::clock::Clock;
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::{CLOCK_SKEW_SECONDS, DATABASE_SKEW_SECONDS};
use synapsor_domain::timestamp::{Span, Timestamp};

/// Clock that every part of the ledger uses.
#[derive(Debug)]
pub(crate) struct WallClock {
    clock: Arc<dyn Clock>,
    trusted: Mutex<Trusted>,
}

/// Reading of both clocks from when the wall clock was trusted.
#[derive(Debug, Clone, Copy)]
struct Trusted {
    wall_ms: i64,
    monotonic_ms: i64,
    /// Whether the step since then was logged.
    is_reported: bool,
}

impl WallClock {
    /// Trusts the current wall clock.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let trusted = Mutex::new(Trusted::read(clock.as_ref()));
        Self { clock, trusted }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.now_ms())
    }

    /// Returns the time that decides expiry; `None` while the wall clock is not trusted.
    pub(crate) fn expiry_time(&self) -> Option<Timestamp> {
        let now = Trusted::read(self.clock.as_ref());
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        let step_ms = (now.wall_ms - trusted.wall_ms) - (now.monotonic_ms - trusted.monotonic_ms);
        if step_ms.abs() > Span::seconds(CLOCK_SKEW_SECONDS).as_millis() {
            if !trusted.is_reported {
                trusted.is_reported = true;
                tracing::warn!(
                    code = %ErrorCode::ClockStepped,
                    seconds = step_ms / 1_000,
                    "wall clock was stepped; no expiry is recorded until a writer confirms it or it is set back"
                );
            }
            return None;
        }
        trusted.is_reported = false;
        Some(Timestamp::from_unix_millis(now.wall_ms))
    }

    /// Compares a writer's wall clock in milliseconds since 1970, 0 for none. A time that agrees with the ledger's
    /// wall clock makes that clock trusted.
    pub(crate) fn compare_with_writer(&self, writer_now_ms: i64) {
        let now = Trusted::read(self.clock.as_ref());
        let apart_ms = now.wall_ms.saturating_sub(writer_now_ms).saturating_abs();
        if writer_now_ms > 0 && apart_ms <= Span::seconds(DATABASE_SKEW_SECONDS).as_millis() {
            *self.trusted.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }
}

impl Trusted {
    fn read(clock: &dyn Clock) -> Self {
        Self {
            wall_ms: clock.now_ms(),
            monotonic_ms: clock.monotonic_ms(),
            is_reported: false,
        }
    }
}
