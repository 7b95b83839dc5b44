//! Plain calls of tools: requests without progress, tasks or messages to the client. They are answered without a
//! service of rmcp for each request. A request is plain only if each of its headers and members is known here; rmcp
//! serves every other request, and rejects the invalid ones. All have passed the same middleware.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::Request;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rmcp::ServerHandler;
use rmcp::model::{ClientCapabilities, ContentBlock, Implementation, MetaObject, RequestId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use synapsor_chassis::trace_context::TraceParent;
use tokio::task::JoinHandle;

use super::accept::BOTH_TYPES;
use super::admission::{EVENT_STREAM, JSON};
use super::revision_router::{PROTOCOL_VERSION, SESSIONLESS_SINCE};
use crate::caller::Caller;
use crate::headers::sole;
use crate::message_validation::MessageKind;
use crate::trace;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Makes proxies forward a stream without buffering.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const CALL: &str = "tools/call";
const CANCELED: &str = "notifications/cancelled";
/// Revisions whose requests need no metadata.
const HANDSHAKE_REVISIONS: [&str; 2] = ["2025-06-18", "2025-11-25"];

/// MCP handler that can answer plain calls of its tools.
pub trait ToolHandler: ServerHandler + Clone {
    /// Returns whether a call of this tool needs no progress, tasks or messages to the client.
    fn is_plain(&self, tool: &str) -> bool;

    /// Answers a call of such a tool. Dropping the future cancels the call.
    fn call_plain(&self, call: PlainCall) -> impl Future<Output = PlainResult> + Send;
}

/// Plain call of a tool.
#[derive(Clone, Debug)]
pub struct PlainCall {
    /// Name of the tool, as the client wrote it.
    pub tool: String,
    /// Text of the arguments, as the client wrote it; `{}` without arguments.
    pub arguments: Vec<u8>,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) caller: Caller,
}

/// Result of a plain call.
#[derive(Debug)]
pub struct PlainResult {
    pub content: Vec<ContentBlock>,
    pub structured_content: Option<Box<RawValue>>,
    pub is_error: bool,
    pub meta: Option<MetaObject>,
}

/// Body of a checked request.
#[derive(Clone, Debug)]
pub(super) struct MessageBytes(pub(super) Bytes);

/// A request that was recognized as a plain call.
#[derive(Debug)]
pub(super) struct PlainRequest {
    pub(super) call: PlainCall,
    pub(super) reply: PlainReply,
}

/// What the response to a plain call takes from its request.
#[derive(Debug)]
pub(super) struct PlainReply {
    pub(super) id: RequestId,
    /// Whether the revision requires results to name their type.
    has_result_type: bool,
}

// A derived form also reads lists: each object is checked for its brace before it is read.

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallMessage<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    id: RequestId,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallParams<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

/// Metadata of a plain call. A progress token, a log level and every other member need a service of rmcp.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallMeta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    revision: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo")]
    client: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<Cow<'a, str>>,
}

impl PlainRequest {
    /// Returns the plain call that the request is, if it is one.
    pub(super) fn of(request: &Request, caller: &Caller) -> Option<Self> {
        if request.extensions().get() != Some(&MessageKind::ToolCall) {
            return None;
        }
        let headers = request.headers();
        if !accepts_both_types(headers) {
            return None;
        }
        let MessageBytes(body) = request.extensions().get()?;
        let message: CallMessage<'_> = serde_json::from_slice(body).ok()?;
        if message.jsonrpc != "2.0" || message.method != CALL {
            return None;
        }
        let params: CallParams<'_> = object(message.params)?;
        let arguments = params.arguments.map_or("{}", RawValue::get);
        if !is_plain_object(arguments) {
            return None;
        }
        let meta: CallMeta<'_> = params.meta.map_or_else(|| Some(CallMeta::default()), object)?;
        Some(Self {
            reply: PlainReply {
                id: message.id,
                has_result_type: is_sessionless(headers, &meta, &params.name)?,
            },
            call: PlainCall {
                trace: match &meta.traceparent {
                    Some(text) => text.parse().ok(),
                    None => trace::of_headers(headers),
                },
                tool: params.name,
                arguments: arguments.as_bytes().to_vec(),
                caller: caller.clone(),
            },
        })
    }
}

impl PlainReply {
    /// Builds the message with the result of the call.
    pub(super) fn message(&self, result: PlainResult) -> Vec<u8> {
        let message = ResultMessage {
            jsonrpc: "2.0",
            id: &self.id,
            result: CallResult {
                result_type: self.has_result_type.then_some("complete"),
                content: result.content,
                structured_content: result.structured_content,
                is_error: result.is_error,
                meta: result.meta,
            },
        };
        serde_json::to_vec(&message).expect("a result has a JSON form")
    }
}

pub(super) fn json_response(message: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], message).into_response()
}

