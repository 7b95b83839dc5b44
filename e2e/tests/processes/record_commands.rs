//! Commands that find and export records: audit records, evidence, replays, receipts, activity.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE, PROPOSE, Running};
use synapsor_e2e::json_schema;

const INSPECT: &str = "billing.inspect_invoice";
const OTHER: &str = "INV-3002";
const WAIT: Duration = Duration::from_secs(30);

/// A read of each invoice, a refused call, and an applied proposal.
fn recorded() -> anyhow::Result<(CliFixture, String)> {
    let place = CliFixture::new()?;
    for invoice in [INVOICE, OTHER] {
        place.write("call.json", &json!({ "invoice_id": invoice }).to_string())?;
        place.ok(&["smoke", "call", INSPECT, "--input", "call.json"])?;
    }
    place.write("call.json", &json!({ "invoice_id": "none" }).to_string())?;
    place
        .run(&["smoke", "call", INSPECT, "--input", "call.json"])?
        .expect(1)?;
    let id = place.approved(INVOICE, "goodwill")?;
    place.ok(&["apply", &id])?;
    Ok((place, id))
}

fn rows<'a>(object: &'a Json, name: &str) -> anyhow::Result<&'a Vec<Json>> {
    object[name]
        .as_array()
        .with_context(|| format!("{name}: {object}"))
}

fn text<'a>(object: &'a Json, name: &str) -> anyhow::Result<&'a str> {
    object[name].as_str().with_context(|| format!("{name}: {object}"))
}

/// Number of rows of a list with these filters.
fn count(place: &CliFixture, command: &[&str], name: &str, filters: &[&str]) -> anyhow::Result<usize> {
    let object = place.json(&[command, filters].concat())?;
    Ok(rows(&object, name)?.len())
}

#[test]
fn audit_records_are_found_by_every_filter() -> anyhow::Result<()> {
    let (place, id) = recorded()?;
    let list = ["query-audit", "list"];
    let all = place.json(&list)?;
    let found = rows(&all, "query_audit")?;
    assert_eq!(found.len(), 4, "{all}");
    let proposed = &found[0];
    assert_eq!(text(proposed, "proposal_id")?, id);
    assert_eq!(text(&found[1], "result")?, "ROW_NOT_FOUND");
    let read = found
        .iter()
        .find(|row| row["object_id"] == json!(OTHER))
        .context("a read")?;
    assert_eq!(text(read, "table_name")?, "main.invoices");
    let (evidence, fingerprint) = (
        text(read, "evidence_bundle_id")?,
        text(read, "query_fingerprint")?,
    );
    for (filters, expected) in [
        (vec!["--tenant", "acme"], 4),
        (vec!["--tenant", "globex"], 0),
        (vec!["--capability", INSPECT], 3),
        (vec!["--capability", INSPECT, "--result", "row"], 2),
        (vec!["--result", "ROW_NOT_FOUND"], 1),
        (vec!["--object", &format!("invoice:{OTHER}")], 1),
        (vec!["--object-id", OTHER], 1),
        (vec!["--object-type", "customer"], 0),
        (vec!["--primary-key", "none"], 1),
        (vec!["--source", "billing_db", "--table", "main.invoices"], 4),
        (vec!["--table", "invoices"], 4),
        (vec!["--table", "bills"], 0),
        (vec!["--proposal", &id], 1),
        (vec!["--evidence", evidence], 1),
        (
            vec!["--query-fingerprint", fingerprint, "--object-id", INVOICE],
            1,
        ),
        (vec!["--from", "2h"], 4),
        (vec!["--to", "yesterday"], 0),
        (vec!["--from", "2h", "--to", "1h"], 0),
        (vec!["--limit", "3"], 3),
    ] {
        let found = count(&place, &list, "query_audit", &filters)?;
        ensure!(found == expected, "{filters:?}: {found}");
    }
    for row in found {
        matches_schema(row, include_str!("../../../schemas/query-audit.v1.json"))?;
    }
    let printed = place.ok(&list)?.stdout;
    assert!(
        printed.contains("main.invoices none") && printed.contains("ROW_NOT_FOUND"),
        "{printed}"
    );
    let ran = place.run(&["query-audit", "list", "--from", "next week"])?;
    ensure!(ran.exit == Some(2) && ran.stderr.contains("yesterday"), "{ran}");
    Ok(())
}

