//! Tools and a prompt that request client input first, as revision 2026-07-28 defines. They return the input
//! request, and the client repeats the call with the input. The state between the calls stays on the server; the
//! client holds its key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, InputRequests, InputRequiredResult, InputResponses, PromptMessage,
    Role,
};
use rmcp::service::RequestContext;
use serde_json::{Value as Json, json};
use synapsor_chassis::random;

use crate::plain::text_result;

const KEY_DIGITS: usize = 40;

/// State between two calls, by key. Each key is valid once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<HashMap<String, String>>>);

impl Memory {
    fn keep(&self, what: impl Into<String>) -> String {
        let key = random::hex_id(KEY_DIGITS);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(key.clone(), what.into());
        key
    }

    fn take(&self, key: Option<&str>) -> Result<String, ErrorData> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        key.and_then(|key| kept.remove(key))
            .ok_or_else(|| ErrorData::invalid_params("requestState is not one of this server's", None))
    }
}

/// Returns `None` for a tool of another module.
pub(crate) fn call(
    memory: &Memory,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let answers = request.input_responses.as_ref();
    let state = request.request_state.as_deref();
    let of = |key: &str| answers.and_then(|answers| answers.get(key));
    let answer = match request.name.as_ref() {
        "test_input_required_result_elicitation" => match text_of(of("user_name"), "name") {
            Some(name) => text_result(format!("Hello, {name}!")).into(),
            None => asked(
                [("user_name", form("What is your name?", "name", "string"))],
                None,
            ),
        },
        "test_input_required_result_sampling" => match of("capital_question").and_then(sampled_text) {
            Some(text) => text_result(text).into(),
            None => asked(
                [("capital_question", sampling("What is the capital of France?"))],
                None,
            ),
        },
        "test_input_required_result_list_roots" => match of("client_roots") {
            Some(roots) if roots["roots"].is_array() => {
                text_result(format!("The roots are {}", roots["roots"])).into()
            }
            Some(_) | None => asked([("client_roots", roots())], None),
        },
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            if answers.is_none() {
                let wanted = form("Please confirm", "ok", "boolean");
                asked([("confirm", wanted)], Some(memory.keep("confirm")))
            } else {
                return Some(memory.take(state).map(|_| text_result("state-ok").into()));
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let keys = ["user_name", "greeting", "client_roots"];
            if keys.iter().all(|key| of(key).is_some()) {
                return Some(memory.take(state).map(|_| text_result("all three came").into()));
            }
            asked(
                [
                    ("user_name", form("What is your name?", "name", "string")),
                    ("greeting", sampling("Generate a greeting")),
                    ("client_roots", roots()),
                ],
                Some(memory.keep("all")),
            )
        }
        "test_input_required_result_multi_round" => return Some(rounds(memory, answers, state)),
        "test_input_required_result_capabilities" => {
            let client = context.client_capabilities().unwrap_or_default();
            asked(what_it_can(&client), None)
        }
        "test_streaming_elicitation" => match text_of(of("user_name"), "name") {
            Some(name) => text_result(name).into(),
            None => asked([("user_name", form("Who?", "name", "string"))], None),
        },
        _ => return None,
    };
    Some(Ok(answer))
}

fn rounds(
    memory: &Memory,
    answers: Option<&InputResponses>,
    state: Option<&str>,
) -> Result<CallToolResponse, ErrorData> {
    let of = |key: &str| answers.and_then(|answers| answers.get(key));
    if let Some(color) = text_of(of("step2"), "color") {
        let name = memory.take(state)?;
        return Ok(text_result(format!("{name} likes {color}.")).into());
    }
    if let Some(name) = text_of(of("step1"), "name") {
        memory.take(state)?;
        let wanted = form("Step 2: What is your favorite color?", "color", "string");
        return Ok(asked([("step2", wanted)], Some(memory.keep(name))));
    }
    let wanted = form("Step 1: What is your name?", "name", "string");
    Ok(asked([("step1", wanted)], Some(memory.keep("first"))))
}

/// Prompt that requests client input.
pub(crate) fn prompt(request: &GetPromptRequestParams) -> GetPromptResponse {
    let answers = request.input_responses.as_ref();
    let context = answers.and_then(|answers| answers.get("user_context"));
    match text_of(context, "context") {
        Some(context) => {
            let message = PromptMessage::new_text(Role::User, format!("In this context: {context}"));
            GetPromptResult::new(vec![message]).into()
        }
        None => required([(
            "user_context",
            form("What context should the prompt use?", "context", "string"),
        )])
        .into(),
    }
}

fn what_it_can(client: &ClientCapabilities) -> Vec<(&'static str, Json)> {
    let mut wanted = Vec::new();
    if client.sampling.is_some() {
        wanted.push(("answer", sampling("Say something")));
    }
    if client.elicitation.is_some() {
        wanted.push(("user_name", form("What is your name?", "name", "string")));
    }
    wanted
}

fn asked<'a>(wanted: impl IntoIterator<Item = (&'a str, Json)>, state: Option<String>) -> CallToolResponse {
    let mut result = required(wanted);
    result.request_state = state;
    result.into()
}

fn required<'a>(wanted: impl IntoIterator<Item = (&'a str, Json)>) -> InputRequiredResult {
    InputRequiredResult::from_input_requests(requests(wanted))
}

pub(crate) fn requests<'a>(wanted: impl IntoIterator<Item = (&'a str, Json)>) -> InputRequests {
    wanted
        .into_iter()
        .map(|(key, request)| {
            let request = serde_json::from_value(request).expect("valid MCP request");
            (key.to_owned(), request)
        })
        .collect()
}

pub(crate) fn form(message: &str, field: &str, kind: &str) -> Json {
    let schema = json!({"type": "object", "properties": {field: {"type": kind}}, "required": [field]});
    json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
}

fn sampling(text: &str) -> Json {
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}})
}

fn roots() -> Json {
    json!({"method": "roots/list", "params": {}})
}

/// String value of a field of an accepted form.
pub(crate) fn text_of(answer: Option<&Json>, field: &str) -> Option<String> {
    let answer = answer.filter(|answer| answer["action"] == "accept")?;
    Some(answer["content"][field].as_str()?.to_owned())
}

fn sampled_text(answer: &Json) -> Option<String> {
    Some(answer["content"]["text"].as_str()?.to_owned())
}
