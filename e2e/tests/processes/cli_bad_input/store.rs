//! Ledger store that is locked, missing, foreign, emptied or on a full disk.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use rustix::process::Signal;
use serde_json::json;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::{CliFixture, INVOICE, PROPOSE, Running};

use super::{ALONE, STORE, TRUST, keep_ledger, mode};

#[test]
fn store_accepts_only_one_ledger() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
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
fn removed_store_stops_all_writes() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
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
        assert!(ran.stderr.contains("restore the file"), "{ran}");
    }
    let ran = place.run(&["propose", PROPOSE, "--sample"])?;
    ran.expect(1)?;
    assert_eq!(place.invoice(INVOICE)?, before);
    drop(follower);
    Ok(())
}

#[test]
fn foreign_store_is_named_and_left_unchanged() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
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
    // The ledger does not take over a database of another program either.
    std::fs::copy(place.path("billing.db"), place.path(STORE))?;
    let before = std::fs::read(place.path(STORE))?;
    place
        .run(&["proposals", "list"])?
        .expect_failure(1, "STORE_FOREIGN", &["local.db"])?;
    assert_eq!(std::fs::read(place.path(STORE))?, before);
    Ok(())
}

#[test]
fn emptied_store_is_reported_as_rollback() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
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

/// Small separate file system that is removed with the test.
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
fn full_ledger_disk_stops_proposals_and_loses_nothing() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let folder = place.path(".synapsor");
    std::fs::create_dir(&folder)?;
    mode(&folder, 0o700)?;
    let mut mount = std::process::Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs"])
        .arg(&folder);
    if !mount.status().is_ok_and(|status| status.success()) {
        synapsor_e2e::namespaces::left_out(format_args!(
            "a full disk under the ledger; this needs the right to mount a file system"
        ));
        return Ok(());
    }
    let _disk = SmallDisk(&folder);
    let id = place.approved(INVOICE, "goodwill")?;
    let filler = folder.join("filler");
    // Fills the disk: the last write fails with the error that the ledger will get.
    ensure!(
        std::fs::write(&filler, vec![0; 8 * 1024 * 1024]).is_err(),
        "disk is not full"
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
    assert!(refused > 0, "full disk stopped no proposal");
    let ran = place.run(&["apply", &id])?;
    ensure!(ran.exit != Some(0) || place.invoice(INVOICE)? != before, "{ran}");
    std::fs::remove_file(&filler)?;
    place.wait_until_alone(ALONE)?;
    assert_eq!(place.json(&["ledger", "verify"])?["verified"], json!(true));
    place.ok(&["apply", &id])?;
    assert_eq!(place.invoice(INVOICE)?.2, before.2 + 1);
    Ok(())
}
