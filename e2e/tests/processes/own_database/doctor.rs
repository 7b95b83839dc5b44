//! `writeback doctor`: each missing or excessive right has a code and a statement, and running that statement
//! fixes the finding.

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_domain::contract;
use synapsor_e2e::databases::{Engine, EngineVersion};

use super::shop::{self, Shop};

/// Findings of one role, worst first.
fn findings(checked: &Json, role: usize) -> Vec<Json> {
    let part = &checked["roles"][role];
    let of_sources = part["sources"].as_array().into_iter().flatten();
    part["variables"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(of_sources.flat_map(|source| source["findings"].as_array().into_iter().flatten()))
        .filter(|finding| finding["severity"] != "ok")
        .cloned()
        .collect()
}

fn check(shop: &Shop, exit: i32) -> anyhow::Result<Json> {
    let ran = shop.place.run(&["writeback", "doctor", "--check-db", "--json"])?;
    ran.expect(exit)?;
    assert!(!ran.to_string().contains("not-a-secret"), "{ran}");
    ran.object()
}

fn revoke(shop: &Shop, what: &str, from: &str) -> anyhow::Result<()> {
    let database = shop.database.as_ref().context("a server's database")?;
    let role = shop::renamed(from, database);
    shop.execute(&format!("REVOKE {what} FROM {role}"))
}

#[test]
fn missing_right_is_named_with_its_grant() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let receipts = match version.engine.in_contract() {
            contract::EngineKind::Postgres => "synapsor.synapsor_writeback_receipts",
            _ => "synapsor_writeback_receipts",
        };
        for what in [
            format!("UPDATE (status) ON {}", shop.table()),
            format!("SELECT (version) ON {}", shop.table()),
            format!("INSERT ON {receipts}"),
        ] {
            revoke(&shop, &what, "orders_writer")?;
            let checked = check(&shop, 1)?;
            let found = findings(&checked, 1);
            // The settings of the test servers stay, and the probe fails for the missing right.
            let is_right =
                |finding: &&Json| finding["code"] != "DURABILITY_WEAK" && finding["code"] != "PROBE_FAILED";
            let fixes: Vec<&str> = found
                .iter()
                .filter(is_right)
                .filter_map(|f| f["fix"].as_str())
                .collect();
            assert!(
                !fixes.is_empty(),
                "{version}, without {what}: no statement in {checked}"
            );
            for fix in fixes {
                shop.execute(fix)
                    .with_context(|| format!("{version}, without {what}: {checked}"))?;
            }
            check(&shop, 0).with_context(|| format!("{version}: mended {what}"))?;
        }
    }
    Ok(())
}

#[test]
fn unreadable_column_is_named_with_its_grant() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        // A visible column, the guard, the tenant and the key.
        for column in ["ship_city", "version", "shop_id", "order_number"] {
            revoke(
                &shop,
                &format!("SELECT ({column}) ON {}", shop.table()),
                "orders_reader",
            )?;
            let checked = check(&shop, 1)?;
            let found = findings(&checked, 0);
            assert_eq!(found.len(), 1, "{version}, without {column}: {checked}");
            let quoted = match version.engine.in_contract() {
                contract::EngineKind::Postgres => format!("\"{column}\""),
                _ => format!("`{column}`"),
            };
            let text = format!("the account lacks SELECT on `{column}` of `orders`");
            assert_eq!(
                (&found[0]["code"], &found[0]["severity"], &found[0]["text"]),
                (&json!("GRANT_MISSING"), &json!("error"), &json!(text)),
                "{version}: {checked}"
            );
            let fix = found[0]["fix"].as_str().context("a statement")?;
            assert!(
                fix.starts_with(&format!("GRANT SELECT ({quoted}) ON ")),
                "{version}: {fix}"
            );
            let shown = shop.place.run(&["writeback", "doctor", "--check-db"])?;
            shown.expect(1)?;
            assert!(
                shown.stdout.contains(&text) && shown.stdout.contains(fix),
                "{shown}"
            );
            shop.execute(fix)?;
            check(&shop, 0).with_context(|| format!("{version}: mended {column}"))?;
        }
    }
    Ok(())
}

