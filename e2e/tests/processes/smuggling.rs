//! Thirty attempts to name another tenant, over both transports. None has an effect: a call for the other tenant's
//! invoice finds nothing, a call for an own invoice runs under the own tenant, and the records confirm it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;
use synapsor_domain::evidence::Evidence;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::stack::{Stack, gateway_flags, http_gateway};
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::event_service_client::EventServiceClient;

const TOKEN: &str = "a-token-of-this-test";
const OWN: &str = "INV-3001";
const FOREIGN: &str = "INV-9001";
const OTHER: &str = "globex";

/// One attempt: additions to the arguments, to `_meta`, and to the headers.
struct Way {
    arguments: Json,
    meta: Json,
    headers: Vec<(&'static str, &'static str)>,
}

fn ways() -> Vec<Way> {
    let argument_names = [
        "tenant_id",
        "tenantId",
        "tenant",
        "principal",
        "principal_id",
        "principalId",
        "project_id",
        "source_id",
        "allowed_columns",
        "row_version",
        "expected_version",
        "approval_identity",
        "x-tenant",
        "__proto__",
        "context",
        "on_behalf_of",
    ];
    let meta_names = [
        "tenant_id",
        "synapsor.tenant_id",
        "io.modelcontextprotocol/tenant",
        "principal",
        "trusted_context",
        "x-synapsor-tenant",
        "org",
        "claims",
    ];
    let headers: [&[(&'static str, &'static str)]; 6] = [
        &[("x-tenant-id", OTHER)],
        &[("x-synapsor-tenant", OTHER)],
        &[("synapsor-tenant-id", OTHER), ("synapsor-principal", "root")],
        &[("x-forwarded-user", "root"), ("x-forwarded-tenant", OTHER)],
        &[("grpc-metadata-tenant", OTHER)],
        &[("baggage", "tenant_id=globex,principal=root")],
    ];
    let by_argument = argument_names.map(|n| Way {
        arguments: json!({ n: OTHER }),
        meta: json!({}),
        headers: vec![],
    });
    let by_meta = meta_names.map(|n| Way {
        arguments: json!({}),
        meta: json!({ n: OTHER }),
        headers: vec![],
    });
    let by_header = headers.map(|h| Way {
        arguments: json!({}),
        meta: json!({}),
        headers: h.to_vec(),
    });
    by_argument.into_iter().chain(by_meta).chain(by_header).collect()
}

fn request(id: u64, way: &Way, invoice: &str) -> Json {
    let mut arguments = way.arguments.clone();
    arguments["invoice_id"] = json!(invoice);
    json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": "billing.inspect_invoice", "arguments": arguments, "_meta": way.meta },
    })
}

/// The result is for acme, or it is a refusal; never the other tenant's row.
fn check_answer(way: usize, invoice: &str, answer: &Json) {
    let text = answer.to_string();
    // The fee as a value: ids and digests are random hex that may contain the same digits.
    let fee = [":7500", ": 7500"];
    assert!(
        !text.contains("Adventure Works") && !fee.iter().any(|fee| text.contains(fee)),
        "way {way}: {text}"
    );
    let envelope = &answer["result"]["structuredContent"];
    let code = envelope["error"]["code"].as_str();
    match (invoice, envelope["ok"].as_bool()) {
        (OWN, Some(true)) => assert_eq!(envelope["_meta"]["tenant_id"], json!("acme"), "way {way}: {text}"),
        (OWN, Some(false)) => assert_eq!(code, Some("INVALID_ARGUMENT"), "way {way}: {text}"),
        (_, Some(false)) => {
            assert!(
                matches!(code, Some("INVALID_ARGUMENT" | "NOT_FOUND_IN_TENANT")),
                "way {way}: {text}"
            );
        }
        _ => panic!("way {way}: {text}"),
    }
}

/// Checks that all recorded evidence is for the reader's tenant.
async fn records_name_only(stack: &Stack, tenant: &str) -> anyhow::Result<usize> {
    let mut events = EventServiceClient::new(stack.ledger_as(Role::Operator, Some("alice"))?);
    let page = synapsor_proto::common::v1::PageRequest {
        size: 200,
        token: String::new(),
    };
    let request = wire::ListEvidenceRequest {
        page: Some(page),
        ..Default::default()
    };
    let evidence = events.list_evidence(request).await?.into_inner().evidence;
    for signed in &evidence {
        let envelope: DsseEnvelope = signed.clone().try_into()?;
        let evidence: Evidence = envelope.decode_unverified(ObjectKind::Evidence)?;
        assert_eq!(evidence.requested_by.tenant, tenant);
        assert_eq!(evidence.requested_by.principal, "support-agent");
    }
    Ok(evidence.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_smuggled_over_http_has_no_effect() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let gateway = http_gateway(&stack, TOKEN)?;
    let http = synapsor_e2e::agent::http_client();
    assert_eq!(ways().len(), 30);
    for (number, way) in ways().iter().enumerate() {
        for invoice in [OWN, FOREIGN] {
            let mut post = http
                .post(format!("http://{}/mcp", gateway.address))
                .bearer_auth(TOKEN)
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2025-06-18")
                .json(&request(1, way, invoice));
            for (name, value) in &way.headers {
                post = post.header(*name, *value);
            }
            let answer: Json = post.send().await?.json().await?;
            check_answer(number, invoice, &answer);
        }
    }
    assert!(records_name_only(&stack, "acme").await? > 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_smuggled_over_stdio_has_no_effect() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let mut gateway = Command::new(stack.deployment.build.binary("synapsor-gateway")?)
        .args(gateway_flags(&stack)?)
        .env_clear()
        // The gateway's own environment does not select a tenant either.
        .env("BILLING_TENANT", OTHER)
        .env("SYNAPSOR_TENANT_ID", OTHER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = gateway.stdin.take().expect("piped");
    let mut output = BufReader::new(gateway.stdout.take().expect("piped"));
    let mut exchange = |message: &Json, answered: bool| -> anyhow::Result<Json> {
        writeln!(input, "{message}")?;
        let mut line = String::new();
        if answered {
            output.read_line(&mut line)?;
        }
        Ok(if answered {
            serde_json::from_str(&line)?
        } else {
            Json::Null
        })
    };
    let client = json!({ "name": "smuggler", "version": "1", "tenant_id": OTHER });
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": { "tenant": OTHER }, "clientInfo": client } });
    exchange(&hello, true)?;
    exchange(
        &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        false,
    )?;
    for (number, way) in ways().iter().enumerate() {
        for invoice in [OWN, FOREIGN] {
            let answer = exchange(&request(1 + number as u64, way, invoice), true)?;
            check_answer(number, invoice, &answer);
        }
    }
    gateway.kill()?;
    gateway.wait()?;
    assert!(records_name_only(&stack, "acme").await? > 10);
    Ok(())
}
