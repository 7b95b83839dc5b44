//! A PgBouncer that the URLs do not declare: the code and the fix that `inspect`, the doctor and the logs of the executors
//! print.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value as Json;
use synapsor_e2e::cli::{CliFixture, until};
use synapsor_e2e::databases::{Engine, Server, missing, program};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

use crate::pgbouncer::{IGNORES, Pooler, PoolerKind, kinds};

const LIMIT: Duration = Duration::from_secs(30);
const TEXT: &str = "is behind a connection pooler";
const FIX: &str = "add pgbouncer=true to the URL";

fn is_named_everywhere(kind: PoolerKind) -> anyhow::Result<()> {
    let Some(server) = Server::postgres()? else {
        return Ok(());
    };
    if let Err(reason) = program(kind.program) {
        return missing(Engine::Postgres, &format!("{}: {reason}", kind.program));
    }
    let mut place = CliFixture::over(server.database()?, &Fixture::billing())?;
    let Target::Server { roles, .. } = &place.target else {
        anyhow::bail!("a server has the target");
    };
    let urls = [roles.read_url.clone(), roles.write_url.clone()];
    let pooler = Pooler::start(&server, kind, [&urls[0], &urls[1]])?;
    let declared = urls.map(|url| pooler.url(&server, &url));
    let names = ["BILLING_READ_URL", "BILLING_WRITE_URL"];
    for (name, url) in names.iter().zip(&declared) {
        let (undeclared, _) = url.split_once('?').context("a parameter")?;
        place.set(name, undeclared);
    }

    let inspected = place.run(&["inspect", "--from-env", names[0]])?;
    inspected.expect_failure(6, "SOURCE_POOLER", &[TEXT, FIX])?;
    let checked = place.run(&["writeback", "doctor", "--check-db"])?;
    let found = checked.stdout.matches("SOURCE_POOLER: ").count();
    ensure!(
        found == 2 && checked.stdout.contains(TEXT) && checked.stdout.contains(FIX),
        "{checked}"
    );
    if kind.more.is_empty() {
        is_logged(&mut place)?;
    }

    for (name, url) in names.iter().zip(&declared) {
        place.set(name, url);
    }
    place.ok(&["writeback", "doctor", "--check-db"])?;
    // The wait for a writer that cannot work takes long, and does not depend on the pooler.
    if !kind.more.is_empty() || kind.program != "pgbouncer" {
        return Ok(());
    }

    // A writer that cannot use its database has not seen rights or rows of it.
    let proposal = place.approved("INV-3001", "goodwill")?;
    let (undeclared, _) = declared[1].split_once('?').context("a parameter")?;
    place.set(names[1], undeclared);
    let waits = place.run(&["apply", &proposal, "--json"])?;
    waits.expect(6)?;
    ensure!(!waits.to_string().contains("refused:"), "{waits}");
    place.set(names[1], &declared[1]);
    place.ok(&["apply", &proposal])?;
    Ok(())
}

/// Both executors serve, and each logs why its source cannot be used.
fn is_logged(place: &mut CliFixture) -> anyhow::Result<()> {
    place.set("SYNAPSOR_RUNNER_HTTP_TOKEN", &"t".repeat(40));
    let mut up = place.start(&["up", "--serve", "--port", "0", "--json"])?;
    up.until_printed(LIMIT, |out| serde_json::from_str::<Json>(out).is_ok())?;
    let output: Json = serde_json::from_str(&up.printed()?.0)?;
    let logs = output["logs_dir"].as_str().context("logs_dir")?;
    for role in ["reader", "writer"] {
        let mut paths = std::fs::read_dir(logs)?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_of_role = |path: &std::path::PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(role))
        };
        let log = paths
            .find(is_of_role)
            .with_context(|| format!("no log of the {role}"))?;
        let is_named = || {
            let text = std::fs::read_to_string(&log)?;
            let line = text.lines().find(|line| line.contains("SOURCE_POOLER"));
            Ok(line.is_some_and(|line| line.contains(TEXT) && line.contains(FIX)))
        };
        until(LIMIT, is_named).with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
    }
    up.signal(rustix::process::Signal::TERM)?;
    up.end(LIMIT)?;
    Ok(())
}

#[test]
fn undeclared_pooler_is_named_by_commands_and_logs() -> anyhow::Result<()> {
    for kind in kinds(&["transaction"]) {
        for more in ["", IGNORES] {
            let kind = PoolerKind { more, ..kind };
            is_named_everywhere(kind).with_context(|| format!("{kind:?}"))?;
        }
    }
    Ok(())
}
