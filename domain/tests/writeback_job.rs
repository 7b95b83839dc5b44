//! Writeback jobs: the export is valid, both shapes are read, and every field is compared.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use serde_json::{Value as Json, json};
use synapsor_domain::contract::VersionAdvance;
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::{EvidenceId, ProposalId};
use synapsor_domain::proposal::{
    ApprovalTerms, EvidenceRef, GuardKind, Operation, Proposal, ProposalMode, Requester, RowGuard, RowTarget,
    SourceRef,
};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_domain::writeback_job::{JobLease, difference, job_view, read_job};

fn at() -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::of_typed("text/plain", text.as_bytes())
}

fn proposal() -> Proposal {
    Proposal {
        approval: ApprovalTerms {
            quorum: 1,
            required_role: "lead".to_owned(),
        },
        args: [].into(),
        before: vec![ColumnValue::new("fee_cents", Value::int(250))],
        capability: "loans.propose_fee".to_owned(),
        context_binding: digest("binding"),
        contract_digest: digest("contract"),
        created_at: at(),
        environment: DeploymentEnvironment::Dev,
        evidence: vec![EvidenceRef {
            id: EvidenceId::from_random([1; 10]),
            digest: digest("evidence"),
        }],
        executor: "sql_update".to_owned(),
        guard: RowGuard {
            kind: GuardKind::VersionColumn,
            version: Some(ColumnValue::new("version", Value::int(7))),
            declared_type: None,
            strength: None,
            advance: VersionAdvance::None,
        },
        id: ProposalId::from_random([2; 10]),
        ledger_origin: "synapsor/d1".to_owned(),
        mode: ProposalMode::Review,
        not_after: at(),
        on_behalf_of: None,
        operation: Operation::Update,
        requested_by: Requester {
            tenant: "north".to_owned(),
            principal: "agent-1".to_owned(),
            provenance: "environment".to_owned(),
            client: "spiffe://d1/gateway/g1".to_owned(),
        },
        schema_fingerprint: digest("schema"),
        set: vec![
            ColumnValue::new("fee_cents", Value::int(0)),
            ColumnValue::new("note", Value::null()),
        ],
        side_effects: Vec::new(),
        source: SourceRef {
            id: "loans_db".to_owned(),
            engine: "postgres".to_owned(),
            fingerprint: "f".to_owned(),
        },
        target: RowTarget {
            schema: "public".to_owned(),
            table: "loans".to_owned(),
            keys: vec![ColumnValue::new("loan_no", Value::text("L-1"))],
            tenant: Some(ColumnValue::new("library", Value::text("north"))),
        },
        v: 2,
    }
}

fn exported(proposal: &Proposal) -> Json {
    let lease = JobLease {
        project_id: "local".to_owned(),
        expires_at: at(),
    };
    job_view(proposal, &digest("proposal"), &lease)
}

/// Same job in the older shape.
fn legacy(job: &Json) -> Json {
    let mut target = job["target"].clone();
    target["tenant_guard"] = job["tenant_guard"].clone();
    let mut guard = job["conflict_guard"].clone();
    if guard["kind"] == "column" {
        guard["kind"] = json!("version_column");
    }
    json!({
        "protocol_version": "1.0",
        "job_id": job["writeback_job_id"],
        "proposal_id": job["proposal_id"],
        "approval_id": job["proposal_hash"],
        "source_id": job["runner_scope"]["source_id"],
        "engine": job["engine"],
        "target": target,
        "allowed_columns": job["allowed_columns"],
        "patch": job["patch"],
        "conflict_guard": guard,
        "idempotency_key": job["idempotency_key"],
        "lease_expires_at": job["lease"]["expires_at"],
    })
}

fn compared(job: &Json, proposal: &Proposal) -> Option<String> {
    let read = read_job(job.to_string().as_bytes()).unwrap();
    difference(&read, proposal, &digest("proposal"))
}

