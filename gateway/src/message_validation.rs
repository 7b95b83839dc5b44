//! Checks the shape of every client message before rmcp parses it, and extracts the exact text of the arguments.
//! It does not check values.

use std::borrow::Cow;

use rmcp::model::{ClientCapabilities, ErrorData, JsonRpcError, RequestId};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Maximum nesting depth of a message.
const DEPTH_MAX: usize = 32;
/// Maximum size of one string in a message, in bytes, with escapes as written.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longer ids are not echoed in an error.
const ID_BYTES_MAX: usize = 256;

/// First revision in which a stream may begin with an event without a message. Clients of earlier revisions treat
/// that event as malformed.
const PRIMED_SINCE: &str = "2025-11-25";

/// Arguments of a call, as the client wrote them. Parsing and serializing them again could change a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawArguments(pub(crate) Vec<u8>);

/// Message properties that determine routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    /// Handshake of the revisions before 2026-07-28.
    Initialize {
        /// Result of [`supports_priming_event`] for the revision that the client requests.
        takes_priming: bool,
        /// Whether the client declares tasks.
        takes_tasks: bool,
    },
    /// Request whose response is a long-lived stream.
    Listen,
    /// Message with a method and without an id.
    Notification,
    /// Request that calls a tool.
    ToolCall,
    Other,
}

/// Result of checking a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValidatedMessage {
    pub(crate) arguments: RawArguments,
    pub(crate) kind: MessageKind,
    /// Method of a request or notification.
    pub(crate) method: Option<String>,
    /// Name of the tool or prompt that a request names.
    pub(crate) name: Option<String>,
}

/// Reason for rejecting a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadMessage {
    #[error("the message is not JSON")]
    NotJson,
    #[error("the message is not one JSON-RPC object")]
    NotOneObject,
    #[error("not an MCP request, notification or response")]
    NotOfMcp,
    #[error("`params` must be an object; it is {0}")]
    ParamsNotObject(&'static str),
    #[error("the message nests more than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("a string in the message is longer than {TEXT_BYTES_MAX} bytes")]
    TextTooLong,
    #[error(
        "the message is longer than {} bytes",
        synapsor_domain::limits::MCP_BODY_BYTES_MAX
    )]
    TooLong,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow, rename = "protocolVersion")]
    revision: Option<&'a RawValue>,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
}

/// Whether clients of a revision support streams that begin with an event without a message.
pub(crate) fn supports_priming_event(revision: &str) -> bool {
    revision >= PRIMED_SINCE
}

/// Checks one message and extracts its arguments; missing arguments count as `{}`.
pub(crate) fn check(message: &[u8]) -> Result<ValidatedMessage, BadMessage> {
    check_shape(message)?;
    if first_byte(message) != Some(b'{') {
        return Err(if serde_json::from_slice::<&RawValue>(message).is_ok() {
            BadMessage::NotOneObject
        } else {
            BadMessage::NotJson
        });
    }
    let parsed: Message<'_> = serde_json::from_slice(message).map_err(|error| not_taken(&error))?;
    let params = parsed.params.filter(|params| params.get().starts_with('{'));
    let Params {
        arguments,
        name,
        revision,
        capabilities,
    } = match params {
        Some(params) => serde_json::from_str(params.get()).map_err(|error| not_taken(&error))?,
        None => Params::default(),
    };
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
    Ok(ValidatedMessage {
        arguments: RawArguments(
            arguments.map_or_else(|| b"{}".to_vec(), |text| text.get().as_bytes().to_vec()),
        ),
        kind: match parsed.method.as_deref() {
            Some("initialize") => MessageKind::Initialize {
                takes_priming: revision
                    .and_then(text)
                    .is_some_and(|text| supports_priming_event(&text)),
                takes_tasks: capabilities.is_some_and(declares_tasks),
            },
            Some("subscriptions/listen") => MessageKind::Listen,
            Some(_) if parsed.id.is_none() => MessageKind::Notification,
            Some("tools/call") => MessageKind::ToolCall,
            Some(_) | None => MessageKind::Other,
        },
        method: parsed.method.map(Cow::into_owned),
        name: name.and_then(text),
    })
}

/// Whether the capabilities declare tasks. Capabilities that cannot be read count as declaring them.
fn declares_tasks(capabilities: &RawValue) -> bool {
    serde_json::from_str::<ClientCapabilities>(capabilities.get())
        .map_or(true, |declared| declared.supports_tasks())
}

/// A duplicate member is a data error: parsers could disagree on which one applies.
fn not_taken(error: &serde_json::Error) -> BadMessage {
    if error.is_data() {
        BadMessage::NotOneObject
    } else {
        BadMessage::NotJson
    }
}

/// Returns why a message that passed [`check`] is not one of MCP.
pub(crate) fn not_of_mcp(message: &[u8]) -> BadMessage {
    let parsed = serde_json::from_slice::<Message<'_>>(message).ok();
    let params = parsed.and_then(|parsed| parsed.params);
    BadMessage::ParamsNotObject(match params.and_then(|params| params.get().bytes().next()) {
        None | Some(b'{') => return BadMessage::NotOfMcp,
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(_) => "a number",
    })
}