#[test]
fn one_audit_record_is_proven_and_exported() -> anyhow::Result<()> {
    let (place, _) = recorded()?;
    let all = place.json(&["query-audit", "list"])?;
    let first = &rows(&all, "query_audit")?[1];
    let (id, seq) = (text(first, "audit_id")?, first["seq"].to_string());
    for reference in [id, &id[..24], &seq] {
        let shown = place.json(&["query-audit", "show", reference])?;
        assert_eq!(shown, *first, "{reference}");
    }
    let printed = place.ok(&["query-audit", "show", id])?.stdout;
    assert!(printed.contains("result          ROW_NOT_FOUND"), "{printed}");
    place.ok(&["query-audit", "export", id, "--output", "record.json"])?;
    let file: Json = serde_json::from_slice(&std::fs::read(place.path("record.json"))?)?;
    assert_eq!(file, *first);
    for (reference, code) in [
        ("qa_", "AMBIGUOUS_AUDIT_RECORD"),
        ("qa_ffffffffffffffffffff", "AUDIT_RECORD_NOT_FOUND"),
        ("0", "AUDIT_RECORD_NOT_FOUND"),
        ("99999999999999999999", "AUDIT_RECORD_NOT_FOUND"),
        ("x y", "AUDIT_RECORD_NOT_FOUND"),
    ] {
        let ran = place.run(&["query-audit", "show", reference])?;
        let is_missing = ran.stderr.contains(code) || ran.stderr.contains("AUDIT_RECORD_NOT_FOUND");
        ensure!(ran.exit == Some(1) && is_missing, "{reference}: {ran}");
    }
    Ok(())
}

#[test]
fn evidence_is_filtered_and_exported() -> anyhow::Result<()> {
    let (place, id) = recorded()?;
    let list = ["evidence", "list"];
    for (filters, expected) in [
        (vec!["--object", &format!("invoices:{OTHER}")], 1),
        (vec!["--object-id", INVOICE], 2),
        (vec!["--principal", "absent"], 0),
        (vec!["--from", "today", "--tenant", "acme"], 3),
        (vec!["--to", "1d"], 0),
        (vec!["--proposal", &id], 1),
        (vec!["--proposal", &id, "--object-id", OTHER], 0),
    ] {
        let found = count(&place, &list, "evidence", &filters)?;
        ensure!(found == expected, "{filters:?}: {found}");
    }
    let all = place.json(&["evidence", "list", "--proposal", &id])?;
    let evidence = text(&rows(&all, "evidence")?[0], "evidence_id")?.to_owned();
    place.ok(&["evidence", "export", &evidence, "--output", "evidence.json"])?;
    let bundle: Json = serde_json::from_slice(&std::fs::read(place.path("evidence.json"))?)?;
    assert_eq!(text(&bundle, "evidence_bundle_id")?, evidence);
    assert_eq!(text(&bundle, "proposal_id")?, id);
    assert_eq!(bundle["items"][0]["item"]["visible_row"]["id"], json!(INVOICE));
    assert_eq!(rows(&bundle, "query_audit")?.len(), 1, "{bundle}");
    place.ok(&[
        "evidence",
        "export",
        &evidence,
        "--format",
        "markdown",
        "--output",
        "evidence.md",
    ])?;
    let page = std::fs::read_to_string(place.path("evidence.md"))?;
    assert!(
        page.contains(&evidence) && page.contains("| late_fee_cents |"),
        "{page}"
    );
    Ok(())
}

#[test]
fn replays_are_listed_and_named_in_every_way() -> anyhow::Result<()> {
    let (place, id) = recorded()?;
    place.propose(OTHER, "open")?;
    let list = ["replay", "list"];
    let all = place.json(&list)?;
    let replays = rows(&all, "replays")?;
    assert_eq!(replays.len(), 2);
    assert_eq!(text(&replays[1], "replay_id")?, format!("replay_{id}"));
    assert_eq!(text(&replays[1], "state")?, "applied");
    let shown = place.json(&["evidence", "list", "--proposal", &id])?;
    let evidence = text(&rows(&shown, "evidence")?[0], "evidence_id")?.to_owned();
    for (filters, expected) in [
        (vec!["--state", "applied"], 1),
        (vec!["--object-id", OTHER], 1),
        (vec!["--receipt", &id], 1),
        (vec!["--evidence", &evidence], 1),
        (vec!["--tenant", "globex"], 0),
        (vec!["--from", "1h"], 2),
    ] {
        let found = count(&place, &list, "replays", &filters)?;
        ensure!(found == expected, "{filters:?}: {found}");
    }
    let whole = place.ok(&["replay", "show", &id])?.stdout;
    for words in [
        vec!["replay", id.as_str()],
        vec!["replay", "show", "--evidence", &evidence],
        vec!["replay", "show", "--replay", &format!("replay_{id}")],
    ] {
        assert_eq!(place.ok(&words)?.stdout, whole, "{words:?}");
    }
    place.ok(&["replay", "latest"])?;
    let record = place.json(&["replay", "show", &id])?;
    matches_schema(&record, include_str!("../../../schemas/replay.v1.json"))?;
    assert_eq!(record["proposal"]["state"], json!("applied"), "{record}");
    assert_eq!(record["evidence"][0]["evidence_bundle_id"], json!(evidence));
    let settled = rows(&record, "events")?
        .iter()
        .find(|event| event["kind"] == "writeback_applied");
    let payload = &settled.context("the end")?["payload"];
    assert_eq!(
        payload["writeback_job_id"],
        json!(format!("wbj_{id}")),
        "{payload}"
    );
    let plain = place.json(&["evidence", "list", "--object-id", OTHER])?;
    let plain = rows(&plain, "evidence")?.last().context("a plain read")?;
    let read_only = text(plain, "evidence_id")?;
    place
        .run(&["replay", "show", "--evidence", read_only])?
        .expect_failure(1, "PROPOSAL_NOT_FOUND", &["cites"])?;
    Ok(())
}

