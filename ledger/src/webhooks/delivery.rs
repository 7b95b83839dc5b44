//! Task of one webhook: reads what is due, sends it, and stores how far it is.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::webhook::{READ_KINDS, SourceName};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::receiver::Receiver;
use super::round::{
    self, DEAD_LETTERS_MAX, DeadLetterChanges, Lane, LaneEnd, LaneOrigin, PAGE, Round, RoundResults,
    SUBJECT_PAGE, WAITING_MAX,
};
use super::{Rewind, WebhookInbox};
use crate::Ledger;
use crate::error::refusal_of;
use crate::store::webhooks::{self as rows, DeliveryReader, WebhookProgress};
use crate::store::{ReadTransaction, StoreError, StoreTxError};

/// Maximum number of concurrent requests of one webhook.
const REQUESTS_MAX: usize = 4;
/// Time after which a round begins no more deliveries, so that a slow receiver delays nothing else for long.
const ROUND: Duration = Duration::from_secs(5);
/// Minimum interval between writes of the state.
const SAVE: Duration = Duration::from_millis(250);
/// The same while no event is for the webhook: a position that is behind only costs a scan.
const SAVE_SCANNED: Duration = Duration::from_secs(2);
/// Pause after the log has grown, so that a busy log is read in pages and not in batches.
const GROWTH: Duration = Duration::from_millis(20);
/// Pause after a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// Maximum number of scheduled dead letters of a round.
const SCHEDULED_MAX: u32 = 2;
/// Pause before a scheduled dead letter whose subject has other events now.
const BLOCKED_MS: i64 = 1_000;

pub(super) struct DeliveryTask {
    ledger: Ledger,
    receiver: Arc<Receiver>,
    inbox: WebhookInbox,
    progress: WebhookProgress,
    /// Number of dead letters; only this task adds and removes them.
    dead: u64,
    /// Time from which the state may be written; `None` while it is unchanged.
    save_at: Option<Instant>,
    saved_at: Instant,
    /// Time of the next scheduled dead letter, in milliseconds since 1970.
    scheduled_ms: Option<i64>,
}

impl DeliveryTask {
    pub(super) fn new(ledger: Ledger, receiver: Arc<Receiver>, inbox: WebhookInbox) -> Self {
        Self {
            ledger,
            receiver,
            inbox,
            progress: WebhookProgress::default(),
            dead: 0,
            save_at: None,
            saved_at: Instant::now(),
            scheduled_ms: None,
        }
    }

    fn name(&self) -> &str {
        &self.receiver.entry.name
    }

