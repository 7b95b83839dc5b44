//! The switches in memory: those in force, and those not durable yet. Performs no I/O.

use std::collections::{BTreeMap, BTreeSet};

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::Unfreeze;
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};

use super::flights::Flights;
use super::mark::Mark;
use super::store::{FileName, Loaded};
use super::{FreezeInForce, SignedSwitch};

/// Maximum size of rejection bodies that wait in memory while they cannot be written. Beyond it only the id is
/// kept: it still rejects, and only its tombstone requires the rejection to be sent again.
const UNSAVED_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct State {
    frozen_locally: bool,
    /// Signed freezes by digest, ended ones included.
    freezes: BTreeMap<Digest, DsseEnvelope>,
    /// Lifts by the freeze that they end.
    lifts: BTreeMap<Digest, (Digest, DsseEnvelope)>,
    /// Nonces of unfreezes that were used.
    nonces: BTreeSet<String>,
    /// Switches that exist and have no effect here.
    noted: BTreeSet<Digest>,
    /// Switches that this process confirmed to the ledger.
    pub(super) confirmed: BTreeSet<Digest>,
    /// Sources whose receipt table holds a freeze or lift.
    pub(super) recorded: BTreeSet<(String, Digest)>,
    rejections: BTreeSet<ProposalId>,
    /// Rejections of an earlier version: without bodies, and never removed.
    legacy_rejections: BTreeSet<ProposalId>,
    pub(super) flights: Flights,
    pub(super) mark: Mark,
    unsaved: BTreeMap<FileName, Vec<u8>>,
    /// Those whose last write failed.
    failed: BTreeSet<FileName>,
    unsaved_bytes: usize,
}

impl State {
    pub(super) fn of(loaded: Loaded) -> Result<Self, ExitError> {
        let unreadable = |what: &str| {
            ExitError::new(
                ErrorCode::SwitchesUnreadable,
                format!("writer switches not readable: {what}"),
            )
            .with_fix("restore the file from a backup; a writer that lost a freeze must not start")
        };
        let mut state = Self {
            frozen_locally: loaded.is_frozen_locally,
            nonces: loaded.nonces.into_iter().collect(),
            rejections: loaded.rejections.into_iter().collect(),
            legacy_rejections: loaded.legacy_rejections.into_iter().collect(),
            mark: Mark::of(loaded.high_water),
            ..Self::default()
        };
        for envelope in loaded.freezes {
            let digest = envelope
                .digest(ObjectKind::Freeze)
                .map_err(|_| unreadable("a freeze file does not hold a freeze"))?;
            state.freezes.insert(digest, envelope);
        }
        for envelope in loaded.lifts {
            let lift: Option<Unfreeze> = envelope.decode_unverified(ObjectKind::Unfreeze).ok();
            let ended = lift.and_then(|lift| lift.freeze_digest);
            let ended = ended.ok_or_else(|| unreadable("a lift file does not hold a lift"))?;
            state.lifts.insert(
                ended,
                (Digest::of(ObjectKind::Unfreeze, &envelope.payload), envelope),
            );
        }
        Ok(state)
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen_locally || self.freezes.keys().any(|digest| !self.lifts.contains_key(digest))
    }

    pub(super) const fn is_frozen_locally(&self) -> bool {
        self.frozen_locally
    }

    pub(super) fn in_force(&self) -> Vec<FreezeInForce> {
        let signed = self
            .freezes
            .keys()
            .filter(|digest| !self.lifts.contains_key(*digest));
        let signed = signed.map(|digest| FreezeInForce {
            digest: Some(*digest),
        });
        let local = self.frozen_locally.then_some(FreezeInForce { digest: None });
        local.into_iter().chain(signed).collect()
    }

    pub(super) fn knows(&self, digest: Digest) -> bool {
        self.freezes.contains_key(&digest)
            || self.lifts.contains_key(&digest)
            || self.lifts.values().any(|(lift, _)| *lift == digest)
            || self.noted.contains(&digest)
    }

