//! Commands of operators under everyday conditions: files with byte order marks, many forgotten proposals, causes of
//! rejected calls, several operators at once, and the first commands after `init`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rusqlite::Connection;
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE, PERSON, PROPOSE};
use synapsor_e2e::databases::Server;
use synapsor_e2e::deployment::CONTRACT;

const INSPECT: &str = "billing.inspect_invoice";
const MARK: &str = "\u{feff}";
const WAIT: Duration = Duration::from_secs(120);

fn utf16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

fn write_private(place: &CliFixture, name: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let path = place.path(name);
    std::fs::write(&path, bytes)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

#[test]
fn byte_order_marks_are_skipped_in_every_file() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    place.write("synapsor.runner.json", &format!("{MARK}{CONTRACT}"))?;
    place.ok(&["config", "validate"])?;
    place.write("call.json", &format!("{MARK}{{\"invoice_id\": \"{INVOICE}\"}}"))?;
    place.ok(&["smoke", "call", INSPECT, "--input", "call.json"])?;
    let url = format!("{MARK}sqlite://{}\n", place.path("billing.db").display());
    let file = write_private(&place, "read.url", url.as_bytes())?;
    place.unset("BILLING_READ_URL");
    place.set("BILLING_READ_URL_FILE", &file);
    place.ok(&["smoke", "call", INSPECT, "--input", "call.json"])?;
    place.unset("BILLING_TENANT");
    let variables = write_private(
        &place,
        "own.env",
        format!("{MARK}BILLING_TENANT=acme\n").as_bytes(),
    )?;
    place.ok(&[
        "--env-file",
        &variables,
        "smoke",
        "call",
        INSPECT,
        "--input",
        "call.json",
    ])?;
    place.set("BILLING_TENANT", "acme");
    let trust = place.path(".synapsor/synapsor.trust.json");
    let text = std::fs::read_to_string(&trust)?;
    std::fs::write(&trust, format!("{MARK}{text}"))?;
    place.propose(INVOICE, "goodwill")?;
    place.ok(&["proposals", "approve", "latest", "--yes"])?;
    place.ok(&["apply", "latest"])?;
    let inspection = place
        .ok(&["inspect", "--from-env", "BILLING_WRITE_URL", "--json"])?
        .stdout;
    place.write("saved.json", &format!("{MARK}{inspection}"))?;
    let answers = json!({"table": "main.invoices", "mode": "read_only", "tenant_column": "tenant_id"});
    place.write("answers.json", &format!("{MARK}{answers}"))?;
    let init = [
        "init",
        "--inspection-json",
        "saved.json",
        "--answers",
        "answers.json",
        "--dry-run",
    ];
    place.ok(&init)?;
    Ok(())
}

#[test]
fn utf_16_files_are_named_as_such() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let refused = |place: &CliFixture, arguments: &[&str]| {
        let ran = place.run(arguments)?;
        ensure!(ran.exit != Some(0), "{ran}");
        ensure!(
            ran.stderr.contains("UTF-16") && ran.stderr.contains("UTF-8"),
            "{ran}"
        );
        Ok(())
    };
    std::fs::write(place.path("call.json"), utf16("{\"invoice_id\": \"INV-1\"}"))?;
    refused(&place, &["smoke", "call", INSPECT, "--input", "call.json"])?;
    let variables = write_private(&place, "own.env", &utf16("BILLING_TENANT=acme\n"))?;
    refused(
        &place,
        &["--env-file", &variables, "smoke", "call", INSPECT, "--sample"],
    )?;
    std::fs::write(place.path("saved.json"), utf16("{}"))?;
    refused(
        &place,
        &[
            "init",
            "--inspection-json",
            "saved.json",
            "--table",
            "invoices",
            "--dry-run",
        ],
    )?;
    place.set(
        "BILLING_READ_URL_FILE",
        &write_private(&place, "read.url", &utf16("sqlite:///x"))?,
    );
    place.unset("BILLING_READ_URL");
    refused(&place, &["inspect", "--from-env", "BILLING_READ_URL"])?;
    std::fs::write(place.path("synapsor.runner.json"), utf16(CONTRACT))?;
    refused(&place, &["config", "validate"])?;
    Ok(())
}

