//! `benchmark`: sizes of one fixed example, with generic database tools and with the tools of a contract.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::tool::Catalog;

use crate::{Context, output};

/// Tools, results and calls of the example.
const EXAMPLE: &str = include_str!("../../assets/benchmark.json");
/// Contract of the demo, whose real tool list is measured.
const CONTRACT: &str = include_str!("../../assets/demo.runner.json");
const NAME: &str = "late-fee-waiver";
const TOKENIZER: &str = "synapsor-fixture-tokenizer-v1";
const DISCLAIMER: &str = "These numbers are those of one fixed example with a simple tokenizer. They are no measure of other \
                          servers, models or tasks, and no promise of savings.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare the sizes of one example with generic database tools and with a contract's tools
    #[command(
        after_help = "Example:\n  synapsor-runner benchmark mcp-efficiency --json\n\n\
        The result is the same on every machine. It opens nothing and calls nothing.\n\
        Exit codes: 0 ok, 2 usage"
    )]
    McpEfficiency,
}

#[derive(Deserialize)]
struct Example {
    generic: GenericPath,
    semantic: ScriptedCalls,
}

#[derive(Deserialize)]
struct GenericPath {
    tools: Vec<Json>,
    #[serde(flatten)]
    script: ScriptedCalls,
}

/// What the model reads besides the tool list, and the calls that it makes.
#[derive(Deserialize)]
struct ScriptedCalls {
    /// Schema that the model has to read before it can act.
    context: Vec<Json>,
    results: Vec<Json>,
    calls: Vec<String>,
}

/// Size of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TextSize {
    bytes: usize,
    tokens: usize,
}

/// Sizes of one way to do the example.
struct MeasuredPath {
    name: &'static str,
    exposed_tools: usize,
    tools_list: TextSize,
    context: TextSize,
    results: TextSize,
    calls: usize,
    /// What the model can do or has to know by this way.
    facts: [(&'static str, bool); 4],
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    let Command::McpEfficiency = command;
    let paths = measured()?;
    if context.global.json {
        let paths: Vec<Json> = paths.iter().map(MeasuredPath::object).collect();
        output::json(&json!({
            "fixture": NAME, "tokenizer": TOKENIZER, "paths": paths, "disclaimer": DISCLAIMER,
        }))?;
        return Ok(Exit::Ok);
    }
    output::line(format!("example {NAME}, tokenizer {TOKENIZER}"))?;
    for path in &paths {
        output::line(format!("\n{}", path.name))?;
        output::line(format!("  {:<24}{}", "tools", path.exposed_tools))?;
        for (name, size) in path.sizes() {
            output::line(format!(
                "  {name:<24}{} bytes, {} tokens",
                size.bytes, size.tokens
            ))?;
        }
        output::line(format!("  {:<24}{}", "calls", path.calls))?;
        for (name, holds) in path.facts {
            let holds = if holds { "yes" } else { "no" };
            output::line(format!("  {:<24}{holds}", name.replace('_', " ")))?;
        }
    }
    output::line(format!("\n{DISCLAIMER}"))?;
    Ok(Exit::Ok)
}

fn measured() -> Result<[MeasuredPath; 2], ExitError> {
    let broken =
        |what: &str| ExitError::new(ErrorCode::Internal, format!("{what} of the benchmark is broken"));
    let example: Example = serde_json::from_str(EXAMPLE).map_err(|_| broken("the example"))?;
    let contract = Contract::parse(CONTRACT.as_bytes()).map_err(|_| broken("the contract"))?;
    let catalog = Catalog::from_contract(&contract.contract, false);
    let (generic, semantic) = (&example.generic, &example.semantic);
    Ok([
        MeasuredPath {
            name: "generic_reference",
            exposed_tools: generic.tools.len(),
            tools_list: size_of(&generic.tools),
            context: size_of(&generic.script.context),
            results: size_of(&generic.script.results),
            calls: generic.script.calls.len(),
            facts: facts([true, true, true, false]),
        },
        MeasuredPath {
            name: "semantic",
            exposed_tools: catalog.tools.len(),
            tools_list: size_of(&catalog.tools.iter().map(|tool| json!(tool)).collect::<Vec<_>>()),
            context: size_of(&semantic.context),
            results: size_of(&semantic.results),
            calls: semantic.calls.len(),
            facts: facts([false, false, false, true]),
        },
    ])
}

fn facts([sql, tenant, commit, evidence]: [bool; 4]) -> [(&'static str, bool); 4] {
    [
        ("model_writes_sql", sql),
        ("model_supplies_tenant", tenant),
        ("model_can_commit", commit),
        ("read_leaves_evidence", evidence),
    ]
}

impl MeasuredPath {
    fn sizes(&self) -> [(&'static str, TextSize); 3] {
        [
            ("tools_list", self.tools_list),
            ("schema_context", self.context),
            ("results", self.results),
        ]
    }

    fn object(&self) -> Json {
        let mut object = json!({
            "name": self.name, "exposed_tools": self.exposed_tools, "scripted_calls": self.calls,
        });
        for (name, size) in self.sizes() {
            object[name] = json!({ "bytes": size.bytes, "tokens": size.tokens });
        }
        for (name, holds) in self.facts {
            object[name] = json!(holds);
        }
        object
    }
}

/// Returns the size of values as compact JSON, one after the other.
fn size_of(values: &[Json]) -> TextSize {
    let texts = values.iter().map(Json::to_string);
    texts.fold(TextSize { bytes: 0, tokens: 0 }, |sum, text| TextSize {
        bytes: sum.bytes + text.len(),
        tokens: sum.tokens + tokens(&text),
    })
}

/// Counts runs of word characters, and each other character that is not a space.
fn tokens(text: &str) -> usize {
    let (mut count, mut is_in_word) = (0, false);
    for c in text.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        if (is_word && !is_in_word) || (!is_word && !c.is_whitespace()) {
            count += 1;
        }
        is_in_word = is_word;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_other_characters_are_tokens() {
        for (text, count) in [
            ("", 0),
            ("  ", 0),
            ("late_fee", 1),
            ("a b", 2),
            ("{\"a\": 10}", 7),
            ("x.y", 3),
        ] {
            assert_eq!(tokens(text), count, "{text:?}");
        }
    }

    #[test]
    fn script_names_tools_of_its_path() {
        let example: Example = serde_json::from_str(EXAMPLE).unwrap();
        let contract = Contract::parse(CONTRACT.as_bytes()).unwrap().contract;
        let catalog = Catalog::from_contract(&contract, false);
        for call in &example.semantic.calls {
            assert!(catalog.tool(call).is_some(), "{call}");
        }
        for call in &example.generic.script.calls {
            assert!(
                example.generic.tools.iter().any(|tool| tool["name"] == **call),
                "{call}"
            );
        }
        let [generic, semantic] = measured().unwrap();
        assert_eq!((generic.calls, semantic.calls), (5, 2));
        assert!(generic.tools_list.tokens > 0 && semantic.results.tokens > 0);
    }
}
