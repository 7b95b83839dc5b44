//! Rights on the server's own functions and views that an administrator revoked from every role: the error says which,
//! and its statements restore them.

use anyhow::{Context as _, ensure};
use serde_json::json;
use synapsor_e2e::databases::Engine;

use super::shop;

/// Rights that reading, inspecting or writing needs, each with its object.
const NEEDED: [(&str, &str); 5] = [
    ("EXECUTE", "FUNCTION pg_catalog.pg_is_in_recovery()"),
    ("EXECUTE", "FUNCTION pg_catalog.pg_backend_pid()"),
    ("EXECUTE", "FUNCTION pg_catalog.pg_get_expr(pg_node_tree, oid)"),
    ("EXECUTE", "FUNCTION pg_catalog.pg_get_constraintdef(oid)"),
    ("SELECT", "pg_catalog.pg_trigger"),
];

#[test]
fn revoked_right_of_every_role_is_named_with_its_grant() -> anyhow::Result<()> {
    let Some(shop) = shop::open(Engine::Postgres)? else {
        return Ok(());
    };
    for (right, object) in NEEDED {
        shop.execute(&format!("REVOKE {right} ON {object} FROM PUBLIC"))?;
        let checked = shop.place.run(&["writeback", "doctor", "--check-db"])?;
        checked.expect(1)?;
        let grants = grants(&checked.stdout);
        ensure!(
            checked.stdout.contains("SOURCE_DENIED") && grants.len() == 2,
            "{object}: {checked}"
        );
        for grant in grants {
            ensure!(
                grant.starts_with(&format!("GRANT {right} ON {object} TO "))
                    && grant.matches("GRANT").count() == 1,
                "{grant}"
            );
            shop.execute(&grant)?;
        }
        shop.place.ok(&["writeback", "doctor", "--check-db"])?;
    }
    Ok(())
}

/// A missing right on a table is not explained by the server's own functions.
#[test]
fn missing_right_on_a_table_names_no_system_function() -> anyhow::Result<()> {
    let Some(shop) = shop::open(Engine::Postgres)? else {
        return Ok(());
    };
    let database = shop.database.as_ref().context("a server's database")?;
    // No statement of this program needs it.
    shop.execute("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) FROM PUBLIC")?;
    let reader = shop::renamed("orders_reader", database);
    shop.execute(&format!(
        "REVOKE ALL ON shop.orders FROM {reader}; REVOKE USAGE ON SCHEMA shop FROM {reader}"
    ))?;
    shop.place
        .write("call.json", &json!({ "order_number": "SO-1001" }).to_string())?;
    for command in [
        &["writeback", "doctor", "--check-db"][..],
        &["smoke", "call", "orders.inspect_order", "--input", "call.json"],
    ] {
        let ran = shop.place.run(command)?;
        ensure!(!ran.to_string().contains("pg_catalog"), "{ran}");
    }
    Ok(())
}

/// Statements that the output says to run, one for each role.
fn grants(printed: &str) -> Vec<String> {
    let lines = printed.lines();
    let after = lines.filter_map(|line| line.split_once("as an administrator, run "));
    let mut grants: Vec<String> = after
        .filter_map(|(_, rest)| {
            rest.split_once(" Then ")
                .map(|(statements, _)| statements.to_owned())
        })
        .collect();
    grants.dedup();
    grants
}
