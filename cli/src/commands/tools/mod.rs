//! `tools list|preview`: lists the tools that MCP clients see, directly from the contract. Starts nothing.

mod checks;
mod cost;

use clap::Subcommand;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::contract::{Contract, ResultFormat};
use synapsor_domain::tool::{
    AliasMode, Catalog, ExposedName, SchemaProfile, Tool, ToolNames, tokens_estimated,
};

use super::tool_names::NameOptions;
use crate::{Context, contract_file, output, state};
pub(super) use checks::{ToolListCheck, checks};
use cost::{HOW, ListCost};

/// Kinds of tools and data that no tool list of this program contains.
pub(super) const NEVER_EXPOSED: [&str; 7] = [
    "raw SQL tools",
    "approval tools",
    "commit and apply tools",
    "database URLs",
    "write credentials",
    "model-controlled tenant authority",
    "arbitrary table and column names",
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List names, kinds and descriptions of the tools, and the size of the list
    #[command(after_help = "Examples: synapsor-runner tools list --json\n          \
        synapsor-runner tools list --alias-mode openai --schema-profile lean\n\
        Exit codes: 0 ok, 1 a check fails, 2 usage")]
    List(Options),
    /// Print the tools with their schemas as the model receives them
    #[command(
        after_help = "Example: synapsor-runner tools preview\nExit codes: 0 ok, 1 a check fails, 2 usage"
    )]
    Preview(Options),
}

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Also show the alias of every tool
    #[arg(long)]
    aliases: bool,
    #[command(flatten)]
    names: NameOptions,
}

/// Tools that a client of this contract sees.
struct ToolPreview {
    mode: AliasMode,
    profile: SchemaProfile,
    /// Whether the tools are printed whole, as a `tools/list` result has them.
    is_listed: bool,
    format: ResultFormat,
    names: ToolNames,
    tools: Vec<Tool>,
    cost: ListCost,
    checks: Vec<ToolListCheck>,
    /// Names of all aliases, if requested.
    aliases: Option<ToolNames>,
    has_schemas: bool,
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    let loaded = contract_file::load(&context.global)?;
    let (Command::List(options) | Command::Preview(options)) = command;
    let has_schemas = matches!(command, Command::Preview(_));
    let shown = ToolPreview::of(&loaded.contract, options, has_schemas);
    if context.global.json {
        let mut value = json!({
            "ok": shown.is_ok(),
            "config_path": loaded.path.to_string_lossy(),
            "store_path": state::locate(context)?.store().to_string_lossy(),
        });
        shown.add_to(&mut value);
        output::json(&value)?;
    } else {
        show(&shown)?;
    }
    Ok(if shown.is_ok() { Exit::Ok } else { Exit::Failure })
}

/// Prints what `tools preview` prints for a contract that is not in a file yet.
pub(super) fn preview(contract: &Contract) -> Result<(), ExitError> {
    show(&ToolPreview::of(contract, &Options::default(), true))
}

impl ToolPreview {
    fn of(contract: &Contract, options: &Options, has_schemas: bool) -> Self {
        let catalog = Catalog::from_contract(contract, false);
        let mode = options.names.mode();
        let names = catalog.names(mode);
        let profile = options.names.profile();
        let tools: Vec<Tool> = catalog
            .exposed(&names)
            .into_iter()
            .map(|tool| tool.in_profile(profile))
            .collect();
        Self {
            mode,
            profile,
            is_listed: options.names.asked_profile().is_some(),
            format: contract.result_format(),
            cost: ListCost::of(&tools, contract.result_format()),
            tools,
            names,
            checks: checks(&catalog, contract),
            aliases: options.aliases.then(|| catalog.names(AliasMode::Both)),
            has_schemas,
        }
    }

    fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    fn add_to(&self, value: &mut Json) {
        let whole = |tool: &Tool| {
            if self.is_listed {
                tool.listed(self.format)
            } else if self.has_schemas {
                json!(tool)
            } else {
                json!(tool.name)
            }
        };
        let mapped = self.aliases.as_ref().unwrap_or(&self.names);
        value["alias_mode"] = json!(self.mode.as_str());
        value["schema_profile"] = json!(self.profile.as_str());
        value["exposed_to_mcp"] = self.tools.iter().map(whole).collect();
        value["alias_mappings"] = mapped.exposed().iter().map(mapping).collect();
        value["list_cost"] = self.cost.json();
        value["not_exposed_to_mcp"] = json!(NEVER_EXPOSED);
        value["checks"] = checks_json(&self.checks);
    }
}

pub(super) fn checks_json(checks: &[ToolListCheck]) -> Json {
    let checks = checks.iter();
    checks
        .map(|check| json!({"name": check.name, "ok": check.ok, "detail": check.detail}))
        .collect()
}

pub(super) fn show_checks(checks: &[ToolListCheck]) -> Result<(), ExitError> {
    for check in checks {
        let mark = if check.ok { "ok  " } else { "FAIL" };
        output::line(format!("{mark} {}: {}", check.name, output::safe(&check.detail)))?;
    }
    Ok(())
}

pub(super) fn mapping(name: &ExposedName) -> Json {
    json!({
        "canonicalName": name.canonical,
        "exposedName": name.exposed,
        "isAlias": name.is_alias(),
        "style": name.style(),
    })
}

/// Formats a line of JSON in printable ASCII with JSON escapes, so that its value is the same.
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

fn show(shown: &ToolPreview) -> Result<(), ExitError> {
    output::line("Tools exposed to the model:")?;
    for ((tool, name), cost) in shown
        .tools
        .iter()
        .zip(shown.names.exposed())
        .zip(&shown.cost.tools)
    {
        show_tool(tool, cost.bytes, shown.has_schemas)?;
        if let Some(alias) = shown.aliases.as_ref().and_then(|all| other_name(all, name)) {
            output::line(format!("      alias: {}", output::safe(alias)))?;
        }
    }
    output::line(format!(
        "The list costs {} bytes, about {} tokens ({HOW}).",
        shown.cost.bytes,
        tokens_estimated(shown.cost.bytes)
    ))?;
    output::line(format!("Never exposed: {}", NEVER_EXPOSED.join(", ")))?;
    show_checks(&shown.checks)
}

/// Returns the tool's name that is not listed.
fn other_name<'a>(all: &'a ToolNames, shown: &ExposedName) -> Option<&'a str> {
    let mut names = all.exposed().iter().filter(|e| e.canonical == shown.canonical);
    names
        .find(|e| e.exposed != shown.exposed)
        .map(|e| e.exposed.as_str())
}

fn show_tool(tool: &Tool, bytes: usize, has_schemas: bool) -> Result<(), ExitError> {
    let kind = if tool.annotations.read_only_hint {
        "read"
    } else {
        "proposal"
    };
    output::line(format!(
        "  {} ({kind}; {bytes} bytes, about {} tokens)",
        output::safe(&tool.name),
        tokens_estimated(bytes)
    ))?;
    for line in tool.description.lines() {
        output::line(format!("      {}", output::safe(line)))?;
    }
    if has_schemas {
        let schema = serde_json::to_string_pretty(&tool.input_schema).unwrap_or_default();
        for line in schema.lines() {
            output::line(format!("      {}", ascii_json(line)))?;
        }
    }
    Ok(())
}
