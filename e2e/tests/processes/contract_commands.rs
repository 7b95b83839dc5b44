//! Commands about the contract, the tool list, and the setup: `config`, `smoke boundary`, `audit`, `doctor`.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE, Running, until};
use synapsor_e2e::deployment::CONTRACT;

const SECRET: &str = "hunter2-canary";

#[test]
fn shown_contract_holds_no_secret() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let shown: Json = serde_json::from_str(&place.ok(&["config", "show"])?.stdout)?;
    let file: Json = serde_json::from_str(CONTRACT)?;
    assert_eq!(shown, file);
    let mut file = file;
    file["password"] = json!(SECRET);
    file["sources"]["billing_db"]["note"] = json!(format!("postgres://app:{SECRET}@db/x"));
    place.write("synapsor.runner.json", &file.to_string())?;
    let ran = place.ok(&["config", "show", "--redacted"])?;
    ensure!(!format!("{}{}", ran.stdout, ran.stderr).contains(SECRET), "{ran}");
    assert!(ran.stdout.contains("BILLING_READ_URL"), "{ran}");
    place.write("synapsor.runner.json", "{")?;
    place
        .run(&["config", "show"])?
        .expect_failure(2, "CONFIG_NOT_JSON", &["line 1"])?;
    Ok(())
}

#[test]
fn settings_are_shown_with_their_origin() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    place.set("SYNAPSOR_LOCAL_STORE", "state/own.db");
    place.unset("BILLING_WRITE_URL");
    let shown = place.json(&["config", "show", "--sources", "--config", "synapsor.runner.json"])?;
    let origin = |name: &str| {
        let settings = shown["settings"].as_array().into_iter().flatten();
        let found = settings.clone().find(|setting| setting["setting"] == json!(name));
        found.map(|setting| setting["origin"].clone())
    };
    assert_eq!(origin("config"), Some(json!("option")));
    assert_eq!(origin("store"), Some(json!("variable")));
    assert_eq!(origin("ledger"), Some(json!("default")));
    let text = shown["variables"].to_string();
    assert!(!text.contains("sqlite:"), "{text}");
    let printed = place.ok(&["config", "show", "--sources"])?.stdout;
    let write = printed.lines().find(|line| line.starts_with("BILLING_WRITE_URL"));
    assert!(write.is_some_and(|line| line.contains("missing")), "{printed}");
    Ok(())
}

#[test]
fn wider_authority_has_an_exit_code_of_its_own() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.write("before.json", CONTRACT)?;
    place.ok(&["config", "diff", "before.json", "synapsor.runner.json"])?;
    let mut wider: Json = serde_json::from_str(CONTRACT)?;
    let columns = wider["capabilities"][0]["visible_columns"]
        .as_array_mut()
        .context("columns")?;
    columns.push(json!("internal_note"));
    place.write("after.json", &wider.to_string())?;
    let ran = place.run(&["config", "diff", "before.json", "after.json"])?;
    ran.expect(4)?;
    assert!(
        ran.stdout
            .contains("wider     billing.inspect_invoice: shows column `internal_note`"),
        "{ran}"
    );
    let narrower = place.ok(&["config", "diff", "after.json", "before.json", "--json"])?;
    let object: Json = serde_json::from_str(&narrower.stdout)?;
    assert_eq!(object["widens"], json!(false));
    assert_eq!(object["changes"][0]["effect"], json!("narrows"));
    place
        .run(&["config", "diff", "before.json", "missing.json"])?
        .expect_failure(1, "CONFIG_NOT_FOUND", &["missing.json"])?;
    Ok(())
}

#[test]
fn migration_copies_and_changes_nothing() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.ok(&["config", "migrate"])?;
    place.ok(&["config", "migrate", "--output", "copy.json"])?;
    assert_eq!(std::fs::read_to_string(place.path("copy.json"))?, CONTRACT);
    let again = place.run(&["config", "migrate", "--output", "copy.json"])?;
    ensure!(
        again.exit == Some(1) && again.stderr.contains("copy.json"),
        "{again}"
    );
    place.write(
        "synapsor.runner.json",
        &CONTRACT.replace("\"version\": 1", "\"version\": 2"),
    )?;
    place.run(&["config", "migrate"])?.expect_failure(
        1,
        "CONFIG_INVALID",
        &["UNSUPPORTED_CONFIG_VERSION"],
    )?;
    Ok(())
}

#[test]
fn boundary_is_checked_without_any_process() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    for words in [["smoke", "boundary"], ["mcp", "smoke"]] {
        let object = place.json(&words)?;
        assert_eq!(object["ok"], json!(true), "{object}");
        assert!(
            object["checks"].as_array().is_some_and(|checks| checks.len() > 3),
            "{object}"
        );
    }
    assert!(!place.path(".synapsor").exists());
    Ok(())
}

/// Severities and codes of a report.
fn findings(report: &Json) -> Vec<(String, String)> {
    let found = report["findings"].as_array().into_iter().flatten();
    let text = |finding: &Json, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    found
        .map(|finding| (text(finding, "severity"), text(finding, "code")))
        .collect()
}

