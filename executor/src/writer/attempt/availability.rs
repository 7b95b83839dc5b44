//! Tracks whether the database of a source answers. While it does not, attempts wait instead of retrying one
//! after the other, and one probe detects its return; then all of them continue at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::writer::Writer;

/// Time without a successful probe after which a suspected source counts as unreachable.
const AWAY_AFTER: Duration = Duration::from_secs(1);
/// Interval between the starts of two probes.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Maximum duration of one probe: a slow server is not an unreachable one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of concurrent probes, enough to start one at every tick: a connection that hangs must not
/// delay the probe that would detect the server's return.
const PROBES_MAX: usize = 7;

/// Availability phase of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Answers,
    /// An attempt has failed; a probe is in progress.
    Suspected,
    Away,
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    /// Number of times the source was unreachable and returned.
    returns: u64,
}

/// Availability of one source.
pub(crate) struct Availability {
    source: String,
    writer: Arc<Writer>,
    state: watch::Sender<State>,
}

impl Availability {
    pub(crate) fn new(source: String, writer: Arc<Writer>) -> Arc<Self> {
        Arc::new(Self {
            source,
            writer,
            state: watch::Sender::new(State {
                phase: Phase::Answers,
                returns: 0,
            }),
        })
    }

    /// Records that an attempt did not reach the source. Probes it until it answers.
    pub(crate) fn suspect(self: &Arc<Self>) {
        let is_new = self.state.send_if_modified(|state| {
            let is_new = state.phase == Phase::Answers;
            if is_new {
                state.phase = Phase::Suspected;
            }
            is_new
        });
        if is_new {
            let probing = Probing(self.clone());
            tokio::spawn(async move { probing.run().await });
        }
    }

    /// Returns whether the source is unreachable, or failed an attempt and answered no probe since.
    pub(crate) fn is_failing(&self) -> bool {
        self.state.borrow().phase != Phase::Answers
    }

    /// Returns when the source is unreachable or suspected to be.
    pub(crate) async fn fails(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| state.phase != Phase::Answers).await;
    }

    /// Returns when the source is not known to be unreachable.
    pub(crate) async fn answers(&self) {
        let mut state = self.state.subscribe();
        // The sender is owned by `self`, so waiting cannot fail.
        let _ = state.wait_for(|state| state.phase != Phase::Away).await;
    }

    /// Returns when the source was unreachable and has returned; waits that began before cannot succeed.
    pub(crate) async fn comes_back(&self) {
        let mut state = self.state.subscribe();
        let before = state.borrow().returns;
        let _ = state.wait_for(|state| state.returns != before).await;
    }
}

impl fmt::Debug for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Availability")
            .field("source", &self.source)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

/// Probes of a suspected source. However they end, no attempt waits for them afterwards.
struct Probing(Arc<Availability>);

impl Probing {
    async fn run(&self) {
        let Availability { source, writer, .. } = &*self.0;
        let mut probes = JoinSet::new();
        let mut ticks = tokio::time::interval(PROBE_EVERY);
        let away = tokio::time::sleep(AWAY_AFTER);
        tokio::pin!(away);
        loop {
            tokio::select! {
                _ = ticks.tick() => if probes.len() < PROBES_MAX {
                    let (writer, source) = (writer.clone(), source.clone());
                    probes.spawn(async move { is_there(&writer, &source).await });
                },
                Some(probe) = probes.join_next() => if probe.unwrap_or(false) { return },
                () = &mut away, if !self.is_away() => {
                    tracing::warn!(source, "source not reachable; attempts wait");
                    self.0.state.send_modify(|state| state.phase = Phase::Away);
                }
            }
        }
    }

    fn is_away(&self) -> bool {
        self.0.state.borrow().phase == Phase::Away
    }
}

async fn is_there(writer: &Writer, source: &str) -> bool {
    let Ok(engine) = writer.engine(source) else {
        return false;
    };
    let identity = tokio::time::timeout(PROBE_TIMEOUT, engine.identity());
    matches!(identity.await, Ok(Ok(_)))
}

impl Drop for Probing {
    fn drop(&mut self) {
        if self.is_away() {
            tracing::info!(source = self.0.source, "source reachable again");
        }
        self.0.state.send_modify(|state| {
            if state.phase == Phase::Away {
                state.returns += 1;
            }
            state.phase = Phase::Answers;
        });
    }
}
