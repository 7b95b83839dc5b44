//! Commands of a new user, with a separate database and without `up`: every command starts the processes that it
//! needs and stops them again.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, CommandOutput, INVOICE, PERSON, PROPOSE, until};
use synapsor_e2e::deployment::dump;

/// After its last client a ledger continues for 5 s; every other process ends at once.
const ALONE: Duration = Duration::from_secs(10);

fn events(place: &CliFixture) -> anyhow::Result<Vec<Json>> {
    let ran = place.ok(&["events", "tail", "--json", "--details"])?;
    ran.stdout
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

#[test]
fn contract_and_tools_need_no_state_directory() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let before = place.listing()?;
    let valid = place.json(&["config", "validate"])?;
    assert_eq!(
        (&valid["ok"], &valid["errors"]),
        (&json!(true), &json!([])),
        "{valid}"
    );
    let shown = place.json(&["tools", "preview"])?;
    assert_eq!(shown["ok"], json!(true), "{shown}");
    let names: Vec<&str> = shown["exposed_to_mcp"]
        .as_array()
        .context("tools")?
        .iter()
        .filter_map(|t| t["name"].as_str())
        .collect();
    assert_eq!(names, ["billing.inspect_invoice", PROPOSE, "proposals.status"]);
    let text = place.ok(&["tools", "preview"])?.stdout;
    assert!(
        text.contains("Never exposed") && !text.contains("BILLING_"),
        "{text}"
    );
    assert!(
        text.contains("\n      {\n        \"$schema\""),
        "no readable schema: {text}"
    );
    assert_eq!(place.listing()?, before);
    Ok(())
}

#[test]
fn contract_text_is_printed_as_ascii() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let contract = std::fs::read_to_string(place.path("synapsor.runner.json"))?;
    place.write(
        "synapsor.runner.json",
        &contract.replace("Number of the invoice", "Number \u{202e}of \u{1d11e}"),
    )?;
    let ran = place.ok(&["tools", "preview"])?;
    assert!(ran.stdout.is_ascii(), "{ran}");
    assert!(ran.stdout.contains("Number \\u202eof \\ud834\\udd1e"), "{ran}");
    Ok(())
}

#[test]
fn cli_commands_change_one_row() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let (_, _, version) = place.invoice(INVOICE)?;
    let id = place.propose(INVOICE, "goodwill")?;
    assert_eq!(
        place.invoice(INVOICE)?,
        (5500, None, version),
        "a proposal changed the source"
    );

    let listed = place.json(&["proposals", "list"])?;
    assert_eq!(listed["proposals"][0]["proposal_id"], json!(id));
    assert_eq!(listed["proposals"][0]["state"], json!("pending_review"));
    let shown = place.json(&["proposals", "show", "latest"])?;
    assert_eq!(shown["proposal_id"], json!(id));

    let approved = place.json(&[
        "proposals",
        "approve",
        "latest",
        "--yes",
        "--reason",
        "d'accord, réservé",
    ])?;
    assert_eq!(
        (&approved["state"], &approved["person"]),
        (&json!("approved"), &json!(PERSON)),
        "{approved}"
    );
    let applied = place.json(&["apply", "latest"])?;
    assert_eq!(applied["status"], json!("applied"), "{applied}");
    let after = place.invoice(INVOICE)?;
    assert_eq!(after, (0, Some("goodwill".to_owned()), version + 1));
    let again = place.json(&["apply", "latest"])?;
    assert_eq!(again["status"], json!("already_applied"), "{again}");
    assert_eq!(place.invoice(INVOICE)?, after, "a retry wrote");
    records_show_the_applied_change(&place, &id)
}

