//! Every command of the guides about records, checks and upkeep, run as it is printed there.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE};
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
    assert_eq!(commands.len(), 12);
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
    assert_eq!(commands.len(), 9);
    for words in commands {
        place.ok(&words)?;
    }
    Ok(())
}
