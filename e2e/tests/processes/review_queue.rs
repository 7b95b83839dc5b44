//! Decisions about several proposals, the review queue on a terminal, and job files.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE, PROPOSE};
use synapsor_e2e::json_schema;
use synapsor_e2e::terminal::run_on_terminal;

const OTHER: &str = "INV-3002";
const WAIT: Duration = Duration::from_secs(60);

fn state(place: &CliFixture, id: &str) -> anyhow::Result<String> {
    let shown = place.json(&["proposals", "show", id])?;
    let state = shown["state"].as_str().context("a state")?;
    Ok(state.to_owned())
}

#[test]
fn several_proposals_are_approved_each_after_its_review() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let ids = [place.propose(INVOICE, "one")?, place.propose(OTHER, "two")?];
    let [first, second] = [ids[0].as_str(), ids[1].as_str()];
    for (options, code, exit) in [
        (vec!["--code", "AAAA-BBBB-CCCC"], "CODE_MISMATCH", 4),
        (vec!["--apply"], "OPTION_UNUSED", 2),
    ] {
        let words = [&["proposals", "approve", first, second, "--yes"], &options[..]].concat();
        place.run(&words)?.expect_failure(exit, code, &["one proposal"])?;
    }
    let many = vec![first; 21];
    let words = [&["proposals", "approve", "--yes"], &many[..]].concat();
    place
        .run(&words)?
        .expect_failure(2, "PROPOSAL_NAME_INVALID", &["at most 20"])?;
    assert_eq!(state(&place, first)?, "pending_review");
    // A name that occurs twice is one proposal.
    let ran = place.ok(&[
        "proposals",
        "approve",
        first,
        second,
        first,
        "--yes",
        "--reason",
        "checked",
    ])?;
    assert!(ran.stdout.ends_with("approved 2 of 2\n"), "{ran}");
    for id in [first, second] {
        ensure!(
            ran.stdout.contains(&format!("Proposal {id}")) || ran.stdout.contains(id),
            "{ran}"
        );
        assert_eq!(state(&place, id)?, "approved");
    }
    assert_eq!(ran.stdout.matches("Approved by alice").count(), 2, "{ran}");
    // An error about one does not keep the others from being decided.
    job_is_compared_with_the_signed_proposal(&place, first)?;
    let third = place.propose(INVOICE, "three")?;
    let ran = place.run(&["proposals", "approve", first, &third, "--yes"])?;
    ran.expect_failure(4, "PROPOSAL_NOT_PENDING_REVIEW", &[])?;
    assert_eq!(state(&place, &third)?, "pending_review");
    rejected_by_filter(&place, &third)
}

/// A job is applied only if it says what the signed proposal says.
fn job_is_compared_with_the_signed_proposal(place: &CliFixture, id: &str) -> anyhow::Result<()> {
    let job = place.ok(&["proposals", "writeback-job", id])?.object()?;
    let schema = serde_json::from_str(include_str!("../../../schemas/writeback-job.v1.json"))?;
    json_schema::check(&job, &schema)?;
    assert_eq!(state(place, id)?, "approved");
    place.ok(&[
        "proposals",
        "writeback-job",
        id,
        "--project",
        "p1",
        "--output",
        "job.json",
    ])?;
    let ran = place.ok(&["validate", "--job", "job.json"])?;
    assert_eq!(ran.stdout, "job valid\n");
    for (path, value, field) in [
        ("/patch/late_fee_cents", json!(-9_999), "patch.late_fee_cents"),
        ("/target/primary_key/value", json!(OTHER), "target.primary_key"),
        ("/tenant_guard/value", json!("globex"), "tenant_guard"),
    ] {
        let mut altered = job.clone();
        *altered.pointer_mut(path).context("a field")? = value;
        place.write("altered.json", &altered.to_string())?;
        let ran = place.run(&["apply", "--job", "altered.json"])?;
        ran.expect_failure(4, "JOB_DIFFERS", &[field])?;
    }
    place.write(
        "altered.json",
        "{\"schema_version\": \"synapsor.writeback-job.v1\"}",
    )?;
    place.run(&["validate", "--job", "altered.json"])?.expect(1)?;
    place
        .run(&["apply", "--job", "altered.json"])?
        .expect_failure(1, "JOB_INVALID", &[])?;
    let mut expired = job;
    expired["lease"]["expires_at"] = json!("2026-01-02T03:04:05.000Z");
    place.write("expired.json", &expired.to_string())?;
    let ran = place.run(&["apply", "--job", "expired.json"])?;
    ran.expect_failure(4, "WRITEBACK_LEASE_EXPIRED", &["export it again"])?;
    assert_eq!(state(place, id)?, "approved");
    let applied = place.json(&[
        "apply",
        "--job",
        "job.json",
        "--runner",
        "r1",
        "--lease-seconds",
        "60",
    ])?;
    assert_eq!(applied["status"], json!("applied"), "{applied}");
    Ok(())
}

fn rejected_by_filter(place: &CliFixture, open: &str) -> anyhow::Result<()> {
    let reject = [
        "proposals",
        "reject",
        "--all",
        "--capability",
        PROPOSE,
        "--reason",
        "stale",
        "--yes",
    ];
    let old = [&reject[..], &["--older-than", "2d"]].concat();
    place
        .run(&old)?
        .expect_failure(1, "PROPOSAL_NOT_FOUND", &["no open proposal"])?;
    let ran = place.json(&reject)?;
    assert_eq!((&ran["rejected"], &ran["of"]), (&json!(2), &json!(2)), "{ran}");
    assert_eq!(state(place, open)?, "rejected");
    Ok(())
}

#[test]
fn review_walks_the_queue_on_a_terminal() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let first = place.propose(INVOICE, "one")?;
    let second = place.propose(OTHER, "two")?;
    let third = place.propose("INV-3003", "three")?;
    place.run(&["proposals", "review"])?.expect_failure(
        2,
        "CONFIRMATION_REQUIRED",
        &["proposals approve ID"],
    )?;
    // The end of the input approves nothing.
    let ran = run_on_terminal(place.command(&["proposals", "review"])?, &[], WAIT)?;
    ran.expect(0)?;
    assert!(
        ran.stdout
            .contains("approved 0, rejected 0, skipped 0; 3 of 3 still open"),
        "{ran}"
    );
    let answers = ["what?", "a", "yes", "r", "wrong invoice", "yes", "s"];
    let ran = run_on_terminal(place.command(&["proposals", "review"])?, &answers, WAIT)?;
    ran.expect(0)?;
    assert!(
        ran.stdout
            .contains("approved 1, rejected 1, skipped 1; 1 of 3 still open"),
        "{ran}"
    );
    for (id, expected) in [
        (&first, "approved"),
        (&second, "rejected"),
        (&third, "pending_review"),
    ] {
        assert_eq!(state(&place, id)?, expected, "{ran}");
    }
    // Each page is the review document of its proposal.
    for id in [&first, &second, &third] {
        let shown: Json = place.json(&["proposals", "show", id])?;
        let document = shown["review_document"].as_str().context("a document")?;
        ensure!(ran.stdout.contains(document), "{id}: {ran}");
    }
    // An answer that is not the confirmation signs nothing.
    let ran = run_on_terminal(place.command(&["proposals", "review"])?, &["a", "y"], WAIT)?;
    ran.expect(0)?;
    assert_eq!(state(&place, &third)?, "pending_review", "{ran}");
    Ok(())
}
