//! Plain calls of tools: the same results, limits and cancellation as calls that rmcp serves.

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::raw_http::{Reply, Served, TOKEN, call, initialize_in};
use crate::reader::{DECIMAL, HOLD, INTEGER, PROPOSE, READ};
use crate::world::{GatewayFixture, PATIENCE};

const REVISIONS: [&str; 2] = ["2025-06-18", "2025-11-25"];

/// A call with this metadata is not plain.
const PROGRESS: (&str, i64) = ("progressToken", 5);

/// Adds the metadata to a call, and what the newest revision wants.
fn request(revision: &str, tool: &str, is_plain: bool) -> (String, String) {
    let mut meta = json!({});
    let mut lines = format!("MCP-Protocol-Version: {revision}");
    if revision == "2026-07-28" {
        meta["io.modelcontextprotocol/protocolVersion"] = json!(revision);
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        lines = format!("{lines}\nMcp-Method: tools/call\nMcp-Name: {tool}");
    }
    if !is_plain {
        meta[PROGRESS.0] = json!(PROGRESS.1);
    }
    let params = json!({ "name": tool, "arguments": { "id": "x" }, "_meta": meta });
    let body = json!({"jsonrpc": "2.0", "id": "c-1", "method": "tools/call", "params": params});
    (lines, body.to_string())
}

async fn session(served: &Served, revision: &str) -> String {
    let opened = served.post_as(TOKEN, "", &initialize_in(revision)).await;
    opened.header("mcp-session-id").unwrap().to_owned()
}