#[test]
fn receipts_are_found_by_the_names_of_earlier_versions() -> anyhow::Result<()> {
    let (place, id) = recorded()?;
    let list = ["receipts", "list"];
    for (filters, expected) in [
        (vec!["--writeback-job", &format!("wbj_{id}")], 1),
        (vec!["--idempotency-key", &format!("{id}:{INVOICE}")], 1),
        (vec!["--from", "1h"], 1),
        (vec!["--to", "1h"], 0),
        (vec!["--status", "canceled"], 0),
    ] {
        let found = count(&place, &list, "receipts", &filters)?;
        ensure!(found == expected, "{filters:?}: {found}");
    }
    Ok(())
}

/// Events of a tail with these filters, one JSON object for each line.
fn tailed(place: &CliFixture, filters: &[&str]) -> anyhow::Result<Vec<Json>> {
    let printed = place
        .ok(&[&["events", "tail", "--json"], filters].concat())?
        .stdout;
    let lines = printed.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

fn events_are_tailed_by_actor_position_and_time(place: &CliFixture, id: &str) -> anyhow::Result<()> {
    let all = tailed(place, &[])?;
    let of_proposal = tailed(place, &["--proposal", id])?;
    let decided = of_proposal
        .iter()
        .find(|event| event["kind"] == "proposal_approved")
        .context("an approval")?;
    let (actor, seq) = (text(decided, "actor")?, decided["seq"].to_string());
    let resume = decided["resume_from"].to_string();
    let position = decided["seq"].as_u64().and_then(|seq| usize::try_from(seq).ok());
    let position = position.context("a position")?;
    for (filters, expected) in [
        (vec!["--actor", actor, "--kind", "proposal_approved"], 1),
        (vec!["--actor", "absent"], 0),
        (vec!["--to", &seq], position),
        (vec!["--from", &resume], all.len() - position - 1),
        (vec!["--from", &seq, "--to", &resume], 1),
        (vec!["--from", "1h", "--limit", "2", "--interval-ms", "250"], 2),
        (vec!["--from", "1h"], all.len()),
        (vec!["--to", "1h"], 0),
        (vec!["--to", "0"], 0),
    ] {
        let found = tailed(place, &filters)?.len();
        ensure!(found == expected, "{filters:?}: {found} of {}", all.len());
    }
    for refused in [["--interval-ms", "249"], ["--from", "next week"]] {
        place
            .run(&[&["events", "tail"], &refused[..]].concat())?
            .expect(2)?;
    }
    Ok(())
}

#[test]
fn activity_joins_what_belongs_to_a_proposal() -> anyhow::Result<()> {
    let (place, id) = recorded()?;
    events_are_tailed_by_actor_position_and_time(&place, &id)?;
    let search = ["activity", "search"];
    let all = place.json(&search)?;
    matches_schema(&all, include_str!("../../../schemas/activity.v1.json"))?;
    let kinds: Vec<&str> = rows(&all, "interactions")?
        .iter()
        .map(|row| text(row, "kind"))
        .collect::<Result<_, _>>()?;
    assert_eq!(kinds, ["proposal", "refused", "read", "read"], "{all}");
    for (filters, expected) in [
        (vec!["--object", &format!("invoice:{INVOICE}")], 2),
        (vec!["--state", "applied"], 1),
        (vec!["--state", "rejected"], 0),
        (vec!["--capability", PROPOSE], 1),
        (vec!["--proposal", &id], 1),
        (vec!["--tenant", "globex"], 0),
        (vec!["--limit", "2"], 2),
        (vec!["--from", "1h", "--table", "invoices"], 4),
    ] {
        let found = count(&place, &search, "interactions", &filters)?;
        ensure!(found == expected, "{filters:?}: {found}");
    }
    Ok(())
}

/// An agent reports the id that it was shown; the operator finds the call with it.
#[test]
fn correlation_id_of_a_refused_call_finds_it() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.write("call.json", &json!({ "invoice_id": "none" }).to_string())?;
    let ran = place.run(&["smoke", "call", INSPECT, "--input", "call.json", "--json"])?;
    let id = ran.object()?["cause"]["correlation_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let found = place.json(&["activity", "search", &id])?;
    let found = rows(&found, "interactions")?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (text(&found[0], "kind")?, text(&found[0], "status")?),
        ("refused", "ROW_NOT_FOUND")
    );
    assert_eq!(text(&found[0], "audit_record")?, id);
    let ran = place.run(&["activity", "search", "qa_ffffffffffffffffffff"])?;
    ensure!(
        ran.exit == Some(1)
            && ran.stderr.contains("error[AUDIT_RECORD_NOT_FOUND]")
            && ran.stderr.contains("query-audit list"),
        "{ran}"
    );
    Ok(())
}

