//! Public view of a proposal, `synapsor.change-set.v1`, for tools that read records of 0.1.x. Derived from the
//! signed bytes and the state; no decision depends on it.

use serde_json::{Map, Value as Json, json};

use super::{GuardKind, Proposal, ProposalMode, ProposalState};
use crate::canonical;
use crate::digest::Digest;
use crate::evidence::query_fingerprint;
use crate::result_envelope::value_to_json;
use crate::tool::SCHEMA_DIALECT;
use crate::value::ColumnValue;

/// Placeholder for the tenant column of a single-tenant development target.
const NO_TENANT_COLUMN: &str = "__single_tenant_dev";
/// Placeholder for the version column of a weak guard.
const NO_VERSION_COLUMN: &str = "__row_hash";

/// Returns the change set of a proposal in `state`; `digest` is the digest of its signed bytes.
pub fn change_set_view(proposal: &Proposal, digest: &Digest, state: ProposalState) -> Json {
    let target = &proposal.target;
    let is_shadow = proposal.mode == ProposalMode::Shadow;
    let (approval, writeback) = statuses(state);
    let mut view = json!({
        "schema_version": "synapsor.change-set.v1",
        "proposal_id": proposal.id,
        "proposal_version": 1,
        "action": proposal.capability,
        "mode": mode(is_shadow, state),
        "principal": {"id": proposal.requested_by.principal, "source": proposal.requested_by.provenance},
        "scope": {
            "tenant_id": proposal.requested_by.tenant,
            "business_object": target.table,
            "object_id": target.object_id(),
        },
        "source": {
            "kind": format!("external_{}", proposal.source.engine),
            "source_id": proposal.source.id,
            "schema": target.schema,
            "table": target.table,
            "primary_key": pair(&target.keys[0]),
        },
        "before": map(&proposal.before),
        "patch": map(&proposal.set),
        "after": map(&proposal.after()),
        "guards": {
            "tenant": target.tenant.as_ref().map_or_else(
                || json!({"column": NO_TENANT_COLUMN, "value": "single_tenant_dev"}),
                pair,
            ),
            "allowed_columns": proposal.set.iter().map(|c| c.column.as_str()).collect::<Vec<_>>(),
            "expected_version": expected_version(proposal),
        },
        "evidence": {
            "bundle_id": proposal.evidence.first().map(|e| e.id.as_str()),
            "query_fingerprint": query_fingerprint(
                &proposal.source.id,
                target,
                &proposal.before.iter().map(|c| c.column.as_str()).collect::<Vec<_>>(),
            ),
            "items": [],
        },
        "approval": {"status": approval, "required_role": proposal.approval.required_role},
        "writeback": {
            "status": writeback,
            "mode": if is_shadow { "read_only" } else { "trusted_worker_required" },
            "executor": proposal.executor,
        },
        "source_database_mutated": false,
        "integrity": {"proposal_hash": digest},
        "created_at": proposal.created_at,
    });
    if target.keys.len() > 1 {
        view["source"]["primary_keys"] = target.keys.iter().map(pair).collect();
    }
    view
}

const fn mode(is_shadow: bool, state: ProposalState) -> &'static str {
    if is_shadow {
        return "shadow";
    }
    match state {
        ProposalState::Approved
        | ProposalState::PendingWorker
        | ProposalState::InDoubt
        | ProposalState::Applied
        | ProposalState::Conflict
        | ProposalState::Failed => "approved_for_writeback",
        ProposalState::PendingReview
        | ProposalState::Rejected
        | ProposalState::Canceled
        | ProposalState::Expired => "review_required",
    }
}

/// Returns approval and writeback status of the change set, which has fewer states.
const fn statuses(state: ProposalState) -> (&'static str, &'static str) {
    match state {
        ProposalState::PendingReview => ("pending", "not_applied"),
        ProposalState::Approved => ("approved", "not_applied"),
        ProposalState::Rejected => ("rejected", "not_applied"),
        ProposalState::Canceled | ProposalState::Expired => ("canceled", "canceled"),
        ProposalState::PendingWorker | ProposalState::InDoubt => ("approved", "pending_worker"),
        ProposalState::Applied => ("approved", "applied"),
        ProposalState::Conflict => ("approved", "conflict"),
        ProposalState::Failed => ("approved", "failed"),
    }
}

