//! Checklist of `up`: exposed tools, writeback executors, and variables that are not set.

use clap::ValueEnum as _;
use serde::Serialize;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::ExitError;
use synapsor_domain::contract::{Capability, Contract, ExecutorRef, Mode, ProposalSpec, ResultFormat};
use synapsor_domain::tool::{AliasMode, Catalog, ToolNames};

use super::super::mcp_options::TransportArg;
use super::super::tools;
use crate::contract_file::LoadedContract;
use crate::supervisor::{Process, Requirement, ToolListOptions, missing, requirements};
use crate::{Context, output, state};

/// State of the setup.
#[derive(Debug)]
pub(super) struct Checklist {
    config: String,
    state: String,
    is_new: bool,
    store: String,
    logs: String,
    mode: Mode,
    transport: TransportArg,
    names: ToolNames,
    alias_mode: AliasMode,
    /// Version of the result envelope.
    format: u8,
    tools: Vec<String>,
    /// Command that calls the first tool of the contract.
    first_call: Option<String>,
    writeback: Vec<WritePath>,
    pub(super) missing: Vec<Requirement>,
    failed: Vec<String>,
    /// Warnings for the contract's author: code and message.
    warnings: Vec<(&'static str, String)>,
}

/// Executor of the proposals of one capability.
#[derive(Debug, Serialize)]
struct WritePath {
    capability: String,
    path: String,
    /// Variable with the write URL, and whether it is set; absent when none is needed here.
    env: Option<String>,
    env_set: Option<bool>,
}

impl Checklist {
    pub(super) fn of(
        shown: &ToolListOptions,
        transport: TransportArg,
        read_only: bool,
        loaded: &LoadedContract,
        context: &Context,
    ) -> Result<Self, ExitError> {
        let contract = &loaded.contract;
        let state_dir = state::locate(context)?;
        let mut needed = requirements(Process::Reader, contract);
        needed.extend(requirements(Process::Writer, contract));
        let catalog = Catalog::from_contract(contract, read_only);
        let failed = tools::checks(&catalog, contract)
            .into_iter()
            .filter(|c| !c.ok)
            .map(|c| c.name)
            .collect();
        Ok(Self {
            config: loaded.path.to_string_lossy().into_owned(),
            state: state_dir.dir().to_string_lossy().into_owned(),
            is_new: state::find(context).is_err(),
            store: state_dir.store().to_string_lossy().into_owned(),
            logs: state_dir.logs_dir().to_string_lossy().into_owned(),
            mode: contract.mode(),
            transport,
            first_call: contract
                .capabilities()
                .first()
                .map(|first| format!("synapsor-runner smoke call {} --sample", first.name)),
            names: catalog.names(shown.names),
            alias_mode: shown.names,
            format: shown.format.unwrap_or(match contract.result_format() {
                ResultFormat::V1 => 1,
                ResultFormat::V2 => 2,
            }),
            tools: catalog.tools.iter().map(|tool| tool.name.clone()).collect(),
            writeback: writeback(contract, context)?,
            missing: missing(&context.env, needed)?,
            failed,
            warnings: loaded
                .warnings
                .iter()
                .map(|w| (w.code.as_str(), w.message.clone()))
                .collect(),
        })
    }

    pub(super) fn is_ok(&self) -> bool {
        self.missing.is_empty() && self.failed.is_empty()
    }

    pub(super) fn json(&self) -> Json {
        let missing: Vec<Json> = self
            .missing
            .iter()
            .map(|m| json!({"env": m.name, "for": m.purpose}))
            .collect();
        let warnings: Vec<Json> = self
            .warnings
            .iter()
            .map(|(code, text)| json!({"code": code, "message": text}))
            .collect();
        json!({
            "ok": self.is_ok(),
            "config_path": self.config,
            "state_dir": self.state,
            "state_dir_new": self.is_new,
            "store_path": self.store,
            "logs_dir": self.logs,
            "mode": self.mode.as_str(),
            "serve": self.transport == TransportArg::StreamableHttp,
            "transport": transport_name(self.transport),
            "tools": self.tools,
            "alias_mode": self.alias_mode.as_str(),
            "alias_mappings": self.names.exposed().iter().map(tools::mapping).collect::<Vec<_>>(),
            "result_format": self.format,
            "not_exposed_to_mcp": tools::NEVER_EXPOSED,
            "writeback": self.writeback,
            "missing": missing,
            "failed_checks": self.failed,
            "warnings": warnings,
            "next": self.next(),
        })
    }

