//! An append-only list of every effect. Beside the writers somebody sets each changed row back to what it was, to
//! the version, and notes the effect in the same transaction: whoever writes a second time finds row and guard just
//! as they were reviewed, so that nothing but the receipt keeps an effect from being there twice.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::checker::Checker;
use super::invoices::{FEE, VERSION};

const LOOK: Duration = Duration::from_millis(20);

/// The running watcher.
#[derive(Debug)]
pub(super) struct Journal {
    stop: CancellationToken,
    watching: JoinHandle<anyhow::Result<()>>,
}

impl Journal {
    /// Starts to watch invoices whose number begins with `prefix`.
    pub(super) fn watch(checker: Checker, prefix: &str) -> Self {
        let stop = CancellationToken::new();
        let (stopped, prefix) = (stop.clone(), prefix.to_owned());
        let watching = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                sweep(&checker, &prefix)?;
                tokio::time::sleep(LOOK).await;
            }
            // Nobody writes any more.
            sweep(&checker, &prefix)
        });
        Self { stop, watching }
    }

    /// Ends after a last look.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.watching.await.context("the journal's task")?
    }
}

/// The table of the effects.
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
            // At a higher level MySQL locks what it only looks at. PostgreSQL has this level anyway.
            checker.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")?;
            checker.query("BEGIN")?;
            " FOR UPDATE SKIP LOCKED"
        }
    };
    for row in checker.query(&format!("{changed}{lock}"))? {
        let mut row = row.into_iter();
        let id = row.next().flatten().context("an invoice has a number")?;
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
