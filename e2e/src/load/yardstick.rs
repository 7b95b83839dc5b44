//! Baseline: the database server with the same statements, measured by pgbench on the same server in the same run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

use super::figures::{Calls, rounded};
use super::scene::ROWS;
use crate::databases::program;
use crate::target::Target;

const TABLES: &str = "CREATE TABLE yard_invoices (LIKE invoices INCLUDING ALL); \
    INSERT INTO yard_invoices SELECT * FROM invoices; \
    CREATE TABLE yard_receipts (proposal_id text PRIMARY KEY, outcome text NOT NULL, receipt text NOT NULL); \
    ANALYZE yard_invoices; ANALYZE invoices";

/// Measured operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    /// Select of one row, by key and tenant.
    Select,
    /// Update of one row and insert of its receipt, in one transaction.
    Update,
}

impl Statement {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Select => "pgbench.select",
            Self::Update => "pgbench.update",
        }
    }

    fn script(self) -> String {
        let last = ROWS - 1;
        let key = "'L-' || lpad(:n::text, 7, '0')";
        match self {
            Self::Select => format!(
                "\\set n random(0, {last})\n\
                 SELECT id, customer_name, status, late_fee_cents, waiver_reason, version FROM invoices \
                 WHERE id = {key} AND tenant_id = 'acme';\n"
            ),
            Self::Update => format!(
                "\\set n random(0, {last})\nBEGIN;\n\
                 SELECT id, late_fee_cents, waiver_reason, version FROM yard_invoices \
                 WHERE id = {key} AND tenant_id = 'acme' FOR UPDATE;\n\
                 UPDATE yard_invoices SET late_fee_cents = 0, waiver_reason = 'waived', version = version + 1 \
                 WHERE id = {key} AND tenant_id = 'acme';\n\
                 INSERT INTO yard_receipts VALUES (gen_random_uuid()::text, 'applied', repeat('x', 900));\n\
                 COMMIT;\n"
            ),
        }
    }
}

/// Creates the tables that pgbench changes; returns `false` if the target is not on PostgreSQL.
pub(super) fn prepare(target: &Target) -> anyhow::Result<bool> {
    let Some(_) = owner_url(target) else {
        return Ok(false);
    };
    target.execute(TABLES).map(|()| true)
}

fn owner_url(target: &Target) -> Option<String> {
    match target {
        Target::Server { database, .. } => {
            let url = database.owner_url();
            url.starts_with("postgres").then_some(url)
        }
        Target::File(_) => None,
    }
}

/// Runs pgbench with this number of clients.
pub(super) fn run(
    target: &Target,
    folder: &Path,
    statement: Statement,
    (clients, seconds): (usize, u64),
) -> anyhow::Result<Json> {
    let url = owner_url(target).context("a PostgreSQL server")?;
    let script = folder.join("pgbench.sql");
    std::fs::write(&script, statement.script())?;
    let prefix = folder.join("pgbench-log");
    let made = Command::new(program("pgbench")?)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=1", "--log"])
        .arg(format!("--log-prefix={}", prefix.display()))
        .arg(format!("--client={clients}"))
        .arg(format!("--time={seconds}"))
        .arg("--file")
        .arg(&script)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .context("pgbench")?;
    ensure!(
        made.status.success(),
        "pgbench: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut calls = Calls::default();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().starts_with(&*prefix.to_string_lossy()) {
            for line in std::fs::read_to_string(&path)?.lines() {
                let micros = line.split(' ').nth(2).context("a log line of pgbench")?;
                calls.good(Duration::from_micros(micros.parse()?));
            }
            std::fs::remove_file(&path)?;
        }
    }
    Ok(calls.figures(Duration::from_secs(seconds)))
}

/// Ratios of the call rates and of the call durations.
pub(super) fn ratio(ours: &Json, theirs: &Json) -> Json {
    let of = |name: &str| {
        let (ours, theirs) = (ours[name].as_f64()?, theirs[name].as_f64()?);
        (theirs > 0.0).then(|| rounded(ours / theirs, 3))
    };
    json!({ "rate": of("rate"), "p50": of("p50_ms"), "p99": of("p99_ms") })
}
