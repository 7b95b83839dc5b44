//! The slots of one source: how many attempts are at its database at once. Tenants take turns, and one slot is kept for
//! attempts in doubt, so that neither a busy tenant nor a locked table keeps everybody else waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Slots that only attempts in doubt may take.
const RESERVED: usize = 1;

/// What a slot is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Ordinary,
    /// To find out how an attempt ended, or to end one for good.
    Reserved,
}

/// The slots of one source.
#[derive(Debug)]
pub(super) struct Slots(Arc<Mutex<State>>);

/// One slot, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot(Option<Arc<Mutex<State>>>);

#[derive(Debug)]
struct State {
    free: usize,
    reserved: VecDeque<oneshot::Sender<Slot>>,
    /// Who waits, by tenant, in the order of their turns.
    tenants: VecDeque<(String, VecDeque<oneshot::Sender<Slot>>)>,
}

impl Slots {
    /// `ordinary` slots for everybody, and the reserved one.
    pub(super) fn new(ordinary: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: ordinary + RESERVED,
            reserved: VecDeque::new(),
            tenants: VecDeque::new(),
        })))
    }

    /// Waits for a slot. Dropping the future gives the turn up.
    pub(super) async fn take(&self, tenant: &str, need: Need) -> Slot {
        let waiting = {
            let mut state = lock(&self.0);
            if state.has_free(need) {
                state.free -= 1;
                return Slot(Some(self.0.clone()));
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
    /// Whoever waits already goes first: a free slot with somebody waiting is not free.
    fn has_free(&self, need: Need) -> bool {
        match need {
            Need::Reserved => self.free > 0 && self.reserved.is_empty(),
            Need::Ordinary => self.free > RESERVED && self.tenants.is_empty() && self.reserved.is_empty(),
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

    /// Who is to have the next free slot.
    fn next(&mut self) -> Option<oneshot::Sender<Slot>> {
        if self.free == 0 {
            return None;
        }
        if let Some(sender) = self.reserved.pop_front() {
            return Some(sender);
        }
        if self.free <= RESERVED {
            return None;
        }
        let (tenant, mut waiting) = self.tenants.pop_front()?;
        let sender = waiting.pop_front();
        if !waiting.is_empty() {
            self.tenants.push_back((tenant, waiting));
        }
        sender
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        lock(&shared).free += 1;
        loop {
            let next = {
                let mut state = lock(&shared);
                let next = state.next();
                if next.is_some() {
                    state.free -= 1;
                }
                next
            };
            let Some(sender) = next else { return };
            match sender.send(Self(Some(shared.clone()))) {
                Ok(()) => return,
                // Nobody waits there any more; the slot comes back empty, so that its end is not another one's turn.
                Err(mut slot) => {
                    slot.0 = None;
                    lock(&shared).free += 1;
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
    fn tenants_take_turns_at_the_slots() {
        let slots = Slots::new(1);
        let first = poll(&mut wants(&slots, "acme", Need::Ordinary)).unwrap();
        let mut acme: Vec<_> = (0..3).map(|_| wants(&slots, "acme", Need::Ordinary)).collect();
        assert!(acme.iter_mut().all(|w| poll(w).is_none()));
        let mut globex = wants(&slots, "globex", Need::Ordinary);
        assert!(poll(&mut globex).is_none());
        drop(first);
        let second = poll(&mut acme[0]).unwrap();
        assert!(poll(&mut globex).is_none() && poll(&mut acme[1]).is_none());
        drop(second);
        let third = poll(&mut globex).unwrap();
        assert!(poll(&mut acme[1]).is_none());
        drop(third);
        assert!(poll(&mut acme[1]).is_some());
    }

    #[test]
    fn an_attempt_in_doubt_has_a_slot_when_all_others_are_taken() {
        let slots = Slots::new(2);
        let ordinary = [(); 2].map(|()| poll(&mut wants(&slots, "acme", Need::Ordinary)).unwrap());
        let mut third = wants(&slots, "acme", Need::Ordinary);
        assert!(poll(&mut third).is_none());
        let doubt = poll(&mut wants(&slots, "acme", Need::Reserved)).unwrap();
        let mut second_doubt = wants(&slots, "acme", Need::Reserved);
        assert!(poll(&mut second_doubt).is_none());
        drop(doubt);
        assert!(
            poll(&mut third).is_none(),
            "the reserved slot is for one in doubt"
        );
        assert!(poll(&mut second_doubt).is_some());
        drop(ordinary);
        assert!(poll(&mut third).is_some());
    }

    #[test]
    fn a_slot_that_nobody_waits_for_any_more_goes_to_the_next() {
        let slots = Slots::new(1);
        let held = poll(&mut wants(&slots, "acme", Need::Ordinary)).unwrap();
        let mut gone = wants(&slots, "acme", Need::Ordinary);
        let mut sent = wants(&slots, "globex", Need::Ordinary);
        let mut last = wants(&slots, "initech", Need::Ordinary);
        for waiting in [&mut gone, &mut sent, &mut last] {
            assert!(poll(waiting).is_none());
        }
        drop(gone);
        drop(held);
        // It was sent to one that goes away before looking.
        drop(sent);
        assert!(poll(&mut last).is_some());
        assert_eq!(lock(&slots.0).free, 2);
    }
}
