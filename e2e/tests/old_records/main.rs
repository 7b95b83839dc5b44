//! Stores, proposals, decisions, apply orders and receipts that the release before this one left behind, verified
//! and applied by the binaries of today. `fixtures/old_records/make.sh` made them; the processes run under the clock
//! of that day, since approvals and orders have ended by now.

mod scene;

use anyhow::{Context as _, ensure};
use scene::{RECORDS, Scene};
use serde_json::Value as Json;
use synapsor_e2e::cli::Workplace;

const TRUST: &str = "state/synapsor.trust.json";

/// Rows with a proposal that has ended, its state, the exit code of another `apply`, and the row since.
const ENDED: &[(&str, &str, i32, (&str, &str))] = &[
    ("INV-APPLIED", "applied", 0, ("0", "8")),
    ("CR-APPLIED", "applied", 0, ("goodwill", "2")),
    ("INV-CONFLICT", "conflict", 3, ("2600", "4")),
    ("INV-TOMBSTONE", "canceled", 4, ("1900", "1")),
    ("INV-REJECTED", "rejected", 4, ("1200", "1")),
];
/// Rows with an order that no writer has seen, and the row after it was applied once. A trigger counts the version
/// of the first, the writer that of the second.
const ORDERED: &[(&str, (&str, &str))] = &[("INV-ORDERED", ("0", "6")), ("CR-ORDERED", ("goodwill", "2"))];

fn pair((value, version): (&str, &str)) -> (String, String) {
    (value.to_owned(), version.to_owned())
}

#[test]
fn old_bundles_verify_without_a_state_directory() -> anyhow::Result<()> {
    let folder = std::path::Path::new(RECORDS).join("sqlite");
    // Under the clock of today: what was genuine stays genuine.
    let away = Workplace::empty()?;
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
fn old_store_verifies_and_its_records_are_shown() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_sqlite()? else {
        return Ok(());
    };
    let place = &scene.place;
    place.ok(&["ledger", "verify"])?;
    place.ok(&["writeback", "doctor", "--check-db"])?;
    for (row, state, ..) in ENDED {
        assert_eq!(scene.state(row)?, *state, "{row}");
        let id = scene.id(row)?;
        place.ok(&["replay", "show", id])?;
        place.ok(&["ledger", "prove", id, "--output", "proof.json"])?;
        let proof = place.json(&["bundle", "verify", "proof.json", "--trust", TRUST])?;
        assert_eq!(proof["state"], *state, "{row}");
        let shown = place.json(&["proposals", "show", id])?;
        let evidence = shown
            .pointer("/proposal/evidence/0/id")
            .and_then(Json::as_str)
            .with_context(|| format!("no evidence in {shown}"))?;
        place.ok(&["evidence", "show", evidence])?;
    }
    for (row, outcome) in [
        ("INV-APPLIED", "applied"),
        ("INV-CONFLICT", "conflict"),
        ("INV-TOMBSTONE", "tombstoned:denied"),
    ] {
        let shown = place.ok(&["receipts", "show", scene.id(row)?])?;
        assert!(shown.stdout.contains(outcome), "{row}: {shown}");
    }
    Ok(())
}

#[test]
fn ended_proposals_stay_what_they_are() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_sqlite()? else {
        return Ok(());
    };
    for (row, state, exit, after) in ENDED {
        let receipts = scene.receipts(row)?;
        scene
            .apply(row)?
            .expect(*exit)
            .with_context(|| (*row).to_owned())?;
        assert_eq!(scene.state(row)?, *state, "{row}");
        assert_eq!(scene.row(row)?, pair(*after), "{row}");
        assert_eq!(scene.receipts(row)?, receipts, "{row}");
    }
    Ok(())
}

/// The ledger refused this rejection, since an attempt had started, and the database was locked: only the writer
/// remembers it.
#[test]
fn rejection_known_to_the_old_writer_alone_still_refuses() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_sqlite()? else {
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
fn old_orders_are_applied_once() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_sqlite()? else {
        return Ok(());
    };
    for (row, after) in ORDERED {
        ensure!(scene.row(row)? != pair(*after), "{row} was applied before");
    }
    scene.serve_until_recorded(&["INV-ORDERED", "CR-ORDERED"])?;
    for (row, after) in ORDERED {
        assert_eq!(scene.receipts(row)?, ["applied"], "{row}");
        assert_eq!(scene.row(row)?, pair(*after), "{row}");
        assert_eq!(scene.state(row)?, "applied", "{row}");
        let orders = scene.events(row)?;
        let orders = orders.iter().filter(|kind| *kind == "apply_requested").count();
        assert_eq!(orders, 1, "{row}: the old order was enough");
        scene.apply(row)?.expect(0)?;
        assert_eq!(scene.row(row)?, pair(*after), "{row}: a second apply");
    }
    scene.place.ok(&["ledger", "verify"]).map(drop)
}

#[test]
fn old_approvals_and_proposals_are_ordered_and_applied() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_sqlite()? else {
        return Ok(());
    };
    let open = scene.id("INV-OPEN")?;
    scene.place.ok(&["proposals", "approve", open, "--yes"])?;
    for (row, after) in [
        ("INV-APPROVED", ("0", "5")),
        ("CR-APPROVED", ("goodwill", "2")),
        ("INV-OPEN", ("0", "3")),
    ] {
        scene.apply(row)?.expect(0).with_context(|| row.to_owned())?;
        assert_eq!(scene.row(row)?, pair(after), "{row}");
        assert_eq!(scene.receipts(row)?, ["applied"], "{row}");
    }
    Ok(())
}

#[test]
fn old_freeze_holds_until_it_is_lifted() -> anyhow::Result<()> {
    let Some(scene) = Scene::of_sqlite()? else {
        return Ok(());
    };
    let frozen = std::path::Path::new(RECORDS).join("sqlite/frozen");
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
