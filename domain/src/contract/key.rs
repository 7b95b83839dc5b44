//! The key of a capability's row: the columns of `target.primary_key`, and where `lookup` takes the value of each from.

use super::capability::names_argument;
use super::fields;
use super::names::is_identifier;
use super::object::ObjectReader;
use super::proposal::names;
use super::report::ValidationReport;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Maximum number of key columns; what MySQL takes in one index.
pub(super) const KEY_COLUMNS_MAX: usize = 16;

/// One column of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    pub column: String,
    pub value: KeyValue,
}

/// Where the value of a key column comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue {
    /// From this argument, which is always required.
    Argument(String),
    /// From the trusted context: the column is the tenant column too.
    Tenant,
}

/// Reads the columns of `primary_key`: one name, or a list of names.
pub(super) fn read_columns(target: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<Vec<String>> {
    let code = ErrorCode::InvalidTargetIdentifier;
    let Some(JsonNode::List(items)) = target.get("primary_key") else {
        return target
            .identifier("primary_key", code, report)
            .map(|column| vec![column]);
    };
    let mut columns: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        match item {
            JsonNode::Text(column) if is_identifier(column) && !columns.contains(column) => {
                columns.push(column.clone());
            }
            _ => break,
        }
    }
    if columns.len() == items.len() && (1..=KEY_COLUMNS_MAX).contains(&columns.len()) {
        return Some(columns);
    }
    let message = format!(
        "Make `primary_key` the name of the key column, or a list of up to {KEY_COLUMNS_MAX} different names that \
         identify a row together."
    );
    report.error(target.at("primary_key"), code, message);
    None
}

/// Reads `lookup`, which gives each key column its value.
pub(super) fn read_lookup(
    capability: &ObjectReader<'_>,
    columns: Option<&[String]>,
    report: &mut ValidationReport,
) -> Option<Vec<KeyColumn>> {
    let Some(lookup) = capability
        .get("lookup")
        .and_then(|node| ObjectReader::of(node, capability.at("lookup")))
    else {
        let message = "Add `lookup`, an object whose `id_from_arg` names the argument that finds the row.";
        report.error(capability.at("lookup"), ErrorCode::LookupRequired, message);
        return None;
    };
    lookup.only(fields::LOOKUP, report);
    let by_tenant = |column: &String| {
        columns.is_some_and(|columns| columns.len() > 1) && names(capability, "target", "tenant_key", column)
    };
    let named: Vec<&String> = columns
        .unwrap_or_default()
        .iter()
        .filter(|c| !by_tenant(c))
        .collect();
    let arguments = if lookup.has("key_from_args") || named.len() > 1 {
        read_each(capability, &lookup, &named, report)?
    } else {
        vec![read_one(capability, &lookup, report)?]
    };
    let mut arguments = arguments.into_iter();
    let keys = columns?.iter().map(|column| {
        let value = if by_tenant(column) {
            KeyValue::Tenant
        } else {
            KeyValue::Argument(arguments.next()?)
        };
        Some(KeyColumn {
            column: column.clone(),
            value,
        })
    });
    keys.collect()
}

/// Reads the argument of the only key column that an argument names.
fn read_one(
    capability: &ObjectReader<'_>,
    lookup: &ObjectReader<'_>,
    report: &mut ValidationReport,
) -> Option<String> {
    let name = lookup.required_text("id_from_arg", ErrorCode::LookupArgRequired, report)?;
    check_argument(capability, &name, lookup.at("id_from_arg"), report);
    Some(name)
}

/// Reads the argument of each of these columns, in their order.
fn read_each(
    capability: &ObjectReader<'_>,
    lookup: &ObjectReader<'_>,
    columns: &[&String],
    report: &mut ValidationReport,
) -> Option<Vec<String>> {
    let path = lookup.at("key_from_args");
    let given = match lookup.get("key_from_args") {
        Some(JsonNode::Map(entries)) if !lookup.has("id_from_arg") => entries.as_slice(),
        _ => &[],
    };
    let argument_of = |column: &&String| {
        given.iter().find_map(|(name, node)| match node {
            JsonNode::Text(argument) if name == *column => Some(argument.clone()),
            _ => None,
        })
    };
    let arguments: Option<Vec<String>> = columns.iter().map(argument_of).collect();
    let Some(arguments) =
        arguments.filter(|arguments| !arguments.is_empty() && arguments.len() == given.len())
    else {
        let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
        let message = format!(
            "Make `key_from_args` an object with the argument of each key column ({}), instead of `id_from_arg`; the \
             tenant column gets its value from the trusted context.",
            names.join(", ")
        );
        report.error(path, ErrorCode::LookupKeysInvalid, message);
        return None;
    };
    for argument in &arguments {
        check_argument(capability, argument, path.clone(), report);
    }
    Some(arguments)
}

fn check_argument(capability: &ObjectReader<'_>, name: &str, path: String, report: &mut ValidationReport) {
    if !names_argument(capability, name) {
        let message = format!("Name one of the arguments in `args`; `{name}` is none of them.");
        report.error(path, ErrorCode::UnknownLookupArg, message);
    }
}

/// True if `lookup` of the file takes a key column from this argument, whether or not it is well formed.
pub(super) fn is_key_argument(capability: &ObjectReader<'_>, argument: &str) -> bool {
    let lookup = capability
        .get("lookup")
        .and_then(|node| ObjectReader::of(node, ""));
    let each = lookup.and_then(|lookup| lookup.get("key_from_args"));
    let is_it = |node: &JsonNode| matches!(node, JsonNode::Text(text) if text == argument);
    names(capability, "lookup", "id_from_arg", argument)
        || matches!(each, Some(JsonNode::Map(entries)) if entries.iter().any(|(_, node)| is_it(node)))
}
