//! Per-caller limits: request rate, concurrent requests, open streams. Keeps entries of recently active callers
//! only, and a bounded number of them.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;

use super::sessions::SESSIONS_PER_CALLER_MAX;

const CALLERS_MAX: usize = 10_000;
const REQUESTS_IN_FLIGHT_MAX: usize = 64;
const STREAMS_MAX: usize = 64;
/// Burst size, in seconds of the request rate.
const BURST_SECONDS: u32 = 4;
/// After this idle time the bucket is full again, so evicting the caller loses nothing.
const EVICT_AFTER: Duration = Duration::from_secs(2 * BURST_SECONDS as u64);

/// Recently active callers, and their sessions.
#[derive(Debug)]
pub(super) struct CallerLimits {
    /// Of one session, and of a caller's requests outside sessions.
    quota: Quota,
    /// Of everything that a caller sends.
    total: Quota,
    known: Mutex<HashMap<Arc<str>, Known>>,
}

#[derive(Debug)]
struct Known {
    standing: Arc<CallerQuota>,
    used: Instant,
}

/// Remaining limits of one caller or session.
#[derive(Debug)]
pub(super) struct CallerQuota {
    bucket: DefaultDirectRateLimiter,
    total: DefaultDirectRateLimiter,
    pub(super) requests: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
}

impl CallerLimits {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let quota = |per_second: NonZeroU32| {
            let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
            Quota::per_second(per_second).allow_burst(burst)
        };
        let sessions = u32::try_from(SESSIONS_PER_CALLER_MAX).unwrap_or(u32::MAX);
        Self {
            quota: quota(per_second),
            total: quota(per_second.saturating_mul(NonZeroU32::MIN.saturating_add(sessions - 1))),
            known: Mutex::default(),
        }
    }

    /// Returns the caller's limits, or `None` if too many callers are active.
    pub(super) fn standing(&self, key: &str) -> Option<Arc<CallerQuota>> {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get_mut(key) {
            found.used = now;
            return Some(found.standing.clone());
        }
        if known.len() >= CALLERS_MAX {
            sweep(&mut known, now);
        }
        if known.len() >= CALLERS_MAX {
            return None;
        }
        let standing = Arc::new(CallerQuota {
            bucket: RateLimiter::direct(self.quota),
            total: RateLimiter::direct(self.total),
            requests: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        });
        let entry = Known {
            standing: standing.clone(),
            used: now,
        };
        known.insert(key.into(), entry);
        Some(standing)
    }

    /// Takes one request of a caller, from the rate of its session if it has one. The sessions of a caller count
    /// apart, so that a busy one leaves the others their rate; together they have the rate of as many as a caller
    /// may have. The error is the wait time in whole seconds; of a session that cannot be counted, one second.
    pub(super) fn take(&self, caller: &CallerQuota, session: Option<&str>) -> Result<(), u64> {
        wait(&caller.total)?;
        match session {
            None => caller.take(),
            // No key of a caller contains this character.
            Some(id) => self.standing(&format!("session\0{id}")).ok_or(1_u64)?.take(),
        }
    }

    /// Evicts idle callers.
    pub(super) fn sweep(&self) {
        sweep(
            &mut self.known.lock().unwrap_or_else(PoisonError::into_inner),
            Instant::now(),
        );
    }
}

fn sweep(known: &mut HashMap<Arc<str>, Known>, now: Instant) {
    known.retain(|_, entry| {
        let is_taken = entry.standing.requests.available_permits() < REQUESTS_IN_FLIGHT_MAX
            || entry.standing.streams.available_permits() < STREAMS_MAX;
        is_taken || now.duration_since(entry.used) < EVICT_AFTER
    });
}

impl CallerQuota {
    fn take(&self) -> Result<(), u64> {
        wait(&self.bucket)
    }
}

/// Takes one request from a bucket. The error is the wait time in whole seconds.
fn wait(bucket: &DefaultDirectRateLimiter) -> Result<(), u64> {
    bucket.check().map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        wait.as_secs() + 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_have_separate_buckets() {
        let callers = CallerLimits::new(NonZeroU32::new(5).unwrap());
        let taken = |key: &str| {
            let standing = callers.standing(key).unwrap();
            (0..50).take_while(|_| standing.take().is_ok()).count()
        };
        assert!((20..25).contains(&taken("a")));
        assert!((20..25).contains(&taken("b")));
        assert_eq!(taken("a"), 0);
        assert_eq!(callers.standing("a").unwrap().take(), Err(1));
    }

    #[test]
    fn sessions_of_a_caller_have_separate_buckets_within_a_total() {
        let callers = CallerLimits::new(NonZeroU32::new(5).unwrap());
        let caller = callers.standing("a").unwrap();
        let taken = |session: Option<&str>| {
            (0..50)
                .take_while(|_| callers.take(&caller, session).is_ok())
                .count()
        };
        assert!((20..25).contains(&taken(Some("one"))));
        assert!((20..25).contains(&taken(Some("two"))));
        assert!((20..25).contains(&taken(None)));
        assert_eq!(taken(Some("one")), 0);
        let all: usize = (0..100).map(|n| taken(Some(&format!("s{n}")))).sum();
        // 32 sessions have 20 requests each.
        assert!(all < 32 * 25, "{all}");
    }

    #[test]
    fn callers_are_bounded_and_idle_ones_evicted() {
        let callers = CallerLimits::new(NonZeroU32::MIN);
        for number in 0..CALLERS_MAX {
            assert!(callers.standing(&number.to_string()).is_some());
        }
        assert!(callers.standing("one more").is_none());
        assert!(callers.standing("0").is_some());
        let held = callers
            .standing("1")
            .unwrap()
            .requests
            .clone()
            .try_acquire_owned();
        let later = Instant::now() + EVICT_AFTER + Duration::from_secs(1);
        sweep(&mut callers.known.lock().unwrap(), later);
        assert_eq!(callers.known.lock().unwrap().len(), 1);
        drop(held);
    }
}
