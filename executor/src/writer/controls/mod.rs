//! Controls that stop a writer: freezes, rejections and the time mark, and the attempts in flight that they
//! race.
//!
//! A switch takes effect in memory first. It is confirmed only when it is durable; until then the writer takes
//! no work, and repeating a failed request does not report success.

mod flights;
mod mark;
mod state;
mod store;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synapsor_chassis::files::FileError;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{VerifiedFreeze, VerifiedLift};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_source::SwitchRow;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub(super) use flights::{AttemptGuard, AttemptPhase, DryRunControls};

use state::State;
use store::{FileName, SwitchFiles};

/// Interval between retries of a switch that could not be written.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

/// Switches of one writer. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct WriterControls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: SwitchFiles,
    state: Mutex<State>,
    /// Serializes changes of the files, so that they follow the order in memory.
    writing: Mutex<()>,
    landed: Notify,
    /// Notified when a freeze or lift is new.
    changed: Notify,
    durable: watch::Sender<bool>,
}

/// File content of a rejection: enough to end its proposal in the source later.
#[derive(Debug, Serialize, Deserialize)]
struct RejectionFile {
    proposal: DsseEnvelope,
    decision: DsseEnvelope,
}

/// Switch in force at this writer, for confirmations and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FreezeInForce {
    /// Absent for the unsigned freeze of this writer alone.
    pub(crate) digest: Option<Digest>,
}

/// Freeze or lift as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedSwitch {
    /// The freeze, or the freeze that the lift ends.
    pub(crate) freeze: Digest,
    pub(crate) is_lift: bool,
    pub(crate) envelope: DsseEnvelope,
}

impl WriterControls {
    /// Locks the state directory for this writer and reads the switches that an earlier process left.
    ///
    /// # Errors
    /// `STATE_DIR_IN_USE` while another writer holds it; `SWITCHES_UNREADABLE` when any file is malformed.
    pub(crate) fn open(state_dir: PathBuf) -> Result<Self, ExitError> {
        let (files, loaded) = SwitchFiles::open(state_dir)?;
        let state = State::of(loaded)?;
        Ok(Self {
            shared: Arc::new(Shared {
                files,
                state: Mutex::new(state),
                writing: Mutex::new(()),
                landed: Notify::new(),
                changed: Notify::new(),
                durable: watch::channel(true).0,
            }),
        })
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.lock().is_frozen()
    }

    /// Returns every freeze in force.
    pub(crate) fn freezes(&self) -> Vec<FreezeInForce> {
        self.lock().in_force()
    }

    /// Returns whether this writer received the freeze or lift with this digest.
    pub(crate) fn knows(&self, digest: Digest) -> bool {
        self.lock().knows(digest)
    }

    pub(crate) fn is_rejected(&self, id: &ProposalId) -> bool {
        self.lock().is_rejected(id)
    }

    /// Watches whether every switch is durable: false while one is in effect in memory only.
    pub(crate) fn durable(&self) -> watch::Receiver<bool> {
        self.shared.durable.subscribe()
    }

    /// Fails while a switch or the time mark is not durable.
    pub(crate) fn check_durable(&self) -> Result<(), PublicError> {
        if self.lock().is_durable() {
            Ok(())
        } else {
            Err(not_writable())
        }
    }

    /// Freezes this writer alone, without a signature.
    ///
    /// # Errors
    /// `STATE_NOT_WRITABLE`: frozen in memory, and not durable.
    pub(crate) async fn freeze_locally(&self) -> Result<(), PublicError> {
        let unsaved = {
            let mut state = self.lock();
            let is_new = state.freeze_locally();
            state.unsaved(FileName::LocalFreeze, is_new.then(|| b"frozen\n".to_vec()))
        };
        self.save(unsaved).await
    }

    /// Ends the unsigned freeze of this writer on an unfreeze with this nonce, once.
    ///
    /// # Errors
    /// `refused:nonce` for a nonce used before, `refused:freeze` when there is no unsigned freeze to end, and
    /// `STATE_NOT_WRITABLE`, in which case the writer stays frozen.
    pub(crate) async fn lift_locally(&self, nonce: &str) -> Result<(), PublicError> {
        {
            let state = self.lock();
            if state.is_used(nonce) {
                let text = "unfreeze used before; sign a new one";
                return Err(PublicError::new(ErrorCode::RefusedNonce, text));
            }
            if !state.is_frozen_locally() {
                let text =
                    "this writer has no unsigned freeze; a signed freeze is ended by a lift that names it";
                return Err(PublicError::new(ErrorCode::RefusedFreeze, text));
            }
        }
        let this = self.clone();
        let nonce = nonce.to_owned();
        // The nonce first: without it the same unfreeze could end a later freeze.
        on_disk(move || {
            let _writing = this.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
            this.shared.files.write(&FileName::Nonce(nonce.clone()), b"")?;
            this.lock().use_nonce(nonce);
            this.shared.files.remove(&FileName::LocalFreeze)?;
            this.lock().lift_locally();
            this.publish();
            Ok(())
        })
        .await
    }

