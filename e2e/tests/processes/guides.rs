//! Every command of the guides about records, checks and upkeep, run as it is printed there.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE, PROPOSE};
use synapsor_e2e::deployment::CONTRACT;

/// Commands of a guide, without the program's name.
fn commands(guide: &str) -> Vec<Vec<&str>> {
    let lines = guide
        .lines()
        .filter_map(|line| line.strip_prefix("synapsor-runner "));
    lines.map(|line| line.split_whitespace().collect()).collect()
}

fn id(object: &Json, list: &str, name: &str) -> anyhow::Result<String> {
    let id = object[list][0][name].as_str();
    Ok(id
        .with_context(|| format!("{list}, {name}: {object}"))?
        .to_owned())
}

#[test]
fn commands_of_the_guide_about_records_are_valid() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.write("call.json", &json!({ "invoice_id": "none" }).to_string())?;
    let refused = ["smoke", "call", "billing.inspect_invoice", "--input", "call.json"];
    place.run(&refused)?.expect(1)?;
    let call = id(&place.json(&["query-audit", "list"])?, "query_audit", "audit_id")?;
    let proposal = place.approved(INVOICE, "goodwill")?;
    place.ok(&["apply", &proposal])?;
    let evidence = id(&place.json(&["evidence", "list"])?, "evidence", "evidence_id")?;
    let commands = commands(include_str!("../../../docs/records.md"));
    assert_eq!(commands.len(), 14);
    for words in commands {
        let words = words.into_iter().map(|word| match word {
            "qa_4f2a" => call.as_str(),
            "ev_4f2a" => evidence.as_str(),
            "app" => "billing_db",
            _ => word,
        });
        place.ok(&words.collect::<Vec<_>>())?;
    }
    for written in ["evidence.md", "call.json", "replay.json"] {
        ensure!(place.path(written).exists(), "{written}");
    }
    Ok(())
}

/// In mode shadow no printed hint names a command that approves or applies.
#[test]
fn commands_of_the_guide_about_shadow_mode_are_valid() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let review = place.approved(INVOICE, "goodwill")?;
    let contract = CONTRACT.replacen(r#""mode": "review""#, r#""mode": "shadow""#, 1);
    place.write("synapsor.runner.json", &contract)?;
    place.write(
        "call.json",
        &json!({ "invoice_id": "INV-3002", "reason": "goodwill" }).to_string(),
    )?;
    let proposed = place.ok(&["propose", PROPOSE, "--input", "call.json"])?;
    let id = place.json(&["shadow", "list"])?["proposals"][0]["proposal_id"].clone();
    let id = id.as_str().context("a shadow proposal")?;
    let guide = include_str!("../../../docs/shadow.md");
    let patch = guide
        .lines()
        .find(|line| line.starts_with('{'))
        .context("a patch")?;
    place.write("patch.json", patch)?;
    let commands = commands(guide);
    assert_eq!(commands.len(), 7);
    let mut printed = vec![proposed.stdout];
    for words in commands {
        let ran = place.ok(&words)?;
        printed.push(ran.stdout);
    }
    for text in &printed {
        ensure!(
            !text.contains("proposals approve") && !text.contains("runner apply"),
            "{text}"
        );
    }
    assert!(
        printed[3].contains("next: synapsor-runner shadow compare"),
        "{}",
        printed[3]
    );
    assert!(printed[4].contains("exact_match"), "{}", printed[4]);
    shadow_proposals_are_only_compared(&place, id, &review)
}

fn shadow_proposals_are_only_compared(place: &CliFixture, id: &str, review: &str) -> anyhow::Result<()> {
    for words in [vec!["proposals", "approve", id, "--yes"], vec!["apply", id]] {
        let ran = place.run(&words)?;
        ran.expect_failure(1, "SHADOW_WRITEBACK_DISABLED", &["shadow record-human-action"])?;
    }
    let record = ["shadow", "record-human-action"];
    place
        .run(&[&record[..], &[review, "--patch", "patch.json"]].concat())?
        .expect_failure(4, "NOT_SHADOW_PROPOSAL", &["shadow list"])?;
    for (patch, notes) in [
        (r#"{"api_key": "x"}"#, "x"),
        (r#"{"waiver_reason": "postgres://u:p@h/db"}"#, "x"),
        ("{}", "Bearer abcdefghijklmnop1234"),
    ] {
        place.write("secret.json", patch)?;
        let words = [&record[..], &[id, "--patch", "secret.json", "--notes", notes]].concat();
        place
            .run(&words)?
            .expect_failure(2, "SECRET_MATERIAL_REJECTED", &[])?;
    }
    place.write("patch.json", r#"{"late_fee_cents": "0", "balance": 5}"#)?;
    let recorded = place.json(&[&record[..], &[id, "--patch", "patch.json"]].concat())?;
    assert_eq!(recorded["actor"], json!("alice"), "{recorded}");
    let compared = place.json(&["shadow", "compare", id])?;
    for (name, expected) in [
        ("status", json!("mismatch")),
        ("differing_columns", json!(["late_fee_cents"])),
        ("missing_from_human", json!(["waiver_reason"])),
        ("extra_human_columns", json!(["balance"])),
    ] {
        assert_eq!(compared[name], expected, "{compared}");
    }
    let report = place.json(&["shadow", "report"])?;
    for (name, expected) in [
        ("total_shadow_proposals", 1),
        ("with_human_action", 1),
        ("mismatches", 1),
        ("exact_matches", 0),
    ] {
        assert_eq!(report[name], json!(expected), "{report}");
    }
    place.ok(&["ledger", "verify"])?;
    place.ok(&["replay", "export", id, "--output", "shadow.bundle.json"])?;
    place.ok(&["bundle", "verify", "shadow.bundle.json"])?;
    Ok(())
}

#[test]
fn commands_of_the_guide_about_checks_are_valid() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    place.write("new.json", CONTRACT)?;
    let commands = commands(include_str!("../../../docs/checking.md"));
    assert_eq!(commands.len(), 9);
    for words in commands {
        let ran = place.run(&words)?;
        // The example of a dangerous server is one.
        let wanted = if words.contains(&"--fail-on") { 4 } else { 0 };
        ran.expect(wanted)?;
    }
    ensure!(place.path("doctor.md").exists());
    Ok(())
}

#[test]
fn commands_of_the_guide_about_upkeep_are_valid() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved(INVOICE, "goodwill")?;
    place.ok(&["apply", &id])?;
    let commands = commands(include_str!("../../../docs/upkeep.md"));
    assert_eq!(commands.len(), 10);
    for words in commands {
        place.ok(&words)?;
    }
    Ok(())
}
