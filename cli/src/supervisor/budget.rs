//! Restart budget and backoff of a child. Only restarts without a healthy interval between them count, so that
//! rare exits of a long-running child do not use up the budget. Also paces the starts of one command.

use std::time::Duration;

use synapsor_chassis::retry::Backoff;

/// Run time after which a child counts as healthy; its restart count is then reset.
const HEALTHY: Duration = Duration::from_secs(300);
/// Maximum number of restarts without a healthy interval; further restarts would not help.
const RESTARTS_MAX: u32 = 10;
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(10),
};

/// Pauses between the starts of one command: another process may hold what the child needs for as long as it runs.
const START_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(8),
};

/// Starts of one child by one command.
#[derive(Debug, Default)]
pub(crate) struct StartPacing {
    starts: u32,
    paused_until: Duration,
}

impl StartPacing {
    /// Whether the child may be started `elapsed` after the begin of the command; counts the start if so.
    pub(crate) fn take(&mut self, elapsed: Duration) -> bool {
        let is_due = elapsed >= self.paused_until;
        if is_due {
            self.paused_until = elapsed + START_BACKOFF.bound(self.starts);
            self.starts += 1;
        }
        is_due
    }
}

/// Restart count of one child.
#[derive(Debug, Default)]
pub(super) struct Budget {
    used: u32,
}

impl Budget {
    /// Records an exit of the child, `ran` after its start. Returns the delay before the restart, or none if
    /// the budget is used up.
    pub(super) fn ended_after(&mut self, ran: Duration) -> Option<Duration> {
        if ran >= HEALTHY {
            self.used = 0;
        }
        if self.used == RESTARTS_MAX {
            return None;
        }
        let pause = BACKOFF.bound(self.used);
        self.used += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(2);

    #[test]
    fn few_starts_fit_into_the_wait_of_one_command() {
        let mut pacing = StartPacing::default();
        let due = (0..150).map(|n| Duration::from_millis(100) * n);
        let starts: Vec<_> = due.filter(|elapsed| pacing.take(*elapsed)).collect();
        assert_eq!(starts.first(), Some(&Duration::ZERO));
        assert!((4..8).contains(&starts.len()), "{starts:?}");
    }

    #[test]
    fn repeated_exits_exhaust_restart_budget() {
        let mut budget = Budget::default();
        let pauses: Vec<_> = std::iter::from_fn(|| budget.ended_after(SOON)).collect();
        assert_eq!(pauses.len(), 10);
        assert_eq!((pauses[0], pauses[9]), (BACKOFF.first, BACKOFF.longest));
        assert_eq!(budget.ended_after(SOON), None);
    }

    #[test]
    fn healthy_interval_resets_restart_budget() {
        let mut budget = Budget::default();
        // A child may exit once a day for years.
        for _ in 0..1_000 {
            assert_eq!(budget.ended_after(HEALTHY), Some(BACKOFF.first));
        }
        for _ in 1..10 {
            assert!(budget.ended_after(SOON).is_some());
        }
        assert_eq!(budget.ended_after(SOON), None);
        assert_eq!(budget.ended_after(HEALTHY), Some(BACKOFF.first));
    }
}
