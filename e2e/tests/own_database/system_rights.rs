//! Rights on the server's own functions and views that an administrator revoked from every role: the error says which,
//! and its statements restore them.

use anyhow::ensure;
use synapsor_e2e::databases::Engine;

use crate::shop;

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
                grant.contains(&format!("GRANT {right} ON {object} TO ")),
                "{grant}"
            );
            shop.execute(&grant)?;
        }
        shop.place.ok(&["writeback", "doctor", "--check-db"])?;
    }
    Ok(())
}

/// Statements that the output says to run, one for each role.
fn grants(printed: &str) -> Vec<String> {
    let after = printed
        .lines()
        .filter_map(|line| line.split_once("as an administrator, run "));
    let mut grants: Vec<String> = after.map(|(_, statement)| statement.to_owned()).collect();
    grants.dedup();
    grants
}