#[test]
fn own_tools_have_no_high_or_medium_finding() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let report = place.json(&["audit", "synapsor.runner.json", "--fail-on", "medium"])?;
    assert!(
        findings(&report).iter().all(|(severity, _)| severity == "LOW"),
        "{report}"
    );
    assert!(
        report["summary"]["tools_inspected"].as_u64() >= Some(2),
        "{report}"
    );
    Ok(())
}

#[test]
fn dangerous_tools_are_reported_in_every_format() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let example = ["audit", "--example", "dangerous-db-mcp"];
    let report = place.json(&example)?;
    let found = findings(&report);
    for code in [
        "GENERIC_SQL_TOOL",
        "WRITE_TOOL_ACCEPTS_ARBITRARY_SQL",
        "ARBITRARY_IDENTIFIER_INPUT",
        "MODEL_CONTROLLED_TRUST_SCOPE",
        "MODEL_CALLABLE_COMMIT_OR_APPROVAL",
        "WRITE_WITHOUT_PROPOSAL_BOUNDARY",
    ] {
        let wanted = ("HIGH".to_owned(), code.to_owned());
        ensure!(found.contains(&wanted), "{code}: {report}");
    }
    let with = |more: &[&str]| place.run(&[&example[..], more].concat());
    with(&[])?.expect(0)?;
    with(&["--fail-on", "high"])?.expect(4)?;
    assert!(
        with(&["--format", "markdown"])?
            .stdout
            .starts_with("# MCP tool audit")
    );
    let sarif: Json = serde_json::from_str(&with(&["--format", "sarif"])?.stdout)?;
    assert_eq!(sarif["version"], json!("2.1.0"));
    assert_eq!(
        sarif["runs"][0]["results"].as_array().map(Vec::len),
        Some(found.len())
    );
    for (arguments, exit) in [
        (vec!["audit"], 2),
        (vec!["audit", "missing.json"], 2),
        (vec!["audit", "--url", "http://127.0.0.1:1/mcp"], 6),
        (vec!["audit", "stdio:/no/such/program"], 6),
        (vec!["audit", "stdio:true"], 6),
    ] {
        let ran = place.run(&arguments)?;
        ensure!(ran.exit == Some(exit), "{arguments:?}: {ran}");
    }
    Ok(())
}

/// Our own gateway is a real server of all protocol revisions.
#[test]
fn running_servers_are_audited_over_both_transports() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let runner = synapsor_e2e::binaries::Build::Plain.binary("synapsor-runner")?;
    let command = format!("{} mcp serve --config synapsor.runner.json", runner.display());
    // The server gets its variables from a file, because an audit passes none of its own.
    let variables: String = [
        "BILLING_READ_URL",
        "BILLING_WRITE_URL",
        "BILLING_TENANT",
        "BILLING_PRINCIPAL",
    ]
    .into_iter()
    .filter_map(|name| {
        let found = place.environment.iter().find(|(known, _)| known == name);
        found.map(|(name, value)| format!("{name}={value}\n"))
    })
    .collect();
    place.write("own.env", &variables)?;
    std::fs::set_permissions(place.path("own.env"), std::fs::Permissions::from_mode(0o600))?;
    let command = format!("{command} --env-file own.env");
    let report = place.json(&["audit", "--stdio", &command, "--timeout-ms", "30000"])?;
    assert!(
        report["summary"]["tools_inspected"].as_u64() >= Some(2),
        "{report}"
    );

    let client = json!({"mcpServers": {"billing": {
        "command": runner.to_string_lossy(), "args": ["mcp", "serve", "--env-file", "own.env"],
    }}});
    place.write("client.json", &client.to_string())?;
    let of_client = place.json(&["audit", "--mcp-config", "client.json", "--timeout-ms", "30000"])?;
    assert_eq!(of_client["summary"], report["summary"]);
    place
        .run(&["audit", "client.json"])?
        .expect_failure(2, "AUDIT_TARGET_INVALID", &["--mcp-config"])?;

    let token = "token-of-the-audit-test-0123456789";
    place.set("SYNAPSOR_RUNNER_HTTP_TOKEN", token);
    place.set("SYNAPSOR_MCP_AUDIT_BEARER", token);
    let mut server = place.start(&["mcp", "serve-streamable-http", "--port", "0"])?;
    let url = &printed_url(&mut server)?;
    let over_http = place.json(&["audit", url])?;
    assert_eq!(over_http["summary"], report["summary"]);
    place.unset("SYNAPSOR_MCP_AUDIT_BEARER");
    place
        .run(&["audit", url])?
        .expect_failure(6, "AUDIT_TARGET_UNREACHABLE", &["--bearer-env"])?;

    // The bridge of 0.1.x answers each call on its own.
    let mut bridge = place.start(&["mcp", "serve-http", "--port", "0"])?;
    let answer = ask(
        &printed_url(&mut bridge)?,
        token,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
    )?;
    ensure!(answer.contains("billing.inspect_invoice"), "{answer}");
    Ok(())
}

