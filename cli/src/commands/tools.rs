//! `tools list|preview`: what a model would be offered, straight from the contract. Starts nothing.

use clap::Subcommand;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{EXIT_FAILURE, EXIT_OK, Exit, Failure};
use synapsor_domain::tool::{Catalog, Tool};

use crate::{Context, contract_file, output, state};

/// What no tool list of this program ever has.
pub(super) const NEVER_EXPOSED: [&str; 7] = [
    "raw SQL tools",
    "approval tools",
    "commit and apply tools",
    "database URLs",
    "write credentials",
    "model-controlled tenant authority",
    "arbitrary table and column names",
];

/// Words of tool names that would be a way around the review.
const FORBIDDEN_NAMES: [(&str, &[&str]); 3] = [
    (
        "no SQL tool",
        &["execute_sql", "run_query", "raw_sql", "query_database"],
    ),
    ("no approval tool", &["approve", "reject"]),
    ("no commit tool", &["commit", "apply_writeback", "apply_proposal"]),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Names, kinds and descriptions of the tools
    #[command(
        after_help = "Example: synapsor-runner tools list --json\nExit codes: 0 ok, 1 a check fails, 2 usage"
    )]
    List,
    /// The tools with their schemas, as a model sees them
    #[command(
        after_help = "Example: synapsor-runner tools preview\nExit codes: 0 ok, 1 a check fails, 2 usage"
    )]
    Preview,
}

/// One statement about the tool list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) ok: bool,
    pub(super) detail: String,
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, Failure> {
    let loaded = contract_file::load(&context.global)?;
    let catalog = Catalog::from_contract(&loaded.contract, false);
    let checks = checks(&catalog);
    let ok = checks.iter().all(|check| check.ok);
    if context.global.json {
        let exposed: Vec<Json> = match command {
            Command::List => catalog.tools.iter().map(|tool| json!(tool.name)).collect(),
            Command::Preview => catalog.tools.iter().map(|tool| json!(tool)).collect(),
        };
        let mappings: Vec<Json> = catalog.tools.iter().map(mapping).collect();
        let checks: Vec<Json> = checks
            .iter()
            .map(|c| json!({"name": c.name, "ok": c.ok, "detail": c.detail}))
            .collect();
        output::json(&json!({
            "ok": ok,
            "config_path": loaded.path.to_string_lossy(),
            "store_path": state::place(context)?.store().to_string_lossy(),
            "alias_mode": "canonical",
            "exposed_to_mcp": exposed,
            "alias_mappings": mappings,
            "not_exposed_to_mcp": NEVER_EXPOSED,
            "checks": checks,
        }))?;
    } else {
        show(command, &catalog, &checks)?;
    }
    Ok(Exit(if ok { EXIT_OK } else { EXIT_FAILURE }))
}

/// Statements that hold for every contract this program accepts, checked on the list itself.
pub(super) fn checks(catalog: &Catalog) -> Vec<Check> {
    let count = catalog.tools.len();
    let mut checks = vec![Check {
        name: "semantic tools present".to_owned(),
        ok: count > 0,
        detail: format!("{count} tool(s)"),
    }];
    for (name, words) in FORBIDDEN_NAMES {
        let found: Vec<&str> = catalog
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .filter(|tool| tool.split('.').any(|part| words.contains(&part)))
            .collect();
        let detail = if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        };
        checks.push(Check {
            name: name.to_owned(),
            ok: found.is_empty(),
            detail,
        });
    }
    checks.push(Check {
        name: "no tenant or principal argument".to_owned(),
        ok: !catalog.tools.iter().any(asks_for_context),
        detail: "tenant and principal come from the reader".to_owned(),
    });
    checks
}

fn asks_for_context(tool: &Tool) -> bool {
    let properties = tool.input_schema.get("properties").and_then(Json::as_object);
    properties.is_some_and(|p| {
        ["tenant_id", "principal"]
            .iter()
            .any(|name| p.contains_key(*name))
    })
}

fn mapping(tool: &Tool) -> Json {
    json!({"canonicalName": tool.name, "exposedName": tool.name, "isAlias": false, "style": "canonical"})
}

/// A line of JSON in printable ASCII: what is not is spelled as JSON spells it, so that it stays the same JSON.
fn ascii_json(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if matches!(c, ' '..='~') {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(
                c.encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        }
    }
    out
}

fn show(command: &Command, catalog: &Catalog, checks: &[Check]) -> Result<(), Failure> {
    output::line("A model is offered:")?;
    for tool in &catalog.tools {
        let kind = tool
            .meta
            .get("synapsor.kind")
            .and_then(Json::as_str)
            .unwrap_or_default();
        output::line(format!("  {} ({kind})", output::safe(&tool.name)))?;
        for line in tool.description.lines() {
            output::line(format!("      {}", output::safe(line)))?;
        }
        if matches!(command, Command::Preview) {
            let schema = serde_json::to_string_pretty(&tool.input_schema).unwrap_or_default();
            for line in schema.lines() {
                output::line(format!("      {}", ascii_json(line)))?;
            }
        }
    }
    output::line(format!("It is never offered: {}", NEVER_EXPOSED.join(", ")))?;
    for check in checks {
        let mark = if check.ok { "ok  " } else { "FAIL" };
        output::line(format!("{mark} {}: {}", check.name, output::safe(&check.detail)))?;
    }
    Ok(())
}