#[test]
fn forgotten_proposals_are_counted_and_rejected_together() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let mut ids = Vec::new();
    for n in 0..23 {
        ids.push(place.propose(INVOICE, &format!("goodwill {n}"))?);
    }
    let listed = place.ok(&["proposals", "list"])?.stdout;
    assert!(
        listed.contains("20 of 23; --limit 23 shows all, --before "),
        "{listed}"
    );
    assert!(
        !place
            .ok(&["proposals", "list", "--limit", "23"])?
            .stdout
            .contains(" of 23")
    );
    let of_type = ["proposals", "list", "--object-type", "invoice", "--limit", "3"];
    let listed = place.ok(&of_type)?.stdout;
    assert!(listed.contains("3 of 23; --limit 23 shows all"), "{listed}");
    assert_eq!(place.json(&of_type)?["has_more"], json!(true));
    for list in ["proposals", "evidence"] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let mut arguments = vec![list, "list", "--table", "invoices", "--limit", "9"];
            arguments.extend(
                before
                    .iter()
                    .flat_map(|before: &String| ["--before", before.as_str()]),
            );
            let part = place.json(&arguments)?;
            found.extend(part[list].as_array().cloned().unwrap_or_default());
            before = part["next_before"].as_u64().map(|next| next.to_string());
            if before.is_none() {
                break;
            }
        }
        let distinct: BTreeSet<String> = found.iter().map(Json::to_string).collect();
        assert_eq!((found.len(), distinct.len()), (23, 23), "{list}");
    }
    for table in ["invoices", "main.invoices"] {
        let found = place.json(&["proposals", "list", "--table", table, "--limit", "23"])?;
        let found = found["proposals"].as_array().map(Vec::len);
        assert_eq!(found, Some(23), "{table}");
    }
    let pending = place.json(&["proposals", "list", "--state", "pending_review", "--limit", "1"])?;
    assert_eq!(pending["total"], json!(23));

    let reject = ["proposals", "reject", "--reason", "a loop", "--yes"];
    place
        .run(&reject)?
        .expect_failure(2, "PROPOSAL_NAME_INVALID", &["--principal"])?;
    let both = [&reject[..], &[&ids[0], "--principal", "support-agent"]].concat();
    place
        .run(&both)?
        .expect_failure(2, "PROPOSAL_NAME_INVALID", &["filters"])?;
    let two = place.json(&[&reject[..], &[&ids[0], &ids[1]]].concat())?;
    assert_eq!((&two["rejected"], &two["of"]), (&json!(2), &json!(2)), "{two}");
    let none = [&reject[..], &["--principal", "another-agent"]].concat();
    place
        .run(&none)?
        .expect_failure(1, "PROPOSAL_NOT_FOUND", &["proposals list"])?;
    let all = place.ok(&[
        &reject[..],
        &["--principal", "support-agent", "--state", "pending_review"],
    ]
    .concat())?;
    assert!(all.stdout.contains("rejected 21 of 21"), "{all}");
    for id in [&ids[1], &ids[22]] {
        let shown = place.json(&["proposals", "show", id])?;
        assert_eq!(shown["state"], json!("rejected"));
        let decisions = shown["decisions"].as_array().context("decisions")?;
        assert_eq!(decisions.len(), 1, "each proposal has a signature of its own");
        assert_eq!(decisions[0]["decision"]["proposal_id"], json!(id));
    }
    let partly = place.run(&[&reject[..], &[&ids[3], &place.propose(INVOICE, "new")?]].concat())?;
    assert!(partly.exit != Some(0), "{partly}");
    assert!(
        partly.stdout.contains("rejected 1 of 2") && partly.stdout.contains("PROPOSAL_NOT_REJECTABLE"),
        "{partly}"
    );
    Ok(())
}

#[test]
fn full_queue_says_who_can_empty_it() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    let path = place.path(".synapsor/synapsor.trust.json");
    let mut trust: Json = serde_json::from_slice(&std::fs::read(&path)?)?;
    trust["ceilings"]["open_proposals"] = json!(1);
    std::fs::write(&path, trust.to_string())?;
    place.write(
        "call.json",
        &json!({"invoice_id": INVOICE, "reason": "more"}).to_string(),
    )?;
    let ran = place.run(&["propose", PROPOSE, "--input", "call.json"])?;
    ran.expect(1)?;
    for part in [
        "ceilings.open_proposals",
        "proposals reject --principal",
        "7 days",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran}");
    }
    Ok(())
}

/// Runs a call that must be rejected, and returns its output.
fn rejected(place: &CliFixture, tool: &str, exit: i32) -> anyhow::Result<(String, Json)> {
    let text = place.run(&["smoke", "call", tool, "--input", "call.json"])?;
    text.expect(exit)?;
    let json = place.run(&["smoke", "call", tool, "--input", "call.json", "--json"])?;
    Ok((text.stdout, json.object()?))
}

