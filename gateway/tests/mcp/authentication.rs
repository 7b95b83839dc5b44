//! HTTP authentication at the MCP endpoint and at the bridge: hosts, origins and tokens, with the same error for
//! every rejected caller.

use crate::raw_http::{Served, TOKEN};
use crate::reader::FakeReader;
use crate::world::GatewayFixture;

const TRANSPORTS: [&str; 2] = ["streamable-http", "http-bridge"];

#[tokio::test(flavor = "multi_thread")]
async fn accepts_only_exact_hosts() {
    let world = GatewayFixture::start().await;
    for transport in TRANSPORTS {
        let served = Served::start_over(&world, transport).await;
        let port = served.address.rsplit(':').next().unwrap().to_owned();
        let auth = format!("Authorization: Bearer {TOKEN}");
        for host in ["localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT", "LocalHost:PORT"] {
            let host = host.replace("PORT", &port);
            for origin in [
                "",
                "\nOrigin: http://localhost:PORT",
                "\nOrigin: http://127.0.0.1:PORT",
                "\nOrigin: http://[::1]:PORT",
            ] {
                let lines = format!("Host: {host}\n{auth}{}", origin.replace("PORT", &port));
                assert_eq!(
                    served.post_with_lines("/mcp", &lines).await.status,
                    200,
                    "{lines}"
                );
            }
        }
        for host in [
            "evil.example",
            "evil.example:PORT",
            "localhost",
            "127.0.0.1",
            "localhost:1",
            "localhost.:PORT",
            "127.0.0.1.:PORT",
            "127.1:PORT",
            "0.0.0.0:PORT",
            "[::]:PORT",
            "::1:PORT",
            "[0:0:0:0:0:0:0:1]:PORT",
            "127.0.0.2:PORT",
            "2130706433:PORT",
            "user@127.0.0.1:PORT",
            "127.0.0.1:PORT@evil.example",
            "localhost:PORT.evil.example",
            "localhost:0PORT",
            "localhost:PORT:80",
            "127.0.0.1:PORT\nHost: evil.example",
            "127.0.0.1:PORT\nHost: 127.0.0.1:PORT",
        ] {
            let lines = format!("Host: {}\n{auth}", host.replace("PORT", &port));
            let status = served.post_with_lines("/mcp", &lines).await.status;
            assert!(status == 403 || status == 400, "{status} for {lines}");
        }
        let absolute = format!("http://evil.example:{port}/mcp");
        let reply = served
            .post_with_lines(&absolute, &format!("Host: 127.0.0.1:{port}\n{auth}"))
            .await;
        assert_eq!(
            reply.status, 403,
            "the host in the request target is checked as well"
        );
        let health = served
            .send(
                "GET /healthz HTTP/1.1\nHost: evil.example\nConnection: close",
                b"",
            )
            .await;
        assert_eq!(
            (health.status, health.json()["error"].as_str()),
            (403, Some("host_not_allowed"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_only_exact_loopback_origins() {
    let world = GatewayFixture::start().await;
    for transport in TRANSPORTS {
        let served = Served::start_over(&world, transport).await;
        let port = served.address.rsplit(':').next().unwrap().to_owned();
        let auth = format!("Authorization: Bearer {TOKEN}");
        for origin in [
            "null",
            "http://evil.example",
            "https://localhost:PORT",
            "http://localhost",
            "http://localhost:1",
            "http://localhost.:PORT",
            "http://localhost:PORT.evil.example",
            "http://user@localhost:PORT",
            "http://localhost:PORT/",
            "http://127.0.0.2:PORT",
            "http://0.0.0.0:PORT",
            "file://",
            "chrome-extension://localhost:PORT",
            "*",
            "",
            "http://localhost:PORT\nOrigin: http://evil.example",
        ] {
            let lines = format!(
                "Host: 127.0.0.1:{port}\n{auth}\nOrigin: {}",
                origin.replace("PORT", &port)
            );
            let reply = served.post_with_lines("/mcp", &lines).await;
            assert_eq!(reply.status, 403, "{lines}");
            assert_eq!(reply.json()["error"], "origin_not_allowed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_only_one_exact_bearer_token() {
    let world = GatewayFixture::start().await;
    for transport in TRANSPORTS {
        let served = Served::start_over(&world, transport).await;
        let host = format!("Host: {}", served.address);
        for good in [
            format!("Authorization: Bearer {TOKEN}"),
            format!("authorization: bearer {TOKEN}"),
        ] {
            assert_eq!(
                served
                    .post_with_lines("/mcp", &format!("{host}\n{good}"))
                    .await
                    .status,
                200,
                "{good}"
            );
        }
        let short = &TOKEN[1..];
        for bad in [
            "X-Nothing: 1".to_owned(),
            "Authorization: Bearer".to_owned(),
            "Authorization: Bearer ".to_owned(),
            format!("Authorization: {TOKEN}"),
            format!("Authorization: Basic {TOKEN}"),
            format!("Authorization: Bearer {short}"),
            format!("Authorization: Bearer {TOKEN}x"),
            format!("Authorization: Bearer {}", TOKEN.to_uppercase()),
            format!("Authorization: Bearer  {TOKEN}"),
            format!("Authorization: Bearer {TOKEN}, Bearer {TOKEN}"),
            format!("Authorization: Bearer {TOKEN}\nAuthorization: Bearer {TOKEN}"),
            format!("Authorization: Bearer wrong\nAuthorization: Bearer {TOKEN}"),
            format!("X-Api-Key: {TOKEN}\nCookie: token={TOKEN}"),
            format!("Proxy-Authorization: Bearer {TOKEN}"),
        ] {
            let reply = served.post_with_lines("/mcp", &format!("{host}\n{bad}")).await;
            assert_eq!(reply.status, 401, "{bad}");
            assert!(reply.head.contains("www-authenticate: bearer"), "{reply:?}");
            assert_eq!(reply.refusal(), (401, "unauthorized".to_owned()));
        }
        let query = format!("/mcp?access_token={TOKEN}");
        assert_eq!(
            served.post_with_lines(&query, &host).await.status,
            401,
            "a token in the target is not accepted"
        );
        let both = served
            .post_with_lines(&query, &format!("{host}\nAuthorization: Bearer {TOKEN}"))
            .await;
        assert_eq!(
            (both.status, both.json()["error"].as_str()),
            (400, Some("query_not_allowed"))
        );
        assert!(world.reader.seen().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_line_of_a_rejected_request_has_its_code() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let host = format!("Host: {}", served.address);
    let token = format!("Authorization: Bearer {TOKEN}");
    for (lines, status, code) in [
        (host.clone(), 401, "BEARER_TOKEN_REFUSED"),
        (
            format!("{host}\nAuthorization: Bearer {TOKEN}x"),
            401,
            "BEARER_TOKEN_REFUSED",
        ),
        (format!("Host: evil.example\n{token}"), 403, "HOST_NOT_ALLOWED"),
        (
            format!("{host}\nOrigin: http://evil.example\n{token}"),
            403,
            "ORIGIN_NOT_ALLOWED",
        ),
    ] {
        assert_eq!(
            served.post_with_lines("/mcp", &lines).await.status,
            status,
            "{lines}"
        );
        let line = served.next_logged("request rejected").await;
        assert!(line.contains(&format!("code={code} status={status}")), "{line}");
    }
    let world = GatewayFixture::of(FakeReader::for_tokens()).await;
    let served = Served::spawn(&world, world.gateway(&["--access-tokens"])).await;
    let lines = format!("Host: {}\n{token}", served.address);
    assert_eq!(served.post_with_lines("/mcp", &lines).await.status, 401);
    let line = served.next_logged("access token rejected").await;
    assert!(line.contains("code=ACCESS_TOKEN_REFUSED status=401"), "{line}");
}
