//! By the wizard on database servers, in a terminal of 60 columns.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_domain::contract::EngineKind;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Engine, Server};
use synapsor_e2e::dialogue::{DOWN, Dialogue, ENTER, ESCAPE, Ended, INTERRUPT, SPACE, check_screen};
use synapsor_e2e::transcript::Transcript;

use super::database::statements;
use crate::own_database::shell;

/// Directory and database with the application's tables; `None` without a server.
fn application(engine: Engine) -> anyhow::Result<Option<(CliFixture, Database)>> {
    let Some(server) = Server::of(engine)? else {
        return Ok(None);
    };
    let database = server.database()?;
    database.execute(&statements(engine.in_contract()))?;
    let mut place = CliFixture::empty()?;
    place.set("OWNER_URL", &database.owner_url());
    Ok(Some((place, database)))
}

/// Answers everything up to the columns that a proposal changes.
fn answer_table(terminal: &mut Dialogue) -> anyhow::Result<()> {
    terminal.answer("Database engine:", &[ENTER])?;
    terminal.answer("URL variable [", &["MISSING_URL", ENTER])?;
    terminal.answer("MISSING_URL is not set here", &[])?;
    terminal.answer("URL variable [", &["OWNER_URL", ENTER])?;
    terminal.answer("part of the name:", &["nvoices", ENTER])?;
    terminal.answer("Table:", &[ENTER])?;
    terminal.answer("Key columns [invoice_no]:", &[ENTER])?;
    terminal.answer("Tenant column:", &[ENTER])?;
    terminal.answer("Tenant variable [", &["APP_TENANT", ENTER])?;
    terminal.answer("Principal variable [", &[ENTER])?;
    terminal.answer("Mode:", &[DOWN, DOWN, ENTER])?;
    terminal.answer("Version column:", &[ENTER])?;
    terminal.answer("How it changes:", &[DOWN, ENTER])?;
    terminal.answer("Visible columns (space):", &[ENTER])?;
    Ok(())
}

/// Accepts the names, and answers with the variables of the application.
fn answer_names(terminal: &mut Dialogue) -> anyhow::Result<()> {
    for question in [
        "Name of one row [",
        "Namespace of the tools [",
        "Argument of the key [",
        "Read tool [",
    ] {
        terminal.answer(question, &[ENTER])?;
    }
    terminal.answer("Proposal tool [", &[ENTER])?;
    terminal.answer("Key of a real row", &["INV-1", ENTER])?;
    terminal.answer("Change the generated descriptions?", &["n"])?;
    terminal.answer("Form of the results:", &[ENTER])?;
    terminal.answer("Reader's URL variable [", &["APP_READ_URL", ENTER])?;
    terminal.answer("Writer's URL variable [", &["APP_WRITE_URL", ENTER])?;
    terminal.answer("Role that may approve [", &[ENTER])?;
    Ok(())
}

/// Confirms, and returns the command line that the wizard prints, and the screen.
fn write(mut terminal: Dialogue) -> anyhow::Result<(String, String)> {
    terminal.answer("Next:", &[ENTER])?;
    terminal.answer("Type yes:", &["yes", ENTER])?;
    terminal.wait_for("the same without questions:")?;
    let Ended { rest, code, screen } = terminal.end()?;
    ensure!(code == 0, "{rest}");
    ensure!(rest.contains("set the variables of .env.example"), "{rest}");
    let line = rest.lines().find(|line| line.contains("synapsor-runner init"));
    Ok((line.context("the command line")?.trim().to_owned(), screen))
}

fn contract(place: &CliFixture, name: &str) -> anyhow::Result<Json> {
    Ok(serde_json::from_slice(&std::fs::read(place.path(name))?)?)
}

/// Begins the page of a wizard.
fn page(
    name: &'static str,
    title: &str,
    (place, database): (&CliFixture, &Database),
    (arguments, screen): (&[&str], &str),
) -> Transcript {
    let introduction = "From a database of 40 tables to the first applied change, with the wizard in a terminal of 60 columns.";
    let mut page = Transcript::new(name, title, introduction);
    page.rename(place.folder().display().to_string(), "/home/ann/shop");
    page.rename(database.schema(), "shop");
    page.text("`OWNER_URL` is the URL of an account that can read the tables.");
    page.dialogue(arguments, screen);
    page
}

