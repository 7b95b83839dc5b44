//! Attempts in flight, which stops must race: each passes the point of no return in one step with the look at the
//! switches.

use std::collections::BTreeMap;

use synapsor_domain::ids::ProposalId;
use synapsor_source::SwitchRow;
use synapsor_writeback::Controls;

use super::WriterControls;

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptPhase {
    /// Can still be stopped.
    Stoppable,
    /// The update may be on its way; the outcome decides.
    Committing,
}

/// The attempts of this process by proposal.
pub(super) type Flights = BTreeMap<ProposalId, AttemptPhase>;

impl WriterControls {
    /// Registers an attempt, after any other of the same proposal in this process has ended.
    pub async fn register_attempt(&self, id: &ProposalId) -> AttemptGuard {
        loop {
            let landed = self.shared.landed.notified();
            tokio::pin!(landed);
            // Enrolled before looking, so that a landing in between is not missed.
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

    /// Attempts past the point of no return.
    pub fn committing(&self) -> Vec<ProposalId> {
        let state = self.lock();
        let committing = state
            .flights
            .iter()
            .filter(|(_, f)| **f == AttemptPhase::Committing);
        committing.map(|(id, _)| id.clone()).collect()
    }
}

/// An attempt in flight; ends when dropped.
#[derive(Debug)]
pub struct AttemptGuard {
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

    /// Back before the point of no return: the transaction was rolled back.
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

/// What can stop a dry run: a frozen writer sends no UPDATE.
#[derive(Debug)]
pub(in crate::writeback) struct DryRunControls<'a> {
    switches: &'a WriterControls,
}

impl<'a> DryRunControls<'a> {
    pub(in crate::writeback) const fn new(switches: &'a WriterControls) -> Self {
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
