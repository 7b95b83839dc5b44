//! Upkeep of the ledger's store: backup while it serves, restore elsewhere, refusals, stats, vacuum and reset.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use synapsor_e2e::cli::{CliFixture, INVOICE};

const STATE: &str = ".synapsor";
const WAIT: Duration = Duration::from_secs(30);
const STORE: &str = ".synapsor/local.db";

/// Another machine with the trust file and the keys.
fn moved_state(place: &CliFixture, to: &str) -> anyhow::Result<()> {
    std::fs::create_dir(place.path(to))?;
    private(&place.path(to))?;
    copy_dir(
        &place.path(&format!("{STATE}/keys")),
        &place.path(&format!("{to}/keys")),
    )?;
    let trust = "synapsor.trust.json";
    std::fs::copy(
        place.path(&format!("{STATE}/{trust}")),
        place.path(&format!("{to}/{trust}")),
    )?;
    Ok(())
}

/// One read of a row.
fn read(place: &CliFixture) -> anyhow::Result<()> {
    place.write("call.json", &json!({ "invoice_id": INVOICE }).to_string())?;
    place.ok(&["smoke", "call", "billing.inspect_invoice", "--input", "call.json"])?;
    Ok(())
}

/// A command on the other machine.
fn moved<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [command, &["--store", "moved/local.db"]].concat()
}

fn copy_dir(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(to)?;
    private(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()? {
            kind if kind.is_dir() => copy_dir(&source, &target)?,
            kind if kind.is_file() => std::fs::copy(&source, &target).map(|_| ())?,
            _ => {}
        }
    }
    Ok(())
}

fn private(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(
        dir,
        std::fs::Permissions::from_mode(0o700),
    )?)
}

#[test]
fn backup_under_load_is_restored_on_another_machine() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved(INVOICE, "goodwill")?;
    place.ok(&["apply", &id])?;
    place.ok(&["ledger", "prove", &id, "--output", "old.bundle"])?;
    let done = AtomicBool::new(false);
    let saved = std::thread::scope(|scope| {
        let load = scope.spawn(|| -> anyhow::Result<u32> {
            let mut calls = 0;
            while !done.load(Ordering::Relaxed) {
                read(&place)?;
                calls += 1;
            }
            Ok(calls)
        });
        let saved = place.json(&["store", "backup", "ledger.backup"]);
        done.store(true, Ordering::Relaxed);
        ensure!(load.join().expect("the load does not panic")? > 0, "no load");
        saved
    })?;
    assert_eq!(saved["verified"], json!(true), "{saved}");
    let checked = place.json(&[
        "store",
        "verify",
        "ledger.backup",
        "--trust",
        ".synapsor/synapsor.trust.json",
    ])?;
    assert_eq!(checked["log"], saved["log"]);
    // An existing file stays; --force replaces backups only.
    for precious in [STORE, ".synapsor/synapsor.trust.json"] {
        let before = std::fs::read(place.path(precious))?;
        place
            .run(&["store", "backup", precious, "--force"])?
            .expect_failure(1, "FILE_EXISTS", &["backups only"])?;
        assert_eq!(std::fs::read(place.path(precious))?, before, "{precious}");
    }
    place.ok(&["store", "backup", "second.backup"])?;
    place.ok(&["store", "backup", "second.backup", "--force"])?;
    place
        .run(&["store", "backup", "ledger.backup"])?
        .expect_failure(1, "FILE_EXISTS", &["--force"])?;

    moved_state(&place, "moved")?;
    // Left there by a store that is gone; it must not be read into the new one.
    place.write("moved/local.db-wal", "a write-ahead log of another store")?;
    let restored = place.json(&moved(&["store", "restore", "ledger.backup"]))?;
    assert_eq!(restored["events"], saved["events"]);
    assert_eq!(restored["ahead"], json!([]));
    let mut beside = std::fs::read_dir(place.path("moved"))?.filter_map(Result::ok);
    let is_kept = beside.any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.contains("replaced-") && name.ends_with("-wal")
    });
    ensure!(is_kept, "the old write-ahead log is still in place");
    place
        .run(&moved(&["store", "restore", "ledger.backup"]))?
        .expect_failure(1, "STORE_EXISTS", &["--replace"])?;
    let verified = place.json(&moved(&["ledger", "verify"]))?;
    assert_eq!(verified["verified"], json!(true), "{verified}");
    assert!(
        verified["log"]["size"].as_u64() > saved["events"].as_u64(),
        "the start is an event"
    );
    let shown = place.json(&moved(&["proposals", "show", &id]))?;
    ensure!(shown["proposal"]["state"] == json!("applied"), "{shown}");
    place.ok(&moved(&[
        "bundle",
        "verify",
        "old.bundle",
        "--trust",
        "moved/synapsor.trust.json",
    ]))?;
    Ok(())
}

