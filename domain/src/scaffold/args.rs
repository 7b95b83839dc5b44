//! Derives the arguments of the proposal from the columns that they set.

use serde_json::{Map, Value as Json, json};
use synapsor_codes::ErrorCode;

use super::DraftError;
use super::flag_syntax::{Assigned, number};
use super::resolve::ProposalPlan;
use crate::inspection::{ColumnInfo, ColumnKind, TableInfo};
use crate::limits::VALUE_BYTES_MAX;

/// Maximum length of a string argument, in characters.
const TEXT_CHARS_MAX: u32 = 500;
/// Maximum length of the lookup argument and of a state, in characters, unless the column declares more.
const KEY_CHARS_MAX: u32 = 128;
/// Characters of a number besides its declared digits: sign, zero and point.
const NUMBER_SIGNS: u32 = 3;
/// Hex digits of a byte.
const BYTE_DIGITS: u32 = 2;

/// Returns the maximum length of an argument that finds the row. Every value of the column fits, unless its type sets no
/// bound, and a UUID.
pub(super) fn key_chars(column: Option<&ColumnInfo>) -> u32 {
    let per_byte = if column.is_some_and(ColumnInfo::is_bytes) {
        BYTE_DIGITS
    } else {
        1
    };
    let of_number = column.and_then(ColumnInfo::digits);
    let declared = column
        .and_then(ColumnInfo::length)
        .or(of_number.map(|digits| digits.saturating_add(NUMBER_SIGNS)))
        .unwrap_or(KEY_CHARS_MAX);
    let value_max = u32::try_from(VALUE_BYTES_MAX).unwrap_or(u32::MAX);
    declared.saturating_mul(per_byte).clamp(KEY_CHARS_MAX, value_max)
}

/// Returns the warning about a key whose values can be longer than its argument.
pub(super) fn key_warning(column: &ColumnInfo, argument: &str) -> Option<String> {
    let limit = key_chars(Some(column));
    column.is_unbounded().then(|| {
        let unit = if column.is_bytes() { "hex digits" } else { "characters" };
        format!(
            "`{}` has no maximum length: rows whose key has more than {limit} {unit} cannot be found. If there are such rows, \
             raise `max_length` of the argument `{argument}` in each capability.",
            column.name
        )
    })
}

/// Returns the arguments that a patch binds, in patch order.
pub(super) fn of_change(
    change: &ProposalPlan,
    keys: &[(String, String)],
    table: Option<&TableInfo>,
) -> Result<Map<String, Json>, DraftError> {
    let mut args = Map::new();
    for (column, assigned) in &change.patch {
        let Assigned::Arg(name) = assigned else { continue };
        if keys.iter().any(|(_, argument)| argument == name) {
            let text =
                format!("argument `{name}` is the lookup key and cannot be written into `{column}` as well");
            return Err(DraftError::new(
                ErrorCode::ArgumentTwice,
                text,
                "use another argument in the patch",
            ));
        }
        let found = table.and_then(|table| table.column(column));
        let arg = with_attributes(
            name,
            of_column(column, change, found),
            change,
            is_known(column, change, found),
        );
        match args.get(name) {
            Some(known) if differs(known, &arg) => {
                let text =
                    format!("argument `{name}` is bound to columns with different value types or limits");
                return Err(DraftError::new(
                    ErrorCode::ArgumentTwice,
                    text,
                    "use a separate argument for each of these columns",
                ));
            }
            Some(_) => {}
            None => {
                args.insert(name.clone(), arg);
            }
        }
    }
    Ok(args)
}

/// Whether bounds, transitions or the schema catalog determine the argument.
fn is_known(name: &str, change: &ProposalPlan, column: Option<&ColumnInfo>) -> bool {
    column.is_some()
        || change.bounds.iter().any(|(column, _)| column == name)
        || change.states.iter().any(|(column, _)| column == name)
}

/// Adds the chosen attributes of an argument. What the column determines takes precedence, its description does not.
fn with_attributes(name: &str, derived: Json, change: &ProposalPlan, is_known: bool) -> Json {
    let chosen = change.patch_args.iter().find(|(argument, _)| argument == name);
    let (Some((_, chosen)), Json::Object(derived)) = (chosen, &derived) else {
        return derived;
    };
    let mut arg = derived.clone();
    if !is_known && chosen.contains_key("type") {
        arg = chosen.clone();
        arg.entry("description").or_insert(derived["description"].clone());
        return Json::Object(arg);
    }
    for (key, value) in chosen {
        if key == "description" || !arg.contains_key(key) {
            arg.insert(key.clone(), value.clone());
        }
    }
    Json::Object(arg)
}

/// Returns whether two arguments differ in more than their description.
fn differs(one: &Json, other: &Json) -> bool {
    let bare = |arg: &Json| {
        let mut arg = arg.clone();
        if let Some(members) = arg.as_object_mut() {
            members.shift_remove("description");
        }
        arg
    };
    bare(one) != bare(other)
}

fn of_column(name: &str, change: &ProposalPlan, column: Option<&ColumnInfo>) -> Json {
    let description = format!("The new value of {}.", super::names::spoken(name));
    if let Some((_, bounds)) = change.bounds.iter().find(|(column, _)| column == name) {
        let mut arg = json!({ "type": "number", "description": description, "required": true });
        for (key, side) in [("minimum", &bounds.minimum), ("maximum", &bounds.maximum)] {
            if let Some(side) = side {
                arg[key] = number(side);
            }
        }
        return arg;
    }
    if let Some((_, states)) = change.states.iter().find(|(column, _)| column == name) {
        let mut targets: Vec<&str> = Vec::new();
        for target in states.iter().flat_map(|(_, to)| to) {
            if !targets.contains(&target.as_str()) {
                targets.push(target);
            }
        }
        return words(&description, &targets);
    }
    // A value of a set can have several labels. The empty label marks invalid values.
    let of_one_label = column.filter(|column| !column.is_set());
    let labels: Vec<&str> = of_one_label
        .iter()
        .flat_map(|column| column.labels.iter().map(String::as_str))
        .filter(|label| !label.is_empty())
        .collect();
    if !labels.is_empty() {
        return words(&description, &labels);
    }
    match column.and_then(ColumnInfo::kind) {
        Some(ColumnKind::Number) => json!({ "type": "number", "description": description, "required": true }),
        Some(ColumnKind::Boolean) => {
            json!({ "type": "boolean", "description": description, "required": true })
        }
        Some(ColumnKind::Text) | None => {
            let of_text = column.filter(|column| !column.is_bytes());
            let held = of_text.and_then(ColumnInfo::length).unwrap_or(TEXT_CHARS_MAX);
            json!({
                "type": "string", "description": description, "required": true,
                "max_length": held.clamp(1, TEXT_CHARS_MAX),
            })
        }
    }
}

fn words(description: &str, allowed: &[&str]) -> Json {
    json!({
        "type": "string", "description": description, "required": true,
        "enum": allowed, "max_length": KEY_CHARS_MAX,
    })
}
