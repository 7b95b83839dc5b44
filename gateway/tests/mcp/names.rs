//! Tool names: which names each mode lists, and that a call by either name reaches the reader under its canonical
//! name.

use serde_json::{Value as Json, json};

use crate::raw_stdio::Raw;
use crate::reader::{PROPOSE, READ};
use crate::world::GatewayFixture;

const READ_ALIAS: &str = "billing__inspect_invoice";
const PROPOSE_ALIAS: &str = "billing__propose_late_fee_waiver";
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

async fn listed(raw: &mut Raw) -> Vec<Json> {
    raw.send_line(LIST).await;
    let answer = raw.recv().await;
    answer["result"]["tools"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_lists_its_names_and_accepts_either() {
    let world = GatewayFixture::start().await;
    for (mode, names) in [
        ("canonical", vec![READ, PROPOSE]),
        ("openai", vec![READ_ALIAS, PROPOSE_ALIAS]),
        ("both", vec![READ, READ_ALIAS, PROPOSE, PROPOSE_ALIAS]),
    ] {
        let mut raw = Raw::open(world.gateway(&["--alias-mode", mode])).await;
        let tools = listed(&mut raw).await;
        let shown: Vec<&str> = tools.iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert_eq!(shown, names, "{mode}");
        for called in [READ, READ_ALIAS] {
            let answer = raw.call(called, "{}").await;
            assert_eq!(answer["result"]["isError"], false, "{mode} {called}: {answer}");
            assert_eq!(world.reader.last().capability, READ, "{mode} {called}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alias_names_its_canonical_tool_in_text_and_metadata() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::open(world.gateway(&["--alias-mode", "both"])).await;
    let tools = listed(&mut raw).await;
    let (own, alias) = (&tools[0], &tools[1]);
    let text = format!("Alias of {READ}.\n{}", own["description"].as_str().unwrap());
    assert_eq!(alias["description"], json!(text));
    assert_eq!(alias["_meta"]["synapsor.exposed_tool_name"], READ_ALIAS);
    assert_eq!(alias["_meta"]["synapsor.tool_name_style"], "openai");
    assert_eq!(own["_meta"]["synapsor.exposed_tool_name"], READ);
    assert_eq!(own["_meta"]["synapsor.tool_name_style"], "canonical");
    assert_eq!(alias["title"], READ);
    assert_eq!(alias["inputSchema"], own["inputSchema"]);
}

/// The list depends on the command line alone, never on the name that a client gives itself.
#[tokio::test(flavor = "multi_thread")]
async fn log_names_the_clients_that_refuse_listed_dots() {
    let world = GatewayFixture::start().await;
    for (mode, is_warned) in [("canonical", true), ("both", true), ("openai", false)] {
        let (exit, _, errors) = Raw::open(world.gateway(&["--alias-mode", mode]))
            .await
            .end()
            .await;
        assert_eq!(exit, 0, "{errors}");
        assert_eq!(errors.contains("Claude Desktop"), is_warned, "{mode}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_name_reaches_the_reader_unchanged() {
    let world = GatewayFixture::start().await;
    for mode in ["canonical", "openai", "both"] {
        let mut raw = Raw::open(world.gateway(&["--alias-mode", mode])).await;
        for unknown in [
            "billing__inspect_invoices",
            "execute_sql",
            "billing.__inspect_invoice",
        ] {
            let answer = raw.call(unknown, "{}").await;
            assert_eq!(answer["result"]["isError"], true, "{answer}");
            assert_eq!(world.reader.last().capability, unknown);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unknown_alias_mode_in_the_environment() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&[]);
    command.env("SYNAPSOR_GATEWAY_ALIAS_MODE", "openai");
    let mut raw = Raw::open(command).await;
    assert_eq!(listed(&mut raw).await[0]["name"], READ_ALIAS);
    let mut wrong = world.gateway(&[]);
    wrong.env("SYNAPSOR_GATEWAY_ALIAS_MODE", "dotless");
    let (exit, _, errors) = Raw::spawn(wrong).end().await;
    assert_eq!(exit, 2, "{errors}");
    assert!(
        errors.contains("SYNAPSOR_GATEWAY_ALIAS_MODE") && !errors.contains("dotless"),
        "{errors}"
    );
}
