//! The one prompt: how to work with these tools, for hosts that let people choose prompts.

use rmcp::model::{
    ErrorData, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role,
};
use synapsor_domain::tool::{CHECKLIST, SYSTEM_PROMPT};

const NAME: &str = "inspect_then_propose";
const DESCRIPTION: &str =
    "Work with these tools: inspect first, then propose, and leave the decision to a person.";
const REQUEST: &str = "request";
const REQUEST_CHARS_MAX: usize = 4_000;

/// What a list of prompts shows.
pub(crate) fn list() -> Vec<Prompt> {
    let request = PromptArgument::new(REQUEST)
        .with_description("What is wanted, in the words of whoever wants it.")
        .with_required(false);
    vec![Prompt::new(NAME, Some(DESCRIPTION), Some(vec![request])).with_title("Inspect, then propose")]
}

/// The prompt, filled in.
pub(crate) fn get(wanted: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    if wanted.name != NAME {
        return Err(ErrorData::invalid_params(
            format!("no such prompt; there is `{NAME}`"),
            None,
        ));
    }
    let arguments = wanted.arguments.iter().flatten();
    let mut text = format!("{SYSTEM_PROMPT}\n\n");
    CHECKLIST
        .iter()
        .for_each(|line| text.push_str(&format!("- {line}\n")));
    for (name, value) in arguments {
        let request = value
            .as_str()
            .filter(|text| text.chars().count() <= REQUEST_CHARS_MAX);
        let (REQUEST, Some(request)) = (name.as_str(), request) else {
            let why = format!(
                "the prompt takes one argument, `{REQUEST}`, a text of at most {REQUEST_CHARS_MAX} characters"
            );
            return Err(ErrorData::invalid_params(why, None));
        };
        text.push_str(&format!("\nWhat is wanted: {request}\n"));
    }
    let messages = vec![PromptMessage::new_text(Role::User, text)];
    Ok(GetPromptResult::new(messages).with_description(DESCRIPTION))
}
