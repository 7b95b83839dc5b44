//! HTTP sessions: ownership, end and limits.

use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::raw_http::{Reply, Served, initialize, initialize_in, ping};
use crate::world::{GatewayFixture, PATIENCE};

const ALICE: &str = "alices-token-of-the-test";
const BOB: &str = "bobs-token-of-the-test";

async fn served(world: &GatewayFixture, flags: &[&str]) -> Served {
    let tokens = world.dir.path().join("tokens");
    let content = format!("alice {ALICE}\nbob {BOB}\n");
    synapsor_chassis::files::write_atomic(&tokens, content.as_bytes(), 0o600).unwrap();
    let mut command = world.gateway(flags);
    command.arg("--auth-tokens-file").arg(&tokens);
    Served::spawn(world, command).await
}

async fn open(served: &Served, token: &str) -> String {
    let reply = served.post_as(token, "", &initialize()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(
        reply.body.contains("\"protocolVersion\":\"2025-11-25\""),
        "{reply:?}"
    );
    reply.header("mcp-session-id").unwrap().to_owned()
}

async fn ask(served: &Served, token: &str, session: &str) -> Reply {
    let lines = format!("Mcp-Session-Id: {session}\nMCP-Protocol-Version: 2025-11-25");
    served.post_as(token, &lines, &ping()).await
}

async fn other(served: &Served, method: &str, token: &str, session: &str) -> Reply {
    let head = format!(
        "{method} /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {token}\nAccept: text/event-stream\n\
         Mcp-Session-Id: {session}\nMCP-Protocol-Version: 2025-11-25\nConnection: close",
        served.address
    );
    served.send(&head, b"").await
}

/// Returns the whole response except the date.
fn without_date(reply: &Reply) -> (u16, String, &str) {
    let lines = reply.head.lines().filter(|line| !line.starts_with("date:"));
    (reply.status, lines.collect(), &reply.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_session_response_equals_missing_session_response() {
    let world = GatewayFixture::start().await;
    let served = served(&world, &[]).await;
    let session = open(&served, ALICE).await;
    assert!(
        session.len() >= 32 && session.bytes().all(|b| b.is_ascii_hexdigit()),
        "{session}"
    );
    assert_eq!(ask(&served, ALICE, &session).await.status, 200);
    let unknown = "0".repeat(session.len());
    let foreign = ask(&served, BOB, &session).await;
    let absent = ask(&served, BOB, &unknown).await;
    assert_eq!(foreign.refusal(), (404, "session_not_found".to_owned()));
    assert_eq!(without_date(&foreign), without_date(&absent));
    let lines = |session: &str| format!("Mcp-Session-Id: {session}");
    let foreign = served.post_as(BOB, &lines(&session), &initialize()).await;
    let absent = served.post_as(BOB, &lines(&unknown), &initialize()).await;
    assert_eq!(foreign.refusal(), (404, "session_not_found".to_owned()));
    assert_eq!(without_date(&foreign), without_date(&absent), "a handshake too");
    for method in ["GET", "DELETE"] {
        let foreign = other(&served, method, BOB, &session).await;
        let absent = other(&served, method, BOB, &unknown).await;
        assert_eq!(foreign.status, 404, "{method}");
        assert_eq!(without_date(&foreign), without_date(&absent), "{method}");
    }
    assert_eq!(
        ask(&served, ALICE, &session).await.status,
        200,
        "the foreign requests did not close the session"
    );
    let twice = format!("{session}\nMcp-Session-Id: {session}");
    assert_eq!(
        ask(&served, ALICE, &twice).await.refusal(),
        (400, "session_id_invalid".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_session_closes_its_stream() {
    let world = GatewayFixture::start().await;
    let served = served(&world, &[]).await;
    let session = open(&served, ALICE).await;
    let head = format!(
        "GET /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {ALICE}\nAccept: text/event-stream\n\
         Mcp-Session-Id: {session}\nMCP-Protocol-Version: 2025-11-25\nConnection: close",
        served.address
    );
    let mut stream = served.open(&head).await;
    let mut start = vec![0; 64];
    stream.read_exact(&mut start).await.unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200"), "{start:?}");
    assert_eq!(other(&served, "DELETE", ALICE, &session).await.status, 204);
    let mut rest = String::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut rest)).await;
    assert!(ended.is_ok(), "the stream is still open");
    assert!(
        rest.to_ascii_lowercase().contains("x-accel-buffering: no"),
        "{rest}"
    );
    assert_eq!(ask(&served, ALICE, &session).await.status, 404);
    assert_eq!(served.get("/healthz").await.json()["sessions"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_stream_events_are_sent_to_supporting_clients_only() {
    let world = GatewayFixture::start().await;
    let served = served(&world, &[]).await;
    for (revision, is_known) in [("2025-11-25", true), ("2025-06-18", false)] {
        let opened = served.post_as(ALICE, "", &initialize_in(revision)).await;
        let session = opened.header("mcp-session-id").unwrap().to_owned();
        let lines = format!("Mcp-Session-Id: {session}\nMCP-Protocol-Version: {revision}");
        let answered = served.post_as(ALICE, &lines, &ping()).await;
        for reply in [&opened, &answered] {
            assert_eq!(reply.status, 200, "{reply:?}");
            assert!(reply.body.contains("\"result\""), "{reply:?}");
            assert_eq!(has_empty_event(&reply.body), is_known, "{reply:?}");
        }
        let head = format!(
            "GET /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {ALICE}\nAccept: text/event-stream\nConnection: close\n{lines}",
            served.address
        );
        let mut stream = served.open(&head).await;
        let mut rest = String::new();
        let ending = async {
            let mut start = [0; 64];
            stream.read_exact(&mut start).await.unwrap();
            assert_eq!(other(&served, "DELETE", ALICE, &session).await.status, 204);
            stream.read_to_string(&mut rest).await.unwrap();
        };
        tokio::time::timeout(PATIENCE, ending).await.unwrap();
        assert_eq!(has_empty_event(&rest), is_known, "{rest}");
    }
}

/// Whether an event has no data, which clients of the first revisions cannot parse.
fn has_empty_event(stream: &str) -> bool {
    stream.lines().any(|line| line.trim_end() == "data:")
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_session_ends() {
    let world = GatewayFixture::start().await;
    let served = served(&world, &["--session-idle-seconds", "1"]).await;
    let session = open(&served, ALICE).await;
    let ending = async {
        while served.get("/healthz").await.json()["sessions"] != json!(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ending).await.unwrap();
    assert_eq!(ask(&served, ALICE, &session).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_session_beyond_32_closes_the_oldest_of_the_caller() {
    let world = GatewayFixture::start().await;
    let served = served(&world, &["--rate-per-second", "1000"]).await;
    let of_bob = open(&served, BOB).await;
    let first = open(&served, ALICE).await;
    let mut second = String::new();
    for number in 1..33 {
        let session = open(&served, ALICE).await;
        if number == 1 {
            second = session;
        }
    }
    assert_eq!(served.get("/healthz").await.json()["sessions"], 33);
    assert_eq!(ask(&served, ALICE, &first).await.status, 404);
    assert_eq!(ask(&served, ALICE, &second).await.status, 200);
    assert_eq!(ask(&served, BOB, &of_bob).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_token_is_rejected_and_its_sessions_close() {
    let world = GatewayFixture::start().await;
    let served = served(&world, &[]).await;
    let (of_alice, of_bob) = (open(&served, ALICE).await, open(&served, BOB).await);
    let tokens = world.dir.path().join("tokens");
    let write = |text: &str| synapsor_chassis::files::write_atomic(&tokens, text.as_bytes(), 0o600).unwrap();
    const NEW: &str = "alices-next-token-of-the-test";
    write(&format!("alice {NEW}\n"));
    let changing = async {
        while served.get("/healthz").await.json()["sessions"] != json!(1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, changing).await.unwrap();
    assert_eq!(ask(&served, BOB, &of_bob).await.status, 401);
    assert_eq!(ask(&served, ALICE, &of_alice).await.status, 401);
    assert_eq!(
        ask(&served, NEW, &of_alice).await.status,
        200,
        "the caller is the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_limited_to_1000_with_bounded_memory() {
    let world = GatewayFixture::start().await;
    let tokens = world.dir.path().join("tokens");
    let lines: String = (0..32)
        .map(|n| format!("caller{n} token-number-{n:04}-of-the-test\n"))
        .collect();
    synapsor_chassis::files::write_atomic(&tokens, lines.as_bytes(), 0o600).unwrap();
    let mut command = world.gateway(&["--rate-per-second", "1000"]);
    command.arg("--auth-tokens-file").arg(&tokens);
    let served = Served::spawn(&world, command).await;
    let token = |number: usize| format!("token-number-{:04}-of-the-test", number / 32);
    open(&served, &token(0)).await;
    let before = served.resident_kib();
    for number in 1..1_000 {
        open(&served, &token(number)).await;
    }
    let growth = served.resident_kib().saturating_sub(before);
    println!("1,000 idle sessions take {growth} KiB");
    assert!(growth < 192 * 1024, "{growth} KiB");
    let full = served.post_as(&token(1_000), "", &initialize()).await;
    assert_eq!(full.refusal(), (503, "too_many_sessions".to_owned()));
    assert!(full.header("retry-after").is_some(), "{full:?}");
}
