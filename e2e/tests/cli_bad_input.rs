//! Everything that a user can get wrong: each time a stable code, the place, a way out, the documented exit code,
//! and nothing half-written.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::{INVOICE, PERSON, PROPOSE, Ran, Running, Workplace, until};

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

/// Runs a command that must fail like this and leave the folder as it was.
fn fails(
    place: &Workplace,
    arguments: &[&str],
    exit: i32,
    code: &str,
    places: &[&str],
) -> anyhow::Result<()> {
    let before = place.listing()?;
    place.run(arguments)?.expect_failure(exit, code, places)?;
    ensure!(
        place.listing()? == before,
        "`{}` left something behind",
        arguments.join(" ")
    );
    Ok(())
}

fn bound(place: &Workplace, arguments: &[&str]) -> anyhow::Result<Ran> {
    Running::of(place.bound_command(arguments)?, arguments)?.end(Duration::from_secs(60))
}

/// The state of the newest proposal.
fn state(place: &Workplace) -> anyhow::Result<String> {
    let shown = place.json(&["proposals", "show", "latest"])?;
    Ok(shown["state"].as_str().context("a state")?.to_owned())
}

fn edit_trust(place: &Workplace, edit: impl Fn(&mut Json)) -> anyhow::Result<()> {
    let mut trust: Json = serde_json::from_slice(&std::fs::read(place.path(TRUST))?)?;
    edit(&mut trust);
    place.write(TRUST, &trust.to_string())
}

/// A command that keeps the ledger of the folder running.
fn keep_ledger(place: &Workplace) -> anyhow::Result<Running> {
    let mut follower = place.start(&["events", "tail", "--follow", "--json"])?;
    follower.until_printed(Duration::from_secs(20), |printed| {
        printed.contains("ledger_started")
    })?;
    Ok(follower)
}

#[test]
fn a_missing_contract_is_named() -> anyhow::Result<()> {
    let place = Workplace::empty()?;
    let commands: [&[&str]; 6] = [
        &["config", "validate"],
        &["tools", "preview"],
        &["up"],
        &["mcp", "serve"],
        &["smoke", "call", "--sample"],
        &["propose", PROPOSE, "--sample"],
    ];
    for command in commands {
        fails(&place, command, 1, "CONFIG_NOT_FOUND", &[CONTRACT])?;
    }
    fails(
        &place,
        &["up", "--config", "some/where.json"],
        1,
        "CONFIG_NOT_FOUND",
        &["some/where.json"],
    )
}

#[test]
fn a_contract_that_cannot_be_read_is_named() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    mode(&place.path(CONTRACT), 0o000)?;
    bound(&place, &["config", "validate"])?.expect_failure(1, "FILE_PERMISSION_DENIED", &[CONTRACT])?;
    bound(&place, &["up"])?.expect_failure(1, "FILE_PERMISSION_DENIED", &[CONTRACT])?;
    place.run(&["config", "validate", "--config", "."])?.expect(1)?;
    ensure!(!place.path(".synapsor").exists());
    Ok(())
}

#[test]
fn every_problem_of_a_contract_is_shown_at_once_with_its_path() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let text = std::fs::read_to_string(place.path(CONTRACT))?;
    let text = text.replacen("\"version\": 1,", "\"version\": 1, \"colour\": true,", 1);
    place.write(
        CONTRACT,
        &text
            .replace("\"patch\"", "\"pach\"")
            .replace("\"billing_db\",", "\"nowhere\","),
    )?;
    let paths = [
        "$.colour",
        "UNKNOWN_FIELD",
        "$.capabilities[1].pach",
        "$.capabilities[0].source",
    ];
    for command in [
        &["up"][..],
        &["tools", "list"],
        &["propose", PROPOSE, "--sample"],
        &["mcp", "serve"],
    ] {
        fails(&place, command, 1, "CONFIG_INVALID", &paths)?;
    }
    let ran = place.run(&["config", "validate"])?;
    ran.expect(1)?;
    assert!(paths.iter().all(|path| ran.stdout.contains(path)), "{ran}");
    let ran = place.run(&["config", "validate", "--json"])?;
    ran.expect(1)?;
    let report = ran.object()?;
    assert_eq!(report["ok"], json!(false));
    assert!(report["errors"].as_array().is_some_and(|e| e.len() >= 4 && e.iter().all(|p| p["code"].is_string() && p["path"].is_string())));
    place.write(CONTRACT, "{ \"version\": 1,")?;
    fails(
        &place,
        &["up"],
        1,
        "CONFIG_INVALID",
        &["CONFIG_NOT_JSON", "line 1"],
    )
}

