//! By flags, answers, selection and recipe on SQLite, without a prompt.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_domain::contract::EngineKind;
use synapsor_e2e::cli::CliFixture;

use super::database::statements;

const FLAGS: &[&str] = &[
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
];

pub(super) fn application() -> anyhow::Result<CliFixture> {
    let mut place = CliFixture::empty()?;
    rusqlite::Connection::open(place.path("app.db"))?.execute_batch(&statements(EngineKind::Sqlite))?;
    let url = format!("sqlite://{}", place.path("app.db").display());
    for (name, value) in [
        ("SYNAPSOR_DATABASE_READ_URL", url.as_str()),
        ("SYNAPSOR_DATABASE_WRITE_URL", &url),
        ("SYNAPSOR_TENANT_ID", "nord"),
        ("SYNAPSOR_PRINCIPAL", "support-agent"),
    ] {
        place.set(name, value);
    }
    Ok(place)
}

pub(super) fn fee(place: &CliFixture) -> anyhow::Result<i64> {
    let connection = rusqlite::Connection::open(place.path("app.db"))?;
    let sql = "SELECT late_fee_cents FROM invoices WHERE invoice_no = 'INV-1'";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Proposes, approves and applies under the contract.
fn apply(place: &CliFixture, config: &str, input: &Json) -> anyhow::Result<()> {
    place.write("change.json", &input.to_string())?;
    let with_config = |words: &[&str]| place.ok(&[words, &["--config", config]].concat());
    with_config(&[
        "propose",
        "invoice.propose_invoice_update",
        "--input",
        "change.json",
    ])?;
    with_config(&["proposals", "approve", "latest", "--yes"])?;
    with_config(&["apply", "latest"])?;
    Ok(())
}

#[test]
fn unknown_database_reaches_an_applied_change_without_prompts() -> anyhow::Result<()> {
    let place = application()?;
    let inspected = place.json(&["inspect"])?;
    ensure!(
        inspected["tables"].as_array().map(Vec::len) == Some(42),
        "{inspected}"
    );
    place.run(&["init", "--table", "invoice"])?.expect_failure(
        2,
        "TABLE_NOT_FOUND",
        &["main.invoices, main.open_invoices"],
    )?;
    place
        .run(&["init"])?
        .expect_failure(2, "INIT_INPUT_REQUIRED", &["--starter"])?;

    let done = place.json(&[&["onboard", "db"], FLAGS].concat())?;
    ensure!(
        done["ok"] == json!(true) && done["boundary"]["ok"] == json!(true),
        "{done}"
    );
    ensure!(done["validate"]["errors"] == json!([]), "{done}");
    let migration = place.ok(&["writeback", "migration"])?.stdout;
    rusqlite::Connection::open(place.path("app.db"))?.execute_batch(&migration)?;
    place.ok(&["writeback", "doctor", "--check-db"])?;
    let input = done["init"]["smoke_input_path"].as_str().context("smoke input")?;
    let read = place.ok(&["smoke", "call", "invoice.inspect_invoice", "--input", input])?;
    ensure!(read.stdout.contains("late_fee_cents = 900"), "{read}");
    ensure!(!read.stdout.contains("password_hash"), "{read}");
    apply(
        &place,
        "synapsor.runner.json",
        &json!({"invoice_id": "INV-1", "fee": 500, "note": "late mail"}),
    )?;
    ensure!(fee(&place)? == 500);
    let contract: Json = serde_json::from_slice(&std::fs::read(place.path("synapsor.runner.json"))?)?;
    for (name, file) in [
        ("cursor", "mcpServers"),
        ("vscode", "servers"),
        ("claude-desktop", "mcpServers"),
    ] {
        let path = place.path(&format!(".synapsor/mcp/{name}.json"));
        let snippet: Json = serde_json::from_slice(&std::fs::read(path)?)?;
        ensure!(
            snippet[file]["synapsor"]["command"].is_string(),
            "{name}: {snippet}"
        );
    }

    let up = place.json(&["runner", "up", "--dry-run", "--openai-tool-aliases"])?;
    ensure!(
        up["alias_mode"] == "openai" && up["result_format"] == json!(2),
        "{up}"
    );
    ensure!(
        up["alias_mappings"][0]["exposedName"] == "invoice__inspect_invoice",
        "{up}"
    );
    for flag in ["--open-ui", "--with-handler", "--handler-check"] {
        place
            .run(&["up", flag])?
            .expect_failure(2, "NOT_AVAILABLE", &[flag])?;
    }
    place
        .run(&["runner", "start"])?
        .expect_failure(2, "NOT_AVAILABLE", &["synapsor-runner up"])?;
    let start = ["runner", "start", "--engine", "sqlite", "--dry-run"];
    let dry = place.json(&[&start[..], FLAGS].concat())?;
    ensure!(dry["init"]["written"] == json!(false), "{dry}");

    // The receipt table is there now, and is not offered.
    let refused = place.run(&["init", "--from-env", "SYNAPSOR_DATABASE_READ_URL", "--force"])?;
    refused.expect_failure(2, "TABLE_REQUIRED", &["main.invoices"])?;
    ensure!(!refused.stderr.contains("synapsor_writeback"), "{refused}");

    let answers = json!({
        "engine": "sqlite", "schema": "main", "table": "invoices", "primary_key": "invoice_no",
        "tenant_column": "tenant_id", "visible_columns": "status,late_fee_cents,waive_note",
        "conflict_column": "row_version", "conflict_advance": "increment", "patch_bounds": "late_fee_cents=0:5000",
        "patch": "late_fee_cents=arg:fee,waive_note=arg:note", "read_url_env": "SYNAPSOR_DATABASE_READ_URL",
    });
    place.write("answers.json", &answers.to_string())?;
    place.ok(&[
        "init",
        "--answers",
        "answers.json",
        "--output",
        "answers.runner.json",
    ])?;
    apply(
        &place,
        "answers.runner.json",
        &json!({"invoice_id": "INV-1", "fee": 400, "note": "again"}),
    )?;
    ensure!(fee(&place)? == 400);

    let selection = json!({
        "$schema": "urn:synapsor:schema:onboarding-selection:v1", "version": 1, "engine": "sqlite", "schema": "main",
        "table": "invoices", "primary_key": "invoice_no", "tenant_key": "tenant_id", "namespace": "invoice",
        "visible_columns": ["status", "late_fee_cents", "waive_note"], "conflict_column": "row_version",
        "conflict_advance": "increment", "numeric_bounds": {"late_fee_cents": {"minimum": 0, "maximum": 5000}},
        "patch": {"late_fee_cents": {"from_arg": "fee"}, "waive_note": {"from_arg": "note"}},
    });
    place.write("selection.json", &selection.to_string())?;
    let spec = ["init", "--spec", "selection.json", "--output", "spec.runner.json"];
    place
        .run(&spec)?
        .expect_failure(2, "NON_INTERACTIVE_REQUIRED", &["--non-interactive"])?;
    place.ok(&[&spec[..], &["--non-interactive"]].concat())?;
    apply(
        &place,
        "spec.runner.json",
        &json!({"invoice_id": "INV-1", "fee": 300, "note": "once more"}),
    )?;
    ensure!(fee(&place)? == 300);
    same_shape(&contract, &place, "spec.runner.json")
}

/// Both contracts name the same columns and tools.
fn same_shape(contract: &Json, place: &CliFixture, other: &str) -> anyhow::Result<()> {
    let other: Json = serde_json::from_slice(&std::fs::read(place.path(other))?)?;
    for at in [0, 1] {
        for key in [
            "name",
            "target",
            "visible_columns",
            "patch",
            "numeric_bounds",
            "conflict_guard",
        ] {
            let (one, two) = (
                &contract["capabilities"][at][key],
                &other["capabilities"][at][key],
            );
            ensure!(one == two, "{key}: {one} and {two}");
        }
    }
    Ok(())
}

#[test]
fn starter_recipe_and_added_table_share_a_directory() -> anyhow::Result<()> {
    let mut place = application()?;
    place.ok(&["init", "--starter", "--engine", "sqlite"])?;
    place.ok(&["config", "validate"])?;
    let again = place.run(&["init", "--starter"])?;
    again.expect_failure(
        1,
        "FILE_EXISTS",
        &["synapsor.runner.json", ".synapsor/mcp/cursor.json", "--force"],
    )?;
    // The state directory is completed around the snippets.
    place.run(&["smoke", "call", "--sample"])?;
    place
        .run(&["smoke", "call", "order.inspect_order", "--sample"])?
        .expect(1)?;
    ensure!(place.path(".synapsor/synapsor.trust.json").exists());
    ensure!(place.path(".synapsor/mcp/cursor.json").exists());

    let listed = place.json(&["recipes", "list"])?;
    ensure!(listed["recipes"].as_array().map(Vec::len) == Some(5), "{listed}");
    place
        .run(&["recipes", "show", "none"])?
        .expect_failure(2, "RECIPE_UNKNOWN", &["late-fee-waiver"])?;
    let shown = place.json(&["recipes", "show", "late-fee-waiver"])?;
    place.write(
        "own.json",
        &shown.to_string().replacen("late-fee-waiver", "own-waiver", 1),
    )?;
    place.ok(&[
        "recipes",
        "init",
        "own.json",
        "--engine",
        "mysql",
        "--mode",
        "shadow",
        "--output",
        "own.runner.json",
    ])?;
    place.ok(&["config", "validate", "--config", "own.runner.json"])?;
    let map = ["--recipe", "late-fee-waiver", "--table", "main.invoices"];
    let recipe = [&["init", "--output", "waiver.runner.json"][..], &map].concat();
    place
        .run(&recipe)?
        .expect_failure(2, "RECIPE_COLUMN_MISSING", &["--map waiver_reason=COLUMN"])?;
    place.ok(&[&recipe[..], &["--map", "waiver_reason=waive_note"]].concat())?;

    let before = std::fs::read_to_string(place.path("waiver.runner.json"))?;
    let add = [
        "init",
        "--add",
        "--output",
        "waiver.runner.json",
        "--table",
        "part_05",
        "--single-tenant-dev",
    ];
    place
        .run(&[&add[..], &["--mode", "shadow", "--patch", "amount=arg:amount"]].concat())?
        .expect_failure(2, "OPTION_UNUSED", &["review"])?;
    place
        .run(&[
            "init",
            "--table",
            "main.invoices",
            "--schema",
            "b",
            "--output",
            "x.json",
        ])?
        .expect_failure(2, "SCHEMA_MISMATCH", &["main.invoices"])?;
    place
        .run(&[
            "init",
            "--table",
            "invoices",
            "--tenant-env",
            "lower",
            "--output",
            "x.json",
        ])?
        .expect_failure(2, "ENV_NAME_INVALID", &["--tenant-env"])?;
    let add = [
        "init",
        "--add",
        "--output",
        "waiver.runner.json",
        "--table",
        "invoices",
        "--object-name",
        "bill",
    ];
    let add = [
        &add[..],
        &["--tenant-column", "tenant_id", "--patch", "status=arg:status"],
    ]
    .concat();
    let dry = place.ok(&[&add[..], &["--dry-run"]].concat())?;
    ensure!(
        dry.stdout.contains("+      \"name\": \"bill.inspect_bill\""),
        "{dry}"
    );
    ensure!(std::fs::read_to_string(place.path("waiver.runner.json"))? == before);
    place.set(
        "WAIVER_URL",
        &format!("sqlite://{}", place.path("app.db").display()),
    );
    place.unset("SYNAPSOR_DATABASE_READ_URL");
    // The variable of the contract's only source is inspected.
    let before = before.replace("SYNAPSOR_DATABASE_READ_URL", "WAIVER_URL");
    let before = format!("\u{feff}{before}").replace('\n', "\r\n");
    place.write("waiver.runner.json", &before)?;
    place.ok(&add)?;
    let after = std::fs::read_to_string(place.path("waiver.runner.json"))?;
    let end = before.rfind("\r\n  ]\r\n}").context("the end of the list")?;
    ensure!(
        after.starts_with(&before[..end]) && after.ends_with(&before[end..]),
        "{after}"
    );
    place.ok(&["config", "validate", "--config", "waiver.runner.json"])?;
    place
        .run(&add)?
        .expect_failure(2, "DUPLICATE_CAPABILITY_NAME", &["bill.inspect_bill"])?;
    additions_at_the_same_time_add_up(&place)?;
    failed_run_leaves_nothing(&place)
}

/// Four commands add to one contract, behind a link that stays.
fn additions_at_the_same_time_add_up(place: &CliFixture) -> anyhow::Result<()> {
    std::os::unix::fs::symlink("waiver.runner.json", place.path("link.json"))?;
    let names = ["one", "two", "three", "four"];
    std::thread::scope(|scope| {
        let added = names.map(|name| {
            scope.spawn(move || {
                let table = ["init", "--add", "--output", "link.json", "--table", "invoices"];
                let patch = ["--tenant-column", "tenant_id", "--patch", "status=arg:status"];
                place.ok(&[&table[..], &patch, &["--object-name", name]].concat())
            })
        });
        added
            .into_iter()
            .try_for_each(|run| run.join().expect("a thread of the test").map(drop))
    })?;
    ensure!(place.path("link.json").is_symlink());
    let file = std::fs::read_to_string(place.path("waiver.runner.json"))?;
    for name in names {
        ensure!(file.contains(&format!("{name}.inspect_{name}")), "{name}: {file}");
    }
    Ok(())
}

/// The third file cannot be written, because a directory is in its place.
fn failed_run_leaves_nothing(place: &CliFixture) -> anyhow::Result<()> {
    place.ok(&["init", "--starter", "--engine", "sqlite", "--output", "half.json"])?;
    let snippet = place.path(".synapsor/contracts/half/mcp/vscode.json");
    std::fs::remove_file(&snippet)?;
    std::fs::create_dir(&snippet)?;
    std::fs::remove_file(place.path("half.json"))?;
    let forced = place.run(&["init", "--starter", "--output", "half.json", "--force"])?;
    ensure!(forced.stderr.contains("created are removed"), "{forced}");
    ensure!(!place.path("half.json").exists());
    Ok(())
}