#[test]
fn reader_without_rights_lists_every_column() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        revoke(
            &shop,
            &format!(
                "SELECT (order_number, customer_name, status, ship_street, ship_city, \
            ship_postcode, total_amount, placed_at, version, shop_id) ON {}",
                shop.table()
            ),
            "orders_reader",
        )?;
        let checked = check(&shop, 1)?;
        let found = findings(&checked, 0);
        let fixes: Vec<&str> = found.iter().filter_map(|f| f["fix"].as_str()).collect();
        assert_eq!(fixes.len(), 1, "{version}: {checked}");
        assert!(
            fixes[0].contains("shop_id") && fixes[0].contains("order_number"),
            "{checked}"
        );
        shop.execute(fixes[0])?;
        check(&shop, 0).with_context(|| format!("{version}: mended"))?;
    }
    Ok(())
}

/// An account that may read every table sees the rights of other accounts in the catalog.
#[test]
fn rights_of_other_accounts_are_not_the_readers() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        if version.engine.in_contract() != contract::EngineKind::Mysql {
            continue;
        }
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let database = shop.database.as_ref().context("a server's database")?;
        let reader = shop::renamed("orders_reader", database);
        shop.execute(&format!("GRANT SELECT ON *.* TO {reader}"))?;
        let checked = check(&shop, 0)?;
        let read = findings(&checked, 0);
        assert!(
            read.iter().all(|f| f["code"] != "READ_ROLE_CAN_WRITE"),
            "{version}: {checked}"
        );
    }
    Ok(())
}

/// Functions that only a write calls. A role has the rights on them from PUBLIC.
#[test]
fn revoked_function_of_a_write_is_named_with_its_grant() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        if version.engine.in_contract() != contract::EngineKind::Postgres {
            continue;
        }
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        for function in [
            "pg_current_xact_id_if_assigned()",
            "pg_stat_get_xact_tuples_updated(oid)",
            "pg_cursor()",
            "pg_lock_status()",
        ] {
            shop.execute(&format!(
                "REVOKE EXECUTE ON FUNCTION pg_catalog.{function} FROM PUBLIC"
            ))?;
            let checked = check(&shop, 1)?;
            let found = findings(&checked, 1);
            let fix = found.iter().find_map(|f| {
                let fix = f["fix"].as_str()?;
                fix.contains(function).then_some(fix)
            });
            shop.execute(fix.with_context(|| format!("{version}, {function}: {checked}"))?)?;
            check(&shop, 0).with_context(|| format!("{version}: mended {function}"))?;
        }
    }
    Ok(())
}

#[test]
fn excessive_rights_are_warnings() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let database = shop.database.as_ref().context("a server's database")?;
        let (reader, writer) = (
            shop::renamed("orders_reader", database),
            shop::renamed("orders_writer", database),
        );
        shop.execute(&format!("GRANT UPDATE ON {} TO {reader}", shop.table()))?;
        shop.execute(&format!("GRANT DELETE ON {} TO {writer}", shop.table()))?;
        let checked = check(&shop, 0)?;
        let read = findings(&checked, 0);
        assert!(
            read.iter()
                .any(|f| f["code"] == "READ_ROLE_CAN_WRITE" && f["severity"] == "warning"),
            "{version}: {checked}"
        );
        assert!(
            !findings(&checked, 1).is_empty(),
            "{version}: DELETE is no warning in {checked}"
        );
    }
    Ok(())
}