#[test]
fn a_missing_variable_is_named_with_an_example() -> anyhow::Result<()> {
    for name in ["BILLING_READ_URL", "BILLING_TENANT", "BILLING_PRINCIPAL"] {
        let mut place = Workplace::new()?;
        let commands: [&[&str]; 4] = [
            &["up"],
            &["mcp", "serve"],
            &["propose", PROPOSE, "--sample"],
            &["smoke", "call", PROPOSE, "--sample"],
        ];
        place.unset(name);
        for command in commands {
            fails(
                &place,
                command,
                2,
                "ENV_MISSING",
                &[name, &format!("export {name}=")],
            )?;
        }
        place.set(name, "");
        fails(&place, &["up"], 2, "ENV_MISSING", &[name])?;
    }
    let mut place = Workplace::new()?;
    place.unset("BILLING_WRITE_URL");
    fails(&place, &["up"], 2, "ENV_MISSING", &["BILLING_WRITE_URL"])?;
    fails(
        &place,
        &["mcp", "serve-streamable-http"],
        2,
        "HTTP_AUTH_TOKEN_MISSING",
        &["SYNAPSOR_RUNNER_HTTP_TOKEN"],
    )
}

#[test]
fn without_a_writer_an_order_stays_filed_and_nothing_is_written() -> anyhow::Result<()> {
    let mut place = Workplace::new()?;
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
fn a_ledger_that_does_not_answer_is_exit_6() -> anyhow::Result<()> {
    let place = Workplace::new()?;
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
    place.write("certs/alice.pem", "garbage")?;
    let ran = place.run(&[&["proposals", "list"][..], &remote].concat())?;
    assert!(ran.exit == Some(1) || ran.exit == Some(2), "{ran}");
    assert!(ran.stderr.contains("alice.pem"), "{ran}");
    assert_eq!(place.processes()?, [], "something was started");
    Ok(())
}

#[test]
fn a_store_has_one_ledger() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    place.propose(INVOICE, "goodwill")?;
    let follower = keep_ledger(&place)?;
    place.ok(&["certs", "issue", "ledger", "ledger", "--out", "certs"])?;
    let flags = [
        "--store",
        STORE,
        "--trust",
        TRUST,
        "--signing-key",
        ".synapsor/keys/ledger.pem",
        "--tls-ca",
        "certs/ca.pem",
        "--tls-cert",
        "certs/ledger.pem",
        "--tls-key",
        "certs/ledger.key",
    ];
    let mut second = std::process::Command::new(Build::Plain.binary("synapsor-ledger")?);
    second.args(flags).current_dir(place.folder()).env_clear();
    let ran = Running::of(second, &flags)?.end(Duration::from_secs(20))?;
    ran.expect_failure(1, "STORE_LOCKED", &["local.db"])?;
    place
        .run(&["store", "reset", "--yes"])?
        .expect_failure(1, "STORE_LOCKED", &[])?;
    follower.signal(Signal::INT)?;
    follower.end(ALONE)?.expect(0)?;
    assert_eq!(place.json(&["ledger", "verify"])?["verified"], json!(true));
    Ok(())
}

#[test]
fn a_store_that_vanishes_under_a_ledger_stops_everything_that_would_write() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let id = place.approved(INVOICE, "goodwill")?;
    let before = place.invoice(INVOICE)?;
    let follower = keep_ledger(&place)?;
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place.path(&format!("{STORE}{ending}")));
    }
    for command in [&["proposals", "approve", &id, "--yes"][..], &["apply", &id]] {
        let ran = place.run(command)?;
        ran.expect(6)?;
        assert!(
            ran.stderr.contains("error[STORE_VANISHED]: the ledger's store"),
            "{ran}"
        );
        assert!(ran.stderr.contains("put the file back"), "{ran}");
    }
    let ran = place.run(&["propose", PROPOSE, "--sample"])?;
    ran.expect(1)?;
    assert_eq!(place.invoice(INVOICE)?, before);
    drop(follower);
    Ok(())
}

