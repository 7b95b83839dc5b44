//! A database that lost receipts and their effects, holds receipts unknown to the ledger, or had old receipts
//! deleted: detection before the next write, and the operator's orders to continue.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::SigningKey;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{EngineVersion, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::receipt_row;

const SOURCE: &str = "billing_db";
const EXIT_MISSING: i32 = 13;
const EXIT_ORPHAN: i32 = 14;

/// Runs a test on SQLite and on a server of each engine, to the end on each, and names those on which it failed.
fn on_every_engine(test: impl Fn(CliFixture) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    let mut run = |version: EngineVersion, place: anyhow::Result<CliFixture>| {
        if let Err(error) = place.and_then(&test) {
            failures.push(format!("{version}: {error:#}"));
        }
    };
    run(EngineVersion::SQLITE, CliFixture::new());
    for version in EngineVersion::SERVER_ENGINES {
        if let Some(server) = Server::of(version)? {
            let place = server
                .database()
                .and_then(|database| CliFixture::over(database, &Fixture::billing()));
            run(version, place);
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn applied(place: &CliFixture, invoice: &str) -> anyhow::Result<String> {
    let id = place.approved(invoice, "goodwill")?;
    let done = place.json(&["apply", &id])?;
    ensure!(done["status"] == json!("applied"), "{done}");
    Ok(id)
}

/// State after a restored backup: neither the receipt nor its effect.
fn undo(
    place: &CliFixture,
    id: &str,
    invoice: &str,
    before: &(i64, Option<String>, i64),
) -> anyhow::Result<()> {
    let reason = before
        .1
        .as_ref()
        .map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"));
    place.target.execute(&format!(
        "DELETE FROM synapsor_writeback_receipts WHERE proposal_id = '{id}'"
    ))?;
    place.target.execute(&format!(
        "UPDATE invoices SET late_fee_cents = {}, waiver_reason = {reason}, version = {} WHERE id = '{invoice}'",
        before.0, before.2
    ))
}

/// Copies the current database file.
fn back_up(place: &CliFixture) -> anyhow::Result<()> {
    let copy = place.path("backup.db");
    place.target.execute(&format!("VACUUM INTO '{}'", copy.display()))
}

/// Restores the copy, as from a backup.
fn restore(place: &CliFixture) -> anyhow::Result<()> {
    for rest in ["billing.db-wal", "billing.db-shm"] {
        let _ = std::fs::remove_file(place.path(rest));
    }
    std::fs::copy(place.path("backup.db"), place.path("billing.db"))?;
    Ok(())
}

/// Runs a command with this expected exit code and returns its JSON.
fn ends(place: &CliFixture, exit: i32, arguments: &[&str]) -> anyhow::Result<Json> {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let ran = place.run(&arguments)?;
    ran.expect(exit)?;
    ran.object()
}

fn refused_as_lost(place: &CliFixture, id: &str, invoice: &str) -> anyhow::Result<()> {
    let before = place.invoice(invoice)?;
    let refused = ends(place, 4, &["apply", id])?;
    ensure!(refused["result"] == json!("refused:effect_lost"), "{refused}");
    let fix = refused["fix"].as_str().unwrap_or_default();
    ensure!(
        fix.contains("receipts audit") && fix.contains("receipts give-up"),
        "{refused}"
    );
    ensure!(place.invoice(invoice)? == before, "row was changed");
    Ok(())
}

fn ids(shown: &Json, list: &str) -> Vec<String> {
    let found = shown["sources"][0][list].as_array();
    let ids = found
        .into_iter()
        .flatten()
        .filter_map(|named| named["proposal"].as_str());
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort();
    ids
}

fn events(place: &CliFixture, kind: &str) -> anyhow::Result<usize> {
    let ran = place.ok(&["events", "tail", "--kind", kind, "--json"])?;
    Ok(ran.stdout.lines().filter(|line| !line.is_empty()).count())
}

/// Findings of the ledger with this code.
fn findings(place: &CliFixture, code: &str) -> anyhow::Result<Vec<String>> {
    let ran = place.run(&["writeback", "doctor", "--json"])?;
    let shown = ran.object()?;
    let all = shown["ledger"].as_array().with_context(|| shown.to_string())?;
    let found: Vec<String> = all
        .iter()
        .filter(|finding| finding["code"] == json!(code))
        .map(|finding| finding["text"].as_str().unwrap_or_default().to_owned())
        .collect();
    ran.expect(i32::from(!found.is_empty()))?;
    Ok(found)
}

#[test]
fn restored_database_is_detected_before_next_write() -> anyhow::Result<()> {
    on_every_engine(|place| {
        let before = [place.invoice("INV-3001")?, place.invoice("INV-3002")?];
        let lost = [applied(&place, "INV-3001")?, applied(&place, "INV-3002")?];
        let fine = ends(&place, 0, &["receipts", "audit", "--all"])?;
        ensure!(fine["sources"][0]["compared"].as_u64() >= Some(2), "{fine}");
        ensure!(
            findings(&place, "EFFECT_LOST")?.is_empty(),
            "doctor found no problem"
        );

        undo(&place, &lost[0], "INV-3001", &before[0])?;
        undo(&place, &lost[1], "INV-3002", &before[1])?;
        let third = place.approved("INV-3003", "goodwill")?;
        refused_as_lost(&place, &third, "INV-3003")?;

        let mut sorted = lost.to_vec();
        sorted.sort();
        let audited = ends(&place, EXIT_MISSING, &["receipts", "audit", "--all"])?;
        ensure!(ids(&audited, "lost") == sorted, "{audited}");
        let found = findings(&place, "EFFECT_LOST")?;
        ensure!(
            found.len() == 1 && found[0].contains(&lost[0]) && found[0].contains(&lost[1]),
            "{found:?}"
        );
        // Another check creates no new event.
        let recorded = events(&place, "effect_lost")?;
        ensure!(recorded > 0, "no event");
        refused_as_lost(&place, &third, "INV-3003")?;
        ends(&place, EXIT_MISSING, &["receipts", "audit"])?;
        ensure!(
            events(&place, "effect_lost")? == recorded,
            "duplicate event of one incident"
        );

        let order = ends(
            &place,
            0,
            &["receipts", "give-up", "--source", SOURCE, "--all-lost", "--yes"],
        )?;
        ensure!(order["receipts"].as_array().map(Vec::len) == Some(2), "{order}");
        ends(&place, 0, &["receipts", "audit", "--all"])?;
        ensure!(
            findings(&place, "EFFECT_LOST")?.is_empty(),
            "the incident is ended"
        );
        let done = ends(&place, 0, &["apply", &third])?;
        ensure!(done["status"] == json!("applied"), "{done}");
        // A lost effect is not applied a second time.
        let again = ends(&place, 0, &["apply", &lost[0]])?;
        ensure!(again["status"] == json!("already_applied"), "{again}");
        ensure!(place.invoice("INV-3001")? == before[0], "applied again");
        place.ok(&["ledger", "verify"])?;
        Ok(())
    })
}

#[test]
fn restored_sqlite_file_is_a_lost_effect() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let first = applied(&place, "INV-3001")?;
    back_up(&place)?;
    let second = applied(&place, "INV-3002")?;
    let third = place.approved("INV-3003", "goodwill")?;
    restore(&place)?;
    refused_as_lost(&place, &third, "INV-3003")?;
    let audited = ends(&place, EXIT_MISSING, &["receipts", "audit", "--source", SOURCE])?;
    assert_eq!(ids(&audited, "lost"), std::slice::from_ref(&second), "{audited}");

    // The command names each lost effect, and no other one.
    let shown = place.run(&["receipts", "give-up", "--source", SOURCE, &second])?;
    shown.expect(2)?;
    assert!(shown.stderr.contains("CONFIRMATION_REQUIRED"), "{shown}");
    refused_as_lost(&place, &third, "INV-3003")?;
    place.ok(&["receipts", "give-up", "--source", SOURCE, &second, "--yes"])?;
    assert_eq!(ends(&place, 0, &["apply", &third])?["status"], json!("applied"));
    assert_eq!(
        ends(&place, 0, &["apply", &first])?["status"],
        json!("already_applied")
    );
    Ok(())
}

#[test]
fn present_receipt_cannot_be_given_up() -> anyhow::Result<()> {
    on_every_engine(|place| {
        let first = applied(&place, "INV-3001")?;
        let newest = applied(&place, "INV-3002")?;
        for id in [&first, &newest] {
            place
                .run(&["receipts", "give-up", "--source", SOURCE, id, "--yes"])?
                .expect_failure(4, "RECEIPT_NOT_LOST", &[SOURCE, id])?;
        }
        // If it is deleted later, it is reported as missing: no order disables the check.
        let delete = format!("DELETE FROM synapsor_writeback_receipts WHERE proposal_id = '{newest}'");
        place.target.execute(&delete)?;
        let third = place.approved("INV-3003", "goodwill")?;
        refused_as_lost(&place, &third, "INV-3003")?;
        // The order names a lost effect and a present one: it is refused, and neither is given up.
        place
            .run(&[
                "receipts", "give-up", "--source", SOURCE, &newest, &first, "--yes",
            ])?
            .expect_failure(4, "RECEIPT_NOT_LOST", &[&first])?;
        ensure!(events(&place, "receipts_ordered")? == 0, "an object was signed");
        place.ok(&["receipts", "give-up", "--source", SOURCE, &newest, "--yes"])?;
        ensure!(ends(&place, 0, &["apply", &third])?["status"] == json!("applied"));
        Ok(())
    })
}

#[test]
fn receipt_orders_name_a_source_of_the_contract() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = applied(&place, "INV-3001")?;
    for (source, code, named) in [
        ("typo", "SOURCE_UNKNOWN", SOURCE),
        ("", "OPTION_EMPTY", "--source"),
    ] {
        let before = ["--before", "2020-01-01", "--yes"];
        place
            .run(&[&["receipts", "archive", "--source", source][..], &before].concat())?
            .expect_failure(2, code, &[named])?;
    }
    let url = "postgres://u:SECRETPW@h:5432/db";
    for command in [
        &[
            "receipts",
            "archive",
            "--before",
            "2020-01-01",
            "--yes",
            "--source",
            url,
        ][..],
        &["receipts", "give-up", &id, "--yes", "--source", url],
        &["receipts", "audit", "--source", url],
    ] {
        place
            .run(command)?
            .expect_failure(2, "INLINE_URL_REFUSED", &["--source"])?;
    }
    ensure!(events(&place, "receipts_ordered")? == 0, "an object was signed");
    Ok(())
}

#[test]
fn returned_effects_are_no_longer_missing() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    applied(&place, "INV-3001")?;
    let lost = applied(&place, "INV-3002")?;
    back_up(&place)?;
    let delete = format!("DELETE FROM synapsor_writeback_receipts WHERE proposal_id = '{lost}'");
    place.target.execute(&delete)?;
    let third = place.approved("INV-3003", "goodwill")?;
    refused_as_lost(&place, &third, "INV-3003")?;
    restore(&place)?;
    assert_eq!(ends(&place, 0, &["apply", &third])?["status"], json!("applied"));
    ends(&place, 0, &["receipts", "audit", "--all"])?;
    Ok(())
}

