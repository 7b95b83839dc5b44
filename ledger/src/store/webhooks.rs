//! Delivery state of webhooks, and the events that they deliver. The tables are working state: no event derives them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use synapsor_domain::event::EventKind;
use synapsor_domain::webhook::{Delivery, ProposalSummary};

use super::blocks::{self, Cursor};
use super::error::StoreError;
use super::events::missing;
use super::row::{from_sql, to_sql};

/// Maximum number of log entries that one page looks at.
const SCANNED_MAX: u64 = 1_000;

/// Delivery state of one webhook. Times are in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WebhookProgress {
    /// Every earlier event was delivered, is not for this webhook, waits, or is a dead letter.
    pub(crate) position: u64,
    /// Number of deliveries that the receiver accepted.
    pub(crate) delivered: u64,
    pub(crate) last_delivery_ms: Option<i64>,
    pub(crate) last_failure: Option<(i64, String)>,
    pub(crate) waiting: BTreeMap<String, WaitingSubject>,
}

/// Subject whose next event failed or waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WaitingSubject {
    /// Position of its first event that was not delivered.
    pub(crate) next: u64,
    pub(crate) attempts: u32,
    pub(crate) retry_ms: i64,
    pub(crate) failure: String,
}

/// Event that was not delivered in the allowed number of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    pub(crate) attempts: u32,
    pub(crate) died_ms: i64,
    pub(crate) failure: String,
    /// Time of the next attempt that an operator requested.
    pub(crate) retry_ms: Option<i64>,
}

/// Returns the subject of an event: events of one subject are delivered in order.
pub(crate) fn subject_of(delivery: &Delivery) -> String {
    match &delivery.event.proposal_id {
        Some(id) => id.to_string(),
        None => format!("#{}", delivery.event.seq),
    }
}

/// Returns the state of a webhook; `None` for one that never ran.
pub(crate) fn load(conn: &Connection, name: &str) -> Result<Option<WebhookProgress>, StoreError> {
    let sql = "SELECT position, delivered, last_delivery_at, last_failure_at, last_failure FROM webhooks \
               WHERE name = ?1";
    let found = conn
        .prepare_cached(sql)?
        .query_row([name], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get(2)?,
                row.get::<_, Option<i64>>(3)?,
                row.get::<_, Option<String>>(4)?,
            ))
        })
        .optional()?;
    let Some((position, delivered, last_delivery_ms, failed_at, failure)) = found else {
        return Ok(None);
    };
    let mut query = conn.prepare_cached(
        "SELECT subject, next, attempts, retry_at, failure FROM webhook_waiting WHERE name = ?1",
    )?;
    let mut rows = query.query([name])?;
    let mut waiting = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let subject = WaitingSubject {
            next: from_sql(row.get(1)?)?,
            attempts: row.get(2)?,
            retry_ms: row.get(3)?,
            failure: row.get(4)?,
        };
        waiting.insert(row.get(0)?, subject);
    }
    Ok(Some(WebhookProgress {
        position: from_sql(position)?,
        delivered: from_sql(delivered)?,
        last_delivery_ms,
        last_failure: failed_at.zip(failure),
        waiting,
    }))
}

