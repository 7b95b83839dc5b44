//! What an agent sees of rows and proposals: cuts, limits, absent arguments, and changes that change nothing.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE};

const READ: &str = "billing.inspect_invoice";
const PROPOSE: &str = "billing.propose_late_fee_waiver";
/// Names a row; longer than the cut of the contract.
const NAME: &str = "Grüße an Ines Falk";

/// A deployment whose contract has these changes.
fn place(change: impl Fn(&mut Json)) -> anyhow::Result<CliFixture> {
    let place = CliFixture::new()?;
    let file = std::fs::read_to_string(place.path("synapsor.runner.json"))?;
    let mut contract: Json = serde_json::from_str(&file)?;
    change(&mut contract);
    place.write("synapsor.runner.json", &contract.to_string())?;
    place.ok(&["config", "validate"])?;
    Ok(place)
}

/// Calls a tool; returns the result envelope.
fn call(place: &CliFixture, tool: &str, arguments: &Json) -> anyhow::Result<Json> {
    place.write("call.json", &arguments.to_string())?;
    let ran = place.run(&["smoke", "call", tool, "--input", "call.json", "--json"])?;
    let printed = ran.object()?;
    Ok(printed["result"].clone())
}

fn set_name(place: &CliFixture, name: &str) -> anyhow::Result<()> {
    let sql = format!("UPDATE invoices SET customer_name = '{name}' WHERE id = '{INVOICE}'");
    place.target.execute(&sql)?;
    Ok(())
}

#[test]
fn reviewed_cut_shortens_results_and_keeps_evidence_whole() -> anyhow::Result<()> {
    let place = place(|contract| {
        for at in [0, 1] {
            contract["capabilities"][at]["max_chars"] = json!({"customer_name": 4, "waiver_reason": 6});
        }
    })?;
    set_name(&place, NAME)?;
    let read = call(&place, READ, &json!({ "invoice_id": INVOICE }))?;
    assert_eq!(read["data"]["customer_name"], json!("Grüß"), "{read}");
    assert_eq!(
        read["truncated"],
        json!({ "customer_name": NAME.chars().count() }),
        "{read}"
    );
    let evidence = read["evidence"]["bundle_id"].as_str().context("evidence")?;
    let stored = place.json(&["evidence", "show", evidence])?.to_string();
    ensure!(stored.contains(NAME), "{stored}");

    let reason = "a first late payment";
    let proposed = call(&place, PROPOSE, &json!({"invoice_id": INVOICE, "reason": reason}))?;
    assert_eq!(
        proposed["proposal"]["diff"]["waiver_reason"]["proposed"],
        json!("a firs"),
        "{proposed}"
    );
    assert_eq!(
        proposed["truncated"],
        json!({ "waiver_reason": reason.len() }),
        "{proposed}"
    );
    let id = proposed["proposal"]["id"].as_str().context("proposal")?;
    place.ok(&["proposals", "approve", id, "--apply", "--yes"])?;
    assert_eq!(place.invoice(INVOICE)?.1.as_deref(), Some(reason));
    Ok(())
}

#[test]
fn row_over_the_limit_names_limit_and_visible_column() -> anyhow::Result<()> {
    let place = place(|_| ())?;
    for (column, is_named) in [("customer_name", true), ("internal_note", false)] {
        let sql = format!("UPDATE invoices SET {column} = hex(zeroblob(40000)) WHERE id = '{INVOICE}'");
        place.target.execute(&sql)?;
        let refused = call(&place, READ, &json!({ "invoice_id": INVOICE }))?;
        if !is_named {
            ensure!(refused["ok"] == json!(true), "{column} is not read: {refused}");
            continue;
        }
        assert_eq!(refused["error"]["code"], json!("ROW_TOO_LARGE"), "{refused}");
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        ensure!(message.contains("65536 bytes"), "{message}");
        ensure!(
            message.contains("`customer_name`") && message.contains("qa_"),
            "{message}"
        );
        set_name(&place, NAME)?;
    }
    Ok(())
}

/// The columns of one capability decide what an argument that is left out means.
#[test]
fn absent_argument_keeps_the_column_and_no_change_is_refused() -> anyhow::Result<()> {
    let place = place(|contract| {
        let propose = &mut contract["capabilities"][1];
        propose["args"]["reason"]["required"] = json!(false);
        propose["args"]["name"] = json!({"type": "string", "required": false});
        propose["patch"] = json!({
            "customer_name": {"from_arg": "name", "when_absent": "keep"},
            "waiver_reason": {"from_arg": "reason", "when_absent": "keep"},
        });
        propose["allowed_columns"] = json!(["customer_name", "waiver_reason"]);
    })?;
    set_name(&place, NAME)?;
    let nothing = call(&place, PROPOSE, &json!({"invoice_id": INVOICE, "reason": null}))?;
    assert_eq!(nothing["error"]["code"], json!("POLICY_VIOLATION"), "{nothing}");
    ensure!(
        nothing["error"]["message"]
            .to_string()
            .contains("pass at least one of `name`, `reason`")
    );

    let proposed = call(
        &place,
        PROPOSE,
        &json!({"invoice_id": INVOICE, "reason": "late", "name": null}),
    )?;
    let diff = proposed["proposal"]["diff"].as_object().context("diff")?;
    assert_eq!(diff.keys().collect::<Vec<_>>(), ["waiver_reason"], "{proposed}");
    let id = proposed["proposal"]["id"].as_str().context("proposal")?;
    place.ok(&["proposals", "approve", id, "--apply", "--yes"])?;
    let row = call(&place, READ, &json!({ "invoice_id": INVOICE }))?;
    assert_eq!(row["data"]["customer_name"], json!(NAME), "kept: {row}");
    assert_eq!(row["data"]["waiver_reason"], json!("late"), "{row}");

    for arguments in [
        json!({"invoice_id": INVOICE, "reason": "late"}),
        json!({"invoice_id": INVOICE, "name": NAME}),
        json!({"invoice_id": INVOICE, "reason": "late", "name": NAME}),
    ] {
        let again = call(&place, PROPOSE, &arguments)?;
        assert_eq!(again["error"]["code"], json!("POLICY_VIOLATION"), "{again}");
        let message = again["error"]["message"].as_str().unwrap_or_default();
        ensure!(
            message.starts_with("Nothing to change: the row has these values already."),
            "{message}"
        );
    }
    let listed = place.json(&["proposals", "list"])?;
    ensure!(
        listed["proposals"].as_array().is_some_and(|all| all.len() == 1),
        "{listed}"
    );
    Ok(())
}