#[test]
fn a_key_that_the_trust_file_does_not_know_signs_nothing() -> anyhow::Result<()> {
    let place = Workplace::new()?;
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
fn a_key_that_others_can_read_signs_nothing() -> anyhow::Result<()> {
    let place = Workplace::new()?;
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
fn a_port_in_use_is_named_and_nothing_keeps_running() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let ran = place.run(&["mcp", "serve-streamable-http", "--dev-no-auth", "--port", &port])?;
    ran.expect_failure(1, "ADDRESS_IN_USE", &[&port])?;
    let ran = place.run(&["up", "--serve", "--dev-no-auth", "--port", &port])?;
    ran.expect_failure(1, "ADDRESS_IN_USE", &[&port])?;
    place
        .run(&["mcp", "serve-streamable-http", "--host", "0.0.0.0"])?
        .expect_failure(2, "HTTP_TLS_REQUIRED", &["0.0.0.0"])?;
    place.wait_until_alone(ALONE)
}

#[test]
fn a_folder_that_cannot_be_written_gets_no_half_made_state() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let before = place.listing()?;
    mode(place.folder(), 0o555)?;
    for command in [&["propose", PROPOSE, "--sample"][..], &["up"], &["mcp", "serve"]] {
        let ran = bound(&place, command)?;
        let folder = place.folder().display().to_string();
        ran.expect_failure(1, "FILE_PERMISSION_DENIED", &[&folder])?;
    }
    mode(place.folder(), 0o755)?;
    assert_eq!(place.listing()?, before);
    Ok(())
}

#[test]
fn a_command_in_the_wrong_folder_founds_nothing() -> anyhow::Result<()> {
    for place in [Workplace::empty()?, Workplace::new()?] {
        let commands: [&[&str]; 14] = [
            &["proposals", "list"],
            &["proposals", "show", "latest"],
            &["proposals", "approve", "latest", "--yes"],
            &["proposals", "reject", "latest", "--reason", "no", "--yes"],
            &["apply", "latest"],
            &["replay", "show"],
            &["receipts", "list"],
            &["evidence", "list"],
            &["events", "tail"],
            &["ledger", "verify"],
            &["store", "reset", "--yes"],
            &["certs", "issue", "operator", "bob"],
            &["operator", "list"],
            &["writeback", "freeze"],
        ];
        let folder = place.path(".synapsor").display().to_string();
        for command in commands {
            fails(
                &place,
                command,
                1,
                "STATE_NOT_FOUND",
                &[&folder, "synapsor-runner up"],
            )?;
        }
    }
    Ok(())
}

#[test]
fn what_is_not_a_command_or_an_option_is_exit_2_with_a_suggestion() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let cases: [(&[&str], &str); 5] = [
        (&["aply"], "apply"),
        (&["proposals", "lst"], "list"),
        (&["up", "--serv"], "--serve"),
        (&["apply", "--dryrun"], "--dry-run"),
        (&["mcp", "serve", "--transport", "stdi"], "stdio"),
    ];
    let before = place.listing()?;
    for (arguments, suggestion) in cases {
        let ran = place.run(arguments)?;
        ran.expect(2)?;
        assert!(ran.stderr.contains(suggestion) && ran.stdout.is_empty(), "{ran}");
    }
    for arguments in [
        &["proposals", "list", "--limit", "0"][..],
        &["apply", "--wait", "x"],
        &["events", "tail", "--kind", "x"],
    ] {
        place.run(arguments)?.expect(2)?;
    }
    assert_eq!(place.listing()?, before);
    Ok(())
}

#[test]
fn what_nobody_approved_or_confirmed_is_not_done() -> anyhow::Result<()> {
    let place = Workplace::new()?;
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
        "CONFIRMATION_MISSING",
        &["local.db", "--yes"],
    )
}

#[test]
fn outside_dev_yes_needs_the_code_of_a_named_proposal() -> anyhow::Result<()> {
    let place = Workplace::new()?;
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
fn a_damaged_trust_file_is_named_and_stops_everything() -> anyhow::Result<()> {
    let place = Workplace::new()?;
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

#[test]
fn a_store_that_is_no_ledger_is_named_and_left_alone() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    place.propose(INVOICE, "goodwill")?;
    place.wait_until_alone(ALONE)?;
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(place.path(&format!("{STORE}{ending}")));
    }
    let garbage = "this is no database, it is a letter to a friend ".repeat(100);
    place.write(STORE, &garbage)?;
    place
        .run(&["proposals", "list"])?
        .expect_failure(10, "STORE_TAMPERED", &["local.db"])?;
    place
        .run(&["propose", PROPOSE, "--sample"])?
        .expect_failure(10, "STORE_TAMPERED", &["local.db"])?;
    assert_eq!(std::fs::read_to_string(place.path(STORE))?, garbage);
    // Somebody else's database is not taken over either.
    std::fs::copy(place.path("billing.db"), place.path(STORE))?;
    let before = std::fs::read(place.path(STORE))?;
    place
        .run(&["proposals", "list"])?
        .expect_failure(1, "STORE_FOREIGN", &["local.db"])?;
    assert_eq!(std::fs::read(place.path(STORE))?, before);
    Ok(())
}