#[test]
fn cause_of_a_rejected_call_reaches_the_operator_only() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.write("call.json", &json!({"invoice_id": INVOICE}).to_string())?;
    place.ok(&["smoke", "call", INSPECT, "--input", "call.json"])?;
    let database = Connection::open(place.path("billing.db"))?;

    database.execute_batch("ALTER TABLE invoices RENAME TO bills")?;
    let (text, object) = rejected(&place, INSPECT, 1)?;
    assert!(
        text.contains("cause     SOURCE_OBJECT_NOT_FOUND: the database of source `")
            && text.contains("has no such")
            && text.contains("invoices`"),
        "{text}"
    );
    assert!(
        text.contains("\nfix: run `synapsor-runner writeback doctor --check-db`")
            && text.contains("\ncall      qa_"),
        "{text}"
    );
    assert_eq!(
        object["cause"]["code"],
        json!("SOURCE_OBJECT_NOT_FOUND"),
        "{object}"
    );
    let seen = object["result"].to_string();
    assert!(
        !seen.contains("no such schema") && !seen.contains("fix: "),
        "{seen}"
    );
    let id = object["cause"]["correlation_id"].as_str().context("id")?;
    assert!(seen.contains(id), "{seen}");
    let records = place.ok(&["events", "tail", "--json", "--details"])?.stdout;
    assert!(
        !records.contains("no such schema"),
        "a private text is in a record"
    );

    database.execute_batch("ALTER TABLE bills RENAME TO invoices")?;
    let wide = "x".repeat(70_000);
    database.execute(
        "UPDATE invoices SET customer_name = ?1 WHERE id = ?2",
        [wide.as_str(), INVOICE],
    )?;
    let (text, _) = rejected(&place, INSPECT, 1)?;
    assert!(text.contains("cause     ROW_TOO_LARGE: "), "{text}");
    assert!(
        text.contains("fix: leave the column `customer_name` out"),
        "{text}"
    );

    place.write("call.json", &json!({"invoice_id": "none"}).to_string())?;
    let (text, _) = rejected(&place, INSPECT, 1)?;
    assert!(text.contains("cause     ROW_NOT_FOUND"), "{text}");
    assert!(text.contains("fix: check the key in the arguments"), "{text}");
    Ok(())
}

/// A directory with a contract about a table on a PostgreSQL server.
fn on_server() -> anyhow::Result<CliFixture> {
    let mut place = CliFixture::empty()?;
    let contract = json!({
        "version": 1, "mode": "read_only", "result_format": 2,
        "sources": {"app": {"engine": "postgres", "read_url_env": "APP_READ_URL"}},
        "trusted_context": {"provider": "environment"},
        "capabilities": [{
            "name": "orders.inspect", "kind": "read", "source": "app", "description": "Reads one.",
            "target": {"schema": "shop", "table": "orders", "primary_key": "id", "tenant_key": "tenant_id"},
            "args": {"id": {"type": "string"}}, "lookup": {"id_from_arg": "id"}, "visible_columns": ["id"],
        }],
    });
    place.write("synapsor.runner.json", &contract.to_string())?;
    place.write("call.json", "{\"id\": \"1\"}")?;
    place.set("SYNAPSOR_TENANT_ID", "acme");
    place.set("SYNAPSOR_PRINCIPAL", "agent");
    Ok(place)
}