    /// Applies a signed freeze of the deployment.
    ///
    /// # Errors
    /// `STATE_NOT_WRITABLE`: frozen in memory, and not durable.
    pub(crate) async fn freeze(
        &self,
        freeze: &VerifiedFreeze,
        envelope: &DsseEnvelope,
    ) -> Result<(), PublicError> {
        let unsaved = {
            let mut state = self.lock();
            let is_new = state.freeze(freeze.digest(), envelope);
            state.unsaved(freeze_file(freeze.digest()), is_new.then(|| bytes_of(envelope)))
        };
        self.shared.changed.notify_one();
        self.save(unsaved).await
    }

    /// Applies a lift: only the freeze that it names ends.
    ///
    /// # Errors
    /// `STATE_NOT_WRITABLE`, in which case the freeze stays in force.
    pub(crate) async fn lift(&self, lift: &VerifiedLift, envelope: &DsseEnvelope) -> Result<(), PublicError> {
        let (this, lift, envelope) = (self.clone(), lift.clone(), envelope.clone());
        on_disk(move || {
            if this.lock().is_lifted(lift.freeze_digest()) {
                return Ok(());
            }
            let _writing = this.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let name = FileName::Lift(hex::encode(lift.freeze_digest().as_bytes()));
            this.shared.files.write(&name, &bytes_of(&envelope))?;
            this.lock().lift(lift.freeze_digest(), lift.digest(), &envelope);
            this.shared.changed.notify_one();
            Ok(())
        })
        .await
    }

    /// Applies freezes and lifts that a source holds; returns whether one of them is in force. No file is
    /// needed: the source holds them, and the other sources receive them from this writer.
    pub(crate) fn take_found(&self, found: &[SwitchRow]) -> bool {
        let mut state = self.lock();
        for row in found {
            if let SwitchRow::Lift(lift) = row
                && !state.is_lifted(lift.freeze_digest())
            {
                state.lift(lift.freeze_digest(), lift.digest(), lift.envelope());
            }
        }
        let mut is_new = false;
        for row in found {
            if let SwitchRow::Freeze(freeze) = row {
                let is_first = state.freeze(freeze.digest(), freeze.envelope());
                is_new |= is_first && !state.is_lifted(freeze.digest());
            }
        }
        if is_new {
            tracing::warn!("source holds a freeze; writeback frozen");
            self.shared.changed.notify_one();
        }
        found.iter().any(|row| match row {
            SwitchRow::Freeze(freeze) => !state.is_lifted(freeze.digest()),
            SwitchRow::Unverified(digest) => !digest.is_some_and(|digest| state.is_lifted(digest)),
            SwitchRow::Lift(_) | SwitchRow::Void => false,
        })
    }

    /// Returns when a freeze or lift is new.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Records that the receipt table of a source holds this freeze or lift.
    pub(crate) fn recorded(&self, source: &str, switch: Digest) {
        self.lock().recorded.insert((source.to_owned(), switch));
    }

    /// Returns whether the receipt table of a source is known to hold this freeze or lift.
    pub(crate) fn is_recorded(&self, source: &str, switch: Digest) -> bool {
        self.lock().recorded.contains(&(source.to_owned(), switch))
    }

    /// Records a signed switch that has no effect here, such as a lift that came too late.
    pub(crate) fn note(&self, digest: Digest) {
        self.lock().note(digest);
    }

    /// Returns whether this switch is not confirmed to the ledger yet, and marks it as confirmed.
    pub(crate) fn begin_confirmation(&self, digest: Digest) -> bool {
        self.lock().confirmed.insert(digest)
    }

    /// Reverts [`Self::begin_confirmation`]: the confirmation did not arrive.
    pub(crate) fn retract_confirmation(&self, digest: Digest) {
        self.lock().confirmed.remove(&digest);
    }