#[test]
fn missing_receipt_table_is_reported_with_migration() -> anyhow::Result<()> {
    for version in shop::versions() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let receipts = match version.engine.in_contract() {
            contract::EngineKind::Postgres => "synapsor.synapsor_writeback_receipts",
            _ => "synapsor_writeback_receipts",
        };
        shop.execute(&format!("DROP TABLE {receipts}"))?;
        let checked = check(&shop, 1)?;
        assert!(
            checked.to_string().contains("CREATE TABLE"),
            "{version}: {checked}"
        );
        let shown = shop.place.run(&["writeback", "doctor", "--check-db"])?;
        shown.expect(1)?;
        assert!(shown.stdout.contains("error"), "{shown}");
    }
    Ok(())
}

#[test]
fn printed_statements_take_away_what_everyone_or_the_role_has() -> anyhow::Result<()> {
    let Some(shop) = shop::open(Engine::Postgres)? else {
        return Ok(());
    };
    let database = shop.database.as_ref().context("a server's database")?;
    let writer = shop::renamed("orders_writer", database);
    for (grant, code) in [
        (
            "GRANT DELETE ON shop.orders TO PUBLIC".to_owned(),
            "GRANT_EXCESSIVE",
        ),
        (
            "GRANT UPDATE ON shop.orders TO PUBLIC".to_owned(),
            "GRANT_EXCESSIVE",
        ),
        (
            "GRANT CREATE ON SCHEMA shop TO PUBLIC".to_owned(),
            "GRANT_EXCESSIVE",
        ),
        (
            format!("ALTER ROLE {writer} SET synchronous_commit = off"),
            "DURABILITY_WEAK",
        ),
    ] {
        let is_found = |checked: &Json| {
            let found = findings(checked, 1);
            found
                .into_iter()
                .find(|f| f["code"] == code && !f["text"].to_string().contains("fsync"))
        };
        shop.execute(&grant)?;
        let checked = check(&shop, 0)?;
        let found = is_found(&checked).with_context(|| format!("{grant}: {checked}"))?;
        for statement in found["fix"].as_str().context("a statement")?.lines() {
            shop.execute(statement)?;
        }
        let checked = check(&shop, 0)?;
        assert!(is_found(&checked).is_none(), "{grant}: {checked}");
    }
    Ok(())
}

#[test]
fn column_that_the_database_changes_has_to_be_listed() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        if version.engine.in_contract() != contract::EngineKind::Mysql {
            continue;
        }
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let column =
            "ADD COLUMN changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP";
        shop.execute(&format!("ALTER TABLE orders {column}"))?;
        let database = shop.database.as_ref().context("a server's database")?;
        for role in ["orders_reader", "orders_writer"] {
            let role = shop::renamed(role, database);
            shop.execute(&format!("GRANT SELECT (changed_at) ON orders TO {role}"))?;
        }
        check(&shop, 0).with_context(|| format!("{version}: not in the contract"))?;
        let path = "synapsor.runner.json";
        let mut contract: Json = serde_json::from_str(&std::fs::read_to_string(shop.place.path(path))?)?;
        let change = contract["capabilities"]
            .as_array_mut()
            .context("capabilities")?
            .iter_mut()
            .find(|capability| capability["kind"] == "proposal")
            .context("a proposal")?;
        let visible = change["visible_columns"].as_array_mut().context("columns")?;
        visible.push(json!("changed_at"));
        let name = change["name"].clone();
        shop.place.write(path, &contract.to_string())?;
        let checked = check(&shop, 1)?;
        let found = &findings(&checked, 1)[0];
        assert_eq!(found["code"], json!("DB_MANAGED_MISSING"), "{version}: {checked}");
        let is_same = |capability: &&mut Json| capability["name"] == name;
        let mut all = contract["capabilities"].as_array_mut().into_iter().flatten();
        all.find(is_same).context("a proposal")?["db_managed"] = json!(["changed_at"]);
        shop.place.write(path, &contract.to_string())?;
        check(&shop, 0).with_context(|| version.to_string())?;

        let misspelt = contract
            .to_string()
            .replace("[\"changed_at\"]", "[\"changed_at\",\"changd_at\"]");
        shop.place.write(path, &misspelt)?;
        let checked = check(&shop, 0)?;
        let all = findings(&checked, 1);
        let found = all.iter().find(|found| found["code"] == "COLUMN_MISSING");
        let found = found.with_context(|| format!("{version}: {checked}"))?;
        assert_eq!(found["severity"], "warning", "{version}: {checked}");
        for part in [&found["text"], &found["fix"]] {
            assert!(part.to_string().contains("changd_at"), "{version}: {checked}");
        }
    }
    Ok(())
}