#[test]
fn receipt_refused_by_the_ledger_is_an_orphan() -> anyhow::Result<()> {
    on_every_engine(|place| {
        applied(&place, "INV-3001")?;
        let pem = std::fs::read_to_string(place.path(".synapsor/keys/writer.pem"))?;
        let key = SigningKey::from_pem(&pem)?;
        let stranger = ProposalId::from_random([7; 10]);
        let signed = receipt_row::applied(
            &place.target,
            stranger.clone(),
            (Digest::of_typed("x", b"y"), None),
            &key,
        )?;
        receipt_row::insert(&place.target, &signed)?;
        // A row of another deployment is counted and raises no alarm.
        let other = SigningKey::from_seed(&zeroize::Zeroizing::new([5; 32]));
        let foreign = ProposalId::from_random([8; 10]);
        let foreign = receipt_row::applied(
            &place.target,
            foreign,
            (Digest::of_typed("x", b"y"), None),
            &other,
        )?;
        receipt_row::insert(&place.target, &foreign)?;

        let audited = ends(&place, EXIT_ORPHAN, &["receipts", "audit", "--all"])?;
        ensure!(ids(&audited, "orphaned") == [stranger.to_string()], "{audited}");
        ensure!(audited["sources"][0]["foreign"] == json!(1), "{audited}");
        let found = findings(&place, "ORPHAN_RECEIPT")?;
        ensure!(
            found.len() == 1 && found[0].contains(stranger.as_str()),
            "{found:?}"
        );
        ensure!(events(&place, "orphan_receipt")? == 1, "one event");
        // An orphan stops nothing.
        applied(&place, "INV-3002")?;

        place.ok(&["receipts", "adopt", stranger.as_str(), "--yes"])?;
        ensure!(
            findings(&place, "ORPHAN_RECEIPT")?.is_empty(),
            "the incident is ended"
        );
        ends(&place, 0, &["receipts", "audit", "--all"])?;
        Ok(())
    })
}

