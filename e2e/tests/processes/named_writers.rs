//! `--writer` names the writers to call: a freeze, a lift or the doctor never skips one silently, also on the
//! ledger's machine.

use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, CommandOutput, INVOICE};

/// Address without a listener.
const UNUSED_ADDRESS: &str = "127.0.0.1:1";
const TWO: &str = "127.0.0.1:1,127.0.0.1:2";
const LIMIT: Duration = Duration::from_secs(30);

fn place() -> anyhow::Result<CliFixture> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    Ok(place)
}

fn missing(ran: &CommandOutput) -> anyhow::Result<Vec<String>> {
    let shown = ran.object()?;
    let all = shown["missing"].as_array().context("missing")?;
    let names = all.iter().filter_map(|missing| missing["writer"].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn names(missing: &[String], address: &str) -> bool {
    missing.iter().any(|name| name.contains(address))
}

#[test]
fn freeze_lists_named_writers_that_do_not_answer() -> anyhow::Result<()> {
    let place = place()?;
    let ran = place.run(&["writeback", "freeze", "--json", "--writer", UNUSED_ADDRESS])?;
    ran.expect(6)?;
    assert!(names(&missing(&ran)?, UNUSED_ADDRESS), "{ran}");
    // The freeze is in force by the ledger; the lift needs the named writer as well.
    let ran = place.run(&["writeback", "unfreeze", "--json", "--writer", UNUSED_ADDRESS])?;
    ran.expect(6)?;
    assert!(names(&missing(&ran)?, UNUSED_ADDRESS), "{ran}");

    let ran = place.run(&["writeback", "freeze", "--unsigned", "--json", "--writer", TWO])?;
    ran.expect(6)?;
    let missing = missing(&ran)?;
    assert!(
        names(&missing, UNUSED_ADDRESS) && names(&missing, "127.0.0.1:2"),
        "{ran}"
    );
    assert_eq!(
        ran.object()?["writers"],
        json!([]),
        "another writer was called: {ran}"
    );
    place
        .run(&["writeback", "unfreeze", "--writer", UNUSED_ADDRESS])?
        .expect_failure(6, "WRITER_UNREACHABLE", &[UNUSED_ADDRESS])
}

#[test]
fn local_named_writer_confirms_a_freeze() -> anyhow::Result<()> {
    let place = place()?;
    let mut up = place.start(&["up"])?;
    up.until_printed(LIMIT, |printed| printed.contains("Press Ctrl-C to stop"))?;
    let address = writer_address(&place)?;
    let freeze = ["writeback", "freeze", "--json", "--writer", &address];
    let ran = place.run(&freeze)?;
    ran.expect(0)?;
    let shown = ran.object()?;
    assert_eq!(shown["writers"].as_array().map(Vec::len), Some(1), "{shown}");
    let both = format!("{address},{UNUSED_ADDRESS}");
    let ran = place.run(&["writeback", "unfreeze", "--json", "--writer", &both])?;
    ran.expect(6)?;
    assert!(names(&missing(&ran)?, UNUSED_ADDRESS), "{ran}");
    up.signal(Signal::INT)?;
    up.end(LIMIT)?.expect(0)
}

/// Address of the running writer, from its run file.
fn writer_address(place: &CliFixture) -> anyhow::Result<String> {
    let entries = std::fs::read_dir(place.path(".synapsor/run"))?;
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let is_writer = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("writer-") && name.ends_with(".json")
    };
    let file = files.into_iter().find(is_writer).context("a run file")?;
    let run: Json = serde_json::from_slice(&std::fs::read(file)?)?;
    Ok(run["address"].as_str().context("an address")?.to_owned())
}

#[test]
fn rejects_invalid_addresses_before_signing() -> anyhow::Result<()> {
    let place = place()?;
    for address in ["garbage", "127.0.0.1:1,", "127.0.0.1:0", ":7443", ","] {
        for command in [
            &["writeback", "freeze"][..],
            &["writeback", "freeze", "--unsigned"],
            &["writeback", "unfreeze"],
            &["writeback", "doctor"],
            &["receipts", "audit"],
        ] {
            let ran = place.run(&[command, &["--writer", address]].concat())?;
            ran.expect_failure(2, "WRITER_ADDRESS_INVALID", &[])?;
        }
    }
    let events = place.ok(&["events", "tail", "--json"])?;
    assert!(!events.stdout.contains("freeze"), "{events}");
    Ok(())
}

#[test]
fn rejects_options_of_unused_services() -> anyhow::Result<()> {
    let place = place()?;
    for command in [
        &["up"][..],
        &["demo"],
        &["mcp", "serve"],
        &["store", "reset", "--yes"],
    ] {
        for option in ["--ledger", "--reader", "--writer"] {
            let ran = place.run(&[command, &[option, UNUSED_ADDRESS]].concat())?;
            ran.expect_failure(2, "OPTION_UNUSED", &[option])?;
        }
    }
    place
        .run(&["writeback", "freeze", "--cert", "x.pem"])?
        .expect_failure(2, "OPTION_UNUSED", &["--cert"])?;
    place
        .run(&["propose", "--sample", "--ledger", UNUSED_ADDRESS])?
        .expect_failure(2, "READER_REQUIRED", &["--reader"])?;
    // A named service that the doctor cannot reach is a failure, also without database checks.
    for option in ["--reader", "--writer"] {
        let ran = place.run(&["writeback", "doctor", option, UNUSED_ADDRESS])?;
        assert_ne!(ran.exit, Some(0), "{ran}");
    }
    Ok(())
}

#[test]
fn rejects_invalid_reasons_before_signing() -> anyhow::Result<()> {
    let place = place()?;
    let reason = "see https://user:SECRETPW@wiki.example/x";
    for command in [
        &["writeback", "freeze"][..],
        &["proposals", "approve", "latest", "--yes"],
        &["proposals", "reject", "latest", "--yes"],
        &[
            "receipts",
            "archive",
            "--source",
            "billing_db",
            "--before",
            "2020-01-01",
            "--yes",
        ],
    ] {
        let ran = place.run(&[command, &["--reason", reason]].concat())?;
        ran.expect_failure(2, "SECRET_MATERIAL_REJECTED", &["the reason"])?;
        assert!(!(ran.stdout + &ran.stderr).contains("SECRETPW"));
    }
    assert_eq!(
        place.json(&["proposals", "show", "latest"])?["state"],
        json!("pending_review")
    );
    let ran = place.run(&["writeback", "unfreeze"])?;
    ran.expect(4)?;
    assert!(ran.stderr.contains("error[NOT_FROZEN]"), "{ran}");
    Ok(())
}

/// The doctor asks a writer that runs on this machine too, also if this shell has every variable itself.
#[test]
fn doctor_reports_what_blocks_a_running_writer() -> anyhow::Result<()> {
    let place = place()?;
    let mut up = place.start(&["up"])?;
    up.until_printed(LIMIT, |printed| printed.contains("Press Ctrl-C to stop"))?;
    let doctor = || place.run(&["writeback", "doctor", "--json"]);
    assert!(!doctor()?.stdout.contains("WRITEBACK_FROZEN"));
    place.ok(&["writeback", "freeze"])?;
    assert!(doctor()?.stdout.contains("WRITEBACK_FROZEN"));
    place.ok(&["writeback", "unfreeze"])?;

    let (kept, aside) = (
        place.path(".synapsor/witness/switches"),
        place.path(".synapsor/witness/aside"),
    );
    std::fs::rename(&kept, &aside)?;
    std::fs::write(&kept, "")?;
    place.run(&["writeback", "freeze"])?.expect(6)?;
    let ran = doctor()?;
    ran.expect(1)?;
    assert!(ran.stdout.contains("STATE_NOT_WRITABLE"), "{ran}");
    std::fs::remove_file(&kept)?;
    std::fs::rename(&aside, &kept)?;
    up.signal(Signal::INT)?;
    up.end(LIMIT)?.expect(0)
}
