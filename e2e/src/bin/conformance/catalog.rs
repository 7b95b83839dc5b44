//! Tool list of the conformance server.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value as Json, json};

/// Tools without arguments.
const PLAIN: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_error_handling",
    "test_tool_with_progress",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "failing_job",
    "protocol_error_job",
    "multi_input",
    "test_tool_with_task",
];

pub(crate) fn tools() -> Vec<Tool> {
    let text =
        |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
    let mut tools: Vec<Tool> = PLAIN
        .iter()
        .map(|name| tool(name, json!({"type": "object", "properties": {}})))
        .collect();
    tools.extend([
        tool("test_sampling", text("prompt")),
        tool("test_elicitation", text("message")),
        tool("greet", text("name")),
        tool("confirm_delete", text("filename")),
        tool("json_schema_2020_12_tool", rich_schema()),
        tool(
            "slow_compute",
            json!({"type": "object", "properties": {
                "seconds": {"type": "number"}, "label": {"type": "string"},
            }}),
        ),
        tool(
            "test_parameter_in_a_header",
            json!({"type": "object", "properties": {
                "region": {"type": "string", "x-mcp-header": "Region"},
            }}),
        ),
    ]);
    tools
}

fn tool(name: &str, schema: Json) -> Tool {
    let description = format!("{} of the conformance suite", name.replace('_', " "));
    Tool::new(name.to_owned(), description, Arc::new(object(schema)))
        .with_title(name.to_owned())
        .with_annotations(
            ToolAnnotations::with_title(name.to_owned())
                .read_only(true)
                .open_world(false),
        )
}

/// JSON Schema 2020-12 keywords that a tool list must preserve.
fn rich_schema() -> Json {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

pub(crate) fn object(json: Json) -> JsonObject {
    match json {
        Json::Object(object) => object,
        other => JsonObject::from_iter([("value".to_owned(), other)]),
    }
}
