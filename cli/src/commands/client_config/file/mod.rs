//! Inserts, removes or finds our entry in the text of a client's file, and preserves the rest. Pure; each
//! result is compared by value with the text before.

mod json;
mod toml;

use serde_json::{Map, Value as Json};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

use super::client::ClientFileFormat;
use super::snippet::{OWN_MEMBERS, Snippet};

/// Fix for a file that is not text of its format.
pub(super) const UNPARSABLE_FIX: &str = "fix the file, or move it away and create a new one";

/// Returns the text with our entry as in `snippet`; unchanged if it is present already.
///
/// # Errors
/// `CLIENT_FILE_UNPARSABLE`, `CLIENT_FILE_SHAPE`, `CLIENT_FILE_AMBIGUOUS`; `CLIENT_FILE_NOT_KEPT` if any other
/// content would change.
pub(super) fn merged(before: &str, snippet: &Snippet) -> Result<String, ExitError> {
    let after = match snippet.format {
        ClientFileFormat::Json => json::merged(before, snippet)?,
        ClientFileFormat::Toml => toml::merged(before, snippet)?,
    };
    check_kept(before, &after, snippet)?;
    Ok(after)
}

/// Returns the text without our entry; unchanged if it has none.
///
/// # Errors
/// As [`merged`].
pub(super) fn without(before: &str, snippet: &Snippet) -> Result<String, ExitError> {
    let after = match snippet.format {
        ClientFileFormat::Json => json::without(before, snippet)?,
        ClientFileFormat::Toml => toml::without(before, snippet)?,
    };
    check_kept(before, &after, snippet)?;
    Ok(after)
}

/// Returns our entry as the file has it.
///
/// # Errors
/// As [`merged`].
pub(super) fn entry(text: &str, snippet: &Snippet) -> Result<Option<Json>, ExitError> {
    let whole = value(text, snippet.format)?;
    let servers = whole.get(snippet.servers_key);
    Ok(servers.and_then(|servers| servers.get(&snippet.name)).cloned())
}

/// Whether the entry matches the snippet; members that are not ours are ignored.
pub(super) fn is_same(entry: &Json, snippet: &Snippet) -> bool {
    entry.as_object().is_some_and(|entry| {
        OWN_MEMBERS
            .iter()
            .all(|key| entry.get(*key) == snippet.entry.get(*key))
    })
}

/// Parses the text; an empty text is an empty object.
fn value(text: &str, format: ClientFileFormat) -> Result<Json, ExitError> {
    match format {
        ClientFileFormat::Json => json::value(text),
        ClientFileFormat::Toml => toml::value(text),
    }
}

/// Invariant: except for our entry and its input, both texts have the same values.
fn check_kept(before: &str, after: &str, snippet: &Snippet) -> Result<(), ExitError> {
    let rest = |text| value(text, snippet.format).map(|whole| rest(whole, snippet));
    if rest(before)? == rest(after)? {
        return Ok(());
    }
    Err(ExitError::new(
        ErrorCode::ClientFileNotKept,
        "the file cannot be edited without changing other entries; no changes written",
    )
    .with_fix("insert the snippet manually"))
}

/// Returns the values that are not ours. An empty list of servers or inputs counts as absent.
fn rest(mut whole: Json, snippet: &Snippet) -> Json {
    let Json::Object(members) = &mut whole else {
        return whole;
    };
    if let Some(Json::Object(servers)) = members.get_mut(snippet.servers_key) {
        servers.remove(&snippet.name);
    }
    if let (Some(id), Some(Json::Array(inputs))) = (&snippet.input_id, members.get_mut("inputs")) {
        inputs.retain(|input| !is_input(input, id));
    }
    let is_empty = |value: &Json| match value {
        Json::Object(object) => object.is_empty(),
        Json::Array(array) => array.is_empty(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    };
    for key in [snippet.servers_key, "inputs"] {
        if members.get(key).is_some_and(is_empty) {
            members.remove(key);
        }
    }
    whole
}

fn is_input(input: &Json, id: &str) -> bool {
    input.get("id").and_then(Json::as_str) == Some(id)
}

fn unparsable(why: &str) -> ExitError {
    ExitError::new(
        ErrorCode::ClientFileUnparsable,
        format!("the client's file cannot be read: {why}"),
    )
    .with_fix(UNPARSABLE_FIX)
}

fn shape(key: &str, wanted: &str) -> ExitError {
    ExitError::new(
        ErrorCode::ClientFileShape,
        format!("{key} of the client's file is not {wanted}"),
    )
    .with_fix("fix the file manually")
}

fn ambiguous(key: &str) -> ExitError {
    ExitError::new(
        ErrorCode::ClientFileAmbiguous,
        format!("duplicate {key} in the client's configuration file"),
    )
    .with_fix("keep one of them and remove the others")
}

/// Changes to our own members: values to set, and members to remove.
fn changes(
    entry: &Map<String, Json>,
    present: impl Fn(&str) -> Option<Json>,
) -> impl Iterator<Item = (&'static str, Option<&Json>)> {
    OWN_MEMBERS.into_iter().filter_map(move |key| {
        let (wanted, found) = (entry.get(key), present(key));
        (wanted != found.as_ref()).then_some((key, wanted))
    })
}

#[cfg(test)]
mod tests;
