//! `init --add`: drafts capabilities for another table and adds them to an existing contract, whose mode, source and
//! context they take.

use std::path::Path;

use serde_json::{Value as Json, json};
use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, Source};
use synapsor_domain::inspection::Inspection;
use synapsor_domain::scaffold::{GeneratedContract, InitOptions, draft};

use super::{Args, InitResult, added_source, append, choices, contract_lock, refused, report};
use crate::commands::client_config;
use crate::output::{self, safe};
use crate::{Context, contract_file};

pub(super) async fn run(args: &Args, context: &Context) -> Result<InitResult, ExitError> {
    args.reject_settings_of_contract()?;
    let path = args
        .files
        .output
        .clone()
        .unwrap_or_else(|| contract_file::path(&context.global));
    let (_, valid) = read(&path)?;
    let flags = args.choices().map_err(refused)?;
    let variable = added_source::variable(&flags, &valid);
    let (mut choices, inspection) = choices::read(args, variable, context).await?;
    let target = contract_lock::target(&path);
    let _lock = match args.files.dry_run {
        true => None,
        false => Some(contract_lock::taken(&target).await?),
    };
    // Another command may have changed the contract during the inspection.
    let (bytes, valid) = read(&path)?;
    let before = String::from_utf8_lossy(&bytes);
    let source = of_contract(&mut choices, &valid, inspection.as_ref(), args)?;
    let drafted = draft(&choices, inspection.as_ref()).map_err(refused)?;
    let capabilities = capabilities(&drafted, &before, &valid)?;
    let after = append::appended(&before, &capabilities, source.is_none())?;
    Contract::parse(after.as_bytes()).map_err(|report| contract_file::invalid(&path, &report))?;
    if !args.files.dry_run {
        let mark = byte_order_mark(&target);
        files::replace(&target, [mark, after.as_bytes()].concat().as_slice())?;
    }
    if !context.global.json {
        for warning in &drafted.warnings {
            output::note(format!("warning: {}", safe(warning)));
        }
        if args.files.dry_run {
            output::text(&client_config::difference(&path, &before, &after))?;
        } else {
            show(&drafted, &path)?;
        }
    }
    Ok(InitResult {
        value: json!({
            "ok": true,
            "written": !args.files.dry_run,
            "config_path": path.to_string_lossy(),
            "added_source": source.is_none(),
            "read_tool": drafted.read_tool,
            "proposal_tool": drafted.proposal_tool,
            "warnings": drafted.warnings,
            "config": serde_json::from_str::<Json>(&after).unwrap_or_default(),
        }),
        next: next_steps(&drafted, &path),
        contract: path,
        is_dry: args.files.dry_run,
    })
}

/// Reads and validates the contract.
fn read(path: &Path) -> Result<(Vec<u8>, Contract), ExitError> {
    let bytes = contract_file::read(path)?;
    let valid = Contract::parse(&bytes).map_err(|report| contract_file::invalid(path, &report))?;
    Ok((bytes, valid.contract))
}

/// Returns the mark with which the file begins, if any. Readers leave it out.
fn byte_order_mark(path: &Path) -> &'static [u8] {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    match std::fs::read(path) {
        Ok(bytes) if bytes.starts_with(MARK) => MARK,
        Ok(_) | Err(_) => &[],
    }
}

/// Sets what the contract decides. Returns its source for the capabilities; `None` if the draft has a new one.
fn of_contract<'a>(
    choices: &mut InitOptions,
    contract: &'a Contract,
    inspection: Option<&Inspection>,
    args: &Args,
) -> Result<Option<&'a Source>, ExitError> {
    if args.mode().is_some_and(|mode| mode != contract.mode()) {
        let text = format!("the contract has mode {}", contract.mode().as_str());
        return Err(ExitError::new(ErrorCode::OptionUnused, text).with_fix("remove --mode"));
    }
    choices.mode = Some(contract.mode());
    let engine = inspection
        .map(|inspection| inspection.engine.as_str())
        .or(choices.engine.as_deref())
        .unwrap_or("postgres");
    let source = added_source::chosen(choices, contract, engine, inspection.is_some())?;
    if let Some(source) = source {
        args.reject_variables_of_source()?;
        choices.source_name = Some(source.name.clone());
        choices.read_url_env = Some(source.read_url_env.clone());
        choices.write_url_env.clone_from(&source.write_url_env);
    }
    Ok(source)
}

/// Returns the draft's parts with the context of the contract's other capabilities. Rejects names that are taken.
fn capabilities(drafted: &GeneratedContract, before: &str, contract: &Contract) -> Result<Json, ExitError> {
    let names = [Some(&drafted.read_tool), drafted.proposal_tool.as_ref()];
    let taken: Vec<String> = names
        .into_iter()
        .flatten()
        .filter(|name| contract.capability(name).is_some())
        .map(|name| format!("`{}`", safe(name)))
        .collect();
    if !taken.is_empty() {
        let text = format!("the contract has {} already", taken.join(" and "));
        return Err(ExitError::new(ErrorCode::DuplicateCapabilityName, text)
            .with_fix("pass other names with --read-tool and --proposal-tool, or another --object-name"));
    }
    let mut parts: Json = serde_json::from_str(&drafted.contract).unwrap_or_default();
    let whole: Json = serde_json::from_str(before).unwrap_or_default();
    let context = whole["capabilities"][0].get("context");
    for capability in parts["capabilities"].as_array_mut().into_iter().flatten() {
        match (context, capability.as_object_mut()) {
            (Some(context), Some(members)) => {
                members.insert("context".to_owned(), context.clone());
            }
            (None, Some(members)) => {
                members.shift_remove("context");
            }
            (_, None) => {}
        }
    }
    Ok(parts)
}

fn show(drafted: &GeneratedContract, path: &Path) -> Result<(), ExitError> {
    output::line(format!("added to {}", safe(&path.to_string_lossy())))?;
    output::line(format!("  read      {}", safe(&drafted.read_tool)))?;
    if let Some(tool) = &drafted.proposal_tool {
        output::line(format!("  proposal  {}", safe(tool)))?;
    }
    Ok(())
}

fn next_steps(drafted: &GeneratedContract, path: &Path) -> Vec<String> {
    let config = report::config_option(path);
    let mut next = vec![format!("synapsor-runner config validate{config}")];
    if drafted.is_applied && drafted.has_accounts {
        next.push(format!(
            "synapsor-runner writeback grants --read-role ROLE --writer-role ROLE{config}"
        ));
    }
    next.push("# restart `up` and MCP clients that have loaded the tools".to_owned());
    next
}
