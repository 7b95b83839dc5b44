//! Tools that answer immediately, or that exchange messages with the client in a session.

#![expect(
    deprecated,
    reason = "the suite asks for logging and sampling in the revisions that have them"
)]

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    AudioContent, CallToolResult, ContentBlock, CreateMessageRequestParams, ElicitRequestParams,
    ElicitResult, ErrorData, JsonObject, LoggingLevel, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProtocolVersion, ResourceContents, SamplingMessage,
};
use rmcp::service::RequestContext;
use serde_json::{Value as Json, json};

/// PNG image of one red pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// WAV file without samples.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// Separates the messages of one call in time.
const PAUSE: Duration = Duration::from_millis(50);

/// Result of a tool whose calls are plain; `None` for every other tool.
pub(crate) fn plain_result(name: &str, arguments: &JsonObject) -> Option<CallToolResult> {
    Some(match name {
        "test_simple_text" => text_result("This is a simple text response for testing."),
        "test_image_content" => CallToolResult::success(vec![ContentBlock::image(PNG, "image/png")]),
        "test_audio_content" => {
            CallToolResult::success(vec![ContentBlock::Audio(AudioContent::new(WAV, "audio/wav"))])
        }
        "test_embedded_resource" => CallToolResult::success(vec![embedded("test://embedded-resource")]),
        "test_multiple_content_types" => CallToolResult::success(vec![
            ContentBlock::text("Three kinds of content:"),
            ContentBlock::image(PNG, "image/png"),
            embedded("test://mixed-content-resource"),
        ]),
        "test_error_handling" => CallToolResult::error(vec![ContentBlock::text("This tool always fails.")]),
        "greet" => text_result(format!("Hello, {}!", text_of(arguments, "name"))),
        "json_schema_2020_12_tool" => text_result("taken"),
        _ => return None,
    })
}

/// Returns `None` for a tool of another module.
pub(crate) async fn call(
    name: &str,
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, ErrorData>> {
    if let Some(result) = plain_result(name, arguments) {
        return Some(Ok(result));
    }
    let result = match name {
        // rmcp compares the header with the argument.
        "test_parameter_in_a_header" => text_result("taken"),
        "test_reconnection" => {
            tokio::time::sleep(2 * PAUSE).await;
            text_result("done")
        }
        "test_tool_with_logging" => with_logging(context, 3).await,
        "test_logging_tool" => with_logging(context, 1).await,
        "test_tool_with_progress" => with_progress(context).await,
        "test_sampling" => return Some(sampled(context, text_of(arguments, "prompt")).await),
        "test_elicitation" => {
            return Some(elicited(context, &text_of(arguments, "message"), plain_form()).await);
        }
        "test_elicitation_sep1034_defaults" => {
            return Some(elicited(context, "All of these have defaults.", form_with_defaults()).await);
        }
        "test_elicitation_sep1330_enums" => {
            return Some(elicited(context, "Choose.", form_with_choices()).await);
        }
        _ => return None,
    };
    Some(Ok(result))
}

fn text_of(arguments: &JsonObject, name: &str) -> String {
    let text = arguments.get(name).and_then(Json::as_str);
    text.unwrap_or_default().to_owned()
}

pub(crate) fn text_result(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn embedded(uri: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text("The text of an embedded resource.", uri))
}

/// Since 2026-07-28 a client requests log messages per request; before that the server sends them unrequested.
async fn with_logging(context: &RequestContext<RoleServer>, messages: usize) -> CallToolResult {
    let is_modern = context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    if !is_modern || context.meta.log_level().is_some() {
        for number in 1..=messages {
            let message =
                LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(format!("step {number}")));
            // The client may have disconnected.
            let _ = context.peer.notify_logging_message(message).await;
            tokio::time::sleep(PAUSE).await;
        }
    }
    text_result("logged")
}

async fn with_progress(context: &RequestContext<RoleServer>) -> CallToolResult {
    if let Some(token) = context.meta.get_progress_token() {
        for progress in [0.0, 50.0, 100.0] {
            let step = ProgressNotificationParam::new(token.clone(), progress).with_total(100.0);
            let _ = context.peer.notify_progress(step).await;
            tokio::time::sleep(PAUSE).await;
        }
    }
    text_result("finished")
}

async fn sampled(context: &RequestContext<RoleServer>, prompt: String) -> Result<CallToolResult, ErrorData> {
    let request = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    let answer = context.peer.create_message(request).await.map_err(not_answered)?;
    let text = answer
        .message
        .content
        .first()
        .and_then(|content| content.as_text());
    Ok(text_result(format!(
        "The model says: {}",
        text.map_or("", |text| text.text.as_str())
    )))
}

async fn elicited(
    context: &RequestContext<RoleServer>,
    message: &str,
    form: Json,
) -> Result<CallToolResult, ErrorData> {
    let requested_schema = serde_json::from_value(form).map_err(not_answered)?;
    let request = ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema,
    };
    let ElicitResult { action, content, .. } = context
        .peer
        .create_elicitation(request)
        .await
        .map_err(not_answered)?;
    let action = serde_json::to_value(action).map_err(not_answered)?;
    Ok(text_result(format!(
        "User response: action={}, content={}",
        action.as_str().unwrap_or_default(),
        content.map_or_else(|| "none".to_owned(), |content| json!(content).to_string())
    )))
}

fn not_answered(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn plain_form() -> Json {
    json!({"type": "object", "required": ["username", "email"], "properties": {
        "username": {"type": "string", "description": "A name"},
        "email": {"type": "string", "description": "An address"},
    }})
}

fn form_with_defaults() -> Json {
    json!({"type": "object", "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }})
}

fn form_with_choices() -> Json {
    let titled = |words: [&str; 3]| -> Vec<Json> {
        (1..)
            .zip(words)
            .map(|(number, title)| json!({"const": format!("value{number}"), "title": title}))
            .collect()
    };
    json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": titled(["First Option", "Second Option", "Third Option"])},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": titled(["First Choice", "Second Choice", "Third Choice"])},
        },
    }})
}