    /// Delivers until `stop`. A failure of the store ends nothing: the next round is later.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut head = self.ledger.store.head();
        let mut is_loaded = false;
        while !stop.is_cancelled() {
            let size = head.borrow_and_update().size;
            let round = match is_loaded {
                false => self.load(size).await.map(|()| true),
                true => self.round(size).await,
            };
            let failed = round.as_ref().err().map(|_| Instant::now() + STORE_PAUSE);
            let has_more = round.unwrap_or_else(|error| {
                let refusal = refusal_of(error);
                tracing::warn!(webhook = self.name(), code = %refusal.code, "webhook waits for the store");
                false
            });
            is_loaded |= has_more;
            self.save_if_due(false).await;
            if has_more {
                self.take_commands(size).await;
                continue;
            }
            let wake = failed.or_else(|| self.next_wake());
            let sleep = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep => {}
                Some(command) = self.inbox.commands.recv(), if is_loaded => self.rewind(command, size).await,
                () = self.inbox.scheduled.notified() => self.scheduled_ms = Some(0),
                changed = head.changed(), if failed.is_none() => match changed {
                    Ok(()) => tokio::time::sleep(GROWTH).await,
                    Err(_) => break,
                },
            }
        }
        self.save_if_due(true).await;
    }

    /// Reads the stored state. A new webhook begins at the end of the log, durably.
    async fn load(&mut self, size: u64) -> Result<(), StoreTxError> {
        let name = self.name().to_owned();
        let load = move |reader: &ReadTransaction<'_>| {
            let conn = reader.conn();
            Ok((rows::load(conn, &name)?, rows::dead_letter_count(conn, &name)?))
        };
        let (progress, dead) = self.ledger.store.read(load).await?;
        self.dead = dead;
        self.scheduled_ms = Some(0);
        match progress {
            // A log that was restored may be shorter.
            Some(progress) => self.progress = progress,
            None => {
                self.progress.position = size;
                self.save(DeadLetterChanges::default()).await?;
            }
        }
        Ok(())
    }

    /// Delivers what is due; returns whether more may be due now.
    async fn round(&mut self, size: u64) -> Result<bool, StoreTxError> {
        let now = self.ledger.now();
        let Round {
            lanes,
            position,
            joined,
        } = self.gather(size, now).await?;
        if lanes.is_empty() {
            let has_moved = position != self.progress.position;
            self.progress.position = position;
            if has_moved {
                self.save_at.get_or_insert(self.saved_at + SAVE_SCANNED);
            }
            return Ok(has_moved && position < size);
        }
        let ends = self.send(lanes).await;
        self.log_failures(&ends);
        let before = self.progress.clone();
        let results = RoundResults {
            progress: &mut self.progress,
            entry: &self.receiver.entry,
            position,
            joined: &joined,
            now_ms: self.ledger.now().as_unix_millis(),
        };
        let changes = results.apply(ends, random::number);
        if changes != DeadLetterChanges::default() {
            if let Err(error) = self.save(changes).await {
                // Nothing may be lost: the round counts as not done.
                self.progress = before;
                return Err(error);
            }
        } else if before != self.progress {
            let at = self.saved_at + SAVE;
            self.save_at = Some(self.save_at.map_or(at, |earlier| earlier.min(at)));
        }
        Ok(true)
    }

    /// Reads what is due, in one state of the store.
    async fn gather(&mut self, size: u64, now: Timestamp) -> Result<Round, StoreTxError> {
        let now_ms = now.as_unix_millis();
        let due = round::due(&self.progress, longest_ms(&self.receiver), now_ms);
        let takes_new = self.progress.waiting.len() < WAITING_MAX
            && self.dead < DEAD_LETTERS_MAX
            && self.progress.position < size;
        let with_scheduled = self.scheduled_ms.is_some_and(|at| at <= now_ms);
        if due.is_empty() && !with_scheduled && !takes_new {
            return Ok(Round {
                position: self.progress.position,
                ..Round::default()
            });
        }
        let receiver = self.receiver.clone();
        let has_calls = READ_KINDS.iter().any(|kind| receiver.entry.wants(*kind));
        let wanted = WantedRound {
            progress: self.progress.clone(),
            due,
            new_up_to: takes_new.then_some(size),
            in_index: !has_calls,
            now_ms,
            receiver,
        };
        // The index finds events about the call of a proposal only after their views are written.
        let needs_views = has_calls && !wanted.due.is_empty();
        let gather = move |reader: &ReadTransaction<'_>| Ok(wanted.read(reader)?);
        let store = &self.ledger.store;
        let (round, scheduled_ms) = match needs_views {
            true => store.read_records(gather).await?,
            false => store.read(gather).await?,
        };
        self.scheduled_ms = scheduled_ms;
        Ok(round)
    }

    /// Sends the lanes, several at a time.
    async fn send(&self, lanes: Vec<Lane>) -> Vec<LaneEnd> {
        let until = Instant::now() + ROUND;
        let (mut running, mut ends) = (JoinSet::new(), Vec::new());
        for lane in lanes {
            if running.len() == REQUESTS_MAX
                && let Some(end) = running.join_next().await
            {
                ends.push(joined(end));
            }
            running.spawn(send_lane(self.ledger.clone(), self.receiver.clone(), lane, until));
        }
        while let Some(end) = running.join_next().await {
            ends.push(joined(end));
        }
        ends
    }

    fn log_failures(&self, ends: &[LaneEnd]) {
        for end in ends {
            let event = end
                .lane
                .deliveries
                .get(end.delivered)
                .map(|delivery| delivery.event.seq);
            if let (Some(failure), Some(event)) = (&end.failure, event) {
                tracing::warn!(
                    webhook = self.name(),
                    code = %ErrorCode::WebhookDeliveryFailed,
                    event,
                    failure = failure.as_str(),
                    "webhook delivery failed"
                );
            }
        }
    }

    /// Stores the state and the changes of dead letters in one step.
    async fn save(&mut self, changes: DeadLetterChanges) -> Result<(), StoreTxError> {
        let (name, progress) = (self.name().to_owned(), self.progress.clone());
        for letter in &changes.added {
            let event = letter.seq;
            tracing::error!(webhook = %name, event, attempts = letter.attempts, "webhook event is a dead letter");
        }
        let (added, removed) = (changes.added.len() as u64, changes.delivered.len() as u64);
        let step = self.ledger.write(move |step| {
            let conn = step.conn();
            rows::save(conn, &name, &progress, &changes.added)?;
            for letter in &changes.failed_again {
                rows::put_dead_letter(conn, &name, letter)?;
            }
            for seq in &changes.delivered {
                rows::remove_dead_letter(conn, &name, *seq)?;
            }
            Ok(())
        });
        step.await?;
        self.dead = (self.dead + added).saturating_sub(removed);
        self.saved_at = Instant::now();
        self.save_at = None;
        Ok(())
    }

    /// Stores a changed state, now or when its time has come. A failure is tried again later.
    async fn save_if_due(&mut self, is_last: bool) {
        let is_due = self.save_at.is_some_and(|at| is_last || at <= Instant::now());
        if is_due && let Err(error) = self.save(DeadLetterChanges::default()).await {
            let refusal = refusal_of(error);
            tracing::warn!(webhook = self.name(), code = %refusal.code, "webhook position not stored");
            self.save_at = Some(Instant::now() + STORE_PAUSE);
        }
    }

    async fn take_commands(&mut self, size: u64) {
        while let Ok(command) = self.inbox.commands.try_recv() {
            self.rewind(command, size).await;
        }
    }

    /// Moves back to an earlier position. Subjects that wait before it continue from their own.
    async fn rewind(&mut self, command: Rewind, size: u64) {
        let before = self.progress.clone();
        let answer = if command.to > before.position.min(size) {
            Ok(None)
        } else {
            self.progress.position = command.to;
            self.progress
                .waiting
                .retain(|_, waiting| waiting.next < command.to);
            self.save(DeadLetterChanges::default())
                .await
                .map(|()| Some(before.position))
        };
        if answer.is_err() {
            self.progress = before;
        }
        // An operator who no longer waits needs no answer.
        let _ = command.answer.send(answer);
    }

    /// Returns when something is due without a new event.
    fn next_wake(&self) -> Option<Instant> {
        let now_ms = self.ledger.now().as_unix_millis();
        let waiting = self.progress.waiting.values().map(|waiting| waiting.retry_ms);
        let longest = self.receiver.entry.retry_pauses().1;
        let at = |at_ms: i64| {
            let left = Duration::from_millis(u64::try_from(at_ms - now_ms).unwrap_or(0));
            // A wall clock that was set back must not stop deliveries.
            Instant::now() + left.min(longest)
        };
        let due = waiting.chain(self.scheduled_ms).min().map(at);
        [due, self.save_at].into_iter().flatten().min()
    }
}

