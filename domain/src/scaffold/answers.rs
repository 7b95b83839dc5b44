//! Reads the choices from a JSON object, for generating contracts without prompts. Lists may be arrays or
//! comma-separated strings; unknown keys are rejected.

use serde_json::{Map, Value as Json};
use synapsor_codes::ErrorCode;

use super::DraftError;
use super::choices::InitOptions;
use super::flag_syntax::{read_bounds, read_patch, read_states};
use crate::contract::{self, Mode, VersionAdvance};
use crate::json;

const READ_URL_ENV_OF_ANSWERS: &str = "DATABASE_URL";

/// Keys with two spellings.
const SPELLINGS: [(&str, &str); 9] = [
    ("tenant_column", "tenant_key"),
    ("id_arg", "lookup_arg"),
    ("read_tool", "inspect_tool_name"),
    ("proposal_tool", "proposal_tool_name"),
    ("read_description", "inspect_description"),
    ("read_returns_hint", "inspect_returns_hint"),
    ("read_url_env", "database_url_env"),
    ("patch_bounds", "numeric_bounds"),
    ("status_guards", "transition_guards"),
];
/// Maximum nesting of an answers file.
const DEPTH_MAX: usize = 16;

/// Reads an answers file.
///
/// # Errors
/// The file is not a JSON object, has an unknown key, one key twice or in two spellings, or a value has the wrong type
/// for its key.
pub fn read_answers(bytes: &[u8]) -> Result<InitOptions, DraftError> {
    let object: Map<String, Json> = serde_json::from_slice(bytes).map_err(|error| {
        let text = format!(
            "answers are not a JSON object (line {}, column {})",
            error.line(),
            error.column()
        );
        DraftError::new(
            ErrorCode::AnswersInvalid,
            text,
            "provide an object such as {\"table\": \"orders\"}",
        )
    })?;
    // The parser above keeps the last of duplicate keys.
    json::read(bytes, DEPTH_MAX).map_err(|error| {
        DraftError::new(
            ErrorCode::AnswersInvalid,
            format!("answers: {error}"),
            "correct the file",
        )
    })?;
    let is_given = |key: &str| object.get(key).is_some_and(|value| !value.is_null());
    if let Some((one, other)) = SPELLINGS
        .iter()
        .find(|(one, other)| is_given(one) && is_given(other))
    {
        return Err(DraftError::new(
            ErrorCode::AnswersInvalid,
            format!("answers: `{one}` and `{other}` are two spellings of one key"),
            format!("remove `{other}`"),
        ));
    }
    let mut choices = InitOptions::default();
    for (key, value) in &object {
        if !value.is_null() {
            set(&mut choices, key, value)?;
        }
    }
    choices.check_schema(choices.schema.as_deref())?;
    Ok(choices.over(InitOptions {
        mode: Some(Mode::Review),
        read_url_env: Some(READ_URL_ENV_OF_ANSWERS.to_owned()),
        ..InitOptions::default()
    }))
}

fn set(choices: &mut InitOptions, key: &str, value: &Json) -> Result<(), DraftError> {
    let word = || text(key, value).map(Some);
    match key {
        "engine" => choices.engine = word()?,
        "schema" => choices.schema = word()?,
        "table" => choices.table = word()?,
        "tenant_column" | "tenant_key" => choices.tenant_column = word()?,
        "conflict_column" => choices.conflict_column = word()?,
        "namespace" => choices.namespace = word()?,
        "object_name" => choices.object_name = word()?,
        "source_name" => choices.source_name = word()?,
        "id_arg" | "lookup_arg" => choices.lookup_arg = word()?,
        "read_tool" | "inspect_tool_name" => choices.read_tool = word()?,
        "proposal_tool" | "proposal_tool_name" => choices.proposal_tool = word()?,
        "read_description" | "inspect_description" => choices.read_description = word()?,
        "read_returns_hint" | "inspect_returns_hint" => choices.read_returns_hint = word()?,
        "proposal_description" => choices.proposal_description = word()?,
        "proposal_returns_hint" => choices.proposal_returns_hint = word()?,
        "read_url_env" | "database_url_env" => choices.read_url_env = word()?,
        "write_url_env" => choices.write_url_env = word()?,
        "tenant_env" => choices.tenant_env = word()?,
        "principal_env" => choices.principal_env = word()?,
        "approval_role" => choices.approval_role = word()?,
        _ => return set_other(choices, key, value),
    }
    Ok(())
}

