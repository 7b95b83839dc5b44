//! One round of deliveries: what is due, and what its results mean for the state of the webhook. Without I/O; time and
//! randomness are arguments.
//!
//! Events of one subject are delivered in the order of the log, one after the other. When one fails, the subject waits
//! and its later events wait with it, while other subjects continue. An event that fails too often becomes a dead
//! letter, and its subject continues after it.

use std::collections::BTreeSet;

use synapsor_chassis::retry::Backoff;
use synapsor_domain::webhook::{Delivery, WebhookEntry};

use crate::store::webhooks::{DeadLetter, WaitingSubject, WebhookProgress, subject_of};

/// Number of waiting subjects from which no new events are read, until some of them have ended.
pub(super) const WAITING_MAX: usize = 64;
/// Maximum number of new events of a round.
pub(super) const PAGE: usize = 32;
/// Maximum number of events of one waiting subject in a round.
pub(super) const SUBJECT_PAGE: usize = 16;
/// Maximum number of waiting subjects of a round.
pub(super) const DUE_MAX: usize = 3;
/// Number of dead letters from which a webhook stops, because it may not drop any.
pub(super) const DEAD_LETTERS_MAX: u64 = 10_000;

/// Events of one subject, which are delivered in order.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) subject: String,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) origin: LaneOrigin,
}

/// Why a lane is due.
#[derive(Debug)]
pub(super) enum LaneOrigin {
    New,
    /// A waiting subject; whether these are all of its events below the position.
    Waiting {
        is_complete: bool,
    },
    /// A dead letter that an operator scheduled.
    Scheduled(DeadLetter),
}

/// Result of a lane.
#[derive(Debug)]
pub(super) struct LaneEnd {
    pub(super) lane: Lane,
    /// Number of its events that the receiver accepted, from the first on.
    pub(super) delivered: usize,
    /// Why the next one was not accepted; `None` when it was not tried.
    pub(super) failure: Option<String>,
}

/// Everything that is due.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) lanes: Vec<Lane>,
    /// Position up to which new events were read.
    pub(super) position: u64,
    /// Waiting subjects with events among the new ones.
    pub(super) joined: BTreeSet<String>,
}

/// Changes of dead letters that a round made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeadLetterChanges {
    pub(super) added: Vec<DeadLetter>,
    pub(super) delivered: Vec<u64>,
    pub(super) failed_again: Vec<DeadLetter>,
}

/// Returns the waiting subjects that are due, the earliest first. One that would wait longer than the longest pause is
/// due, because the wall clock was set back.
pub(super) fn due(progress: &WebhookProgress, longest_ms: i64, now_ms: i64) -> Vec<String> {
    let is_due = |at_ms: i64| !(now_ms + 1..=now_ms.saturating_add(longest_ms)).contains(&at_ms);
    let mut due: Vec<_> = progress
        .waiting
        .iter()
        .filter(|(_, waiting)| is_due(waiting.retry_ms))
        .collect();
    due.sort_by_key(|(_, waiting)| (waiting.retry_ms, waiting.next));
    due.into_iter()
        .take(DUE_MAX)
        .map(|(subject, _)| subject.clone())
        .collect()
}

impl Round {
    /// Adds new events, each to the lane of its subject. Those of waiting subjects are read again when these are due.
    pub(super) fn add_new(&mut self, events: Vec<Delivery>, progress: &WebhookProgress) {
        for delivery in events {
            let subject = subject_of(&delivery);
            if progress.waiting.contains_key(&subject) {
                self.joined.insert(subject);
                continue;
            }
            match self.lanes.iter_mut().find(|lane| lane.subject == subject) {
                Some(lane) => lane.deliveries.push(delivery),
                None => self.lanes.push(Lane {
                    subject,
                    deliveries: vec![delivery],
                    origin: LaneOrigin::New,
                }),
            }
        }
    }

    /// Whether a scheduled dead letter of this subject may be delivered in this round: no other event of it is.
    pub(super) fn is_free(&self, subject: &str) -> bool {
        self.lanes.iter().all(|lane| lane.subject != subject)
    }
}

/// What the results of a round are applied to.
pub(super) struct RoundResults<'a> {
    pub(super) progress: &'a mut WebhookProgress,
    pub(super) entry: &'a WebhookEntry,
    /// Position up to which the round read new events.
    pub(super) position: u64,
    pub(super) joined: &'a BTreeSet<String>,
    pub(super) now_ms: i64,
}