    /// Returns the commands to try next.
    pub(super) fn next(&self) -> Vec<String> {
        let mut next = vec!["synapsor-runner tools preview".to_owned()];
        next.extend(self.first_call.clone());
        let of_mode: &[&str] = if self.mode == Mode::Shadow {
            &NEXT_IN_SHADOW
        } else {
            &NEXT
        };
        next.extend(of_mode.iter().map(|command| (*command).to_owned()));
        next
    }

    pub(super) fn show(&self) -> Result<(), ExitError> {
        let safe = output::safe;
        output::line(format!("config    {}", safe(&self.config)))?;
        let new = if self.is_new { " (new)" } else { "" };
        output::line(format!("state     {}{new}", safe(&self.state)))?;
        output::line(format!("store     {}", safe(&self.store)))?;
        output::line(format!("logs      {}", safe(&self.logs)))?;
        output::line(format!("mode      {}", self.mode.as_str()))?;
        output::line(format!("transport {}", transport_name(self.transport)))?;
        output::line(format!("aliases   {}", self.alias_mode.as_str()))?;
        output::line(format!("results   format {}", self.format))?;
        output::line("tools exposed to the model:")?;
        for name in self.names.exposed() {
            let canonical = match name.is_alias() {
                true => format!(" -> {}", safe(&name.canonical)),
                false => String::new(),
            };
            output::line(format!("  {}{canonical}", safe(&name.exposed)))?;
        }
        output::line(format!("never exposed: {}", tools::NEVER_EXPOSED.join(", ")))?;
        for row in &self.writeback {
            let variable = row.env.as_ref().map_or_else(String::new, |name| {
                format!(
                    ", {} {}",
                    safe(name),
                    if row.env_set == Some(true) {
                        "set"
                    } else {
                        "MISSING"
                    }
                )
            });
            output::line(format!(
                "writeback {}: {}{variable}",
                safe(&row.capability),
                row.path
            ))?;
        }
        for (code, message) in &self.warnings {
            output::line(format!("warning   {code}: {}", safe(message)))?;
        }
        for check in &self.failed {
            output::line(format!("FAIL      {check}"))?;
        }
        Ok(())
    }
}

const NEXT: [&str; 6] = [
    "synapsor-runner proposals list",
    "synapsor-runner proposals show latest",
    "synapsor-runner proposals approve latest",
    "synapsor-runner apply latest",
    "synapsor-runner replay show latest",
    "synapsor-runner events tail",
];

/// Nothing is approved or applied in mode `shadow`.
const NEXT_IN_SHADOW: [&str; 4] = [
    "synapsor-runner shadow list",
    "synapsor-runner proposals show latest",
    "synapsor-runner shadow report",
    "synapsor-runner events tail",
];

fn transport_name(transport: TransportArg) -> String {
    let value = transport.to_possible_value();
    value.map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// For each proposal capability: its executor, and whether its variable is set.
fn writeback(contract: &Contract, context: &Context) -> Result<Vec<WritePath>, ExitError> {
    let proposals = contract
        .capabilities()
        .iter()
        .filter_map(|c| Some((c, c.proposal()?)));
    proposals
        .map(|(capability, proposal)| write_path(contract, capability, proposal, context))
        .collect()
}

fn write_path(
    contract: &Contract,
    capability: &Capability,
    proposal: &ProposalSpec,
    context: &Context,
) -> Result<WritePath, ExitError> {
    let (path, env) = match (&proposal.executor, contract.mode()) {
        (_, Mode::ReadOnly) => ("not exposed in read_only".to_owned(), None),
        (_, Mode::Shadow) => ("never written in shadow".to_owned(), None),
        (ExecutorRef::Handler(name), _) => (format!("handler `{}`", output::safe(name)), None),
        (ExecutorRef::Direct, _) => {
            let source = contract.source(&capability.source);
            (
                "guarded update of one row".to_owned(),
                source.and_then(|source| source.write_url_env.clone()),
            )
        }
    };
    let env_set = match &env {
        Some(name) => {
            Some(context.env.get(name)?.is_some() || context.env.get(&format!("{name}_FILE"))?.is_some())
        }
        None => None,
    };
    Ok(WritePath {
        capability: capability.name.clone(),
        path,
        env,
        env_set,
    })
}
