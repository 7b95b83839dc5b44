//! Limits of known MCP clients on tool lists. A client that meets one hides, cuts or refuses tools, mostly without a
//! message, so the operator is warned before a client connects.

use crate::contract::{Contract, ResultFormat, ValidationIssue};

use super::{AliasMode, Catalog, Tool, tokens_estimated};
use synapsor_codes::ErrorCode;

/// Name of this server in a client, unless the operator chooses another one.
pub const SERVER_NAME_DEFAULT: &str = "synapsor";

/// Clients and interfaces that refuse tool names with dots.
pub const CLIENTS_WITHOUT_DOTS: [&str; 7] = [
    "Claude Desktop",
    "Claude Code",
    "Cursor",
    "VS Code",
    "Codex",
    "Gemini",
    "the OpenAI API",
];

/// Maximum length of a tool description in Claude Code, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 2_048;
/// Estimated tokens of a tool list above which it takes a noticeable part of a model's context.
const LIST_TOKENS_MAX: usize = 10_000;

/// Limit of one client on the length of a tool name, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameLimit {
    pub client: &'static str,
    /// Characters that the client adds to the tool name, besides the server name.
    separators: usize,
    /// Whether the server name counts.
    has_server: bool,
    max: usize,
    effect: &'static str,
}

/// Limits of clients that hide or refuse longer names.
pub const NAME_LIMITS: [NameLimit; 4] = [
    NameLimit {
        client: "Cursor",
        separators: 0,
        has_server: true,
        max: 60,
        effect: "hides the tool",
    },
    NameLimit {
        client: "Claude Code",
        // `mcp__SERVER__TOOL`
        separators: 7,
        has_server: true,
        max: 64,
        effect: "refuses the name",
    },
    NameLimit {
        client: "Claude Desktop",
        separators: 0,
        has_server: false,
        max: 64,
        effect: "refuses the name",
    },
    NameLimit {
        client: "Gemini",
        separators: 0,
        has_server: false,
        max: 63,
        effect: "cuts the name",
    },
];

impl NameLimit {
    /// Returns a clause if the name of this server's tool is too long for the client.
    pub fn exceeded(&self, server: &str, tool: &str) -> Option<String> {
        let own = tool.chars().count();
        let (whole, with) = if self.has_server {
            let whole = own + server.chars().count() + self.separators;
            (whole, format!(" with the server name `{server}`"))
        } else {
            (own, String::new())
        };
        (whole > self.max).then(|| {
            format!(
                "{} {} of more than {} characters ({whole}{with})",
                self.client, self.effect, self.max
            )
        })
    }
}

/// Returns the clause about listed names with dots.
pub fn dots_warning() -> String {
    format!(
        "listed tool names have dots; clients that refuse them: {}; serve with --alias-mode openai for these",
        CLIENTS_WITHOUT_DOTS.join(", ")
    )
}

/// Returns a clause if the description is longer than a client shows.
pub fn description_cut(tool: &Tool) -> Option<String> {
    let bytes = tool.description.len();
    (bytes > DESCRIPTION_BYTES_MAX).then(|| {
        format!("the description has {bytes} bytes, and some clients cut it, Claude Code at {DESCRIPTION_BYTES_MAX}")
    })
}

/// Returns a clause if a list of this size costs a model more than it should.
pub fn list_cost(bytes: usize) -> Option<String> {
    let tokens = tokens_estimated(bytes);
    (tokens > LIST_TOKENS_MAX).then(|| {
        format!("the tool list costs about {tokens} tokens ({bytes} bytes) of every conversation, more than {LIST_TOKENS_MAX}")
    })
}

/// Returns how to make a list of these tools cheaper: a tool that alone costs too much has to be shortened. `is_full`:
/// whether the list has everything, so that a smaller form exists.
pub fn list_fix(tools: &[Tool], format: ResultFormat, is_full: bool) -> String {
    let large = |tool: &&Tool| tokens_estimated(listed_bytes(tool, format)) > LIST_TOKENS_MAX;
    let large: Vec<String> = tools
        .iter()
        .filter(large)
        .map(|tool| format!("`{}` ({} bytes)", tool.name, listed_bytes(tool, format)))
        .collect();
    if !large.is_empty() {
        return format!(
            "shorten the descriptions of {} and of its arguments: no other setting makes a tool of this size cheaper",
            large.join(", ")
        );
    }
    let mut steps = Vec::new();
    if is_full {
        steps.push("pass --schema-profile lean");
    }
    if tools.iter().any(|tool| !tool.annotations.read_only_hint) {
        steps.push("pass --read-only");
    }
    steps.push("divide the capabilities among several contracts");
    steps.join(", or ")
}

/// Returns what known clients hide, cut or refuse of this contract's tools.
pub(crate) fn warnings(contract: &Contract) -> Vec<ValidationIssue> {
    let catalog = Catalog::from_contract(contract, false);
    let mut found = Vec::new();
    for (index, capability) in contract.capabilities().iter().enumerate() {
        let path = format!("$.capabilities[{index}]");
        // These clients refuse dots, so they get the alias.
        let alias = super::alias(&capability.name);
        let exceeded: Vec<String> = NAME_LIMITS
            .iter()
            .filter_map(|limit| limit.exceeded(SERVER_NAME_DEFAULT, &alias))
            .collect();
        if !exceeded.is_empty() {
            let message = format!("Shorten the name: {}.", exceeded.join("; "));
            found.push(issue(format!("{path}.name"), ErrorCode::ToolNameLong, message));
        }
        if let Some(clause) = catalog.tool(&capability.name).and_then(description_cut) {
            let message = format!("Shorten `description` and `returns_hint`: {clause}.");
            found.push(issue(
                format!("{path}.description"),
                ErrorCode::ToolDescriptionLong,
                message,
            ));
        }
    }
    let tools = catalog.exposed(&catalog.names(AliasMode::Canonical));
    let format = contract.result_format();
    if let Some(clause) = list_cost(list_bytes(&tools, format)) {
        let message = format!("To shorten it, {}: {clause}.", list_fix(&tools, format, true));
        found.push(issue(
            "$.capabilities".to_owned(),
            ErrorCode::ToolListLarge,
            message,
        ));
    }
    found
}

