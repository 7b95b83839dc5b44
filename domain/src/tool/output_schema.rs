//! JSON Schema of results: the envelope of format 2, narrowed to one capability's columns.

use serde_json::{Map, Value as Json, json};

use super::STATUS_TOOL;
use super::input_schema::SCHEMA_DIALECT;
use crate::agent_view::AgentProposalState;
use crate::contract::{Capability, CapabilityKind, PatchBinding};
use synapsor_codes::SafeCode;

/// Returns the published schema of any capability's envelope.
pub fn envelope_schema() -> Json {
    let any_columns = json!({"type": "object", "additionalProperties": column()});
    let any_diff = json!({"type": "object", "additionalProperties": change()});
    let mut schema = envelope(
        &json!({"type": "string"}),
        &data(&any_columns),
        &proposal(&any_diff),
    );
    admit_truncated(&mut schema);
    if let Json::Object(schema) = &mut schema {
        schema.insert("$id".to_owned(), "urn:synapsor:schema:envelope:v2".into());
        schema.insert("title".to_owned(), "Result envelope, format 2".into());
    }
    schema
}

/// Returns the schema of this capability's envelope.
pub(super) fn output_schema(capability: &Capability) -> Json {
    let action = json!({"const": capability.name});
    let absent = json!({"type": "null"});
    let mut schema = match &capability.kind {
        CapabilityKind::Read => {
            let columns = exact_object(
                capability
                    .visible_columns
                    .iter()
                    .map(|name| (name.clone(), column())),
            );
            envelope(&action, &data(&columns), &absent)
        }
        CapabilityKind::Proposal(spec) => {
            let mut diff = exact_object(spec.patch.iter().map(|(name, _)| (name.clone(), change())));
            let is_always_set = |(_, binding): &&(String, PatchBinding)| !capability.may_keep(binding);
            let always: Vec<&str> = spec
                .patch
                .iter()
                .filter(is_always_set)
                .map(|(name, _)| name.as_str())
                .collect();
            diff["required"] = json!(always);
            envelope(&action, &absent, &proposal(&diff))
        }
    };
    if !capability.cuts.is_empty() {
        admit_truncated(&mut schema);
    }
    schema
}

/// Admits the length in characters of each column that is cut; a result without a cut has no such member.
fn admit_truncated(schema: &mut Json) {
    schema["properties"]["truncated"] =
        json!({"type": "object", "additionalProperties": {"type": "integer"}});
}

/// Returns the schema of the status tool's envelope.
pub(super) fn status_schema() -> Json {
    let states = AgentProposalState::ALL.map(AgentProposalState::as_str);
    let status = exact_object(
        [
            ("proposal_id", json!({"type": "string"})),
            ("capability", json!({"type": "string"})),
            ("state", json!({"enum": states})),
            ("reason", json!({"type": ["string", "null"]})),
            ("next", json!({"type": "string"})),
        ]
        .map(|(name, schema)| (name.to_owned(), schema)),
    );
    let absent = json!({"type": "null"});
    let mut schema = envelope(&json!({"const": STATUS_TOOL}), &data(&status), &absent);
    // The proposal may have changed the source meanwhile.
    schema["properties"]["source_database_changed"] = json!({"type": "boolean"});
    schema
}

/// Returns the schema of a column value: null, boolean, an integer within ±(2^53−1), or an exact string.
fn column() -> Json {
    json!({"type": ["string", "integer", "boolean", "null"]})
}

fn change() -> Json {
    exact_object([("before".to_owned(), column()), ("proposed".to_owned(), column())])
}

fn data(columns: &Json) -> Json {
    json!({"anyOf": [columns, {"type": "null"}]})
}

fn proposal(diff: &Json) -> Json {
    // The result of a task also says how the proposal ended; it waits while the outcome is in doubt.
    let states: Vec<&str> = AgentProposalState::ALL
        .into_iter()
        .filter(|state| *state != AgentProposalState::InDoubt)
        .map(AgentProposalState::as_str)
        .collect();
    let object = exact_object(
        [
            ("id", json!({"type": "string"})),
            ("state", json!({"enum": states})),
            ("target", json!({"type": "string"})),
            ("diff", diff.clone()),
            ("approval_required", json!({"type": "boolean"})),
            (
                "writeback",
                exact_object([
                    (
                        "mode".to_owned(),
                        json!({"enum": ["direct_update", "app_handler"]}),
                    ),
                    // True only in the result of a task, which waits for the outcome of the proposal.
                    ("applied".to_owned(), json!({"type": "boolean"})),
                ]),
            ),
            ("next", json!({"type": "string"})),
        ]
        .map(|(name, schema)| (name.to_owned(), schema)),
    );
    json!({"anyOf": [object, {"type": "null"}]})
}

/// A read never changes the source; a proposal has changed it only when a task reports its outcome.
fn envelope(action: &Json, data: &Json, proposal: &Json) -> Json {
    let is_read = *proposal == json!({"type": "null"});
    let changed = if is_read {
        json!({"const": false})
    } else {
        json!({"type": "boolean"})
    };
    let codes = SafeCode::ALL.map(SafeCode::as_str);
    let error = exact_object([
        ("code".to_owned(), json!({"enum": codes})),
        ("message".to_owned(), json!({"type": "string"})),
        ("retryable".to_owned(), json!({"type": "boolean"})),
    ]);
    let evidence = exact_object([
        ("bundle_id".to_owned(), json!({"type": "string"})),
        ("note".to_owned(), json!({"type": "string"})),
    ]);
    let mut schema = exact_object(
        [
            ("ok", json!({"type": "boolean"})),
            ("summary", json!({"type": "string"})),
            ("action", action.clone()),
            ("kind", json!({"enum": ["read", "proposal", null]})),
            ("data", data.clone()),
            ("proposal", proposal.clone()),
            ("error", json!({"anyOf": [error, {"type": "null"}]})),
            ("evidence", json!({"anyOf": [evidence, {"type": "null"}]})),
            ("source_database_changed", changed.clone()),
            ("_meta", meta()),
        ]
        .map(|(name, schema)| (name.to_owned(), schema)),
    );
    if let Json::Object(schema) = &mut schema {
        schema.shift_insert(0, "$schema".to_owned(), SCHEMA_DIALECT.into());
    }
    schema
}

fn meta() -> Json {
    json!({
        "type": "object",
        "properties": {
            "tenant_id": {"type": "string"},
            "principal": {"type": "string"},
            "provenance": {"type": "string"},
            "canonical_capability": {"type": "string"},
            "correlation_id": {"type": "string"},
        },
        "required": ["canonical_capability"],
    })
}

/// Returns the schema of an object with exactly these members, all required.
fn exact_object(members: impl IntoIterator<Item = (String, Json)>) -> Json {
    let properties: Map<String, Json> = members.into_iter().collect();
    let required: Vec<String> = properties.keys().cloned().collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}
