//! What every message of a client passes before MCP machinery sees it: limits on its shape, and the lifting of
//! the arguments' exact text. Values are not looked at.

use std::borrow::Cow;

use rmcp::model::{ErrorData, JsonRpcError, RequestId};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Levels of nesting in one message.
const DEPTH_MAX: usize = 32;
/// Bytes of one text in a message, escapes counted as written.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longer ids are not echoed in an error.
const ID_BYTES_MAX: usize = 256;

/// Since this revision a stream may begin with an event that has no message in it. Clients of earlier ones take it for
/// a broken message.
const PRIMED_SINCE: &str = "2025-11-25";

/// The arguments of a call, as the client wrote them. Parsing them and writing them anew could change a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawArguments(pub(crate) Vec<u8>);

/// What a message is, as far as the way to its handler depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The handshake of the revisions before 2026-07-28.
    Initialize {
        /// What [`takes_priming`] says of the revision that the client wants.
        takes_priming: bool,
    },
    /// A request whose answer is a stream that lasts.
    Listen,
    /// Any message with a method that wants no answer.
    Notification,
    Other,
}

/// A message that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) arguments: RawArguments,
    pub(crate) kind: Kind,
    /// Of a request or notification.
    pub(crate) method: Option<String>,
    /// What a request is about: the name of a tool or prompt.
    pub(crate) name: Option<String>,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadMessage {
    #[error("the message is not JSON")]
    NotJson,
    #[error("the message is not one JSON-RPC object")]
    NotOneObject,
    #[error("the message is no request, notification or answer of MCP")]
    NotOfMcp,
    #[error("the message nests more than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("a text in the message is longer than {TEXT_BYTES_MAX} bytes")]
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
}

/// Whether clients of a revision know that a stream can begin with an event without a message.
pub(crate) fn takes_priming(revision: &str) -> bool {
    revision >= PRIMED_SINCE
}

/// Checks one message and lifts its arguments out; a message without arguments counts as one with `{}`.
pub(crate) fn check(message: &[u8]) -> Result<Inspected, BadMessage> {
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
    } = match params {
        Some(params) => serde_json::from_str(params.get()).map_err(|error| not_taken(&error))?,
        None => Params::default(),
    };
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
    Ok(Inspected {
        arguments: RawArguments(
            arguments.map_or_else(|| b"{}".to_vec(), |text| text.get().as_bytes().to_vec()),
        ),
        kind: match parsed.method.as_deref() {
            Some("initialize") => Kind::Initialize {
                takes_priming: revision.and_then(text).is_some_and(|text| takes_priming(&text)),
            },
            Some("subscriptions/listen") => Kind::Listen,
            Some(_) if parsed.id.is_none() => Kind::Notification,
            Some(_) | None => Kind::Other,
        },
        method: parsed.method.map(Cow::into_owned),
        name: name.and_then(text),
    })
}

/// A member that stands twice is a data error: which of the two counts must not depend on the reader of it.
fn not_taken(error: &serde_json::Error) -> BadMessage {
    if error.is_data() {
        BadMessage::NotOneObject
    } else {
        BadMessage::NotJson
    }
}

/// Depth and text lengths in one pass that keeps nothing. Whether the rest is JSON is the parser's business.
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

/// The JSON-RPC error for a message that is not taken, with the message's id where it can be read.
pub(crate) fn error_line(message: &[u8], bad: BadMessage) -> Vec<u8> {
    let error = match bad {
        BadMessage::NotJson => ErrorData::parse_error(bad.to_string(), None),
        BadMessage::NotOneObject
        | BadMessage::NotOfMcp
        | BadMessage::TooDeep
        | BadMessage::TextTooLong
        | BadMessage::TooLong => ErrorData::invalid_request(bad.to_string(), None),
    };
    serde_json::to_vec(&JsonRpcError::new(id_of(message), error)).expect("an error of ours is JSON")
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
    fn a_member_that_stands_twice_is_refused() {
        let twice = r#"{"params":{"arguments":{"a":1},"arguments":{"a":2}}}"#;
        assert_eq!(lifted(twice), Err(BadMessage::NotOneObject));
        assert_eq!(
            lifted(r#"{"params":{},"params":{}}"#),
            Err(BadMessage::NotOneObject)
        );
    }

    #[test]
    fn deep_long_and_broken_messages_are_refused() {
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
    fn errors_carry_the_id_where_there_is_one() {
        let line = String::from_utf8(error_line(br#"{"id":"q7","a":1}"#, BadMessage::TooDeep)).unwrap();
        assert!(line.contains("\"q7\"") && line.contains("-32600"), "{line}");
        assert!(
            String::from_utf8(error_line(b"{", BadMessage::NotJson))
                .unwrap()
                .contains("-32700")
        );
    }
}