/// Size of these tools in a `tools/list` result, in bytes.
pub fn list_bytes(tools: &[Tool], format: ResultFormat) -> usize {
    tools.iter().map(|tool| listed_bytes(tool, format)).sum()
}

fn listed_bytes(tool: &Tool, format: ResultFormat) -> usize {
    tool.listed(format).to_string().len()
}

fn issue(path: String, code: ErrorCode, message: String) -> ValidationIssue {
    ValidationIssue { path, code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(names: &[&str], description: &str) -> Contract {
        let capability = |name: &&str| {
            serde_json::json!({
                "name": name, "kind": "read", "source": "db", "description": description,
                "target": {"schema": "main", "table": "t", "primary_key": "id", "tenant_key": "tenant"},
                "args": {"id": {"type": "string"}}, "lookup": {"id_from_arg": "id"}, "visible_columns": ["id"],
            })
        };
        let file = serde_json::json!({
            "version": 1, "mode": "review", "result_format": 2,
            "sources": {"db": {"engine": "sqlite", "read_url_env": "R", "write_url_env": "W"}},
            "trusted_context": {"provider": "environment"},
            "capabilities": names.iter().map(capability).collect::<Vec<_>>(),
        });
        Contract::parse(file.to_string().as_bytes()).unwrap().contract
    }

    fn codes(contract: &Contract) -> Vec<(String, ErrorCode, String)> {
        let found = warnings(contract).into_iter();
        found
            .map(|issue| (issue.path, issue.code, issue.message))
            .collect()
    }

    fn name_of(chars: usize) -> String {
        format!("bill.{}", "a".repeat(chars - "bill.".len()))
    }

    #[test]
    fn long_names_are_warned_of_with_client_and_lengths() {
        for (chars, clients) in [
            (48, vec![]),
            (49, vec!["Claude Code"]),
            (51, vec!["Claude Code"]),
            (52, vec!["Cursor", "Claude Code"]),
            (61, vec!["Cursor", "Claude Code"]),
            (63, vec!["Cursor", "Claude Code", "Gemini"]),
            // The alias has 64 characters, which Claude Desktop takes.
            (65, vec!["Cursor", "Claude Code", "Gemini"]),
            (128, vec!["Cursor", "Claude Code", "Gemini"]),
        ] {
            let found = codes(&contract(&["a.b", &name_of(chars)], "Reads."));
            let named: Vec<&str> = ["Cursor", "Claude Code", "Claude Desktop", "Gemini"]
                .into_iter()
                .filter(|client| found.iter().any(|(_, _, text)| text.contains(client)))
                .collect();
            assert_eq!(named, clients, "{chars}: {found:?}");
            for (path, code, _) in &found {
                assert_eq!(
                    (path.as_str(), *code),
                    ("$.capabilities[1].name", ErrorCode::ToolNameLong)
                );
            }
        }
        let (_, _, text) = &codes(&contract(&[&name_of(61)], "Reads."))[0];
        assert!(
            text.contains("60 characters (70 with the server name `synapsor`)"),
            "{text}"
        );
    }

    #[test]
    fn long_descriptions_and_lists_are_reported() {
        assert_eq!(codes(&contract(&["a.b"], &"x".repeat(1_800))), []);
        let found = codes(&contract(&["a.b", "a.c"], &"x".repeat(3_000)));
        let places: Vec<_> = found
            .iter()
            .map(|(path, code, _)| (path.as_str(), *code))
            .collect();
        assert_eq!(
            places,
            [
                ("$.capabilities[0].description", ErrorCode::ToolDescriptionLong),
                ("$.capabilities[1].description", ErrorCode::ToolDescriptionLong),
            ]
        );
        let names: Vec<String> = (0..200).map(|number| format!("a.inspect_{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = codes(&contract(&names, "Reads."));
        assert!(
            matches!(&found[..], [(path, ErrorCode::ToolListLarge, text)]
                if path == "$.capabilities" && text.contains("tokens") && text.contains("--schema-profile lean")),
            "{found:?}"
        );
        let (_, _, text) = &found[0];
        assert!(!text.contains("--read-only"), "every tool only reads: {text}");
    }

    #[test]
    fn tool_that_alone_is_too_large_is_named() {
        let found = codes(&contract(&["a.b"], &"x".repeat(70_000)));
        let (_, _, text) = found
            .iter()
            .find(|(_, code, _)| *code == ErrorCode::ToolListLarge)
            .unwrap();
        assert!(text.contains("shorten the descriptions of `a.b` (7"), "{text}");
        for useless in ["--read-only", "several contracts", "--schema-profile"] {
            assert!(!text.contains(useless), "{text}");
        }
    }

    #[test]
    fn read_only_is_advised_if_it_shortens_the_list() {
        let read = contract(&["a.b"], "Reads.");
        let catalog = Catalog::from_contract(&read, false);
        let mut tools = catalog.exposed(&catalog.names(AliasMode::Canonical));
        let fix = list_fix(&tools, ResultFormat::V2, false);
        assert_eq!(fix, "divide the capabilities among several contracts");
        tools[0].annotations.read_only_hint = false;
        let fix = list_fix(&tools, ResultFormat::V2, false);
        assert!(fix.starts_with("pass --read-only, or"), "{fix}");
    }
}
