//! What stops a writer: the freeze switch, denies given to it directly, and the attempts in flight that they
//! must race. Freeze, denies and the time high-water mark survive a restart as files of the state folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use synapsor_chassis::files::{self, FileError, MODE_PRIVATE};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::timestamp::{Span, Timestamp};
use tokio::sync::Notify;

/// Bytes of the files kept here.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Denied proposals that are remembered; the oldest ids go first, long after they have ended.
const DENIES_MAX: usize = 10_000;
/// The high-water mark is written down when it has moved by this much.
const HIGH_WATER_STEP: Span = Span::seconds(30);

/// The switches of one writer.
#[derive(Debug)]
pub struct Switches {
    folder: PathBuf,
    inner: Mutex<Inner>,
    landed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    frozen: bool,
    denied: BTreeSet<String>,
    flights: BTreeMap<ProposalId, Flight>,
    high_water: Option<Timestamp>,
    written: Option<Timestamp>,
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flight {
    /// Can still be stopped.
    Stoppable,
    /// The update may be on its way; the outcome decides.
    Committing,
}

impl Switches {
    /// Reads what an earlier process left in the writer's state folder.
    pub fn load(folder: PathBuf) -> Result<Self, FileError> {
        let read = |name: &str| match files::read_bounded(&folder.join(name), FILE_BYTES_MAX) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(FileError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        };
        let denied = read(DENIES)?
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        let high_water = read(HIGH_WATER)?.and_then(|text| text.trim().parse().ok());
        let frozen = read(FREEZE)?.is_some();
        let inner = Inner {
            frozen,
            denied,
            high_water,
            written: high_water,
            ..Inner::default()
        };
        Ok(Self {
            folder,
            inner: Mutex::new(inner),
            landed: Notify::new(),
        })
    }

    pub fn is_frozen(&self) -> bool {
        self.lock().frozen
    }

    /// Durable before it returns.
    pub fn set_frozen(&self, frozen: bool) -> Result<(), FileError> {
        let mut inner = self.lock();
        let path = self.folder.join(FREEZE);
        if frozen {
            files::write_atomic(&path, b"frozen\n", MODE_PRIVATE)?;
        } else {
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                // Still frozen: the file would bring the freeze back at the next start.
                Err(_) => return Err(FileError::Denied(path)),
            }
        }
        inner.frozen = frozen;
        Ok(())
    }

    pub fn is_denied(&self, id: &ProposalId) -> bool {
        self.lock().denied.contains(id.as_str())
    }

    /// Remembers a deny durably and says how far a running attempt has come, in one step, so that an attempt
    /// either sees the deny or has passed the point of no return before it.
    pub fn deny(&self, id: &ProposalId) -> Result<Option<Flight>, FileError> {
        let mut inner = self.lock();
        if inner.denied.insert(id.to_string()) {
            while inner.denied.len() > DENIES_MAX {
                inner.denied.pop_first();
            }
            let lines: String = inner.denied.iter().flat_map(|d| [d.as_str(), "\n"]).collect();
            files::write_atomic(&self.folder.join(DENIES), lines.as_bytes(), MODE_PRIVATE)?;
        }
        Ok(inner.flights.get(id).copied())
    }

