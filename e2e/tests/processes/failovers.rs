//! A PostgreSQL server that failed over, was restored, follows a primary, or does not let its roles call the functions
//! that identify it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Engine, PrivateServer, Session};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

/// Exit code of `receipts audit` that finds missing receipts.
const EXIT_MISSING: i32 = 13;
const EXIT_REFUSED: i32 = 4;
const START: Duration = Duration::from_secs(30);

/// A deployment whose PostgreSQL server can be copied, stopped and promoted.
struct Cluster {
    primary: PrivateServer,
    place: CliFixture,
}

impl Cluster {
    fn new() -> anyhow::Result<Option<Self>> {
        Self::with(|_| Ok(()))
    }

    /// Prepares the database before the deployment uses it.
    fn with(prepare: impl FnOnce(&Session) -> anyhow::Result<()>) -> anyhow::Result<Option<Self>> {
        let Some(primary) = PrivateServer::start(Engine::Postgres, &[])? else {
            return Ok(None);
        };
        let database = primary.server().database()?;
        prepare(&database.session())?;
        let place = CliFixture::over(database, &Fixture::billing())?;
        Ok(Some(Self { primary, place }))
    }

    fn database(&self) -> anyhow::Result<&synapsor_e2e::databases::Database> {
        match &self.place.target {
            Target::Server { database, .. } => Ok(database),
            Target::File(_) => anyhow::bail!("a server has the target"),
        }
    }

    fn standby(&self) -> anyhow::Result<PrivateServer> {
        // The primary is stopped while its files are copied.
        self.database()?.close();
        self.primary.standby()
    }

    /// Returns a URL of the deployment, for another server.
    fn url_at(&self, url: &str, server: &PrivateServer) -> String {
        let here = self.primary.server().address();
        url.replacen(here, server.server().address(), 1)
    }

    /// Gives reader and writer the URLs of another server, as a changed name in DNS does.
    fn move_to(&mut self, server: &PrivateServer) {
        let read = self.url_at(&self.place.target.read_url(), server);
        let write = self.url_at(&self.place.target.write_url(), server);
        self.place.set("BILLING_READ_URL", &read);
        self.place.set("BILLING_WRITE_URL", &write);
    }

    /// Late fee of an invoice on another server.
    fn fee_at(&self, server: &PrivateServer, invoice: &str) -> anyhow::Result<String> {
        let url = server.server().url_for(None, self.database()?.name());
        let sql = format!("SELECT late_fee_cents::text FROM invoices WHERE id = '{invoice}'");
        Session::new(Engine::Postgres, url).value(&sql)
    }

    fn applied(&self, invoice: &str) -> anyhow::Result<String> {
        let id = self.place.approved(invoice, "goodwill")?;
        ensure!(self.apply(&id, 0)?["status"] == json!("applied"));
        Ok(id)
    }

    fn apply(&self, id: &str, exit: i32) -> anyhow::Result<Json> {
        let ran = self.place.run(&["apply", id, "--json"])?;
        ran.expect(exit)?;
        ran.object()
    }

    fn identity_in_receipt(&self, id: &str) -> anyhow::Result<String> {
        let shown = self.place.ok(&["receipts", "show", id])?.stdout;
        let line = shown.lines().find(|line| line.contains("postgres:"));
        Ok(line.with_context(|| shown.clone())?.to_owned())
    }
}

#[test]
fn approved_change_is_applied_after_a_failover() -> anyhow::Result<()> {
    let Some(mut cluster) = Cluster::new()? else {
        return Ok(());
    };
    let first = cluster.applied("INV-3002")?;
    ensure!(cluster.identity_in_receipt(&first)?.contains(":00000001:"));
    let second = cluster.place.approved("INV-3001", "goodwill")?;
    let successor = cluster.standby()?;
    successor.promote()?;
    cluster.move_to(&successor);

    ensure!(cluster.apply(&second, 0)?["status"] == json!("applied"));
    assert_eq!(cluster.fee_at(&successor, "INV-3001")?, "0");
    ensure!(cluster.identity_in_receipt(&second)?.contains(":00000002:"));
    // The old primary is not written any more: it is on an earlier timeline than the proposal.
    let third = cluster.place.approved("INV-3003", "goodwill")?;
    let primary = cluster.place.target.write_url();
    cluster.place.set("BILLING_WRITE_URL", &primary);
    let refused = cluster.apply(&third, EXIT_REFUSED)?;
    assert_eq!(refused["result"], json!("refused:source"), "{refused}");
    Ok(())
}

