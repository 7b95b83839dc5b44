//! Invalid contracts and contract variables.

use anyhow::ensure;
use serde_json::json;
use synapsor_e2e::cli::{CliFixture, PROPOSE};

use super::{CONTRACT, bound, fails, mode};

#[test]
fn missing_contract_is_named() -> anyhow::Result<()> {
    let place = CliFixture::empty()?;
    let commands: [&[&str]; 6] = [
        &["config", "validate"],
        &["tools", "preview"],
        &["up"],
        &["mcp", "serve"],
        &["smoke", "call", "--sample"],
        &["propose", PROPOSE, "--sample"],
    ];
    for command in commands {
        fails(&place, command, 1, "CONFIG_NOT_FOUND", &[CONTRACT])?;
    }
    fails(
        &place,
        &["up", "--config", "some/where.json"],
        1,
        "CONFIG_NOT_FOUND",
        &["some/where.json"],
    )
}

#[test]
fn unreadable_contract_is_named() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    mode(&place.path(CONTRACT), 0o000)?;
    bound(&place, &["config", "validate"])?.expect_failure(1, "FILE_PERMISSION_DENIED", &[CONTRACT])?;
    bound(&place, &["up"])?.expect_failure(1, "FILE_PERMISSION_DENIED", &[CONTRACT])?;
    place.run(&["config", "validate", "--config", "."])?.expect(1)?;
    ensure!(!place.path(".synapsor").exists());
    Ok(())
}

#[test]
fn all_contract_errors_are_listed_with_paths() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let text = std::fs::read_to_string(place.path(CONTRACT))?;
    let text = text.replacen("\"version\": 1,", "\"version\": 1, \"colour\": true,", 1);
    place.write(
        CONTRACT,
        &text
            .replace("\"patch\"", "\"pach\"")
            .replace("\"billing_db\",", "\"nowhere\","),
    )?;
    let paths = [
        "$.colour",
        "UNKNOWN_FIELD",
        "$.capabilities[1].pach",
        "$.capabilities[0].source",
    ];
    for command in [
        &["up"][..],
        &["tools", "list"],
        &["propose", PROPOSE, "--sample"],
        &["mcp", "serve"],
    ] {
        fails(&place, command, 1, "CONFIG_INVALID", &paths)?;
    }
    let ran = place.run(&["config", "validate"])?;
    ran.expect(1)?;
    assert!(paths.iter().all(|path| ran.stdout.contains(path)), "{ran}");
    let ran = place.run(&["config", "validate", "--json"])?;
    ran.expect(1)?;
    let report = ran.object()?;
    assert_eq!(report["ok"], json!(false));
    assert!(report["errors"].as_array().is_some_and(|e| e.len() >= 4 && e.iter().all(|p| p["code"].is_string() && p["path"].is_string())));
    place.write(CONTRACT, "{ \"version\": 1,")?;
    fails(
        &place,
        &["up"],
        1,
        "CONFIG_INVALID",
        &["CONFIG_NOT_JSON", "line 1"],
    )
}

#[test]
fn missing_variable_is_named_with_an_example() -> anyhow::Result<()> {
    for name in ["BILLING_READ_URL", "BILLING_TENANT", "BILLING_PRINCIPAL"] {
        let mut place = CliFixture::new()?;
        let commands: [&[&str]; 4] = [
            &["up"],
            &["mcp", "serve"],
            &["propose", PROPOSE, "--sample"],
            &["smoke", "call", PROPOSE, "--sample"],
        ];
        place.unset(name);
        for command in commands {
            fails(
                &place,
                command,
                2,
                "ENV_MISSING",
                &[name, &format!("export {name}=")],
            )?;
        }
        place.set(name, "");
        fails(&place, &["up"], 2, "ENV_MISSING", &[name])?;
    }
    let mut place = CliFixture::new()?;
    place.unset("BILLING_WRITE_URL");
    fails(&place, &["up"], 2, "ENV_MISSING", &["BILLING_WRITE_URL"])?;
    fails(
        &place,
        &["mcp", "serve-streamable-http"],
        2,
        "HTTP_AUTH_TOKEN_MISSING",
        &["SYNAPSOR_RUNNER_HTTP_TOKEN"],
    )
}

