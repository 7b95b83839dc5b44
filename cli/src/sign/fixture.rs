//! Proposal and trust file for tests. Key seeds: reader 1, writer 2, ann 4, bob 5.

use synapsor_domain::digest::Digest;
use synapsor_domain::log::{Checkpoint, EMPTY_ROOT};
use synapsor_domain::proposal::VerifiedProposal;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::value::Value;
use zeroize::Zeroizing;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

pub(crate) fn now() -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse().unwrap()
}

pub(crate) fn trust(environment: &str) -> TrustFile {
    let service =
        |seed| serde_json::json!({ "key_id": key(seed).key_id(), "public_key": key(seed).public_key() });
    let person = |name: &str, seed: u8| {
        serde_json::json!({
            "person": name, "key_id": key(seed).key_id(), "public_key": key(seed).public_key(),
            "roles": ["approver", "applier"],
            "not_before": "2026-01-01T00:00:00.000Z", "not_after": "2027-01-01T00:00:00.000Z",
        })
    };
    let file = serde_json::json!({
        "version": 1, "deployment_id": "d1", "environment": environment,
        "readers": [service(1)], "writers": [service(2)], "ledgers": [],
        "operators": [person("ann", 4), person("bob", 5)],
        "separation_of_duties": "off",
    });
    TrustFile::parse(file.to_string().as_bytes()).unwrap()
}

pub(crate) fn attested(text: &str, trust: &TrustFile) -> VerifiedProposal {
    let digest = Digest::of_typed("text/plain", b"x");
    let value = |text: &str| serde_json::json!(Value::text(text));
    let column = |name: &str, v: serde_json::Value| serde_json::json!({ "column": name, "value": v });
    let proposal = serde_json::json!({
        "v": 1, "id": "wrp_00112233445566778899", "ledger_origin": "synapsor/d1", "environment": trust.environment,
        "source": { "id": "db", "engine": "sqlite", "fingerprint": "f" },
        "capability": "billing.waive", "contract_digest": digest, "mode": "review", "executor": "sql_update",
        "operation": "update", "args": { "reason": value(text) },
        "target": {
            "schema": "main", "table": "invoices",
            "primary_key": column("id", value("INV-1")), "tenant": column("tenant_id", value("acme")),
        },
        "set": [column("note", value(text))],
        "before": [column("id", value("INV-1")), column("note", serde_json::json!(Value::null()))],
        "guard": { "kind": "weak", "version": null },
        "schema_fingerprint": digest, "side_effects": [],
        "approval": { "required_role": "approver", "quorum": 2 },
        "requested_by": { "tenant": "acme", "principal": "agent", "provenance": "environment", "client": "c" },
        "on_behalf_of": null, "context_binding": digest, "evidence": [],
        "created_at": now(), "not_after": now() + Span::days(7),
    });
    VerifiedProposal::verify(
        DsseEnvelope::sign(ObjectKind::Proposal, &proposal, &key(1)).unwrap(),
        trust,
    )
    .unwrap()
}

pub(crate) fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "synapsor/d1".to_owned(),
        size: 0,
        root: EMPTY_ROOT,
    }
}
