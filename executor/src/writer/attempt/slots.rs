//! Limits the concurrent attempts at one source. Slots rotate between tenants, and one is reserved for attempts
//! in doubt, so that neither a busy tenant nor a locked table blocks all others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Slots that only attempts in doubt may take.
const RESERVED: usize = 1;
/// Slots beyond the number that one tenant may hold, so that another tenant gets one at once.
const FOR_OTHERS: usize = 1;

/// Purpose of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Ordinary,
    /// To resolve the outcome of an attempt, or to end one with a tombstone.
    Reserved,
}

/// Slots of one source.
#[derive(Debug)]
pub(crate) struct Slots(Arc<Mutex<State>>);

/// One slot, released when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Option<SlotHolder>);

#[derive(Debug)]
struct SlotHolder {
    state: Arc<Mutex<State>>,
    /// Tenant that the slot counts against; `None` for an attempt in doubt.
    tenant: Option<String>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Slots that one tenant may hold.
    tenant_max: usize,
    held: HashMap<String, usize>,
    reserved: VecDeque<oneshot::Sender<Slot>>,
    /// Waiting attempts by tenant, in the order in which tenants are served.
    tenants: VecDeque<(String, VecDeque<oneshot::Sender<Slot>>)>,
}

impl Slots {
    /// `tenant_max` slots for one tenant, one more for others, and the reserved one.
    pub(crate) fn new(tenant_max: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: tenant_max + FOR_OTHERS + RESERVED,
            tenant_max,
            held: HashMap::new(),
            reserved: VecDeque::new(),
            tenants: VecDeque::new(),
        })))
    }

    /// Waits for a slot. Dropping the future leaves the queue.
    pub(crate) async fn take(&self, tenant: &str, need: Need) -> Slot {
        let waiting = {
            let mut state = lock(&self.0);
            let share = (need == Need::Ordinary).then_some(tenant);
            if state.has_free(share) {
                state.take(share);
                return Slot::new(&self.0, share);
            }
            let (sender, waiting) = oneshot::channel();
            match need {
                Need::Reserved => state.reserved.push_back(sender),
                Need::Ordinary => state.queue(tenant, sender),
            }
            waiting
        };
        waiting
            .await
            .expect("the sender is kept until it has sent a slot")
    }
}

impl State {
    /// Waiting attempts go first: a free slot that one of them may take is not free.
    fn has_free(&self, tenant: Option<&str>) -> bool {
        match tenant {
            None => self.free > 0 && self.reserved.is_empty(),
            Some(tenant) => {
                self.free > RESERVED
                    && self.reserved.is_empty()
                    && self.may_hold_more(tenant)
                    && !self
                        .tenants
                        .iter()
                        .any(|(waiting, _)| self.may_hold_more(waiting))
            }
        }
    }

    fn may_hold_more(&self, tenant: &str) -> bool {
        self.held.get(tenant).is_none_or(|held| *held < self.tenant_max)
    }

    fn take(&mut self, tenant: Option<&str>) {
        self.free -= 1;
        if let Some(tenant) = tenant {
            *self.held.entry(tenant.to_owned()).or_default() += 1;
        }
    }

    fn give_back(&mut self, tenant: Option<&str>) {
        self.free += 1;
        if let Some(tenant) = tenant
            && let Some(held) = self.held.get_mut(tenant)
        {
            *held -= 1;
            if *held == 0 {
                self.held.remove(tenant);
            }
        }
    }

    fn queue(&mut self, tenant: &str, sender: oneshot::Sender<Slot>) {
        match self.tenants.iter_mut().find(|(name, _)| name == tenant) {
            Some((_, waiting)) => waiting.push_back(sender),
            None => self
                .tenants
                .push_back((tenant.to_owned(), VecDeque::from([sender]))),
        }
    }

    /// Takes the next free slot for a waiting attempt; returns that attempt.
    fn next(&mut self) -> Option<(oneshot::Sender<Slot>, Option<String>)> {
        if self.free == 0 {
            return None;
        }
        if let Some(sender) = self.reserved.pop_front() {
            self.take(None);
            return Some((sender, None));
        }
        if self.free <= RESERVED {
            return None;
        }
        let at = (0..self.tenants.len()).find(|at| self.may_hold_more(&self.tenants[*at].0))?;
        let (tenant, mut waiting) = self.tenants.remove(at)?;
        let sender = waiting.pop_front()?;
        self.take(Some(&tenant));
        if !waiting.is_empty() {
            self.tenants.push_back((tenant.clone(), waiting));
        }
        Some((sender, Some(tenant)))
    }
}