fn set_other(choices: &mut InitOptions, key: &str, value: &Json) -> Result<(), DraftError> {
    match key {
        "mode" => choices.mode = Some(mode(&text(key, value)?)?),
        "conflict_advance" => choices.conflict_advance = Some(advance(&text(key, value)?)?),
        "single_tenant_dev" => {
            choices.single_tenant_dev = value.as_bool().ok_or_else(|| wrong(key, "true or false"))?;
        }
        "primary_key" => choices.primary_key = list(key, value)?,
        "visible_columns" => choices.visible_columns = list(key, value)?,
        "allowed_columns" => choices.allowed_columns = list(key, value)?,
        "patch" => choices.patch = read_patch(&list(key, value)?.join(","))?,
        "patch_bounds" | "numeric_bounds" => choices.bounds = read_bounds(&list(key, value)?.join(","))?,
        "status_guards" | "transition_guards" => choices.states = read_states(&list(key, value)?.join(","))?,
        "result_format" => choices.result_format = format(value)?,
        "writeback" if text(key, value)? == contract::DIRECT => {}
        "writeback"
        | "handler_url_env"
        | "handler_token_env"
        | "handler_signing_secret_env"
        | "handler_command_env" => {
            return Err(DraftError::new(
                ErrorCode::NotAvailable,
                format!("`{key}` configures handlers, which this version does not generate"),
                "omit it: the writer changes the row itself (`sql_update`)",
            ));
        }
        _ => {
            return Err(DraftError::new(
                ErrorCode::AnswersUnknownKey,
                format!("unknown key `{key}` in the answers"),
                "remove it; run `synapsor-runner init --help` for the choices",
            ));
        }
    }
    Ok(())
}

fn wrong(key: &str, wanted: &str) -> DraftError {
    DraftError::new(
        ErrorCode::AnswersInvalid,
        format!("invalid `{key}` in the answers: expected {wanted}"),
        format!("make `{key}` {wanted}"),
    )
}

fn text(key: &str, value: &Json) -> Result<String, DraftError> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(wrong(key, "a string")),
    }
}

fn list(key: &str, value: &Json) -> Result<Vec<String>, DraftError> {
    let items = match value {
        Json::String(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        Json::Array(items) => items
            .iter()
            .map(|item| text(key, item))
            .collect::<Result<Vec<_>, _>>()?,
        _ => return Err(wrong(key, "a list of strings, or one comma-separated string")),
    };
    Ok(items
        .into_iter()
        .filter(|item: &String| !item.is_empty())
        .collect())
}

fn format(value: &Json) -> Result<Option<u8>, DraftError> {
    let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match word.as_str() {
        "default" => Ok(None),
        "1" | "v1" => Ok(Some(1)),
        "2" | "v2" => Ok(Some(2)),
        _ => Err(wrong("result_format", "1, 2 or default")),
    }
}

fn mode(word: &str) -> Result<Mode, DraftError> {
    [Mode::ReadOnly, Mode::Shadow, Mode::Review, Mode::Cloud]
        .into_iter()
        .find(|mode| mode.as_str() == word)
        .ok_or_else(|| wrong("mode", "read_only, shadow or review"))
}

fn advance(word: &str) -> Result<VersionAdvance, DraftError> {
    match word {
        "none" => Ok(VersionAdvance::None),
        "increment" => Ok(VersionAdvance::Increment),
        "now" => Ok(VersionAdvance::Now),
        _ => Err(wrong("conflict_advance", "none, increment or now")),
    }
}
