//! Retries with exponential backoff and jitter, bounded in number and time. The caller decides which errors are
//! transient.

use std::time::Duration;

use tokio::time::Instant;

/// Pauses that double up to a maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first pause.
    pub first: Duration,
    /// Bound of every pause.
    pub longest: Duration,
}

impl Backoff {
    /// Returns the bound of pause number `n`, from 0.
    pub fn bound(&self, n: u32) -> Duration {
        self.first.saturating_mul(1 << n.min(31)).min(self.longest)
    }

    /// Returns pause number `n`, from 0: half of its bound, and a random part of the other half, so that callers
    /// that failed together do not retry together.
    pub fn pause(&self, n: u32, random: u64) -> Duration {
        let half = self.bound(n) / 2;
        let half_us = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(random % half_us.saturating_add(1))
    }
}

/// Limits and backoff of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum number of attempts, including the first; at least one is made.
    pub attempts_max: u32,
    pub backoff: Backoff,
    /// Maximum time from the first attempt to the start of the last.
    pub total_max: Duration,
}

impl Default for RetryPolicy {
    /// Five attempts within ten seconds, with pauses of up to 50 ms that grow to up to 2 s.
    fn default() -> Self {
        Self {
            attempts_max: 5,
            backoff: Backoff {
                first: Duration::from_millis(50),
                longest: Duration::from_secs(2),
            },
            total_max: Duration::from_secs(10),
        }
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
        let pause = policy.backoff.pause(attempt - 1, random());
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
            backoff: Backoff {
                first: hour,
                longest: hour,
            },
            ..RetryPolicy::default()
        };
        assert_eq!(attempts_made(policy, 1_800_000_000, 99, true).await, (1, false));
    }

    #[test]
    fn pauses_grow_within_bounds_and_depend_on_the_random_number() {
        let backoff = RetryPolicy::default().backoff;
        for n in 0..200 {
            let bound = Duration::from_micros((50_000_u64 << n.min(10)).min(2_000_000));
            let pause = backoff.pause(n, u64::from(n) * 7_919_777);
            assert!((bound / 2..=bound).contains(&pause), "{n}: {pause:?}");
        }
        assert_eq!(backoff.pause(0, 0), Duration::from_millis(25));
        assert_eq!(backoff.pause(0, 25_000), Duration::from_millis(50));
    }
}
