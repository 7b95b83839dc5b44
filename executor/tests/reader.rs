//! Tests a reader without a ledger, with real certificates and a real database: it returns nothing that it could
//! not record, and starts only with the files and variables of its own role.

#![allow(clippy::unwrap_used, reason = "a broken fixture fails the test")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use synapsor_anchors::pinned_checkpoint::CheckpointPinFile;
use synapsor_anchors::trust::TrustFileCache;
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::grpc_channel::{Endpoint, connect};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL};
use synapsor_codes::ErrorCode;
use synapsor_domain::context_ticket::{ContextTicket, RecordKind, VerifiedTicket};
use synapsor_domain::contract::{Contract, Mode};
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::tool::Catalog;
use synapsor_domain::trust::{DeploymentEnvironment as Stage, ServiceKey, TrustFile, TrustLimits};
use synapsor_domain::writeback::RECEIPT_TABLE;
use synapsor_engine::EngineLimits;
use synapsor_engine::sqlite::SqliteEngine;
use synapsor_executor::settings::{RoleName, refuse_foreign_credentials};
use synapsor_proto::executor::v1::agent_service_server::AgentService as _;
use synapsor_proto::executor::v1::{CapabilityCall, GetCatalogRequest, IssueContextTicketRequest};
use synapsor_proto::status::from_status;
use synapsor_reader::callers::CallerAuthenticator;
use synapsor_reader::clients::intake::IntakeClient;
use synapsor_reader::context::ContextResolver;
use synapsor_reader::role::{CapabilityDigests, ReaderRole};
use synapsor_reader::rpc::agent_service::AgentRpc;
use synapsor_source::Engine;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use zeroize::Zeroizing;

const DEPLOYMENT: &str = "test-1";
const CONTRACT: &str = r#"{
  "version": 1, "mode": "review", "result_format": 2,
  "sources": {"billing": {"engine": "sqlite", "read_url_env": "BILLING_READ_URL", "write_url_env": "BILLING_WRITE_URL"}},
  "trusted_context": {"provider": "environment", "values": {"tenant_id_env": "TENANT", "principal_env": "PRINCIPAL"}},
  "capabilities": [
    {"name": "billing.inspect", "kind": "read", "source": "billing",
     "target": {"schema": "main", "table": "invoices", "primary_key": "id", "tenant_key": "tenant_id"},
     "args": {"invoice_id": {"type": "string"}}, "lookup": {"id_from_arg": "invoice_id"},
     "visible_columns": ["id", "customer_name", "late_fee_cents"]},
    {"name": "billing.waive", "kind": "proposal", "source": "billing",
     "target": {"schema": "main", "table": "invoices", "primary_key": "id", "tenant_key": "tenant_id"},
     "args": {"invoice_id": {"type": "string"}}, "lookup": {"id_from_arg": "invoice_id"},
     "visible_columns": ["id", "late_fee_cents"],
     "patch": {"late_fee_cents": {"fixed": 0}}, "allowed_columns": ["late_fee_cents"],
     "conflict_guard": {"column": "version"}, "approval": {"mode": "human", "required_role": "lead"}}
  ]
}"#;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn service(key: &SigningKey) -> Vec<ServiceKey> {
    vec![ServiceKey {
        key_id: key.key_id(),
        public_key: key.public_key(),
        retired: false,
        retired_at_size: None,
        retired_at_root: None,
        pinned_at: None,
    }]
}

