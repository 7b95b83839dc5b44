//! `schemas`: writes the published JSON Schemas from the domain, or checks that they are up to date.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;
use synapsor_domain::record_schemas;

/// File name and source of a schema.
type Schema = (&'static str, fn() -> Json);

/// Every published schema.
const SCHEMAS: &[Schema] = &[
    ("activity.v1.json", record_schemas::activity_schema),
    ("change-set.v1.json", synapsor_domain::proposal::change_set_schema),
    ("contract.v1.json", synapsor_domain::contract::json_schema),
    ("envelope.v2.json", synapsor_domain::tool::envelope_schema),
    (
        "onboarding-selection.v1.json",
        synapsor_domain::scaffold::selection_schema,
    ),
    ("recipe.v1.json", synapsor_domain::scaffold::recipe_schema),
    ("webhooks.v1.json", synapsor_domain::webhook::webhooks_schema),
    ("evidence-bundle.v1.json", record_schemas::evidence_bundle_schema),
    (
        "execution-receipt.v1.json",
        record_schemas::execution_receipt_schema,
    ),
    ("proposal.v1.json", record_schemas::stored_proposal_schema),
    ("query-audit.v1.json", record_schemas::query_audit_schema),
    ("replay.v1.json", record_schemas::replay_schema),
    (
        "writeback-job.v1.json",
        synapsor_domain::writeback_job::writeback_job_schema,
    ),
];

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("schemas");
    match arguments {
        [] => write(&folder),
        ["--check"] => check(&folder),
        _ => bail!("usage: cargo xtask schemas [--check]"),
    }
}

fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (path, text) in files(folder)? {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn check(folder: &Path) -> Result<()> {
    let fresh = files(folder)?;
    let is_stale = |(path, text): &&(PathBuf, String)| fs::read_to_string(path).ok().as_deref() != Some(text);
    let mut wrong: Vec<String> = fresh
        .iter()
        .filter(is_stale)
        .map(|(path, _)| name(path))
        .collect();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if is_json && !fresh.iter().any(|(known, _)| *known == path) {
            wrong.push(name(&path));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "stale in schemas/: {}\nrun `cargo xtask schemas` and review the diff",
        wrong.join(", ")
    )
}

fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let render =
        |(name, schema): &Schema| Ok((folder.join(name), serde_json::to_string_pretty(&schema())? + "\n"));
    SCHEMAS.iter().map(render).collect()
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
