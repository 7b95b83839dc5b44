//! Configuration of a program with the OpenAI Agents SDK, which has no file: the server command and the code
//! that connects to it. Pure.

use serde_json::{Value as Json, json};
use synapsor_domain::tool::{AliasMode, Catalog};

use super::server::{McpServerEntry, ServerAccess};

const PACKAGE: &str = "openai-agents";
const NOTES: [&str; 4] = [
    "Function names of the API have no dots, so tools are listed by their aliases; either name is taken in a call.",
    "The token is read from the environment of the program; it is not stored in a file.",
    "No tool approves or applies; an operator does that with synapsor-runner.",
    "Branch on `ok` in every result.",
];

/// Returns the whole configuration; `catalog` is absent when the contract is not on this machine.
pub(super) fn json(server: &McpServerEntry, name: &str, mode: AliasMode, catalog: Option<&Catalog>) -> Json {
    let ServerAccess::Http { url, token_env, .. } = &server.way else {
        unreachable!("this client supports HTTP only")
    };
    let names = |mode| {
        let shown = catalog.map(|catalog| catalog.names(mode));
        shown.map(|names| {
            names
                .exposed()
                .iter()
                .map(|e| e.exposed.clone())
                .collect::<Vec<_>>()
        })
    };
    let variable = format!("${{{token_env}}}");
    let start = server.by_hand.as_ref().map(
        |launch| json!({"command": launch.command, "args": launch.args, "env": { token_env: &variable }}),
    );
    json!({
        "transport": "streamable-http",
        "start_server": start,
        "openai_agents_sdk": {
            "package": PACKAGE,
            "url": url,
            "headers_from_env": { "Authorization": format!("Bearer {variable}") },
            "python": python(url, token_env, name),
        },
        "tool_names": {
            "canonical": names(AliasMode::Canonical),
            "model_visible_with_alias_mode_openai": names(AliasMode::OpenAi),
            "alias_mode": mode.as_str(),
        },
        "notes": NOTES,
    })
}

/// All three values are validated: none of them can end a Python string.
pub(super) fn python(url: &str, token_env: &str, name: &str) -> String {
    format!(
        r#"import asyncio
import os

from agents import Agent, Runner
from agents.mcp import MCPServerStreamableHttp


async def main() -> None:
    async with MCPServerStreamableHttp(
        name="{name}",
        params={{
            "url": "{url}",
            "headers": {{"Authorization": "Bearer " + os.environ["{token_env}"]}},
        }},
    ) as server:
        agent = Agent(
            name="Assistant",
            instructions="Inspect before you propose. You cannot approve or apply a proposal.",
            mcp_servers=[server],
        )
        result = await Runner.run(agent, "Which tools do you have?")
        print(result.final_output)


asyncio.run(main())
"#
    )
}
