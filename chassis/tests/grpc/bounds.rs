//! Deadlines, drain timeout, connection limits and the connection count.

use std::time::Duration;

use synapsor_chassis::grpc_channel::{is_timeout, is_unreachable, status_to_error};
use synapsor_chassis::grpc_server::ServerLimits;
use synapsor_codes::ErrorCode;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::authority::Authority;
use crate::fixture::{ECHO, NEVER, ON_RELEASE, REVIEW, Running, STREAMING, call, call_with, limits, start};

const SOON: Duration = Duration::from_secs(10);

async fn running(authority: &Authority, limits: ServerLimits) -> Running {
    start(&authority.material("spiffe://d1/reader/r1"), limits).await
}

#[tokio::test]
async fn call_without_a_response_ends_with_deadline_exceeded() {
    let authority = Authority::new();
    let quick = ServerLimits {
        request_timeout: Duration::from_millis(50),
        ..limits()
    };
    let server = running(&authority, quick).await;
    let channel = server.dial(&authority.material("spiffe://d1/gateway/mine"));
    let status = call(&channel, NEVER).await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(
        status_to_error(&status, &server.target()).unwrap().code(),
        ErrorCode::DeadlineExceeded
    );
    assert_eq!(
        call(&channel, STREAMING).await.code(),
        Code::Ok,
        "streaming methods have no server deadline"
    );
}

#[tokio::test]
async fn shorter_deadline_of_the_caller_takes_precedence() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let channel = server.dial(&authority.material("spiffe://d1/gateway/mine"));
    let status = timeout(SOON, call_with(&channel, NEVER, &[("grpc-timeout", "50m")]))
        .await
        .unwrap();
    assert!(is_timeout(&status), "{status:?}");
    let status = timeout(SOON, call_with(&channel, STREAMING, &[("grpc-timeout", "50m")]))
        .await
        .unwrap();
    assert!(is_timeout(&status), "{status:?}");
}

#[tokio::test]
async fn stop_lets_calls_finish_and_accepts_no_new_ones() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let own = authority.material("spiffe://d1/gateway/mine");
    let (channel, late) = (server.dial(&own), server.dial(&own));
    let in_flight = tokio::spawn(async move { call(&channel, ON_RELEASE).await });
    server.stage.begun.notified().await;
    server.stop.cancel();
    // The listener closes shortly after the stop; until then it may still accept a connection.
    while std::net::TcpStream::connect(&server.address).is_ok() {
        tokio::task::yield_now().await;
    }
    assert_ne!(call(&late, ECHO).await.code(), Code::Ok);
    server.stage.release.notify_one();
    assert_eq!(timeout(SOON, in_flight).await.unwrap().unwrap().code(), Code::Ok);
    timeout(SOON, server.ended).await.unwrap().unwrap().unwrap();
    assert_eq!(server.connections.count(), 0);
}

#[tokio::test]
async fn endless_stream_is_closed_at_the_drain_timeout() {
    let authority = Authority::new();
    let impatient = ServerLimits {
        drain_timeout: Duration::from_millis(50),
        ..limits()
    };
    let server = running(&authority, impatient).await;
    let mut health = HealthClient::new(server.dial(&authority.material("spiffe://d1/gateway/mine")));
    let mut stream = health
        .watch(HealthCheckRequest {
            service: String::new(),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    server.stop.cancel();
    timeout(SOON, server.ended).await.unwrap().unwrap().unwrap();
    let broken = timeout(SOON, stream.message()).await.unwrap().unwrap_err();
    assert!(is_unreachable(&broken), "{broken:?}");
    server.connections.idle_shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_permit() {
    let authority = Authority::new();
    let narrow = ServerLimits {
        connections_max: 1,
        ..limits()
    };
    let server = running(&authority, narrow).await;
    let own = authority.material("spiffe://d1/operator/ann");
    let first = server.dial(&own);
    assert_eq!(call(&first, REVIEW).await.code(), Code::Ok);
    let second = server.dial(&own);
    let mut waiting = Box::pin(call(&second, REVIEW));
    assert!(timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    assert_eq!(server.connections.count(), 1);
    drop(first);
    assert_eq!(timeout(SOON, waiting).await.unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn server_is_idle_only_after_its_last_connection_ends() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let channel = server.dial(&authority.material("spiffe://d1/operator/ann"));
    assert_eq!(server.connections.count(), 0, "a channel connects on first use");
    assert_eq!(call(&channel, REVIEW).await.code(), Code::Ok);
    assert_eq!(server.connections.count(), 1);
    let mut idle = Box::pin(server.connections.idle_shutdown(Duration::from_millis(20)));
    assert!(timeout(Duration::from_millis(100), &mut idle).await.is_err());
    drop(channel);
    timeout(SOON, idle).await.unwrap();
}