    /// Registers an attempt, after any other of the same proposal in this process has ended.
    pub async fn take_off(&self, id: &ProposalId) -> FlightGuard<'_> {
        loop {
            let landed = self.landed.notified();
            tokio::pin!(landed);
            // Enrolled before looking, so that a landing in between is not missed.
            landed.as_mut().enable();
            if let Some(flight) = self.try_take_off(id) {
                return flight;
            }
            landed.await;
        }
    }

    fn try_take_off(&self, id: &ProposalId) -> Option<FlightGuard<'_>> {
        let mut inner = self.lock();
        if inner.flights.contains_key(id) {
            return None;
        }
        inner.flights.insert(id.clone(), Flight::Stoppable);
        Some(FlightGuard {
            switches: self,
            id: id.clone(),
        })
    }

    /// The latest time seen, raised to `now`.
    pub fn high_water(&self, now: Timestamp) -> Timestamp {
        let mut inner = self.lock();
        let high = inner.high_water.map_or(now, |h| h.max(now));
        inner.high_water = Some(high);
        if inner.written.is_none_or(|w| high - w >= HIGH_WATER_STEP) {
            // Losing the mark weakens one hint about the clock; it must not stop a writeback.
            if files::write_atomic(
                &self.folder.join(HIGH_WATER),
                high.to_string().as_bytes(),
                MODE_PRIVATE,
            )
            .is_ok()
            {
                inner.written = Some(high);
            }
        }
        high
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const DENIES: &str = "denied";
const HIGH_WATER: &str = "clock-high-water";
const FREEZE: &str = "frozen";

/// An attempt in flight; ends when dropped.
#[derive(Debug)]
pub struct FlightGuard<'a> {
    switches: &'a Switches,
    id: ProposalId,
}

impl FlightGuard<'_> {
    /// Passes the point of no return unless the proposal is denied or everything is frozen.
    pub fn commit_to(&self) -> bool {
        let mut inner = self.switches.lock();
        if inner.frozen || inner.denied.contains(self.id.as_str()) {
            return false;
        }
        inner.flights.insert(self.id.clone(), Flight::Committing);
        true
    }

    /// Back before the point of no return: the transaction was rolled back.
    pub fn step_back(&self) {
        self.switches
            .lock()
            .flights
            .insert(self.id.clone(), Flight::Stoppable);
    }
}

impl Drop for FlightGuard<'_> {
    fn drop(&mut self) {
        self.switches.lock().flights.remove(&self.id);
        self.switches.landed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches() -> (tempfile::TempDir, Switches) {
        let folder = tempfile::tempdir().unwrap();
        let switches = Switches::load(folder.path().to_owned()).unwrap();
        (folder, switches)
    }

    fn id() -> ProposalId {
        ProposalId::from_random([1; 10])
    }

    #[test]
    fn a_deny_wins_before_the_point_of_no_return_and_is_told_so_after_it() {
        let (_folder, switches) = switches();
        let flight = switches.try_take_off(&id()).unwrap();
        assert_eq!(switches.deny(&id()).unwrap(), Some(Flight::Stoppable));
        assert!(!flight.commit_to());
        let other = ProposalId::from_random([2; 10]);
        let flight = switches.try_take_off(&other).unwrap();
        assert!(flight.commit_to());
        assert_eq!(switches.deny(&other).unwrap(), Some(Flight::Committing));
    }

    #[test]
    fn denies_and_freeze_survive_a_restart() {
        let (folder, switches) = switches();
        switches.deny(&id()).unwrap();
        switches.set_frozen(true).unwrap();
        let again = Switches::load(folder.path().to_owned()).unwrap();
        assert!(again.is_denied(&id()) && again.is_frozen());
        again.set_frozen(false).unwrap();
        assert!(!Switches::load(folder.path().to_owned()).unwrap().is_frozen());
    }

    #[tokio::test]
    async fn one_proposal_has_one_attempt_at_a_time_and_the_next_waits() {
        let (_folder, switches) = switches();
        let first = switches.take_off(&id()).await;
        assert!(switches.try_take_off(&id()).is_none());
        let identity = id();
        let second = switches.take_off(&identity);
        tokio::pin!(second);
        assert!(
            std::future::Future::poll(
                second.as_mut(),
                &mut std::task::Context::from_waker(std::task::Waker::noop())
            )
            .is_pending()
        );
        drop(first);
        second.await;
    }

    #[test]
    fn the_clock_s_high_water_mark_never_falls() {
        let (folder, switches) = switches();
        let late = Timestamp::from_unix_millis(2_000_000_000_000);
        assert_eq!(switches.high_water(late), late);
        let early = Timestamp::from_unix_millis(1_000_000_000_000);
        assert_eq!(switches.high_water(early), late);
        assert_eq!(
            Switches::load(folder.path().to_owned())
                .unwrap()
                .high_water(early),
            late
        );
    }
}