    /// Applies a rejection and returns how far a running attempt has come, atomically: an attempt either sees
    /// the rejection or has passed the point of no return before it.
    ///
    /// # Errors
    /// `STATE_NOT_WRITABLE`: rejected in memory, and not durable.
    pub(crate) async fn reject(
        &self,
        id: &ProposalId,
        proposal: &DsseEnvelope,
        decision: &DsseEnvelope,
    ) -> Result<Option<AttemptPhase>, PublicError> {
        let (flight, unsaved) = {
            let mut state = self.lock();
            let body = || {
                let file = RejectionFile {
                    proposal: proposal.clone(),
                    decision: decision.clone(),
                };
                serde_json::to_vec(&file).unwrap_or_default()
            };
            let is_new = state.reject(id);
            let unsaved = state.unsaved(FileName::Rejection(id.clone()), is_new.then(body));
            (state.flights.get(id).copied(), unsaved)
        };
        self.save(unsaved).await?;
        Ok(flight)
    }

    /// Ends a rejection: a receipt shows how its proposal ended, and no attempt can follow.
    pub(crate) async fn end_rejection(&self, id: &ProposalId) {
        if !self.lock().end_rejection(id) {
            return;
        }
        self.publish();
        let (this, name) = (self.clone(), FileName::Rejection(id.clone()));
        let removed = on_disk(move || {
            let _writing = this.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
            this.shared.files.remove(&name)
        });
        if removed.await.is_err() {
            // A remaining file rejects a proposal that has ended; the next start detects that again.
            tracing::warn!(proposal = %id, "file of an ended rejection not removed");
        }
    }

    /// Returns at most `limit` rejections after the id `after` whose proposals are not known to have ended.
    pub(crate) fn rejections_after(&self, after: Option<&ProposalId>, limit: usize) -> Vec<ProposalId> {
        self.lock().rejections_after(after, limit)
    }

    /// Returns the proposal and decision of a rejection, for its tombstone; `None` if not stored or unreadable.
    pub(crate) fn rejection(&self, id: &ProposalId) -> Option<(DsseEnvelope, DsseEnvelope)> {
        let bytes = self.shared.files.read(&FileName::Rejection(id.clone()))?;
        let file: RejectionFile = serde_json::from_slice(&bytes).ok()?;
        Some((file.proposal, file.decision))
    }

    /// Returns the signed freezes and lifts that this writer knows.
    pub(crate) fn signed(&self) -> Vec<SignedSwitch> {
        self.lock().signed()
    }

    /// Retries the write of all switches that are not durable, as long as the process runs.
    pub(crate) async fn keep_saving(&self, stop: CancellationToken) {
        let mut durable = self.durable();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = durable.wait_for(|is_durable| !is_durable) => if changed.is_err() { return },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SAVE_AGAIN) => {}
            }
            let this = self.clone();
            if on_disk(move || this.save_all()).await.is_ok() {
                tracing::info!("switches durable again; writer takes work");
            }
        }
    }

    async fn save(&self, name: Option<FileName>) -> Result<(), PublicError> {
        let Some(name) = name else { return Ok(()) };
        let this = self.clone();
        on_disk(move || this.save_one(&name)).await
    }

    fn save_one(&self, name: &FileName) -> Result<(), FileError> {
        let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bytes) = self.lock().unsaved_bytes(name) else {
            return Ok(());
        };
        let written = self.shared.files.write(name, &bytes);
        match written {
            Ok(()) => self.lock().saved(name),
            Err(_) => self.lock().failed(name),
        }
        self.publish();
        written
    }

    /// Writes everything that is not durable; stops at the first failure.
    fn save_all(&self) -> Result<(), FileError> {
        self.save_mark()?;
        while let Some(name) = self.next_failed() {
            self.save_one(&name)?;
        }
        Ok(())
    }

    fn next_failed(&self) -> Option<FileName> {
        self.lock().next_failed()
    }

    /// Publishes whether everything is durable.
    fn publish(&self) {
        let is_durable = self.lock().is_durable();
        self.shared.durable.send_if_modified(|known| {
            let changed = *known != is_durable;
            *known = is_durable;
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn freeze_file(digest: Digest) -> FileName {
    FileName::Freeze(hex::encode(digest.as_bytes()))
}

fn bytes_of(envelope: &DsseEnvelope) -> Vec<u8> {
    envelope.to_bytes().unwrap_or_default()
}

async fn on_disk(work: impl FnOnce() -> Result<(), FileError> + Send + 'static) -> Result<(), PublicError> {
    let done = tokio::task::spawn_blocking(work).await;
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::error!(code = %error.code(), "switch not writable; writer takes no work");
            Err(not_writable())
        }
        Err(_) => Err(not_writable()),
    }
}

fn not_writable() -> PublicError {
    PublicError::new(
        ErrorCode::StateNotWritable,
        "state directory not writable: the stop is in effect in memory only, and the writer takes no work; \
         make the directory writable, or end the process",
    )
}