#[test]
fn restored_backup_needs_an_accepted_loss_before_writes() -> anyhow::Result<()> {
    let Some(mut cluster) = Cluster::new()? else {
        return Ok(());
    };
    let kept = cluster.applied("INV-3002")?;
    let waiting = cluster.place.approved("INV-3001", "goodwill")?;
    // Two changes follow the backup, so that the newest known receipt is not the only one that is missing.
    cluster.database()?.close();
    let backup = cluster.primary.copy(|folder| {
        std::fs::write(folder.join("data/standby.signal"), "")?;
        Ok(Vec::new())
    })?;
    let lost = cluster.applied("INV-3003")?;
    backup.promote()?;
    cluster.move_to(&backup);

    let refused = cluster.apply(&waiting, EXIT_REFUSED)?;
    assert_eq!(refused["result"], json!("refused:effect_lost"), "{refused}");
    assert_eq!(cluster.fee_at(&backup, "INV-3001")?, "5500");
    let audit = cluster.place.run(&["receipts", "audit", "--json"])?;
    audit.expect(EXIT_MISSING)?;
    ensure!(
        audit.stdout.contains(&lost) && !audit.stdout.contains(&kept),
        "{audit}"
    );
    cluster.place.ok(&[
        "receipts",
        "give-up",
        &lost,
        "--source",
        "billing_db",
        "--yes",
        "--reason",
        "restored from a backup",
    ])?;
    ensure!(cluster.apply(&waiting, 0)?["status"] == json!("applied"));
    assert_eq!(cluster.fee_at(&backup, "INV-3001")?, "0");
    Ok(())
}

/// Files that hold the URLs of a running deployment.
struct UrlFiles<'a>(&'a Cluster);

impl UrlFiles<'_> {
    fn write(&self, server: &PrivateServer) -> anyhow::Result<()> {
        let target = &self.0.place.target;
        for (name, url) in [("read.url", target.read_url()), ("write.url", target.write_url())] {
            let url = self.0.url_at(&url, server);
            let mode = synapsor_chassis::files::MODE_PRIVATE;
            synapsor_chassis::files::write_atomic(&self.0.place.path(name), url.as_bytes(), mode)?;
        }
        Ok(())
    }
}

#[test]
fn running_writer_needs_older_receipts_after_a_failover() -> anyhow::Result<()> {
    let Some(mut cluster) = Cluster::new()? else {
        return Ok(());
    };
    for (name, file) in [
        ("BILLING_READ_URL", "read.url"),
        ("BILLING_WRITE_URL", "write.url"),
    ] {
        let path = cluster.place.path(file).display().to_string();
        cluster.place.unset(name);
        cluster.place.set(&format!("{name}_FILE"), &path);
    }
    UrlFiles(&cluster).write(&cluster.primary)?;
    cluster
        .place
        .set("SYNAPSOR_RUNNER_HTTP_TOKEN", "a-token-of-one-test");
    let mut up = cluster.place.start(&["up", "--serve", "--port", "0", "--json"])?;
    up.until_printed(START, |out| serde_json::from_str::<Json>(out).is_ok())?;
    let older = cluster.applied("INV-3002")?;
    cluster.applied("INV-3003")?;
    let waiting = cluster.place.approved("INV-3001", "goodwill")?;
    let successor = cluster.standby()?;
    successor.promote()?;
    let url = successor.server().url_for(None, cluster.database()?.name());
    let sql = format!("DELETE FROM synapsor_writeback_receipts WHERE proposal_id = '{older}'");
    Session::new(Engine::Postgres, url).execute(&sql)?;
    // The newest receipt is there, and the comparison of the last minute was on the old primary.
    cluster.primary.stop()?;
    UrlFiles(&cluster).write(&successor)?;

    let refused = cluster.apply(&waiting, EXIT_REFUSED)?;
    assert_eq!(refused["result"], json!("refused:effect_lost"), "{refused}");
    let message = refused["message"].as_str().unwrap_or_default();
    ensure!(message.contains(&older), "{message}");
    assert_eq!(cluster.fee_at(&successor, "INV-3001")?, "5500");
    up.signal(rustix::process::Signal::TERM)?;
    up.end(START)?;
    Ok(())
}

#[test]
fn contract_can_refuse_changes_from_before_a_failover() -> anyhow::Result<()> {
    let Some(mut cluster) = Cluster::new()? else {
        return Ok(());
    };
    let text = std::fs::read_to_string(cluster.place.path("synapsor.runner.json"))?;
    let mut contract: Json = serde_json::from_str(&text)?;
    contract["sources"]["billing_db"]["on_failover"] = json!("refuse");
    cluster
        .place
        .write("synapsor.runner.json", &contract.to_string())?;
    let before = cluster.place.approved("INV-3001", "goodwill")?;
    let successor = cluster.standby()?;
    successor.promote()?;
    cluster.move_to(&successor);

    let refused = cluster.apply(&before, EXIT_REFUSED)?;
    assert_eq!(refused["result"], json!("refused:source"), "{refused}");
    let message = refused["message"].as_str().unwrap_or_default();
    ensure!(message.contains("on_failover"), "{message}");
    // A rejection is always possible, and frees the row.
    cluster
        .place
        .ok(&["proposals", "reject", &before, "--yes", "--reason", "failed over"])?;
    cluster.applied("INV-3001")?;
    Ok(())
}