fn expected_version(proposal: &Proposal) -> Json {
    match (&proposal.guard.kind, &proposal.guard.version) {
        (GuardKind::VersionColumn, Some(version)) => pair(version),
        (GuardKind::VersionColumn, None) | (GuardKind::Weak, _) => {
            json!({"column": NO_VERSION_COLUMN, "value": row_digest(proposal)})
        }
    }
}

/// Returns the digest of every value that was read.
pub(crate) fn row_digest(proposal: &Proposal) -> Digest {
    let row = canonical::encode(&proposal.before).expect("a part of a proposal that was encoded before");
    Digest::of_typed("application/vnd.synapsor.row.v1+json", &row)
}

fn pair(column: &ColumnValue) -> Json {
    json!({"column": column.column, "value": value_to_json(&column.value)})
}

fn map(columns: &[ColumnValue]) -> Json {
    let entries: Map<String, Json> = columns
        .iter()
        .map(|c| (c.column.clone(), value_to_json(&c.value)))
        .collect();
    Json::Object(entries)
}

/// Returns the published JSON Schema of [`change_set_view`].
pub fn change_set_schema() -> Json {
    let text = json!({"type": "string"});
    let scalars = json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": ["string", "integer", "boolean", "null"]},
    });
    let pair = json!({
        "type": "object",
        "properties": {"column": text, "value": {"type": ["string", "integer", "boolean", "null"]}},
        "required": ["column", "value"],
        "additionalProperties": false,
    });
    let mut source =
        object(&json!({"kind": text, "source_id": text, "schema": text, "table": text, "primary_key": pair}));
    // Only if several columns identify the row.
    source["properties"]["primary_keys"] = json!({"type": "array", "minItems": 2, "items": pair});
    let properties = json!({
        "schema_version": {"const": "synapsor.change-set.v1"},
        "proposal_id": {"type": "string", "pattern": "^wrp_[0-9a-f]{20}$"},
        "proposal_version": {"type": "integer", "minimum": 1},
        "action": text,
        "mode": {"enum": ["read_only", "shadow", "review_required", "approved_for_writeback"]},
        "principal": object(&json!({"id": text, "source": {"enum": ["trusted_session", "cloud_session", "environment", "static_dev"]}})),
        "scope": object(&json!({"tenant_id": text, "business_object": text, "object_id": text})),
        "source": source,
        "before": scalars,
        "patch": scalars,
        "after": scalars,
        "guards": object(&json!({
            "tenant": pair,
            "allowed_columns": {"type": "array", "items": text, "minItems": 1},
            "expected_version": pair,
        })),
        "evidence": {"type": "object", "required": ["bundle_id", "query_fingerprint", "items"]},
        "approval": {
            "type": "object",
            "properties": {"status": {"enum": ["pending", "approved", "rejected", "canceled"]}},
            "required": ["status"],
        },
        "writeback": {
            "type": "object",
            "properties": {
                "status": {"enum": ["not_applied", "pending_worker", "applied", "conflict", "failed", "canceled"]},
                "mode": {"enum": ["trusted_worker_required", "synapsor_merge", "read_only"]},
            },
            "required": ["status", "mode"],
        },
        "source_database_mutated": {"type": "boolean"},
        "integrity": object(&json!({"proposal_hash": {"type": "string", "pattern": "^sha256:"}})),
        "created_at": text,
    });
    let mut schema = object(&properties);
    if let Json::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), SCHEMA_DIALECT.into());
        schema.insert("$id".to_owned(), "urn:synapsor:schema:change-set:v1".into());
        schema.insert("title".to_owned(), "Change set".into());
    }
    schema
}

/// Returns the schema of an object with exactly these properties.
fn object(properties: &Json) -> Json {
    let names: Vec<&String> = properties
        .as_object()
        .map(|map| map.keys().collect())
        .unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}
