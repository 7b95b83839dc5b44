//! Checks a value against the keywords of JSON Schema that tools use; any other keyword fails the test.

use serde_json::Value as Json;

/// Returns the first place where `value` does not fit.
pub(crate) fn misfit(schema: &Json, value: &Json) -> Option<String> {
    let schema = schema.as_object().expect("a schema is an object");
    for (keyword, rule) in schema {
        let found = match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" => None,
            "type" => (!has_type(rule, value)).then(|| format!("{value} is not of type {rule}")),
            "const" => (rule != value).then(|| format!("{value} is not {rule}")),
            "enum" => (!list(rule).contains(value)).then(|| format!("{value} is not one of {rule}")),
            "anyOf" => {
                let found: Vec<_> = list(rule).iter().map(|rule| misfit(rule, value)).collect();
                found
                    .iter()
                    .all(Option::is_some)
                    .then(|| format!("fits none of anyOf: {found:?}"))
            }
            "required" => list(rule)
                .iter()
                .find(|name| value.get(name.as_str().unwrap()).is_none() && value.is_object())
                .map(|name| format!("{name} is missing in {value}")),
            "properties" => rule.as_object().unwrap().iter().find_map(|(name, rule)| {
                misfit(rule, value.get(name)?).map(|found| format!("{name}: {found}"))
            }),
            "additionalProperties" => additional(rule, schema.get("properties"), value),
            "minimum" | "maximum" | "maxLength" => None,
            other => panic!("unknown keyword {other}"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn additional(rule: &Json, properties: Option<&Json>, value: &Json) -> Option<String> {
    let is_known = |name: &str| properties.is_some_and(|known| known.get(name).is_some());
    let members = value.as_object()?;
    members
        .iter()
        .filter(|(name, _)| !is_known(name))
        .find_map(|(name, value)| match rule {
            Json::Bool(true) => None,
            Json::Bool(false) => Some(format!("additional property {name}")),
            rule => misfit(rule, value).map(|found| format!("{name}: {found}")),
        })
}

fn has_type(rule: &Json, value: &Json) -> bool {
    match rule {
        Json::Array(types) => types.iter().any(|rule| has_type(rule, value)),
        rule => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64(),
            "number" => value.is_number(),
            "null" => value.is_null(),
            other => panic!("unknown type {other}"),
        },
    }
}

fn list(rule: &Json) -> &Vec<Json> {
    rule.as_array().unwrap()
}
