//! TLS and HTTP/2: certificate reload under traffic, and clients that open streams only to reset them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use h2::client::SendRequest;
use http::Request;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use synapsor_chassis::files;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::raw_http::{Served, TOKEN, ping};
use crate::world::{GatewayFixture, PATIENCE};

struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn new(world: &GatewayFixture) -> Self {
        let certificate = Self {
            cert: world.dir.path().join("server.pem"),
            key: world.dir.path().join("server-key.pem"),
        };
        certificate.replace();
        certificate
    }

    /// Writes a new pair; returns the new certificate.
    fn replace(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        files::write_atomic(&self.key, made.signing_key.serialize_pem().as_bytes(), 0o600).unwrap();
        files::write_atomic(&self.cert, made.cert.pem().as_bytes(), 0o644).unwrap();
        made.cert.der().clone()
    }
}

async fn served(world: &GatewayFixture, certificate: &Certificate) -> Served {
    let mut command = world.gateway(&["--rate-per-second", "1000"]);
    let arg = |path: &Path| path.to_str().unwrap().to_owned();
    command.args(["--tls-server-cert", &arg(&certificate.cert)]);
    command.args(["--tls-server-key", &arg(&certificate.key)]);
    command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
    Served::spawn(world, command).await
}

async fn connect(
    served: &Served,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(&served.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Sends one request on a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>, address: &str) -> u16 {
    let body = ping();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_reloads_under_traffic_and_invalid_one_is_ignored() {
    let world = GatewayFixture::start().await;
    let certificate = Certificate::new(&world);
    let first = certificate.replace();
    let served = served(&world, &certificate).await;
    let address = served.address.clone();
    let mut old = connect(&served, &first, b"http/1.1").await.unwrap();
    assert_eq!(ask(&mut old, &address).await, 200);
    let second = certificate.replace();
    let changing = async {
        loop {
            assert_eq!(
                ask(&mut old, &address).await,
                200,
                "an open connection stays open"
            );
            match connect(&served, &second, b"http/1.1").await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let mut new = tokio::time::timeout(PATIENCE, changing).await.unwrap();
    assert_eq!(ask(&mut new, &address).await, 200);
    assert!(connect(&served, &first, b"http/1.1").await.is_err());
    files::write_atomic(&certificate.cert, b"no PEM", 0o644).unwrap();
    // The gateway reads a third pair after it has seen the invalid file; until then the second pair stays in use.
    let mut kept = connect(&served, &second, b"http/1.1").await.unwrap();
    assert_eq!(ask(&mut kept, &address).await, 200);
    let third = certificate.replace();
    let changing = async {
        loop {
            let (old, new) = tokio::join!(
                connect(&served, &second, b"http/1.1"),
                connect(&served, &third, b"http/1.1")
            );
            assert!(old.is_ok() || new.is_ok() || connect(&served, &third, b"http/1.1").await.is_ok());
            if new.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, changing).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plaintext_and_idle_clients_get_no_response_on_a_tls_port() {
    let world = GatewayFixture::start().await;
    let certificate = Certificate::new(&world);
    certificate.replace();
    let served = served(&world, &certificate).await;
    for start in ["GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", ""] {
        let mut stream = TcpStream::connect(&served.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut seen)).await;
        assert!(closed.is_ok(), "the connection is still open");
        assert!(!seen.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&seen));
    }
}

async fn http2(served: &Served, trusted: &CertificateDer<'static>) -> SendRequest<axum::body::Bytes> {
    let stream = connect(served, trusted, b"h2").await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn post(address: &str, host: Option<&str>) -> Request<()> {
    let mut request = Request::post(format!("https://{address}/mcp"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(host) = host {
        request = request.header("host", host);
    }
    request.body(()).unwrap()
}

async fn status(client: &SendRequest<axum::body::Bytes>, request: Request<()>) -> u16 {
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(ping().into(), true).unwrap();
    let answered = tokio::time::timeout(PATIENCE, response).await.unwrap();
    answered.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_checks_the_same_hosts() {
    let world = GatewayFixture::start().await;
    let certificate = Certificate::new(&world);
    let trusted = certificate.replace();
    let served = served(&world, &certificate).await;
    let client = http2(&served, &trusted).await;
    let own = served.address.as_str();
    assert_eq!(status(&client, post(own, None)).await, 200);
    assert_eq!(status(&client, post(own, Some(own))).await, 200);
    assert_eq!(status(&client, post("evil.example", None)).await, 403);
    assert_eq!(status(&client, post(own, Some("evil.example"))).await, 403);
    let calls = (0..50).map(|_| status(&client, post(own, None)));
    let all: Vec<u16> = futures_of(calls).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
}

/// Runs all of them concurrently.
async fn futures_of<F: Future<Output = u16>>(calls: impl Iterator<Item = F>) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(status) => {
                statuses.push(status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if calls.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_resets_close_the_connection_others_are_served() {
    let world = GatewayFixture::start().await;
    let certificate = Certificate::new(&world);
    let trusted = certificate.replace();
    let served = served(&world, &certificate).await;
    let other = http2(&served, &trusted).await;
    let hostile = http2(&served, &trusted).await;
    let resetting = async {
        for number in 0..1_000_000_u32 {
            let Ok(mut client) = hostile.clone().ready().await else {
                return number;
            };
            let Ok((_, mut stream)) = client.send_request(post(&served.address, None), false) else {
                return number;
            };
            stream.send_reset(h2::Reason::CANCEL);
            if number % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        panic!("a million resets went through")
    };
    tokio::time::timeout(PATIENCE, resetting).await.unwrap();
    assert_eq!(status(&other, post(&served.address, None)).await, 200);
}
