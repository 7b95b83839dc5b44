//! How often a child is started again, and after which pause. Only restarts without a healthy interval between them
//! count: a child that served well for a while and then ends is not one that keeps ending.

use std::time::Duration;

/// A child that ran for so long was healthy, and what was before it is forgotten.
const HEALTHY: Duration = Duration::from_secs(300);
/// One that ends more often than this without it has a reason that starting it again does not remove.
const RESTARTS_MAX: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The restarts of one child.
#[derive(Debug, Default)]
pub(super) struct Budget {
    used: u32,
}

impl Budget {
    /// Counts an end of the child, `ran` after its start: the pause before it is to be started again, or none if that
    /// is of no use any more.
    pub(super) fn ended_after(&mut self, ran: Duration) -> Option<Duration> {
        if ran >= HEALTHY {
            self.used = 0;
        }
        if self.used == RESTARTS_MAX {
            return None;
        }
        let pause = (PAUSE_FIRST * 2_u32.saturating_pow(self.used)).min(PAUSE_MAX);
        self.used += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(2);

    #[test]
    fn child_that_keeps_ending_is_given_up() {
        let mut budget = Budget::default();
        let pauses: Vec<_> = std::iter::from_fn(|| budget.ended_after(SOON)).collect();
        assert_eq!(pauses.len(), 10);
        assert_eq!((pauses[0], pauses[9]), (PAUSE_FIRST, PAUSE_MAX));
        assert_eq!(budget.ended_after(SOON), None);
    }

    #[test]
    fn healthy_interval_gives_a_fresh_budget() {
        let mut budget = Budget::default();
        // A child that ends once a day does so for years.
        for _ in 0..1_000 {
            assert_eq!(budget.ended_after(HEALTHY), Some(PAUSE_FIRST));
        }
        for _ in 1..10 {
            assert!(budget.ended_after(SOON).is_some());
        }
        assert_eq!(budget.ended_after(SOON), None);
        assert_eq!(budget.ended_after(HEALTHY), Some(PAUSE_FIRST));
    }
}
