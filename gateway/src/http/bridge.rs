//! JSON-RPC bridge of 0.1.x: one POST, one response, no handshake. Translates each call to a stateless request and
//! passes it to the same handler; it makes no access decision.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rmcp::ServerHandler;
use rmcp::model::{ErrorCode as RpcErrorCode, ErrorData};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use synapsor_chassis::trace_context::TRACEPARENT;
use synapsor_codes::HttpError;
use synapsor_domain::limits::MCP_BODY_BYTES_MAX;

use super::refused;
use crate::message_validation::RawArguments;

const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const VERSION: HeaderValue = HeaderValue::from_static("2025-11-25");
const VERSION_NAME: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// MCP handler behind the bridge.
pub(super) struct Bridge<H>(StreamableHttpService<H, NeverSessionManager>);

impl<H: ServerHandler + Clone> Bridge<H> {
    pub(super) fn new(handler: H) -> Self {
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .disable_allowed_hosts()
            .with_max_request_body_bytes(MCP_BODY_BYTES_MAX);
        let never = Arc::new(NeverSessionManager::default());
        Self(StreamableHttpService::new(
            move || Ok(handler.clone()),
            never,
            config,
        ))
    }

    /// Calls `method` of the handler and returns its result.
    async fn ask(
        &self,
        mut parts: Parts,
        method: &'static str,
        params: Box<RawValue>,
    ) -> Result<Box<RawValue>, ErrorData> {
        parts.headers = inner_headers(&parts.headers);
        let message = Asked {
            jsonrpc: "2.0",
            id: 1,
            method,
            params,
        };
        let body = serde_json::to_vec(&message).map_err(|_| internal())?;
        let answer = self.0.handle(Request::from_parts(parts, Body::from(body))).await;
        let body = axum::body::to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX)
            .await
            .map_err(|_| internal())?;
        let answer: BridgeResponse = serde_json::from_slice(&body).map_err(|_| internal())?;
        match (answer.result, answer.error) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(error),
            (Some(_), Some(_)) | (None, None) => Err(internal()),
        }
    }
}

#[derive(Serialize)]
struct Asked {
    jsonrpc: &'static str,
    id: u8,
    method: &'static str,
    params: Box<RawValue>,
}

#[derive(Deserialize)]
struct BridgeResponse {
    result: Option<Box<RawValue>>,
    error: Option<ErrorData>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    params: Option<Params>,
}

#[derive(Default, Deserialize)]
struct Params {
    name: Option<String>,
    arguments: Option<Box<RawValue>>,
    args: Option<Box<RawValue>>,
    uri: Option<String>,
}

#[derive(Serialize)]
struct Reply<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorData>,
}

/// Serves one authenticated request.
pub(super) async fn serve<H: ServerHandler + Clone>(
    State(bridge): State<Arc<Bridge<H>>>,
    request: Request,
) -> Response {
    if request.method() != Method::POST {
        let mut response = refused(HttpError::MethodNotAllowed);
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MCP_BODY_BYTES_MAX).await else {
        return refused(HttpError::BodyUnreadable);
    };
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        let error = ErrorData::invalid_params("a parameter has the wrong type", None);
        return reply(StatusCode::OK, id_of(&body), Err(error));
    };
    let has_good_id = message
        .id
        .is_none_or(|id| !id.get().starts_with(['{', '[', 't', 'f']));
    let Some(method) = message.method.filter(|_| has_good_id) else {
        let error = ErrorData::invalid_request(
            "a request requires a method, and a string or a number as id",
            None,
        );
        let id = message.id.filter(|_| has_good_id);
        return reply(StatusCode::BAD_REQUEST, id, Err(error));
    };
    let params = message.params.unwrap_or_default();
    let outcome = answer(&bridge, parts, &method, params).await;
    reply(StatusCode::OK, message.id, outcome)
}

async fn answer<H: ServerHandler + Clone>(
    bridge: &Bridge<H>,
    mut parts: Parts,
    method: &str,
    params: Params,
) -> Result<Box<RawValue>, ErrorData> {
    match method {
        "tools/list" => {
            let list = bridge.ask(parts, "tools/list", raw(&json!({}))?).await?;
            to_legacy_tool_list(&list)
        }
        "tools/call" => {
            let name = params.name.filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| ErrorData::invalid_params("a call needs params.name", None))?;
            let arguments = match (params.arguments, params.args) {
                (Some(_), Some(_)) => {
                    let text = "arguments come as params.arguments or as params.args, not as both";
                    return Err(ErrorData::invalid_params(text, None));
                }
                (Some(arguments), None) | (None, Some(arguments)) => arguments,
                (None, None) => raw(&json!({}))?,
            };
            parts
                .extensions
                .insert(RawArguments(arguments.get().as_bytes().to_vec()));
            let call = Call { name, arguments };
            bridge.ask(parts, "tools/call", raw(&call)?).await
        }
        "resources/read" => {
            let uri = params.uri.filter(|uri| !uri.is_empty());
            let uri = uri.ok_or_else(|| ErrorData::invalid_params("a read needs params.uri", None))?;
            bridge
                .ask(parts, "resources/read", raw(&json!({ "uri": uri }))?)
                .await
        }
        _ => {
            let text = "the bridge knows tools/list, tools/call and resources/read";
            Err(ErrorData::new(RpcErrorCode::METHOD_NOT_FOUND, text, None))
        }
    }
}

#[derive(Serialize)]
struct Call {
    name: String,
    arguments: Box<RawValue>,
}

/// Adds the fields that 0.1.x clients expect in a tool list beyond those of MCP.
fn to_legacy_tool_list(list: &RawValue) -> Result<Box<RawValue>, ErrorData> {
    let mut list: serde_json::Value = serde_json::from_str(list.get()).map_err(|_| internal())?;
    let tools = list["tools"].as_array_mut().ok_or_else(internal)?;
    for tool in tools {
        let hints = [
            ("annotations", "raw_sql_exposed"),
            ("annotations", "approval_or_commit_tool"),
        ];
        let facts = [
            ("_meta", "synapsor.raw_sql_exposed"),
            ("_meta", "synapsor.approval_tool"),
            ("_meta", "synapsor.database_credentials_exposed"),
            ("_meta", "synapsor.model_controlled_tenant_authority"),
        ];
        for (part, name) in hints.into_iter().chain(facts) {
            tool[part][name] = false.into();
        }
    }
    raw(&json!({ "tools": list["tools"] }))
}

/// Drops all client headers except the trace.
fn inner_headers(outer: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/json, text/event-stream"),
    );
    headers.insert(header::HOST, HeaderValue::from_static("localhost"));
    headers.insert(VERSION_NAME, VERSION);
    let traces = outer.get_all(TRACEPARENT).iter();
    headers.extend(traces.map(|trace| (HeaderName::from_static(TRACEPARENT), trace.clone())));
    headers
}

fn id_of(body: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    serde_json::from_slice::<Id<'_>>(body).ok()?.id
}

fn reply(status: StatusCode, id: Option<&RawValue>, outcome: Result<Box<RawValue>, ErrorData>) -> Response {
    let (result, error) = match outcome {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    let reply = Reply {
        jsonrpc: "2.0",
        id,
        result,
        error,
    };
    (status, Json(reply)).into_response()
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, ErrorData> {
    to_raw_value(value).map_err(|_| internal())
}

fn internal() -> ErrorData {
    ErrorData::internal_error("the bridge could not forward the request", None)
}
