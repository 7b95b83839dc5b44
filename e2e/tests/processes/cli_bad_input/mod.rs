//! User errors in the CLI: each gives a stable code, the location, a fix and the documented exit code, and leaves
//! no partial files.

mod contract;
mod keys;
mod place;
mod services;
mod store;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value as Json;
use synapsor_e2e::cli::{CliFixture, CommandOutput, Running};

const ALONE: Duration = Duration::from_secs(15);
const CONTRACT: &str = "synapsor.runner.json";
const TRUST: &str = ".synapsor/synapsor.trust.json";
const STORE: &str = ".synapsor/local.db";

fn mode(path: &Path, bits: u32) -> anyhow::Result<()> {
    Ok(std::fs::set_permissions(
        path,
        std::fs::Permissions::from_mode(bits),
    )?)
}

/// Runs a command that must fail with these values and leave the directory unchanged.
fn fails(
    place: &CliFixture,
    arguments: &[&str],
    exit: i32,
    code: &str,
    places: &[&str],
) -> anyhow::Result<()> {
    let before = place.listing()?;
    place.run(arguments)?.expect_failure(exit, code, places)?;
    ensure!(place.listing()? == before, "`{}` left files", arguments.join(" "));
    Ok(())
}

fn bound(place: &CliFixture, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
    Running::of(place.bound_command(arguments)?, arguments)?.end(Duration::from_secs(60))
}

/// State of the newest proposal.
fn state(place: &CliFixture) -> anyhow::Result<String> {
    let shown = place.json(&["proposals", "show", "latest"])?;
    Ok(shown["state"].as_str().context("a state")?.to_owned())
}

fn edit_trust(place: &CliFixture, edit: impl Fn(&mut Json)) -> anyhow::Result<()> {
    let mut trust: Json = serde_json::from_slice(&std::fs::read(place.path(TRUST))?)?;
    edit(&mut trust);
    place.write(TRUST, &trust.to_string())
}

/// Command that keeps the ledger of the directory running.
fn keep_ledger(place: &CliFixture) -> anyhow::Result<Running> {
    let mut follower = place.start(&["events", "tail", "--follow", "--json"])?;
    follower.until_printed(Duration::from_secs(20), |printed| {
        printed.contains("ledger_started")
    })?;
    Ok(follower)
}
