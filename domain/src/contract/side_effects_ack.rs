//! Acknowledgements of code on the target table that is not in the closed form: the reviewed definition and its
//! permitted writes besides the row.

use std::fmt;

use serde::Serialize;

use super::fields;
use super::names::is_qualified_name;
use super::object::{ObjectReader, integer};
use super::report::ValidationReport;
use crate::digest::Digest;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Entries of one capability.
pub const SIDE_EFFECTS_MAX: usize = 16;
/// Tables of one entry.
pub const SIDE_EFFECT_TABLES_MAX: usize = 16;
/// Rows of one table of one entry.
pub const SIDE_EFFECT_ROWS_MAX: u32 = 1000;
/// Functions of one entry.
const FUNCTIONS_MAX: usize = 64;
/// Characters of the name of an object or a function.
const NAME_CHARS_MAX: usize = 256;

/// One acknowledged definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SideEffectAck {
    /// Name of the trigger, rule, policy, constraint, column or index.
    pub name: String,
    /// Digest of the whole definition, as `writeback doctor --check-db` prints it.
    pub digest: Digest,
    /// Functions that it calls; sorted, each once.
    pub functions: Vec<String>,
    /// Tables that it may write besides the target row; none if empty.
    pub writes: Vec<SideEffectWrite>,
}

/// Rows of one table that acknowledged code may write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SideEffectWrite {
    /// `schema.table`.
    pub table: String,
    /// At most this many rows, from 1 to [`SIDE_EFFECT_ROWS_MAX`].
    pub rows: u32,
}

impl fmt::Display for SideEffectWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.rows == 1 { "row" } else { "rows" };
        write!(f, "{} {rows} of {}", self.rows, self.table)
    }
}

/// Reads the entries in the order of the file; `is_direct` if the writer itself applies the proposal.
pub(super) fn read_all(
    capability: &ObjectReader<'_>,
    is_direct: bool,
    report: &mut ValidationReport,
) -> Vec<SideEffectAck> {
    let path = capability.at("side_effects_ack");
    let items = match capability.get("side_effects_ack") {
        None => return Vec::new(),
        Some(JsonNode::List(items)) if (1..=SIDE_EFFECTS_MAX).contains(&items.len()) => items,
        Some(_) => {
            let message = format!("Make `side_effects_ack` a list of 1 to {SIDE_EFFECTS_MAX} entries.");
            report.error(path, ErrorCode::InvalidSideEffectsAck, message);
            return Vec::new();
        }
    };
    if !is_direct {
        let message = "Remove `side_effects_ack`: a handler of the application carries the proposal out.";
        report.error(&path, ErrorCode::SideEffectsAckHandler, message);
    }
    let mut entries: Vec<SideEffectAck> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(object) = ObjectReader::of(item, &path) else {
            let message = "Make the entry an object with `name`, `digest`, `functions` and `writes`.";
            report.error(path, ErrorCode::InvalidSideEffectsAck, message);
            continue;
        };
        let Some(entry) = read(&object, report) else {
            continue;
        };
        if entries
            .iter()
            .any(|e| e.name == entry.name && e.digest == entry.digest)
        {
            let message = format!("Remove this entry: `{}` is acknowledged above.", entry.name);
            report.error(path, ErrorCode::DuplicateSideEffect, message);
        }
        entries.push(entry);
    }
    entries
}

fn read(object: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<SideEffectAck> {
    object.only(fields::SIDE_EFFECT_ACK, report);
    let name = match object.get("name") {
        Some(JsonNode::Text(name)) if is_name(name) => Some(name.clone()),
        _ => {
            let message = format!("Make `name` a string of 1 to {NAME_CHARS_MAX} printable characters.");
            report.error(object.at("name"), ErrorCode::InvalidSideEffectName, message);
            None
        }
    };
    let digest = match object.get("digest") {
        Some(JsonNode::Text(text)) => text.parse().ok(),
        _ => None,
    };
    if digest.is_none() {
        let message =
            "Make `digest` the one that `writeback doctor --check-db` prints: `sha256:` and 64 hex digits.";
        report.error(object.at("digest"), ErrorCode::InvalidSideEffectDigest, message);
    }
    let functions = read_functions(object, report);
    let writes = read_writes(object, report);
    Some(SideEffectAck {
        name: name?,
        digest: digest?,
        functions: functions?,
        writes: writes?,
    })
}

fn read_functions(object: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<Vec<String>> {
    let mut functions = Vec::new();
    if let Some(JsonNode::List(items)) = object.get("functions") {
        for item in items {
            match item {
                JsonNode::Text(name) if is_name(name) && !functions.contains(name) => {
                    functions.push(name.clone())
                }
                _ => {}
            }
        }
        if functions.len() == items.len() && items.len() <= FUNCTIONS_MAX {
            functions.sort();
            return Some(functions);
        }
    }
    let message = format!(
        "Make `functions` a list of at most {FUNCTIONS_MAX} different names, `[]` if the code calls none."
    );
    report.error(
        object.at("functions"),
        ErrorCode::InvalidSideEffectFunctions,
        message,
    );
    None
}

fn read_writes(object: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<Vec<SideEffectWrite>> {
    let path = object.at("writes");
    let items = match object.get("writes") {
        Some(JsonNode::List(items)) if items.len() <= SIDE_EFFECT_TABLES_MAX => items,
        _ => {
            let message = format!(
                "Make `writes` a list of at most {SIDE_EFFECT_TABLES_MAX} objects with `table` and `rows`, `[]` if \
                 the code writes no other row."
            );
            report.error(path, ErrorCode::InvalidSideEffectWrites, message);
            return None;
        }
    };
    let mut writes: Vec<SideEffectWrite> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(object) = ObjectReader::of(item, &path) else {
            let message = "Make this an object with `table` and `rows`.";
            report.error(path, ErrorCode::InvalidSideEffectWrites, message);
            continue;
        };
        object.only(fields::SIDE_EFFECT_WRITE, report);
        let table = match object.get("table") {
            Some(JsonNode::Text(table)) if is_qualified_name(table) => Some(table.clone()),
            _ => {
                let message = "Make `table` a schema and a table: two identifiers joined by a dot.";
                report.error(object.at("table"), ErrorCode::InvalidSideEffectWrites, message);
                None
            }
        };
        let rows = object.get("rows").and_then(integer);
        let rows = rows.and_then(|rows| u32::try_from(rows).ok());
        let rows = rows.filter(|rows| (1..=SIDE_EFFECT_ROWS_MAX).contains(rows));
        if rows.is_none() {
            let message = format!("Make `rows` an integer from 1 to {SIDE_EFFECT_ROWS_MAX}.");
            report.error(object.at("rows"), ErrorCode::InvalidSideEffectWrites, message);
        }
        let Some((table, rows)) = table.zip(rows) else {
            continue;
        };
        if writes.iter().any(|write| write.table == table) {
            let message = format!("Name `{table}` once, with all rows that may be written there.");
            report.error(object.at("table"), ErrorCode::InvalidSideEffectWrites, message);
        }
        writes.push(SideEffectWrite { table, rows });
    }
    (writes.len() == items.len()).then_some(writes)
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}
