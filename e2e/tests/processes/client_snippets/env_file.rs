//! `--env-file` of every command that starts processes: it is read if it is private, rejected otherwise, and never
//! overrides variables that are set already.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{INVOICE, PROPOSE};

use super::scene::{ENV_FILE, TOKEN, project};

const UP: Duration = Duration::from_secs(30);

#[test]
fn commands_take_variables_from_the_env_file() -> anyhow::Result<()> {
    let place = project()?;
    place.write(
        "call.json",
        &json!({ "invoice_id": INVOICE, "reason": "goodwill" }).to_string(),
    )?;
    let propose = ["propose", PROPOSE, "--input", "call.json"];
    place
        .run(&propose)?
        .expect_failure(2, "ENV_MISSING", &["BILLING_READ_URL"])?;
    let file = ["--env-file", ENV_FILE];
    place.ok(&[&propose[..], &file].concat())?;
    place.ok(&[&["proposals", "approve", "latest", "--yes"][..], &file].concat())?;
    let applied = place.json(&[&["apply", "latest"][..], &file].concat())?;
    assert_eq!(applied["status"], json!("applied"), "{applied}");
    Ok(())
}

#[test]
fn shell_variables_override_the_env_file() -> anyhow::Result<()> {
    let mut place = project()?;
    place.write("call.json", &json!({ "invoice_id": INVOICE }).to_string())?;
    let call = [
        "smoke",
        "call",
        "billing.inspect_invoice",
        "--input",
        "call.json",
        "--env-file",
        ENV_FILE,
    ];
    assert_eq!(place.json(&call)?["ok"], json!(true));
    place.set("BILLING_TENANT", "globex");
    let mut json = call.to_vec();
    json.push("--json");
    let other = place.run(&json)?;
    other.expect(1)?;
    assert_eq!(
        other.object()?["result"]["error"]["code"],
        json!("NOT_FOUND_IN_TENANT"),
        "{other}"
    );
    Ok(())
}

#[test]
fn readable_or_invalid_env_file_stops_every_start() -> anyhow::Result<()> {
    let place = project()?;
    let path = place.path(ENV_FILE);
    let starts: [&[&str]; 5] = [
        &["mcp", "serve"],
        &["mcp", "serve-streamable-http"],
        &["up", "--serve"],
        &["propose", PROPOSE, "--sample"],
        &["smoke", "call", "billing.inspect_invoice", "--sample"],
    ];
    let good = fs::read_to_string(&path)?;
    let before = place.listing()?;
    for start in starts {
        let arguments = [start, &["--env-file", ENV_FILE]].concat();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        place
            .run(&arguments)?
            .expect_failure(2, "ENV_FILE_OPEN", &[ENV_FILE])?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        place.write(ENV_FILE, &format!("{good}BILLING_TENANT=SEKRIT\n"))?;
        let ran = place.run(&arguments)?;
        let line = format!("line {}", good.lines().count() + 1);
        ran.expect_failure(2, "ENV_FILE_INVALID", &[ENV_FILE, &line])?;
        ensure!(!ran.stderr.contains("SEKRIT"), "{ran}");
        place.write(ENV_FILE, &good)?;
    }
    assert_eq!(place.listing()?, before, "files were created");
    Ok(())
}

/// With `up` each child gets its own part of the file, and the gateway no database variable.
#[test]
fn children_of_up_get_their_part_of_the_env_file() -> anyhow::Result<()> {
    let place = project()?;
    let mut up = place.start(&["up", "--serve", "--port", "0", "--json", "--env-file", ENV_FILE])?;
    up.until_printed(UP, |text| serde_json::from_str::<Json>(text).is_ok())?;
    let shown: Json = serde_json::from_str(&up.printed()?.0)?;
    let of = |name: &str| {
        let mut all = shown["processes"].as_array().into_iter().flatten();
        all.find(|process| process["name"] == *name)
            .map(|process| process["environment"].clone())
    };
    assert_eq!(
        of("gateway"),
        Some(json!(["SYNAPSOR_RUNNER_HTTP_TOKEN"])),
        "{shown}"
    );
    assert_eq!(of("ledger"), Some(json!([])), "{shown}");
    assert_eq!(
        of("reader"),
        Some(json!(["BILLING_PRINCIPAL", "BILLING_READ_URL", "BILLING_TENANT"])),
        "{shown}"
    );
    assert_eq!(of("writer"), Some(json!(["BILLING_WRITE_URL"])), "{shown}");
    for (_, line) in place.processes()? {
        let is_supervisor = line.contains("synapsor-runner ");
        ensure!(
            is_supervisor || (!line.contains(ENV_FILE) && !line.contains(TOKEN)),
            "{line}"
        );
    }
    up.signal(rustix::process::Signal::INT)?;
    up.end(UP)?.expect(0)
}
