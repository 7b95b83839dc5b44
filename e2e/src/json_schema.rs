//! Checks JSON against a published schema. Knows the keywords that these schemas use; any other is an error, so that none
//! is passed over.

use anyhow::{Context as _, bail, ensure};
use serde_json::Value as Json;

/// Checks a value; the error names the path of the first mismatch.
pub fn check(value: &Json, schema: &Json) -> anyhow::Result<()> {
    at("$", value, schema)
}

fn at(path: &str, value: &Json, schema: &Json) -> anyhow::Result<()> {
    let keywords = schema
        .as_object()
        .with_context(|| format!("{path}: not a schema: {schema}"))?;
    for (keyword, rule) in keywords {
        let is_met = match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" => true,
            "type" => types(rule).any(|name| is_of_type(value, name)),
            "const" => value == rule,
            "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value.as_i64() >= rule.as_i64(),
            "minItems" => value.as_array().map(Vec::len) >= rule.as_u64().map(to_usize),
            "minProperties" => value.as_object().map(|all| all.len()) >= rule.as_u64().map(to_usize),
            "pattern" => value.as_str().is_none_or(|text| starts_like(text, rule)),
            "required" => first_missing(value, rule).is_none(),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(&format!("{path}[{n}]"), item, rule)?;
                }
                true
            }
            "properties" => {
                for (name, rule) in rule.as_object().into_iter().flatten() {
                    if let Some(member) = value.get(name) {
                        at(&format!("{path}.{name}"), member, rule)?;
                    }
                }
                true
            }
            "additionalProperties" => {
                others(path, value, schema, rule)?;
                true
            }
            other => bail!("{path}: unknown keyword {other}"),
        };
        let missing = first_missing(value, rule).unwrap_or_default();
        ensure!(is_met, "{path}: {keyword} {rule}: {missing}{value}");
    }
    Ok(())
}

/// Checks members that `properties` does not name.
fn others(path: &str, value: &Json, schema: &Json, rule: &Json) -> anyhow::Result<()> {
    let members = value.as_object().into_iter().flatten();
    for (name, member) in members.filter(|(name, _)| schema["properties"].get(name).is_none()) {
        ensure!(rule != &Json::Bool(false), "{path}: member {name} is not allowed");
        at(&format!("{path}.{name}"), member, rule)?;
    }
    Ok(())
}

fn types(rule: &Json) -> impl Iterator<Item = &str> {
    let several = rule.as_array().into_iter().flatten();
    several.chain(Some(rule)).filter_map(Json::as_str)
}

fn is_of_type(value: &Json, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        _ => false,
    }
}

fn first_missing<'a>(value: &Json, rule: &'a Json) -> Option<&'a str> {
    let names = rule.as_array()?.iter().filter_map(Json::as_str);
    value
        .is_object()
        .then(|| names.into_iter().find(|name| value.get(name).is_none()))?
}

/// Whether a text has the literal beginning of an anchored pattern.
fn starts_like(text: &str, rule: &Json) -> bool {
    let pattern = rule.as_str().unwrap_or_default();
    let literal: String = pattern
        .trim_start_matches('^')
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "_:".contains(*c))
        .collect();
    pattern.starts_with('^') && text.starts_with(&literal)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mismatches_are_found_at_their_path() {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"type": ["string", "null"], "pattern": "^wrp_[0-9a-f]{20}$"}, "b": {"type": "array", "items": {"enum": [1, 2]}}},
            "required": ["a"],
            "additionalProperties": {"type": "integer"},
        });
        check(&json!({"a": "wrp_0", "b": [1, 2], "c": 3}), &schema).unwrap();
        check(&json!({"a": null}), &schema).unwrap();
        for (value, path) in [
            (json!([]), "$: type"),
            (json!({"b": []}), "$: required"),
            (json!({"a": 1}), "$.a: type"),
            (json!({"a": "x"}), "$.a: pattern"),
            (json!({"a": "wrp_0", "b": [1, 3]}), "$.b[1]: enum"),
            (json!({"a": "wrp_0", "c": "3"}), "$.c: type"),
        ] {
            let error = check(&value, &schema).unwrap_err().to_string();
            assert!(error.starts_with(path), "{value}: {error}");
        }
        let unknown = check(&json!(1), &json!({"oneOf": []})).unwrap_err().to_string();
        assert!(unknown.contains("unknown keyword"), "{unknown}");
    }
}
