//! Copy of the records of one engine, with the current commands under the clock of the records' creation.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value as Json;
use synapsor_domain::timestamp::Timestamp;
use synapsor_e2e::cli::{CliFixture, CommandOutput, until};
use synapsor_e2e::databases::Engine;
use synapsor_e2e::faketime::FakedClock;

use super::database::Database;

pub(crate) const RECORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/old_records");
/// Time limit of the writer's background work.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Scene {
    pub(crate) place: CliFixture,
    database: Database,
    /// Ids of the proposals by row.
    proposals: Json,
}

impl Scene {
    /// Returns `None` if the machine has no libfaketime or no such server.
    pub(crate) fn of(engine: Engine) -> anyhow::Result<Option<Self>> {
        let source = PathBuf::from(RECORDS).join(engine.name());
        let made: Json = serde_json::from_slice(&std::fs::read(source.join("made.json"))?)?;
        let made_at: Timestamp = made["made_at"].as_str().context("an instant")?.parse()?;
        let Some(clock) = FakedClock::starting_at(made_at)? else {
            return Ok(None);
        };
        let mut place = CliFixture::empty()?;
        for part in ["state", "bundles", "synapsor.runner.json"] {
            copy(&source.join(part), &place.path(part))?;
        }
        // A state directory contains these as well; they are empty while nothing runs.
        for folder in ["state/logs", "state/run"] {
            synapsor_chassis::files::create_private_dir(&place.path(folder))?;
        }
        place.set_clock(&clock.variables())?;
        let database = match engine {
            Engine::Sqlite => Some(Database::file(&source, &place.path("billing.db"))?),
            server => Database::server(server, &source, &clock)?,
        };
        let Some(database) = database else {
            return Ok(None);
        };
        let [read_url, write_url] = database.urls();
        let store = place.path("state/local.db").display().to_string();
        for (name, value) in [
            ("BILLING_READ_URL", read_url.as_str()),
            ("BILLING_WRITE_URL", &write_url),
            ("BILLING_TENANT", "acme"),
            ("BILLING_PRINCIPAL", "support-agent"),
            ("SYNAPSOR_LOCAL_STORE", &store),
        ] {
            place.set(name, value);
        }
        let proposals = made["proposals"].clone();
        Ok(Some(Self {
            place,
            database,
            proposals,
        }))
    }

    /// Proposal id of a row.
    pub(crate) fn id(&self, row: &str) -> anyhow::Result<&str> {
        self.proposals[row]
            .as_str()
            .with_context(|| format!("no proposal for {row}"))
    }

    pub(crate) fn apply(&self, row: &str) -> anyhow::Result<CommandOutput> {
        self.place.run(&["apply", self.id(row)?])
    }

    /// Ledger state of the proposal of a row.
    pub(crate) fn state(&self, row: &str) -> anyhow::Result<String> {
        let shown = self.place.json(&["proposals", "show", self.id(row)?])?;
        Ok(shown["state"].as_str().context("a state")?.to_owned())
    }

    /// One row of the source database: the value that proposals change, and the version.
    pub(crate) fn row(&self, row: &str) -> anyhow::Result<(String, String)> {
        let sql = if row.starts_with("CR-") {
            format!("SELECT coalesce(comment, '-'), version FROM credits WHERE number = '{row}'")
        } else {
            format!("SELECT late_fee_cents, version FROM invoices WHERE id = '{row}'")
        };
        self.database.pair(&sql)
    }

    /// Outcomes of the receipts of a row in the source database.
    pub(crate) fn receipts(&self, row: &str) -> anyhow::Result<Vec<String>> {
        let id = self.id(row)?;
        let sql = format!("SELECT outcome FROM synapsor_writeback_receipts WHERE proposal_id = '{id}'");
        let rows = self.database.query_text(&sql)?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// Event kinds of a row in the log, in order.
    pub(crate) fn events(&self, row: &str) -> anyhow::Result<Vec<String>> {
        let ran = self
            .place
            .ok(&["events", "tail", "--proposal", self.id(row)?, "--json"])?;
        let kinds = ran.stdout.lines().map(|line| {
            let event: Json = serde_json::from_str(line)?;
            Ok(event["kind"].as_str().context("a kind")?.to_owned())
        });
        kinds.collect()
    }

    /// Runs ledger, reader and writer until every row's proposal has a receipt in the source database.
    pub(crate) fn serve_until_recorded(&self, rows: &[&str]) -> anyhow::Result<()> {
        let services = self.place.start(&["up"])?;
        until(LIMIT, || {
            let recorded = rows.iter().map(|row| Ok(!self.receipts(row)?.is_empty()));
            Ok(recorded
                .collect::<anyhow::Result<Vec<_>>>()?
                .into_iter()
                .all(|r| r))
        })
        .with_context(|| format!("receipts of {rows:?}"))?;
        services.signal(rustix::process::Signal::INT)?;
        services.end(LIMIT).map(drop)
    }
}

/// Copies a file or a directory, private to this user: committed fixtures have lost these permissions.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mode = if from.is_dir() {
        std::fs::create_dir(to)?;
        for entry in std::fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
        0o700
    } else {
        std::fs::write(to, std::fs::read(from)?)?;
        0o600
    };
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode))
        .with_context(|| to.display().to_string())
}
