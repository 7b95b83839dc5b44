//! Load of many idle and slow clients, and its effect on others.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw_http::{Served, TOKEN, call};
use crate::reader::READ;
use crate::world::{GatewayFixture, PATIENCE};

const IDLE: usize = 1_000;
const SLOW: usize = 200;
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// Opens a connection, uses it once and keeps it open.
async fn idle(served: &Served) -> TcpStream {
    let mut stream = served
        .open(&format!("GET /healthz HTTP/1.1\nHost: {}", served.address))
        .await;
    let (mut seen, mut buffer) = (Vec::new(), [0; 512]);
    while !seen.ends_with(b"}") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_use_bounded_memory() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&["--rate-per-second", "1000"]);
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
    let served = Served::spawn(&world, command).await;
    // Excludes memory that is allocated once, whatever the number of clients.
    for _ in 0..100 {
        assert_eq!(served.post(&call(READ, "{}"), "").await.status, 200);
    }
    let before = served.resident_kib();
    let mut open = Vec::with_capacity(IDLE + SLOW);
    for _ in 0..IDLE {
        open.push(idle(&served).await);
    }
    for number in 0..SLOW {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        // Half of them are slow in the head, half in the body.
        if number % 2 == 0 {
            stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: ").await.unwrap();
        } else {
            let head = served.head(100_000, "").replace('\n', "\r\n");
            let wrong = head.replace(TOKEN, "not-the-token-of-the-test");
            stream
                .write_all(format!("{wrong}\r\n{{").as_bytes())
                .await
                .unwrap();
        }
        open.push(stream);
    }
    let asking = async {
        for _ in 0..50 {
            assert_eq!(served.post(&call(READ, "{}"), "").await.status, 200);
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
    // Memory that connections used is released a moment later, for new connections to reuse.
    let growth = served.resident_kib().saturating_sub(before);
    println!("{IDLE} idle and {SLOW} slow connections take {growth} KiB");
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
    // The gateway closes the slow connections; the idle ones may stay open.
    let mut rest = Vec::new();
    for stream in open.drain(IDLE..) {
        let mut stream = stream;
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .expect("a slow connection is still open")
            .ok();
    }
    assert_eq!(open.len(), IDLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_connection_resumes_and_rejected_body_is_not_a_request() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let mut resting = idle(&served).await;
    let body = "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n".replace("HOST", &served.address);
    let head = served
        .head(1_000, "")
        .replace(TOKEN, "not-the-token-of-the-test")
        .replace("\nConnection: close", "");
    let mut refused = served.open(&head).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    // The peer may already have closed the connection, which is acceptable.
    let _ = refused.write_all(body.as_bytes()).await;
    let mut seen = String::new();
    let ended = tokio::time::timeout(PATIENCE, refused.read_to_string(&mut seen)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(
        seen.starts_with("HTTP/1.1 401") && !seen.contains("streamable-http"),
        "{seen}"
    );
    for _ in 0..2 {
        resting.write_all(body.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        let read = resting.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    }
}
