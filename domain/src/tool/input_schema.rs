//! JSON Schema of a tool's arguments. Trusted fields never appear.

use serde_json::{Map, Value as Json, json};

use crate::contract::{Arg, ArgType, Capability, Scalar};
use crate::decimal::Decimal;

/// JSON Schema dialect of all schemas of this crate.
pub(crate) const SCHEMA_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Returns the schema of the object that [`super::check_arguments`] accepts.
pub(super) fn input_schema(capability: &Capability) -> Json {
    let properties: Map<String, Json> = capability
        .args
        .iter()
        .map(|arg| (arg.name.clone(), property(arg)))
        .collect();
    let required: Vec<&str> = capability
        .args
        .iter()
        .filter(|arg| capability.requires(arg))
        .map(|arg| arg.name.as_str())
        .collect();
    json!({
        "$schema": SCHEMA_DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(arg: &Arg) -> Json {
    let mut property = Map::new();
    property.insert("type".to_owned(), arg.arg_type.as_str().into());
    let description = arg
        .description
        .clone()
        .unwrap_or_else(|| format!("{} business argument", arg.name));
    property.insert("description".to_owned(), description.into());
    if let Some(limit) = arg.max_length.filter(|_| arg.arg_type == ArgType::Text) {
        property.insert("maxLength".to_owned(), limit.into());
    }
    for (key, bound) in [("minimum", &arg.minimum), ("maximum", &arg.maximum)] {
        if let Some(bound) = bound {
            property.insert(key.to_owned(), number(bound));
        }
    }
    if let Some(allowed) = &arg.allowed {
        property.insert("enum".to_owned(), allowed.iter().map(scalar).collect());
    }
    Json::Object(property)
}

fn scalar(value: &Scalar) -> Json {
    match value {
        Scalar::Null => Json::Null,
        Scalar::Bool(value) => Json::Bool(*value),
        Scalar::Number(value) => number(value),
        Scalar::Text(text) => Json::String(text.clone()),
    }
}

/// Converts a contract number to JSON with all its digits.
fn number(number: &Decimal) -> Json {
    let parsed: Result<serde_json::Number, _> = number.as_str().parse();
    Json::Number(parsed.expect("a plain decimal is a JSON number"))
}
