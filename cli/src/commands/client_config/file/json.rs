//! JSON with optional comments, edited on a syntax tree that preserves whitespace and comments.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::{Map, Value as Json};
use synapsor_chassis::run::ExitError;

use super::super::snippet::Snippet;
use super::{ambiguous, changes, is_input, shape, unparsable};

/// Allows comments and trailing commas, and no other extension of JSON.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn value(text: &str) -> Result<Json, ExitError> {
    let root = parse(text)?;
    match root.value() {
        None => Ok(Json::Object(Map::new())),
        Some(_) => root
            .to_serde_value()
            .ok_or_else(|| unparsable("a value is missing")),
    }
}

pub(super) fn merged(before: &str, snippet: &Snippet) -> Result<String, ExitError> {
    let root = parse(before)?;
    let whole = root
        .object_value_or_create()
        .ok_or_else(|| shape("the top", "an object"))?;
    if let Some(input) = &snippet.input {
        add_input(&whole, input)?;
    }
    let servers = only_object(&whole, snippet.servers_key)?;
    let servers = match servers {
        Some(servers) => servers,
        None => whole.object_value_or_set(snippet.servers_key),
    };
    check_once(&servers, &snippet.name)?;
    match servers.get(&snippet.name) {
        None => {
            servers.append(&snippet.name, object_input(&snippet.entry));
        }
        Some(found) => match found.object_value() {
            None => found.set_value(object_input(&snippet.entry)),
            Some(entry) => change(&entry, &snippet.entry),
        },
    }
    if snippet.input.is_none() {
        drop_input(&root, &whole, snippet)?;
    }
    Ok(ended(before, root.to_string()))
}

pub(super) fn without(before: &str, snippet: &Snippet) -> Result<String, ExitError> {
    let root = parse(before)?;
    let Some(whole) = root.object_value() else {
        return match root.value() {
            None => Ok(before.to_owned()),
            Some(_) => Err(shape("the top", "an object")),
        };
    };
    let Some(servers) = only_object(&whole, snippet.servers_key)? else {
        return Ok(before.to_owned());
    };
    check_once(&servers, &snippet.name)?;
    let Some(entry) = servers.get(&snippet.name) else {
        return Ok(before.to_owned());
    };
    entry.remove();
    drop_input(&root, &whole, snippet)?;
    Ok(root.to_string())
}

fn parse(text: &str) -> Result<CstRootNode, ExitError> {
    // The message has a position and a kind, and no text of the file.
    CstRootNode::parse(text, &OPTIONS).map_err(|error| unparsable(&error.to_string()))
}

fn change(entry: &CstObject, wanted: &Map<String, Json>) {
    let present = |key: &str| entry.get(key).and_then(|member| member.to_serde_value());
    let all: Vec<_> = changes(wanted, present).collect();
    for (key, value) in all {
        match (value, entry.get(key)) {
            (Some(value), Some(member)) => member.set_value(input_of(value)),
            (Some(value), None) => {
                entry.append(key, input_of(value));
            }
            (None, Some(member)) => member.remove(),
            (None, None) => {}
        }
    }
}

fn add_input(whole: &CstObject, input: &Json) -> Result<(), ExitError> {
    check_once(whole, "inputs")?;
    let id = input.get("id").and_then(Json::as_str).unwrap_or_default();
    let inputs = whole
        .array_value_or_create("inputs")
        .ok_or_else(|| shape("`inputs`", "a list"))?;
    let is_there =
        |node: &jsonc_parser::cst::CstNode| node.to_serde_value().is_some_and(|v| is_input(&v, id));
    if !inputs.elements().iter().any(is_there) {
        inputs.ensure_multiline();
        inputs.append(input_of(input));
    }
    Ok(())
}

/// Removes our input when no entry uses it.
fn drop_input(root: &CstRootNode, whole: &CstObject, snippet: &Snippet) -> Result<(), ExitError> {
    let Some(id) = &snippet.input_id else {
        return Ok(());
    };
    check_once(whole, "inputs")?;
    let Some(inputs) = whole.array_value("inputs") else {
        return Ok(());
    };
    if root.to_string().contains(&format!("${{input:{id}}}")) {
        return Ok(());
    }
    for node in inputs.elements() {
        if node.to_serde_value().is_some_and(|value| is_input(&value, id)) {
            node.remove();
        }
    }
    Ok(())
}

fn only_object(whole: &CstObject, key: &str) -> Result<Option<CstObject>, ExitError> {
    check_once(whole, key)?;
    match whole.get(key) {
        None => Ok(None),
        Some(member) => member
            .object_value()
            .map(Some)
            .ok_or_else(|| shape(&format!("`{key}`"), "an object")),
    }
}

/// JSON parsers disagree on which duplicate key applies.
fn check_once(object: &CstObject, key: &str) -> Result<(), ExitError> {
    let found = object
        .properties()
        .into_iter()
        .filter(|p| p.decoded_name().as_deref() == Some(key));
    if found.count() > 1 {
        Err(ambiguous(key))
    } else {
        Ok(())
    }
}

fn object_input(object: &Map<String, Json>) -> CstInputValue {
    CstInputValue::Object(object.iter().map(|(k, v)| (k.clone(), input_of(v))).collect())
}

fn input_of(value: &Json) -> CstInputValue {
    match value {
        Json::Null => CstInputValue::Null,
        Json::Bool(value) => CstInputValue::Bool(*value),
        Json::Number(value) => CstInputValue::Number(value.to_string()),
        Json::String(value) => CstInputValue::String(value.clone()),
        Json::Array(values) => CstInputValue::Array(values.iter().map(input_of).collect()),
        Json::Object(object) => object_input(object),
    }
}

/// A new file ends with a line break; an existing one keeps its ending.
fn ended(before: &str, mut after: String) -> String {
    if before.trim().is_empty() && !after.ends_with('\n') {
        after.push('\n');
    }
    after
}