/// Returns a stream with the message of a call that is in progress, and a comment at times until it ends.
pub(super) fn stream_response(calling: JoinHandle<Option<Vec<u8>>>) -> Response {
    let message = stream::unfold(Some(calling), async |calling| {
        let message = calling?.await.ok()??;
        let event = Event::default().data(String::from_utf8(message).ok()?);
        Some((Ok::<_, Infallible>(event), None))
    });
    let stream = Sse::new(message).keep_alive(KeepAlive::default());
    ([(BUFFERING, HeaderValue::from_static("no"))], stream).into_response()
}

#[derive(Serialize)]
struct ResultMessage<'a> {
    jsonrpc: &'static str,
    id: &'a RequestId,
    result: CallResult,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    content: Vec<ContentBlock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Box<RawValue>>,
    is_error: bool,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<MetaObject>,
}

/// Returns the response to a call that its client canceled: like rmcp's, a stream that ends without a message.
pub(super) fn canceled_response() -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM))],
        "",
    )
        .into_response()
}

/// Returns the id of the request that a notification cancels. It counts once rmcp has accepted the notification.
pub(super) fn canceled_request(request: &Request) -> Option<RequestId> {
    #[derive(Deserialize)]
    struct Notification<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(borrow)]
        params: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Canceled {
        #[serde(rename = "requestId")]
        request: RequestId,
        #[serde(rename = "reason")]
        _reason: Option<String>,
    }
    if request.extensions().get() != Some(&MessageKind::Notification) {
        return None;
    }
    let MessageBytes(body) = request.extensions().get()?;
    let notification: Notification<'_> = serde_json::from_slice(body).ok()?;
    if notification.method != CANCELED {
        return None;
    }
    object::<Canceled>(notification.params).map(|canceled| canceled.request)
}

/// Reads an object; a list is none.
fn object<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Option<T> {
    let text = text.get();
    if text.starts_with('{') {
        serde_json::from_str(text).ok()
    } else {
        None
    }
}

/// Whether headers and metadata are those of a revision without sessions, complete and in agreement. `None` if they are
/// not those of a plain call in any revision.
fn is_sessionless(headers: &HeaderMap, meta: &CallMeta<'_>, tool: &str) -> Option<bool> {
    let revision = sole(headers, &PROTOCOL_VERSION).ok()?;
    if revision != Some(SESSIONLESS_SINCE) {
        let is_known = revision.is_none_or(|revision| HANDSHAKE_REVISIONS.contains(&revision));
        let has_metadata = meta.revision.is_some() || meta.capabilities.is_some() || meta.client.is_some();
        return (is_known && !has_metadata).then_some(false);
    }
    let is = |name: HeaderName, text: &str| sole(headers, &name) == Ok(Some(text));
    // A name in a header can be encoded.
    let are_headers_complete = !tool.starts_with("=?") && is(NAME, tool) && is(METHOD, CALL);
    let capabilities: ClientCapabilities = object(meta.capabilities?)?;
    if let Some(client) = meta.client {
        object::<Implementation>(client)?;
    }
    let is_complete = are_headers_complete
        && meta.revision.as_deref() == Some(SESSIONLESS_SINCE)
        && !capabilities.supports_tasks();
    is_complete.then_some(true)
}

/// Whether the client accepts JSON and event streams. The header has the form of [`super::accept::name_types`].
fn accepts_both_types(headers: &HeaderMap) -> bool {
    sole(headers, &header::ACCEPT) == Ok(Some(BOTH_TYPES))
}

