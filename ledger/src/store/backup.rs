//! Sends the log of one consistent state of the file, as the items of a backup.

use rusqlite::Connection;
use synapsor_proto::backup_file::FORMAT;
use synapsor_proto::ledger::v1::back_up_store_response::Item;
use synapsor_proto::ledger::v1::{BackupCheckpoint, BackupEnd, BackupEvent, BackupEvents, BackupHeader};

use super::blocks::Cursor;
use super::error::StoreError;
use super::events::missing;
use super::head;
use super::row::from_sql;

/// Size from which events are sent, in bytes.
const ITEM_BYTES: usize = 256 * 1024;

/// Receives the items in their order. An error ends the backup.
pub(crate) type Sink<'a> = dyn FnMut(Item) -> Result<(), StoreError> + 'a;

/// Sends everything that is durable in the read transaction of `conn`. The views are left out: they follow from the
/// events. So are leases and the ids of recent requests, which mean nothing to a restored ledger.
pub(crate) fn send(
    conn: &Connection,
    origin: &str,
    created_at_ms: i64,
    sink: &mut Sink<'_>,
) -> Result<(), StoreError> {
    let newest =
        head::newest(conn)?.ok_or_else(|| StoreError::Tampered("the checkpoints are missing".to_owned()))?;
    sink(Item::Header(BackupHeader {
        format: FORMAT,
        origin: origin.to_owned(),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at_ms,
        checkpoint: newest.note,
    }))?;
    let mut entries = Cursor::new(conn);
    let mut query = conn.prepare("SELECT size, note FROM checkpoints ORDER BY size")?;
    let mut rows = query.query([])?;
    let (mut sent, mut checkpoints) = (0, 0);
    while let Some(row) = rows.next()? {
        let (size, note) = (from_sql(row.get(0)?)?, row.get(1)?);
        events(&mut entries, (sent, size), sink)?;
        sink(Item::Checkpoint(BackupCheckpoint { note }))?;
        sent = size;
        checkpoints += 1;
    }
    sink(Item::End(BackupEnd {
        events: sent,
        checkpoints,
    }))
}

/// Sends the events of a batch.
fn events(entries: &mut Cursor<'_>, (from, to): (u64, u64), sink: &mut Sink<'_>) -> Result<(), StoreError> {
    let (mut first, mut bytes, mut events) = (from, 0, Vec::new());
    for seq in from..to {
        let entry = entries.entry(seq)?.ok_or_else(|| missing(seq))?;
        let (salt, body) = entry
            .kept
            .as_ref()
            .map_or((&[][..], &[][..]), |kept| (&kept.salt, &kept.body));
        bytes += entry.event.len() + body.len();
        events.push(BackupEvent {
            event: entry.event.clone(),
            body_salt: salt.to_vec(),
            body: body.to_vec(),
        });
        if bytes >= ITEM_BYTES {
            sink(Item::Events(BackupEvents {
                first,
                events: std::mem::take(&mut events),
            }))?;
            (first, bytes) = (seq + 1, 0);
        }
    }
    if events.is_empty() {
        return Ok(());
    }
    sink(Item::Events(BackupEvents { first, events }))
}
