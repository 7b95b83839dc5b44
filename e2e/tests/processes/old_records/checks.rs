//! Checks of old records on every engine.

use anyhow::{Context as _, ensure};
use serde_json::Value as Json;

use super::TRUST;
use super::scene::Scene;

/// Rows whose proposal has ended, its state, the exit code of another `apply`, and the row's content.
const ENDED: &[(&str, &str, i32, (&str, &str))] = &[
    ("INV-APPLIED", "applied", 0, ("0", "8")),
    ("CR-APPLIED", "applied", 0, ("goodwill", "2")),
    ("INV-CONFLICT", "conflict", 3, ("2600", "4")),
    ("INV-TOMBSTONE", "canceled", 4, ("1900", "1")),
    ("INV-REJECTED", "rejected", 4, ("1200", "1")),
];
/// Rows with an order that no writer has received, and the row after one apply. A trigger increments the version
/// of the first, the writer that of the second.
const ORDERED: &[(&str, (&str, &str))] = &[("INV-ORDERED", ("0", "6")), ("CR-ORDERED", ("goodwill", "2"))];

pub(crate) fn pair((value, version): (&str, &str)) -> (String, String) {
    (value.to_owned(), version.to_owned())
}

pub(crate) fn store_verifies_and_shows_its_records(scene: &Scene) -> anyhow::Result<()> {
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

pub(crate) fn ended_proposals_keep_their_state(scene: &Scene) -> anyhow::Result<()> {
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

pub(crate) fn orders_are_applied_once(scene: &Scene) -> anyhow::Result<()> {
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
        assert_eq!(orders, 1, "{row}: another order was recorded");
        scene.apply(row)?.expect(0)?;
        assert_eq!(scene.row(row)?, pair(*after), "{row}: a second apply");
    }
    scene.place.ok(&["ledger", "verify"]).map(drop)
}

pub(crate) fn approvals_and_proposals_are_ordered_and_applied(scene: &Scene) -> anyhow::Result<()> {
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
