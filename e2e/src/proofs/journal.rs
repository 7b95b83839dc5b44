//! Append-only journal of every effect. Beside the writers, a background task restores each changed row including
//! its version, and records the effect in the same transaction. A second write then finds row and guard as they
//! were reviewed, so that only the receipt prevents a second effect.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::checker::Checker;
use super::invoices::{FEE, VERSION};

const LOOK: Duration = Duration::from_millis(20);

/// Running background task.
#[derive(Debug)]
pub(super) struct Journal {
    stop: CancellationToken,
    watching: JoinHandle<anyhow::Result<()>>,
}

impl Journal {
    /// Starts to monitor invoices whose number begins with `prefix`.
    pub(super) fn watch(checker: Checker, prefix: &str) -> Self {
        let stop = CancellationToken::new();
        let (stopped, prefix) = (stop.clone(), prefix.to_owned());
        let watching = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                sweep(&checker, &prefix)?;
                tokio::time::sleep(LOOK).await;
            }
            // No writer runs any more.
            sweep(&checker, &prefix)
        });
        Self { stop, watching }
    }

    /// Stops after a final sweep.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.watching.await.context("the journal's task")?
    }
}

/// Table of the effects.
pub(super) const TABLE: &str =
    "CREATE TABLE effect_journal (invoice VARCHAR(64) NOT NULL, reason VARCHAR(300))";

fn sweep(checker: &Checker, prefix: &str) -> anyhow::Result<()> {
    let changed =
        format!("SELECT id, waiver_reason FROM invoices WHERE version <> {VERSION} AND id LIKE '{prefix}%'");
    if checker.query(&changed)?.is_empty() {
        return Ok(());
    }
    let lock = match checker {
        Checker::Sqlite(_) => {
            checker.query("BEGIN IMMEDIATE")?;
            ""
        }
        Checker::Server(_) => {
            // At a higher isolation level MySQL locks rows that it only reads. PostgreSQL has this level by
            // default.
            checker.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
            checker.query("BEGIN")?;
            " FOR UPDATE SKIP LOCKED"
        }
    };
    for row in checker.query(&format!("{changed}{lock}"))? {
        let mut row = row.into_iter();
        let id = row.next().flatten().context("invoice has a number")?;
        let reason = row
            .next()
            .flatten()
            .map_or_else(|| "NULL".to_owned(), |r| format!("'{r}'"));
        checker.query(&format!("INSERT INTO effect_journal VALUES ('{id}', {reason})"))?;
        let back = format!(
            "UPDATE invoices SET late_fee_cents = {FEE}, waiver_reason = NULL, version = {VERSION} WHERE id = '{id}'"
        );
        checker.query(&back)?;
    }
    checker.query("COMMIT")?;
    Ok(())
}
