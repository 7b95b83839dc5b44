//! Caches the receipts that the ledger has taken from this process, so that they are not reported again.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synapsor_domain::ids::ProposalId;

/// Maximum number of cached proposals; reporting an evicted one again changes nothing.
const SETTLED_MAX: usize = 100_000;

/// Receipts that the ledger holds. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    ids: HashSet<ProposalId>,
    order: VecDeque<ProposalId>,
}

impl Settled {
    pub(crate) fn add(&self, id: &ProposalId) {
        let mut known = self.lock();
        if !known.ids.insert(id.clone()) {
            return;
        }
        known.order.push_back(id.clone());
        if known.order.len() > SETTLED_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.ids.remove(&oldest);
        }
    }

    pub(crate) fn has(&self, id: &ProposalId) -> bool {
        self.lock().ids.contains(id)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
