//! Servers that a channel accepts, and errors for unreachable servers.

use std::time::Duration;

use synapsor_chassis::grpc_channel::{Endpoint, check_health, connect};
use synapsor_chassis::grpc_server::{AccessTable, GrpcServer, ServerLimits};
use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_chassis::retry::{RetryPolicy, retry};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_codes::{ErrorCode, Exit};
use tonic::Code;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::authority::{Authority, Pair};
use crate::fixture::{REVIEW, Running, call, limits, start, start_at};

const SOON: Duration = Duration::from_secs(5);

/// Starts a health server with any certificate, like an impostor.
pub(crate) async fn impostor(pair: &Pair) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pair.cert, &pair.key));
    let (_, health) = tonic_health::server::health_reporter();
    let serving = Server::builder().tls_config(tls).unwrap().add_service(health);
    tokio::spawn(serving.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
    address
}

async fn outcome(own: &TlsMaterial, target: &Endpoint) -> Result<(), ExitError> {
    check_health(&connect(own, target).unwrap(), target, SOON).await
}

#[tokio::test]
async fn accepts_only_the_expected_role_deployment_and_instance() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let own = authority.material("spiffe://d1/gateway/mine");
    let name = ["reader.synapsor.internal"];
    let good = authority.pair(&["spiffe://d1/reader/r1"], &name, true, 3_600);
    let address = impostor(&good).await;
    let reader = Endpoint::new(Role::Reader, address.clone());
    outcome(&own, &reader).await.unwrap();
    outcome(&own, &reader.clone().of_instance("r1")).await.unwrap();
    let other_instance = outcome(&own, &reader.of_instance("r2")).await.unwrap_err();
    assert_eq!(other_instance.code(), ErrorCode::Unreachable);

    for (what, pair) in [
        (
            "other role under the right name",
            authority.pair(&["spiffe://d1/writer/w"], &name, true, 3_600),
        ),
        (
            "other deployment",
            authority.pair(&["spiffe://d2/reader/r1"], &name, true, 3_600),
        ),
        (
            "two identities",
            authority.pair(
                &["spiffe://d1/reader/r1", "spiffe://d1/ledger"],
                &name,
                true,
                3_600,
            ),
        ),
        ("no identity", authority.pair(&[], &name, true, 3_600)),
        (
            "no name",
            authority.pair(
                &["spiffe://d1/reader/r1"],
                &["localhost", "127.0.0.1"],
                true,
                3_600,
            ),
        ),
        (
            "client only",
            authority.pair(&["spiffe://d1/reader/r1"], &name, false, 3_600),
        ),
        (
            "expired",
            authority.pair(&["spiffe://d1/reader/r1"], &name, true, -60),
        ),
        (
            "foreign CA",
            foreign.pair(&["spiffe://d1/reader/r1"], &name, true, 3_600),
        ),
    ] {
        let target = Endpoint::new(Role::Reader, impostor(&pair).await);
        let failure = outcome(&own, &target).await.expect_err(what);
        assert_eq!(
            (failure.code(), failure.exit()),
            (ErrorCode::Unreachable, Exit::Unreachable),
            "{what}"
        );
    }
}

#[tokio::test]
async fn unreachable_server_error_has_address_and_fix() {
    let own = Authority::new().material("spiffe://d1/operator/ann");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let failure = outcome(&own, &Endpoint::new(Role::Ledger, address.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.exit()),
        (ErrorCode::Unreachable, Exit::Unreachable)
    );
    assert!(failure.message().contains(&address) && failure.message().contains("ledger"));
    assert!(failure.fix().is_some());
}

#[tokio::test]
async fn silent_listener_fails_the_health_check_in_time() {
    let own = Authority::new().material("spiffe://d1/operator/ann");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Endpoint::new(Role::Ledger, silent.local_addr().unwrap().to_string());
    let channel = connect(&own, &target).unwrap();
    let failure = check_health(&channel, &target, Duration::from_millis(100))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.exit()),
        (ErrorCode::DeadlineExceeded, Exit::Unreachable)
    );
}

#[tokio::test]
async fn rejects_malformed_addresses_and_client_only_roles() {
    let own = Authority::new().material("spiffe://d1/operator/ann");
    for address in [
        "",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:99999",
        "u:p@h:1",
        "https://h:1",
        "h:1/x",
        ":1",
    ] {
        let error = connect(&own, &Endpoint::new(Role::Ledger, address)).expect_err(address);
        assert_eq!(ExitError::from(error).exit(), Exit::Usage, "{address}");
    }
    assert!(connect(&own, &Endpoint::new(Role::Gateway, "localhost:1")).is_err());
    assert!(connect(&own, &Endpoint::new(Role::Ledger, "[::1]:7443")).is_ok());
}

#[tokio::test]
async fn address_in_use_and_wrong_certificate_prevent_the_start() {
    let authority = Authority::new();
    let running = Running::with_default_limits(&authority).await;
    let taken = running.address.parse().unwrap();
    let free = "127.0.0.1:0".parse().unwrap();
    for (address, uri, deployment, code) in [
        (taken, "spiffe://d1/reader/r1", "d1", ErrorCode::AddressInUse),
        (
            free,
            "spiffe://d1/gateway/g",
            "d1",
            ErrorCode::TlsCertificateWrongRole,
        ),
        (
            free,
            "spiffe://d1/reader/r1",
            "d2",
            ErrorCode::TlsCertificateWrongRole,
        ),
    ] {
        let own = authority.material(uri);
        let bound = GrpcServer::bind(
            address,
            &own,
            AccessTable::new(deployment),
            ServerLimits::default(),
        )
        .await;
        assert_eq!(ExitError::from(bound.unwrap_err()).code(), code);
    }
}

#[tokio::test]
async fn channel_reconnects_when_the_server_restarts() {
    let authority = Authority::new();
    let reader = authority.material("spiffe://d1/reader/r1");
    let first = start(&reader, limits()).await;
    let channel = first.dial(&authority.material("spiffe://d1/operator/ann"));
    assert_eq!(call(&channel, REVIEW).await.code(), Code::Ok);
    first.stop.cancel();
    first.ended.await.unwrap().unwrap();
    assert_ne!(call(&channel, REVIEW).await.code(), Code::Ok);

    let _second = start_at(first.address.parse().unwrap(), &reader, limits()).await;
    let answered = retry(
        RetryPolicy::default(),
        random::number,
        |_| true,
        || async {
            let status = call(&channel, REVIEW).await;
            if status.code() == Code::Ok {
                Ok(())
            } else {
                Err(status)
            }
        },
    );
    answered.await.unwrap();
}
