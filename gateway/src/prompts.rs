//! The one MCP prompt: how to use these tools, for hosts that offer prompts to their users.

use rmcp::model::{
    ErrorData, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role,
};
use synapsor_domain::tool::{CHECKLIST, SYSTEM_PROMPT};

const NAME: &str = "inspect_then_propose";
const DESCRIPTION: &str =
    "Work with these tools: inspect first, then propose, and leave the decision to an approver.";
const REQUEST: &str = "request";
const REQUEST_CHARS_MAX: usize = 4_000;

/// Lists the prompts.
pub(crate) fn list() -> Vec<Prompt> {
    let request = PromptArgument::new(REQUEST)
        .with_description("The requested change, in the user's words.")
        .with_required(false);
    vec![Prompt::new(NAME, Some(DESCRIPTION), Some(vec![request])).with_title("Inspect, then propose")]
}

/// Returns the prompt with its argument filled in.
pub(crate) fn get(wanted: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    if wanted.name != NAME {
        return Err(ErrorData::invalid_params(
            format!("unknown prompt; expected `{NAME}`"),
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
                "the prompt takes one argument, `{REQUEST}`, a string of at most {REQUEST_CHARS_MAX} characters"
            );
            return Err(ErrorData::invalid_params(why, None));
        };
        text.push_str(&format!("\nWhat is wanted: {request}\n"));
    }
    let messages = vec![PromptMessage::new_text(Role::User, text)];
    Ok(GetPromptResult::new(messages).with_description(DESCRIPTION))
}