#[test]
fn exported_job_is_valid_and_is_that_of_the_proposal() {
    let mut several_keys = proposal();
    several_keys
        .target
        .keys
        .push(ColumnValue::new("copy", Value::int(2)));
    let mut weak = proposal();
    weak.guard = RowGuard::weak();
    for proposal in [proposal(), several_keys, weak] {
        let job = exported(&proposal);
        assert_eq!(compared(&job, &proposal), None, "{job}");
        assert_eq!(compared(&legacy(&job), &proposal), None, "{job}");
    }
}

/// A job file is never taken at its word: each field that says something else is refused by its name.
#[test]
fn altered_field_is_named() {
    let job = exported(&proposal());
    for (path, value, named) in [
        ("/proposal_hash", json!("sha256:0"), "proposal_hash"),
        ("/writeback_job_id", json!("wbj_other"), "writeback_job_id"),
        ("/runner_scope/source_id", json!("other"), "source_id"),
        ("/engine", json!("mysql"), "engine"),
        ("/target/schema", json!("secret"), "target.schema"),
        ("/target/table", json!("users"), "target.table"),
        ("/target/primary_key/value", json!("L-2"), "target.primary_key"),
        ("/tenant_guard/value", json!("south"), "tenant_guard"),
        (
            "/allowed_columns",
            json!(["fee_cents", "note", "role"]),
            "allowed_columns",
        ),
        ("/patch/fee_cents", json!(1), "patch.fee_cents"),
        ("/patch/fee_cents", json!("0"), "patch.fee_cents"),
        ("/patch/note", json!(""), "patch.note"),
        ("/conflict_guard/expected_value", json!(8), "conflict_guard"),
        ("/conflict_guard", json!({"kind": "none"}), "conflict_guard"),
        (
            "/conflict_guard",
            json!({"kind": "row_hash", "expected_hash": "sha256:0"}),
            "conflict_guard",
        ),
        ("/idempotency_key", json!("again"), "idempotency_key"),
    ] {
        let mut altered = job.clone();
        *altered.pointer_mut(path).unwrap() = value;
        assert_eq!(compared(&altered, &proposal()).as_deref(), Some(named), "{path}");
    }
    let mut fewer = job;
    fewer["patch"].as_object_mut().unwrap().remove("note");
    assert_eq!(compared(&fewer, &proposal()).as_deref(), Some("patch.note"));
}

#[test]
fn every_error_of_a_job_is_reported() {
    let mut job = exported(&proposal());
    job["engine"] = json!("oracle");
    job["more"] = json!(1);
    job["target"]["table"] = json!("loans; DROP");
    job["lease"]["attempt"] = json!(0);
    job["lease"]["expires_at"] = json!("soon");
    job["patch"]["note"] = json!({"a": 1});
    let issues = read_job(job.to_string().as_bytes()).unwrap_err();
    let paths: Vec<&str> = issues.iter().map(|issue| issue.path.as_str()).collect();
    for path in [
        "more",
        "engine",
        "target.table",
        "lease.attempt",
        "lease.expires_at",
        "patch.note",
    ] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    let rules = [
        ("/allowed_columns", json!(["fee_cents"]), "patch.note"),
        (
            "/allowed_columns",
            json!(["fee_cents", "note", "loan_no"]),
            "allowed_columns",
        ),
        (
            "/allowed_columns",
            json!(["fee_cents", "note", "library"]),
            "allowed_columns",
        ),
    ];
    for (path, value, named) in rules {
        let mut job = exported(&proposal());
        *job.pointer_mut(path).unwrap() = value;
        let issues = read_job(job.to_string().as_bytes()).unwrap_err();
        assert_eq!(issues[0].path, named);
    }
    for text in [
        "",
        "[]",
        "{}",
        r#"{"schema_version": "synapsor.writeback-job.v1", "schema_version": "1"}"#,
    ] {
        assert_eq!(read_job(text.as_bytes()).unwrap_err()[0].path, "$", "{text}");
    }
}