#[test]
fn damaged_and_older_backups_are_refused() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    place.ok(&["store", "backup", "ledger.backup"])?;
    let bytes = std::fs::read(place.path("ledger.backup"))?;
    let trust = ["--trust", ".synapsor/synapsor.trust.json"];
    for (at, exit, code) in [
        (0, 2, "BACKUP_UNREADABLE"),
        (bytes.len() / 3, 10, "BACKUP_TAMPERED"),
        (bytes.len() / 2, 10, "BACKUP_TAMPERED"),
    ] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        std::fs::write(place.path("changed.backup"), &changed)?;
        for command in [
            &["store", "verify", "changed.backup"][..],
            &["store", "restore", "changed.backup"],
        ] {
            let ran = place.run(&[command, &trust].concat())?;
            ran.expect_failure(exit, code, &["changed.backup"])
                .with_context(|| format!("byte {at}"))?;
        }
    }
    std::fs::write(place.path("cut.backup"), &bytes[..bytes.len() - 9])?;
    place
        .run(&[&["store", "verify", "cut.backup"][..], &trust].concat())?
        .expect_failure(1, "BACKUP_CUT", &["copy the file again"])?;

    // Later events were seen: they are not lost unseen.
    place.propose("INV-3002", "goodwill")?;
    place.ok(&["proposals", "list"])?;
    let before = place.json(&["ledger", "verify"])?;
    let refused = place.run(&["store", "restore", "ledger.backup", "--replace", "--yes"])?;
    refused.expect_failure(11, "RESTORE_LOSES_EVENTS", &["cli", "--accept-loss"])?;
    assert_eq!(place.json(&["ledger", "verify"])?["log"], before["log"]);
    let accepted = [
        "store",
        "restore",
        "ledger.backup",
        "--replace",
        "--yes",
        "--accept-loss",
    ];
    let restored = place.json(&accepted)?;
    let holders = restored["ahead"].as_array().context("ahead")?;
    ensure!(
        holders.iter().any(|pin| pin["holder"] == json!("cli")),
        "{restored}"
    );
    let kept = restored["replaced"].as_str().context("replaced")?;
    ensure!(Path::new(kept).exists(), "{kept}");
    place
        .run(&["proposals", "list"])?
        .expect_failure(11, "LEDGER_ROLLED_BACK", &["ledger recover"])?;
    recovered(&place)
}

/// An operator signs that the later events are lost; reader, writer and CLI go on with the restored log.
fn recovered(place: &CliFixture) -> anyhow::Result<()> {
    let unconfirmed = place.run(&["ledger", "recover"])?;
    ensure!(
        unconfirmed.exit != Some(0) && unconfirmed.stderr.contains("--yes"),
        "{unconfirmed}"
    );
    let signed = place.json(&["ledger", "recover", "--yes", "--reason", "restored"])?;
    assert_eq!(signed["signatures_left"], json!(0), "{signed}");
    let verified = place.json(&["ledger", "verify"])?;
    assert_eq!(verified["verified"], json!(true), "{verified}");
    let id = place.approved("INV-3002", "goodwill")?;
    place.ok(&["apply", &id])?;
    let none = place.json(&["ledger", "recover", "--yes"])?;
    assert_eq!(none["lost"], json!([]), "{none}");
    let tail = place
        .ok(&["events", "tail", "--kind", "discontinuity_recorded", "--json"])?
        .stdout;
    ensure!(tail.contains("discontinuity_recorded"), "{tail}");
    Ok(())
}