/// What a round reads.
struct WantedRound {
    receiver: Arc<Receiver>,
    progress: WebhookProgress,
    /// Waiting subjects that are due.
    due: Vec<String>,
    /// End of the log, if new events are read.
    new_up_to: Option<u64>,
    /// Whether the index has every wanted event.
    in_index: bool,
    now_ms: i64,
}

impl WantedRound {
    /// Returns the round, and when the next scheduled dead letter is due.
    fn read(self, reader: &ReadTransaction<'_>) -> Result<(Round, Option<i64>), StoreError> {
        let (entry, progress) = (&self.receiver.entry, &self.progress);
        let mut events = DeliveryReader::new(reader.conn());
        let mut round = Round {
            position: progress.position,
            ..Round::default()
        };
        for subject in self.due {
            let Some(waiting) = progress.waiting.get(&subject) else {
                continue;
            };
            let range = (waiting.next, progress.position);
            let (deliveries, is_complete) =
                events.of_subject(&subject, range, SUBJECT_PAGE, |kind| entry.wants(kind))?;
            round.lanes.push(Lane {
                subject,
                deliveries,
                origin: LaneOrigin::Waiting { is_complete },
            });
        }
        if let Some(size) = self.new_up_to {
            let range = (progress.position, size);
            let (page, end) = events.page(range, PAGE, self.in_index, |kind| entry.wants(kind))?;
            round.position = end;
            round.add_new(page, progress);
        }
        let mut next_ms = None;
        for letter in rows::scheduled(reader.conn(), &entry.name, SCHEDULED_MAX)? {
            let at_ms = letter.retry_ms.unwrap_or(self.now_ms);
            let is_blocked =
                progress.waiting.contains_key(&letter.subject) || !round.is_free(&letter.subject);
            if at_ms > self.now_ms || is_blocked {
                let later = at_ms.max(self.now_ms + BLOCKED_MS);
                next_ms = Some(next_ms.map_or(later, |at: i64| at.min(later)));
                continue;
            }
            // There may be more.
            next_ms = Some(self.now_ms);
            round.lanes.push(Lane {
                subject: letter.subject.clone(),
                deliveries: vec![events.delivery(letter.seq)?],
                origin: LaneOrigin::Scheduled(letter),
            });
        }
        Ok((round, next_ms))
    }
}

/// Returns the result of a lane. A panic is passed on, because its events would otherwise count as delivered.
fn joined(end: Result<LaneEnd, JoinError>) -> LaneEnd {
    end.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => panic!("a delivery was aborted: {error}"),
    })
}

fn longest_ms(receiver: &Receiver) -> i64 {
    i64::try_from(receiver.entry.retry_pauses().1.as_millis()).unwrap_or(i64::MAX)
}

/// Delivers the events of one lane in order, until one fails or the round ends.
async fn send_lane(ledger: Ledger, receiver: Arc<Receiver>, lane: Lane, until: Instant) -> LaneEnd {
    let source = SourceName(ledger.store.origin());
    let mut end = LaneEnd {
        lane,
        delivered: 0,
        failure: None,
    };
    while let Some(delivery) = end.lane.deliveries.get(end.delivered) {
        if Instant::now() >= until {
            break;
        }
        match receiver.deliver(delivery, source, ledger.now()).await {
            Ok(()) => end.delivered += 1,
            Err(failure) => {
                end.failure = Some(failure);
                break;
            }
        }
    }
    end
}
