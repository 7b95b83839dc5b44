//! The stream that carries the gateway's calls to the reader.

use synapsor_proto::executor::v1::CallCapabilitiesResponse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Status;

use crate::raw_http::{Served, call};
use crate::reader::{HOLD, READ};
use crate::world::GatewayFixture;

/// Sends a call that the reader holds.
async fn hold(served: &Served) -> TcpStream {
    let body = call(HOLD, "{}");
    let mut stream = served.open(&served.head(body.len(), "")).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

async fn response(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_share_one_stream() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(hold(&served).await);
    }
    world.reader.wait_for_held(32).await;
    // A later call does not wait for earlier ones.
    assert_eq!(served.post(&call(READ, "{}"), "").await.status, 200);
    world.reader.release.send_replace(true);
    for stream in held {
        let text = response(stream).await;
        assert!(
            text.contains(r#""isError":false"#) && text.contains(HOLD),
            "{text}"
        );
    }
    assert_eq!(world.reader.stream_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_stream_keeps_its_calls_and_takes_no_others() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let held = hold(&served).await;
    world.reader.wait_for_held(1).await;
    let closing = CallCapabilitiesResponse {
        answers: Vec::new(),
        is_closing: true,
    };
    world.reader.send(Ok(closing)).await;
    // Calls on the way before the gateway has read the message still go to the first stream.
    while world.reader.stream_count() == 1 {
        assert_eq!(served.post(&call(READ, "{}"), "").await.status, 200);
    }
    world.reader.release.send_replace(true);
    let text = response(held).await;
    assert!(text.contains(r#""isError":false"#), "{text}");
    assert_eq!(world.reader.stream_count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_stream_fails_its_calls_alone() {
    let world = GatewayFixture::start().await;
    let served = Served::start(&world).await;
    let held = [hold(&served).await, hold(&served).await];
    world.reader.wait_for_held(2).await;
    world.reader.send(Err(Status::unavailable("broken"))).await;
    for stream in held {
        let text = response(stream).await;
        assert!(text.contains("TEMPORARILY_UNAVAILABLE"), "{text}");
    }
    // The gateway drops its side, so that the calls end.
    world.reader.wait_for_held(0).await;
    let reply = served.post(&call(READ, "{}"), "").await;
    assert!(reply.body.contains(r#""isError":false"#), "{}", reply.body);
    assert_eq!(world.reader.stream_count(), 2);
}
