//! `config diff`: the differences in authority between two contracts, in words.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::contract::Contract;
use synapsor_domain::contract_diff::{AuthorityChange, AuthorityEffect, authority_changes};

use crate::output::{self, safe};
use crate::{Context, contract_file};

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Contract in force
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// New contract
    #[arg(value_name = "AFTER")]
    after: PathBuf,
}

pub(super) fn run(args: &DiffArgs, context: &Context) -> Result<Exit, ExitError> {
    let changes = authority_changes(&read(&args.before)?, &read(&args.after)?);
    let count = |effect| changes.iter().filter(|change| change.effect == effect).count();
    let wider = count(AuthorityEffect::Widens);
    if context.global.json {
        output::json(&json!({
            "before": args.before.to_string_lossy(), "after": args.after.to_string_lossy(),
            "widens": wider > 0, "changes": changes,
        }))?;
    } else {
        for change in &changes {
            output::line(shown(change))?;
        }
        output::line(format!(
            "{wider} wider, {} narrower, {} other",
            count(AuthorityEffect::Narrows),
            count(AuthorityEffect::Other)
        ))?;
    }
    Ok(if wider > 0 { Exit::Refused } else { Exit::Ok })
}

fn read(path: &Path) -> Result<Contract, ExitError> {
    let bytes = contract_file::read(path)?;
    let valid = Contract::parse(&bytes).map_err(|report| contract_file::invalid(path, &report))?;
    Ok(valid.contract)
}

fn shown(change: &AuthorityChange) -> String {
    let effect = match change.effect {
        AuthorityEffect::Widens => "wider",
        AuthorityEffect::Narrows => "narrower",
        AuthorityEffect::Other => "other",
    };
    let subject = change.subject.as_deref().unwrap_or("contract");
    format!("{effect:<9} {}: {}", safe(subject), safe(&change.text))
}