#[test]
fn variable_with_a_byte_order_mark_is_named() -> anyhow::Result<()> {
    for name in ["BILLING_READ_URL", "BILLING_TENANT", "BILLING_PRINCIPAL"] {
        let mut place = CliFixture::new()?;
        place.set(name, "\u{feff}acme");
        let commands: [&[&str]; 4] = [
            &["up"],
            &["mcp", "serve"],
            &["propose", PROPOSE, "--sample"],
            &["writeback", "doctor", "--check-db"],
        ];
        for command in commands {
            place.run(command)?.expect_failure(
                2,
                "SETTING_INVALID",
                &[&format!("{name} begins with a byte order mark")],
            )?;
        }
    }
    Ok(())
}

#[test]
fn contract_warnings_are_printed_before_serving() -> anyhow::Result<()> {
    let mut place = CliFixture::new()?;
    let mut contract: serde_json::Value = serde_json::from_slice(&std::fs::read(place.path(CONTRACT))?)?;
    contract["trusted_context"]["values"]["role"] = json!("agent");
    place.write(CONTRACT, &contract.to_string())?;
    place.unset("BILLING_TENANT");
    let warning = "warning UNKNOWN_CONTEXT_VALUE at $.trusted_context.values.role: ";
    for command in [
        &["mcp", "serve"][..],
        &["mcp", "serve-streamable-http", "--dev-no-auth"],
    ] {
        fails(&place, command, 2, "ENV_MISSING", &[warning])?;
    }
    Ok(())
}

#[test]
fn missing_table_hides_database_error_text() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    std::fs::remove_file(place.path("billing.db"))?;
    place.write("billing.db", "")?;
    let ran = place.run(&["propose", PROPOSE, "--sample"])?;
    assert!(ran.exit != Some(0) && ran.exit.is_some(), "{ran}");
    let output = format!("{}{}", ran.stdout, ran.stderr);
    // The operator sees the class of the error and the table of the contract, not the database's own text.
    assert!(
        !output.contains("no such table: ") && !output.contains("sqlite://"),
        "{ran}"
    );
    assert!(ran.stdout.contains("`main.invoices`"), "{ran}");
    assert!(
        ran.stdout.contains("cause     SOURCE_OBJECT_NOT_FOUND: "),
        "{ran}"
    );
    assert_eq!(std::fs::read_to_string(place.path("billing.db"))?, "");
    Ok(())
}

#[test]
fn access_token_contract_is_served_only_over_http() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let mut contract: serde_json::Value = serde_json::from_slice(&std::fs::read(place.path(CONTRACT))?)?;
    let values = json!({"issuer": "https://id.example.com", "audience": "https://mcp.example.com/mcp"});
    contract["trusted_context"] = json!({"provider": "http_claims", "values": values});
    place.write(CONTRACT, &contract.to_string())?;
    fails(
        &place,
        &["mcp", "serve"],
        2,
        "CONTRACT_NEEDS_HTTP",
        &["access tokens"],
    )?;
    let open = ["mcp", "serve-streamable-http", "--dev-no-auth"];
    fails(
        &place,
        &open,
        2,
        "HTTP_ACCESS_TOKENS_REQUIRED",
        &["access tokens"],
    )?;
    let serve = ["mcp", "serve-streamable-http", "--port", "0"];
    fails(&place, &serve, 2, "ENV_MISSING", &["SYNAPSOR_EXECUTOR_JWKS_FILE"])?;
    contract["trusted_context"]["values"]["algorithm"] = json!(["EdDSA"]);
    place.write(CONTRACT, &contract.to_string())?;
    fails(
        &place,
        &serve,
        2,
        "UNKNOWN_CONTEXT_VALUE",
        &["$.trusted_context.values.algorithm", "algorithms"],
    )
}
