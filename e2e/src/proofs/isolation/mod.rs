//! Isolation proof: the resources of each process, the permitted calls, the visibility between processes, and that
//! an approved change does not depend on the processes that serve the model.

mod by_hand;
mod look;
mod rules;
mod siblings;
mod table;
mod under_up;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::Plan;
use crate::account::{self, Account};
use crate::cli::until;
use look::{Places, Seen, Subject};

/// Time in which a process must reach the lock that the proof holds.
const LOOK_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn run(_plan: Plan) -> anyhow::Result<Json> {
    let account = Account::ordinary()?;
    let mut report = Report::default();
    println!("wall: the processes run as {}", account.describe());
    if !account::is_root() {
        report.skip("values, open files and listeners of the processes: they are closed to this user, and only root can look");
    }
    by_hand::run(&account, &mut report).await?;
    under_up::run(&account, &mut report).await?;
    Ok(json!({
        "proof": "wall",
        "checks": report.checks,
        "violations": report.violations,
        "skipped": report.skipped,
    }))
}

/// Checks and violations.
#[derive(Debug, Default)]
struct Report {
    checks: usize,
    violations: Vec<String>,
    skipped: Vec<String>,
}

impl Report {
    fn check(&mut self, holds: bool, claim: impl std::fmt::Display) {
        self.checks += 1;
        if !holds {
            println!("VIOLATION {claim}");
            self.violations.push(claim.to_string());
        }
    }

    fn skip(&mut self, what: &str) {
        println!("SKIPPED {what}");
        self.skipped.push(what.to_owned());
    }
}

/// Lock on the database that permits reads and blocks writes: an applying writer waits here, with the database
/// open.
struct Gate {
    connection: rusqlite::Connection,
}

impl Gate {
    fn close(database: &Path) -> anyhow::Result<Self> {
        let connection = rusqlite::Connection::open(database)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self { connection })
    }

    fn open(self) -> anyhow::Result<()> {
        Ok(self.connection.execute_batch("ROLLBACK")?)
    }
}

/// Inspects every process while the writer has the database open, if that is possible.
fn observe_while_applying(subjects: &[Subject], places: &Places) -> anyhow::Result<Vec<Seen>> {
    let mut seen = Vec::new();
    if !account::is_root() {
        return subjects.iter().map(|subject| look::at(subject, places)).collect();
    }
    until(LOOK_WITHIN, || {
        seen = subjects
            .iter()
            .map(|subject| look::at(subject, places))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(seen.iter().any(|s| s.name == "writer" && s.can_write_database()))
    })
    .context("writer never opened the database")?;
    Ok(seen)
}

fn kill(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .context("a process id")?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
}
