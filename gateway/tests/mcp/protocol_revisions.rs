//! HTTP rules of each protocol revision: versions, headers that match the body, status codes.

use serde_json::{Value as Json, json};

use crate::raw_http::{Reply, Served, TOKEN, initialize_in, ping};
use crate::reader::READ;
use crate::world::GatewayFixture;

const MODERN: &str = "MCP-Protocol-Version: 2026-07-28";

fn meta(version: &str) -> Json {
    json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

fn request(method: &str, params: &Json) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

fn code(reply: &Reply) -> (u16, i64) {
    let json = reply.json();
    assert_eq!(json["id"], 7, "{reply:?}");
    (reply.status, json["error"]["code"].as_i64().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_revision_is_served_without_a_handshake() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let body = request("server/discover", &json!({"_meta": meta("2026-07-28")}));
    let lines = format!("{MODERN}\nMcp-Method: server/discover");
    let found = served.post_as(TOKEN, &lines, &body).await;
    assert_eq!(
        found.json()["result"]["supportedVersions"],
        json!(["2025-06-18", "2025-11-25", "2026-07-28"])
    );
    let body = request(
        "tools/call",
        &json!({"name": READ, "arguments": {}, "_meta": meta("2026-07-28")}),
    );
    let lines = format!("{MODERN}\nMcp-Method: tools/call\nMcp-Name: {READ}\nMcp-Session-Id: ignored");
    let called = served.post_as(TOKEN, &lines, &body).await;
    assert_eq!(
        (called.status, &called.json()["result"]["resultType"]),
        (200, &json!("complete")),
        "{called:?}"
    );
    assert!(called.header("mcp-session-id").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn older_revision_is_accepted_as_a_header_only() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    for older in ["2024-11-05", "2025-03-26"] {
        let opened = served.post_as(TOKEN, "", &initialize_in(older)).await;
        let returned =
            ["2025-06-18", "2025-11-25"].map(|revision| format!(r#""protocolVersion":"{revision}""#));
        assert!(
            returned.iter().any(|revision| opened.body.contains(revision)),
            "{opened:?}"
        );
        let session = opened.header("mcp-session-id").unwrap();
        let lines = format!("Mcp-Session-Id: {session}\nMCP-Protocol-Version: {older}");
        assert_eq!(
            served.post_as(TOKEN, &lines, &ping()).await.status,
            200,
            "{older}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_headers_that_differ_from_the_body() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let body = request(
        "tools/call",
        &json!({"name": READ, "arguments": {}, "_meta": meta("2026-07-28")}),
    );
    let name = format!("Mcp-Name: {READ}");
    for lines in [
        "Mcp-Method: tools/call\nMCP-Protocol-Version: 2025-11-25\nNAME",
        "Mcp-Method: tools/call\nNAME",
        "VERSION\nMcp-Method: tools/list\nNAME",
        "VERSION\nMcp-Method: TOOLS/CALL\nNAME",
        "VERSION\nNAME",
        "VERSION\nMcp-Method: tools/call",
        "VERSION\nMcp-Method: tools/call\nMcp-Name: billing.propose_late_fee_waiver",
        "VERSION\nMcp-Method: tools/call\nMcp-Name: =?base64?bm90IHRoaXM=?=",
        "VERSION\nMcp-Method: tools/call\nMcp-Name: =?base64?!?=",
    ] {
        let lines = lines.replace("VERSION", MODERN).replace("NAME", &name);
        let reply = served.post_as(TOKEN, &lines, &body).await;
        assert_eq!(code(&reply), (400, -32_020), "{lines}: {reply:?}");
    }
    assert!(world.reader.seen().is_empty());
    let encoded = "Mcp-Name: =?base64?YmlsbGluZy5pbnNwZWN0X2ludm9pY2U=?=";
    let lines = format!("{MODERN}\nMcp-Method: tools/call\n{encoded}");
    assert_eq!(served.post_as(TOKEN, &lines, &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn notification_method_header_is_optional_but_must_match() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let body = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    for (lines, status) in [
        ("", 202),
        ("Mcp-Method: notifications/cancelled", 202),
        ("Mcp-Method: tools/list", 400),
    ] {
        let lines = format!("{MODERN}\n{lines}");
        let reply = served.post_as(TOKEN, lines.trim_end(), &body.to_string()).await;
        assert_eq!(reply.status, status, "{lines}: {reply:?}");
        if status == 400 {
            assert_eq!(reply.json()["error"]["code"], -32_020, "{reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_versions_and_metadata_are_reported() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let listing = "Mcp-Method: tools/list";
    for (version, params, expected) in [
        ("2026-07-28", json!({}), -32_602),
        (
            "2026-07-28",
            json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}),
            -32_602,
        ),
        ("2099-01-01", json!({"_meta": meta("2099-01-01")}), -32_022),
        ("2024-11-05", json!({"_meta": meta("2024-11-05")}), -32_022),
    ] {
        let lines = format!("MCP-Protocol-Version: {version}\n{listing}");
        let reply = served
            .post_as(TOKEN, &lines, &request("tools/list", &params))
            .await;
        assert_eq!(code(&reply), (400, expected), "{version} {params}: {reply:?}");
        if expected == -32_022 {
            assert_eq!(
                reply.json()["error"]["data"]["supported"],
                json!(["2025-06-18", "2025-11-25", "2026-07-28"])
            );
        }
    }
    let unknown = "MCP-Protocol-Version: 2099-01-01";
    assert_eq!(served.post_as(TOKEN, unknown, &ping()).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_statuses_and_media_types_follow_the_revision() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let params = json!({"_meta": meta("2026-07-28")});
    for method in ["tools/approve", "ping", "resources/subscribe"] {
        let lines = format!("{MODERN}\nMcp-Method: {method}\nMcp-Name: x");
        let mut params = params.clone();
        params["uri"] = "x".into();
        let reply = served.post_as(TOKEN, &lines, &request(method, &params)).await;
        assert_eq!(code(&reply), (404, -32_601), "{method}: {reply:?}");
    }
    let old = served
        .post_as(TOKEN, "", &request("tools/approve", &json!({})))
        .await;
    assert_eq!(code(&old), (200, -32_601));
    for version in ["2025-11-25", "2026-07-28"] {
        for method in ["GET", "DELETE"] {
            let session = if version == "2026-07-28" {
                "\nMcp-Session-Id: any"
            } else {
                ""
            };
            let head = format!(
                "{method} /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {TOKEN}\nAccept: text/event-stream\n\
                 MCP-Protocol-Version: {version}\nConnection: close{session}",
                served.address
            );
            let reply = served.send(&head, b"").await;
            assert_eq!(
                reply.refusal(),
                (405, "method_not_allowed".to_owned()),
                "{method} {version}"
            );
            assert!(
                reply
                    .header("allow")
                    .is_some_and(|allowed| allowed.starts_with("post"))
            );
        }
    }
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let noted = served.post_as(TOKEN, "", note).await;
    assert_eq!((noted.status, noted.body.as_str()), (202, ""));
    for (body, text) in [
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":5}"#,
            "`params` must be an object; it is a number",
        ),
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[1]}"#,
            "`params` must be an object; it is a list",
        ),
        (
            r#"{"jsonrpc":"1.0","id":7,"method":"tools/list"}"#,
            "not an MCP request",
        ),
        (r#"{"id":7}"#, "not an MCP request"),
    ] {
        let reply = served.post_as(TOKEN, "", body).await;
        let json = reply.json();
        assert!(
            reply.status == 400 && json["error"]["code"] == -32_600 && reply.body.contains(text),
            "{body}: {reply:?}"
        );
    }
    assert!(world.reader.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_params_and_unknown_methods_have_different_errors() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    for (method, params, expected) in [
        ("tools/call", json!({"arguments": {}}), -32602),
        ("tools/call", json!({"name": 7}), -32602),
        ("prompts/get", json!({}), -32602),
        ("tools/explode", json!({}), -32601),
    ] {
        let reply = served
            .post_as(
                TOKEN,
                "MCP-Protocol-Version: 2025-11-25",
                &request(method, &params),
            )
            .await;
        assert_eq!(code(&reply).1, expected, "{method} {params}");
    }
}