impl RoundResults<'_> {
    /// Applies the results, and returns what they change in the dead letters.
    pub(super) fn apply(mut self, ends: Vec<LaneEnd>, mut random: impl FnMut() -> u64) -> DeadLetterChanges {
        let mut changes = DeadLetterChanges::default();
        let before = std::mem::replace(&mut self.progress.position, self.position);
        for end in ends {
            self.count(&end);
            let (failed, attempts) = (end.failure.is_some(), self.attempts(&end));
            let retry_ms = self.now_ms + pause_ms(self.entry, attempts, random());
            let is_dead = failed && attempts >= self.entry.attempts_max();
            let after = WaitingSubject {
                next: before,
                attempts,
                retry_ms,
                failure: end.failure.unwrap_or_default(),
            };
            let rest = end.lane.deliveries.get(end.delivered).map(|rest| rest.event.seq);
            match end.lane.origin {
                LaneOrigin::Scheduled(letter) => {
                    scheduled(&mut changes, letter, rest.is_some(), is_dead, after)
                }
                LaneOrigin::New => self.subject(&mut changes, (end.lane, true), (rest, is_dead), after),
                LaneOrigin::Waiting { is_complete } => {
                    self.subject(&mut changes, (end.lane, is_complete), (rest, is_dead), after);
                }
            }
        }
        changes
    }

    fn count(&mut self, end: &LaneEnd) {
        self.progress.delivered += end.delivered as u64;
        if end.delivered > 0 {
            self.progress.last_delivery_ms = Some(self.now_ms);
        }
        if let Some(failure) = &end.failure {
            self.progress.last_failure = Some((self.now_ms, failure.clone()));
        }
    }

    /// Returns the number of failed attempts of the first event that was not delivered.
    fn attempts(&self, end: &LaneEnd) -> u32 {
        let earlier = match &end.lane.origin {
            LaneOrigin::Waiting { .. } if end.delivered == 0 => {
                let waiting = self.progress.waiting.get(&end.lane.subject);
                waiting.map_or(0, |waiting| waiting.attempts)
            }
            LaneOrigin::Scheduled(letter) => letter.attempts,
            LaneOrigin::New | LaneOrigin::Waiting { .. } => 0,
        };
        earlier + u32::from(end.failure.is_some())
    }

    /// Decides whether a subject waits. `rest` is the first event that was not delivered; `after` describes a subject
    /// whose next event is the first one above the position before the round.
    fn subject(
        &mut self,
        changes: &mut DeadLetterChanges,
        (lane, is_complete): (Lane, bool),
        (rest, is_dead): (Option<u64>, bool),
        after: WaitingSubject,
    ) {
        let now = |next| WaitingSubject {
            next,
            attempts: 0,
            retry_ms: self.now_ms,
            failure: String::new(),
        };
        let last = lane.deliveries.last().map(|last| last.event.seq);
        let first_new = after.next;
        let next = match rest {
            Some(seq) if is_dead => {
                changes.added.push(DeadLetter {
                    seq,
                    subject: lane.subject.clone(),
                    attempts: after.attempts,
                    died_ms: self.now_ms,
                    failure: after.failure,
                    retry_ms: None,
                });
                (Some(seq) != last || !is_complete).then(|| now(seq + 1))
            }
            Some(seq) => Some(WaitingSubject { next: seq, ..after }),
            None if is_complete => None,
            None => Some(now(last.map_or(first_new, |last| last + 1))),
        };
        // New events of a subject that waited in this round were left to a later one.
        let next = next.or_else(|| self.joined.contains(&lane.subject).then(|| now(first_new)));
        match next {
            None => self.progress.waiting.remove(&lane.subject),
            Some(waiting) => self.progress.waiting.insert(lane.subject, waiting),
        };
    }
}

/// Notes the result of a dead letter that an operator scheduled.
fn scheduled(
    changes: &mut DeadLetterChanges,
    letter: DeadLetter,
    is_left: bool,
    is_dead: bool,
    after: WaitingSubject,
) {
    if !is_left {
        changes.delivered.push(letter.seq);
        return;
    }
    let failure = match after.failure.is_empty() {
        true => letter.failure.clone(),
        false => after.failure,
    };
    changes.failed_again.push(DeadLetter {
        attempts: after.attempts,
        failure,
        retry_ms: (!is_dead).then_some(after.retry_ms),
        ..letter
    });
}