#[test]
fn owner_may_delete_archived_receipts() -> anyhow::Result<()> {
    on_every_engine(|place| {
        let old = [applied(&place, "INV-3001")?, applied(&place, "INV-3002")?];
        let cut = synapsor_e2e::now().to_string();
        let young = applied(&place, "INV-3003")?;
        let archive = [
            "receipts", "archive", "--source", SOURCE, "--before", &cut, "--yes",
        ];
        let ordered = ends(&place, 0, &archive)?;
        ensure!(ordered["orders"][0]["receipts"] == json!(2), "{ordered}");
        let statement = ordered["statement"].as_str().context("a statement")?;
        place.target.execute(statement)?;
        let left = place
            .target
            .query_text("SELECT proposal_id FROM synapsor_writeback_receipts")?;
        ensure!(left == [[Some(young.clone())]], "{left:?}");

        let audited = ends(&place, 0, &["receipts", "audit", "--all"])?;
        ensure!(
            audited["sources"][0]["archived_before"] == json!(cut),
            "{audited}"
        );
        let next = applied(&place, "INV-3004")?;
        for id in old {
            let again = ends(&place, 0, &["apply", &id])?;
            ensure!(again["status"] == json!("already_applied"), "{again}");
        }
        // After the cut, a missing receipt is a loss as before, and the cut never moves back.
        let delete = format!("DELETE FROM synapsor_writeback_receipts WHERE proposal_id = '{next}'");
        place.target.execute(&delete)?;
        let audited = ends(&place, EXIT_MISSING, &["receipts", "audit", "--all"])?;
        ensure!(ids(&audited, "lost") == [next], "{audited}");
        let back = [
            "receipts",
            "archive",
            "--source",
            SOURCE,
            "--before",
            "2020-01-01",
            "--yes",
        ];
        let refused = place.run(&back)?;
        refused.expect(4)?;
        ensure!(refused.stderr.contains("refused:archive_cut"), "{refused}");
        Ok(())
    })
}

