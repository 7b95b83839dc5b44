//! Contention proof: held rows and keys, deadlocks, serializable transactions and server restarts beside a writer.
//! Every effect has its receipt, every receipt its effect, and every case ends.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::block_in_place;

use super::checker::Checker;
use super::crash_harness::{Case, CrashHarness};
use super::findings::Findings;
use super::proof_env::{ProofEnv, Servers};
use crate::binaries::Build;
use crate::databases::Engine;
use crate::process::Process;
use crate::stack::WRITER;

/// Longer than the writer's lock timeout, shorter than its retry time.
const BEYOND_A_TIMEOUT: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 15;
const WAITS: Duration = Duration::from_secs(20);
const SERIES: usize = 24;
const RESTARTS: i64 = 3;
const RECEIPTS: &str = "synapsor_writeback_receipts";
/// Every column of a receipt except its key.
const REST: &str = "proposal_digest, outcome, reason, rows_affected, previous_version, new_version, fence, \
                    executor_id, ledger_size, ledger_root, db_identity, created_at, receipt, executor_key, executor_sig";

/// Fault that the writer encounters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// The row is locked, and released before the writer's lock timeout.
    RowHeldBriefly,
    /// The row is locked for longer than the lock timeout.
    RowHeldLong,
    /// Another transaction holds the receipt's key for longer than the lock timeout, then rolls back.
    KeyHeldLong,
    /// Another transaction holds the receipt's key and waits for the row.
    Deadlock,
    /// A serializable transaction has read the row and then writes it.
    Serializable,
    /// The server is killed repeatedly during a series of applies.
    Restarts,
}

/// Runs a scene on one engine; returns the number of violations, or `None` if the machine has no such server.
pub async fn play(scene: Scene, engine: Engine) -> anyhow::Result<Option<u64>> {
    let servers = if scene == Scene::Restarts {
        Servers::Private
    } else {
        Servers::Shared
    };
    let Some(ground) = ProofEnv::find(engine, servers)? else {
        return Ok(None);
    };
    let bench = ground.bench(Build::Plain).await?;
    let rival = ground.checker(&bench.stack.deployment)?;
    let mut bout = Bout {
        writer: bench.writer(WRITER)?,
        bench,
        rival,
        findings: Findings::default(),
        ground,
    };
    match scene {
        Scene::RowHeldBriefly => bout.row_held(Duration::ZERO).await?,
        Scene::RowHeldLong => bout.row_held(BEYOND_A_TIMEOUT).await?,
        Scene::KeyHeldLong => bout.key_held().await?,
        Scene::Deadlock => bout.deadlock().await?,
        Scene::Serializable => bout.serializable().await?,
        Scene::Restarts => bout.restarts().await?,
    }
    Ok(Some(bout.findings.violations))
}

/// A writer and a rival database connection.
struct Bout {
    bench: CrashHarness,
    writer: Process,
    rival: Checker,
    findings: Findings,
    ground: ProofEnv,
}

impl Bout {
    async fn row_held(&mut self, beyond: Duration) -> anyhow::Result<()> {
        let case = self.approved("row held").await?;
        self.rival.query("BEGIN")?;
        self.rival.query(&format!(
            "SELECT id FROM invoices WHERE id = '{}' FOR UPDATE",
            case.invoice
        ))?;
        self.order(&case).await?;
        self.writer_waits().await?;
        self.hold(&case, beyond).await?;
        self.rival.query("ROLLBACK")?;
        self.applied(case).await
    }

    async fn key_held(&mut self) -> anyhow::Result<()> {
        let key = self.some_receipt().await?;
        let case = self.approved("key held").await?;
        self.rival.query("BEGIN")?;
        self.take_key(&key, &case)?;
        self.order(&case).await?;
        // The writer has changed the row, and its receipt waits.
        self.writer_waits().await?;
        self.hold(&case, BEYOND_A_TIMEOUT).await?;
        self.rival.query("ROLLBACK")?;
        self.applied(case).await
    }

    async fn deadlock(&mut self) -> anyhow::Result<()> {
        let key = self.some_receipt().await?;
        for name in ["deadlock", "heavy deadlock"] {
            let case = self.approved(name).await?;
            self.rival.query("BEGIN")?;
            if name != "deadlock" {
                // MySQL aborts the transaction with fewer changes.
                self.rival
                    .query("UPDATE invoices SET internal_note = 'rival' WHERE id LIKE 'INV-%'")?;
            }
            self.take_key(&key, &case)?;
            self.order(&case).await?;
            self.writer_waits().await?;
            let update = format!(
                "UPDATE invoices SET internal_note = 'rival' WHERE id = '{}'",
                case.invoice
            );
            // The database may abort either transaction.
            match self.rival.query(&update) {
                Ok(_) => drop(self.rival.query("ROLLBACK")?),
                Err(_) => self.rival.disconnect(),
            }
            self.applied(case).await?;
        }
        Ok(())
    }

