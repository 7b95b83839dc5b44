//! Guard: after the update the row is as requested: set columns have their new values, all others are unchanged,
//! except the columns that the database manages itself.

use crate::decimal::Decimal;
use crate::json::{self, JsonNode};
use crate::value::{ColumnValue, Value, ValueKind, find};
use crate::writeback::ValidatedProposal;

/// Maximum nesting depth of a JSON value that is compared.
pub(crate) const JSON_DEPTH_MAX: usize = 64;

/// Returns the first column that differs from the expected after-image.
pub fn first_unexpected_column<'a>(validated: &ValidatedProposal, row: &'a [ColumnValue]) -> Option<&'a str> {
    let surprises = row.iter().filter(|now| !is_expected(validated, now));
    surprises.map(|column| column.column.as_str()).next()
}

fn is_expected(validated: &ValidatedProposal, now: &ColumnValue) -> bool {
    let proposal = validated.proposal();
    if let Some(wanted) = find(&proposal.set, &now.column) {
        return reads_back(wanted, &now.value);
    }
    validated.is_db_managed(&now.column) || find(&proposal.before, &now.column) == Some(&now.value)
}

/// Whether `found` equals `wanted`, the value that was set: the same text or, for JSON, which databases reformat,
/// the same document.
pub fn reads_back(wanted: &Value, found: &Value) -> bool {
    let is_json = wanted.kind() == ValueKind::Json || found.kind() == ValueKind::Json;
    if !is_json || wanted.is_null() || found.is_null() {
        return wanted == found;
    }
    match (document(wanted), document(found)) {
        (Some(wanted), Some(found)) => same(&wanted, &found),
        (None, _) | (_, None) => false,
    }
}

/// Whether a JSON value can be compared: it is well formed, without duplicate keys, and not nested too deep.
pub(crate) fn is_readable_json(value: &Value) -> bool {
    document(value).is_some()
}

fn document(value: &Value) -> Option<JsonNode> {
    json::read(value.as_text()?.as_bytes(), JSON_DEPTH_MAX).ok()
}

/// Compares objects independent of key order, and numbers by exact value independent of notation.
fn same(one: &JsonNode, other: &JsonNode) -> bool {
    match (one, other) {
        (JsonNode::Number(one), JsonNode::Number(other)) => {
            match (Decimal::parse(one), Decimal::parse(other)) {
                (Ok(one), Ok(other)) => one == other,
                (Err(_), _) | (_, Err(_)) => one == other,
            }
        }
        (JsonNode::List(one), JsonNode::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        // Keys are unique, so equal counts and a match for each key mean equal key sets.
        (JsonNode::Map(one), JsonNode::Map(other)) => {
            let by_key: std::collections::HashMap<_, _> = other.iter().map(|(k, node)| (k, node)).collect();
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, node)| by_key.get(key).is_some_and(|found| same(node, found)))
        }
        _ => one == other,
    }
}