/// Words of a command; quotes group words.
fn words(line: &str) -> Vec<String> {
    let pieces = line.split('"').enumerate();
    let words = pieces.flat_map(|(at, piece)| {
        if at % 2 == 1 {
            vec![piece.to_owned()]
        } else {
            piece.split_whitespace().map(str::to_owned).collect()
        }
    });
    words.collect()
}

#[test]
fn commands_in_the_guide_are_valid() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let ids = [applied(&place, "INV-3001")?, applied(&place, "INV-3002")?];
    let guide = include_str!("../../../docs/lost-effects.md");
    let mut run = 0;
    for line in guide.lines().filter(|line| line.starts_with("synapsor-runner ")) {
        let mut words: Vec<String> = words(line)
            .into_iter()
            .skip(1)
            .map(|word| match word.as_str() {
                "app" => SOURCE.to_owned(),
                "wrp_4f2a" => ids[0].clone(),
                "wrp_51cc" => ids[1].clone(),
                _ => word,
            })
            .collect();
        if words[1] != "audit" {
            words.push("--yes".to_owned());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = place.run(&words)?;
        // Other tests check the results.
        ensure!(matches!(ran.exit, Some(0 | 1 | 4)), "{ran}");
        run += 1;
    }
    assert_eq!(run, 6);
    Ok(())
}

/// A dump restored into a new database has another identity and also lacks the newest receipts.
#[test]
fn backup_restored_to_a_new_database_is_a_lost_effect() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    applied(&place, "INV-3001")?;
    back_up(&place)?;
    let second = applied(&place, "INV-3002")?;
    restore(&place)?;
    place
        .target
        .execute("UPDATE synapsor_database_identity SET instance = 'a-new-database'")?;
    let third = place.approved("INV-3003", "goodwill")?;
    refused_as_lost(&place, &third, "INV-3003")?;
    let audited = ends(&place, EXIT_MISSING, &["receipts", "audit", "--source", SOURCE])?;
    assert_eq!(ids(&audited, "lost"), std::slice::from_ref(&second), "{audited}");
    place.ok(&["receipts", "give-up", "--source", SOURCE, &second, "--yes"])?;
    assert_eq!(ends(&place, 0, &["apply", &third])?["status"], json!("applied"));
    Ok(())
}

/// A lift cannot end a row that is not a freeze, so the refusal names who can.
#[test]
fn row_with_a_freeze_key_is_refused_with_a_fix() -> anyhow::Result<()> {
    on_every_engine(|place| {
        let id = place.approved("INV-3001", "goodwill")?;
        place.target.execute(
            "INSERT INTO synapsor_writeback_receipts (proposal_id, proposal_digest, outcome, reason, rows_affected, fence, \
             executor_id, ledger_size, ledger_root, db_identity, created_at, receipt, executor_key, executor_sig) \
             VALUES ('freeze_zzz', 'x', 'applied', '', 1, 0, 'x', 0, '', '', '', 'x', '', '')",
        )?;
        let refused = ends(&place, 4, &["apply", &id])?;
        ensure!(refused["result"] == json!("refused:frozen"), "{refused}");
        ensure!(refused.to_string().contains("its owner deletes it"), "{refused}");
        place
            .target
            .execute("DELETE FROM synapsor_writeback_receipts WHERE proposal_id = 'freeze_zzz'")?;
        ensure!(ends(&place, 0, &["apply", &id])?["status"] == json!("applied"));
        Ok(())
    })
}