    async fn serializable(&mut self) -> anyhow::Result<()> {
        for commits in [false, true] {
            let case = self.approved(&format!("serializable {commits}")).await?;
            if self.ground.engine == Engine::Postgres {
                self.rival.query("BEGIN ISOLATION LEVEL SERIALIZABLE")?;
            } else {
                self.rival.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")?;
                self.rival.query("BEGIN")?;
            }
            let row = format!("WHERE id = '{}'", case.invoice);
            self.rival.query(&format!("SELECT version FROM invoices {row}"))?;
            self.order(&case).await?;
            if self.ground.engine == Engine::Postgres {
                self.bench.end(&case).await?;
            } else {
                self.writer_waits().await?;
            }
            let update = format!("UPDATE invoices SET internal_note = 'rival' {row}");
            let end = if commits { "COMMIT" } else { "ROLLBACK" };
            if self
                .rival
                .query(&update)
                .and_then(|_| self.rival.query(end))
                .is_err()
            {
                self.rival.disconnect();
            }
            self.applied(case).await?;
        }
        Ok(())
    }

    async fn restarts(&mut self) -> anyhow::Result<()> {
        let mut cases = Vec::new();
        for number in 0..SERIES {
            cases.push(self.approved(&format!("series {number}")).await?);
        }
        for case in &cases {
            self.order(case).await?;
        }
        let every = i64::try_from(SERIES)? / (RESTARTS + 1);
        for restart in 1..=RESTARTS {
            self.receipts(restart * every).await?;
            let server = self
                .ground
                .private
                .as_ref()
                .context("a server that may be killed")?;
            block_in_place(|| server.kill_hard().and_then(|()| server.start_again()))?;
            self.rival.disconnect();
            self.bench.checker.disconnect();
        }
        for case in cases {
            self.applied(case).await?;
        }
        Ok(())
    }

    /// Creates a proposal that alice has approved.
    async fn approved(&mut self, name: &str) -> anyhow::Result<Case> {
        let case = self.bench.proposed(name).await?;
        self.bench.desk.decide(&case.approval).await?;
        Ok(case)
    }

    async fn order(&mut self, case: &Case) -> anyhow::Result<()> {
        self.bench.desk.request_apply(&self.bench.order(case)).await?;
        Ok(())
    }

    async fn applied(&mut self, case: Case) -> anyhow::Result<()> {
        self.bench.end(&case).await?;
        self.findings
            .ended(&mut self.bench, case, "applied", "applied")
            .await
    }

    /// Waits for a time during which no change may become visible.
    async fn hold(&mut self, case: &Case, time: Duration) -> anyhow::Result<()> {
        tokio::time::sleep(time).await;
        let seen = self.bench.check_locked_target(case)?;
        let is_untouched = seen.effects == 0 && seen.receipt.is_none();
        self.findings
            .check(is_untouched, case, "something was written past a lock", &seen);
        Ok(())
    }

    /// Key of an existing receipt.
    async fn some_receipt(&mut self) -> anyhow::Result<String> {
        let case = self.approved("before").await?;
        self.order(&case).await?;
        let key = case.proposal.clone();
        self.applied(case).await?;
        Ok(key)
    }

    /// Inserts a receipt under the key of a proposal, in the rival's open transaction.
    fn take_key(&self, from: &str, case: &Case) -> anyhow::Result<()> {
        let sql = format!(
            "INSERT INTO {RECEIPTS} (proposal_id, {REST}) SELECT '{}', {REST} FROM {RECEIPTS} WHERE proposal_id = '{from}'",
            case.proposal
        );
        self.rival.query(&sql).map(drop)
    }

    /// Waits until the writer's connection waits for a lock.
    async fn writer_waits(&self) -> anyhow::Result<()> {
        if self.ground.engine == Engine::Postgres {
            let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock'";
            return self.until(sql, 1, 1).await;
        }
        // MySQL does not refresh its list of locks while it is queried continuously; a statement that does not end
        // is one that waits.
        let sql = "SELECT COUNT(*) FROM information_schema.processlist \
                   WHERE user = CONCAT(DATABASE(), '_w') AND command <> 'Sleep'";
        self.until(sql, 1, LOOKS).await
    }

    async fn receipts(&self, count: i64) -> anyhow::Result<()> {
        self.until(&format!("SELECT COUNT(*) FROM {RECEIPTS}"), count, 1)
            .await
    }

    /// Waits until a count was at least `least` for this many consecutive polls.
    async fn until(&self, sql: &str, least: i64, looks: u32) -> anyhow::Result<()> {
        let looking = async {
            let mut reached = 0;
            while reached < looks {
                reached = if self.bench.checker.number(sql)? < least {
                    0
                } else {
                    reached + 1
                };
                tokio::time::sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(WAITS, looking).await {
            Ok(looked) => looked,
            Err(_) => bail!(
                "still less than {least} after {WAITS:?}: {sql}\n{}",
                self.writer.log_text()
            ),
        }
    }
}
