//! Stdio transport: responses to clients, requests to the reader, and the content of stdout.

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::TokioChildProcess;
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

use crate::raw_http::{Served, call};
use crate::raw_stdio::Raw;
use crate::reader::{DECIMAL, HOLD, INTEGER, PROPOSE, READ};
use crate::world::{GatewayFixture, PATIENCE};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn client_sees_only_reviewed_tools() {
    let world = GatewayFixture::start().await;
    let child = TokioChildProcess::new(world.gateway(&[])).unwrap();
    let client = ().serve(child).await.unwrap();
    let server = client.peer_info().unwrap();
    assert_eq!(server.server_info.as_ref().unwrap().name, "synapsor-runner");
    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
    assert_eq!(names, [READ, PROPOSE]);
    for (tool, is_read) in tools.iter().zip([true, false]) {
        let hints = tool.annotations.as_ref().unwrap();
        assert_eq!(
            (hints.read_only_hint, hints.destructive_hint),
            (Some(is_read), Some(false))
        );
        assert_eq!(
            (hints.idempotent_hint, hints.open_world_hint),
            (Some(true), Some(false))
        );
        assert!(tool.output_schema.is_some() && tool.title.is_some() && tool.meta.is_some());
    }
    let result = client
        .call_tool(CallToolRequestParams::new(PROPOSE))
        .await
        .unwrap();
    assert_eq!(result.is_error, Some(false));
    assert_eq!(result.structured_content.unwrap()["proposal"]["id"], "wrp_1");
    client.cancel().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_and_results_keep_every_digit_and_byte() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::open(world.gateway(&[])).await;
    let arguments = format!(
        r#"{{ "big" : {INTEGER}, "exact":{DECIMAL},"e":1e400 , "t":"\u0041", "big":1, "$serde_json::private::Number":"7"}}"#
    );
    let answer = raw.call(READ, &arguments).await;
    assert_eq!(world.reader.last().arguments, arguments);
    assert_eq!(
        answer["result"]["structuredContent"]["data"]["big"].to_string(),
        INTEGER
    );
    let line = raw.lines.last().unwrap();
    assert!(
        line.contains(&format!("\"big\":{INTEGER}")) && line.contains(&format!("\"exact\":{DECIMAL}")),
        "{line}"
    );
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(INTEGER) && !text.contains('\n'), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_carries_only_protocol_and_bad_lines_get_errors() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&[]);
    command.env("SYNAPSOR_LOG_LEVEL", "trace");
    let mut raw = Raw::open(command).await;
    let long_line = format!("{{\"id\":1,\"a\":[{}]}}", "1,".repeat(600_000));
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\",\"params\":{}1{}}}",
        "[".repeat(40),
        "]".repeat(40)
    );
    let long_text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"{}\"}}",
        "x".repeat(70_000)
    );
    for (line, code) in [
        ("not json at all", -32_700),
        (long_line.as_str(), -32_600),
        (deep.as_str(), -32_600),
        (long_text.as_str(), -32_600),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32_600),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/approve\"}",
            -32_601,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/list\"}",
            -32_601,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"x\"}}",
            -32_602,
        ),
    ] {
        raw.send_line(line).await;
        let answer = raw.recv().await;
        assert_eq!(
            answer["error"]["code"],
            code,
            "{} → {answer}",
            &line[..line.len().min(80)]
        );
    }
    assert_eq!(
        raw.call(READ, "{}").await["result"]["isError"],
        false,
        "the connection still works"
    );
    let lines = raw.lines.clone();
    let (code, rest, _) = raw.end().await;
    assert_eq!((code, rest.as_str()), (0, ""));
    for line in lines {
        let message: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0");
    }
    assert_eq!(world.reader.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_ends_promptly_with_its_input() {
    let world = GatewayFixture::start().await;
    let (code, stdout, errors) = Raw::spawn(world.gateway(&[])).end().await;
    assert_eq!((code, stdout.as_str()), (0, ""), "{errors}");
    let mut raw = Raw::open(world.gateway(&[])).await;
    raw.call(READ, "{}").await;
    let begin = Instant::now();
    assert_eq!(raw.end().await.0, 0);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn claimed_identity_reaches_the_reader_only_in_arguments() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::open(world.gateway(&[])).await;
    let arguments = r#"{"tenant_id":"EVIL","principal":"EVIL","approver":"EVIL"}"#;
    for name in [
        "tenant",
        "tenant_id",
        "tenantId",
        "principal",
        "principal_id",
        "x-tenant-id",
        "x-principal",
        "approver",
        "approval_identity",
        "actor",
        "role",
        "source",
        "authorization",
        "synapsor.tenant",
        "io.modelcontextprotocol/clientInfo",
    ] {
        let answer = raw
            .ask(
                &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
                    "name": READ, "tenant_id": "EVIL", name: "EVIL",
                    "arguments": serde_json::from_str::<serde_json::Value>(arguments).unwrap(),
                    "_meta": {name: "EVIL", "context": {name: "EVIL"}, "traceparent": TRACE},
                }}),
            )
            .await;
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        let seen = world.reader.last();
        assert_eq!(
            (seen.capability.as_str(), seen.arguments.as_str()),
            (READ, arguments)
        );
        assert!(
            !seen.metadata.iter().any(|entry| entry.contains("EVIL")),
            "{:?}",
            seen.metadata
        );
        assert!(
            seen.metadata.contains(&format!("traceparent: {TRACE}")),
            "{:?}",
            seen.metadata
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_trace_is_dropped() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::open(world.gateway(&[])).await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": READ, "_meta": {"traceparent": "00-EVIL-EVIL-01"}}});
    assert_eq!(raw.ask(&message).await["result"]["isError"], false);
    let seen = world.reader.last();
    assert!(
        !seen.metadata.iter().any(|entry| entry.starts_with("traceparent")),
        "{:?}",
        seen.metadata
    );
    assert_eq!(seen.arguments, "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_tool_is_sent_to_the_reader_and_fails_as_a_result() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::open(world.gateway(&[])).await;
    let answer = raw.call("no.such_tool", "{}").await;
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(
        answer["result"]["structuredContent"]["error"]["code"],
        "CAPABILITY_NOT_FOUND"
    );
    assert_eq!(world.reader.last().capability, "no.such_tool");
}

#[tokio::test(flavor = "multi_thread")]
async fn canceled_call_is_canceled_at_the_reader() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::open(world.gateway(&[])).await;
    raw.send_line(&format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{{"name":"{HOLD}"}}}}"#
    ))
    .await;
    world.reader.wait_for_held(1).await;
    raw.send_line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}"#)
        .await;
    world.reader.wait_for_held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_calls_above_the_concurrency_limit_as_retryable() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::open(world.gateway(&[])).await;
    for id in 100..228 {
        let params = format!(r#"{{"name":"{HOLD}"}}"#);
        raw.send_line(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#
        ))
        .await;
    }
    world.reader.wait_for_held(128).await;
    let answer = raw.call(READ, "{}").await;
    let error = &answer["result"]["structuredContent"]["error"];
    assert_eq!(
        (error["code"].as_str(), error["retryable"].as_bool()),
        (Some("TEMPORARILY_UNAVAILABLE"), Some(true))
    );
    assert_eq!(world.reader.seen().len(), 128);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_reader_is_a_retryable_error_in_both_formats() {
    for format in [1, 2] {
        let mut world = GatewayFixture::with_format(format).await;
        let mut raw = Raw::open(world.gateway(&[])).await;
        assert_eq!(raw.call(READ, "{}").await["result"]["isError"], false);
        assert_eq!(world.reader.last().result_format, format);
        world.stop_reader().await;
        let answer = tokio::time::timeout(PATIENCE, raw.call(READ, "{}"))
            .await
            .unwrap();
        let (result, content) = (&answer["result"], &answer["result"]["structuredContent"]);
        assert_eq!(
            (result["isError"].clone(), content["ok"].clone()),
            (json!(true), json!(false))
        );
        if format == 1 {
            assert_eq!(content["code"], "TEMPORARILY_UNAVAILABLE");
        } else {
            assert_eq!(content["error"]["code"], "TEMPORARILY_UNAVAILABLE");
            assert_eq!(content["error"]["retryable"], true);
            assert_eq!(content["kind"], "read");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_revision_is_served_without_handshake_over_stdio() {
    let world = GatewayFixture::start().await;
    let mut raw = Raw::spawn(world.gateway(&[]));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    let hello = raw
        .ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}))
        .await;
    assert_eq!(
        hello["result"]["supportedVersions"],
        json!(["2025-06-18", "2025-11-25", "2026-07-28"]),
        "{hello}"
    );
    let list = raw
        .ask(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": meta}}))
        .await;
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(
        (&list["result"]["cacheScope"], &list["result"]["resultType"]),
        (&json!("private"), &json!("complete"))
    );
    let params = json!({"name": READ, "arguments": {"id": "1"}, "_meta": meta});
    let call = raw
        .ask(&json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}))
        .await;
    assert_eq!(call["result"]["structuredContent"]["ok"], true, "{call}");
}

#[tokio::test(flavor = "multi_thread")]
async fn non_object_arguments_are_named_on_every_transport() {
    let world = GatewayFixture::start().await;
    let bodies = [
        (r#""{\"id\":\"1\"}""#, "is a string that holds a JSON object"),
        (r#""id=1""#, "must be an object; it is a string"),
        ("[1]", "must be an object; it is a list"),
        ("3", "must be an object; it is a number"),
    ];
    let is_named = |answer: &Json, words: &str| {
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(answer["error"]["code"], -32_602, "{answer}");
        assert!(
            message.contains(words) && message.contains("params.arguments"),
            "{answer}"
        );
    };
    let mut raw = Raw::open(world.gateway(&[])).await;
    for (arguments, words) in bodies {
        is_named(&raw.call(READ, arguments).await, words);
    }
    for transport in ["streamable-http", "http-bridge"] {
        let served = Served::start_over(&world, transport).await;
        for (arguments, words) in bodies {
            is_named(&served.post(&call(READ, arguments), "").await.json(), words);
        }
    }
    assert!(world.reader.seen().is_empty());
    assert_eq!(raw.call(READ, "null").await["result"]["isError"], false);
}
