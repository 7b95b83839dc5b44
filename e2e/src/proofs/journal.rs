//! An append-only list of every effect. Beside the writers somebody sets each changed row back to what it was, to
//! the version, and notes the effect in the same transaction: whoever writes a second time finds row and guard just
//! as they were reviewed, so that nothing but the receipt keeps an effect from being there twice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::checker::{Checker, Place};
use super::invoices::{FEE, VERSION};

const LOOK: Duration = Duration::from_millis(5);

/// The running watcher.
#[derive(Debug)]
pub(super) struct Journal {
    checker: Arc<Checker>,
    stop: CancellationToken,
    watching: JoinHandle<anyhow::Result<()>>,
}

impl Journal {
    /// Starts to watch invoices whose number begins with `prefix`.
    pub(super) fn watch(place: Place, prefix: &str) -> Self {
        let checker = Arc::new(Checker::new(place));
        let stop = CancellationToken::new();
        let (own, stopped, prefix) = (Arc::clone(&checker), stop.clone(), prefix.to_owned());
        let watching = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                sweep(&own, &prefix).await?;
                tokio::time::sleep(LOOK).await;
            }
            // Nobody writes any more.
            sweep(&own, &prefix).await
        });
        Self {
            checker,
            stop,
            watching,
        }
    }

    /// Ends after a last look.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.watching.await.context("the journal's task")??;
        drop(self.checker);
        Ok(())
    }
}

/// The table of the effects.
pub(super) const TABLE: &str =
    "CREATE TABLE effect_journal (invoice VARCHAR(64) NOT NULL, reason VARCHAR(300))";

async fn sweep(checker: &Checker, prefix: &str) -> anyhow::Result<()> {
    let changed =
        format!("SELECT id, waiver_reason FROM invoices WHERE version <> {VERSION} AND id LIKE '{prefix}%'");
    if checker.query(&changed).await?.is_empty() {
        return Ok(());
    }
    let (begin, lock) = match checker.place() {
        Place::Sqlite(_) => ("BEGIN IMMEDIATE", ""),
        Place::Postgres(_) | Place::Mysql(_) => ("BEGIN", " FOR UPDATE SKIP LOCKED"),
    };
    checker.query(begin).await?;
    for row in checker.query(&format!("{changed}{lock}")).await? {
        let mut row = row.into_iter();
        let id = row.next().flatten().context("an invoice has a number")?;
        let reason = row
            .next()
            .flatten()
            .map_or_else(|| "NULL".to_owned(), |r| format!("'{r}'"));
        checker
            .query(&format!("INSERT INTO effect_journal VALUES ('{id}', {reason})"))
            .await?;
        let back = format!(
            "UPDATE invoices SET late_fee_cents = {FEE}, waiver_reason = NULL, version = {VERSION} WHERE id = '{id}'"
        );
        checker.query(&back).await?;
    }
    checker.query("COMMIT").await?;
    Ok(())
}
