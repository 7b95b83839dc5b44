//! Invalid keys, trust files and confirmations: nothing is signed.

use anyhow::Context as _;
use serde_json::json;
use synapsor_e2e::cli::{CliFixture, INVOICE, PERSON, PROPOSE};

use super::{ALONE, TRUST, edit_trust, fails, mode, state};

#[test]
fn key_missing_in_trust_file_signs_nothing() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    place.ok(&[
        "operator",
        "keygen",
        "--person",
        "mallory",
        "--output",
        "mallory.pem",
    ])?;
    let other = ["--yes", "--signing-key", "mallory.pem"];
    place
        .run(&[&["proposals", "approve", "latest"][..], &other].concat())?
        .expect_failure(4, "KEY_UNKNOWN", &["ed25519:"])?;
    place.write("garbage.pem", "garbage")?;
    mode(&place.path("garbage.pem"), 0o600)?;
    let garbage = [
        "proposals",
        "approve",
        "latest",
        "--yes",
        "--signing-key",
        "garbage.pem",
    ];
    place
        .run(&garbage)?
        .expect_failure(1, "KEY_UNUSABLE", &["garbage.pem"])?;
    let missing = [
        "proposals",
        "approve",
        "latest",
        "--yes",
        "--signing-key",
        "none.pem",
    ];
    place
        .run(&missing)?
        .expect_failure(1, "FILE_NOT_FOUND", &["none.pem"])?;
    place
        .run(&["proposals", "approve", "latest", "--yes", "--actor", "bob"])?
        .expect_failure(2, "ACTOR_MISMATCH", &[PERSON])?;
    assert_eq!(state(&place)?, "pending_review");
    Ok(())
}

#[test]
fn key_readable_by_others_signs_nothing() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    let key = place.path(".synapsor/keys/operator-alice.pem");
    mode(&key, 0o644)?;
    place
        .run(&["proposals", "approve", "latest", "--yes"])?
        .expect_failure(1, "FILE_NOT_PRIVATE", &["operator-alice.pem", "chmod go-rwx"])?;
    assert_eq!(state(&place)?, "pending_review");
    mode(&key, 0o600)?;
    mode(&place.path(".synapsor"), 0o777)?;
    place
        .run(&["proposals", "list"])?
        .expect_failure(1, "FILE_NOT_PRIVATE", &[".synapsor", "chmod"])?;
    Ok(())
}

#[test]
fn unapproved_or_unconfirmed_command_does_nothing() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.propose(INVOICE, "goodwill")?;
    let before = place.invoice(INVOICE)?;
    place.run(&["apply", "latest"])?.expect_failure(
        4,
        "PROPOSAL_NOT_APPROVED",
        &["0 of 1", &format!("proposals approve {id}")],
    )?;
    place
        .run(&["proposals", "approve", "latest"])?
        .expect_failure(2, "CONFIRMATION_REQUIRED", &["--yes"])?;
    place
        .run(&["proposals", "reject", "latest", "--reason", "no"])?
        .expect_failure(2, "CONFIRMATION_REQUIRED", &["--yes"])?;
    assert_eq!(state(&place)?, "pending_review");
    assert_eq!(place.invoice(INVOICE)?, before);
    fails(
        &place,
        &["store", "reset"],
        2,
        "CONFIRMATION_REQUIRED",
        &["local.db", "--yes"],
    )
}

#[test]
fn yes_outside_dev_needs_the_code_of_a_proposal() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose("INV-3002", "to found the state")?;
    place.wait_until_alone(ALONE)?;
    edit_trust(&place, |trust| trust["environment"] = json!("production"))?;
    place.run(&["proposals", "list"])?.expect_failure(
        1,
        "TRUST_FILE_INVALID",
        &["synapsor.trust.json", "*"],
    )?;
    edit_trust(&place, |trust| {
        trust["operators"][0]["roles"] = json!(["billing_lead", "applier"])
    })?;
    let id = place.propose(INVOICE, "goodwill")?;
    let shown = place.json(&["proposals", "show", &id])?;
    let code = shown["short_code"].as_str().context("a code")?.to_owned();
    place
        .run(&["proposals", "approve", "latest", "--yes"])?
        .expect_failure(2, "LATEST_REFUSED", &["latest"])?;
    place
        .run(&["proposals", "approve", "latest", "--yes", "--code", &code])?
        .expect(2)?;
    place
        .run(&["proposals", "approve", &id, "--yes"])?
        .expect_failure(2, "CODE_REQUIRED", &["--code"])?;
    place
        .run(&["proposals", "approve", &id, "--yes", "--code", "AAAA-AAAA-AAAA"])?
        .expect_failure(4, "CODE_MISMATCH", &["proposals show"])?;
    place
        .run(&["proposals", "approve", &id, "--yes", "--code", &code])?
        .expect_failure(4, "KEY_UNPROTECTED", &["operator-alice.pem", "operator protect"])?;
    assert_eq!(state(&place)?, "pending_review");
    place
        .run(&["store", "reset", "--yes"])?
        .expect_failure(1, "STORE_RESET_REFUSED", &["production"])?;
    Ok(())
}

#[test]
fn damaged_trust_file_is_named_and_stops_commands() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    place.wait_until_alone(ALONE)?;
    for garbage in ["", "garbage", "{}", "{\"version\": 1, \"version\": 1}"] {
        place.write(TRUST, garbage)?;
        for command in [
            &["proposals", "list"][..],
            &["apply", "latest"],
            &["operator", "list"],
            &["propose", PROPOSE, "--sample"],
        ] {
            let ran = place.run(command)?;
            ran.expect_failure(1, "TRUST_FILE_INVALID", &["synapsor.trust.json"])?;
        }
    }
    Ok(())
}