/// Checks depth and string lengths in one pass without allocation. The parser checks the JSON syntax.
fn check_shape(message: &[u8]) -> Result<(), BadMessage> {
    let mut depth = 0_usize;
    let mut text_from: Option<usize> = None;
    let mut is_escaped = false;
    for (at, byte) in message.iter().enumerate() {
        if let Some(from) = text_from {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => text_from = None,
                _ => {}
            }
            if text_from.is_some() && at - from > TEXT_BYTES_MAX {
                return Err(BadMessage::TextTooLong);
            }
            continue;
        }
        match byte {
            b'"' => text_from = Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(BadMessage::TooDeep);
        }
    }
    Ok(())
}

fn first_byte(message: &[u8]) -> Option<u8> {
    message.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Builds the JSON-RPC error for a rejected message, with the message's id if it can be parsed.
pub(crate) fn error_line(message: &[u8], bad: BadMessage) -> Vec<u8> {
    let error = match bad {
        BadMessage::NotJson => ErrorData::parse_error(bad.to_string(), None),
        BadMessage::NotOneObject
        | BadMessage::NotOfMcp
        | BadMessage::ParamsNotObject(_)
        | BadMessage::TooDeep
        | BadMessage::TextTooLong
        | BadMessage::TooLong => ErrorData::invalid_request(bad.to_string(), None),
    };
    serde_json::to_vec(&JsonRpcError::new(id_of(message), error)).expect("JSON-RPC errors serialize")
}

fn id_of(message: &[u8]) -> Option<RequestId> {
    let parsed: Message<'_> = serde_json::from_slice(message).ok()?;
    let id = parsed.id?.get();
    (id.len() <= ID_BYTES_MAX)
        .then(|| serde_json::from_str(id).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(message: &str) -> Result<String, BadMessage> {
        check(message.as_bytes()).map(|seen| String::from_utf8(seen.arguments.0).unwrap())
    }

    #[test]
    fn arguments_keep_every_byte() {
        let text = "{ \"n\": 9007199254740993.10, \"t\":\"\\u0041\" , \"n\":1e400}";
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{text}}}}}"#);
        assert_eq!(lifted(&message), Ok(text.to_owned()));
        assert_eq!(lifted(r#"{"id":1,"params":{"name":"x"}}"#), Ok("{}".to_owned()));
        assert_eq!(
            lifted(r#"{"id":1,"params":{"arguments":null}}"#),
            Ok("{}".to_owned())
        );
        assert_eq!(lifted(r#"{"id":1}"#), Ok("{}".to_owned()));
    }

    #[test]
    fn handshake_tells_whether_the_client_takes_tasks() {
        for (capabilities, takes_tasks) in [
            ("{}", false),
            (r#"{"sampling":{}}"#, false),
            (r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, true),
            ("7", true),
        ] {
            let message = format!(
                r#"{{"id":1,"method":"initialize","params":{{"protocolVersion":"2025-06-18","capabilities":{capabilities}}}}}"#
            );
            let expected = MessageKind::Initialize {
                takes_priming: false,
                takes_tasks,
            };
            assert_eq!(
                check(message.as_bytes()).unwrap().kind,
                expected,
                "{capabilities}"
            );
        }
    }

    #[test]
    fn rejects_duplicate_json_members() {
        let twice = r#"{"params":{"arguments":{"a":1},"arguments":{"a":2}}}"#;
        assert_eq!(lifted(twice), Err(BadMessage::NotOneObject));
        assert_eq!(
            lifted(r#"{"params":{},"params":{}}"#),
            Err(BadMessage::NotOneObject)
        );
    }

    #[test]
    fn rejects_deep_long_and_malformed_messages() {
        let deep = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(lifted(&deep(DEPTH_MAX - 1)).is_ok());
        assert_eq!(lifted(&deep(DEPTH_MAX)), Err(BadMessage::TooDeep));
        assert!(lifted(&format!("{{\"a\":\"{}\"}}", "[".repeat(TEXT_BYTES_MAX))).is_ok());
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(TEXT_BYTES_MAX + 1));
        assert_eq!(lifted(&long), Err(BadMessage::TextTooLong));
        assert_eq!(lifted("[{\"id\":1}]"), Err(BadMessage::NotOneObject));
        assert_eq!(lifted("{\"id\":"), Err(BadMessage::NotJson));
        assert_eq!(lifted(""), Err(BadMessage::NotJson));
    }

    #[test]
    fn params_that_are_not_an_object_are_named() {
        let reason = |params: &str| {
            let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{params}}}"#);
            not_of_mcp(message.as_bytes())
        };
        for (params, kind) in [
            ("[1]", "a list"),
            ("\"{}\"", "a string"),
            ("true", "a boolean"),
            ("7", "a number"),
        ] {
            assert_eq!(reason(params), BadMessage::ParamsNotObject(kind), "{params}");
        }
        assert_eq!(reason("{}"), BadMessage::NotOfMcp);
        assert_eq!(not_of_mcp(br#"{"id":1}"#), BadMessage::NotOfMcp);
    }

    #[test]
    fn errors_carry_the_message_id_if_present() {
        let line = String::from_utf8(error_line(br#"{"id":"q7","a":1}"#, BadMessage::TooDeep)).unwrap();
        assert!(line.contains("\"q7\"") && line.contains("-32600"), "{line}");
        assert!(
            String::from_utf8(error_line(b"{", BadMessage::NotJson))
                .unwrap()
                .contains("-32700")
        );
    }
}
