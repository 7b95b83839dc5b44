//! Published JSON Schemas of the records that operators' commands print as JSON. They demand the keys of 0.1.x; records
//! have further keys beside them.

mod calls;
mod proposals;

use serde_json::{Value as Json, json};

pub use calls::{evidence_bundle_schema, query_audit_schema};
pub use proposals::{activity_schema, execution_receipt_schema, replay_schema, stored_proposal_schema};

use crate::tool::SCHEMA_DIALECT;

/// Names a schema that is published.
fn published(mut schema: Json, name: &str, title: &str) -> Json {
    schema["$schema"] = SCHEMA_DIALECT.into();
    schema["$id"] = format!("urn:synapsor:schema:{name}").into();
    schema["title"] = title.into();
    schema
}

/// Returns the schema as a part of another.
fn part(mut schema: Json) -> Json {
    if let Json::Object(members) = &mut schema {
        for name in ["$schema", "$id", "title"] {
            members.remove(name);
        }
    }
    schema
}

/// Returns the schema of an object with at least these properties.
fn record(properties: &Json) -> Json {
    let names: Vec<&String> = properties
        .as_object()
        .map(|map| map.keys().collect())
        .unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": names})
}

/// Adds properties that a record may lack.
fn with_optional(mut record: Json, properties: &Json) -> Json {
    if let (Some(known), Json::Object(more)) = (record["properties"].as_object_mut(), properties) {
        known.extend(more.clone());
    }
    record
}

fn list(items: &Json) -> Json {
    json!({"type": "array", "items": items})
}

fn text() -> Json {
    json!({"type": "string"})
}

fn optional_text() -> Json {
    json!({"type": ["string", "null"]})
}

fn count() -> Json {
    json!({"type": "integer", "minimum": 0})
}

/// Value of a column: numbers that a JSON number does not hold exactly are text.
fn scalar() -> Json {
    json!({"type": ["string", "integer", "boolean", "null"]})
}

fn scalars() -> Json {
    json!({"type": "object", "additionalProperties": scalar()})
}

fn digest() -> Json {
    json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
}

fn optional_digest() -> Json {
    json!({"type": ["string", "null"], "pattern": "^sha256:[0-9a-f]{64}$"})
}

fn time() -> Json {
    json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T"})
}

fn column() -> Json {
    record(&json!({"column": text(), "value": scalar()}))
}

/// Column with its value, or null.
fn optional_column() -> Json {
    let mut schema = column();
    schema["type"] = json!(["object", "null"]);
    schema
}