#[test]
fn standby_serves_reads_and_its_lag_is_a_conflict() -> anyhow::Result<()> {
    let Some(mut cluster) = Cluster::new()? else {
        return Ok(());
    };
    let standby = cluster.standby()?;
    let read = cluster.url_at(&cluster.place.target.read_url(), &standby);
    cluster.place.set("BILLING_READ_URL", &read);
    cluster.place.ok(&["writeback", "doctor", "--check-db"])?;
    let primary = cluster.place.target.write_url();
    let write = cluster.url_at(&primary, &standby);
    cluster.place.set("BILLING_WRITE_URL", &write);
    let ran = cluster.place.run(&["writeback", "doctor", "--check-db"])?;
    ran.expect(6)?;
    ensure!(
        ran.stdout.contains("SOURCE_READ_ONLY") && ran.stdout.contains("the primary server"),
        "{ran}"
    );
    cluster.place.set("BILLING_WRITE_URL", &primary);
    let id = cluster.applied("INV-3001")?;
    ensure!(cluster.identity_in_receipt(&id)?.contains(":00000001:"));

    standby
        .server()
        .session()
        .execute("SELECT pg_wal_replay_pause()")?;
    let database = cluster.database()?;
    database.execute("UPDATE invoices SET version = version + 1 WHERE id = 'INV-3002'")?;
    let behind = cluster.place.approved("INV-3002", "goodwill")?;
    let ended = cluster.apply(&behind, 3)?;
    assert_eq!(ended["status"], json!("conflict"), "{ended}");
    Ok(())
}

/// Functions that some managed servers let no role call.
const REVOKED: [&str; 3] = [
    "pg_control_system()",
    "pg_current_wal_lsn()",
    "pg_walfile_name(pg_lsn)",
];

#[test]
fn server_without_identifying_functions_has_a_weaker_identity() -> anyhow::Result<()> {
    for function in REVOKED {
        let revoke = |owner: &Session| {
            owner.execute(&format!(
                "REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC"
            ))
        };
        let Some(cluster) = Cluster::with(revoke)? else {
            return Ok(());
        };
        let (part, words) = match function {
            "pg_control_system()" => ("postgres:unknown:00000001:", "system identifier"),
            _ => (":unknown:", "timeline"),
        };
        let checked = cluster
            .place
            .ok(&["writeback", "doctor", "--check-db", "--json"])?;
        ensure!(
            checked.stdout.contains("IDENTITY_WEAK")
                && checked.stdout.contains(words)
                && checked.stdout.contains(function),
            "{function}: {checked}"
        );
        let id = cluster.applied("INV-3001")?;
        ensure!(
            cluster.identity_in_receipt(&id)?.contains(part),
            "{function}: {}",
            cluster.identity_in_receipt(&id)?
        );
        // A right that is granted later strengthens the identity, and what was approved before is still applied.
        let before = cluster.place.approved("INV-3002", "goodwill")?;
        let database = cluster.database()?;
        database.execute(&format!(
            "GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO PUBLIC"
        ))?;
        ensure!(cluster.apply(&before, 0)?["status"] == json!("applied"));
        ensure!(cluster.identity_in_receipt(&before)?.contains(":00000001:"));
    }
    Ok(())
}

#[test]
fn writer_that_cannot_read_the_identity_is_named() -> anyhow::Result<()> {
    const FUNCTION: &str = "FUNCTION pg_catalog.pg_control_system()";
    let Some(cluster) = Cluster::new()? else {
        return Ok(());
    };
    let Target::Server { roles, .. } = &cluster.place.target else {
        anyhow::bail!("a server has the target");
    };
    let database = cluster.database()?;
    database.execute(&format!(
        "REVOKE EXECUTE ON {FUNCTION} FROM PUBLIC; GRANT EXECUTE ON {FUNCTION} TO {}",
        roles.reader
    ))?;
    let checked = cluster
        .place
        .run(&["writeback", "doctor", "--check-db", "--json"])?;
    ensure!(
        !checked.stdout.contains("SOURCE_DIFFERS") && checked.stdout.contains("to the writer's role"),
        "{checked}"
    );
    let id = cluster.place.approved("INV-3001", "goodwill")?;
    let refused = cluster.place.run(&["apply", &id])?;
    refused.expect(EXIT_REFUSED)?;
    let printed = format!("{refused}");
    ensure!(
        printed.contains("may not read the database's system identifier"),
        "{printed}"
    );
    ensure!(!printed.contains("database differs"), "{printed}");
    database.execute(&format!("GRANT EXECUTE ON {FUNCTION} TO {}", roles.writer))?;
    ensure!(cluster.apply(&id, 0)?["status"] == json!("applied"));
    Ok(())
}
