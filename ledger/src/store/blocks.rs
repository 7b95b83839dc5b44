//! Blocks: consecutive events in one row, and their bodies in another, so that a body can be replaced alone.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::log::BODY_SALT_BYTES;

use super::error::StoreError;
use super::row::{from_sql, to_sql};
use super::{packed, verify, views};

/// Size of the bodies after which a new block begins, in bytes. A lookup of one body reads the whole block.
pub(crate) const BODIES_BYTES_MAX: usize = 64 * 1024;

/// One event with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    /// Canonical form of the event.
    pub(crate) event: Vec<u8>,
    /// `None` once it is erased.
    pub(crate) kept: Option<KeptBody>,
}

/// A body, and the salt of the commitment to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptBody {
    pub(crate) salt: [u8; BODY_SALT_BYTES],
    pub(crate) body: Vec<u8>,
}

impl KeptBody {
    /// Decodes an item; `None` for an erased one, which is empty.
    fn of_item(item: &[u8], seq: u64) -> Result<Option<Self>, StoreError> {
        if item.is_empty() {
            return Ok(None);
        }
        let (salt, body) = item
            .split_first_chunk::<BODY_SALT_BYTES>()
            .ok_or_else(|| malformed(seq))?;
        Ok(Some(Self {
            salt: *salt,
            body: body.to_vec(),
        }))
    }

    fn item(&self) -> Vec<u8> {
        [self.salt.as_slice(), &self.body].concat()
    }
}

/// Stores the entries from position `first` on as one block.
pub(crate) fn insert(conn: &Connection, first: u64, entries: &[BlockEntry]) -> Result<(), StoreError> {
    let events = packed::pack(entries.iter().map(|entry| entry.event.as_slice()));
    let bodies: Vec<Vec<u8>> = entries
        .iter()
        .map(|entry| entry.kept.as_ref().map_or_else(Vec::new, KeptBody::item))
        .collect();
    let count = i64::try_from(entries.len()).expect("a batch fits in memory");
    conn.prepare_cached("INSERT INTO blocks (first, count, events) VALUES (?1, ?2, ?3)")?
        .execute(params![to_sql(first), count, events])?;
    conn.prepare_cached("INSERT INTO block_bodies (first, bodies) VALUES (?1, ?2)")?
        .execute(params![
            to_sql(first),
            packed::pack(bodies.iter().map(Vec::as_slice))
        ])?;
    Ok(())
}

