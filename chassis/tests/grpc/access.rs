//! Access control: services per role, and rejection of every invalid kind of certificate.

use synapsor_chassis::grpc_channel::{is_unreachable, status_to_error};
use synapsor_chassis::identity::Role;
use synapsor_codes::{ErrorCode, Exit};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::authority::{Authority, Pair};
use crate::fixture::{ECHO, REVIEW, Running, UNLISTED, call, call_with};

/// Opens a channel without the product's client checks, as an attacker would.
pub(crate) fn raw(server: &Running, authority: &Authority, own: Option<&Pair>) -> Channel {
    endpoint(server, authority, own).connect_lazy()
}

fn endpoint(server: &Running, authority: &Authority, own: Option<&Pair>) -> Endpoint {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("reader.synapsor.internal");
    if let Some(pair) = own {
        tls = tls.identity(Identity::from_pem(&pair.cert, &pair.key));
    }
    Endpoint::from_shared(format!("https://{}", server.address))
        .unwrap()
        .tls_config(tls)
        .unwrap()
}

#[tokio::test]
async fn every_role_reaches_exactly_its_services() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    for role in Role::ALL {
        let uri = match role {
            Role::Ledger => "spiffe://d1/ledger".to_owned(),
            role => format!("spiffe://d1/{role}/mine"),
        };
        let channel = server.dial(&authority.material(&uri));
        for (path, allowed) in [
            (ECHO, role == Role::Gateway),
            (REVIEW, matches!(role, Role::Operator | Role::Writer)),
            (UNLISTED, false),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", false),
        ] {
            let before = server.stage.calls();
            let status = call(&channel, path).await;
            let (code, calls) = if allowed {
                (Code::Ok, 1)
            } else {
                (Code::PermissionDenied, 0)
            };
            assert_eq!(status.code(), code, "{role} on {path}: {status:?}");
            assert_eq!(server.stage.calls() - before, calls, "{role} on {path}");
        }
        synapsor_chassis::grpc_channel::check_health(
            &channel,
            &server.target(),
            std::time::Duration::from_secs(5),
        )
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn handlers_see_the_callers_identity_and_trace() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let channel = server.dial(&authority.material("spiffe://d1/gateway/mine"));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let status = call_with(&channel, ECHO, &[("traceparent", trace), ("grpc-timeout", "20S")]).await;
    assert_eq!(
        status.message(),
        format!("spiffe://d1/gateway/mine Some(19) {trace}")
    );
}

#[tokio::test]
async fn rejects_unlisted_gateway() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let channel = server.dial(&authority.material("spiffe://d1/gateway/other"));
    let status = call(&channel, ECHO).await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(
        status_to_error(&status, &server.target()).unwrap().code(),
        ErrorCode::PeerNotListed
    );
    assert_eq!(server.stage.calls(), 0);
}

#[tokio::test]
async fn rejects_peer_of_another_deployment_even_for_health() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let foreign = authority.pair(&["spiffe://d2/gateway/mine"], &[], false, 3_600);
    let channel = raw(&server, &authority, Some(&foreign));
    for path in [ECHO, "/grpc.health.v1.Health/Check"] {
        let status = call(&channel, path).await;
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(
            status_to_error(&status, &server.target()).unwrap().code(),
            ErrorCode::PeerDeploymentRefused,
            "{status:?}"
        );
    }
    assert_eq!(server.stage.calls(), 0);
}

#[tokio::test]
async fn rejects_certificates_without_exactly_one_identity() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let mine = "spiffe://d1/gateway/mine";
    for uris in [
        &[mine, "spiffe://d1/operator/ann"][..],
        &[mine, mine],
        &[],
        &["https://d1/gateway/mine"],
        &["spiffe://d1/admin/mine"],
        &["spiffe://d1/gateway/mine/more"],
    ] {
        let pair = authority.pair(uris, &["gateway.synapsor.internal"], false, 3_600);
        for path in [ECHO, REVIEW, "/grpc.health.v1.Health/Check"] {
            let status = call(&raw(&server, &authority, Some(&pair)), path).await;
            assert_eq!(status.code(), Code::Unauthenticated, "{uris:?}: {status:?}");
        }
    }
    assert_eq!(server.stage.calls(), 0);
}

#[tokio::test]
async fn rejects_connections_without_a_certificate_of_the_ca() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let server = Running::with_default_limits(&authority).await;
    let uri = ["spiffe://d1/gateway/mine"];
    let forged = foreign.pair(&uri, &[], false, 3_600);
    let expired = authority.pair(&uri, &[], false, -60);
    for (what, own) in [
        ("none", None),
        ("foreign", Some(&forged)),
        ("expired", Some(&expired)),
    ] {
        let status = call(&raw(&server, &authority, own), ECHO).await;
        assert!(is_unreachable(&status), "{what}: {status:?}");
        let failure = status_to_error(&status, &server.target()).unwrap();
        assert_eq!(
            (failure.code(), failure.exit()),
            (ErrorCode::Unreachable, Exit::Unreachable),
            "{what}"
        );
    }
    let plain = Endpoint::from_shared(format!("http://{}", server.address))
        .unwrap()
        .connect_lazy();
    assert_ne!(call(&plain, ECHO).await.code(), Code::Ok);
    assert_eq!(server.stage.calls(), 0);
}

#[tokio::test]
async fn rejects_peer_of_another_release_and_names_both() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let own = authority.pair(&["spiffe://d1/gateway/mine"], &[], false, 3_600);
    let channel = endpoint(&server, &authority, Some(&own))
        .user_agent("synapsor/0.1.9")
        .unwrap()
        .connect_lazy();
    let status = call(&channel, ECHO).await;
    let failure = status_to_error(&status, &server.target()).unwrap();
    assert_eq!(failure.code(), ErrorCode::PeerReleaseDiffers);
    for part in [
        "spiffe://d1/gateway/mine",
        "0.1.9",
        synapsor_chassis::release::RELEASE,
    ] {
        assert!(failure.message().contains(part), "{failure}");
    }
    assert_eq!(server.stage.calls(), 0);
    // A caller that names no release is served.
    let status = call(&raw(&server, &authority, Some(&own)), ECHO).await;
    assert_eq!(status.code(), Code::Ok, "{status:?}");
}