#[test]
fn an_emptied_store_is_a_log_that_was_rolled_back() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    place.propose(INVOICE, "goodwill")?;
    place.ok(&["proposals", "list"])?;
    place.wait_until_alone(ALONE)?;
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(place.path(&format!("{STORE}{ending}")));
    }
    place.write(STORE, "")?;
    let ran = place.run(&["proposals", "list"])?;
    ran.expect_failure(11, "LEDGER_ROLLED_BACK", &["store reset --yes"])?;
    place.wait_until_alone(ALONE)?;
    place.ok(&["store", "reset", "--yes"])?;
    place.ok(&["proposals", "list"])?;
    Ok(())
}

#[test]
fn a_database_without_the_table_is_refused_without_its_words() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    std::fs::remove_file(place.path("billing.db"))?;
    place.write("billing.db", "")?;
    let ran = place.run(&["propose", PROPOSE, "--sample"])?;
    assert!(ran.exit != Some(0) && ran.exit.is_some(), "{ran}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        !said.contains("no such table") && !said.contains("sqlite://"),
        "{ran}"
    );
    assert_eq!(std::fs::read_to_string(place.path("billing.db"))?, "");
    Ok(())
}

#[test]
fn ctrl_c_ends_up_and_everything_that_it_started() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let mut up = place.start(&["up"])?;
    up.until_printed(Duration::from_secs(30), |printed| {
        printed.contains("Ctrl-C ends it")
    })?;
    assert!(place.processes()?.len() >= 3);
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
fn ctrl_c_during_apply_ends_the_waiting_and_leaves_one_effect_or_none() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let id = place.approved(INVOICE, "goodwill")?;
    let (_, _, version) = place.invoice(INVOICE)?;
    // The writer cannot go on while somebody else writes.
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

/// A small file system of its own, gone with the test.
struct SmallDisk<'a>(&'a Path);

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0)
            .status();
    }
}

#[test]
fn a_full_disk_under_the_ledger_stops_proposals_and_loses_nothing() -> anyhow::Result<()> {
    let place = Workplace::new()?;
    let folder = place.path(".synapsor");
    std::fs::create_dir(&folder)?;
    mode(&folder, 0o700)?;
    let mut mount = std::process::Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"])
        .arg(&folder);
    if !mount.status().is_ok_and(|status| status.success()) {
        println!("NOT TESTED: a full disk under the ledger; this needs the right to mount a file system");
        return Ok(());
    }
    let _disk = SmallDisk(&folder);
    let id = place.approved(INVOICE, "goodwill")?;
    let filler = folder.join("filler");
    // As much as fits: writing ends with the error that the ledger will meet.
    ensure!(
        std::fs::write(&filler, vec![0; 8 * 1024 * 1024]).is_err(),
        "the disk is not full"
    );
    let before = place.invoice(INVOICE)?;
    let mut refused = 0;
    for number in 0..8 {
        place.write(
            "call.json",
            &json!({ "invoice_id": "INV-3002", "reason": format!("{number} {}", "x".repeat(250)) })
                .to_string(),
        )?;
        let ran = place.run(&["propose", PROPOSE, "--input", "call.json"])?;
        ensure!(ran.exit.is_some() && !ran.stderr.contains("panicked"), "{ran}");
        refused += i32::from(ran.exit != Some(0));
    }
    assert!(refused > 0, "a full disk stopped nothing");
    let ran = place.run(&["apply", &id])?;
    ensure!(ran.exit != Some(0) || place.invoice(INVOICE)? != before, "{ran}");
    std::fs::remove_file(&filler)?;
    place.wait_until_alone(ALONE)?;
    assert_eq!(place.json(&["ledger", "verify"])?["verified"], json!(true));
    place.ok(&["apply", &id])?;
    assert_eq!(place.invoice(INVOICE)?.2, before.2 + 1);
    Ok(())
}
