//! The ledger process: lock, address, certificate checks, shutdown, and the store after a crash.
#![expect(clippy::unwrap_used, reason = "a test fails at the first unexpected value")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::identity::Role;
use synapsor_chassis::tls::TlsFiles;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL};
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::evidence::AuditRecord;
use synapsor_domain::ids::AuditId;
use synapsor_domain::log::verify_checkpoint;
use synapsor_domain::signing::{ObjectKind, SigningKey};
use synapsor_domain::timestamp::Timestamp;
use synapsor_ledger::SERVICES;
use synapsor_ledger::store::verify_file;
use synapsor_proto::ledger::v1::intake_service_client::IntakeServiceClient;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use synapsor_proto::ledger::v1::{
    CallRecord, FailedCall, GetCheckpointRequest, SubmitRequest, VerifyStoreRequest, call_record,
};
use zeroize::Zeroizing;

const DEPLOYMENT: &str = "dep-test";
const ORIGIN: &str = "synapsor/dep-test";

struct LedgerSetup {
    dir: tempfile::TempDir,
    ca: DevCa,
    files: TlsFiles,
}

struct Process {
    child: Child,
    run_file: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([1; 32]))
}

impl LedgerSetup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now_ms();
        let ca = DevCa::create(&dir.path().join("ca"), DEPLOYMENT, now).unwrap();
        let files = ca
            .issue(Role::Ledger, None, LEAF_TTL, now)
            .unwrap()
            .write(dir.path(), "ledger")
            .unwrap();
        synapsor_chassis::files::create_exclusive(
            &dir.path().join("ledger-signing.pem"),
            key().to_pem().as_bytes(),
        )
        .unwrap();
        let public = serde_json::json!([{ "key_id": key().key_id(), "public_key": key().public_key() }]);
        let trust = serde_json::json!({
            "version": 1, "deployment_id": DEPLOYMENT, "environment": "dev", "readers": [], "writers": [],
            "ledgers": public, "operators": [],
        });
        std::fs::write(dir.path().join("trust.json"), trust.to_string()).unwrap();
        Self { dir, ca, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synapsor-ledger"));
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let flags: [(&str, &Path); 7] = [
            ("--store", &self.path("local.db")),
            ("--trust", &self.path("trust.json")),
            ("--signing-key", &self.path("ledger-signing.pem")),
            ("--tls-ca", &self.files.ca),
            ("--tls-cert", &self.files.cert),
            ("--tls-key", &self.files.key),
            ("--run-file", &self.path("ledger.json")),
        ];
        for (flag, value) in flags {
            command.arg(flag).arg(value);
        }
        command
    }

    fn start(&self, mut command: Command) -> Process {
        let _ = std::fs::remove_file(self.path("ledger.json"));
        Process {
            child: command.spawn().unwrap(),
            run_file: self.path("ledger.json"),
        }
    }

    fn fails(&self, mut command: Command) -> (Option<i32>, String) {
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn dial(&self, role: Role, address: &str) -> Channel {
        let now = SystemClock.now_ms();
        let instance = role.has_instance().then_some("one");
        let tls = self
            .ca
            .issue(role, instance, LEAF_TTL, now)
            .unwrap()
            .material(now)
            .unwrap();
        grpc_channel::connect(&tls, &Endpoint::new(Role::Ledger, address)).unwrap()
    }
}