#[test]
fn second_index_by_time_is_accepted_and_others_are_not() -> anyhow::Result<()> {
    let Some(shop) = shop::open(Engine::Postgres)? else {
        return Ok(());
    };
    let receipts = "synapsor.synapsor_writeback_receipts";
    shop.execute(&format!(
        "CREATE INDEX twin ON {receipts} (created_at, proposal_id)"
    ))?;
    check(&shop, 0)?;
    shop.execute(&format!("CREATE INDEX other ON {receipts} (outcome)"))?;
    let checked = check(&shop, 1)?;
    let found = &findings(&checked, 1)[0];
    assert_eq!(found["code"], json!("RECEIPT_TABLE_UNFIT"), "{checked}");
    let text = found["text"].to_string();
    assert!(text.contains("`other`") && !text.contains("`twin`"), "{checked}");
    Ok(())
}

#[test]
fn key_that_no_argument_names_is_reported_for_both_roles() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let statements: &[&str] = match version.engine.in_contract() {
            contract::EngineKind::Postgres => {
                &["ALTER TABLE shop.orders ALTER COLUMN order_number TYPE inet \
                 USING '10.0.0.0'::inet + substr(order_number, 4)::bigint"]
            }
            _ => &[
                "UPDATE orders SET order_number = SUBSTR(order_number, 4)",
                "ALTER TABLE orders MODIFY order_number FLOAT(10,2) NOT NULL",
            ],
        };
        for statement in statements {
            shop.execute(statement).with_context(|| version.to_string())?;
        }
        let checked = check(&shop, 1)?;
        for role in [0, 1] {
            let found = findings(&checked, role);
            assert!(
                found
                    .iter()
                    .any(|f| f["code"] == "KEY_TYPE_UNFIT" && f["text"].to_string().contains("order_number")),
                "{version}: {checked}"
            );
        }
    }
    Ok(())
}

#[test]
fn source_with_an_unusable_url_keeps_no_other_from_its_checks() -> anyhow::Result<()> {
    let mut shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let mut contract: Json = serde_json::from_str(shop::published(Engine::Sqlite).1)?;
    contract["sources"]["archive_db"] = json!({ "engine": "postgres", "read_url_env": "ARCHIVE_READ_URL" });
    let mut archived = contract["capabilities"][0].clone();
    archived["name"] = json!("archive.inspect_order");
    archived["source"] = json!("archive_db");
    contract["capabilities"]
        .as_array_mut()
        .context("capabilities")?
        .insert(0, archived);
    shop.place.write("synapsor.runner.json", &contract.to_string())?;
    shop.place.set(
        "ARCHIVE_READ_URL",
        "postgres://u:not-a-secret-7@h/d?no_such_parameter=1",
    );
    let checked = check(&shop, 1)?;
    let sources = checked["roles"][0]["sources"].as_array().context("sources")?;
    let of = |name: &str| {
        sources
            .iter()
            .find(|source| source["source_id"] == name)
            .context("a source")
    };
    let refused = &of("archive_db")?["findings"][0];
    assert_eq!(refused["code"], json!("SOURCE_URL_INVALID"), "{checked}");
    assert!(
        refused["text"].to_string().contains("ARCHIVE_READ_URL"),
        "{checked}"
    );
    assert!(!of("orders")?["product"].to_string().is_empty(), "{checked}");
    Ok(())
}

