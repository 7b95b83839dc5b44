//! Checks that output and files for clients contain no secret and no tenant.

use anyhow::ensure;
use synapsor_e2e::cli::CliFixture;

use super::scene::{CLIENTS, ENV_FILE, TOKEN_ENV, project};

const CANARY: &str = "CANARY";

/// Project with a recognizable value in every possible source of a secret or a tenant.
fn planted() -> anyhow::Result<CliFixture> {
    let mut place = project()?;
    for name in [
        "BILLING_READ_URL",
        "BILLING_WRITE_URL",
        "BILLING_TENANT",
        "BILLING_PRINCIPAL",
        "SYNAPSOR_TENANT_ID",
        "SYNAPSOR_PRINCIPAL",
        TOKEN_ENV,
    ] {
        place.set(name, &format!("{CANARY}-{name}"));
    }
    let file = std::fs::read_to_string(place.path(ENV_FILE))?;
    place.write(ENV_FILE, &format!("{file}MORE={CANARY}-of-the-file\n"))?;
    let contract = std::fs::read_to_string(place.path("synapsor.runner.json"))?;
    let literal = contract.replace(
        "\"provider\": \"environment\",\n    \"values\": { \"tenant_id_env\": \"BILLING_TENANT\", \"principal_env\": \"BILLING_PRINCIPAL\" }",
        &format!("\"provider\": \"static_dev\", \"values\": {{ \"tenant_id\": \"{CANARY}-tenant\", \"principal\": \"{CANARY}-principal\" }}"),
    );
    ensure!(
        literal.contains(CANARY),
        "the contract is written in another way now"
    );
    place.write("synapsor.runner.json", &literal)?;
    Ok(place)
}

#[test]
fn snippets_contain_no_secret_and_no_tenant() -> anyhow::Result<()> {
    let place = planted()?;
    let all = CLIENTS
        .iter()
        .copied()
        .chain([("openai-agents", &["streamable-http"][..])]);
    let mut runs = 0;
    for (client, transports) in all {
        for transport in transports {
            let common = [
                "mcp",
                "config",
                client,
                "--transport",
                transport,
                "--env-file",
                ENV_FILE,
            ];
            for more in [
                &["--include-instructions"][..],
                &["--json", "--include-instructions", "--absolute-paths"],
            ] {
                let ran = place.ok(&[&common[..], more].concat())?;
                ensure!(!ran.to_string().contains(CANARY), "{ran}");
                ensure!(!ran.stdout.contains("acme"), "a tenant: {ran}");
                runs += 1;
            }
            if client == "openai-agents" {
                continue;
            }
            let name = format!("{client}.{transport}");
            let write = ["--write", "--yes", "--json", "--destination", &name];
            let ran = place.ok(&[&common[..], &write].concat())?;
            let written = std::fs::read_to_string(place.path(&name))?;
            ensure!(
                !ran.to_string().contains(CANARY) && !written.contains(CANARY),
                "{ran}\n{written}"
            );
        }
    }
    assert_eq!(runs, 28, "clients and transports");
    Ok(())
}

#[test]
fn rejects_secret_as_name_or_url_without_echo() -> anyhow::Result<()> {
    let place = project()?;
    let http = ["mcp", "config", "cursor", "--transport", "streamable-http"];
    for (more, code) in [
        (["--auth-token-env", "sk-CANARY"], "TOKEN_ENV_INVALID"),
        (["--url", "https://u:CANARY@a.example/mcp"], "CLIENT_URL_INVALID"),
        (
            ["--url", "https://a.example/mcp?key=CANARY"],
            "CLIENT_URL_INVALID",
        ),
        (["--url", "http://a.example/CANARY"], "CLIENT_URL_INVALID"),
        (["--name", "a\"CANARY"], "CLIENT_NAME_INVALID"),
    ] {
        let ran = place.run(&[&http[..], &more].concat())?;
        ran.expect_failure(2, code, &[])?;
        ensure!(!ran.stderr.contains(CANARY) && ran.stdout.is_empty(), "{ran}");
    }
    Ok(())
}