    pub(super) fn note(&mut self, digest: Digest) {
        self.noted.insert(digest);
    }

    /// Adds a signed freeze; returns whether it is new.
    pub(super) fn freeze(&mut self, digest: Digest, envelope: &DsseEnvelope) -> bool {
        self.freezes.insert(digest, envelope.clone()).is_none()
    }

    pub(super) fn is_lifted(&self, freeze: Digest) -> bool {
        self.lifts.contains_key(&freeze)
    }

    pub(super) fn lift(&mut self, freeze: Digest, lift: Digest, envelope: &DsseEnvelope) {
        self.lifts.insert(freeze, (lift, envelope.clone()));
    }

    pub(super) fn signed(&self) -> Vec<SignedSwitch> {
        let signed = |freeze: &Digest, is_lift, envelope: &DsseEnvelope| SignedSwitch {
            freeze: *freeze,
            is_lift,
            envelope: envelope.clone(),
        };
        let freezes = self.freezes.iter().map(|(freeze, e)| signed(freeze, false, e));
        let lifts = self.lifts.iter().map(|(freeze, (_, e))| signed(freeze, true, e));
        freezes.chain(lifts).collect()
    }

    /// Sets the local freeze; returns whether it is new.
    pub(super) fn freeze_locally(&mut self) -> bool {
        !std::mem::replace(&mut self.frozen_locally, true)
    }

    pub(super) fn lift_locally(&mut self) {
        self.frozen_locally = false;
        self.saved(&FileName::LocalFreeze);
    }

    pub(super) fn is_used(&self, nonce: &str) -> bool {
        self.nonces.contains(nonce)
    }

    pub(super) fn use_nonce(&mut self, nonce: String) {
        self.nonces.insert(nonce);
    }

    pub(super) fn is_rejected(&self, id: &ProposalId) -> bool {
        self.rejections.contains(id) || self.legacy_rejections.contains(id)
    }

    /// Adds a rejection; returns whether it is new.
    pub(super) fn reject(&mut self, id: &ProposalId) -> bool {
        self.rejections.insert(id.clone())
    }

    /// Ends a rejection; returns whether it had a file.
    pub(super) fn end_rejection(&mut self, id: &ProposalId) -> bool {
        self.saved(&FileName::Rejection(id.clone()));
        self.rejections.remove(id)
    }

    pub(super) fn rejections_after(&self, after: Option<&ProposalId>, limit: usize) -> Vec<ProposalId> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.clone()));
        self.rejections
            .range((from, Bound::Unbounded))
            .take(limit)
            .cloned()
            .collect()
    }

    pub(super) fn is_durable(&self) -> bool {
        self.failed.is_empty() && !self.mark.is_unsaved()
    }

    /// Queues `bytes` to be written; returns the name if anything is queued.
    pub(super) fn unsaved(&mut self, name: FileName, bytes: Option<Vec<u8>>) -> Option<FileName> {
        if let Some(mut bytes) = bytes {
            if self.unsaved_bytes + bytes.len() > UNSAVED_BYTES_MAX && matches!(name, FileName::Rejection(_))
            {
                bytes = Vec::new();
            }
            self.unsaved_bytes += bytes.len();
            self.unsaved.insert(name.clone(), bytes);
        }
        self.unsaved.contains_key(&name).then_some(name)
    }

    pub(super) fn unsaved_bytes(&self, name: &FileName) -> Option<Vec<u8>> {
        self.unsaved.get(name).cloned()
    }

    /// Records that the write failed.
    pub(super) fn failed(&mut self, name: &FileName) {
        if self.unsaved.contains_key(name) {
            self.failed.insert(name.clone());
        }
    }

    pub(super) fn saved(&mut self, name: &FileName) {
        self.failed.remove(name);
        if let Some(bytes) = self.unsaved.remove(name) {
            self.unsaved_bytes -= bytes.len();
        }
    }

    pub(super) fn next_failed(&self) -> Option<FileName> {
        self.failed.first().cloned()
    }
}