/// Whether arguments are an object that rmcp reads too: it refuses surrogates that are not pairs, and reads the names
/// with which its JSON library marks values of its own.
fn is_plain_object(arguments: &str) -> bool {
    let is_surrogate = |at: usize| {
        let digit = arguments.as_bytes().get(at + 2);
        digit.is_some_and(|digit| digit.eq_ignore_ascii_case(&b'd'))
    };
    arguments.starts_with('{')
        && !arguments.contains("$serde_json")
        && !arguments.match_indices("\\u").any(|(at, _)| is_surrogate(at))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::message_validation;

    const BOTH: &str = "application/json, text/event-stream";
    const NEWEST: [(&str, &str); 4] = [
        ("accept", BOTH),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "a.b"),
    ];

    fn of(headers: &[(&str, &str)], body: &str) -> Option<PlainRequest> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(MessageKind::ToolCall);
        request
            .extensions_mut()
            .insert(MessageBytes(body.to_owned().into()));
        PlainRequest::of(&request, &Caller::Anonymous)
    }

    fn body(params: &Json) -> String {
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string()
    }

    fn newest_meta() -> Json {
        json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        })
    }

    #[test]
    fn plain_calls_of_every_revision_are_recognized() {
        let call = body(&json!({"name": "a.b", "arguments": {"n": 1}}));
        for version in [None, Some("2025-06-18"), Some("2025-11-25")] {
            let mut headers = vec![("accept", BOTH)];
            headers.extend(version.map(|version| ("mcp-protocol-version", version)));
            let found = of(&headers, &call).unwrap();
            assert!(!found.reply.has_result_type, "{version:?}");
            assert_eq!(found.reply.id, RequestId::Number(7));
            assert_eq!(
                (found.call.tool.as_str(), found.call.arguments.as_slice()),
                ("a.b", &br#"{"n":1}"#[..])
            );
        }
        let call = body(&json!({"name": "a.b", "_meta": newest_meta()}));
        let found = of(&NEWEST, &call).unwrap();
        assert!(found.reply.has_result_type && found.call.arguments == b"{}");
    }

    #[test]
    fn calls_that_need_more_are_left_to_the_protocol() {
        let old = [("accept", BOTH)];
        for params in [
            json!({"name": "a.b", "_meta": {"progressToken": 1}}),
            json!({"name": "a.b", "_meta": {"other": 1}}),
            json!({"name": "a.b", "_meta": newest_meta()}),
            json!({"name": "a.b", "task": {}}),
            json!({"name": "a.b", "arguments": []}),
            json!({"name": 7}),
            json!([]),
            json!(["a.b", {"n": 1}, null]),
            json!({"name": "a.b", "_meta": [null, null, null, null]}),
            json!({"name": "a.b", "arguments": {"n": {"$serde_json::private::Number": "x"}}}),
        ] {
            assert!(of(&old, &body(&params)).is_none(), "{params}");
        }
        for text in [
            r#"{"jsonrpc":"1.0","id":7,"method":"tools/call","params":{"name":"a.b"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"a.b"}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a.b"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"name":"a.b"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a.b"},"more":1}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a.b","arguments":{"a":"\ud800"}}}"#,
        ] {
            assert!(of(&old, text).is_none(), "{text}");
        }
    }

    #[test]
    fn headers_that_rmcp_would_check_further_are_left_to_it() {
        let call = body(&json!({"name": "a.b"}));
        for headers in [
            &[][..],
            &[("accept", "application/json")],
            &[("accept", "application/json, text/event-stream;q=0")],
            &[("accept", BOTH), ("accept", BOTH)],
            &[("accept", BOTH), ("mcp-protocol-version", "2099-01-01")],
            &[
                ("accept", BOTH),
                ("mcp-protocol-version", "2025-06-18"),
                ("mcp-protocol-version", "2025-06-18"),
            ],
        ] {
            assert!(of(headers, &call).is_none(), "{headers:?}");
        }
        let call = body(&json!({"name": "a.b", "_meta": newest_meta()}));
        for left_out in 0..NEWEST.len() {
            let mut headers = NEWEST.to_vec();
            headers.remove(left_out);
            assert!(of(&headers, &call).is_none(), "{headers:?}");
        }
        for (at, value) in [(2, "tools/list"), (3, "a.c"), (3, "=?base64?YS5i?=")] {
            let mut headers = NEWEST.to_vec();
            headers[at].1 = value;
            assert!(of(&headers, &call).is_none(), "{headers:?}");
        }
        let mut tasks = newest_meta();
        tasks["io.modelcontextprotocol/clientCapabilities"] =
            json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        assert!(of(&NEWEST, &body(&json!({"name": "a.b", "_meta": tasks}))).is_none());
        for (name, list) in [
            ("clientCapabilities", json!([{}])),
            ("clientInfo", json!(["a", null, "1"])),
        ] {
            let mut lists = newest_meta();
            lists[format!("io.modelcontextprotocol/{name}")] = list;
            assert!(
                of(&NEWEST, &body(&json!({"name": "a.b", "_meta": lists}))).is_none(),
                "{name}"
            );
        }
        let lists = json!({"name": "a.b", "_meta": ["2026-07-28", {}, null, null]});
        assert!(of(&NEWEST, &body(&lists)).is_none());
        let mut other = newest_meta();
        other["io.modelcontextprotocol/protocolVersion"] = json!("2025-11-25");
        assert!(of(&NEWEST, &body(&json!({"name": "a.b", "_meta": other}))).is_none());
    }

    #[test]
    fn only_cancellations_name_a_request() {
        let of = |body: &str| {
            let mut request = Request::new(Body::empty());
            let kind = message_validation::check(body.as_bytes()).unwrap().kind;
            request.extensions_mut().insert(kind);
            request
                .extensions_mut()
                .insert(MessageBytes(body.to_owned().into()));
            canceled_request(&request)
        };
        let canceled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#;
        assert_eq!(of(canceled), Some(RequestId::String("a".into())));
        for (old, new) in [
            ("cancelled", "progress"),
            (r#""method""#, r#""id":99,"method""#),
            (r#"{"requestId":"a"}"#, r#"["a"]"#),
            (r#""a"}"#, r#""a","reason":3}"#),
            (r#","params":{"requestId":"a"}"#, ""),
        ] {
            assert!(canceled.contains(old), "{old}");
            assert_eq!(of(&canceled.replace(old, new)), None, "{new}");
        }
    }
}
