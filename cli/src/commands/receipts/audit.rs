//! `receipts audit`: lists receipt differences between ledger and sources, with ids and digests and without
//! values.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::ReceiptRef;

use crate::Context;
use crate::connection::LedgerConnection;
use crate::contract_file;
use crate::output::{self, safe};
use crate::workflows::{self, AuditedSource};

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Source to compare [default: every source with writeback]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Compare every receipt, not only the newest ones
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(
    args: &Audit,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let sources = sources(args.source.as_deref(), context)?;
    let audited = context
        .unless_stopped(workflows::audit(session, context, &sources, args.all))
        .await?;
    let exit = workflows::audit_exit(&audited);
    if context.global.json {
        let shown: Vec<Json> = audited.iter().map(as_json).collect();
        output::json(&json!({ "ok": exit == Exit::Ok, "sources": shown }))?;
    } else {
        for source in &audited {
            show(source)?;
        }
        if let Some(fix) = fix(exit) {
            output::line(format!("fix: {fix}"))?;
        }
    }
    Ok(exit)
}

fn sources(named: Option<&str>, context: &Context) -> Result<Vec<String>, ExitError> {
    if let Some(named) = named {
        return Ok(vec![named.to_owned()]);
    }
    let loaded = contract_file::load(&context.global)?;
    let written = loaded.contract.sources().iter();
    let names: Vec<String> = written
        .filter(|source| source.write_url_env.is_some())
        .map(|source| source.name.clone())
        .collect();
    if names.is_empty() {
        return Err(
            ExitError::new(ErrorCode::SourceRequired, "contract has no source with writeback")
                .with_fix("pass --source"),
        );
    }
    Ok(names)
}

fn show(source: &AuditedSource) -> Result<(), ExitError> {
    let name = safe(&source.source);
    if let Some(reason) = &source.unavailable {
        output::line(format!("source {name}: cannot read receipts: {}", safe(reason)))?;
    } else {
        let scope = if source.is_complete { "all" } else { "the newest" };
        output::line(format!(
            "source {name}: {scope} receipts compared ({}); {} lost, {} orphaned, {} of other deployments",
            source.compared,
            source.lost.len(),
            source.orphans.len(),
            source.foreign,
        ))?;
    }
    if let Some(before) = source.archived_before {
        output::line(format!("  archived  created before {before}"))?;
    }
    for (word, receipts) in [("lost", &source.lost), ("orphaned", &source.orphans)] {
        for named in receipts {
            output::line(format!(
                "  {word:<9} {} {}",
                named.proposal_id, named.receipt_digest
            ))?;
        }
    }
    Ok(())
}

fn as_json(source: &AuditedSource) -> Json {
    let named = |receipts: &std::collections::BTreeSet<ReceiptRef>| -> Vec<Json> {
        receipts
            .iter()
            .map(|named| json!({ "proposal": named.proposal_id, "receipt": named.receipt_digest }))
            .collect()
    };
    json!({
        "source": source.source,
        "compared": source.compared,
        "complete": source.is_complete,
        "lost": named(&source.lost),
        "orphaned": named(&source.orphans),
        "foreign": source.foreign,
        "archived_before": source.archived_before,
        "unavailable": source.unavailable,
    })
}

/// Returns the fix for the worst finding.
const fn fix(exit: Exit) -> Option<&'static str> {
    match exit {
        Exit::ReceiptMissing => Some(
            "writeback to the source is stopped; restore the newest state of the database, or sign the loss with \
             `synapsor-runner receipts give-up --source NAME --all-lost`",
        ),
        Exit::ReceiptOrphaned => Some(
            "the database holds an outcome that the ledger does not have: check `synapsor-runner events tail`, compare both, \
             then `synapsor-runner receipts adopt PROPOSAL`",
        ),
        _ => None,
    }
}
