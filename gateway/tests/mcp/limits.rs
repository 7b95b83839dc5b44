//! Per-caller limits, CORS, and health endpoints.

use serde_json::json;

use crate::raw_http::{Served, TOKEN, ping};
use crate::world::{GatewayFixture, PATIENCE};

async fn served(world: &GatewayFixture, flags: &[&str]) -> Served {
    let mut command = world.gateway(flags);
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
    Served::spawn(world, command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limited_caller_gets_retry_after_others_are_served() {
    const OTHER: &str = "another-token-of-the-test";
    let world = GatewayFixture::start().await;
    let tokens = world.dir.path().join("tokens");
    synapsor_chassis::files::create_exclusive(&tokens, format!("other {OTHER}\n").as_bytes()).unwrap();
    let path = tokens.to_str().unwrap().to_owned();
    let served = served(&world, &["--rate-per-second", "1", "--auth-tokens-file", &path]).await;
    let asking = async {
        for number in 0.. {
            let reply = served.post_as(TOKEN, "", &ping()).await;
            if reply.status != 200 {
                return (number, reply);
            }
        }
        unreachable!("the loop ends with a rejection")
    };
    let (taken, refused) = tokio::time::timeout(PATIENCE, asking).await.unwrap();
    assert!(taken >= 4, "{taken}");
    assert_eq!(refused.refusal(), (429, "rate_limited".to_owned()));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(served.post_as(OTHER, "", &ping()).await.status, 200);
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_one_token_have_separate_rates() {
    let world = GatewayFixture::start().await;
    let served = served(&world, &["--rate-per-second", "1"]).await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    }});
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let reply = served.post_as(TOKEN, "", &body.to_string()).await;
        sessions.push(reply.header("mcp-session-id").unwrap().to_owned());
    }
    let ask = async |session: &str| {
        let line = format!("Mcp-Session-Id: {session}");
        served.post_as(TOKEN, &line, &ping()).await.status
    };
    let busy = async {
        let mut taken = 0;
        while ask(&sessions[0]).await != 429 {
            taken += 1;
        }
        taken
    };
    let taken = tokio::time::timeout(PATIENCE, busy).await.unwrap();
    assert!(taken >= 4, "{taken}");
    assert_eq!(
        ask(&sessions[1]).await,
        200,
        "another session of the token is served"
    );
    // Ids that are no sessions of this caller share one rate, however many there are.
    let made_up = async {
        let mut n = 0;
        while ask(&format!("{n:040}")).await != 429 {
            n += 1;
        }
        n
    };
    let answered = tokio::time::timeout(PATIENCE, made_up).await.unwrap();
    assert!(answered < 20, "{answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_compressed_bodies_and_other_media_types() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    for encoding in ["gzip", "br", "identity", "deflate, gzip"] {
        let reply = served
            .post(&ping(), &format!("Content-Encoding: {encoding}"))
            .await;
        assert_eq!(reply.refusal(), (415, "content_encoding_not_accepted".to_owned()));
    }
    for kind in ["text/plain", "application/json-rpc", "application/jsonx", ""] {
        let head = served
            .head(ping().len(), "")
            .replace("application/json\n", &format!("{kind}\n"));
        let reply = served.send(&head, ping().as_bytes()).await;
        assert_eq!(
            reply.refusal(),
            (415, "content_type_not_json".to_owned()),
            "{kind}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_configured_cors_origin_may_read_responses() {
    const PAGE: &str = "https://app.example.com";
    let world = GatewayFixture::start().await;
    let served = served(&world, &["--cors-origin", PAGE]).await;
    let ask_first = |origin: &str| {
        format!(
            "OPTIONS /mcp HTTP/1.1\nHost: {}\nOrigin: {origin}\nAccess-Control-Request-Method: POST\n\
             Access-Control-Request-Headers: authorization\nConnection: close",
            served.address
        )
    };
    let allowed = served.send(&ask_first(PAGE), b"").await;
    assert_eq!((allowed.status, allowed.body.as_str()), (204, ""));
    assert_eq!(allowed.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(
        allowed.header("access-control-allow-methods"),
        Some("post, get, delete, options")
    );
    let headers = allowed.header("access-control-allow-headers").unwrap();
    for name in [
        "authorization",
        "content-type",
        "mcp-session-id",
        "mcp-protocol-version",
        "last-event-id",
        "mcp-method",
        "mcp-name",
    ] {
        assert!(headers.split(", ").any(|header| header == name), "{name}");
    }
    let unauthorized = served.post_as("wrong", &format!("Origin: {PAGE}"), &ping()).await;
    let served_well = served.post_as(TOKEN, &format!("Origin: {PAGE}"), &ping()).await;
    for (reply, status) in [(&unauthorized, 401), (&served_well, 200), (&allowed, 204)] {
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE));
        assert_eq!(reply.header("vary"), Some("origin"));
        assert!(reply.header("access-control-allow-credentials").is_none());
    }
    let foreign = served.send(&ask_first("https://evil.example"), b"").await;
    assert_eq!(foreign.status, 403);
    let own = format!("http://{}", served.address);
    let local = served.post_as(TOKEN, &format!("Origin: {own}"), &ping()).await;
    let without = served.post_as(TOKEN, "", &ping()).await;
    for reply in [foreign, local, without] {
        assert!(!reply.head.contains("access-control"), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_is_off_by_default() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let own = format!("http://{}", served.address);
    let head = format!(
        "OPTIONS /mcp HTTP/1.1\nHost: {}\nOrigin: {own}\nAccess-Control-Request-Method: POST\n\
         Authorization: Bearer {TOKEN}\nConnection: close",
        served.address
    );
    let reply = served.send(&head, b"").await;
    assert_eq!(reply.status, 405);
    assert!(!reply.head.contains("access-control"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_is_ready_only_while_its_reader_responds() {
    let mut world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let ready = served.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, r#"{"ok":true}"#));
    world.stop_reader().await;
    let losing = async {
        loop {
            let reply = served.get("/readyz").await;
            if reply.status != 200 {
                return reply;
            }
        }
    };
    let lost = tokio::time::timeout(PATIENCE, losing).await.unwrap();
    assert_eq!((lost.status, lost.json()), (503, json!({"ok": false})));
    assert_eq!(
        served.get("/healthz").await.status,
        200,
        "the gateway still serves"
    );
}
