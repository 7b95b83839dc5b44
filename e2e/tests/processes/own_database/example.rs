//! Example shop: its SQL equals the SQL that the product prints, and this SQL alone is enough for the complete
//! loop.

use serde_json::{Value as Json, json};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::Engine;

use super::shop::{self, Shop};

#[test]
fn example_sql_equals_the_printed_sql() -> anyhow::Result<()> {
    let place = CliFixture::empty()?;
    for engine in [Engine::Postgres, Engine::Mysql, Engine::Sqlite] {
        let (sql, contract) = shop::published(engine);
        place.write("synapsor.runner.json", contract)?;
        let migration = place.ok(&["writeback", "migration"])?.stdout;
        assert!(
            sql.contains(&migration),
            "{engine}: not in the example:\n{migration}"
        );
        if engine != Engine::Sqlite {
            let roles = ["--read-role", "orders_reader", "--writer-role", "orders_writer"];
            let grants = place.ok(&[&["writeback", "grants"], &roles[..]].concat())?.stdout;
            assert!(
                sql.ends_with(&grants),
                "{engine}: not at the end of the example:\n{grants}"
            );
        }
    }
    Ok(())
}

fn call(shop: &Shop, tool: &str, input: &Json) -> anyhow::Result<Json> {
    shop.place.write("call.json", &input.to_string())?;
    let command = if tool.contains("propose") {
        vec!["propose"]
    } else {
        vec!["smoke", "call"]
    };
    shop.place
        .json(&[&command[..], &[tool, "--input", "call.json"]].concat())
}

fn the_loop(shop: &Shop) -> anyhow::Result<()> {
    let place = &shop.place;
    let checked = place.json(&["writeback", "doctor", "--check-db"])?;
    assert_eq!(checked["ok"], json!(true));
    // A test server may run with durability off; its roles must have exactly their rights.
    let text = checked.to_string();
    assert_eq!(
        text.matches("\"warning\"").count(),
        text.matches("DURABILITY_WEAK").count(),
        "the printed rights are not exact: {text}"
    );

    let read = call(
        shop,
        "orders.inspect_order",
        &json!({ "order_number": "SO-1001" }),
    )?;
    assert_eq!(read["result"]["data"]["ship_city"], "Kiel", "{read}");
    assert!(
        !read.to_string().contains("gift wrap"),
        "a column that is not visible: {read}"
    );
    let other = json!({ "order_number": "SO-2001" });
    place.write("other.json", &other.to_string())?;
    place
        .run(&["smoke", "call", "orders.inspect_order", "--input", "other.json"])?
        .expect(1)?;

    let address = json!({
        "order_number": "SO-1001", "street": "Neue Gasse 9", "city": "Kiel", "postcode": "24105"
    });
    let stale = json!({ "order_number": "SO-1001", "status": "packed" });
    call(shop, "orders.propose_shipping_address", &address)?;
    place.ok(&["proposals", "approve", "latest", "--yes"])?;
    let second = call(shop, "orders.propose_status_change", &stale)?;
    place.ok(&["proposals", "approve", "latest", "--yes"])?;
    let second = second
        .pointer("/result/proposal/id")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let first = place.json(&["proposals", "list"])?;
    let first = first["proposals"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| p["proposal_id"].as_str())
        .find(|id| *id != second)
        .unwrap_or_else(|| panic!("no other proposal in {first}"))
        .to_owned();
    place.ok(&["apply", &first])?;
    assert_eq!(shop.order("SO-1001", "ship_street")?, "Neue Gasse 9");
    assert_eq!(shop.order("SO-1001", "version")?, "2");
    // A repeated apply has no effect; the other proposal has a stale before-image and is a conflict.
    place.ok(&["apply", &first])?;
    place.run(&["apply", second])?.expect(3)?;
    assert_eq!(shop.order("SO-1001", "version")?, "2");
    assert_eq!(shop.order("SO-1001", "status")?, "placed");
    let output = place.ok(&["replay", "show", &first])?.stdout;
    assert!(
        output.contains("writeback_applied") && output.contains("Verified"),
        "{output}"
    );
    Ok(())
}

#[test]
fn example_runs_the_loop_with_printed_rights() -> anyhow::Result<()> {
    for version in shop::versions() {
        if let Some(shop) = shop::open(version)? {
            the_loop(&shop).map_err(|error| error.context(version.name))?;
        }
    }
    Ok(())
}
