//! `init`: a contract from the schema catalog that validates, applies, and never overwrites existing files.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use serde_json::json;
use synapsor_domain::contract;
use synapsor_e2e::databases::Engine;

use super::shop::{self, Shop};

/// `init` arguments for the shop's table.
fn arguments(shop: &Shop) -> Vec<String> {
    let table = format!("{}.orders", shop.schema());
    [
        "init",
        "--from-env",
        "ORDERS_READ_URL",
        "--write-url-env",
        "ORDERS_WRITE_URL",
        "--tenant-env",
        "ORDERS_SHOP",
        "--principal-env",
        "ORDERS_AGENT",
        "--table",
        &table,
        "--tenant-column",
        "shop_id",
        "--mode",
        "review",
        "--patch",
        "status=arg:status",
        "--status-guards",
        "status=placed:packed|canceled;packed:shipped",
        "--conflict-advance",
        "increment",
        "--visible-columns",
        "customer_name,status,ship_city",
        "--non-interactive",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn drafted_contract_validates_and_applies() -> anyhow::Result<()> {
    for version in shop::versions() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let place = &shop.place;
        std::fs::remove_file(place.path("synapsor.runner.json"))?;
        place.ok(&words(&arguments(&shop)))?;
        for name in ["synapsor.runner.json", ".env.example"] {
            let mode = std::fs::metadata(place.path(name))?.permissions().mode();
            assert_eq!(mode & 0o777, 0o644, "{name}");
        }
        let valid = place.json(&["config", "validate"])?;
        assert_eq!(
            (&valid["ok"], &valid["warnings"]),
            (&json!(true), &json!([])),
            "{version}: {valid}"
        );
        place
            .ok(&["writeback", "doctor", "--check-db"])
            .or_else(|error| {
                // The example keeps its receipts in a separate schema; a drafted contract keeps them in the
                // default one.
                anyhow::ensure!(
                    version.engine.in_contract() == contract::EngineKind::Postgres,
                    error
                );
                let database = shop.database.as_ref().context("a server's database")?;
                let role = shop::renamed("orders_writer", database);
                shop.execute(&place.ok(&["writeback", "migration"])?.stdout)?;
                shop.execute(&place.ok(&["writeback", "grants", "--writer-role", &role])?.stdout)?;
                place.ok(&["writeback", "doctor", "--check-db"])
            })?;
        place.write("call.json", "{\"order_id\": \"SO-1001\", \"status\": \"packed\"}")?;
        place.ok(&["propose", "order.propose_order_update", "--input", "call.json"])?;
        place.ok(&["proposals", "approve", "latest", "--yes"])?;
        place.ok(&["apply", "latest"])?;
        assert_eq!(shop.order("SO-1001", "status")?, "packed", "{version}");
        assert_eq!(shop.order("SO-1001", "version")?, "2", "{version}");
    }
    Ok(())
}

#[test]
fn init_keeps_existing_files_without_force() -> anyhow::Result<()> {
    let shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let (place, init) = (&shop.place, arguments(&shop));
    let before = std::fs::read(place.path("synapsor.runner.json"))?;
    place
        .run(&words(&init))?
        .expect_failure(1, "FILE_EXISTS", &["synapsor.runner.json", "--force"])?;
    let dry = place.ok(&[&words(&init)[..], &["--dry-run"]].concat())?;
    assert!(dry.stdout.contains("\"capabilities\""), "{dry}");
    assert_eq!(std::fs::read(place.path("synapsor.runner.json"))?, before);
    assert!(!place.path(".env.example").exists());
    let refused = place.json(&[&words(&init)[..], &["--output", "other/contract.json"]].concat());
    assert!(refused.is_err(), "a missing directory was accepted");
    let output = place.json(&[&words(&init)[..], &["--force"]].concat())?;
    assert_eq!(
        (&output["written"], &output["proposal_tool"]),
        (&json!(true), &json!("order.propose_order_update"))
    );
    assert_ne!(std::fs::read(place.path("synapsor.runner.json"))?, before);
    // A second contract in the directory keeps the example variables of the first.
    place.write(".env.example", "MINE=1\n")?;
    let second = place.ok(&[&words(&init)[..], &["--output", "second.json"]].concat())?;
    assert!(
        second.stdout.contains("kept .env.example") && second.stdout.contains("ORDERS_READ_URL"),
        "{second}"
    );
    assert_eq!(std::fs::read_to_string(place.path(".env.example"))?, "MINE=1\n");
    Ok(())
}

#[test]
fn saved_inspection_replaces_the_database() -> anyhow::Result<()> {
    let mut shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let saved = shop
        .place
        .ok(&["inspect", "--from-env", "ORDERS_READ_URL", "--json"])?
        .stdout;
    shop.place.write("saved.json", &saved)?;
    let live = shop
        .place
        .ok(&[&words(&arguments(&shop))[..], &["--dry-run"]].concat())?
        .stdout;
    shop.place.unset("ORDERS_READ_URL");
    let place = &shop.place;
    let mut offline = arguments(&shop);
    let at = offline
        .iter()
        .position(|word| word == "--from-env")
        .context("the flag")?;
    offline.splice(
        at..at + 2,
        ["--inspection-json".to_owned(), "saved.json".to_owned()],
    );
    let offline = place.ok(&[&words(&offline)[..], &["--dry-run"]].concat())?.stdout;
    assert_eq!(
        offline.replace("SYNAPSOR_DATABASE_READ_URL", "ORDERS_READ_URL"),
        live
    );
    place.write(
        "answers.json",
        &json!({
            "engine": "sqlite", "schema": "main", "table": "orders", "primary_key": "order_number",
            "tenant_column": "shop_id", "visible_columns": "status", "patch": "status=arg:status",
        })
        .to_string(),
    )?;
    let answered = place.json(&["init", "--answers", "answers.json", "--dry-run"])?;
    assert_eq!(answered["config"]["mode"], "review");
    assert_eq!(answered["written"], json!(false));
    Ok(())
}

#[test]
fn unsupported_schema_is_refused_with_a_message() -> anyhow::Result<()> {
    let shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let place = &shop.place;
    for wrong in [
        &["--writeback", "http_handler"][..],
        &["--emit-handler"],
        &["--handler-url-env", "X"],
        &[
            "--mode",
            "cloud",
            "--table",
            "orders",
            "--from-env",
            "ORDERS_READ_URL",
            "--force",
        ],
    ] {
        place
            .run(&[&["init"], wrong].concat())?
            .expect_failure(2, "NOT_AVAILABLE", &[])?;
    }
    let force = ["init", "--from-env", "ORDERS_READ_URL", "--force", "--dry-run"];
    let wrong = |more: &[&str], code: &str, place_named: &str| {
        place
            .run(&[&force[..], more].concat())?
            .expect_failure(2, code, &[place_named])
    };
    wrong(&[], "TABLE_REQUIRED", "main.orders")?;
    wrong(&["--table", "ordres"], "TABLE_NOT_FOUND", "main.orders")?;
    wrong(&["--table", "orders"], "TENANT_REQUIRED", "--tenant-column")?;
    wrong(
        &["--table", "orders", "--tenant-column", "shop_id"],
        "PATCH_REQUIRED",
        "--patch",
    )?;
    wrong(
        &[
            "--table",
            "orders",
            "--tenant-column",
            "x",
            "--patch",
            "status=arg:s",
        ],
        "COLUMN_NOT_FOUND",
        "shop_id",
    )?;
    wrong(
        &["--table", "orders", "--patch", "status"],
        "PATCH_INVALID",
        "COLUMN=arg:NAME",
    )?;
    wrong(
        &["--write-url-env", "postgres://u:canary@h/d"],
        "ENV_NAME_INVALID",
        "SYNAPSOR_DATABASE_READ_URL",
    )
}

#[test]
fn readers_variable_is_named_when_the_inspecting_account_writes() -> anyhow::Result<()> {
    let shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let place = &shop.place;
    let inspected = place.ok(&["inspect", "--from-env", "ORDERS_WRITE_URL"])?.stdout;
    let next = "init --from-env ORDERS_WRITE_URL --read-url-env SYNAPSOR_DATABASE_READ_URL";
    assert!(inspected.contains(next), "{inspected}");

    let mut init = arguments(&shop);
    let from = init
        .iter()
        .position(|word| word == "ORDERS_READ_URL")
        .context("--from-env")?;
    init[from] = "ORDERS_WRITE_URL".to_owned();
    for (more, variable) in [
        (&["--read-url-env", "ORDERS_READ_URL"][..], "ORDERS_READ_URL"),
        (&[], "ORDERS_WRITE_URL"),
    ] {
        let drafted = place.ok(&[&words(&init)[..], &["--dry-run"], more].concat())?;
        let expected = format!("\"read_url_env\": \"{variable}\"");
        assert!(drafted.stdout.contains(&expected), "{drafted}");
    }
    Ok(())
}

#[test]
fn propose_marks_old_values_that_the_agent_cannot_see() -> anyhow::Result<()> {
    let shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let (place, mut init) = (&shop.place, arguments(&shop));
    let guards = init
        .iter()
        .position(|word| word == "--status-guards")
        .context("guards")?;
    init.drain(guards..guards + 2);
    place.write("call.json", "{\"order_id\": \"SO-1001\", \"status\": \"packed\"}")?;
    for (visible, printed) in [
        ("customer_name,status", "status: placed -> packed"),
        ("customer_name", "status: (null or not visible) -> packed"),
    ] {
        let at = init
            .iter()
            .position(|word| word.starts_with("customer_name"))
            .context("columns")?;
        init[at] = visible.to_owned();
        place.ok(&[&words(&init)[..], &["--force"]].concat())?;
        let proposed = place.ok(&["propose", "order.propose_order_update", "--input", "call.json"])?;
        assert!(proposed.stdout.contains(printed), "{visible}: {proposed}");
        place.ok(&["proposals", "reject", "latest", "--reason", "not needed", "--yes"])?;
    }
    Ok(())
}