#[test]
fn emptied_identity_table_has_one_code_in_doctor_and_calls() -> anyhow::Result<()> {
    for version in shop::versions() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        if version.engine.in_contract() == contract::EngineKind::Postgres {
            continue;
        }
        shop.execute("DELETE FROM synapsor_database_identity")?;
        shop.place.write("call.json", r#"{"order_number": "SO-1001"}"#)?;
        let call = ["smoke", "call", "orders.inspect_order", "--input", "call.json"];
        let ran = shop.place.run(&call)?;
        ran.expect(1).with_context(|| version.to_string())?;
        let checked = check(&shop, 1)?;
        for shown in [ran.to_string(), checked.to_string()] {
            assert!(
                shown.contains("RECEIPT_TABLE_UNFIT") && shown.contains("writeback migration"),
                "{version}: {shown}"
            );
        }
        let migration = shop.place.ok(&["writeback", "migration"])?.stdout;
        let (_, insert) = migration.split_once("\nINSERT").context("an INSERT")?;
        let (insert, _) = insert.split_once(";\n").context("its end")?;
        shop.execute(&format!("INSERT{insert}"))
            .with_context(|| version.to_string())?;
        shop.place.ok(&call)?;
        check(&shop, 0).with_context(|| version.to_string())?;
    }
    Ok(())
}

#[test]
fn unusable_table_is_named_by_doctor_and_refusal() -> anyhow::Result<()> {
    for version in shop::versions() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let (statements, word): (&[&str], &str) = match version.engine.in_contract() {
            contract::EngineKind::Postgres => (&["ALTER TABLE shop.orders SET UNLOGGED"], "unlogged"),
            contract::EngineKind::Mysql => (
                &["ALTER TABLE orders PARTITION BY KEY (order_number) PARTITIONS 2"],
                "partitioned",
            ),
            contract::EngineKind::Sqlite => (
                &[
                    "ALTER TABLE orders RENAME TO orders_1",
                    "CREATE VIEW orders AS SELECT * FROM orders_1",
                ],
                "view",
            ),
        };
        for statement in statements {
            shop.execute(statement).with_context(|| version.to_string())?;
        }
        let checked = check(&shop, 1)?;
        let found = findings(&checked, 1);
        let unfit = found.iter().find(|found| found["code"] == "TABLE_UNFIT");
        let unfit = unfit.with_context(|| format!("{version}: {checked}"))?;
        let text = unfit["text"].as_str().unwrap_or_default();
        assert!(
            text.contains("orders") && text.contains(word),
            "{version}: {unfit}"
        );
        assert!(unfit["fix"].is_string(), "{version}: {unfit}");
        let call = json!({ "order_number": "SO-1001", "status": "packed" });
        shop.place.write("call.json", &call.to_string())?;
        let propose = [
            "propose",
            "orders.propose_status_change",
            "--input",
            "call.json",
            "--json",
        ];
        let refused = shop.place.run(&propose)?;
        refused.expect(1)?;
        let error = &refused.object()?["result"]["error"];
        assert_eq!(error["code"], "POLICY_VIOLATION", "{version}: {refused}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(word), "{version}: {refused}");
    }
    Ok(())
}

#[test]
fn triggers_not_fired_by_updates_are_no_side_effect() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let (make, update): (&[&str], &str) = match version.engine.in_contract() {
            contract::EngineKind::Postgres => (
                &[
                    "CREATE FUNCTION shop.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                    "CREATE TRIGGER on_insert AFTER INSERT OR DELETE ON shop.orders \
                     FOR EACH ROW EXECUTE FUNCTION shop.nothing()",
                    "CREATE TRIGGER disabled AFTER UPDATE ON shop.orders \
                     FOR EACH ROW EXECUTE FUNCTION shop.nothing()",
                    "ALTER TABLE shop.orders DISABLE TRIGGER disabled",
                ],
                "ALTER TABLE shop.orders ENABLE TRIGGER disabled",
            ),
            _ => (
                &["CREATE TRIGGER on_insert AFTER INSERT ON orders FOR EACH ROW SET @seen = 1"],
                "CREATE TRIGGER on_update AFTER UPDATE ON orders FOR EACH ROW SET @seen = 1",
            ),
        };
        for statement in make {
            shop.execute(statement).with_context(|| version.to_string())?;
        }
        let checked = check(&shop, 0)?;
        let has_effect = |checked: &Json| findings(checked, 1).iter().any(|f| f["code"] == "SIDE_EFFECT");
        assert!(!has_effect(&checked), "{version}: {checked}");
        shop.execute(update).with_context(|| version.to_string())?;
        let ran = shop.place.run(&["writeback", "doctor", "--check-db", "--json"])?;
        assert!(has_effect(&ran.object()?), "{version}: {ran}");
    }
    Ok(())
}