/// Returns the URL that a server prints when it serves.
fn printed_url(server: &mut Running) -> anyhow::Result<String> {
    let mut printed = String::new();
    until(std::time::Duration::from_secs(30), || {
        let (out, err) = server.printed()?;
        printed = format!("{out}{err}");
        Ok(printed.contains("/mcp"))
    })?;
    let url = printed
        .split_whitespace()
        .find(|word| word.starts_with("http://") && word.contains("/mcp"));
    let url = url.with_context(|| format!("a URL: {printed}"))?;
    Ok(url.trim_end_matches([',', ';', '.', ')']).to_owned())
}

/// Posts one message and returns the response as it came.
fn ask(url: &str, token: &str, message: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").context("an http URL")?;
    let (host, path) = rest.split_once('/').context("a path")?;
    let mut connection = std::net::TcpStream::connect(host)?;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{message}",
        message.len()
    );
    connection.write_all(head.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Checks of a doctor's report that are not `pass`: name, code and fix.
fn problems(report: &Json) -> Vec<String> {
    let checks = report["checks"].as_array().into_iter().flatten();
    let open = checks.filter(|check| check["level"] != json!("pass"));
    open.map(|check| format!("{} {}", check["name"].as_str().unwrap_or_default(), check["code"]))
        .collect()
}

#[test]
fn doctor_finds_nothing_in_a_healthy_setup() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    let report = place.json(&["doctor", "--check-db"])?;
    assert_eq!(report["ok"], json!(true), "{report}");
    let found = problems(&report);
    // The sample has a trigger.
    let is_known =
        |problem: &String| problem.starts_with("config-warning:") || problem.ends_with("\"SIDE_EFFECT\"");
    assert!(found.iter().all(is_known), "{found:?}");
    let unprobed = place.json(&["doctor"])?;
    assert!(
        problems(&unprobed).contains(&"databases \"NOT_PROBED\"".to_owned()),
        "{unprobed}"
    );
    place.ok(&["doctor", "--check-db", "--report", "--output", "doctor.md"])?;
    let page = std::fs::read_to_string(place.path("doctor.md"))?;
    assert!(
        page.starts_with("# Doctor report") && page.contains("| ok | config-valid |"),
        "{page}"
    );
    Ok(())
}

/// A check that cannot run is a finding.
#[test]
fn unusable_state_directory_hides_no_check() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    place.propose(INVOICE, "goodwill")?;
    let state = place.path(".synapsor");
    std::fs::copy(state.join("synapsor.trust.json"), place.path("trust.json"))?;
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777))?;
    let ran = place.run(&["doctor", "--json", "--trust", "trust.json"])?;
    let found = problems(&ran.object()?);
    for name in ["ledger ", "certificates "] {
        ensure!(
            found.iter().any(|problem| problem.starts_with(name)),
            "{name}: {found:?}"
        );
    }
    assert_eq!(ran.exit, Some(1), "{found:?}");
    Ok(())
}

#[test]
fn doctor_names_planted_faults_with_their_fix() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let read_url = place
        .environment
        .iter()
        .find(|(name, _)| name == "BILLING_READ_URL");
    let read_url = read_url.context("a read URL")?.1.clone();
    place.unset("BILLING_READ_URL");
    let fault = |place: &CliFixture, name: &str, more: &[&str]| {
        let ran = place.run(&[&["doctor", "--json"], more].concat())?;
        let report = ran.object()?;
        let checks = report["checks"].as_array().into_iter().flatten();
        let found = checks.clone().find(|check| {
            check["name"]
                .as_str()
                .is_some_and(|known| known.starts_with(name))
                && check["level"] != json!("pass")
        });
        let found = found.with_context(|| format!("{name}: {report}"))?;
        anyhow::Ok((ran.exit, found.clone()))
    };
    let (exit, missing) = fault(&place, "env:BILLING_READ_URL", &[])?;
    assert_eq!(exit, Some(1));
    assert!(
        missing["fix"]
            .as_str()
            .is_some_and(|fix| fix.starts_with("export BILLING_READ_URL=")),
        "{missing}"
    );
    place.set("BILLING_READ_URL", &read_url);

    place.write(
        "client.json",
        &format!("{{\"env\": {{\"URL\": \"postgres://app:{SECRET}@db/x\"}}}}"),
    )?;
    let (exit, secret) = fault(&place, "client-file:", &["--client-config", "client.json"])?;
    assert_eq!(
        (exit, &secret["code"]),
        (Some(1), &json!("SECRET_IN_CLIENT_FILE"))
    );
    assert!(!secret.to_string().contains(SECRET), "{secret}");

    rusqlite::Connection::open(place.path("billing.db"))?.execute_batch("DROP TABLE invoices")?;
    let (exit, table) = fault(&place, "source:billing_db:", &["--check-db"])?;
    assert_eq!(exit, Some(1), "{table}");

    place.write(
        "synapsor.runner.json",
        &CONTRACT.replace("\"review\"", "\"revue\""),
    )?;
    let (exit, invalid) = fault(&place, "config-valid", &[])?;
    assert_eq!((exit, &invalid["code"]), (Some(1), &json!("CONFIG_INVALID")));
    Ok(())
}
