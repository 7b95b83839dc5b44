//! HTTP transport: responses to clients, requests to the reader, and limits on requests and connections.

use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw_http::{Served, TOKEN, call, initialize, ping};
use crate::reader::{DECIMAL, HOLD, INTEGER, PROPOSE, READ};
use crate::world::{GatewayFixture, PATIENCE};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const BODY_BYTES_MAX: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn client_with_a_token_lists_and_calls() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let config = StreamableHttpClientTransportConfig::with_uri(format!("http://{}/mcp", served.address))
        .auth_header(TOKEN);
    synapsor_chassis::harden::choose_tls_provider();
    let client = ().serve(StreamableHttpClientTransport::from_config(config)).await.unwrap();
    let names: Vec<_> = client
        .list_all_tools()
        .await
        .unwrap()
        .iter()
        .map(|tool| tool.name.to_string())
        .collect();
    assert_eq!(names, [READ, PROPOSE]);
    let result = client.call_tool(CallToolRequestParams::new(READ)).await.unwrap();
    assert_eq!(
        result.structured_content.unwrap()["data"]["big"].to_string(),
        INTEGER
    );
    client.cancel().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_unchanged_and_headers_carry_no_identity() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let arguments = format!(r#"{{ "big":{INTEGER} , "exact": {DECIMAL}, "tenant_id":"EVIL"}}"#);
    for name in [
        "X-Tenant-Id",
        "X-Tenant",
        "X-Synapsor-Tenant",
        "X-Synapsor-Principal",
        "X-Principal",
        "X-User",
        "X-Role",
        "X-Approver",
        "X-Forwarded-User",
        "X-Forwarded-Client-Cert",
        "Tenant-Id",
        "Principal",
        "Baggage",
        "Cookie",
    ] {
        let extra = format!("{name}: EVIL\ntraceparent: {TRACE}\ntracestate: EVIL=1");
        let reply = served.post(&call(READ, &arguments), &extra).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(
            reply.body.contains(&format!("\"big\":{INTEGER}")) && reply.body.contains(DECIMAL),
            "{}",
            reply.body
        );
        let seen = world.reader.last();
        assert_eq!((seen.capability.as_str(), &seen.arguments), (READ, &arguments));
        assert!(
            !seen
                .metadata
                .iter()
                .any(|entry| entry.contains("EVIL") || entry.contains(TOKEN)),
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
async fn rejects_large_deep_and_malformed_bodies_before_dispatch() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let padded = |bytes: usize| {
        let frame = call(READ, "{}").len();
        format!("{}{}", call(READ, "{}"), " ".repeat(bytes - frame))
    };
    assert_eq!(served.post(&padded(BODY_BYTES_MAX), "").await.status, 200);
    let large = padded(BODY_BYTES_MAX + 1);
    let reply = served.post(&large, "").await;
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (413, Some("body_too_large"))
    );
    let chunked = served
        .head(0, "Transfer-Encoding: chunked")
        .replace("Content-Length: 0\n", "");
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    assert_eq!(
        served.send(&chunked, chunk.as_bytes()).await.status,
        413,
        "also without a Content-Length"
    );
    let deep = call(READ, &format!("{{\"a\":{}{}}}", "[".repeat(31), "]".repeat(31)));
    let long_text = call(READ, &format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024 + 1)));
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{},"arguments":{}}}"#;
    for (body, code) in [
        (deep.as_str(), -32_600),
        (long_text.as_str(), -32_600),
        (twice, -32_600),
        ("[]", -32_600),
        ("{", -32_700),
        ("", -32_700),
    ] {
        let reply = served.post(body, "").await;
        assert_eq!(
            (reply.status, reply.json()["error"]["code"].as_i64()),
            (400, Some(code)),
            "{reply:?}"
        );
    }
    assert_eq!(world.reader.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_other_methods_and_paths_health_needs_no_token() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let lines = format!(
        "Host: {}\nAuthorization: Bearer {TOKEN}\nAccept: text/event-stream\nConnection: close",
        served.address
    );
    for method in ["GET", "DELETE", "PUT", "OPTIONS", "PATCH"] {
        let reply = served
            .send(&format!("{method} /mcp HTTP/1.1\n{lines}"), b"")
            .await;
        assert_eq!(reply.status, 405, "{method}: {reply:?}");
    }
    let open = format!("Host: {}\nConnection: close", served.address);
    for path in [
        "/",
        "//mcp",
        "/mcp//",
        "/MCP",
        "/mcp/x",
        "/approve",
        "/sse",
        "/healthz/x",
    ] {
        let reply = served.send(&format!("GET {path} HTTP/1.1\n{open}"), b"").await;
        assert_eq!(reply.refusal(), (404, "not_found".to_owned()), "{path}");
        let message = reply.json()["message"].to_string();
        assert!(
            message.contains("the MCP endpoint is `/mcp`"),
            "{path}: {message}"
        );
    }
    let health = served.send(&format!("GET /healthz HTTP/1.1\n{open}"), b"").await;
    assert_eq!(
        health.body,
        r#"{"ok":true,"transport":"streamable-http","tools":2,"mode":"review","sessions":0}"#
    );
    let unknown = served
        .post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/approve"}"#, "")
        .await;
    assert_eq!(unknown.json()["error"]["code"], -32_601);
}

