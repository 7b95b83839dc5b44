//! Finds tools in JSON documents of different shapes: tool lists, manifests, responses of servers.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

/// Maximum depth at which tools are searched.
const SEARCH_DEPTH_MAX: usize = 8;
/// Maximum depth of an input schema.
const SCHEMA_DEPTH_MAX: usize = 10;

/// Members that hold tools, or objects with tools.
const HOLDERS: [&str; 9] = [
    "tools",
    "result",
    "data",
    "adapter",
    "mcpServers",
    "servers",
    "server",
    "manifest",
    "items",
];
const NAMES: [&str; 3] = ["name", "tool_name", "toolName"];
const DESCRIPTIONS: [&str; 3] = ["description", "title", "summary"];
const INPUTS: [&str; 5] = [
    "inputSchema",
    "input_schema",
    "parameters",
    "schema",
    "args_schema",
];
const OUTPUTS: [&str; 5] = [
    "outputSchema",
    "output_schema",
    "resultSchema",
    "result_schema",
    "output",
];
const FIXTURES: [&str; 5] = [
    "examples",
    "example",
    "input_examples",
    "test_fixture",
    "x_synapsor_test_fixture",
];

/// A tool as its list describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditedTool {
    pub name: String,
    pub description: String,
    /// Names of all input fields, also of nested objects, each once.
    pub fields: Vec<String>,
    pub has_output_schema: bool,
    pub has_annotations: bool,
    pub read_only_hint: Option<bool>,
    pub destructive_hint: Option<bool>,
    /// Whether it has an example of its input.
    pub has_fixture: bool,
}

/// Returns the tools of a document; tools of several servers can share a name.
pub fn tools_of(document: &Json) -> Vec<AuditedTool> {
    let mut tools = Vec::new();
    collect(document, 0, &mut tools);
    tools
}

fn collect(value: &Json, depth: usize, tools: &mut Vec<AuditedTool>) {
    if depth > SEARCH_DEPTH_MAX {
        return;
    }
    match value {
        Json::Array(items) => {
            for item in items {
                match item.as_object().and_then(tool) {
                    Some(tool) => tools.push(tool),
                    None => collect(item, depth + 1, tools),
                }
            }
        }
        Json::Object(members) => {
            for holder in HOLDERS {
                match members.get(holder) {
                    // Servers and tools may be in a map by name.
                    Some(Json::Object(named)) if holder != "result" && holder != "data" => {
                        collect(&Json::Object(named.clone()), depth + 1, tools);
                        for (name, item) in named {
                            collect_named(name, item, depth + 1, tools);
                        }
                    }
                    Some(inner) => collect(inner, depth + 1, tools),
                    None => {}
                }
            }
        }
        _ => {}
    }
}

/// Reads a member of a map: a tool whose name is its key, or an object with tools.
fn collect_named(name: &str, item: &Json, depth: usize, tools: &mut Vec<AuditedTool>) {
    let Some(members) = item.as_object() else {
        return;
    };
    let is_tool = INPUTS.iter().any(|key| members.contains_key(*key)) && !HOLDERS.contains(&name);
    if is_tool {
        let mut named = members.clone();
        named.entry("name").or_insert_with(|| name.into());
        tools.extend(tool(&named));
    } else if !HOLDERS.contains(&name) {
        collect(item, depth, tools);
    }
}

/// Reads an object with a name as a tool.
fn tool(members: &Map<String, Json>) -> Option<AuditedTool> {
    // Tools of some clients are nested in `function`.
    let members = members
        .get("function")
        .and_then(Json::as_object)
        .unwrap_or(members);
    let first = |keys: &[&str]| {
        let found = keys.iter().filter_map(|key| members.get(*key));
        found.into_iter().find(|value| !value.is_null())
    };
    let name = first(&NAMES)?.as_str().filter(|name| !name.is_empty())?;
    let annotations = members.get("annotations").and_then(Json::as_object);
    let hint = |key: &str| {
        annotations
            .and_then(|hints| hints.get(key))
            .and_then(Json::as_bool)
    };
    let mut fields = BTreeSet::new();
    if let Some(schema) = first(&INPUTS) {
        collect_fields(schema, 0, &mut fields);
    }
    Some(AuditedTool {
        name: name.to_owned(),
        description: first(&DESCRIPTIONS)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .trim()
            .to_owned(),
        fields: fields.into_iter().collect(),
        has_output_schema: first(&OUTPUTS).is_some_and(Json::is_object),
        has_annotations: annotations.is_some_and(|hints| !hints.is_empty()),
        read_only_hint: hint("readOnlyHint"),
        destructive_hint: hint("destructiveHint"),
        has_fixture: first(&FIXTURES).is_some_and(|fixture| !fixture.is_null()),
    })
}

fn collect_fields(schema: &Json, depth: usize, fields: &mut BTreeSet<String>) {
    if depth > SCHEMA_DEPTH_MAX {
        return;
    }
    let Some(members) = schema.as_object() else {
        return;
    };
    for (name, property) in members
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        fields.insert(name.clone());
        collect_fields(property, depth + 1, fields);
    }
    for key in ["items", "additionalProperties", "not", "if", "then", "else"] {
        if let Some(inner) = members.get(key) {
            collect_fields(inner, depth + 1, fields);
        }
    }
    for key in ["$defs", "definitions", "patternProperties", "dependentSchemas"] {
        for (_, inner) in members.get(key).and_then(Json::as_object).into_iter().flatten() {
            collect_fields(inner, depth + 1, fields);
        }
    }
    for key in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        for inner in members.get(key).and_then(Json::as_array).into_iter().flatten() {
            collect_fields(inner, depth + 1, fields);
        }
    }
}
