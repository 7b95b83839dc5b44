//! System clock. No other module reads the operating system's time; all code takes a [`Clock`] or a number of
//! milliseconds.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};

/// Source of wall-clock and monotonic time.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
    /// Milliseconds since an arbitrary start, including suspended time. Setting the machine's clock does not
    /// change it.
    fn monotonic_ms(&self) -> i64;
}

/// The clock that also counts suspended time.
#[cfg(target_os = "linux")]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

/// Clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "only this module reads the machine's clock"
    )]
    fn now_ms(&self) -> i64 {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("the machine's clock is after 1970");
        i64::try_from(since_epoch.as_millis()).expect("milliseconds since 1970 fit in 63 bits")
    }

    fn monotonic_ms(&self) -> i64 {
        let since_boot = rustix::time::clock_gettime(SINCE_BOOT);
        since_boot.tv_sec * 1_000 + since_boot.tv_nsec / 1_000_000
    }
}

/// Clock that only tests advance, for example to test deadlines.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicI64,
}

impl ManualClock {
    /// Creates a clock whose wall time is `now_ms`.
    pub fn at(now_ms: i64) -> Self {
        Self {
            wall_ms: AtomicI64::new(now_ms),
            monotonic_ms: AtomicI64::new(0),
        }
    }

    /// Sets the wall time, forwards or backwards; the monotonic time stays.
    pub fn set_ms(&self, now_ms: i64) {
        self.wall_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Advances both times by `by_ms` and returns the new wall time.
    pub fn advance_ms(&self, by_ms: i64) -> i64 {
        self.monotonic_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.wall_ms.fetch_add(by_ms, Ordering::SeqCst) + by_ms
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> i64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_on_request() {
        let clock = ManualClock::at(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        assert_eq!(clock.advance_ms(250), 1_250);
        clock.set_ms(7);
        assert_eq!(clock.now_ms(), 7);
        assert_eq!(clock.monotonic_ms(), 250);
    }

    #[test]
    fn monotonic_time_never_goes_back() {
        let before = SystemClock.monotonic_ms();
        assert!(before > 0 && SystemClock.monotonic_ms() >= before);
    }

    #[test]
    fn system_clock_is_after_2023() {
        assert!(SystemClock.now_ms() > 1_700_000_000_000);
    }
}
