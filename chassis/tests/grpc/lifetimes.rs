//! Lifetimes of certificates: renewed files take effect in running processes, and nothing stays open past an end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::grpc_channel::{Channel, Endpoint, connect, is_unreachable, status_to_error};
use synapsor_chassis::identity::Role;
use synapsor_chassis::tls::TlsFiles;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL};
use synapsor_codes::ErrorCode;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::access::raw;
use crate::authority::{Authority, Pair};
use crate::fixture::{ECHO, NEVER, Running, call, limits, start};
use crate::servers::impostor;

const GATEWAY: &str = "spiffe://d1/gateway/mine";
const READER: &str = "spiffe://d1/reader/r1";
const READER_NAME: &str = "reader.synapsor.internal";
const SOON: Duration = Duration::from_secs(10);

fn gateway(authority: &Authority, ends_in: i64) -> Pair {
    authority.pair(&[GATEWAY], &[], false, ends_in)
}

fn reader(authority: &Authority, ends_in: i64) -> Pair {
    authority.pair(&[READER], &[READER_NAME], true, ends_in)
}

/// Replaces the files as a mounted secret does: each by a new file.
fn write(dir: &Path, authorities: &[&Authority], pair: &Pair) -> TlsFiles {
    let authorities: Vec<&str> = authorities
        .iter()
        .map(|authority| authority.pem.as_str())
        .collect();
    let files = TlsFiles::in_dir(dir, "own");
    let replace = |path: &Path, text: &str| {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(&new, path).unwrap();
    };
    replace(&files.ca, &authorities.concat());
    replace(&files.key, &pair.key);
    replace(&files.cert, &pair.cert);
    files
}

/// Calls in sequence until the end; returns the failures.
struct Calls {
    end: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(usize, Vec<String>)>,
}

impl Calls {
    fn begin(channel: Channel) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let is_ended = end.clone();
        let task = tokio::spawn(async move {
            let (mut number, mut failures) = (0, Vec::new());
            while !is_ended.load(Ordering::Relaxed) {
                let status = call(&channel, ECHO).await;
                number += 1;
                if status.code() != Code::Ok {
                    failures.push(format!("{status:?}"));
                }
            }
            (number, failures)
        });
        Self { end, task }
    }

    async fn all_succeeded(self) {
        self.end.store(true, Ordering::Relaxed);
        let (number, failures) = self.task.await.unwrap();
        assert!(number > 0 && failures.is_empty(), "{number}: {failures:?}");
    }
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < SOON, "not so within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn ended_client_certificate_ends_its_connection() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let pair = gateway(&authority, 3);
    let channel = raw(&server, &authority, Some(&pair));
    assert_eq!(call(&channel, ECHO).await.code(), Code::Ok);
    let begin = Instant::now();
    let ended = call(&channel, NEVER).await;
    assert!(is_unreachable(&ended), "{ended:?}");
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    let calls = server.stage.calls();
    let again = call(&raw(&server, &authority, Some(&pair)), ECHO).await;
    assert!(is_unreachable(&again), "{again:?}");
    assert_eq!(server.stage.calls(), calls);
}