/// Clients append the slash, and many do not follow a redirect of a POST.
#[tokio::test(flavor = "multi_thread")]
async fn trailing_slash_serves_the_same_endpoint() {
    let world = GatewayFixture::start().await;
    for transport in ["streamable-http", "http-bridge"] {
        let served = Served::start_over(&world, transport).await;
        let good = format!("Host: {}\nAuthorization: Bearer {TOKEN}", served.address);
        let mut replies = Vec::new();
        for target in ["/mcp", "/mcp/"] {
            let reply = served.post_with_lines(target, &good).await;
            assert_eq!(reply.status, 200, "{transport} {target}: {reply:?}");
            replies.push(reply.body);
            for (lines, refusal) in [
                (format!("Host: {}", served.address), (401, "unauthorized")),
                (
                    format!("{good}\nOrigin: http://evil.example"),
                    (403, "origin_not_allowed"),
                ),
                (
                    good.replace("127.0.0.1", "evil.example"),
                    (403, "host_not_allowed"),
                ),
            ] {
                let reply = served.post_with_lines(target, &lines).await;
                let expected = (refusal.0, refusal.1.to_owned());
                assert_eq!(reply.refusal(), expected, "{transport} {target}");
            }
            let query = served.post_with_lines(&format!("{target}?x=1"), &good).await;
            assert_eq!(query.refusal(), (400, "query_not_allowed".to_owned()));
        }
        assert_eq!(replies[0], replies[1], "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_before_mcp_is_json_with_cause_and_next_step() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let post = |accept: &str, extra: &str, body: &str| {
        format!(
            "POST /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\n\
             {accept}Content-Length: {}\nConnection: close\n{extra}",
            served.address,
            body.len()
        )
    };
    let both = "Accept: application/json, text/event-stream\n";
    let stale = "Mcp-Session-Id: 0123456789abcdef0123456789abcdef01234567";
    let (start, ping) = (initialize(), ping());
    for (accept, extra, body, refusal) in [
        ("Accept: application/json\n", "", &ping, (406, "not_acceptable")),
        ("Accept: text/event-stream\n", "", &start, (406, "not_acceptable")),
        ("Accept: text/html\n", "", &start, (406, "not_acceptable")),
        ("Accept: */*;q=0\n", "", &start, (406, "not_acceptable")),
        ("Accept: */*, text/*;q=0\n", "", &start, (406, "not_acceptable")),
        ("", "", &ping, (406, "not_acceptable")),
        (both, stale, &start, (404, "session_not_found")),
        (both, stale, &ping, (404, "session_not_found")),
        (
            both,
            "MCP-Protocol-Version: 1999-01-01",
            &ping,
            (400, "protocol_version_not_served"),
        ),
    ] {
        let reply = served.send(&post(accept, extra, body), body.as_bytes()).await;
        assert_eq!(
            reply.refusal(),
            (refusal.0, refusal.1.to_owned()),
            "{accept}{extra}"
        );
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let message = reply.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(": ") && message.ends_with('.'), "{message}");
    }
    assert!(world.reader.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn media_ranges_accept_the_types_of_each_response() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    for accept in [
        "*/*",
        "text/html, */* ; Q=0.8",
        "application/*, text/*",
        "Application/JSON;charset=utf-8\nAccept: TEXT/event-stream",
    ] {
        for (extra, body, content_type) in [
            ("", initialize(), "text/event-stream"),
            ("MCP-Protocol-Version: 2025-06-18", ping(), "application/json"),
        ] {
            let head = format!(
                "POST /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\n\
                 Accept: {accept}\nContent-Length: {}\nConnection: close\n{extra}",
                served.address,
                body.len()
            );
            let reply = served.send(&head, body.as_bytes()).await;
            let answer = (reply.status, reply.header("content-type"));
            assert_eq!(answer, (200, Some(content_type)), "{accept} {extra}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_disconnect_cancels_its_call() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let body = call(HOLD, "{}");
    let mut stream = served.open(&served.head(body.len(), "")).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    world.reader.wait_for_held(1).await;
    drop(stream);
    world.reader.wait_for_held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_the_65th_concurrent_request_of_a_caller() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let body = call(HOLD, "{}");
    let mut streams = Vec::new();
    for _ in 0..64 {
        let mut stream = served.open(&served.head(body.len(), "")).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    world.reader.wait_for_held(64).await;
    let reply = served.post(&ping(), "").await;
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (429, Some("busy"))
    );
    drop(streams);
    world.reader.wait_for_held(0).await;
    assert_eq!(served.post(&ping(), "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_headers_and_slow_bodies_time_out() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let slow_head = async {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: ").await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "the connection is still open");
    };
    let slow_body = async {
        let mut stream = served.open(&served.head(100, "")).await;
        stream.write_all(b"{").await.unwrap();
        let mut rest = String::new();
        let closed = tokio::time::timeout(Duration::from_secs(18), stream.read_to_string(&mut rest)).await;
        assert!(closed.is_ok() && rest.contains("body_timeout"), "{rest}");
    };
    tokio::join!(slow_head, slow_body);
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_mode_on_loopback_needs_no_token_but_checks_the_host() {
    let world = GatewayFixture::start().await;
    let served = Served::spawn(&world, world.gateway(&["--dev-no-auth"])).await;
    let host = format!("Host: {}", served.address);
    assert_eq!(served.post_with_lines("/mcp", &host).await.status, 200);
    assert_eq!(
        served.post_with_lines("/mcp", "Host: evil.example").await.status,
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_ends_with_its_lifeline_and_removes_its_run_file() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&["--lifeline", "stdin", "--auth-token-env", "OTHER_TOKEN"]);
    let token_file = world.dir.path().join("token");
    synapsor_chassis::files::create_exclusive(&token_file, TOKEN.as_bytes()).unwrap();
    command.env("OTHER_TOKEN_FILE", &token_file);
    let mut served = Served::spawn(&world, command).await;
    assert_eq!(served.post(&ping(), "").await.status, 200);
    assert!(served.run_file.exists());
    drop(served.child.stdin.take());
    let status = tokio::time::timeout(PATIENCE, served.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!served.run_file.exists());
}