/// Returns the names of all webhooks that ever ran.
pub(crate) fn names(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut query = conn.prepare_cached("SELECT name FROM webhooks ORDER BY name")?;
    let names = query.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Replaces the state of a webhook, and adds dead letters.
pub(crate) fn save(
    conn: &Connection,
    name: &str,
    progress: &WebhookProgress,
    dead: &[DeadLetter],
) -> Result<(), StoreError> {
    let (failed_at, failure) = progress.last_failure.clone().unzip();
    let sql = "INSERT INTO webhooks VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET \
               position = ?2, delivered = ?3, last_delivery_at = ?4, last_failure_at = ?5, last_failure = ?6";
    conn.prepare_cached(sql)?.execute(params![
        name,
        to_sql(progress.position),
        to_sql(progress.delivered),
        progress.last_delivery_ms,
        failed_at,
        failure
    ])?;
    conn.prepare_cached("DELETE FROM webhook_waiting WHERE name = ?1")?
        .execute([name])?;
    let mut insert = conn.prepare_cached("INSERT INTO webhook_waiting VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (subject, waiting) in &progress.waiting {
        let next = to_sql(waiting.next);
        insert.execute(params![
            name,
            subject,
            next,
            waiting.attempts,
            waiting.retry_ms,
            waiting.failure
        ])?;
    }
    for letter in dead {
        put_dead_letter(conn, name, letter)?;
    }
    Ok(())
}

/// Inserts or replaces a dead letter.
pub(crate) fn put_dead_letter(conn: &Connection, name: &str, letter: &DeadLetter) -> Result<(), StoreError> {
    conn.prepare_cached("REPLACE INTO webhook_dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            name,
            to_sql(letter.seq),
            letter.subject,
            letter.attempts,
            letter.died_ms,
            letter.failure,
            letter.retry_ms
        ])?;
    Ok(())
}

/// Removes a dead letter that was delivered.
pub(crate) fn remove_dead_letter(conn: &Connection, name: &str, seq: u64) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM webhook_dead_letters WHERE name = ?1 AND seq = ?2")?
        .execute(params![name, to_sql(seq)])?;
    Ok(())
}

/// Schedules one dead letter, or all of a webhook, for another delivery; returns their number.
pub(crate) fn deliver_again(
    conn: &Connection,
    name: &str,
    seq: Option<u64>,
    now_ms: i64,
) -> Result<u64, StoreError> {
    let sql = "UPDATE webhook_dead_letters SET retry_at = ?2, attempts = 0 \
               WHERE name = ?1 AND (?3 IS NULL OR seq = ?3)";
    let changed = conn
        .prepare_cached(sql)?
        .execute(params![name, now_ms, seq.map(to_sql)])?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

const LETTER: &str = "seq, subject, attempts, died_at, failure, retry_at";

/// Returns the dead letters of a webhook after a position, oldest event first.
pub(crate) fn dead_letters(
    conn: &Connection,
    name: &str,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!(
        "SELECT {LETTER} FROM webhook_dead_letters WHERE name = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
    );
    let after = after.map_or(-1, to_sql);
    let mut query = conn.prepare_cached(&sql)?;
    let mut rows = query.query(params![name, after, limit])?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(letter(row)?);
    }
    Ok(letters)
}

/// Returns the dead letters that are scheduled for another delivery, the earliest first.
pub(crate) fn scheduled(conn: &Connection, name: &str, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!(
        "SELECT {LETTER} FROM webhook_dead_letters WHERE name = ?1 AND retry_at IS NOT NULL \
         ORDER BY retry_at, seq LIMIT ?2"
    );
    let mut query = conn.prepare_cached(&sql)?;
    let mut rows = query.query(params![name, limit])?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(letter(row)?);
    }
    Ok(letters)
}

fn letter(row: &Row<'_>) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        seq: from_sql(row.get(0)?)?,
        subject: row.get(1)?,
        attempts: row.get(2)?,
        died_ms: row.get(3)?,
        failure: row.get(4)?,
        retry_ms: row.get(5)?,
    })
}

/// Returns the number of dead letters of a webhook.
pub(crate) fn dead_letter_count(conn: &Connection, name: &str) -> Result<u64, StoreError> {
    let count = conn
        .prepare_cached("SELECT count(*) FROM webhook_dead_letters WHERE name = ?1")?
        .query_row([name], |row| row.get(0))?;
    from_sql(count)
}

/// Reads events for delivery. Keeps one block of the log, so that each is read once.
pub(crate) struct DeliveryReader<'c> {
    conn: &'c Connection,
    entries: Cursor<'c>,
}

