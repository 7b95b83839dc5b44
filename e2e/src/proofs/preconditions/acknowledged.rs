//! Database code that a contract acknowledges, with an entry for each definition as `writeback doctor` prints it.
//! The code may run, and still only the approved change is committed.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use tokio::task::block_in_place;

use super::cases::{Case, CaseKind};
use super::tables::Tables;
use crate::agent::PROPOSE;
use crate::cli::Running;
use crate::deployment::Deployment;

const LIMIT: Duration = Duration::from_secs(60);
const NOT_ACKNOWLEDGED: &str = "SIDE_EFFECT_NOT_ACKNOWLEDGED";

/// A definition and the tool whose capability acknowledges it.
pub(super) struct Acknowledged {
    pub(super) case: Case,
    pub(super) tool: String,
}

/// Adds a capability for each definition that can be acknowledged. No process has read the contract yet.
pub(super) fn acknowledge(
    deployment: &Deployment,
    tables: &Tables,
    cases: &[Case],
) -> anyhow::Result<Vec<Acknowledged>> {
    let mut contract: Json = serde_json::from_slice(&std::fs::read(deployment.contract())?)?;
    let mut made = Vec::new();
    for case in cases.iter().filter(|case| case.kind == CaseKind::Code) {
        tables.reset(&["PC-0".to_owned()])?;
        tables.as_owner(&case.sql)?;
        let entries = entries(deployment)?;
        if entries.is_empty() {
            continue;
        }
        let tool = format!("billing.case_{}", made.len());
        let capabilities = contract["capabilities"].as_array_mut().context("capabilities")?;
        let like = capabilities.iter().find(|known| known["name"] == PROPOSE);
        let mut capability = like.context("the capability that proposes")?.clone();
        capability["name"] = json!(tool);
        capability["side_effects_ack"] = json!(entries);
        capabilities.push(capability);
        made.push(Acknowledged {
            case: case.clone(),
            tool,
        });
    }
    std::fs::write(deployment.contract(), contract.to_string())?;
    Ok(made)
}

/// Entries that the command prints for the current tables.
fn entries(deployment: &Deployment) -> anyhow::Result<Vec<Json>> {
    let arguments = ["writeback", "doctor", "--check-db", "--json"];
    let mut command = Command::new(deployment.build.binary("synapsor-runner")?);
    command
        .arg("--config")
        .arg(deployment.contract())
        .args(arguments)
        .current_dir(deployment.folder.path())
        .env_clear()
        .envs([
            ("USER", "alice"),
            ("BILLING_READ_URL", &deployment.target.read_url()),
            ("BILLING_WRITE_URL", &deployment.target.write_url()),
            ("BILLING_TENANT", "acme"),
            ("BILLING_PRINCIPAL", "support-agent"),
        ]);
    let ran = block_in_place(|| Running::of(command, &arguments)?.end(LIMIT))?;
    let mut found = Vec::new();
    collect(&ran.object()?, &mut found);
    found
        .iter()
        .map(|entry| Ok(serde_json::from_str(entry)?))
        .collect()
}

/// Collects the entries in a report; each once, although every capability of the table lacks it.
fn collect(report: &Json, found: &mut Vec<String>) {
    match report {
        Json::Object(members) => {
            if members.get("code").is_some_and(|code| code == NOT_ACKNOWLEDGED)
                && let Some(entry) = members.get("fix").and_then(Json::as_str)
                && !found.iter().any(|known| known == entry)
            {
                found.push(entry.to_owned());
            }
            members.values().for_each(|member| collect(member, found));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