/// Erases the bodies at these positions, which ascend and have bodies.
pub(crate) fn erase(conn: &Connection, positions: &[u64]) -> Result<(), StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT first, bodies FROM block_bodies WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
    )?;
    let mut replace = conn.prepare_cached("UPDATE block_bodies SET bodies = ?2 WHERE first = ?1")?;
    let mut rest = positions;
    while let Some(next) = rest.first() {
        let (first, packed): (i64, Vec<u8>) =
            find.query_row([to_sql(*next)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let base = from_sql(first)?;
        let mut items = packed::unpack(&packed).ok_or_else(|| malformed(*next))?;
        let (here, later) = rest.split_at(rest.partition_point(|seq| seq - base < items.len() as u64));
        if here.is_empty() {
            return Err(malformed(*next));
        }
        for seq in here {
            items[index_in_block(base, *seq)] = &[];
        }
        replace.execute(params![first, packed::pack(items)])?;
        rest = later;
    }
    Ok(())
}

/// Returns the body of the event at `seq`, if it is stored.
///
/// # Errors
/// `RECORD_ERASED` when it was erased.
pub(crate) fn body(conn: &Connection, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
    match body_item(conn, seq)? {
        Some(item) => match KeptBody::of_item(&item, seq)? {
            Some(kept) => Ok(Some(kept.body)),
            None => Err(without_body(conn, seq)),
        },
        None => Ok(None),
    }
}

/// Returns the error about a body that is not there: erased by an order, or removed without one.
pub(crate) fn without_body(conn: &Connection, seq: u64) -> StoreError {
    match views::is_erased(conn, seq) {
        Ok(true) => StoreError::Erased(seq),
        Ok(false) => verify::no_body(seq),
        Err(error) => error,
    }
}

/// Returns the entry at `seq`, if it is stored.
pub(crate) fn entry(conn: &Connection, seq: u64) -> Result<Option<BlockEntry>, StoreError> {
    const EVENTS: &str = "SELECT first, events FROM blocks WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
    let (event, body) = (item(conn, EVENTS, seq)?, body_item(conn, seq)?);
    let Some((event, body)) = event.zip(body) else {
        return Ok(None);
    };
    let kept = KeptBody::of_item(&body, seq)?;
    Ok(Some(BlockEntry { event, kept }))
}

fn body_item(conn: &Connection, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
    const BODIES: &str =
        "SELECT first, bodies FROM block_bodies WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
    item(conn, BODIES, seq)
}

/// Returns the item of `seq` in the block that the statement selects.
fn item(conn: &Connection, sql: &str, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut query = conn.prepare_cached(sql)?;
    let mut rows = query.query([to_sql(seq)])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let index = index_in_block(from_sql(row.get(0)?)?, seq);
    let packed = row.get_ref(1)?.as_blob().map_err(|_| malformed(seq))?;
    Ok(packed::item(packed, index).map(<[u8]>::to_vec))
}

/// Returns the number of events by the last block. Inserts reject gaps, and the full check finds them.
pub(crate) fn event_count(conn: &Connection) -> Result<u64, StoreError> {
    let end: Option<i64> = conn
        .query_row(
            "SELECT first + count FROM blocks ORDER BY first DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    end.map_or(Ok(0), from_sql)
}

/// Checks that the blocks from the one of event `from` on contain each event up to `size` once, and that each has its
/// bodies. Lookups and scans would otherwise find different rows.
pub(crate) fn check_layout(conn: &Connection, from: u64, size: u64) -> Result<(), StoreError> {
    let start: Option<i64> = conn.query_row(
        "SELECT max(first) FROM blocks WHERE first <= ?1",
        [to_sql(from)],
        |row| row.get(0),
    )?;
    let start = start.unwrap_or(0);
    let mut blocks = conn.prepare("SELECT first, count FROM blocks WHERE first >= ?1 ORDER BY first")?;
    let mut bodies = conn.prepare("SELECT first FROM block_bodies WHERE first >= ?1 ORDER BY first")?;
    let (mut blocks, mut bodies) = (blocks.query([start])?, bodies.query([start])?);
    let mut end = from_sql(start)?;
    while let Some(row) = blocks.next()? {
        let (first, count) = (from_sql(row.get(0)?)?, from_sql(row.get(1)?)?);
        let of_bodies: Option<i64> = bodies.next()?.map(|row| row.get(0)).transpose()?;
        if first != end || count == 0 || of_bodies != Some(to_sql(first)) {
            return Err(malformed(first));
        }
        end = first.checked_add(count).ok_or_else(|| malformed(first))?;
    }
    if end != size || bodies.next()?.is_some() {
        return Err(malformed(end));
    }
    Ok(())
}

/// Reads entries in the order of the log. Keeps one block, so that each is read once.
pub(crate) struct Cursor<'c> {
    conn: &'c Connection,
    first: u64,
    entries: Vec<Option<BlockEntry>>,
}

impl<'c> Cursor<'c> {
    pub(crate) const fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            first: 0,
            entries: Vec::new(),
        }
    }

    /// Returns the entry at `seq`; `None` when the event or its body is missing.
    pub(crate) fn entry(&mut self, seq: u64) -> Result<Option<&BlockEntry>, StoreError> {
        let is_kept = |cursor: &Self| {
            let index = seq.checked_sub(cursor.first);
            index.is_some_and(|index| index < cursor.entries.len() as u64)
        };
        if !is_kept(self) {
            self.load(seq)?;
        }
        if !is_kept(self) {
            return Ok(None);
        }
        let index = index_in_block(self.first, seq);
        Ok(self.entries.get(index).and_then(Option::as_ref))
    }

    /// Reads the block that contains `seq`.
    fn load(&mut self, seq: u64) -> Result<(), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT b.first, b.count, b.events, o.bodies FROM blocks b LEFT JOIN block_bodies o ON o.first = b.first \
             WHERE b.first <= ?1 ORDER BY b.first DESC LIMIT 1",
        )?;
        let mut rows = query.query([to_sql(seq)])?;
        self.entries.clear();
        let Some(row) = rows.next()? else {
            return Ok(());
        };
        self.first = from_sql(row.get(0)?)?;
        let count = from_sql(row.get(1)?)?;
        let damaged = || malformed(seq);
        let blob = |index| -> Result<Option<&[u8]>, StoreError> {
            row.get_ref(index)?.as_blob_or_null().map_err(|_| damaged())
        };
        let events = blob(2)?.and_then(packed::unpack).ok_or_else(damaged)?;
        let bodies = blob(3)?.map(|bodies| packed::unpack(bodies).ok_or_else(damaged));
        let bodies = bodies.transpose()?.unwrap_or_default();
        if events.len() as u64 != count || bodies.len() > events.len() {
            return Err(damaged());
        }
        for (index, event) in events.into_iter().enumerate() {
            let Some(item) = bodies.get(index) else {
                self.entries.push(None);
                continue;
            };
            self.entries.push(Some(BlockEntry {
                event: event.to_vec(),
                kept: KeptBody::of_item(item, seq)?,
            }));
        }
        Ok(())
    }
}

fn index_in_block(first: u64, seq: u64) -> usize {
    usize::try_from(seq - first).unwrap_or(usize::MAX)
}

fn malformed(seq: u64) -> StoreError {
    StoreError::Tampered(format!("the block of event {seq} is malformed"))
}
