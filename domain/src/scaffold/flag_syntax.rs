//! Parsers of three flags: patched columns, numeric bounds, state transitions.

use serde_json::Value as Json;
use synapsor_codes::ErrorCode;

use super::DraftError;

/// New value of a patched column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// Literal as typed; the column determines its type.
    Fixed(String),
    /// Literal with its type.
    Literal(Json),
    /// The argument of this name.
    Arg(String),
}

/// Inclusive bounds as typed; at least one is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    pub minimum: Option<String>,
    pub maximum: Option<String>,
}

/// Each state with its allowed successors, in typed order.
pub type States = Vec<(String, Vec<String>)>;

/// Parses `column=fixed:VALUE` or `column=arg:NAME`, joined by commas; a value cannot contain a comma.
///
/// # Errors
/// Names the invalid rule.
pub fn read_patch(text: &str) -> Result<Vec<(String, Assigned)>, DraftError> {
    parts(text, ',')
        .map(|part| {
            let wrong = || {
                DraftError::new(
                    ErrorCode::PatchInvalid,
                    format!("invalid --patch rule `{part}`"),
                    "write COLUMN=fixed:VALUE or COLUMN=arg:NAME, joined by commas",
                )
            };
            let (column, assigned) = part.split_once('=').ok_or_else(wrong)?;
            let (kind, value) = assigned.split_once(':').ok_or_else(wrong)?;
            if column.trim().is_empty() || value.is_empty() {
                return Err(wrong());
            }
            let assigned = match kind.trim() {
                "fixed" => Assigned::Fixed(value.to_owned()),
                "arg" => Assigned::Arg(value.trim().to_owned()),
                _ => return Err(wrong()),
            };
            Ok((column.trim().to_owned(), assigned))
        })
        .collect()
}

/// Parses `column=MIN:MAX`, joined by commas; either side may be empty, but not both.
///
/// # Errors
/// Names the invalid bound.
pub fn read_bounds(text: &str) -> Result<Vec<(String, Bounds)>, DraftError> {
    parts(text, ',')
        .map(|part| {
            let wrong = || {
                DraftError::new(
                    ErrorCode::BoundsInvalid,
                    format!("invalid bound `{part}`"),
                    "write COLUMN=MIN:MAX with plain numbers; one of them may be omitted",
                )
            };
            let (column, range) = part.split_once('=').ok_or_else(wrong)?;
            let (minimum, maximum) = range.split_once(':').ok_or_else(wrong)?;
            let side = |text: &str| match text.trim() {
                "" => Ok(None),
                number if is_number(number) => Ok(Some(number.to_owned())),
                _ => Err(wrong()),
            };
            let bounds = Bounds {
                minimum: side(minimum)?,
                maximum: side(maximum)?,
            };
            if column.trim().is_empty() || (bounds.minimum.is_none() && bounds.maximum.is_none()) {
                return Err(wrong());
            }
            Ok((column.trim().to_owned(), bounds))
        })
        .collect()
}

/// Parses `column=from:to|to;from:to`, columns joined by commas.
///
/// # Errors
/// Names the invalid list of transitions.
pub fn read_states(text: &str) -> Result<Vec<(String, States)>, DraftError> {
    parts(text, ',')
        .map(|part| {
            let wrong = || {
                DraftError::new(
                    ErrorCode::StatesInvalid,
                    format!("invalid list of transitions `{part}`"),
                    "write COLUMN=FROM:TO|TO;FROM:TO, columns joined by commas",
                )
            };
            let (column, states) = part.split_once('=').ok_or_else(wrong)?;
            let states: States = parts(states, ';')
                .map(|state| {
                    let (from, to) = state.split_once(':').ok_or_else(wrong)?;
                    let to: Vec<String> = parts(to, '|').map(str::to_owned).collect();
                    if from.trim().is_empty() || to.is_empty() {
                        return Err(wrong());
                    }
                    Ok((from.trim().to_owned(), to))
                })
                .collect::<Result<_, _>>()?;
            if column.trim().is_empty() || states.is_empty() {
                return Err(wrong());
            }
            Ok((column.trim().to_owned(), states))
        })
        .collect()
}

fn parts(text: &str, by: char) -> impl Iterator<Item = &str> {
    text.split(by).map(str::trim).filter(|part| !part.is_empty())
}

/// Returns whether the string is a JSON number.
pub(super) fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && matches!(serde_json::from_str(text), Ok(Json::Number(_)))
}

/// Converts to a JSON number without changing its digits.
pub(super) fn number(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}