#[test]
fn store_is_measured_compacted_and_reset_without_a_wait() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place
        .run(&["store", "stats"])?
        .expect_failure(1, "STATE_NOT_FOUND", &[])?;
    place.propose(INVOICE, "goodwill")?;
    let stats = place.json(&["store", "stats"])?;
    assert_eq!(stats["tables"]["proposals"], json!(1), "{stats}");
    assert!(
        stats["events"].as_u64() > Some(2) && stats["page_count"].as_u64() > Some(10),
        "{stats}"
    );
    let vacuumed = place.json(&["store", "vacuum"])?;
    ensure!(vacuumed["after"]["free_pages"] == json!(0), "{vacuumed}");
    place.ok(&["ledger", "verify"])?;
    // A ledger without clients ends at once, one with a client does not.
    place.ok(&["store", "reset", "--yes"])?;
    ensure!(!place.path(STORE).exists(), "the store is still there");
    place.propose(INVOICE, "goodwill")?;
    let mut follower = place.start(&["events", "tail", "--follow"])?;
    follower.until_printed(WAIT, |printed| printed.contains("proposal_created"))?;
    place
        .run(&["store", "reset", "--yes"])?
        .expect_failure(1, "STORE_LOCKED", &["in use"])?;
    drop(follower);
    Ok(())
}

#[test]
fn erased_tenant_leaves_proofs_and_receipts() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved(INVOICE, "a reason to forget")?;
    place.ok(&["apply", &id])?;
    for _ in 0..3 {
        read(&place)?;
    }
    let open = place.propose("INV-3002", "goodwill")?;
    place.ok(&["ledger", "prove", &id, "--output", "old.bundle"])?;
    let erase = ["store", "erase", "--tenant", "acme", "--reason", "request 4711"];
    let counted = place.json(&erase)?;
    assert_eq!(
        (
            &counted["dry_run"],
            &counted["deleted"]["proposals"],
            &counted["kept_proposals"]
        ),
        (&json!(true), &json!(1), &json!(1)),
        "{counted}"
    );
    assert!(counted["deleted"]["records"].as_u64() >= Some(3), "{counted}");
    place.ok(&["proposals", "show", &id])?;
    let stored = || Ok::<_, anyhow::Error>(std::fs::read(place.path(STORE))?);
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());

    let erased = place.json(&[&erase[..], &["--yes"]].concat())?;
    ensure!(
        erased["dry_run"] == json!(false) && erased["events"].as_u64() >= Some(1),
        "{erased}"
    );
    let verified = place.json(&["ledger", "verify"])?;
    assert_eq!(verified["verified"], json!(true), "{verified}");
    place
        .run(&["proposals", "show", &id])?
        .expect_failure(1, "RECORD_ERASED", &["bodies_erased"])?;
    place.ok(&["proposals", "show", &open])?;
    let listed = place.json(&["proposals", "list"])?;
    assert_eq!(listed["proposals"].as_array().map(Vec::len), Some(1), "{listed}");
    // The open proposal keeps its own records, nothing else of the tenant is found.
    let audits = place.json(&["query-audit", "list", "--tenant", "acme"])?;
    assert_eq!(
        audits["query_audit"].as_array().map(Vec::len),
        Some(1),
        "{audits}"
    );
    let tail = place.ok(&["events", "tail", "--json"])?.stdout;
    assert!(tail.contains("bodies_erased"), "{tail}");
    // The receipt of the source has its counterpart, and what was exported before stays valid.
    place.ok(&["receipts", "audit", "--all"])?;
    place.ok(&[
        "bundle",
        "verify",
        "old.bundle",
        "--trust",
        ".synapsor/synapsor.trust.json",
    ])?;
    let again = place.json(&[&erase[..], &["--yes"]].concat())?;
    assert_eq!(
        again["deleted"],
        json!({ "proposals": 0, "records": 0 }),
        "{again}"
    );
    ensure!(
        !holds(&stored()?, "a reason to forget"),
        "the store still holds the reason"
    );

    // The open proposal ends as ever, and a backup of the rest is restored.
    place.ok(&["proposals", "approve", &open, "--yes"])?;
    place.ok(&["apply", &open])?;
    place.ok(&["store", "backup", "ledger.backup"])?;
    moved_state(&place, "moved")?;
    place.ok(&moved(&["store", "restore", "ledger.backup"]))?;
    let verified = place.json(&moved(&["ledger", "verify"]))?;
    assert_eq!(verified["verified"], json!(true), "{verified}");
    erasure_needs_an_order(&place)?;
    let pruned = place.json(&["store", "prune", "--older-than", "0s", "--yes"])?;
    assert_eq!(pruned["deleted"]["proposals"], json!(1), "{pruned}");
    place.ok(&["ledger", "verify"])?;
    Ok(())
}

