//! Transcripts of the ways without prompts, from an unknown database on SQLite to an applied change.

use std::path::Path;

use anyhow::ensure;
use serde_json::json;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::transcript::Transcript;

use super::files::{application, fee};

/// Records the commands from the contract to the applied change.
fn first_change(page: &mut Transcript, place: &CliFixture, config: Option<&str>) -> anyhow::Result<()> {
    let options = config.map(|path| ["--config", path]);
    let options = options.as_ref().map_or(&[][..], |words| words.as_slice());
    let mut command = |words: &[&str]| page.command(place, &[words, options].concat());
    command(&["config", "validate"])?;
    let migration = command(&["writeback", "migration"])?;
    rusqlite::Connection::open(place.path("app.db"))?.execute_batch(&migration)?;
    command(&["writeback", "doctor", "--check-db"])?;
    command(&[
        "propose",
        "invoice.propose_invoice_update",
        "--input",
        "change.json",
    ])?;
    command(&["proposals", "show", "latest"])?;
    command(&["proposals", "approve", "latest", "--yes"])?;
    command(&["apply", "latest"])?;
    ensure!(fee(place)? == 500);
    Ok(())
}

fn begun(name: &'static str, title: &str, introduction: &str) -> anyhow::Result<(Transcript, CliFixture)> {
    let place = application()?;
    let change = json!({"invoice_id": "INV-1", "fee": 500, "note": "late mail"}).to_string();
    place.write("change.json", &change)?;
    let mut page = Transcript::new(name, title, introduction);
    page.rename(place.folder().display().to_string(), "/home/ann/shop");
    page.text("The directory has `app.db` and the input of a first change. The variables name the database and the caller:");
    page.block("sh", VARIABLES);
    page.block("json", &change);
    Ok((page, place))
}

const VARIABLES: &str = "export SYNAPSOR_DATABASE_READ_URL=sqlite:///home/ann/shop/app.db
export SYNAPSOR_DATABASE_WRITE_URL=sqlite:///home/ann/shop/app.db
export SYNAPSOR_TENANT_ID=nord SYNAPSOR_PRINCIPAL=support-agent";

#[test]
fn transcript_by_flags_is_current() -> anyhow::Result<()> {
    let introduction = "From a database of 40 tables to the first applied change, with flags only.";
    let (mut page, place) = begun("flags", "Onboarding by flags", introduction)?;
    page.beginning(&place, &["inspect"], 42)?;
    page.command(
        &place,
        &[
            "init",
            "--table",
            "invoices",
            "--mode",
            "review",
            "--tenant-column",
            "tenant_id",
            "--visible-columns",
            "status,late_fee_cents,waive_note",
            "--patch",
            "late_fee_cents=arg:fee,waive_note=arg:note",
            "--patch-bounds",
            "late_fee_cents=0:5000",
            "--conflict-advance",
            "increment",
            "--object-id",
            "INV-1",
            "--non-interactive",
        ],
    )?;
    let input = ".synapsor/smoke-input.json";
    ensure!(Path::new(&place.path(input)).exists());
    page.command(
        &place,
        &["smoke", "call", "invoice.inspect_invoice", "--input", input],
    )?;
    first_change(&mut page, &place, None)?;
    page.finish()
}

#[test]
fn transcript_by_answers_is_current() -> anyhow::Result<()> {
    let introduction = "From a database of 40 tables to the first applied change, with a file of answers that can be kept in a repository.";
    let (mut page, place) = begun("answers", "Onboarding by an answers file", introduction)?;
    let answers = json!({
        "engine": "sqlite", "schema": "main", "table": "invoices", "primary_key": "invoice_no",
        "tenant_column": "tenant_id", "visible_columns": "status,late_fee_cents,waive_note",
        "conflict_column": "row_version", "conflict_advance": "increment", "patch_bounds": "late_fee_cents=0:5000",
        "patch": "late_fee_cents=arg:fee,waive_note=arg:note", "read_url_env": "SYNAPSOR_DATABASE_READ_URL",
    });
    let answers = serde_json::to_string_pretty(&answers)?;
    place.write("answers.json", &answers)?;
    page.text("`answers.json`:");
    page.block("json", &answers);
    page.command(
        &place,
        &["init", "--answers", "answers.json", "--output", "billing.json"],
    )?;
    first_change(&mut page, &place, Some("billing.json"))?;
    page.finish()
}
