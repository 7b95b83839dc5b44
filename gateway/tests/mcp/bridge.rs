//! The JSON-RPC bridge of 0.1.x.

use serde_json::{Value as Json, json};

use crate::raw_http::{Reply, Served, call, ping};
use crate::reader::{DECIMAL, INTEGER, PROPOSE, READ};
use crate::world::GatewayFixture;

async fn served(world: &GatewayFixture) -> Served {
    Served::start_over(world, "http-bridge").await
}

async fn ask(served: &Served, message: &Json) -> Reply {
    served.post(&message.to_string(), "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_client_lists_and_calls_without_a_handshake() {
    let world = GatewayFixture::start().await;
    let served = served(&world).await;
    let list = ask(
        &served,
        &json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list"}),
    )
    .await;
    let list = list.json();
    assert_eq!((&list["id"], &list["jsonrpc"]), (&json!("a"), &json!("2.0")));
    let tools = list["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, [READ, PROPOSE]);
    for tool in tools {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["annotations"]["raw_sql_exposed"], false);
        assert_eq!(tool["annotations"]["approval_or_commit_tool"], false);
        assert_eq!(tool["_meta"]["synapsor.database_credentials_exposed"], false);
    }
    let arguments = format!(r#"{{ "big":{INTEGER} , "exact": {DECIMAL}}}"#);
    for member in ["arguments", "args"] {
        let body = call(READ, &arguments).replace("arguments", member);
        let reply = served
            .post(&body, "X-Tenant-Id: EVIL\nMcp-Session-Id: EVIL")
            .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.contains(&format!("\"big\":{INTEGER}")), "{reply:?}");
        let seen = world.reader.last();
        assert_eq!((seen.capability.as_str(), &seen.arguments), (READ, &arguments));
        assert!(!seen.metadata.iter().any(|entry| entry.contains("EVIL")));
    }
    let health = served.get("/healthz").await;
    assert_eq!(
        health.body,
        r#"{"ok":true,"transport":"http","tools":2,"mode":"review"}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_errors_have_json_rpc_codes_and_the_request_id() {
    let world = GatewayFixture::start().await;
    let served = served(&world).await;
    for (message, status, code) in [
        (json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}), 200, -32_601),
        (
            json!({"jsonrpc": "2.0", "id": 7, "method": "initialize"}),
            200,
            -32_601,
        ),
        (
            json!({"jsonrpc": "2.0", "id": 7, "method": "proposals/approve"}),
            200,
            -32_601,
        ),
        (
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call"}),
            200,
            -32_602,
        ),
        (
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": 5}}),
            200,
            -32_602,
        ),
        (
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
                "params": {"name": READ, "arguments": {}, "args": {}}}),
            200,
            -32_602,
        ),
        (
            json!({"jsonrpc": "2.0", "id": 7, "method": "resources/read"}),
            200,
            -32_602,
        ),
        (
            json!({"jsonrpc": "2.0", "id": 7, "method": "resources/read", "params": {"uri": "synapsor://x"}}),
            200,
            -32_601,
        ),
        (json!({"jsonrpc": "2.0", "id": 7}), 400, -32_600),
    ] {
        let reply = ask(&served, &message).await;
        let json = reply.json();
        assert_eq!(
            (reply.status, &json["id"], &json["error"]["code"]),
            (status, &json!(7), &json!(code)),
            "{message}"
        );
    }
    for (body, code) in [
        ("{", -32_700),
        ("[]", -32_600),
        (r#"{"id":{},"method":"tools/list"}"#, -32_600),
    ] {
        let reply = served.post(body, "").await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (400, &json!(code)),
            "{body}"
        );
    }
    let large = call(READ, &format!("{{\"a\":[{}0]}}", "0,".repeat(600_000)));
    assert_eq!(served.post(&large, "").await.status, 413);
    assert!(world.reader.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_accepts_only_posts_of_plain_json() {
    let world = GatewayFixture::start().await;
    let served = served(&world).await;
    for method in ["GET", "DELETE", "PUT"] {
        let head = served.head(0, "").replace("POST", method);
        assert_eq!(served.send(&head, b"").await.refusal().0, 405, "{method}");
    }
    assert_eq!(served.post(&ping(), "Content-Encoding: gzip").await.status, 415);
    let (deep, long) = ("[".repeat(40) + &"]".repeat(40), "x".repeat(70_000));
    for arguments in [format!(r#"{{"a":{deep}}}"#), format!(r#"{{"a":"{long}"}}"#)] {
        let reply = served.post(&call(READ, &arguments), "").await;
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    assert!(world.reader.seen().is_empty());
}
