//! `proposals.status`: the built-in read-only tool with which an agent that has tools only follows its proposal.

use serde_json::json;
use synapsor_codes::ErrorCode;

use super::catalog::{Annotations, Tool};
use super::input_schema::SCHEMA_DIALECT;
use super::output_schema;
use crate::error::PublicError;
use crate::json::{self, JsonNode};
use crate::limits::ARGUMENTS_BYTES_MAX;

/// Canonical name of the tool.
pub const STATUS_TOOL: &str = "proposals.status";
/// Names with this prefix are for built-in tools.
pub(crate) const RESERVED_PREFIX: &str = "proposals.";

const ARGUMENT: &str = "proposal_id";
/// Maximum length of the argument, in characters; proposal ids are shorter.
const ID_CHARS_MAX: usize = 64;
const DEPTH_MAX: usize = 8;

const DESCRIPTION: &str = "Returns what became of a proposal of yours: its state, the reason if it was rejected, and \
what to do next. The source database has changed only if source_database_changed is true.";

impl Tool {
    /// Builds the status tool.
    pub(super) fn status() -> Self {
        Self {
            name: STATUS_TOOL.to_owned(),
            title: STATUS_TOOL.to_owned(),
            description: DESCRIPTION.to_owned(),
            input_schema: json!({
                "$schema": SCHEMA_DIALECT,
                "type": "object",
                "properties": {
                    ARGUMENT: {
                        "type": "string",
                        "description": "Id of the proposal, exactly as the result of its call has it.",
                        "maxLength": ID_CHARS_MAX,
                    },
                },
                "required": [ARGUMENT],
                "additionalProperties": false,
            }),
            output_schema: output_schema::status_schema(),
            annotations: Annotations {
                read_only_hint: true,
                destructive_hint: false,
                idempotent_hint: true,
                open_world_hint: false,
            },
            meta: json!({
                "synapsor.kind": "read",
                "synapsor.canonical_tool_name": STATUS_TOOL,
                "synapsor.exposed_tool_name": STATUS_TOOL,
                "synapsor.tool_name_style": "canonical",
                "synapsor.raw_sql_exposed": false,
                "synapsor.approval_tool": false,
            }),
        }
    }
}

/// Returns the proposal id of a call of the status tool.
///
/// # Errors
/// `ARGUMENTS_TOO_LARGE`, `ARGUMENTS_NOT_JSON`, `ARGUMENT_UNKNOWN`, `ARGUMENT_REQUIRED`, `ARGUMENT_TYPE_INVALID`,
/// `ARGUMENT_TOO_LONG`.
pub fn status_proposal_id(arguments_json: &[u8]) -> Result<String, PublicError> {
    if arguments_json.len() > ARGUMENTS_BYTES_MAX {
        let message = format!("The arguments exceed {ARGUMENTS_BYTES_MAX} bytes.");
        return Err(PublicError::new(ErrorCode::ArgumentsTooLarge, message));
    }
    let Ok(JsonNode::Map(entries)) = json::read(arguments_json, DEPTH_MAX) else {
        let message = "Arguments must be a JSON object without duplicate names.";
        return Err(PublicError::new(ErrorCode::ArgumentsNotJson, message));
    };
    if entries.iter().any(|(name, _)| name != ARGUMENT) {
        let message = format!("The tool takes one argument, `{ARGUMENT}`; omit every other.");
        return Err(PublicError::new(ErrorCode::ArgumentUnknown, message));
    }
    match entries.into_iter().next() {
        Some((_, JsonNode::Text(id))) if id.chars().count() <= ID_CHARS_MAX => Ok(id),
        Some((_, JsonNode::Text(_))) => {
            let message = format!("Argument `{ARGUMENT}` may have at most {ID_CHARS_MAX} characters.");
            Err(PublicError::new(ErrorCode::ArgumentTooLong, message))
        }
        Some((_, other)) => {
            let message = format!(
                "Argument `{ARGUMENT}` must be a string, not {}.",
                other.type_name()
            );
            Err(PublicError::new(ErrorCode::ArgumentTypeInvalid, message))
        }
        None => {
            let message = format!("Argument `{ARGUMENT}` is required: the id of the proposal.");
            Err(PublicError::new(ErrorCode::ArgumentRequired, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_id_and_names_what_is_wrong() {
        assert_eq!(
            status_proposal_id(br#"{"proposal_id": "wrp_1"}"#).unwrap(),
            "wrp_1"
        );
        let long = format!(r#"{{"proposal_id": "{}"}}"#, "x".repeat(ID_CHARS_MAX + 1));
        for (arguments, code) in [
            ("{}", ErrorCode::ArgumentRequired),
            ("[]", ErrorCode::ArgumentsNotJson),
            (
                r#"{"proposal_id": "a", "proposal_id": "b"}"#,
                ErrorCode::ArgumentsNotJson,
            ),
            (r#"{"proposal_id": null}"#, ErrorCode::ArgumentTypeInvalid),
            (r#"{"proposal_id": 7}"#, ErrorCode::ArgumentTypeInvalid),
            (
                r#"{"proposal_id": "a", "tenant_id": "b"}"#,
                ErrorCode::ArgumentUnknown,
            ),
            (long.as_str(), ErrorCode::ArgumentTooLong),
        ] {
            let refusal = status_proposal_id(arguments.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, code, "{arguments}");
        }
    }
}