fn write_trust(path: &Path) {
    let trust = TrustFile {
        version: 1,
        deployment_id: DEPLOYMENT.to_owned(),
        environment: Stage::Dev,
        readers: service(&key(1)),
        writers: service(&key(2)),
        ledgers: service(&key(3)),
        operators: Vec::new(),
        aliases: BTreeMap::new(),
        separation_of_duties: None,
        ceilings: TrustLimits::default(),
        recoveries: Vec::new(),
    };
    std::fs::write(path, serde_json::to_vec(&trust).unwrap()).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

fn contract() -> Contract {
    Contract::parse(CONTRACT.as_bytes()).unwrap().contract
}

struct Fixture {
    folder: tempfile::TempDir,
    rpc: AgentRpc,
}

impl Fixture {
    fn database(folder: &Path) -> PathBuf {
        folder.join("demo.db")
    }
}

/// A reader whose ledger address has no listener.
fn reader(read_only: bool) -> Fixture {
    bound(
        read_only,
        contract(),
        &[("TENANT", "acme"), ("PRINCIPAL", "agent")],
    )
}

/// Same, with another contract and other variables.
fn bound(read_only: bool, contract: Contract, variables: &[(&'static str, &'static str)]) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let trust_path = folder.path().join("trust.json");
    write_trust(&trust_path);
    let database = Fixture::database(folder.path());
    synapsor_engine::sqlite::sample::create(&database).unwrap();
    let now = SystemClock.now_ms();
    let ca = DevCa::create(&folder.path().join("ca"), DEPLOYMENT, now).unwrap();
    let tls = ca
        .issue(Role::Reader, Some("r-1"), LEAF_TTL, now)
        .unwrap()
        .material(now)
        .unwrap();
    let channel = connect(&tls, &Endpoint::new(Role::Ledger, "127.0.0.1:1")).unwrap();
    let pinned = CheckpointPinFile::load(folder.path().join("reader.witness"), "synapsor/test-1").unwrap();
    let contract = Arc::new(contract);
    let env = EnvVars::fixed(variables.iter().copied());
    let url = format!("sqlite://{}", database.display());
    let engine: Arc<dyn Engine> =
        Arc::new(SqliteEngine::new(&url, RECEIPT_TABLE, EngineLimits::default()).unwrap());
    let clock = Arc::new(SystemClock);
    let callers = CallerAuthenticator::of_contract(&contract, None, Stage::Dev, clock).unwrap();
    let reader = ReaderRole {
        callers,
        contexts: ContextResolver::resolve(&contract, tls.identity().uri(), &env).unwrap(),
        catalog: Catalog::from_contract(&contract, read_only),
        digests: CapabilityDigests::all(&contract),
        contract,
        trust: TrustFileCache::new(trust_path),
        engines: [("billing".to_owned(), engine)].into(),
        key: Arc::new(key(1)),
        intake: IntakeClient::new(channel, pinned, Arc::new(key(1))),
        clock: Arc::new(SystemClock),
        read_only,
    };
    Fixture {
        rpc: AgentRpc::new(Arc::new(reader), CancellationToken::new()),
        folder,
    }
}

async fn call(fixture: &Fixture, capability: &str, arguments: &str) -> (Json, String) {
    let call = CapabilityCall {
        capability: capability.to_owned(),
        arguments_json: arguments.as_bytes().to_vec(),
        result_format: 2,
        ..CapabilityCall::default()
    };
    let gateway = PeerIdentity::new(DEPLOYMENT, Role::Gateway, Some("r-1")).unwrap();
    let answer = fixture.rpc.call(call, gateway.to_string()).await.unwrap();
    assert_eq!(answer.is_error, answer.code.is_some());
    (
        serde_json::from_slice(&answer.envelope_json).unwrap(),
        answer.code.unwrap_or_default(),
    )
}

