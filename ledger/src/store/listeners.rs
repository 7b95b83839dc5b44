//! Notifies the streams that a batch concerns: lease streams by source, watches by tenant. Other events notify no
//! stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// An event that changed a proposal, with the topics that it concerns.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    pub(crate) seq: u64,
    pub(crate) tenant: String,
    pub(crate) source: String,
    /// Whether it adds work for writers or frees capacity for other work.
    pub(crate) is_for_writers: bool,
    /// Whether it is a freeze or lift, which concerns the writers of every source.
    pub(crate) is_for_all_sources: bool,
}

/// Topic of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    Source(String),
    Tenant(String),
}

/// Range of events from `first` up to but not including `end`; contains every event that concerns the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) end: u64,
}

/// All listeners.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    by_topic: Mutex<HashMap<Topic, Vec<Arc<Slot>>>>,
}

#[derive(Debug, Default)]
struct Slot {
    pending: Mutex<Option<Range>>,
    woken: Notify,
}

/// One listener, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    listeners: Arc<Listeners>,
    topics: Vec<Topic>,
    slot: Arc<Slot>,
}

impl Listeners {
    /// Registers a listener: every later batch that changes a proposal of these topics is pending until it is
    /// taken.
    pub(crate) fn listen(self: &Arc<Self>, mut topics: Vec<Topic>) -> Listening {
        topics.sort_by(|a, b| a.key().cmp(&b.key()));
        topics.dedup();
        let slot = Arc::new(Slot::default());
        let mut by_topic = self.lock();
        for topic in &topics {
            by_topic.entry(topic.clone()).or_default().push(slot.clone());
        }
        drop(by_topic);
        Listening {
            listeners: self.clone(),
            topics,
            slot,
        }
    }

    /// Notifies the listeners of these events. It is called when the events are readable and before the head shows
    /// them. A listener without a pending range has therefore missed nothing below the head.
    pub(crate) fn wake(&self, moved: &[Moved]) {
        if moved.is_empty() {
            return;
        }
        let by_topic = self.lock();
        for event in moved {
            let range = Range {
                first: event.seq,
                end: event.seq + 1,
            };
            if event.is_for_all_sources {
                let sources = by_topic
                    .iter()
                    .filter(|(topic, _)| matches!(topic, Topic::Source(_)));
                sources
                    .flat_map(|(_, slots)| slots)
                    .for_each(|slot| slot.add(range));
                continue;
            }
            let source = event.is_for_writers.then(|| Topic::Source(event.source.clone()));
            let topics = [source, Some(Topic::Tenant(event.tenant.clone()))];
            for slot in topics
                .iter()
                .flatten()
                .filter_map(|topic| by_topic.get(topic))
                .flatten()
            {
                slot.add(range);
            }
        }
    }

    /// Notifies every listener, when the topics of the events are unknown.
    pub(crate) fn wake_all(&self, range: Range) {
        for slot in self.lock().values().flatten() {
            slot.add(range);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Vec<Arc<Slot>>>> {
        self.by_topic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topic {
    fn key(&self) -> (u8, &str) {
        match self {
            Self::Source(name) => (0, name),
            Self::Tenant(name) => (1, name),
        }
    }
}

impl Slot {
    fn add(&self, range: Range) {
        let mut pending = self.lock();
        *pending = Some(pending.map_or(range, |known| Range {
            first: known.first.min(range.first),
            end: known.end.max(range.end),
        }));
        self.woken.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Range>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    /// Returns when a range is pending. Dropping the future loses nothing.
    pub(crate) async fn woken(&self) {
        while self.peek().is_none() {
            self.slot.woken.notified().await;
        }
    }

    /// Returns the pending range without taking it.
    pub(crate) fn peek(&self) -> Option<Range> {
        *self.slot.lock()
    }

    /// Takes the pending range.
    pub(crate) fn take(&self) -> Option<Range> {
        self.slot.lock().take()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut by_topic = self.listeners.lock();
        for topic in &self.topics {
            if let Some(slots) = by_topic.get_mut(topic) {
                slots.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
                if slots.is_empty() {
                    by_topic.remove(topic);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(seq: u64, tenant: &str, source: &str) -> Moved {
        Moved {
            seq,
            tenant: tenant.to_owned(),
            source: source.to_owned(),
            is_for_writers: true,
            is_for_all_sources: false,
        }
    }

    #[test]
    fn listener_is_notified_only_of_its_topics() {
        let listeners = Arc::new(Listeners::default());
        let acme = listeners.listen(vec![Topic::Tenant("acme".into())]);
        let billing = listeners.listen(vec![Topic::Source("billing".into()), Topic::Source("x".into())]);
        listeners.wake(&[moved(4, "globex", "billing"), moved(6, "globex", "x")]);
        assert_eq!(acme.peek(), None);
        assert_eq!(billing.take(), Some(Range { first: 4, end: 7 }));
        listeners.wake(&[moved(9, "acme", "crm")]);
        assert_eq!(billing.peek(), None);
        assert_eq!(acme.take(), Some(Range { first: 9, end: 10 }));
        // A tenant and a source with the same name are different topics.
        listeners.wake(&[moved(10, "billing", "acme")]);
        assert_eq!((acme.peek(), billing.peek()), (None, None));
        let submitted = Moved {
            is_for_writers: false,
            ..moved(11, "globex", "billing")
        };
        listeners.wake(&[submitted]);
        assert_eq!(billing.peek(), None);
    }

    #[tokio::test]
    async fn notification_before_the_wait_is_kept() {
        let listeners = Arc::new(Listeners::default());
        let acme = listeners.listen(vec![Topic::Tenant("acme".into())]);
        listeners.wake_all(Range { first: 1, end: 3 });
        acme.woken().await;
        assert_eq!(acme.take(), Some(Range { first: 1, end: 3 }));
    }

    #[test]
    fn dropped_listener_is_removed() {
        let listeners = Arc::new(Listeners::default());
        drop(listeners.listen(vec![Topic::Tenant("acme".into()), Topic::Source("s".into())]));
        assert!(listeners.lock().is_empty());
    }
}