#[tokio::test]
async fn every_handshake_verifies_the_certificates() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let pair = gateway(&authority, 3_600);
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(8);
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..3 {
        let socket = TcpStream::connect(&server.address).await.unwrap();
        let name = ServerName::try_from(READER_NAME).unwrap();
        let mut stream = connector.connect(name, socket).await.unwrap();
        // A ticket would arrive before the first frame of the server.
        stream.read_u8().await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authority_is_replaced_without_a_failed_call() {
    let (old, new) = (Authority::new(), Authority::new());
    let (at_server, at_client) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tls = write(at_server.path(), &[&old], &reader(&old, 3_600))
        .load()
        .unwrap();
    let server = start(&tls, limits()).await;
    let own = write(at_client.path(), &[&old], &gateway(&old, 3_600))
        .load()
        .unwrap();
    let calls = Calls::begin(server.dial(&own));
    let is_admitted = async |trusted: &Authority, pair: &Pair| {
        call(&raw(&server, trusted, Some(pair)), ECHO).await.code() == Code::Ok
    };
    let renewed = gateway(&new, 3_600);
    assert!(!is_admitted(&old, &renewed).await);
    // Both are trusted first, then the certificates are replaced, then the old authority is removed.
    write(at_server.path(), &[&old, &new], &reader(&old, 3_600));
    write(at_client.path(), &[&old, &new], &gateway(&old, 3_600));
    until(async || is_admitted(&old, &renewed).await).await;
    until(async || own.not_after_ms() > 0 && is_admitted(&old, &renewed).await).await;
    write(at_server.path(), &[&old, &new], &reader(&new, 3_600));
    write(at_client.path(), &[&old, &new], &gateway(&new, 3_600));
    until(async || is_admitted(&new, &renewed).await).await;
    let former = gateway(&old, 3_600);
    assert!(is_admitted(&new, &former).await);
    write(at_server.path(), &[&new], &reader(&new, 3_600));
    until(async || !is_admitted(&new, &former).await).await;
    calls.all_succeeded().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_certificates_are_renewed_without_a_failed_call() {
    const LIFETIME: i64 = 8;
    let authority = Authority::new();
    let (at_server, at_client) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let renew = || {
        let of_server = write(at_server.path(), &[&authority], &reader(&authority, LIFETIME));
        let of_client = write(at_client.path(), &[&authority], &gateway(&authority, LIFETIME));
        (of_server, of_client)
    };
    let (of_server, of_client) = renew();
    let server = start(&of_server.load().unwrap(), limits()).await;
    let own = of_client.load().unwrap();
    let calls = Calls::begin(server.dial(&own));
    for _ in 0..4 {
        let before = own.not_after_ms();
        tokio::time::sleep(Duration::from_secs(3)).await;
        renew();
        until(async || own.not_after_ms() > before).await;
    }
    calls.all_succeeded().await;
}

/// The client's own certificate stays the same: only the end of the server's makes it open another connection.
#[tokio::test(flavor = "multi_thread")]
async fn channel_leaves_before_the_server_certificate_ends() {
    const LIFETIME: i64 = 6;
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let renew = || write(dir.path(), &[&authority], &reader(&authority, LIFETIME));
    let tls = renew().load().unwrap();
    let server = start(&tls, limits()).await;
    let calls = Calls::begin(server.dial(&authority.material(GATEWAY)));
    for _ in 0..4 {
        let before = tls.not_after_ms();
        tokio::time::sleep(Duration::from_secs(2)).await;
        renew();
        until(async || tls.not_after_ms() > before).await;
    }
    calls.all_succeeded().await;
}

#[tokio::test]
async fn expired_server_certificate_closes_its_connections() {
    let authority = Authority::new();
    let tls = authority.odd_material(&reader(&authority, 3));
    let server = start(&tls, limits()).await;
    let channel = raw(&server, &authority, Some(&gateway(&authority, 3_600)));
    assert_eq!(call(&channel, ECHO).await.code(), Code::Ok);
    let begin = Instant::now();
    let ended = call(&channel, NEVER).await;
    assert!(is_unreachable(&ended) && begin.elapsed() < SOON, "{ended:?}");
}

#[tokio::test]
async fn client_ends_connections_kept_past_the_certificate() {
    let authority = Authority::new();
    let address = impostor(&reader(&authority, 3)).await;
    let target = Endpoint::new(Role::Reader, address);
    let channel = connect(&authority.material(GATEWAY), &target).unwrap();
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let mut health = HealthClient::new(channel)
        .watch(request)
        .await
        .unwrap()
        .into_inner();
    health.message().await.unwrap();
    let next = tokio::time::timeout(SOON, health.message()).await;
    assert!(matches!(next, Ok(Err(_))), "{next:?}");
}

#[tokio::test]
async fn unusable_new_certificate_leaves_the_previous_in_use() {
    let (authority, other) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let first = reader(&authority, 3_600);
    let tls = write(dir.path(), &[&authority], &first).load().unwrap();
    let before = tls.not_after_ms();
    let server = start(&tls, limits()).await;
    let own = authority.material(GATEWAY);
    let without_pem = Pair {
        cert: "no certificate".to_owned(),
        key: first.key.clone(),
    };
    let with_other_key = Pair {
        cert: first.cert.clone(),
        key: reader(&authority, 3_600).key,
    };
    let of_other_role = authority.pair(&["spiffe://d1/writer/w"], &[READER_NAME], true, 7_200);
    for unusable in [
        without_pem,
        with_other_key,
        reader(&other, 7_200),
        reader(&authority, -60),
        of_other_role,
    ] {
        write(dir.path(), &[&authority], &unusable);
        let begin = Instant::now();
        // Long enough for two checks.
        while begin.elapsed() < Duration::from_millis(2_200) {
            assert_eq!(call(&server.dial(&own), ECHO).await.code(), Code::Ok);
            assert_eq!(tls.not_after_ms(), before);
        }
    }
    write(dir.path(), &[&authority], &reader(&authority, 7_200));
    until(async || tls.not_after_ms() > before).await;
    assert_eq!(call(&server.dial(&own), ECHO).await.code(), Code::Ok);
}

/// A client whose clock is two hours ahead issued its certificate with that clock.
#[tokio::test]
async fn rejection_by_the_server_names_certificate_and_clock() {
    let dir = tempfile::tempdir().unwrap();
    let authority = DevCa::create(&dir.path().join("ca"), "d1", SystemClock.now_ms()).unwrap();
    let issue = |role, name, now_ms| {
        let leaf = authority.issue(role, Some(name), LEAF_TTL, now_ms).unwrap();
        leaf.material(now_ms).unwrap()
    };
    let server = start(&issue(Role::Reader, "r1", SystemClock.now_ms()), limits()).await;
    let ahead_ms = SystemClock.now_ms() + 2 * 3_600_000;
    let own = issue(Role::Gateway, "mine", ahead_ms);
    for _ in 0..20 {
        let status = call(&server.dial(&own), ECHO).await;
        let failure = status_to_error(&status, &server.target()).unwrap();
        assert_eq!(failure.code(), ErrorCode::TlsCertificateRejected, "{failure}");
        assert!(
            failure.message().contains("clock of this machine is at"),
            "{failure}"
        );
    }
    assert_eq!(server.stage.calls(), 0);
}

#[tokio::test]
async fn message_names_the_certificate_that_ended() {
    let authority = Authority::new();
    let server = Running::with_default_limits(&authority).await;
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), &[&authority], &gateway(&authority, 1));
    let own = files.load().unwrap();
    until(async || call(&server.dial(&own), ECHO).await.code() != Code::Ok).await;
    let status = call(&server.dial(&own), ECHO).await;
    let failure = status_to_error(&status, &server.target()).unwrap();
    let text = failure.message();
    assert!(
        [GATEWAY, &*files.cert.to_string_lossy(), "ended at", "clock"]
            .iter()
            .all(|part| text.contains(part)),
        "{text}"
    );
}