impl Process {
    /// Waits until the process has published its address.
    async fn address(&mut self) -> String {
        let begin = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&self.run_file) {
                let run: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(run["pid"].as_u64(), Some(u64::from(self.child.id())));
                return run["address"].as_str().unwrap().to_owned();
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the ledger ended early");
            assert!(begin.elapsed() < Duration::from_secs(20), "no address in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn refusal(request_id: &str) -> SubmitRequest {
    let record = AuditRecord {
        v: 1,
        id: AuditId::from_random(synapsor_chassis::random::bytes()),
        capability: "no.such".into(),
        tenant: None,
        principal: None,
        client: "spiffe://dep-test/gateway/g".into(),
        source_id: None,
        table: None,
        columns: Vec::new(),
        tenant_bound: false,
        row_count: 0,
        result: "UNKNOWN_TOOL".into(),
        query_fingerprint: None,
        primary_key: None,
        primary_keys: Vec::new(),
        arguments_digest: Digest::of(ObjectKind::Schema, b"a"),
        evidence_id: None,
        proposal_id: None,
        at: Timestamp::from_unix_millis(SystemClock.now_ms()),
    };
    let audit = canonical::encode(&record).unwrap();
    SubmitRequest {
        records: vec![CallRecord {
            request_id: request_id.into(),
            traceparent: String::new(),
            record: Some(call_record::Record::Failed(FailedCall { audit })),
        }],
        known: None,
    }
}

#[tokio::test]
async fn each_role_reaches_exactly_its_services() {
    let ledger = LedgerSetup::new();
    let mut process = ledger.start(ledger.command());
    let address = process.address().await;
    for role in Role::ALL {
        for (service, allowed) in SERVICES {
            let mut client = tonic::client::Grpc::new(ledger.dial(role, &address));
            client.ready().await.unwrap();
            let path = format!("/{service}/NoSuchMethod").parse().unwrap();
            let codec = tonic_prost::ProstCodec::<VerifyStoreRequest, VerifyStoreRequest>::default();
            let status = client
                .unary(tonic::Request::new(VerifyStoreRequest::default()), path, codec)
                .await
                .unwrap_err();
            // With access the method does not exist; without access the caller does not learn that.
            let expected = if allowed.contains(&role) {
                tonic::Code::Unimplemented
            } else {
                tonic::Code::PermissionDenied
            };
            assert_eq!(status.code(), expected, "{role} at {service}");
        }
    }
}

#[tokio::test]
async fn second_ledger_on_one_store_reports_the_lock_holder() {
    let ledger = LedgerSetup::new();
    let mut process = ledger.start(ledger.command());
    process.address().await;
    let (code, text) = ledger.fails(ledger.command());
    assert_eq!(code, Some(1));
    assert!(
        text.contains("STORE_LOCKED") && text.contains(&format!("process {}", process.child.id())),
        "{text}"
    );
}

#[tokio::test]
async fn on_demand_ledger_exits_when_idle_and_removes_its_run_file() {
    let ledger = LedgerSetup::new();
    let mut command = ledger.command();
    command.arg("--on-demand");
    let mut process = ledger.start(command);
    process.address().await;
    let begin = Instant::now();
    while process.child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(process.child.wait().unwrap().success());
    assert!(!process.run_file.exists());
}

#[tokio::test]
async fn answered_requests_survive_a_kill() {
    let ledger = LedgerSetup::new();
    let mut process = ledger.start(ledger.command());
    let address = process.address().await;
    let mut intake = IntakeServiceClient::new(ledger.dial(Role::Reader, &address));
    let note = intake
        .submit(refusal("one"))
        .await
        .unwrap()
        .into_inner()
        .checkpoint;
    let head = verify_checkpoint(&note, ORIGIN, &key().public_key()).unwrap();
    drop(process);
    let report = verify_file(&ledger.path("local.db"), ORIGIN, &key().public_key()).unwrap();
    assert_eq!((report.events, report.root), (head.size, head.root));
    let mut process = ledger.start(ledger.command());
    let address = process.address().await;
    let mut log = TransparencyServiceClient::new(ledger.dial(Role::Operator, &address));
    let known = synapsor_proto::common::v1::TreeHead {
        size: head.size,
        root: head.root.to_vec(),
    };
    let answer = log
        .get_checkpoint(GetCheckpointRequest {
            known: Some(known),
            retired_at: Vec::new(),
        })
        .await
        .unwrap()
        .into_inner();
    let now = verify_checkpoint(&answer.checkpoint, ORIGIN, &key().public_key()).unwrap();
    let proof: synapsor_domain::log::ConsistencyProof = answer.consistency.unwrap().try_into().unwrap();
    proof.verify(&head.root, &now.root).unwrap();
    let verified = log
        .verify_store(VerifyStoreRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((verified.findings, verified.records_checked), (vec![], now.size));
}

#[test]
fn impossible_start_reports_the_cause() {
    let ledger = LedgerSetup::new();
    let other = SigningKey::from_seed(&Zeroizing::new([2; 32]));
    synapsor_chassis::files::create_exclusive(&ledger.path("other.pem"), other.to_pem().as_bytes()).unwrap();
    let with = |flag: &str, value: PathBuf| {
        let mut command = ledger.command();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(env!("CARGO_BIN_EXE_synapsor-ledger"));
        command.env_clear();
        let mut skip = false;
        for arg in args {
            if skip {
                skip = false;
                command.arg(&value);
                continue;
            }
            skip = arg == flag;
            command.arg(arg);
        }
        command
    };
    std::fs::write(
        ledger.path("foreign.db"),
        "plain text, and quite a lot of it ".repeat(40),
    )
    .unwrap();
    std::fs::copy(ledger.path("trust.json"), ledger.path("open.json")).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(ledger.path("open.json"), everybody).unwrap();
    for (flag, value, code, wanted) in [
        ("--trust", ledger.path("open.json"), "TRUST_FILE_OPEN", 1),
        ("--signing-key", ledger.path("other.pem"), "WRONG_KEY", 1),
        ("--signing-key", ledger.path("missing.pem"), "FILE_", 1),
        ("--trust", ledger.path("missing.json"), "TRUST_FILE_UNREADABLE", 1),
        ("--store", ledger.path("foreign.db"), "STORE_TAMPERED", 10),
        ("--store", ledger.path("no/such/folder.db"), "FILE_", 1),
    ] {
        let (exit, text) = ledger.fails(with(flag, value));
        assert_eq!(exit, Some(wanted), "{code}: {text}");
        assert!(
            text.contains(&format!("error[{code}")) && text.contains("fix:"),
            "{code}: {text}"
        );
    }
    assert!(!ledger.path("local.db").exists());
}

#[cfg(feature = "failpoints")]
mod crash {
    use super::*;

    /// Kills the ledger at a crash point of a batch, and returns the number of events before and after.
    async fn killed_at(point: &str) -> (u64, u64) {
        let ledger = LedgerSetup::new();
        let mut process = ledger.start(ledger.command());
        process.address().await;
        drop(process);
        let public = key().public_key();
        let before = verify_file(&ledger.path("local.db"), ORIGIN, &public)
            .unwrap()
            .events;
        let mut command = ledger.command();
        command.env("SYNAPSOR_FAILPOINT", format!("{point}:kill"));
        // The start event is the first batch of the process.
        let mut process = ledger.start(command);
        assert!(!process.child.wait().unwrap().success());
        let after = verify_file(&ledger.path("local.db"), ORIGIN, &public)
            .unwrap()
            .events;
        let mut process = ledger.start(ledger.command());
        process.address().await;
        drop(process);
        verify_file(&ledger.path("local.db"), ORIGIN, &public).unwrap();
        (before, after)
    }

    #[tokio::test]
    async fn batch_is_stored_whole_or_not_at_all_after_a_crash() {
        assert_eq!(killed_at("L1").await, (1, 1));
        assert_eq!(killed_at("L2").await, (1, 2));
    }

    #[tokio::test]
    async fn error_before_the_commit_returns_and_stores_nothing() {
        let ledger = LedgerSetup::new();
        let mut command = ledger.command();
        command.env("SYNAPSOR_FAILPOINT", "L1:error");
        let (code, text) = ledger.fails(command);
        assert_eq!(code, Some(1));
        assert!(text.contains("STORE_FAILED"), "{text}");
        let report = verify_file(&ledger.path("local.db"), ORIGIN, &key().public_key()).unwrap();
        assert_eq!(report.events, 0);
    }
}

#[cfg(not(feature = "failpoints"))]
#[test]
fn release_binary_has_no_crash_points() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_synapsor-ledger")).unwrap();
    let needle = b"SYNAPSOR_FAILPOINT";
    assert!(!binary.windows(needle.len()).any(|window| window == needle));
}
