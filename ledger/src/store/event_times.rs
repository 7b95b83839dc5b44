//! Finds events by the time at which they were recorded: for each complete segment of 4,096 events the earliest and the
//! latest time. Positions rise with time except where the clock was stepped, so that no position follows from a time
//! alone; the range of a segment is right in any case.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;
use synapsor_domain::timestamp::Timestamp;

use super::blocks;
use super::error::StoreError;
use super::packed;
use super::record_index::SEGMENT_EVENTS;
use super::row::{from_sql, to_sql};

/// Bounds of a time, in milliseconds since 1970: `from` is inside, `to` is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
}

impl TimeRange {
    pub(crate) const fn is_open(self) -> bool {
        self.from_ms.is_none() && self.to_ms.is_none()
    }

    pub(crate) fn contains(self, ms: i64) -> bool {
        self.from_ms.is_none_or(|from| ms >= from) && self.to_ms.is_none_or(|to| ms < to)
    }
}

/// Earliest and latest time of the newest segment, as its events are added in order.
#[derive(Debug, Default)]
pub(crate) struct SegmentTimes(Option<(i64, i64)>);

impl SegmentTimes {
    /// Adds the next event, and stores the times of the segment that it completes.
    pub(crate) fn add(&mut self, conn: &Connection, seq: u64, at: Timestamp) -> Result<(), StoreError> {
        let at = at.as_unix_millis();
        let (min, max) = self.0.unwrap_or((at, at));
        let (min, max) = (min.min(at), max.max(at));
        self.0 = Some((min, max));
        if seq % SEGMENT_EVENTS == SEGMENT_EVENTS - 1 {
            self.0 = None;
            conn.prepare_cached("INSERT INTO event_times (segment, at_min, at_max) VALUES (?1, ?2, ?3)")?
                .execute(params![to_sql(seq / SEGMENT_EVENTS), min, max])?;
        }
        Ok(())
    }
}

/// Stores the times of the segments that the events `from..to` complete. The events must be stored.
pub(crate) fn complete(conn: &Connection, from: u64, to: u64) -> Result<(), StoreError> {
    for segment in from / SEGMENT_EVENTS..to / SEGMENT_EVENTS {
        let mut times = SegmentTimes::default();
        let first = segment * SEGMENT_EVENTS;
        for (seq, at) in (first..).zip(times_of(conn, first)?) {
            times.add(conn, seq, at)?;
        }
    }
    Ok(())
}

/// Only the time of an event.
#[derive(Deserialize)]
struct Timed {
    at: Timestamp,
}

/// Returns the times of the events of a segment that begins at `first`.
fn times_of(conn: &Connection, first: u64) -> Result<Vec<Timestamp>, StoreError> {
    let end = first + SEGMENT_EVENTS;
    let damaged = || StoreError::Tampered(format!("events from {first} on are malformed"));
    let mut query = conn.prepare_cached(
        "SELECT first, events FROM blocks WHERE first < ?2 AND first >= \
         (SELECT max(first) FROM blocks WHERE first <= ?1) ORDER BY first",
    )?;
    let mut rows = query.query(params![to_sql(first), to_sql(end)])?;
    let mut times = Vec::new();
    while let Some(row) = rows.next()? {
        let of_block = from_sql(row.get(0)?)?;
        let events = row.get_ref(1)?.as_blob().map_err(|_| damaged())?;
        let events = packed::unpack(events).ok_or_else(damaged)?;
        let of_segment = (of_block..)
            .zip(events)
            .filter(|(seq, _)| (first..end).contains(seq));
        for (_, event) in of_segment {
            let timed: Timed = serde_json::from_slice(event).map_err(|_| damaged())?;
            times.push(timed.at);
        }
    }
    Ok(times)
}

/// Returns the first position of the range from which events can be in `times`: complete segments without such an event
/// are left out.
pub(crate) fn skip(conn: &Connection, (from, to): (u64, u64), times: TimeRange) -> Result<u64, StoreError> {
    if times.is_open() {
        return Ok(from);
    }
    let segment: Option<i64> = conn
        .prepare_cached(
            "SELECT segment FROM event_times WHERE segment >= ?1 AND at_max >= ?2 AND at_min < ?3 \
             ORDER BY segment LIMIT 1",
        )?
        .query_row(
            params![
                to_sql(from / SEGMENT_EVENTS),
                times.from_ms.unwrap_or(i64::MIN),
                times.to_ms.unwrap_or(i64::MAX)
            ],
            |row| row.get(0),
        )
        .optional()?;
    let first = match segment {
        Some(segment) => from_sql(segment)? * SEGMENT_EVENTS,
        // The newest segment has no times yet.
        None => {
            let count = blocks::event_count(conn)?;
            count - count % SEGMENT_EVENTS
        }
    };
    Ok(first.clamp(from, to.max(from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::blocks::BlockEntry;
    use crate::store::migrate;

    const HOUR_MS: i64 = 3_600_000;

    /// A store whose event `seq` was recorded at `at(seq)`, in blocks that do not end with segments.
    fn store(count: u64, at: impl Fn(u64) -> i64) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn).unwrap();
        let entry = |seq| BlockEntry {
            event: format!(
                r#"{{"actor":"a","at":"{}"}}"#,
                Timestamp::from_unix_millis(at(seq))
            )
            .into_bytes(),
            kept: None,
        };
        let (mut first, mut at_once) = (0, 1_000);
        while first < count {
            let end = count.min(first + at_once);
            blocks::insert(&conn, first, &(first..end).map(entry).collect::<Vec<_>>()).unwrap();
            complete(&conn, first, end).unwrap();
            (first, at_once) = (end, at_once + 7);
        }
        conn
    }

    #[test]
    fn segments_outside_of_the_times_are_left_out() {
        let count = 5 * SEGMENT_EVENTS + 100;
        let conn = store(count, |seq| {
            i64::try_from(seq / SEGMENT_EVENTS).unwrap() * HOUR_MS
        });
        let from = |from_ms, to_ms, start| {
            let times = TimeRange { from_ms, to_ms };
            skip(&conn, (start, count), times).unwrap()
        };
        assert_eq!(from(None, None, 7), 7);
        assert_eq!(from(Some(2 * HOUR_MS), None, 7), 2 * SEGMENT_EVENTS);
        assert_eq!(
            from(Some(2 * HOUR_MS), None, 3 * SEGMENT_EVENTS + 9),
            3 * SEGMENT_EVENTS + 9
        );
        assert_eq!(from(Some(HOUR_MS + 1), Some(2 * HOUR_MS), 7), 5 * SEGMENT_EVENTS);
        assert_eq!(from(None, Some(1), 7), 7);
        assert_eq!(from(None, Some(1), SEGMENT_EVENTS), 5 * SEGMENT_EVENTS);
    }

    /// A clock that was ahead and is set back leaves later times at earlier positions.
    #[test]
    fn event_of_a_clock_that_was_ahead_is_found() {
        let ahead = SEGMENT_EVENTS + 5;
        let count = 4 * SEGMENT_EVENTS;
        let conn = store(count, |seq| if seq == ahead { 9 * HOUR_MS } else { HOUR_MS });
        let times = TimeRange {
            from_ms: Some(2 * HOUR_MS),
            to_ms: None,
        };
        assert_eq!(skip(&conn, (0, count), times).unwrap(), SEGMENT_EVENTS);
        assert_eq!(skip(&conn, (2 * SEGMENT_EVENTS, count), times).unwrap(), count);
    }
}
