//! Unavailable services, and Ctrl-C while services run.

use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::json;
use synapsor_e2e::cli::{CliFixture, INVOICE, PERSON, until};

use super::{ALONE, fails};

#[test]
fn order_without_writer_is_kept_and_not_applied() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let url = place
        .environment
        .iter()
        .find(|(n, _)| n == "BILLING_WRITE_URL")
        .context("a url")?
        .1
        .clone();
    place.approved(INVOICE, "goodwill")?;
    let before = place.invoice(INVOICE)?;
    place.unset("BILLING_WRITE_URL");
    let ran = place.run(&["apply", "latest"])?;
    ran.expect(6)?;
    assert!(
        ran.stdout.contains("BILLING_WRITE_URL") && ran.stdout.contains("until"),
        "{ran}"
    );
    assert_eq!(place.invoice(INVOICE)?, before);
    place
        .run(&["apply", "latest", "--dry-run"])?
        .expect_failure(6, "NO_WRITER", &["BILLING_WRITE_URL"])?;
    place.set("BILLING_WRITE_URL", &url);
    place.ok(&["apply", "latest"])?;
    assert_eq!(place.invoice(INVOICE)?.2, before.2 + 1, "two orders, one effect");
    Ok(())
}

#[test]
fn unreachable_ledger_is_exit_6() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    place.ok(&["certs", "issue", "operator", PERSON, "--out", "certs"])?;
    place.wait_until_alone(ALONE)?;
    let remote = [
        "--ledger",
        "127.0.0.1:1",
        "--ca",
        "certs/ca.pem",
        "--cert",
        "certs/alice.pem",
        "--key",
        "certs/alice.key",
    ];
    for command in [
        &["proposals", "list"][..],
        &["ledger", "verify"],
        &["apply", "latest"],
        &["replay", "show"],
    ] {
        let arguments = [command, &remote].concat();
        fails(&place, &arguments, 6, "UNREACHABLE", &["127.0.0.1:1"])?;
    }
    fails(
        &place,
        &["proposals", "list", "--ledger", "127.0.0.1:1"],
        2,
        "CERTIFICATE_MISSING",
        &["--cert"],
    )?;
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(place.path("certs/alice.key"), mode(0o440))?;
    let open = [&["proposals", "list"][..], &remote].concat();
    fails(&place, &open, 1, "TLS_KEY_OPEN", &["alice.key"])?;
    std::fs::set_permissions(place.path("certs/alice.key"), mode(0o600))?;
    place.write("certs/alice.pem", "garbage")?;
    let ran = place.run(&[&["proposals", "list"][..], &remote].concat())?;
    assert!(ran.exit == Some(1) || ran.exit == Some(2), "{ran}");
    assert!(ran.stderr.contains("alice.pem"), "{ran}");
    assert_eq!(place.processes()?, [], "a process was started");
    Ok(())
}

/// The gateway's sandbox opens the directory of its certificate.
#[test]
fn certificate_of_a_gateway_shares_its_directory_with_no_other() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    let issue = |role, name, dir| ["certs", "issue", role, name, "--out", dir];
    place.ok(&issue("gateway", "g1", "of-gateway"))?;
    place.ok(&issue("gateway", "g1", "of-gateway"))?;
    place.ok(&issue("operator", PERSON, "of-others"))?;
    place.ok(&issue("reader", "r1", "of-others"))?;
    for (role, name, dir, other) in [
        ("operator", "bob", "of-gateway", "g1"),
        ("gateway", "g2", "of-gateway", "g1"),
        ("gateway", "g2", "of-others", PERSON),
    ] {
        let arguments = issue(role, name, dir);
        fails(
            &place,
            &arguments,
            2,
            "CERTIFICATE_DIRECTORY_SHARED",
            &[other, "--out"],
        )?;
        assert!(!place.path(&format!("{dir}/{name}.key")).exists());
    }
    // Without a directory, each name has its own.
    place.ok(&["certs", "issue", "gateway", "g1"])?;
    place.ok(&["certs", "issue", "operator", PERSON])?;
    let listed = place.ok(&["certs", "list"])?;
    assert!(
        listed.stdout.contains("g1") && listed.stdout.contains(PERSON),
        "{listed}"
    );
    Ok(())
}

#[test]
fn next_steps_of_up_lead_to_a_replay() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let report = place.json(&["up", "--dry-run"])?;
    let next = report["next"].as_array().context("next steps")?;
    let mut up = place.start(&["up"])?;
    up.until_printed(Duration::from_secs(30), |printed| {
        printed.contains("Press Ctrl-C to stop")
    })?;
    place.propose(INVOICE, "goodwill")?;
    for command in next {
        let command = command.as_str().context("a command")?;
        let mut words: Vec<&str> = command.split(' ').skip(1).collect();
        if words.contains(&"approve") {
            words.push("--yes");
        }
        let ran = place.run(&words)?;
        if words.contains(&"--sample") {
            // The row of the generated values does not exist.
            anyhow::ensure!(ran.stdout.contains("--input FILE"), "{ran}");
        } else {
            ran.expect(0).with_context(|| command.to_owned())?;
        }
    }
    up.signal(Signal::INT)?;
    up.end(ALONE)?.expect(0)?;
    Ok(())
}

#[test]
fn ctrl_c_ends_up_and_all_its_children() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let mut up = place.start(&["up"])?;
    up.until_printed(Duration::from_secs(30), |printed| {
        printed.contains("Press Ctrl-C to stop")
    })?;
    assert!(place.processes()?.len() >= 3);
    // A second one names the first, not the directory of a writer that the operator did not start.
    place
        .run(&["up"])?
        .expect_failure(2, "STATE_DIR_IN_USE", &["another `up`", "Ctrl-C"])?;
    up.signal(Signal::INT)?;
    up.end(ALONE)?.expect(0)?;
    place.wait_until_alone(ALONE)?;
    // While it is still starting.
    let up = place.start(&["up"])?;
    until(Duration::from_secs(20), || Ok(!place.processes()?.is_empty()))?;
    up.signal(Signal::INT)?;
    let ran = up.end(Duration::from_secs(30))?;
    assert!(!ran.stderr.contains("panicked"), "{ran}");
    place.wait_until_alone(ALONE)?;
    assert_eq!(place.json(&["proposals", "list"])?["proposals"], json!([]));
    Ok(())
}

#[test]
fn ctrl_c_during_apply_leaves_one_effect_or_none() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved(INVOICE, "goodwill")?;
    let (_, _, version) = place.invoice(INVOICE)?;
    // The writer waits while another connection writes.
    let blocker = rusqlite::Connection::open(place.path("billing.db"))?;
    blocker.execute_batch("BEGIN EXCLUSIVE")?;
    let apply = place.start(&["apply", &id, "--wait", "60"])?;
    let mut follower = place.start(&["events", "tail", "--follow", "--json", "--proposal", &id])?;
    follower.until_printed(Duration::from_secs(30), |printed| {
        printed.contains("apply_requested")
    })?;
    apply.signal(Signal::INT)?;
    let ran = apply.end(Duration::from_secs(30))?;
    assert!(matches!(ran.exit, Some(1 | 5 | 6)), "{ran}");
    blocker.execute_batch("ROLLBACK")?;
    drop(blocker);
    follower.signal(Signal::INT)?;
    follower.end(ALONE)?.expect(0)?;
    place.ok(&["apply", &id])?;
    assert_eq!(place.invoice(INVOICE)?.2, version + 1);
    place.wait_until_alone(ALONE)
}