#[test]
fn lists_follow_under_a_running_stack() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let mut up: Running = place.start(&["up"])?;
    up.until_printed(WAIT, |out| out.contains("Ctrl-C"))?;
    place.write("call.json", &json!({ "invoice_id": INVOICE }).to_string())?;
    for expected in 1..4 {
        place.ok(&["smoke", "call", INSPECT, "--input", "call.json"])?;
        let found = count(
            &place,
            &["query-audit", "list"],
            "query_audit",
            &["--object-id", INVOICE],
        )?;
        assert_eq!(found, expected);
    }
    Ok(())
}

fn matches_schema(value: &Json, schema: &str) -> anyhow::Result<()> {
    json_schema::check(value, &serde_json::from_str(schema)?)
}

/// Programs that read the records of 0.1.x find its keys.
#[test]
fn proposal_is_shown_with_the_keys_of_earlier_versions() -> anyhow::Result<()> {
    let (place, id) = recorded()?;
    let shown = place.json(&["proposals", "show", &id])?;
    let stored = &shown["proposal"];
    assert_eq!(stored["state"], json!("applied"), "{shown}");
    assert_eq!(stored["source_database_mutated"], json!(true), "{shown}");
    let change_set = &stored["change_set"];
    let schema: Json = serde_json::from_str(include_str!("../../../schemas/change-set.v1.json"))?;
    let required = schema["required"].as_array().context("required keys")?;
    for key in required.iter().filter_map(Json::as_str) {
        ensure!(!change_set[key].is_null(), "{key}: {change_set}");
    }
    assert_eq!(change_set["after"]["late_fee_cents"], json!(0), "{change_set}");
    let kinds: Vec<&str> = rows(&shown, "events")?
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    for kind in ["proposal_created", "proposal_approved"] {
        ensure!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let evidence = &rows(&shown, "evidence")?[0];
    assert_eq!(evidence["object_id"], json!(INVOICE), "{evidence}");
    let receipt = &rows(&shown, "receipts")?[0];
    assert_eq!(receipt["status"], json!("applied"), "{receipt}");
    assert_eq!(receipt["rows_affected"], json!(1), "{receipt}");
    assert_eq!(
        receipt["schema_version"],
        json!("synapsor.execution-receipt.v1"),
        "{receipt}"
    );
    assert_eq!(shown["events_next_seq"], Json::Null, "{shown}");
    matches_schema(stored, include_str!("../../../schemas/proposal.v1.json"))?;
    matches_schema(
        receipt,
        include_str!("../../../schemas/execution-receipt.v1.json"),
    )?;
    matches_schema(evidence, include_str!("../../../schemas/evidence-bundle.v1.json"))?;
    let again = place.json(&["apply", &id])?;
    for (name, expected) in [
        ("protocol_version", json!("1.0")),
        ("job_id", json!(format!("wbj_{id}"))),
        ("status", json!("already_applied")),
        ("affected_rows", json!(1)),
        ("runner_id", receipt["runner_id"].clone()),
        ("result_hash", receipt["receipt_hash"].clone()),
        ("completed_at", receipt["executed_at"].clone()),
    ] {
        assert_eq!(again[name], expected, "{name}: {again}");
    }
    let listed = place.json(&["proposals", "list"])?;
    assert_eq!(
        rows(&listed, "proposals")?[0]["change_set"],
        *change_set,
        "{listed}"
    );
    Ok(())
}