#[test]
fn unavailable_database_is_not_a_rights_finding() -> anyhow::Result<()> {
    let Some(mut shop) = shop::open(Engine::Postgres)? else {
        return Ok(());
    };
    for variable in ["ORDERS_READ_URL", "ORDERS_WRITE_URL"] {
        shop.place
            .set(variable, "postgres://u:not-a-secret-7@127.0.0.1:1/d");
    }
    let checked = check(&shop, 6)?;
    assert!(
        checked["roles"][1]["sources"][0]["unavailable"].is_string(),
        "{checked}"
    );
    Ok(())
}

#[test]
fn offline_doctor_checks_only_variables() -> anyhow::Result<()> {
    let mut shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let fine = shop.place.ok(&["writeback", "doctor"])?;
    assert!(fine.stdout.contains("--check-db"), "{fine}");
    shop.place.unset("ORDERS_WRITE_URL");
    let ran = shop.place.run(&["writeback", "doctor", "--json"])?;
    ran.expect(1)?;
    let checked = ran.object()?;
    assert_eq!(
        findings(&checked, 1)[0]["code"],
        json!("VARIABLE_MISSING"),
        "{checked}"
    );
    // With one variable for both, the writer has no separate credential.
    let contract = shop::published(Engine::Postgres).1;
    shop.place.write(
        "synapsor.runner.json",
        &contract.replace("ORDERS_WRITE_URL", "ORDERS_READ_URL"),
    )?;
    let shared = shop.place.ok(&["writeback", "doctor", "--json"])?.object()?;
    assert_eq!(
        findings(&shared, 1)[0]["code"],
        json!("CREDENTIAL_SHARED"),
        "{shared}"
    );
    Ok(())
}

#[test]
fn statements_need_role_engine_and_plain_names() -> anyhow::Result<()> {
    let shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let place = &shop.place;
    place
        .run(&["writeback", "grants", "--engine", "postgres"])?
        .expect(2)?;
    place
        .run(&["writeback", "migration", "--engine", "oracle"])?
        .expect(2)?;
    place
        .run(&["writeback", "migration", "--engine", "mysql"])?
        .expect_failure(2, "SCHEMA_REQUIRED", &["--schema"])?;
    place
        .run(&[
            "writeback",
            "migration",
            "--engine",
            "postgres",
            "--schema",
            "a\"; DROP",
        ])?
        .expect(1)?;
    let printed = place.json(&[
        "writeback",
        "migration",
        "--engine",
        "postgres",
        "--schema",
        "own",
        "--table",
        "r",
    ])?;
    assert!(
        printed["statements"]
            .as_str()
            .is_some_and(|sql| sql.contains("\"own\".\"r\"")),
        "{printed}"
    );
    let grants = [
        "writeback",
        "grants",
        "--engine",
        "mysql",
        "--schema",
        "own",
        "--writer-role",
        "app@10.0.0.5",
    ];
    let printed = place.json(&grants)?;
    assert!(
        printed["statements"]
            .as_str()
            .is_some_and(|sql| sql.contains("`app`@`10.0.0.5`")),
        "{printed}"
    );
    Ok(())
}