/// Prepares database and accounts as the contract needs them, and applies a first change.
fn apply(
    page: &mut Transcript,
    (place, database): (&mut CliFixture, &Database),
    (tool, input): (&str, &Json),
) -> anyhow::Result<()> {
    page.text(
        "An administrator runs what these two commands print, and the variables get the URLs of both roles.",
    );
    let migration = ["writeback", "migration"];
    page.command(place, &migration)?;
    database.execute(&place.ok(&migration)?.stdout)?;
    let (reader, read_url) = database.role("r")?;
    let (writer, write_url) = database.role("w")?;
    page.rename(&reader, "app_reader");
    page.rename(&writer, "app_writer");
    let grants = [
        "writeback",
        "grants",
        "--read-role",
        &reader,
        "--writer-role",
        &writer,
    ];
    page.command(place, &grants)?;
    database.execute(&place.ok(&grants)?.stdout)?;
    for (name, value) in [
        ("APP_READ_URL", read_url.as_str()),
        ("APP_WRITE_URL", &write_url),
        ("APP_TENANT", "nord"),
        ("SYNAPSOR_PRINCIPAL", "support-agent"),
    ] {
        place.set(name, value);
    }
    page.command(place, &["writeback", "doctor", "--check-db"])?;
    let input = input.to_string();
    place.write("change.json", &input)?;
    page.text("`change.json`:");
    page.block("json", &input);
    page.command(place, &["propose", tool, "--input", "change.json"])?;
    page.command(place, &["proposals", "show", "latest"])?;
    page.command(place, &["proposals", "approve", "latest", "--yes"])?;
    page.command(place, &["apply", "latest"])?;
    Ok(())
}

#[test]
fn wizard_on_postgres_reaches_an_applied_change() -> anyhow::Result<()> {
    let Some((mut place, database)) = application(Engine::Postgres)? else {
        return Ok(());
    };
    let arguments = ["init", "--schema", database.schema()];
    let mut terminal = Dialogue::start(&place, &arguments)?;
    answer_table(&mut terminal)?;
    terminal.answer("What a proposal changes:", &[ENTER])?;
    terminal.answer("Columns to change (space):", &[DOWN, SPACE, DOWN, SPACE, ENTER])?;
    terminal.answer("New value of late_fee_cents:", &[ENTER])?;
    terminal.answer("Argument [", &["fee", ENTER])?;
    terminal.answer("New value of waive_note:", &[ENTER])?;
    terminal.answer("Argument [", &[ENTER])?;
    terminal.answer("Limits of late_fee_cents", &["0:5000", ENTER])?;
    terminal.answer("States:", &[ENTER])?;
    answer_names(&mut terminal)?;
    let preview = terminal.answer("Next:", &[DOWN, DOWN, ENTER])?;
    check_screen(&preview)?;
    for shown in [
        "table     ",
        "invoice.propose_invoice_update",
        "Never exposed:",
        "row_version",
    ] {
        ensure!(preview.contains(shown), "{shown}: {preview}");
    }
    ensure!(!preview.contains("password_hash"), "{preview}");
    ensure!(!place.path("synapsor.runner.json").exists());
    terminal.answer("Read tool [", &["billing.look_at_invoice", ENTER])?;
    terminal.answer("Proposal tool [", &[ENTER])?;
    let (line, screen) = write(terminal)?;
    ensure!(
        contract(&place, "synapsor.runner.json")?["capabilities"][0]["name"] == "billing.look_at_invoice"
    );
    shell(
        &place,
        &format!("{line} --output again.runner.json >printed.txt"),
        &[],
    )?;
    ensure!(
        contract(&place, "again.runner.json")? == contract(&place, "synapsor.runner.json")?,
        "{line}"
    );
    let input = json!({"invoice_id": "INV-1", "fee": 500, "waive_note": "late mail"});
    let (title, shown) = (
        "Onboarding by the wizard on PostgreSQL",
        (&arguments[..], &*screen),
    );
    let mut page = page("wizard-postgres", title, (&place, &database), shown);
    let change = ("invoice.propose_invoice_update", &input);
    apply(&mut page, (&mut place, &database), change)?;
    let row = "SELECT concat(late_fee_cents, ' ', waive_note, ' ', row_version) FROM invoices WHERE invoice_no = 'INV-1'";
    ensure!(database.value(row)? == "500 late mail 2");
    page.finish()
}

#[test]
fn wizard_maps_a_recipe_on_mariadb() -> anyhow::Result<()> {
    let Some((mut place, database)) = application(Engine::Mariadb)? else {
        return Ok(());
    };
    ensure!(database.engine().in_contract() == EngineKind::Mysql);
    let arguments = ["init", "--wizard", "--schema", database.schema()];
    let mut terminal = Dialogue::start(&place, &arguments)?;
    answer_table(&mut terminal)?;
    terminal.answer("What a proposal changes:", &[DOWN, ENTER])?;
    // The fifth column of the table is the note.
    terminal.answer("Column for waiver_reason:", &[DOWN, DOWN, DOWN, DOWN, ENTER])?;
    answer_names(&mut terminal)?;
    let (line, screen) = write(terminal)?;
    ensure!(
        line.contains("--recipe late-fee-waiver --map waiver_reason=waive_note"),
        "{line}"
    );
    shell(
        &place,
        &format!("{line} --output again.runner.json >printed.txt"),
        &[],
    )?;
    ensure!(
        contract(&place, "again.runner.json")? == contract(&place, "synapsor.runner.json")?,
        "{line}"
    );
    let input = json!({"invoice_id": "INV-1", "reason": "late mail"});
    let (title, shown) = ("Onboarding by the wizard on MariaDB", (&arguments[..], &*screen));
    let mut page = page("wizard-mariadb", title, (&place, &database), shown);
    let change = ("billing.propose_late_fee_waiver", &input);
    apply(&mut page, (&mut place, &database), change)?;
    let row = "SELECT concat(late_fee_cents, ' ', waive_note) FROM invoices WHERE invoice_no = 'INV-1'";
    ensure!(database.value(row)? == "0 late mail");
    page.finish()
}