/// Under a trust file without an eraser, no command accepts a backup with erasures.
fn erasure_needs_an_order(place: &CliFixture) -> anyhow::Result<()> {
    let trust = place.path(".synapsor/synapsor.trust.json");
    let text = std::fs::read_to_string(&trust)?;
    std::fs::write(
        place.path("no-eraser.json"),
        text.replace("\"*\"", "\"approver\""),
    )?;
    for command in [
        &["store", "verify", "ledger.backup"][..],
        &moved(&["store", "restore", "ledger.backup", "--replace", "--yes"]),
    ] {
        let ran = place.run(&[command, &["--trust", "no-eraser.json"]].concat())?;
        ran.expect_failure(10, "BACKUP_TAMPERED", &["erasure of event"])
            .with_context(|| format!("{command:?}"))?;
    }
    // The ledger checks by itself: here it alone uses that trust file.
    let moved_trust = place.path("moved/synapsor.trust.json");
    std::fs::copy(place.path("no-eraser.json"), &moved_trust)?;
    let verified = place.run(&moved(&["ledger", "verify"]))?;
    ensure!(
        verified.exit == Some(10) && verified.stdout.contains("erasure"),
        "{verified}"
    );
    std::fs::write(&moved_trust, &text)?;
    Ok(())
}

#[test]
fn erasing_needs_the_role_and_one_selection() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    for (arguments, text) in [
        (&["store", "erase", "--yes"][..], "--tenant"),
        (&["store", "prune", "--yes"], "--older-than"),
        (
            &["store", "prune", "--older-than", "1d", "--yes", "--dry-run"],
            "cannot be used with",
        ),
        (&["store", "prune", "--older-than", "soon"], "90d"),
        (&["store", "erase", "--object", "invoice"], "TYPE:ID"),
        (&["store", "erase", "--object", "planet:X"], "--table"),
    ] {
        let ran = place.run(arguments)?;
        ensure!(
            ran.exit == Some(2) && ran.stderr.contains(text),
            "{arguments:?}: {ran}"
        );
    }
    let object = place.json(&["store", "erase", "--object", "invoice:INV-3001"])?;
    assert_eq!(
        object["deleted"],
        json!({ "proposals": 0, "records": 0 }),
        "{object}"
    );
    assert_eq!(object["kept_proposals"], json!(1), "{object}");
    let trust = place.path(".synapsor/synapsor.trust.json");
    let text = std::fs::read_to_string(&trust)?;
    std::fs::write(&trust, text.replace("\"*\"", "\"approver\""))?;
    place
        .run(&["store", "prune", "--older-than", "1d", "--yes"])?
        .expect_failure(4, "refused:role", &["eraser"])?;
    Ok(())
}
