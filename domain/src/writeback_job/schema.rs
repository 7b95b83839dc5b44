//! Published JSON Schema of a job.

use serde_json::{Value as Json, json};

use super::SCHEMA_VERSION;
use crate::tool::SCHEMA_DIALECT;

/// Returns the published schema of [`super::job_view`].
pub fn writeback_job_schema() -> Json {
    let text = json!({"type": "string"});
    let scalar = json!({"type": ["string", "integer", "boolean", "null"]});
    let pair = exact(&json!({"column": text, "value": scalar}));
    let digest = json!({"type": "string", "pattern": "^sha256:"});
    let mut target = exact(&json!({"schema": text, "table": text, "primary_key": pair}));
    // Only if several columns identify the row.
    target["properties"]["primary_keys"] = json!({"type": "array", "minItems": 2, "items": pair});
    let count = json!({"type": "integer", "minimum": 1});
    let mut guard = json!({"type": "object", "required": ["kind"], "additionalProperties": false});
    guard["properties"] = json!({
        "kind": {"enum": ["column", "row_hash", "none"]},
        "column": text,
        "expected_value": scalar,
        "expected_hash": digest,
    });
    let mut job = exact(&json!({
        "schema_version": {"const": SCHEMA_VERSION},
        "writeback_job_id": text,
        "proposal_id": text,
        "proposal_version": count,
        "proposal_hash": digest,
        "runner_scope": exact(&json!({"project_id": text, "source_id": text})),
        "engine": {"enum": ["postgres", "mysql", "mariadb", "sqlite"]},
        "operation": {"const": "single_row_update"},
        "target": target,
        "tenant_guard": pair,
        "allowed_columns": {"type": "array", "minItems": 1, "items": text},
        "patch": {"type": "object", "minProperties": 1, "additionalProperties": scalar},
        "conflict_guard": guard,
        "idempotency_key": text,
        "lease": exact(&json!({"lease_id": text, "attempt": count, "expires_at": text})),
    }));
    job["$schema"] = SCHEMA_DIALECT.into();
    job["$id"] = "urn:synapsor:schema:writeback-job:v1".into();
    job["title"] = "Writeback job".into();
    job
}

/// Returns the schema of an object with exactly these properties.
fn exact(properties: &Json) -> Json {
    let names: Vec<&String> = properties
        .as_object()
        .map(|map| map.keys().collect())
        .unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}