impl<'c> DeliveryReader<'c> {
    pub(crate) const fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            entries: Cursor::new(conn),
        }
    }

    /// Returns up to `limit` wanted events of a range, oldest first, and the position up to which it was read. With
    /// `in_index`, no wanted kind is one of calls, so that the index has every wanted event.
    pub(crate) fn page(
        &mut self,
        (from, to): (u64, u64),
        limit: usize,
        in_index: bool,
        wants: impl Fn(EventKind) -> bool,
    ) -> Result<(Vec<Delivery>, u64), StoreError> {
        let to = blocks::event_count(self.conn)?.min(to);
        let mut page = Vec::new();
        let (positions, end) = if in_index {
            self.indexed((from, to), &wants)?
        } else {
            let end = to.min(from.saturating_add(SCANNED_MAX));
            ((from..end).collect(), end)
        };
        for seq in positions {
            if page.len() == limit {
                return Ok((page, seq));
            }
            let delivery = self.delivery(seq)?;
            if wants(delivery.event.kind) {
                page.push(delivery);
            }
        }
        Ok((page, end.max(from)))
    }

    /// Returns the positions of wanted events by the index, and the position up to which it was read.
    fn indexed(
        &self,
        (from, to): (u64, u64),
        wants: &impl Fn(EventKind) -> bool,
    ) -> Result<(Vec<u64>, u64), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT seq, kind FROM event_index WHERE seq >= ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
        )?;
        let mut rows = query.query(params![to_sql(from), to_sql(to), to_sql(SCANNED_MAX)])?;
        let (mut positions, mut scanned, mut end) = (Vec::new(), 0, to);
        while let Some(row) = rows.next()? {
            let (seq, kind) = (from_sql(row.get(0)?)?, row.get::<_, String>(1)?);
            if kind.parse().is_ok_and(wants) {
                positions.push(seq);
            }
            scanned += 1;
            if scanned == SCANNED_MAX {
                end = seq + 1;
            }
        }
        Ok((positions, end))
    }

    /// Returns up to `limit` wanted events of one subject in a range, oldest first, and whether there are no more.
    pub(crate) fn of_subject(
        &mut self,
        subject: &str,
        (from, to): (u64, u64),
        limit: usize,
        wants: impl Fn(EventKind) -> bool,
    ) -> Result<(Vec<Delivery>, bool), StoreError> {
        if let Some(seq) = subject.strip_prefix('#') {
            let seq = seq.parse().ok().filter(|seq: &u64| (from..to).contains(seq));
            let events = seq.map(|seq| self.delivery(seq)).transpose()?;
            return Ok((events.into_iter().collect(), true));
        }
        let mut query = self.conn.prepare_cached(
            "SELECT seq, kind FROM event_index WHERE proposal_id = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq",
        )?;
        let mut rows = query.query(params![subject, to_sql(from), to_sql(to)])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            if !row.get::<_, String>(1)?.parse().is_ok_and(&wants) {
                continue;
            }
            if events.len() == limit {
                return Ok((events, false));
            }
            events.push(self.delivery(from_sql(row.get(0)?)?)?);
        }
        Ok((events, true))
    }

    /// Returns one event.
    pub(crate) fn delivery(&mut self, seq: u64) -> Result<Delivery, StoreError> {
        let conn = self.conn;
        let entry = self.entries.entry(seq)?.ok_or_else(|| missing(seq))?;
        let read = |summary: Option<&ProposalSummary>| {
            Delivery::read(
                &entry.event,
                entry.kept.as_ref().map_or(&[][..], |kept| &kept.body),
                summary,
            )
            .map_err(|_| StoreError::Tampered(format!("event {seq} is malformed")))
        };
        let delivery = read(None)?;
        match &delivery.event.proposal_id {
            None => Ok(delivery),
            Some(id) => read(summary(conn, id.as_str())?.as_ref()),
        }
    }
}

fn summary(conn: &Connection, proposal_id: &str) -> Result<Option<ProposalSummary>, StoreError> {
    let sql = "SELECT short_code, capability, source_id, table_name FROM proposals WHERE proposal_id = ?1";
    let found = conn.prepare_cached(sql)?.query_row([proposal_id], |row| {
        Ok(ProposalSummary {
            short_code: row.get(0)?,
            capability: row.get(1)?,
            source_id: row.get(2)?,
            table: row.get(3)?,
        })
    });
    Ok(found.optional()?)
}