fn records_show_the_applied_change(place: &CliFixture, id: &str) -> anyhow::Result<()> {
    let story = place.json(&["replay", "show", id])?;
    assert_eq!(story["replay"]["state"], json!("applied"), "{story}");
    let text = place.ok(&["replay", "show", "latest"])?.stdout;
    assert!(text.contains(id) && text.contains("goodwill"), "{text}");
    assert!(text.contains("reason: `d'accord, réservé`"), "{text}");
    place.ok(&["replay", "export", "latest", "--output", "replay.json"])?;
    place.ok(&[
        "replay",
        "export",
        "latest",
        "--format",
        "markdown",
        "--output",
        "replay.md",
    ])?;
    assert!(std::fs::read_to_string(place.path("replay.md"))?.contains(id));

    let receipts = place.json(&["receipts", "list"])?;
    let receipts = receipts["receipts"].as_array().context("receipts")?;
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    let evidence = place.json(&["evidence", "list"])?;
    let first = evidence["evidence"][0].clone();
    for list in ["evidence", "receipts"] {
        for reference in [id, &id[..12], "latest"] {
            let found = place.json(&[list, "list", "--proposal", reference])?;
            assert_eq!(
                found[list].as_array().map(Vec::len),
                Some(1),
                "{list} {reference}"
            );
        }
        place
            .run(&[list, "list", "--proposal", "wrp_0000000000"])?
            .expect_failure(1, "PROPOSAL_NOT_FOUND", &["proposals list"])?;
    }
    let evidence_id = first
        .pointer("/evidence/id")
        .or(first.get("evidence_id"))
        .and_then(Json::as_str);
    let shown = place
        .ok(&[
            "evidence",
            "show",
            evidence_id.with_context(|| first.to_string())?,
        ])?
        .stdout;
    assert!(shown.contains(id), "evidence that names no proposal: {shown}");

    let kinds: Vec<String> = events(place)?
        .iter()
        .filter_map(|e| e["kind"].as_str().map(str::to_owned))
        .collect();
    for kind in [
        "proposal_created",
        "proposal_approved",
        "apply_requested",
        "writeback_started",
        "writeback_applied",
    ] {
        assert!(kinds.iter().any(|k| k == kind), "no {kind} in {kinds:?}");
    }
    let verified = place.json(&["ledger", "verify"])?;
    assert_eq!(verified["verified"], json!(true), "{verified}");
    place.ok(&["ledger", "prove", id, "--output", "proof.json"])?;
    for bundle in ["replay.json", "proof.json"] {
        let genuine = place.json(&["bundle", "verify", bundle])?;
        assert_eq!(
            (&genuine["verified"], &genuine["state"]),
            (&json!(true), &json!("applied")),
            "{genuine}"
        );
    }
    Ok(())
}

#[test]
fn stale_row_is_a_conflict_without_a_write() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.approved(INVOICE, "goodwill")?;
    let database = rusqlite::Connection::open(place.path("billing.db"))?;
    database.execute(
        "UPDATE invoices SET customer_name = 'Renamed Ltd' WHERE id = ?1",
        [INVOICE],
    )?;
    let before = place.invoice(INVOICE)?;
    let ran = place.run(&["apply", "latest", "--json"])?;
    ran.expect(3)?;
    assert_eq!(ran.object()?["status"], json!("conflict"));
    assert_eq!(place.invoice(INVOICE)?, before);
    let again = place.run(&["apply", "latest"])?;
    again.expect(3)?;
    assert!(again.stdout.contains("nothing was written"), "{again}");
    Ok(())
}

#[test]
fn dry_run_changes_no_database_and_no_ledger() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.approved(INVOICE, "goodwill")?;
    // The writer creates the receipt table; it exists before the comparison.
    let before = (dump(&place.path("billing.db"))?, events(&place)?);
    let rehearsed = place.json(&["apply", "latest", "--dry-run"])?;
    assert_eq!(rehearsed["dry_run"], json!(true));
    assert!(
        rehearsed["result"]
            .as_str()
            .is_some_and(|r| r.starts_with("would_apply")),
        "{rehearsed}"
    );
    assert_eq!(dump(&place.path("billing.db"))?, before.0);
    assert_eq!(events(&place)?, before.1);
    assert_eq!(place.json(&["apply", "latest"])?["status"], json!("applied"));
    Ok(())
}

#[test]
fn rejected_proposal_is_never_applied() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.propose(INVOICE, "goodwill")?;
    let rejected = place.json(&[
        "proposals",
        "reject",
        "latest",
        "--reason",
        "wrong invoice",
        "--yes",
    ])?;
    assert_eq!(rejected["state"], json!("rejected"), "{rejected}");
    place
        .run(&["apply", &id])?
        .expect_failure(4, "PROPOSAL_NOT_APPROVED", &["rejected"])?;
    place.run(&["proposals", "approve", &id, "--yes"])?.expect(4)?;
    assert_ne!(
        place.propose(INVOICE, "goodwill")?,
        id,
        "it may be proposed again"
    );
    Ok(())
}