/// Returns the pause after this number of failed attempts; none after none.
fn pause_ms(entry: &WebhookEntry, attempts: u32, random: u64) -> i64 {
    let Some(n) = attempts.checked_sub(1) else {
        return 0;
    };
    let (first, longest) = entry.retry_pauses();
    let pause = Backoff { first, longest }.pause(n, random);
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use synapsor_domain::digest::Digest;
    use synapsor_domain::event::{EventKind, EventRecord};
    use synapsor_domain::ids::ProposalId;
    use synapsor_domain::timestamp::Timestamp;
    use synapsor_domain::webhook::WebhookFile;

    use super::*;

    fn entry(attempts: u32) -> WebhookEntry {
        let text = format!(
            r#"{{"version": 1, "webhooks": [{{"name": "a", "url": "u", "format": "slack",
            "attempts": {attempts}, "first_retry_ms": 1000, "longest_retry_ms": 4000}}]}}"#
        );
        WebhookFile::parse(text.as_bytes()).unwrap().webhooks.remove(0)
    }

    fn id(number: u8) -> ProposalId {
        ProposalId::from_random([number; 10])
    }

    fn event(seq: u64, proposal: u8) -> Delivery {
        Delivery {
            event: EventRecord {
                actor: "ann".into(),
                at: Timestamp::from_unix_millis(0),
                body_digest: Digest::of_typed("x", b"x"),
                kind: EventKind::ProposalCreated,
                proposal_id: Some(id(proposal)),
                seq,
                trace_id: None,
            },
            data: serde_json::Map::new(),
        }
    }

    /// Delivers a round to a receiver that accepts the events of `accepted` only.
    fn run(
        progress: &mut WebhookProgress,
        round: Round,
        entry: &WebhookEntry,
        now_ms: i64,
        accepted: impl Fn(u64) -> bool,
    ) -> (Vec<u64>, DeadLetterChanges) {
        let mut seen = Vec::new();
        let mut ends = Vec::new();
        for lane in round.lanes {
            let accepted_all = lane.deliveries.iter().take_while(|d| accepted(d.event.seq));
            let delivered: Vec<u64> = accepted_all.map(|d| d.event.seq).collect();
            let failure = (delivered.len() < lane.deliveries.len()).then(|| "status 500".to_owned());
            ends.push(LaneEnd {
                delivered: delivered.len(),
                lane,
                failure,
            });
            seen.extend(delivered);
        }
        let results = RoundResults {
            progress,
            entry,
            position: round.position,
            joined: &round.joined,
            now_ms,
        };
        let changes = results.apply(ends, || 0);
        (seen, changes)
    }

    /// Reads a round from a log of these proposals, as the store does.
    fn read(log: &[u8], progress: &WebhookProgress, size: u64, now_ms: i64) -> Round {
        let event_at = |seq: u64| event(seq, log[usize::try_from(seq).unwrap()]);
        let mut round = Round {
            position: size,
            ..Round::default()
        };
        for subject in due(progress, 4_000, now_ms) {
            let of_subject = (progress.waiting[&subject].next..progress.position)
                .map(event_at)
                .filter(|d| subject_of(d) == subject);
            let mut deliveries: Vec<_> = of_subject.collect();
            let is_complete = deliveries.len() <= 2;
            deliveries.truncate(2);
            round.lanes.push(Lane {
                subject,
                deliveries,
                origin: LaneOrigin::Waiting { is_complete },
            });
        }
        round.add_new((progress.position..size).map(event_at).collect(), progress);
        round
    }

    #[test]
    fn each_event_arrives_once_and_in_order_whatever_fails() {
        let entry = entry(100);
        for seed in 0..500_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let log: Vec<u8> = (0..40).map(|_| u8::try_from(next(5)).unwrap()).collect();
            let (mut progress, mut seen, mut size, mut now_ms) =
                (WebhookProgress::default(), Vec::new(), 0, 0);
            for step in 0..10_000 {
                size = (size + next(6)).min(40);
                now_ms += 500;
                let round = read(&log, &progress, size, now_ms);
                let failing = next(4);
                let heals = step > 60;
                let (accepted, changes) = run(&mut progress, round, &entry, now_ms, |seq| {
                    heals || !(seq ^ seed).is_multiple_of(failing + 1)
                });
                assert_eq!(changes, DeadLetterChanges::default());
                seen.extend(accepted);
                if heals && progress.position == 40 && progress.waiting.is_empty() {
                    break;
                }
            }
            for proposal in 0..5 {
                let of = |seqs: &mut dyn Iterator<Item = u64>| -> Vec<u64> {
                    seqs.filter(|seq| log[usize::try_from(*seq).unwrap()] == proposal)
                        .collect()
                };
                let arrived = of(&mut seen.iter().copied());
                assert_eq!(arrived, of(&mut (0..40)), "seed {seed}, proposal {proposal}");
            }
        }
    }

    #[test]
    fn failing_event_becomes_a_dead_letter_and_others_continue() {
        let (entry, log) = (entry(3), [1, 2, 1, 1, 2]);
        let mut progress = WebhookProgress::default();
        let mut pauses = Vec::new();
        let mut now_ms = 0;
        let mut seen = Vec::new();
        let mut dead = Vec::new();
        for _ in 0..10 {
            let round = read(&log, &progress, 5, now_ms);
            let (accepted, changes) = run(&mut progress, round, &entry, now_ms, |seq| seq != 2);
            seen.extend(accepted);
            dead.extend(changes.added);
            if let Some(waiting) = progress.waiting.values().next() {
                pauses.push(waiting.retry_ms - now_ms);
                now_ms = waiting.retry_ms;
            }
        }
        assert_eq!(seen, [0, 1, 4, 3]);
        assert_eq!(pauses, [500, 1_000, 0]);
        assert_eq!((dead.len(), dead[0].seq, dead[0].attempts), (1, 2, 3));
        assert_eq!((progress.position, progress.delivered), (5, 4));
        assert!(progress.waiting.is_empty());
    }

    #[test]
    fn clock_that_was_set_back_delays_a_retry_boundedly() {
        let mut progress = WebhookProgress::default();
        for (subject, retry_ms) in [("past", 0), ("soon", 2_000), ("lost", 1_000_000)] {
            let waiting = WaitingSubject {
                next: 0,
                attempts: 1,
                retry_ms,
                failure: String::new(),
            };
            progress.waiting.insert(subject.to_owned(), waiting);
        }
        assert_eq!(due(&progress, 4_000, 1_000), ["past", "lost"]);
    }
}