#[test]
fn unusable_database_is_named_with_host_port_reason_and_fix() -> anyhow::Result<()> {
    let mut place = on_server()?;
    // A server of another kind, which closes every connection with a line of text.
    let other = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = other.local_addr()?.to_string();
    std::thread::spawn(move || {
        for stream in other.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &stream, b"220 mail.example ESMTP\r\n");
        }
    });
    let mut cases = vec![
        (
            "127.0.0.1:1".to_owned(),
            "SOURCE_UNAVAILABLE",
            "refused the connection",
            6,
        ),
        (
            "no-such-host.invalid:5432".to_owned(),
            "SOURCE_UNAVAILABLE",
            "host name has no address",
            6,
        ),
        (address, "SOURCE_", "at 127.0.0.1", 6),
    ];
    if let Some(server) = Server::postgres()? {
        cases.push((
            server.address().to_owned(),
            "SOURCE_DENIED",
            "rejected the login",
            1,
        ));
    }
    for (address, code, reason, exit) in cases {
        place.set(
            "APP_READ_URL",
            &format!("postgres://app:wrong-secret@{address}/shop"),
        );
        let (text, object) = rejected(&place, "orders.inspect", exit)?;
        assert!(
            text.contains(&format!("cause     {code}")) && text.contains(reason),
            "{text}"
        );
        assert!(text.contains(&address) && text.contains("\nfix: "), "{text}");
        let result = object["result"].to_string();
        assert!(!result.contains(&address), "an agent sees the address: {result}");
        let checked = place.run(&["writeback", "doctor", "--check-db"])?;
        checked.expect(exit)?;
        assert!(
            checked.stdout.contains(reason) && checked.stdout.contains(&address),
            "{checked}"
        );
        let inspected = place.run(&["inspect", "--from-env", "APP_READ_URL"])?;
        inspected.expect(exit)?;
        assert!(
            inspected.stderr.contains(reason) && inspected.stderr.contains(&address),
            "{inspected}"
        );
        for printed in [&text, &checked.stdout, &inspected.stderr] {
            assert!(!printed.contains("wrong-secret"), "{printed}");
        }
    }
    Ok(())
}

#[test]
fn cause_of_a_failed_attempt_reaches_the_operator_only() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    place.approved(INVOICE, "goodwill")?;
    // Another program holds the lock of the file.
    let other = Connection::open(place.path("billing.db"))?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    let ran = place.run(&["apply", "latest", "--wait", "10"])?;
    ensure!(ran.exit != Some(0), "{ran}");
    assert!(
        ran.stdout.contains("cause     SOURCE_") && ran.stdout.contains(": the database "),
        "{ran}"
    );
    assert!(ran.stdout.contains("\nfix: "), "{ran}");
    let records = place.ok(&["events", "tail", "--json", "--details"])?.stdout;
    assert!(
        !records.contains("the database did not answer") && !records.contains("fix: "),
        "{records}"
    );
    other.execute_batch("ROLLBACK")?;
    drop(other);

    place.wait_until_alone(WAIT)?;
    place.set("BILLING_WRITE_URL", "sqlite:///nowhere/billing.db");
    let ran = place.run(&["apply", "latest", "--wait", "10"])?;
    ensure!(ran.exit != Some(0), "{ran}");
    assert!(
        ran.stdout.contains("billing_db") && ran.stdout.contains("fix: correct the URL"),
        "{ran}"
    );
    Ok(())
}

#[test]
fn input_is_printed_as_it_was_given() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.write("call.json", &json!({"invoice_id": INVOICE}).to_string())?;
    let ran = place.ok(&["smoke", "call", INSPECT, "--input", "call.json"])?;
    assert!(
        ran.stdout
            .contains(&format!("input     {{\"invoice_id\":\"{INVOICE}\"}}")),
        "{ran}"
    );
    Ok(())
}

#[test]
fn loser_of_a_race_gets_the_decision_that_won() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.propose(INVOICE, "goodwill")?;
    let running = (0..4)
        .map(|n| {
            let reason = format!("reason {n}");
            place.start(&["proposals", "reject", &id, "--yes", "--reason", &reason])
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let ended = running
        .into_iter()
        .map(|running| running.end(WAIT))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let winners = ended.iter().filter(|ran| ran.exit == Some(0)).count();
    let signed = place.json(&["proposals", "show", &id])?;
    let reason = signed["decisions"][0]["decision"]["reason"]
        .as_str()
        .context("reason")?;
    assert!((1..4).contains(&winners), "{ended:?}");
    for loser in ended.iter().filter(|ran| ran.exit != Some(0)) {
        assert!(loser.stderr.contains("PROPOSAL_NOT_REJECTABLE"), "{loser}");
        assert!(
            loser.stderr.contains(&format!("{PERSON} rejected it at ")),
            "{loser}"
        );
        assert!(loser.stderr.contains(reason), "{loser}");
    }
    let late = place.run(&["proposals", "approve", &id, "--yes"])?;
    assert!(late.exit != Some(0) && late.stderr.contains(reason), "{late}");
    Ok(())
}

/// A directory with a table of orders with whole-number keys and a column that only looks like a tenant.
fn orders() -> anyhow::Result<CliFixture> {
    let mut place = CliFixture::empty()?;
    let database = Connection::open(place.path("shop.db"))?;
    database.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY NOT NULL, customer_id TEXT NOT NULL, status TEXT NOT NULL,
         version INTEGER NOT NULL);
         INSERT INTO orders VALUES (1, 'acme', 'open', 1)",
    )?;
    let url = format!("sqlite://{}", place.path("shop.db").display());
    for (name, value) in [
        ("SYNAPSOR_DATABASE_READ_URL", url.as_str()),
        ("SYNAPSOR_DATABASE_WRITE_URL", &url),
        ("SYNAPSOR_TENANT_ID", "acme"),
        ("SYNAPSOR_PRINCIPAL", "agent"),
    ] {
        place.set(name, value);
    }
    Ok(place)
}