#[test]
fn prefix_short_code_and_latest_are_equivalent() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let first = place.propose(INVOICE, "goodwill")?;
    let shown = place.json(&["proposals", "show", &first])?;
    let code = shown["short_code"].as_str().context("a short code")?.to_owned();
    let second = place.propose("INV-3002", "goodwill")?;
    for name in [&first[..12], &code, &code.to_lowercase(), &code.replace('-', "")] {
        assert_eq!(
            place.json(&["proposals", "show", name])?["proposal_id"],
            json!(first),
            "{name}"
        );
    }
    assert_eq!(place.json(&["proposals", "show"])?["proposal_id"], json!(second));
    place
        .run(&["proposals", "show", "wrp_"])?
        .expect_failure(1, "AMBIGUOUS_PROPOSAL", &["`wrp_`"])?;
    place
        .run(&["proposals", "show", "wrp_0000000000"])?
        .expect_failure(1, "PROPOSAL_NOT_FOUND", &["wrp_0000000000"])?;
    place
        .run(&["evidence", "show", "ev_0000000000"])?
        .expect_failure(1, "EVIDENCE_NOT_FOUND", &["ev_0000000000"])?;
    Ok(())
}

/// Subcommands in a help text.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn command_help_has_example_and_exit_codes() -> anyhow::Result<()> {
    let place = CliFixture::empty()?;
    let (mut open, mut leaves) = (vec![Vec::<String>::new()], 0);
    while let Some(words) = open.pop() {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = place.ok(&arguments)?.stdout;
        let below = subcommands(&help);
        assert!(
            help.contains("Exit codes") || !below.is_empty(),
            "no exit codes:\n{help}"
        );
        if below.is_empty() {
            assert!(
                help.contains("Example") && help.contains("synapsor-runner "),
                "no example:\n{help}"
            );
            leaves += 1;
        }
        open.extend(
            below
                .into_iter()
                .map(|name| words.iter().cloned().chain([name]).collect()),
        );
    }
    assert!(leaves > 30, "only {leaves} commands were found");
    assert_eq!(place.listing()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn json_output_is_exactly_one_object() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved(INVOICE, "goodwill")?;
    place.write("read.json", &json!({ "invoice_id": INVOICE }).to_string())?;
    let commands: [&[&str]; 21] = [
        &["config", "validate"],
        &["tools", "list"],
        &["tools", "preview"],
        &["smoke", "call", "billing.inspect_invoice", "--input", "read.json"],
        &["proposals", "list"],
        &["proposals", "show", &id],
        &["apply", &id, "--dry-run"],
        &["apply", &id],
        &["replay", "show", &id],
        &["replay", "export", &id],
        &["receipts", "list"],
        &["receipts", "show", &id],
        &["evidence", "list"],
        &["ledger", "verify"],
        &["ledger", "prove", &id],
        &["operator", "list"],
        &["certs", "issue", "operator", "bob"],
        &["certs", "list"],
        &["writeback", "migration", "--engine", "sqlite"],
        &[
            "writeback",
            "grants",
            "--engine",
            "sqlite",
            "--writer-role",
            "app",
        ],
        &["up", "--dry-run"],
    ];
    for command in commands {
        place.json(command)?;
    }
    for event in events(&place)? {
        assert!(event.is_object());
    }
    Ok(())
}

#[test]
fn demo_prints_its_facts() -> anyhow::Result<()> {
    let place = CliFixture::empty()?;
    let facts = place.json(&["demo"])?;
    let expected = json!({
        "ok": true, "proposal_state": "applied", "source_changed_before_approval": false,
        "apply_status": "applied", "retry_status": "already_applied", "stale_status": "conflict",
        "ledger_verified": true,
    });
    for (name, value) in expected.as_object().context("an object")? {
        assert_eq!(&facts[name], value, "{name} in {facts}");
    }
    assert!(
        facts["proposal_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("wrp_"))
    );
    let processes = facts["processes"].as_array().context("processes")?;
    let names: Vec<&str> = processes.iter().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["gateway", "reader", "writer", "ledger"]);
    let environment = |name: &str| {
        processes
            .iter()
            .find(|p| p["name"] == name)
            .map(|p| p["environment"].clone())
    };
    assert_eq!(environment("gateway"), Some(json!([])));
    assert_eq!(
        environment("reader"),
        Some(json!(["BILLING_PRINCIPAL", "BILLING_READ_URL", "BILLING_TENANT"]))
    );
    assert_eq!(environment("writer"), Some(json!(["BILLING_WRITE_URL"])));
    assert_eq!(environment("ledger"), Some(json!([])));
    assert!(
        processes
            .iter()
            .all(|p| p["pid"].as_u64().is_some_and(|pid| pid > 1))
    );
    assert_eq!(
        place.listing()?,
        Vec::<String>::new(),
        "the demo created files in the working directory"
    );
    Ok(())
}

