//! The stored events and bodies as an attacker edits them: taken out of their blocks, and written back.

use anyhow::Context as _;
use rusqlite::{Connection, params};
use synapsor_ledger::store::packed::{pack, unpack};

/// An event, and its body with the salt in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredEntry {
    pub(super) event: Vec<u8>,
    pub(super) salted_body: Vec<u8>,
}

/// Every entry of the log.
pub(super) struct StoredLog {
    pub(super) entries: Vec<StoredEntry>,
    /// Number of entries of each block.
    blocks: Vec<usize>,
}

impl StoredLog {
    pub(super) fn read(store: &Connection) -> anyhow::Result<Self> {
        let mut query = store
            .prepare("SELECT events, bodies FROM blocks JOIN block_bodies USING (first) ORDER BY first")?;
        let mut rows = query.query([])?;
        let (mut entries, mut blocks) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (events, bodies): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let events = unpack(&events).context("packed events")?;
            let bodies = unpack(&bodies).context("packed bodies")?;
            blocks.push(events.len());
            entries.extend(events.into_iter().zip(bodies).map(|(event, body)| StoredEntry {
                event: event.to_vec(),
                salted_body: body.to_vec(),
            }));
        }
        Ok(Self { entries, blocks })
    }

    /// Adds an entry as a block of its own.
    pub(super) fn push(&mut self, entry: StoredEntry) {
        self.entries.push(entry);
        self.blocks.push(1);
    }

    pub(super) fn write(&self, store: &Connection) -> anyhow::Result<()> {
        store.execute_batch("DELETE FROM blocks; DELETE FROM block_bodies")?;
        let mut first = 0;
        for count in &self.blocks {
            let entries = &self.entries[first..first + count];
            let key = i64::try_from(first)?;
            store.execute(
                "INSERT INTO blocks (first, count, events) VALUES (?1, ?2, ?3)",
                params![
                    key,
                    i64::try_from(*count)?,
                    pack(entries.iter().map(|entry| entry.event.as_slice()))
                ],
            )?;
            store.execute(
                "INSERT INTO block_bodies (first, bodies) VALUES (?1, ?2)",
                params![
                    key,
                    pack(entries.iter().map(|entry| entry.salted_body.as_slice()))
                ],
            )?;
            first += count;
        }
        Ok(())
    }
}