#[test]
fn ended_wizard_writes_nothing() -> anyhow::Result<()> {
    let mut place = CliFixture::empty()?;
    rusqlite::Connection::open(place.path("app.db"))?.execute_batch(&statements(EngineKind::Sqlite))?;
    place.set(
        "SYNAPSOR_DATABASE_READ_URL",
        &format!("sqlite://{}", place.path("app.db").display()),
    );
    let before = place.listing()?;
    for (keys, code) in [(ESCAPE, "NOT_CONFIRMED"), (INTERRUPT, "INTERRUPTED")] {
        let mut terminal = Dialogue::start(&place, &["init"])?;
        terminal.answer("Database engine:", &[keys])?;
        let Ended { rest, code: exit, .. } = terminal.end()?;
        ensure!(
            exit == 1 && rest.contains(code) && rest.contains("nothing was written"),
            "{exit}: {rest}"
        );
    }
    let mut terminal = Dialogue::start(&place, &["init"])?;
    terminal.answer("Database engine:", &[ENTER])?;
    terminal.answer("URL variable [", &[ENTER])?;
    terminal.answer("part of the name:", &[INTERRUPT])?;
    ensure!(terminal.end()?.code == 1);
    ensure!(place.listing()? == before);
    place
        .run(&["init", "--wizard"])?
        .expect_failure(2, "TERMINAL_REQUIRED", &["--answers FILE"])
}

#[test]
fn wizard_calls_the_read_tool_of_a_table_without_tenants() -> anyhow::Result<()> {
    let mut place = CliFixture::empty()?;
    rusqlite::Connection::open(place.path("app.db"))?.execute_batch(&statements(EngineKind::Sqlite))?;
    place.set("APP_URL", &format!("sqlite://{}", place.path("app.db").display()));
    place.set("SYNAPSOR_TENANT_ID", "nord");
    place.set("SYNAPSOR_PRINCIPAL", "support-agent");
    let flags = [
        "init",
        "--from-env",
        "APP_URL",
        "--object-name",
        "client",
        "--output",
        "clients.json",
    ];
    let mut terminal = Dialogue::start(&place, &flags)?;
    terminal.answer("Database engine:", &[DOWN, DOWN, DOWN, ENTER])?;
    terminal.answer("URL variable [APP_URL]:", &[ENTER])?;
    terminal.answer("part of the name:", &["tenants", ENTER])?;
    terminal.answer("Table:", &[ENTER])?;
    terminal.answer("Key columns [", &["nope", ENTER])?;
    terminal.answer("the table has no column nope", &[])?;
    terminal.answer("Key columns [id]:", &[ENTER])?;
    terminal.answer("Tenant column:", &[ENTER])?;
    terminal.answer("Type yes:", &["yes", ENTER])?;
    terminal.answer("Tenant variable [", &[ENTER])?;
    terminal.answer("Principal variable [", &[ENTER])?;
    terminal.answer("Mode:", &[ENTER])?;
    terminal.answer("Visible columns (space):", &[ENTER])?;
    for question in [
        "row [client]:",
        "Namespace of the tools [client]:",
        "key [client_id]:",
        "Read tool [",
    ] {
        terminal.answer(question, &[ENTER])?;
    }
    terminal.answer("Key of a real row", &["nord", ENTER])?;
    terminal.answer("Change the generated descriptions?", &["y"])?;
    terminal.answer("Read tool:", &["Reads one client.", ENTER])?;
    terminal.answer("Its result:", &[ENTER])?;
    terminal.answer("Form of the results:", &[ENTER])?;
    terminal.answer("Reader's URL variable [APP_URL]:", &[ENTER])?;
    terminal.answer("Reads one client.", &[])?;
    terminal.answer("Next:", &[ENTER])?;
    terminal.answer("Type yes:", &["yes", ENTER])?;
    terminal.answer("Call client.inspect_client now?", &["y"])?;
    let Ended { rest, code, .. } = terminal.end()?;
    ensure!(code == 0 && rest.contains("title = Nord"), "{code}: {rest}");
    ensure!(
        place
            .path(".synapsor/contracts/clients/smoke-input.json")
            .exists()
    );
    Ok(())
}