/// Runs the printed next steps in a shell, with the output of the migration applied to the database.
fn follow(place: &CliFixture, printed: &str) -> anyhow::Result<()> {
    let steps = printed.split_once("next:\n").context("next steps")?.1;
    let mut done = 0;
    for step in steps.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let step = step.split("     #").next().unwrap_or_default();
        if let Some(arguments) = step.strip_prefix("synapsor-runner ") {
            let words: Vec<&str> = arguments.split_whitespace().collect();
            let ran = place.ok(&words).with_context(|| step.to_owned())?;
            if arguments.starts_with("writeback migration") {
                Connection::open(place.path("shop.db"))?.execute_batch(&ran.stdout)?;
            }
        } else {
            let (text, file) = step
                .strip_prefix("echo '")
                .and_then(|rest| rest.split_once("' > "))
                .context("an echo")?;
            place.write(file.trim(), text)?;
        }
        done += 1;
    }
    ensure!(done >= 5, "{printed}");
    Ok(())
}

#[test]
fn next_steps_of_init_work_as_printed() -> anyhow::Result<()> {
    for output in ["synapsor.runner.json", "drafted.json"] {
        let place = orders()?;
        let init = [
            "init",
            "--table",
            "main.orders",
            "--mode",
            "review",
            "--patch",
            "status=arg:status",
            "--conflict-advance",
            "increment",
            "--output",
            output,
        ];
        let ran = place.ok(&init)?;
        assert!(
            ran.stderr
                .contains("`customer_id` is the tenant column by its name alone"),
            "{ran}"
        );
        assert_eq!(
            ran.stdout.contains("--config drafted.json"),
            output == "drafted.json",
            "{ran}"
        );
        let contract: Json = serde_json::from_slice(&std::fs::read(place.path(output))?)?;
        let lookup = &contract["capabilities"][0]["args"]["order_id"]["type"];
        assert_eq!(lookup, &json!("number"));
        follow(&place, &ran.stdout)?;
        let config = ["--config", output];
        place.write("change.json", "{\"order_id\": 1, \"status\": \"packed\"}")?;
        let propose = ["propose", "order.propose_order_update", "--input", "change.json"];
        place.ok(&[&config[..], &propose].concat())?;
        place.ok(&[&config[..], &["proposals", "approve", "latest", "--yes"]].concat())?;
        place.ok(&[&config[..], &["apply", "latest"]].concat())?;
        let status: String =
            Connection::open(place.path("shop.db"))?
                .query_row("SELECT status FROM orders", [], |row| row.get(0))?;
        assert_eq!(status, "packed");
    }
    Ok(())
}

#[test]
fn computed_tenant_column_makes_a_table_writable() -> anyhow::Result<()> {
    let place = orders()?;
    Connection::open(place.path("shop.db"))?
        .execute_batch("ALTER TABLE orders ADD COLUMN tenant_id TEXT GENERATED ALWAYS AS ('acme') VIRTUAL")?;
    let init = [
        "init",
        "--table",
        "main.orders",
        "--tenant-column",
        "tenant_id",
        "--mode",
        "review",
        "--patch",
        "status=arg:status",
        "--conflict-advance",
        "increment",
    ];
    let drafted = place.ok(&init)?;
    assert!(!drafted.stderr.contains("by its name alone"), "{drafted}");
    follow(&place, &drafted.stdout)?;
    place.write("change.json", "{\"order_id\": 1, \"status\": \"packed\"}")?;
    place.ok(&["propose", "order.propose_order_update", "--input", "change.json"])?;
    let shown = place.ok(&["proposals", "show", "latest"])?.stdout;
    assert!(shown.contains("side effects    none known"), "{shown}");
    place.ok(&["proposals", "approve", "latest", "--yes"])?;
    place.ok(&["apply", "latest"])?;
    let status: String =
        Connection::open(place.path("shop.db"))?
            .query_row("SELECT status FROM orders", [], |row| row.get(0))?;
    assert_eq!(status, "packed");
    Ok(())
}
