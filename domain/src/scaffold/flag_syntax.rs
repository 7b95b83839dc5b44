//! The three small languages of the flags: what a column is set to, within which bounds, from which state to which.

use serde_json::Value as Json;

use super::DraftError;

/// What a patched column is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// As it was typed; what it becomes depends on the column.
    Fixed(String),
    /// The argument of this name.
    Arg(String),
}

/// Inclusive bounds as typed; at least one is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    pub minimum: Option<String>,
    pub maximum: Option<String>,
}

/// From each state to those that may follow, in the order in which they were typed.
pub type States = Vec<(String, Vec<String>)>;

/// `column=fixed:VALUE` or `column=arg:NAME`, joined by commas; a comma cannot appear in a value.
///
/// # Errors
/// The part that is no assignment.
pub fn read_patch(text: &str) -> Result<Vec<(String, Assigned)>, DraftError> {
    parts(text, ',')
        .map(|part| {
            let wrong = || {
                DraftError::new(
                    "PATCH_INVALID",
                    format!("`{part}` is no assignment"),
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

/// `column=MIN:MAX`, joined by commas; either side may be empty, not both.
///
/// # Errors
/// The part that is no bound.
pub fn read_bounds(text: &str) -> Result<Vec<(String, Bounds)>, DraftError> {
    parts(text, ',')
        .map(|part| {
            let wrong = || {
                DraftError::new(
                    "BOUNDS_INVALID",
                    format!("`{part}` is no bound"),
                    "write COLUMN=MIN:MAX with plain numbers, one of which may be left out",
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

/// `column=from:to|to;from:to`, columns joined by commas.
///
/// # Errors
/// The part that is no list of transitions.
pub fn read_states(text: &str) -> Result<Vec<(String, States)>, DraftError> {
    parts(text, ',')
        .map(|part| {
            let wrong = || {
                DraftError::new(
                    "STATES_INVALID",
                    format!("`{part}` is no list of transitions"),
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

/// Whether JSON has this text as a number.
pub(super) fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && matches!(serde_json::from_str(text), Ok(Json::Number(_)))
}

/// The number in its own digits.
pub(super) fn number(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
}
