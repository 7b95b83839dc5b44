//! Attempts in flight, which race against stops: each passes the point of no return atomically with its check of
//! the switches.

use std::collections::BTreeMap;

use synapsor_domain::ids::ProposalId;
use synapsor_source::SwitchRow;
use synapsor_writeback::Controls;

use super::WriterControls;

/// Phase of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptPhase {
    /// Can still be stopped.
    Stoppable,
    /// The UPDATE may have been sent; the outcome decides.
    Committing,
}

/// Attempts of this process by proposal.
pub(super) type Flights = BTreeMap<ProposalId, AttemptPhase>;

impl WriterControls {
    /// Registers an attempt, after any other of the same proposal in this process has ended.
    pub(crate) async fn register_attempt(&self, id: &ProposalId) -> AttemptGuard {
        loop {
            let landed = self.shared.landed.notified();
            tokio::pin!(landed);
            // Enabled before the check, so that no notification in between is missed.
            landed.as_mut().enable();
            if let Some(flight) = self.try_take_off(id) {
                return flight;
            }
            landed.await;
        }
    }

    pub(super) fn try_take_off(&self, id: &ProposalId) -> Option<AttemptGuard> {
        let mut state = self.lock();
        if state.flights.contains_key(id) {
            return None;
        }
        state.flights.insert(id.clone(), AttemptPhase::Stoppable);
        Some(AttemptGuard {
            switches: self.clone(),
            id: id.clone(),
        })
    }

    /// Returns the attempts past the point of no return.
    pub(crate) fn committing(&self) -> Vec<ProposalId> {
        let state = self.lock();
        let committing = state
            .flights
            .iter()
            .filter(|(_, f)| **f == AttemptPhase::Committing);
        committing.map(|(id, _)| id.clone()).collect()
    }
}

/// Attempt in flight; ends when dropped.
#[derive(Debug)]
pub(crate) struct AttemptGuard {
    switches: WriterControls,
    id: ProposalId,
}

impl Controls for AttemptGuard {
    fn is_frozen_by(&self, found: &[SwitchRow]) -> bool {
        self.switches.take_found(found)
    }

    /// Passes the point of no return unless the proposal is rejected, everything is frozen, or a switch is not
    /// durable.
    fn try_enter_commit(&self) -> bool {
        let mut state = self.switches.lock();
        if state.is_frozen() || state.is_rejected(&self.id) || !state.is_durable() {
            return false;
        }
        state.flights.insert(self.id.clone(), AttemptPhase::Committing);
        true
    }

    /// Returns before the point of no return: the transaction was rolled back.
    fn leave_commit(&self) {
        self.switches
            .lock()
            .flights
            .insert(self.id.clone(), AttemptPhase::Stoppable);
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.switches.lock().flights.remove(&self.id);
        self.switches.shared.landed.notify_waiters();
    }
}

/// Guard of a dry run: a frozen writer sends no UPDATE.
#[derive(Debug)]
pub(in crate::writer) struct DryRunControls<'a> {
    switches: &'a WriterControls,
}

impl<'a> DryRunControls<'a> {
    pub(in crate::writer) const fn new(switches: &'a WriterControls) -> Self {
        Self { switches }
    }
}

impl Controls for DryRunControls<'_> {
    fn is_frozen_by(&self, found: &[SwitchRow]) -> bool {
        self.switches.take_found(found)
    }

    fn try_enter_commit(&self) -> bool {
        !self.switches.is_frozen()
    }

    fn leave_commit(&self) {}
}