impl Slot {
    fn new(state: &Arc<Mutex<State>>, tenant: Option<&str>) -> Self {
        Self(Some(SlotHolder {
            state: state.clone(),
            tenant: tenant.map(str::to_owned),
        }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(SlotHolder { state, tenant }) = self.0.take() else {
            return;
        };
        lock(&state).give_back(tenant.as_deref());
        loop {
            let next = lock(&state).next();
            let Some((sender, tenant)) = next else { return };
            match sender.send(Self::new(&state, tenant.as_deref())) {
                Ok(()) => return,
                // The receiver is gone. The returned slot is emptied, so that its drop does not release it again.
                Err(mut slot) => {
                    slot.0 = None;
                    lock(&state).give_back(tenant.as_deref());
                }
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = Slot> + 'a>>;

    fn poll(waiting: &mut Waiting<'_>) -> Option<Slot> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match waiting.as_mut().poll(&mut context) {
            Poll::Ready(slot) => Some(slot),
            Poll::Pending => None,
        }
    }

    fn wants<'a>(slots: &'a Slots, tenant: &'a str, need: Need) -> Waiting<'a> {
        Box::pin(slots.take(tenant, need))
    }

    #[test]
    fn slots_rotate_between_tenants() {
        let slots = Slots::new(1);
        let mut held = vec![
            poll(&mut wants(&slots, "acme", Need::Ordinary)).unwrap(),
            poll(&mut wants(&slots, "globex", Need::Ordinary)).unwrap(),
        ];
        let mut acme: Vec<_> = (0..3).map(|_| wants(&slots, "acme", Need::Ordinary)).collect();
        assert!(acme.iter_mut().all(|w| poll(w).is_none()));
        let mut globex = wants(&slots, "globex", Need::Ordinary);
        assert!(poll(&mut globex).is_none());
        // Each release gives the other tenant's slot to the attempt of that tenant that has waited longest.
        drop(held.remove(0));
        held.push(poll(&mut acme[0]).unwrap());
        assert!(poll(&mut globex).is_none() && poll(&mut acme[1]).is_none());
        drop(held.remove(0));
        held.push(poll(&mut globex).unwrap());
        assert!(poll(&mut acme[1]).is_none());
    }

    #[test]
    fn tenant_at_its_limit_leaves_a_slot_for_another() {
        let slots = Slots::new(2);
        let acme = [(); 2].map(|()| poll(&mut wants(&slots, "acme", Need::Ordinary)).unwrap());
        let mut third = wants(&slots, "acme", Need::Ordinary);
        assert!(poll(&mut third).is_none());
        let globex = poll(&mut wants(&slots, "globex", Need::Ordinary)).expect("a slot for another tenant");
        drop(globex);
        assert!(poll(&mut third).is_none(), "acme exceeded its limit");
        drop(acme);
        assert!(poll(&mut third).is_some());
    }

    #[test]
    fn in_doubt_attempt_gets_the_reserved_slot() {
        let slots = Slots::new(1);
        let ordinary = ["acme", "globex"].map(|t| poll(&mut wants(&slots, t, Need::Ordinary)).unwrap());
        let mut third = wants(&slots, "initech", Need::Ordinary);
        assert!(poll(&mut third).is_none());
        let doubt = poll(&mut wants(&slots, "acme", Need::Reserved)).unwrap();
        let mut second_doubt = wants(&slots, "acme", Need::Reserved);
        assert!(poll(&mut second_doubt).is_none());
        drop(doubt);
        assert!(
            poll(&mut third).is_none(),
            "the reserved slot is only for attempts in doubt"
        );
        assert!(poll(&mut second_doubt).is_some());
        drop(ordinary);
        assert!(poll(&mut third).is_some());
    }

    #[test]
    fn slot_of_a_dropped_waiter_goes_to_the_next() {
        let slots = Slots::new(1);
        let held = ["acme", "globex"].map(|t| poll(&mut wants(&slots, t, Need::Ordinary)).unwrap());
        let mut gone = wants(&slots, "initech", Need::Ordinary);
        let mut sent = wants(&slots, "hooli", Need::Ordinary);
        let mut last = wants(&slots, "umbrella", Need::Ordinary);
        for waiting in [&mut gone, &mut sent, &mut last] {
            assert!(poll(waiting).is_none());
        }
        drop(gone);
        let [acme, globex] = held;
        drop(acme);
        // It was sent to a waiter that is dropped before it receives.
        drop(sent);
        assert!(poll(&mut last).is_some());
        drop(globex);
        let state = lock(&slots.0);
        assert_eq!((state.free, state.held.len()), (3, 0));
    }
}
