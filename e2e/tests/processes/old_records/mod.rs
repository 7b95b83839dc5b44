//! Stores, proposals, decisions, apply orders and receipts of the previous release, verified and applied by the
//! current binaries. `fixtures/old_records/make.sh` created them; the processes run under the clock of that day,
//! because approvals and orders have expired by now.

mod checks;
mod database;
mod scene;

use std::path::Path;

use anyhow::{Context as _, ensure};
use checks::pair;
use scene::{RECORDS, Scene};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::Engine;

pub(crate) const TRUST: &str = "state/synapsor.trust.json";

type Check = fn(&Scene) -> anyhow::Result<()>;

/// Runs each check on its own records; servers start slowly and run all checks on one.
fn hold(engine: Engine, checks: &[Check]) -> anyhow::Result<()> {
    if let Some(scene) = Scene::of(engine)? {
        for check in checks {
            check(&scene)?;
        }
    }
    Ok(())
}

const ALL: &[Check] = &[
    checks::orders_are_applied_once,
    checks::approvals_and_proposals_are_ordered_and_applied,
    checks::ended_proposals_keep_their_state,
    checks::store_verifies_and_shows_its_records,
];

#[test]
fn old_bundles_verify_without_a_state_directory() -> anyhow::Result<()> {
    // Under the current clock: genuine records stay genuine.
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::Mysql, Engine::Mariadb] {
        bundles_verify(&Path::new(RECORDS).join(engine.name())).with_context(|| engine.name())?;
    }
    Ok(())
}

fn bundles_verify(folder: &Path) -> anyhow::Result<()> {
    let away = CliFixture::empty()?;
    scene::copy(&folder.join("bundles"), &away.path("bundles"))?;
    scene::copy(&folder.join(TRUST), &away.path("trust.json"))?;
    for (name, state) in [
        ("applied", "applied"),
        ("replay", "applied"),
        ("conflict", "conflict"),
        ("tombstone", "canceled"),
        ("rejected", "rejected"),
    ] {
        let path = format!("bundles/{name}.json");
        let verified = away.json(&["bundle", "verify", &path, "--trust", "trust.json"])?;
        assert_eq!(verified["state"], state, "{name}: {verified}");
    }
    Ok(())
}

#[test]
fn old_store_verifies_and_shows_its_records() -> anyhow::Result<()> {
    hold(Engine::Sqlite, &[checks::store_verifies_and_shows_its_records])
}

#[test]
fn ended_proposals_keep_their_state() -> anyhow::Result<()> {
    hold(Engine::Sqlite, &[checks::ended_proposals_keep_their_state])
}

#[test]
fn old_orders_are_applied_once() -> anyhow::Result<()> {
    hold(Engine::Sqlite, &[checks::orders_are_applied_once])
}

#[test]
fn old_approvals_and_proposals_are_ordered_and_applied() -> anyhow::Result<()> {
    hold(
        Engine::Sqlite,
        &[checks::approvals_and_proposals_are_ordered_and_applied],
    )
}

#[test]
fn old_records_hold_on_postgres() -> anyhow::Result<()> {
    hold(Engine::Postgres, ALL)
}

#[test]
fn old_records_hold_on_mysql() -> anyhow::Result<()> {
    hold(Engine::Mysql, ALL)
}

/// The ledger refused this rejection, because an attempt had started, and the database was locked: only the writer
/// stored it.
#[test]
fn rejection_known_only_to_the_old_writer_holds() -> anyhow::Result<()> {
    let Some(scene) = Scene::of(Engine::Sqlite)? else {
        return Ok(());
    };
    scene.apply("INV-BLOCKED")?.expect(4)?;
    assert_eq!(scene.row("INV-BLOCKED")?, pair(("1100", "1")));
    assert!(
        !scene.receipts("INV-BLOCKED")?.contains(&"applied".to_owned()),
        "a rejected change was applied"
    );
    Ok(())
}

#[test]
fn old_freeze_holds_until_it_is_lifted() -> anyhow::Result<()> {
    let Some(scene) = Scene::of(Engine::Sqlite)? else {
        return Ok(());
    };
    let frozen = Path::new(RECORDS).join("sqlite/frozen");
    scene::copy(&frozen, &scene.place.path("state/witness/frozen"))?;
    let before = scene.row("INV-ORDERED")?;
    let held = scene
        .place
        .run(&["apply", scene.id("INV-ORDERED")?, "--wait", "5"])?;
    ensure!(matches!(held.exit, Some(4 | 6)), "not held back: {held}");
    assert_eq!(scene.row("INV-ORDERED")?, before);
    scene.place.ok(&["writeback", "unfreeze"])?;
    scene.apply("INV-ORDERED")?.expect(0)?;
    assert_eq!(scene.row("INV-ORDERED")?, pair(("0", "6")));
    Ok(())
}