#[tokio::test]
async fn read_without_ledger_returns_no_row() {
    let fixture = reader(false);
    for capability in ["billing.inspect", "billing.waive"] {
        let (envelope, code) = call(&fixture, capability, r#"{"invoice_id": "INV-3001"}"#).await;
        assert_eq!(code, "LEDGER_UNAVAILABLE");
        assert_eq!(envelope["error"]["code"], "TEMPORARILY_UNAVAILABLE");
        assert_eq!(envelope["error"]["retryable"], true);
        assert!(envelope["data"].is_null() && envelope["proposal"].is_null());
        assert!(!envelope.to_string().contains("Northwind"), "{envelope}");
    }
}

#[tokio::test]
async fn rejection_that_cannot_be_recorded_reports_unavailable() {
    let fixture = reader(false);
    for (capability, arguments) in [
        ("billing.drop_table", "{}"),
        ("billing.inspect", r#"{"invoice_id": "INV-9001"}"#),
        (
            "billing.inspect",
            r#"{"invoice_id": "INV-3001", "tenant_id": "globex"}"#,
        ),
        ("billing.inspect", "not json"),
    ] {
        let (envelope, code) = call(&fixture, capability, arguments).await;
        assert_eq!(code, "LEDGER_UNAVAILABLE", "{capability} {arguments}");
        assert!(envelope["data"].is_null());
    }
}

#[tokio::test]
async fn rejects_call_without_peer_identity() {
    let fixture = reader(false);
    let request = Request::new(IssueContextTicketRequest::default());
    assert!(fixture.rpc.issue_context_ticket(request).await.is_err());
}

async fn ticket(fixture: &Fixture, gateway: &str) -> Result<(DsseEnvelope, i64), PublicError> {
    let mut request = Request::new(IssueContextTicketRequest::default());
    let gateway = PeerIdentity::new(DEPLOYMENT, Role::Gateway, Some(gateway)).unwrap();
    request.extensions_mut().insert(gateway);
    let answer = fixture
        .rpc
        .issue_context_ticket(request)
        .await
        .map_err(|status| from_status(&status))?
        .into_inner();
    Ok((answer.ticket.unwrap().try_into().unwrap(), answer.expires_at_ms))
}

fn trust_of(fixture: &Fixture) -> TrustFile {
    TrustFile::parse(&std::fs::read(fixture.folder.path().join("trust.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn ticket_names_the_reader_context_and_requesting_gateway() {
    let fixture = reader(false);
    let before = Timestamp::from_unix_millis(SystemClock.now_ms());
    let (signed, expires_at_ms) = ticket(&fixture, "g-1").await.unwrap();
    let now = Timestamp::from_unix_millis(SystemClock.now_ms());
    let verify = |gateway: &str| {
        let peer = format!("spiffe://{DEPLOYMENT}/gateway/{gateway}");
        VerifiedTicket::verify(signed.clone(), &trust_of(&fixture), &peer, now)
    };
    let verified = verify("g-1").unwrap();
    assert_eq!(verified.contexts().len(), 1);
    assert!(verified.covers_principal("acme", "agent"));
    assert_eq!(
        verified.visible("billing.inspect").unwrap(),
        ["id", "customer_name", "late_fee_cents"]
    );
    assert_eq!(
        verified.visible("billing.waive").unwrap(),
        ["id", "late_fee_cents"]
    );
    assert!(RecordKind::ALL.iter().all(|kind| verified.allows(*kind)) && verified.may_withdraw());
    assert_eq!(verified.expires_at().as_unix_millis(), expires_at_ms);
    assert!((before + Span::minutes(5)..=now + Span::minutes(5)).contains(&verified.expires_at()));
    assert_eq!(verify("g-2").unwrap_err().code, ErrorCode::TicketRefused);
}

#[tokio::test]
async fn ticket_omits_unbound_contexts_and_merges_equal_ones() {
    let text = CONTRACT
        .replace(
            r#""trusted_context": {"provider": "environment", "values": {"tenant_id_env": "TENANT", "principal_env": "PRINCIPAL"}},"#,
            r#""contexts": {
                "one": {"provider": "environment", "values": {"tenant_id_env": "TENANT", "principal_env": "PRINCIPAL"}},
                "two": {"provider": "environment", "values": {"tenant_id_env": "OTHER", "principal_env": "PRINCIPAL"}}},"#,
        )
        .replace(r#""name": "billing.inspect","#, r#""name": "billing.inspect", "context": "one","#)
        .replace(r#""name": "billing.waive","#, r#""name": "billing.waive", "context": "two","#);
    let contract = || Contract::parse(text.as_bytes()).unwrap().contract;
    for (variables, expected) in [
        (&[("TENANT", "acme"), ("PRINCIPAL", "agent")][..], &["acme"][..]),
        (
            &[("TENANT", "acme"), ("OTHER", "acme"), ("PRINCIPAL", "agent")],
            &["acme"],
        ),
        (
            &[("TENANT", "north"), ("OTHER", "acme"), ("PRINCIPAL", "agent")],
            &["acme", "north"],
        ),
    ] {
        let fixture = bound(false, contract(), variables);
        let (signed, _) = ticket(&fixture, "g-1").await.unwrap();
        let ticket: ContextTicket = signed.decode_unverified(ObjectKind::ContextTicket).unwrap();
        let tenants: Vec<_> = ticket.contexts.iter().map(|c| c.tenant.as_str()).collect();
        assert_eq!(tenants, expected);
    }
    let unbound = bound(false, contract(), &[("PRINCIPAL", "agent")]);
    let refusal = ticket(&unbound, "g-1").await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TrustedBindingMissing);
}

#[tokio::test]
async fn rejects_ticket_request_without_peer_identity() {
    let request = Request::new(IssueContextTicketRequest::default());
    assert!(reader(false).rpc.issue_context_ticket(request).await.is_err());
}

#[tokio::test]
async fn read_only_reader_ticket_does_not_permit_withdrawal() {
    let (signed, _) = ticket(&reader(true), "g-1").await.unwrap();
    let ticket: ContextTicket = signed.decode_unverified(ObjectKind::ContextTicket).unwrap();
    assert!(!ticket.may_withdraw && ticket.kinds == RecordKind::ALL);
}

#[tokio::test]
async fn read_only_reader_lists_no_proposal_tool() {
    for (read_only, tools, mode) in [(false, 3, "review"), (true, 1, "read_only")] {
        let catalog = reader(read_only)
            .rpc
            .get_catalog(Request::new(GetCatalogRequest {}))
            .await
            .unwrap()
            .into_inner();
        let listed: Catalog = serde_json::from_slice(&catalog.catalog_json).unwrap();
        assert_eq!(
            (
                listed.tools.len(),
                Mode::try_from(catalog.mode()).unwrap().as_str()
            ),
            (tools, mode)
        );
        assert_eq!(catalog.result_format, 2);
        assert_eq!(catalog.digest, listed.digest().to_string());
    }
}

#[test]
fn rejects_credential_of_the_other_role() {
    let contract = contract();
    let check =
        |role, name: &str| refuse_foreign_credentials(role, &contract, &EnvVars::fixed([(name, "x")]));
    for name in ["BILLING_WRITE_URL", "BILLING_WRITE_URL_FILE"] {
        assert_eq!(
            check(RoleName::Reader, name).unwrap_err().code(),
            ErrorCode::EnvironmentForbidden
        );
        assert!(check(RoleName::Writer, name).is_ok());
    }
    for name in ["BILLING_READ_URL", "BILLING_READ_URL_FILE"] {
        assert_eq!(
            check(RoleName::Writer, name).unwrap_err().code(),
            ErrorCode::EnvironmentForbidden
        );
        assert!(check(RoleName::Reader, name).is_ok());
    }
}

#[test]
fn rejects_writable_trust_file_and_reloads_changed_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.json");
    let store = TrustFileCache::new(&path);
    assert_eq!(store.read().unwrap_err().code, ErrorCode::TrustFileUnreadable);
    write_trust(&path);
    let (first, digest) = store.read().unwrap();
    assert_eq!(first.deployment_id, DEPLOYMENT);
    let mut changed: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    changed["readers"][0]["retired"] = true.into();
    std::fs::write(&path, changed.to_string()).unwrap();
    let (second, other) = store.read().unwrap();
    assert!(second.readers[0].retired && digest != other);
    std::fs::write(&path, "{}").unwrap();
    assert!(store.read().is_err(), "the previous trust file is still in use");
    write_trust(&path);
    for mode in [0o620, 0o602, 0o666] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(store.read().unwrap_err().code, ErrorCode::TrustFileOpen);
    }
}

#[tokio::test]
async fn read_does_not_change_the_database() {
    let fixture = reader(false);
    let bytes = || std::fs::read(Fixture::database(fixture.folder.path())).unwrap();
    let before = bytes();
    call(&fixture, "billing.inspect", r#"{"invoice_id": "INV-3001"}"#).await;
    call(&fixture, "billing.waive", r#"{"invoice_id": "INV-3001"}"#).await;
    assert_eq!(before, bytes());
}