/// Message of a response, which is JSON or the only message of a stream.
fn message(reply: &Reply) -> Json {
    if reply.header("content-type") == Some("application/json") {
        return reply.json();
    }
    let mut lines = reply.body.lines().filter_map(|line| line.strip_prefix("data:"));
    let text = lines.rfind(|line| line.contains('{')).unwrap();
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_calls_have_the_results_of_served_calls() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    for revision in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        let mut kinds = vec![String::new()];
        if REVISIONS.contains(&revision) {
            kinds.push(format!("\nMcp-Session-Id: {}", session(&served, revision).await));
        }
        for in_session in &kinds {
            for tool in [READ, PROPOSE, "billing.no_such_tool"] {
                let mut replies = Vec::new();
                for is_plain in [true, false] {
                    let (lines, body) = request(revision, tool, is_plain);
                    let reply = served.post_as(TOKEN, &(lines + in_session), &body).await;
                    assert_eq!(reply.status, 200, "{revision} {tool}: {reply:?}");
                    replies.push(reply);
                }
                let plain = &replies[0];
                assert_eq!(
                    plain.header("content-type"),
                    Some("application/json"),
                    "{plain:?}"
                );
                assert_eq!(message(plain), message(&replies[1]), "{revision} {tool}");
                if tool == READ {
                    let numbers = format!(r#""big":{INTEGER},"exact":{DECIMAL}"#);
                    assert!(plain.body.contains(&numbers), "{plain:?}");
                }
            }
        }
    }
    let seen = world.reader.seen();
    assert_eq!(seen.len(), 30);
    assert!(
        seen.iter().all(|seen| seen.arguments == r#"{"id":"x"}"#),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_of_a_request_holds_for_plain_calls() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let body = call(READ, "{}");
    let host = &served.address;
    let post = |target: &str, lines: &str, length: usize| {
        format!("POST {target} HTTP/1.1\n{lines}\nContent-Length: {length}\nConnection: close")
    };
    let good = format!(
        "Host: {host}\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\n\
         Accept: application/json, text/event-stream"
    );
    let reply = served
        .send(&post("/mcp", &good, body.len()), body.as_bytes())
        .await;
    assert_eq!((reply.status, world.reader.seen().len()), (200, 1), "{reply:?}");
    let with = |old: &str, new: &str| {
        assert!(good.contains(old), "{old}");
        good.replace(old, new)
    };
    let origin = format!("{good}\nOrigin: http://other.example");
    let encoded = format!("{good}\nContent-Encoding: gzip");
    let twice = format!("{good}\nAuthorization: Bearer {TOKEN}");
    for (lines, target, status) in [
        (with(&format!("Host: {host}"), "Host: other.example"), "/mcp", 403),
        (origin, "/mcp", 403),
        (with(TOKEN, "another-token-of-the-test"), "/mcp", 401),
        (with(&format!("Authorization: Bearer {TOKEN}\n"), ""), "/mcp", 401),
        (twice, "/mcp", 401),
        (good.clone(), "/mcp?a=b", 400),
        (good.clone(), "/other", 404),
        (
            with("Content-Type: application/json", "Content-Type: text/plain"),
            "/mcp",
            415,
        ),
        (encoded, "/mcp", 415),
        (format!("{good}\nMcp-Session-Id: {}", "0".repeat(40)), "/mcp", 404),
        (
            with("application/json, text/event-stream", "application/json"),
            "/mcp",
            406,
        ),
        (format!("{good}\nMCP-Protocol-Version: 2099-01-01"), "/mcp", 400),
    ] {
        let reply = served
            .send(&post(target, &lines, body.len()), body.as_bytes())
            .await;
        assert_eq!(reply.status, status, "{target} {lines}: {reply:?}");
    }
    let deep = call(READ, &format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40)));
    let long = call(READ, &format!("{{\"a\":\"{}\"}}", "x".repeat(70 * 1024)));
    let double = call(READ, r#"{},"arguments":{"a":1}"#);
    let list =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["{READ}",{{"a":1}},null]}}"#);
    for body in [deep, long, double, list] {
        let reply = served.post_as(TOKEN, "", &body).await;
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    let huge = vec![b' '; 5 * 1024 * 1024];
    let reply = served.send(&post("/mcp", &good, huge.len()), &huge).await;
    assert_eq!(reply.status, 413, "{reply:?}");
    assert_eq!(
        world.reader.seen().len(),
        1,
        "no rejected call reached the reader"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_and_concurrency_limit_plain_calls() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&["--rate-per-second", "1"]);
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
    let served = Served::spawn(&world, command).await;
    let mut limited = None;
    for _ in 0..200 {
        let reply = served.post_as(TOKEN, "", &call(READ, "{}")).await;
        if reply.status != 200 {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("a limited call");
    assert_eq!(limited.refusal(), (429, "rate_limited".to_owned()));
    drop(served);

    let mut command = world.gateway(&["--rate-per-second", "1000"]);
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
    let served = Served::spawn(&world, command).await;
    let mut open = Vec::new();
    let busy = loop {
        let mut stream = send(&served, "", &call(HOLD, "{}")).await;
        let mut start = [0; 12];
        let held = world.reader.wait_for_held(open.len() + 1);
        tokio::select! {
            () = held => open.push(stream),
            read = stream.read_exact(&mut start) => {
                read.unwrap();
                break String::from_utf8(start.to_vec()).unwrap();
            }
        }
        assert!(open.len() < 200, "no limit");
    };
    assert_eq!(busy, "HTTP/1.1 429", "after {} calls", open.len());
    drop(open);
    world.reader.wait_for_held(0).await;
}

/// Sends a call and does not wait for its response.
async fn send(served: &Served, lines: &str, body: &str) -> tokio::net::TcpStream {
    let mut stream = served.open(&served_head(served, lines, body.len())).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

fn served_head(served: &Served, lines: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\n\
         Accept: application/json, text/event-stream\nContent-Length: {length}\nConnection: close\n{lines}",
        served.address
    )
}

async fn rest(mut stream: tokio::net::TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .expect("the response does not end")
        .unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn canceled_call_of_a_session_ends_without_a_message() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let session = session(&served, "2025-06-18").await;
    for is_plain in [true, false] {
        let (lines, body) = request("2025-06-18", HOLD, is_plain);
        let lines = format!("{lines}\nMcp-Session-Id: {session}");
        let stream = send(&served, &lines, &body).await;
        world.reader.wait_for_held(1).await;
        let cancel = |id: &str| {
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
                .to_string()
        };
        for (old, new, status) in [
            ("c-1", "c-2", 202),
            (r#""2.0""#, r#""1.0""#, 400),
            (r#"{"requestId":"c-1"}"#, r#"["c-1"]"#, 400),
        ] {
            let other = cancel("c-1").replace(old, new);
            assert_eq!(
                served.post_as(TOKEN, &lines, &other).await.status,
                status,
                "{other}"
            );
        }
        let unknown = lines.replace("2025-06-18", "1999-01-01");
        assert_eq!(served.post_as(TOKEN, &unknown, &cancel("c-1")).await.status, 400);
        assert_eq!(*world.reader.held.borrow(), 1, "no rejected notification cancels");
        assert_eq!(served.post_as(TOKEN, &lines, &cancel("c-1")).await.status, 202);
        world.reader.wait_for_held(0).await;
        let response = rest(stream).await.to_ascii_lowercase();
        assert!(
            response.starts_with("http/1.1 200") && response.contains("text/event-stream"),
            "{response}"
        );
        assert!(!response.contains("jsonrpc"), "{is_plain}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_session_cancels_its_calls() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    for is_plain in [true, false] {
        let session = session(&served, "2025-06-18").await;
        let (lines, body) = request("2025-06-18", HOLD, is_plain);
        let lines = format!("{lines}\nMcp-Session-Id: {session}");
        let stream = send(&served, &lines, &body).await;
        world.reader.wait_for_held(1).await;
        let delete = served_head(&served, &lines, 0).replace("POST", "DELETE");
        assert_eq!(served.send(&delete, b"").await.status, 204);
        world.reader.wait_for_held(0).await;
        let response = rest(stream).await;
        assert!(!response.contains("jsonrpc"), "{is_plain}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_connection_cancels_calls_without_a_session_only() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    for is_plain in [true, false] {
        for revision in ["2025-06-18", "2026-07-28"] {
            let (lines, body) = request(revision, HOLD, is_plain);
            let stream = send(&served, &lines, &body).await;
            world.reader.wait_for_held(1).await;
            drop(stream);
            world.reader.wait_for_held(0).await;
        }
        let session = session(&served, "2025-06-18").await;
        let (lines, body) = request("2025-06-18", HOLD, is_plain);
        let lines = format!("{lines}\nMcp-Session-Id: {session}");
        let stream = send(&served, &lines, &body).await;
        world.reader.wait_for_held(1).await;
        drop(stream);
        let (lines, body) = request("2025-06-18", READ, true);
        let lines = format!("{lines}\nMcp-Session-Id: {session}");
        assert_eq!(served.post_as(TOKEN, &lines, &body).await.status, 200);
        assert_eq!(*world.reader.held.borrow(), 1, "{is_plain}");
        let delete = served_head(&served, &lines, 0).replace("POST", "DELETE");
        assert_eq!(served.send(&delete, b"").await.status, 204);
        world.reader.wait_for_held(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_call_of_a_session_is_answered_as_a_stream() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let session = session(&served, "2025-06-18").await;
    let (lines, body) = request("2025-06-18", HOLD, true);
    let lines = format!("{lines}\nMcp-Session-Id: {session}");
    let mut stream = send(&served, &lines, &body).await;
    let mut start = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut start))
        .await
        .expect("a first byte before the result")
        .unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    world.reader.release.send_replace(true);
    let response = rest(stream).await.to_ascii_lowercase();
    for part in [
        "text/event-stream",
        "x-accel-buffering: no",
        "data: {\"jsonrpc\":\"2.0\",\"id\":\"c-1\"",
    ] {
        assert!(response.contains(part), "{part}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_their_connection_count_towards_the_limit() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&["--rate-per-second", "1000"]);
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
    let served = Served::spawn(&world, command).await;
    let session = session(&served, "2025-06-18").await;
    let lines = format!("MCP-Protocol-Version: 2025-06-18\nMcp-Session-Id: {session}");
    let numbered = |id: usize| call(HOLD, "{}").replace(r#""id":1"#, &format!(r#""id":{id}"#));
    for id in 0..64 {
        let stream = send(&served, &lines, &numbered(id)).await;
        world.reader.wait_for_held(id + 1).await;
        drop(stream);
    }
    let more = served.post_as(TOKEN, &lines, &numbered(64)).await;
    assert_eq!(more.refusal(), (429, "busy".to_owned()));
    world.reader.release.send_replace(true);
    world.reader.wait_for_held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_handshake_that_declares_tasks_is_heeded() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let session = session(&served, "2025-11-25").await;
    let (lines, body) = request("2025-11-25", READ, true);
    let lines = format!("{lines}\nMcp-Session-Id: {session}");
    let reply = served.post_as(TOKEN, &lines, &body).await;
    assert_eq!(
        reply.header("content-type"),
        Some("application/json"),
        "{reply:?}"
    );
    served.post_as(TOKEN, &lines, &initialize_in("2025-11-25")).await;
    let reply = served.post_as(TOKEN, &lines, &body).await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream"),
        "{reply:?}"
    );
}
