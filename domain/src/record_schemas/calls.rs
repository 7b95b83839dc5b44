//! Schemas of what a call leaves behind: evidence and audit record.

use serde_json::{Value as Json, json};

use super::{
    column, count, digest, list, optional_column, optional_digest, optional_text, part, published, record,
    scalars, text, time,
};

/// Returns the published schema of evidence, as `evidence show --json` prints it.
pub fn evidence_bundle_schema() -> Json {
    let target = record(&json!({
        "schema": text(), "table": text(), "primary_key": optional_text(), "tenant_key": optional_text(),
    }));
    let payload = record(&json!({
        "capability": text(),
        "source_id": text(),
        "target": target,
        "principal": text(),
        "tenant_id": text(),
        "source_database_changed": {"const": false},
        "binding_provenance": text(),
    }));
    let row = record(&json!({
        "kind": {"const": "external_row"},
        "source_id": text(),
        "table": text(),
        "primary_key": column(),
        "tenant": optional_column(),
        "visible_row": scalars(),
    }));
    let item = record(&json!({
        "evidence_item_id": text(), "evidence_bundle_id": text(), "item": row, "created_at": time(),
    }));
    let bundle = record(&json!({
        "evidence_bundle_id": text(),
        "proposal_id": optional_text(),
        "proposal_ids": list(&text()),
        "tenant_id": text(),
        "principal": text(),
        "capability": text(),
        "source_id": text(),
        "source_table": text(),
        "business_object": text(),
        "object_id": optional_text(),
        "query_fingerprint": digest(),
        "created_at": time(),
        "payload": payload,
        "items": list(&item),
        "query_audit": list(&part(query_audit_schema())),
        "digest": digest(),
        "evidence": {"type": "object"},
    }));
    published(bundle, "evidence-bundle:v1", "Evidence bundle")
}

/// Returns the published schema of an audit record, as `query-audit show --json` prints it.
pub fn query_audit_schema() -> Json {
    let payload = record(&json!({
        "capability": text(),
        "columns": list(&text()),
        "tenant_bound": {"type": "boolean"},
        "parameters_redacted": {"const": true},
    }));
    let audit = record(&json!({
        "audit_id": text(),
        "seq": count(),
        "proposal_id": optional_text(),
        "evidence_bundle_id": optional_text(),
        "tenant_id": optional_text(),
        "principal": optional_text(),
        "capability": text(),
        "business_object": optional_text(),
        "object_id": optional_text(),
        "primary_key_value": optional_text(),
        "source_id": optional_text(),
        "query_fingerprint": optional_digest(),
        "table_name": optional_text(),
        "row_count": count(),
        "result": text(),
        "payload": payload,
        "created_at": time(),
        "record": {"type": "object"},
    }));
    published(audit, "query-audit:v1", "Audit record of a call")
}
