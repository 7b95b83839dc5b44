//! Retries with exponential backoff and jitter, bounded in number and time. The caller decides which errors are
//! transient.

use std::time::Duration;

use tokio::time::Instant;

/// Limits and backoff of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum number of attempts, including the first; at least one is made.
    pub attempts_max: u32,
    /// Upper bound of the random pause after the first attempt; it doubles after each attempt.
    pub pause_first: Duration,
    /// Maximum pause.
    pub pause_max: Duration,
    /// Maximum time from the first attempt to the start of the last.
    pub total_max: Duration,
}

impl Default for RetryPolicy {
    /// Five attempts within ten seconds, with pauses of up to 50 ms that grow to up to 2 s.
    fn default() -> Self {
        Self {
            attempts_max: 5,
            pause_first: Duration::from_millis(50),
            pause_max: Duration::from_secs(2),
            total_max: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// Returns the pause after attempt number `attempt` (from 1): a random part of the bound of that attempt.
    pub fn pause(&self, attempt: u32, random: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let bound = self
            .pause_first
            .saturating_mul(1 << doublings)
            .min(self.pause_max);
        let bound_us = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random % bound_us.saturating_add(1))
    }
}

/// Calls `operation` until it succeeds, fails with an error that is not transient, or the policy is exhausted;
/// then returns the last error. `random` supplies the jitter (`chassis::random::number` outside tests).
///
/// # Errors
/// The error of the last attempt.
pub async fn retry<T, E, Fut>(
    policy: RetryPolicy,
    mut random: impl FnMut() -> u64,
    is_transient: impl Fn(&E) -> bool,
    mut operation: impl FnMut() -> Fut,
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + policy.total_max;
    let mut attempt = 1;
    loop {
        let error = match operation().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let pause = policy.pause(attempt, random());
        if attempt >= policy.attempts_max || !is_transient(&error) || Instant::now() + pause > end {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn attempts_made(
        policy: RetryPolicy,
        random: u64,
        succeed_at: u32,
        transient: bool,
    ) -> (u32, bool) {
        let mut made = 0;
        let outcome = retry(
            policy,
            || random,
            |()| transient,
            || {
                made += 1;
                let result = if made == succeed_at { Ok(()) } else { Err(()) };
                async move { result }
            },
        )
        .await;
        (made, outcome.is_ok())
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_permanent_errors_stop_retries() {
        let policy = RetryPolicy::default();
        assert_eq!(attempts_made(policy, 0, 3, true).await, (3, true));
        assert_eq!(attempts_made(policy, 0, 99, true).await, (5, false));
        assert_eq!(attempts_made(policy, 0, 99, false).await, (1, false));
    }

    #[tokio::test]
    async fn no_attempt_begins_after_the_total_time() {
        let hour = Duration::from_secs(3_600);
        let policy = RetryPolicy {
            pause_first: hour,
            pause_max: hour,
            ..RetryPolicy::default()
        };
        assert_eq!(attempts_made(policy, 1_800_000_000, 99, true).await, (1, false));
    }

    #[test]
    fn pauses_grow_within_bounds_and_depend_on_the_random_number() {
        let policy = RetryPolicy::default();
        for attempt in 1..200 {
            let bound_us = (50_000_u64 << (attempt - 1).min(10)).min(2_000_000);
            assert!(policy.pause(attempt, u64::from(attempt) * 7_919_777) <= Duration::from_micros(bound_us));
        }
        assert_eq!(policy.pause(1, 0), Duration::ZERO);
        assert_eq!(policy.pause(1, 50_000), Duration::from_millis(50));
    }
}
