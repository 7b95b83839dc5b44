//! Structural attacks on the log. The strongest use the ledger's own key, so that the store is consistent in
//! itself and only an earlier pinned checkpoint can detect them.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, params};
use synapsor_domain::canonical;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::log::body_commitment;

use super::edits::attack;
use super::judge::{By, RECORDS, TamperVerifier};
use super::original::Original;
use super::stored_log::{StoredEntry, StoredLog};
use super::tree::rebuild;
use crate::proofs::SeededRng;

/// Kind of structural attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    OlderFile,
    CutTail,
    Swap,
    SwapSigned,
    Fork,
    LongerFork,
    RowGone,
    EventAdded,
}

impl Attack {
    pub(super) const ALL: [Self; 8] = [
        Self::OlderFile,
        Self::CutTail,
        Self::Swap,
        Self::SwapSigned,
        Self::Fork,
        Self::LongerFork,
        Self::RowGone,
        Self::EventAdded,
    ];

    /// The only check that can detect it, if there is just one.
    pub(super) const fn only(self) -> Option<By> {
        match self {
            Self::OlderFile | Self::Fork | Self::LongerFork => Some(By::Witness),
            Self::CutTail | Self::Swap | Self::SwapSigned | Self::RowGone | Self::EventAdded => None,
        }
    }

    /// Runs the attack on a copy of the original at `path`; returns a description.
    pub(super) fn carry_out(
        self,
        path: &Path,
        original: &Original,
        judge: &TamperVerifier,
        dice: &mut SeededRng,
    ) -> anyhow::Result<String> {
        let size = original.events;
        match self {
            Self::OlderFile => {
                let older = dice.pick(&original.older);
                std::fs::copy(older, path)?;
                Ok(format!("restored {}", older.display()))
            }
            Self::CutTail => attack(path, |store| cut_tail(store, dice)),
            Self::Swap => attack(path, |store| swap(store, size, dice)),
            Self::SwapSigned => attack(path, |store| {
                let what = swap(store, size, dice)?;
                rebuild(store, size, judge.origin(), &judge.key())?;
                Ok(format!("{what}, signed again"))
            }),
            Self::Fork => attack(path, |store| {
                let what = another_actor(store, size, dice)?;
                rebuild(store, size, judge.origin(), &judge.key())?;
                Ok(what)
            }),
            Self::LongerFork => attack(path, |store| {
                let what = another_actor(store, size, dice)?;
                let more = 1 + dice.below(5) as u64;
                for seq in size..size + more {
                    append(store, seq)?;
                }
                rebuild(store, size + more, judge.origin(), &judge.key())?;
                Ok(format!("{what}, and {more} events more"))
            }),
            Self::RowGone => attack(path, |store| row_gone(store, dice)),
            Self::EventAdded => attack(path, |store| {
                append(store, size)?;
                Ok("an event appended without a checkpoint".to_owned())
            }),
        }
    }
}

/// Cuts the log back to a genuine earlier checkpoint, in all data that the signature covers.
fn cut_tail(store: &Connection, dice: &mut SeededRng) -> anyhow::Result<String> {
    let sizes: Vec<i64> = store
        .prepare("SELECT size FROM checkpoints WHERE size < (SELECT max(size) FROM checkpoints)")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let size = *dice.pick(&sizes);
    store.execute("DELETE FROM block_bodies WHERE first >= ?1", [size])?;
    store.execute("DELETE FROM blocks WHERE first >= ?1", [size])?;
    store.execute("DELETE FROM event_index WHERE seq >= ?1", [size])?;
    store.execute("DELETE FROM checkpoints WHERE size > ?1", [size])?;
    Ok(format!("cut to {size} events"))
}

fn swap(store: &Connection, size: u64, dice: &mut SeededRng) -> anyhow::Result<String> {
    let size = usize::try_from(size)?;
    let left = dice.below(size - 1);
    let right = left + 1 + dice.below(size - left - 1);
    let mut log = StoredLog::read(store)?;
    log.entries.swap(left, right);
    log.write(store)?;
    Ok(format!("events {left} and {right} swapped"))
}

/// Replaces the sender of an event; no view shows it.
fn another_actor(store: &Connection, size: u64, dice: &mut SeededRng) -> anyhow::Result<String> {
    let seq = dice.below(usize::try_from(size)?);
    let mut log = StoredLog::read(store)?;
    let mut event: EventRecord = canonical::decode(&log.entries[seq].event).context("an event")?;
    event.actor.push_str("-forged");
    log.entries[seq].event = canonical::encode(&event)?;
    log.write(store)?;
    Ok(format!("forked at event {seq}"))
}

/// Appends one more start of the ledger, in the ledger's own format.
fn append(store: &Connection, seq: u64) -> anyhow::Result<()> {
    let salt = [7_u8; 32];
    let mut log = StoredLog::read(store)?;
    let start = log.entries.first().context("an empty log")?.clone();
    let body = &start.salted_body[salt.len()..];
    let mut event: EventRecord = canonical::decode(&start.event).context("an event")?;
    anyhow::ensure!(
        event.kind == EventKind::LedgerStarted,
        "first event is not a ledger start"
    );
    event.seq = seq;
    event.body_digest = body_commitment(&salt, body);
    log.push(StoredEntry {
        event: canonical::encode(&event)?,
        salted_body: [salt.as_slice(), body].concat(),
    });
    log.write(store)?;
    store.execute(
        "INSERT INTO event_index (seq, kind, at, proposal_id) VALUES (?1, ?2, ?3, NULL)",
        params![
            i64::try_from(seq)?,
            event.kind.as_str(),
            event.at.as_unix_millis()
        ],
    )?;
    Ok(())
}

/// Deletes any record except a checkpoint: the newest checkpoint makes earlier ones redundant.
fn row_gone(store: &Connection, dice: &mut SeededRng) -> anyhow::Result<String> {
    loop {
        let table = *dice.pick(&RECORDS);
        let rows: i64 = store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        if table == "checkpoints" || rows == 0 {
            continue;
        }
        let key: String = store.query_row(
            "SELECT group_concat(name) FROM pragma_table_info(?1) WHERE pk > 0",
            [table],
            |row| row.get(0),
        )?;
        let at = dice.below(usize::try_from(rows)?);
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {at})"
        );
        store.execute(&sql, [])?;
        return Ok(format!("row {at} of {table} deleted"));
    }
}