#[test]
fn demo_text_names_every_step_within_time_limit() -> anyhow::Result<()> {
    let place = CliFixture::empty()?;
    let begun = std::time::Instant::now();
    let options = [
        "--quick",
        "--details",
        "--no-interactive",
        "--force",
        "--reset",
        "--keep",
    ];
    let text = place.ok(&[&["demo"], &options[..]].concat())?.stdout;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for part in [
        "never exposed",
        "source changed",
        "approved by",
        "receipt",
        "already_applied",
        "conflict",
        "every record",
        "   | SYNAPSOR CHANGE REVIEW",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    place
        .run(&["demo", "--guided"])?
        .expect_failure(2, "CONFIRMATION_REQUIRED", &["--guided"])?;
    let kept = text.split("cd ").nth(1).and_then(|rest| rest.split(' ').next());
    let kept = kept.context("a kept directory")?;
    let inspected = place.json(&["demo", "inspect", kept])?;
    std::fs::remove_dir_all(kept)?;
    assert_eq!(inspected["dir"], json!(kept), "{inspected}");
    place
        .run(&["demo", "inspect"])?
        .expect_failure(1, "STATE_NOT_FOUND", &["demo --keep"])?;
    commands_without_a_deployment_answer(&place)
}

fn commands_without_a_deployment_answer(place: &CliFixture) -> anyhow::Result<()> {
    let measured = place.json(&["benchmark", "mcp-efficiency"])?;
    assert_eq!(measured, place.json(&["benchmark", "mcp-efficiency"])?);
    assert_eq!(measured["paths"][1]["scripted_calls"], json!(2), "{measured}");
    let disclaimer = measured["disclaimer"].as_str().context("a disclaimer")?;
    assert!(disclaimer.contains("no promise of savings"), "{disclaimer}");
    std::fs::create_dir(place.path("man1"))?;
    place.ok(&["man", "--output", "man1"])?;
    let page = std::fs::read_to_string(place.path("man1/synapsor-runner-proposals-approve.1"))?;
    assert!(
        page.contains(".TH synapsor") && page.contains("Exit codes"),
        "{page}"
    );
    Ok(())
}

#[test]
fn up_dry_run_checks_and_creates_nothing() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let before = place.listing()?;
    let checked = place.json(&["up", "--dry-run"])?;
    assert_eq!(
        (&checked["ok"], &checked["dry_run"], &checked["state_dir_new"]),
        (&json!(true), &json!(true), &json!(true))
    );
    place.unset("BILLING_WRITE_URL");
    let ran = place.run(&["up", "--dry-run"])?;
    ran.expect(1)?;
    assert!(ran.stdout.contains("missing   BILLING_WRITE_URL"), "{ran}");
    assert_eq!(place.listing()?, before);
    assert_eq!(place.processes()?, []);
    Ok(())
}

#[test]
fn concurrent_first_commands_share_one_deployment() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let call = |invoice: &str| json!({ "invoice_id": invoice, "reason": "goodwill" }).to_string();
    place.write("a.json", &call("INV-3001"))?;
    place.write("b.json", &call("INV-3002"))?;
    let start = |input| place.start(&["propose", PROPOSE, "--json", "--input", input]);
    let (a, b) = (start("a.json")?, start("b.json")?);
    for running in [a, b] {
        let ran: CommandOutput = running.end(Duration::from_secs(60))?;
        ran.expect(0)?;
    }
    let listed = place.json(&["proposals", "list"])?;
    assert_eq!(listed["proposals"].as_array().map(Vec::len), Some(2), "{listed}");
    let ledgers = place
        .processes()?
        .into_iter()
        .filter(|(_, line)| line.contains("synapsor-ledger"))
        .count();
    assert!(ledgers <= 1, "{ledgers} ledgers on one store");
    let half_made: Vec<String> = place
        .listing()?
        .into_iter()
        .filter(|p| p.contains(".new-") || p.contains(".old-"))
        .collect();
    assert_eq!(half_made, Vec::<String>::new());
    assert_eq!(place.json(&["ledger", "verify"])?["verified"], json!(true));
    Ok(())
}

#[test]
fn commands_leave_no_process_running() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.approved(INVOICE, "goodwill")?;
    place.ok(&["apply", "latest"])?;
    place.wait_until_alone(ALONE)
}

#[test]
fn killed_supervisor_leaves_no_process() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let mut command = place.command(&["mcp", "serve"])?;
    // The client's end of stdin stays open: only the supervisor's exit can end the others.
    let mut supervisor = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let runs = |binary: &str| anyhow::Ok(place.processes()?.iter().any(|(_, line)| line.contains(binary)));
    until(Duration::from_secs(20), || {
        Ok(runs("synapsor-ledger")? && runs("synapsor-executor")? && runs("synapsor-gateway")?)
    })?;
    supervisor.kill()?;
    supervisor.wait()?;
    place.wait_until_alone(ALONE)
}
