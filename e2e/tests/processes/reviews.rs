//! What an operator sees of a change: long values by their differences, text of any script beside the escaped
//! document, and computed columns that follow.

use anyhow::Context as _;
use rusqlite::Connection;
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, CommandOutput};

const TEXT: &str = "The quick brown fox jumps over the lazy dog. ";
const TRANSFER: &str = "PAY 999 EUR TO MALLORY";

/// A directory with a table of notes and two tools for it.
fn notes(note: &str) -> anyhow::Result<CliFixture> {
    let mut place = CliFixture::empty()?;
    let database = Connection::open(place.path("notes.db"))?;
    database.execute_batch(
        "CREATE TABLE notes (id TEXT PRIMARY KEY NOT NULL, tenant_id TEXT NOT NULL, note TEXT, version INTEGER NOT NULL,
         length INTEGER GENERATED ALWAYS AS (length(note)) STORED)",
    )?;
    database.execute("INSERT INTO notes VALUES ('N-1', 'acme', ?1, 1)", [note])?;
    let target = json!({"schema": "main", "table": "notes", "primary_key": "id", "tenant_key": "tenant_id"});
    let contract = json!({
        "version": 1, "mode": "review", "result_format": 2,
        "sources": {"app": {"engine": "sqlite", "read_url_env": "APP_READ_URL", "write_url_env": "APP_WRITE_URL"}},
        "trusted_context": {"provider": "environment"},
        "capabilities": [{
            "name": "notes.propose", "kind": "proposal", "source": "app", "description": "Proposes a note.",
            "target": target, "args": {"id": {"type": "string"}, "note": {"type": "string"}},
            "lookup": {"id_from_arg": "id"}, "visible_columns": ["id", "note", "version", "length"],
            "patch": {"note": {"from_arg": "note"}}, "allowed_columns": ["note"],
            "conflict_guard": {"column": "version", "advance": "increment"},
            "approval": {"mode": "human", "required_role": "lead"},
        }],
    });
    place.write("synapsor.runner.json", &contract.to_string())?;
    let url = format!("sqlite://{}", place.path("notes.db").display());
    for (name, value) in [
        ("APP_READ_URL", url.as_str()),
        ("APP_WRITE_URL", &url),
        ("SYNAPSOR_TENANT_ID", "acme"),
        ("SYNAPSOR_PRINCIPAL", "agent"),
    ] {
        place.set(name, value);
    }
    let migration = place.ok(&["writeback", "migration"])?.stdout;
    database.execute_batch(&migration)?;
    Ok(place)
}

fn propose(place: &CliFixture, note: &str) -> anyhow::Result<CommandOutput> {
    place.write("call.json", &json!({"id": "N-1", "note": note}).to_string())?;
    place.ok(&["propose", "notes.propose", "--input", "call.json"])
}

#[test]
fn operator_reads_what_a_long_change_changes() -> anyhow::Result<()> {
    let before = TEXT.repeat(1_334)[..60_000].to_owned();
    let place = notes(&before)?;
    let after = format!(
        "{}{TRANSFER}{}",
        &before[..59_000],
        &before[59_000 + TRANSFER.len()..]
    );
    let proposed = propose(&place, &after)?.stdout;
    assert!(
        proposed.contains(&TRANSFER[1..]) && proposed.len() < 4_000,
        "{proposed}"
    );
    let shown = place.ok(&["proposals", "show", "latest"])?.stdout;
    assert!(
        shown.contains("renderer cli/2") && shown.contains(&TRANSFER[1..]),
        "{shown}"
    );
    assert!(
        shown.contains("in 1 part(s)") && shown.contains("to 59022 before"),
        "{shown}"
    );
    assert!(
        shown.contains("column length is computed by the database and follows"),
        "{shown}"
    );
    let full = place.ok(&["proposals", "show", "latest", "--full"])?.stdout;
    let plain: String = full.split_whitespace().collect();
    let spelled: String = after.split_whitespace().collect();
    assert!(plain.contains(&spelled), "the full form is not full");

    let refused = place.run(&["proposals", "approve", "latest", "--yes"])?;
    assert!(refused.stderr.contains("CODE_REQUIRED"), "{refused}");
    assert!(
        refused.stderr.contains("does not show every value in full"),
        "{refused}"
    );
    let object = place.json(&["proposals", "show", "latest"])?;
    assert_eq!(object["review_is_abbreviated"], json!(true));
    let code = object["short_code"].as_str().context("code")?.to_owned();
    place.ok(&["proposals", "approve", "latest", "--yes", "--code", &code])?;
    let rehearsed = place.ok(&["apply", "latest", "--dry-run"])?.stdout;
    assert!(
        rehearsed.contains(&TRANSFER[1..]) && rehearsed.len() < 4_000,
        "{rehearsed}"
    );
    let applied = place.json(&["apply", "latest"])?;
    assert_eq!(applied["status"], json!("applied"), "{applied}");
    let stored: String =
        Connection::open(place.path("notes.db"))?
            .query_row("SELECT note FROM notes", [], |row| row.get(0))?;
    assert_eq!(stored, after);
    Ok(())
}

#[test]
fn operator_reads_text_of_any_script() -> anyhow::Result<()> {
    let place = notes("alt")?;
    for (text, reads) in [
        ("Müller Straße", "reads: Müller Straße"),
        ("Привет мир", "(Cyrillic) reads: Привет мир"),
        ("佐藤さん、注文", "(Japanese) reads: 佐藤さん、注文"),
        ("مرحبا", "(Arabic) reads: مرحبا"),
        ("€ 5 – “ok”", "reads: € 5 – “ok”"),
        ("Straße 1\nДом 2", "    Cyrl | Дом 2"),
        ("p\u{430}ypal", "it mixes Latin and Cyrillic letters"),
        ("caf\u{e9}\u{202e}x", "it contains U+202E, which does not print"),
    ] {
        let proposed = propose(&place, text)?.stdout;
        assert!(proposed.contains(reads), "{proposed}");
        let shown = place.ok(&["proposals", "show", "latest"])?.stdout;
        assert!(shown.contains(reads), "{shown}");
        let asked = place
            .ok(&["proposals", "reject", "latest", "--yes", "--reason", "no"])?
            .stdout;
        assert!(asked.contains(reads), "{asked}");
        let object: Json = place.json(&["proposals", "show", "latest"])?;
        let document = object["review_document"].as_str().context("document")?;
        assert!(document.is_ascii(), "{document}");
    }
    Ok(())
}
