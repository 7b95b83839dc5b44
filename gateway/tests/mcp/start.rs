//! Rejected starts, with the error code, the exit code and no secret in the output; and shutdown by signal.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::raw_http::{Served, call};
use crate::raw_stdio::Raw;
use crate::reader::{FakeReader, HOLD, READ};
use crate::world::{DEPLOYMENT, GatewayFixture, PATIENCE, bare};

const TOKEN_ENV: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";

/// Expects the start to fail; returns stderr.
pub(crate) async fn refused(mut command: Command, code: &str, exit: i32) -> String {
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains(&format!("error[{code}]")) && errors.contains("fix: "),
        "{code}: {errors}"
    );
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(exit), &b""[..]),
        "{errors}"
    );
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_http_without_a_token() {
    let world = GatewayFixture::start().await;
    let http = ["--transport", "streamable-http"];
    refused(world.gateway(&http), "HTTP_AUTH_TOKEN_MISSING", 2).await;
    let mut empty = world.gateway(&http);
    empty.env(TOKEN_ENV, "");
    refused(empty, "HTTP_AUTH_TOKEN_MISSING", 2).await;
    let open = [
        "--transport",
        "streamable-http",
        "--listen",
        "0.0.0.0:0",
        "--dev-no-auth",
    ];
    refused(world.gateway(&open), "HTTP_DEV_NO_AUTH_UNSAFE_HOST", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_token_that_no_client_could_keep_or_send() {
    let world = GatewayFixture::start().await;
    for token in ["CANARY", "CANARY of more characters", "CANARY-with-an-ümlaut"] {
        let mut command = world.gateway(&["--transport", "streamable-http", "--listen", "127.0.0.1:0"]);
        command.env(TOKEN_ENV, token);
        let errors = refused(command, "HTTP_AUTH_TOKEN_INVALID", 2).await;
        assert!(!errors.contains("CANARY"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_remote_http_without_tls() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&["--transport", "streamable-http", "--listen", "0.0.0.0:0"]);
    command.env(TOKEN_ENV, "CANARY-TOKEN-OF-A-TEST");
    let errors = refused(command, "HTTP_TLS_REQUIRED", 2).await;
    assert!(!errors.contains("CANARY"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_database_url_in_the_environment() {
    let world = GatewayFixture::start().await;
    let mut command = world.gateway(&[]);
    command.env("HARMLESS_NAME", "postgres://app:CANARY@db/x");
    let errors = refused(command, "GATEWAY_HOLDS_DATABASE_URL", 2).await;
    assert!(
        errors.contains("HARMLESS_NAME") && !errors.contains("CANARY"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_settings_are_reported() {
    let errors = refused(bare(), "SETTING_MISSING", 2).await;
    assert!(errors.contains("SYNAPSOR_GATEWAY_TLS_CA"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_read_from_the_environment() {
    let world = GatewayFixture::start().await;
    let mut command = bare();
    command
        .env("SYNAPSOR_GATEWAY_TLS_CA", &world.tls.ca)
        .env("SYNAPSOR_GATEWAY_TLS_CERT", &world.tls.cert);
    command
        .env("SYNAPSOR_GATEWAY_TLS_KEY", &world.tls.key)
        .env("SYNAPSOR_GATEWAY_DEPLOYMENT", DEPLOYMENT);
    command
        .env("SYNAPSOR_GATEWAY_READER", &world.address)
        .env("SYNAPSOR_GATEWAY_RESULT_FORMAT", "1");
    let mut raw = Raw::open(command).await;
    assert_eq!(raw.call(READ, "{}").await["result"]["isError"], false);
    assert_eq!(world.reader.last().result_format, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_token_contract_is_served_over_http_only() {
    let world = GatewayFixture::of(FakeReader::for_tokens()).await;
    refused(world.gateway(&[]), "CONTRACT_NEEDS_HTTP", 2).await;
    for transport in ["streamable-http", "http-bridge"] {
        let mut command = world.gateway(&["--transport", transport, "--listen", "127.0.0.1:0"]);
        command.env(TOKEN_ENV, "CANARY-TOKEN-OF-A-TEST");
        let errors = refused(command, "HTTP_ACCESS_TOKENS_REQUIRED", 2).await;
        assert!(!errors.contains("CANARY"), "{errors}");
    }
    let http = ["--transport", "streamable-http", "--listen", "127.0.0.1:0"];
    let open = world.gateway(&[&http[..], &["--dev-no-auth"]].concat());
    refused(open, "HTTP_ACCESS_TOKENS_REQUIRED", 2).await;
    let issued = [&http[..], &["--access-tokens"]].concat();
    let other = GatewayFixture::start().await;
    refused(other.gateway(&issued), "HTTP_ACCESS_TOKENS_UNUSED", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_reader_ends_the_start_as_unreachable() {
    let mut world = GatewayFixture::start().await;
    world.stop_reader().await;
    refused(world.gateway(&[]), "UNREACHABLE", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_reader_of_another_ca() {
    let (world, other) = (GatewayFixture::start().await, GatewayFixture::start().await);
    let mut command = world.gateway(&[]);
    command.args(["--tls-ca"]).arg(&other.tls.ca);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "a repeated flag is a usage error");
    let mut stranger = bare();
    stranger.args(["--reader", &world.address, "--deployment", DEPLOYMENT]);
    stranger
        .arg("--tls-ca")
        .arg(&other.tls.ca)
        .arg("--tls-cert")
        .arg(&other.tls.cert);
    stranger.arg("--tls-key").arg(&other.tls.key);
    refused(stranger, "UNREACHABLE", 6).await;
    assert!(world.reader.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_certificate_of_another_deployment() {
    let world = GatewayFixture::start().await;
    let mut command = bare();
    command.args(["--reader", &world.address, "--deployment", "other"]);
    command
        .arg("--tls-ca")
        .arg(&world.tls.ca)
        .arg("--tls-cert")
        .arg(&world.tls.cert);
    command.arg("--tls-key").arg(&world.tls.key);
    refused(command, "TLS_CERTIFICATE_WRONG_ROLE", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_in_use_is_reported() {
    let world = GatewayFixture::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = world.gateway(&["--transport", "streamable-http", "--listen", &address]);
    command.env(TOKEN_ENV, "a-token-of-this-test");
    let errors = refused(command, "ADDRESS_IN_USE", 1).await;
    assert!(errors.contains(&address), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_without_a_format_uses_format_1_with_a_warning() {
    let world = GatewayFixture::with_format(0).await;
    let mut raw = Raw::open(world.gateway(&[])).await;
    raw.call(READ, "{}").await;
    assert_eq!(world.reader.last().result_format, 1);
    assert!(raw.end().await.2.contains("result format 1"));
    let mut raw = Raw::open(world.gateway(&["--result-format", "2"])).await;
    raw.call(READ, "{}").await;
    assert_eq!(world.reader.last().result_format, 2);
    assert!(!raw.end().await.2.contains("result format 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn termination_signal_ends_both_transports_in_order() {
    let world = GatewayFixture::start().await;
    let mut stdio = Raw::open(world.gateway(&[])).await;
    let mut served = Served::start(&world).await;
    // A connection that is kept open between requests must not delay the shutdown.
    let health = format!("GET /healthz HTTP/1.1\nHost: {}", served.address);
    let mut kept = BufReader::new(served.open(&health).await);
    kept.read_until(b'}', &mut Vec::new()).await.unwrap();
    for child in [stdio.child(), &mut served.child] {
        terminate(child);
        let status = tokio::time::timeout(Duration::from_secs(4), child.wait()).await;
        assert_eq!(status.unwrap().unwrap().code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_in_progress_is_answered_before_shutdown() {
    let world = GatewayFixture::start().await;
    let mut served = Served::start(&world).await;
    let (body, run_file) = (call(HOLD, "{}"), served.run_file.clone());
    let asking = async {
        let reply = served.post(&body, "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.contains("\"ok\":true"), "{reply:?}");
    };
    let ending = async {
        world.reader.wait_for_held(1).await;
        terminate(&served.child);
        // A refused connection shows that the gateway received the signal.
        while tokio::net::TcpStream::connect(&served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        world.reader.release.send_replace(true);
    };
    tokio::join!(asking, ending);
    let status = tokio::time::timeout(PATIENCE, served.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((status.code(), run_file.exists()), (Some(0), false));
}

fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// A gateway cannot read a file outside its settings. This holds for a gateway that runs as root and for a link to
/// the file from a file in the settings.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn gateway_cannot_read_files_outside_its_settings() {
    let world = GatewayFixture::start().await;
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let served = Served::start(&world).await;
    let bytes = std::fs::read(world.dir.path().join("gateway.run.json")).unwrap();
    let run_file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    if run_file["posture"].as_str().unwrap().contains("no Landlock") {
        did_not_run("the sandbox: this kernel has no Landlock");
        return;
    }
    drop(served);
    let material = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, content) in [
        ("cert.pem", material.cert.pem()),
        ("key.pem", material.signing_key.serialize_pem()),
    ] {
        let file = outside.path().join(name);
        std::fs::write(&file, content).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
        std::os::unix::fs::symlink(&file, inside.path().join(name)).unwrap();
    }
    let at = |folder: &tempfile::TempDir, name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let start = |folder: &tempfile::TempDir| {
        let (cert, key) = (at(folder, "cert.pem"), at(folder, "key.pem"));
        let flags = [
            "--tls-server-cert",
            &cert,
            "--tls-server-key",
            &key,
            "--listen",
            "127.0.0.1:0",
        ];
        let mut command = world.gateway(&[&["--transport", "streamable-http"], &flags[..]].concat());
        command.env(TOKEN_ENV, "a-token-of-this-test");
        command
    };
    let output = tokio::time::timeout(PATIENCE, start(&inside).output())
        .await
        .unwrap()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("error["), "{errors}");
    // The same files are readable when the settings name them directly.
    let mut child = start(&outside)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let listening = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("listening") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, listening).await.unwrap());
    child.kill().await.unwrap();
}

/// Adds a line to the list of what did not run, which `servers.sh run` prints at its end.
fn did_not_run(what: &str) {
    use std::io::Write as _;
    if let Some(path) = std::env::var_os("SYNAPSOR_TEST_NOT_RUN") {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = list.and_then(|mut list| list.write_all(format!("NOT RUN: {what}\n").as_bytes()));
    }
}
