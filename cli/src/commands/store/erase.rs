//! `store prune` and `store erase`: erase bodies of the log by age, tenant or object. Without --yes both only count.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::ErasureSelection;
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::timestamp::{Span, Timestamp};

use crate::clients::{ErasedRecords, ErasurePreview, MaintenanceClient};
use crate::commands::confirm::posture;
use crate::commands::object_filter::ObjectArgs;
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::{self, safe};
use crate::time_filter::ago_ms;
use crate::workflows::{self, now};
use crate::{Context, contract_file, state};

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Erase what ended or was recorded longer ago, as 90d, 12w or 36h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Span,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// Erase everything of this tenant
    #[arg(long, value_name = "TENANT", required_unless_present_any = ["object", "object_id"], conflicts_with_all = ["object", "object_id"])]
    tenant: Option<String>,
    #[command(flatten)]
    object: ObjectArgs,
    /// Table of the object, as schema.table [default: the tables of that type in the contract]
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    #[command(flatten)]
    signing: Signing,
}

/// Options of both commands.
#[derive(Debug, Args)]
struct Signing {
    /// Sign the order and erase; without it the command only counts
    #[arg(long)]
    yes: bool,
    /// Only count, which is the default
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Accepted for 0.1.x, without effect
    #[arg(long, hide = true)]
    force: bool,
    /// Fail unless the signing key belongs to this operator
    #[arg(long, value_name = "PERSON")]
    actor: Option<String>,
    /// Reason, signed and stored with the order
    #[arg(long, value_parser = crate::commands::proposals::reason)]
    reason: Option<String>,
}

pub(super) async fn prune(args: &PruneArgs, context: &Context) -> Result<Exit, ExitError> {
    let before = Timestamp::from_unix_millis(now().as_unix_millis() - args.older_than.as_millis());
    let done = run(ErasureSelection::Before { before }, &args.signing, context).await?;
    print(&done, Some(before), context)
}

pub(super) async fn erase(args: &EraseArgs, context: &Context) -> Result<Exit, ExitError> {
    let selection = match &args.tenant {
        Some(tenant) => ErasureSelection::Tenant {
            tenant: tenant.clone(),
        },
        None => object(args, context)?,
    };
    let done = run(selection, &args.signing, context).await?;
    print(&done, None, context)
}

/// What the command did or would do.
#[derive(Debug)]
struct Done {
    counted: ErasurePreview,
    erased: Option<ErasedRecords>,
}

async fn run(selection: ErasureSelection, signing: &Signing, context: &Context) -> Result<Done, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let done = context
        .unless_stopped(count_and_erase(&session, selection, signing, context))
        .await;
    session.close().await;
    done
}

async fn count_and_erase(
    session: &LedgerConnection,
    selection: ErasureSelection,
    signing: &Signing,
    context: &Context,
) -> Result<Done, ExitError> {
    // The log must be the one that was seen before anything in it is erased.
    workflows::check_log(session).await?;
    let mut ledger = MaintenanceClient::new(session.ledger());
    let counted = output::waiting("counting", ledger.count_erasable(&selection)).await?;
    if !signing.yes {
        return Ok(Done {
            counted,
            erased: None,
        });
    }
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(signing.actor.as_deref())?;
    if !context.global.json {
        posture(&signer, session.trust());
    }
    let erasing = workflows::erase(session, &signer, selection, signing.reason.clone());
    let erased = output::waiting("erasing", erasing).await?;
    Ok(Done {
        counted,
        erased: Some(erased),
    })
}

/// Returns the selection of an object, in the tables that the command names or the contract knows.
fn object(args: &EraseArgs, context: &Context) -> Result<ErasureSelection, ExitError> {
    let (kind, object_id) = args.object.parts()?;
    let mut tables: BTreeSet<String> = args.table.iter().cloned().collect();
    if tables.is_empty() {
        let kind = kind.ok_or_else(|| {
            ExitError::new(ErrorCode::ObjectInvalid, "the table of the object is not known")
                .with_fix("pass --object TYPE:ID, or --table schema.table")
        })?;
        let loaded = contract_file::load(&context.global)?;
        let of_type = TableFilter {
            table: None,
            object_type: Some(kind.clone()),
        };
        let targets = loaded
            .contract
            .capabilities()
            .iter()
            .map(|capability| format!("{}.{}", capability.target.schema, capability.target.table));
        tables.extend(targets.filter(|target| of_type.is_met_by(target)));
        if tables.is_empty() {
            let text = format!("the contract has no table of type `{}`", safe(&kind));
            return Err(ExitError::new(ErrorCode::ObjectInvalid, text).with_fix("pass --table schema.table"));
        }
    }
    Ok(ErasureSelection::Object {
        object_id,
        tables: tables.into_iter().collect(),
    })
}

/// Prints numbers only. `deleted`, `cutoff` and `dry_run` are keys of 0.1.x.
fn print(done: &Done, cutoff: Option<Timestamp>, context: &Context) -> Result<Exit, ExitError> {
    let Done { counted, erased } = done;
    if context.global.json {
        let proposals = erased.map_or(counted.proposals, |erased| erased.proposals);
        output::json(&json!({
            "ok": true,
            "dry_run": erased.is_none(),
            "cutoff": cutoff,
            "deleted": { "proposals": proposals, "records": counted.records },
            "kept_proposals": counted.kept,
            "erased_bodies": erased.map(|erased| erased.bodies),
            "events": erased.map(|erased| erased.events),
            "overwritten": erased.map(|erased| erased.is_overwritten),
            "source_database_changed": false,
        }))?;
        return Ok(Exit::Ok);
    }
    let Some(erased) = erased else {
        let before = cutoff.map_or_else(String::new, |cutoff| format!(" from before {cutoff}"));
        output::line(format!(
            "Would erase {} ended proposal(s) and {} record(s) of calls{before}.",
            counted.proposals, counted.records
        ))?;
        kept(counted)?;
        output::line("Nothing was erased. Pass --yes to sign the order and erase.")?;
        return Ok(Exit::Ok);
    };
    output::line(format!(
        "Erased {} bodies, those of {} ended proposal(s) included; {} event(s) record who ordered it. Every proof stays valid.",
        erased.bodies, erased.proposals, erased.events
    ))?;
    kept(counted)?;
    if !erased.is_overwritten {
        output::line(
            "Copies can be left in unused parts of the store file: `synapsor-runner store vacuum` removes them.",
        )?;
    }
    for file in replaced_stores(context) {
        output::line(format!(
            "{} is a store from before, and still holds them.",
            output::safe(&file)
        ))?;
    }
    output::line("Backups from before still hold what was erased. The source databases were not changed.")?;
    Ok(Exit::Ok)
}

/// Returns the stores that restores have replaced, which are beside the store of this machine.
fn replaced_stores(context: &Context) -> Vec<String> {
    let Ok(state) = state::find(context) else {
        return Vec::new();
    };
    let name = state
        .store()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let is_replaced = |file: &String| {
        let ending = file
            .strip_prefix(&name)
            .and_then(|ending| ending.strip_prefix(".replaced-"));
        ending.is_some_and(|ending| ending.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let entries = std::fs::read_dir(state.dir())
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(is_replaced).collect()
}

fn kept(counted: &ErasurePreview) -> Result<(), ExitError> {
    match counted.kept {
        0 => Ok(()),
        kept => output::line(format!(
            "{kept} proposal(s) stay: they are open, or their receipt is in dispute."
        )),
    }
}

fn duration(text: &str) -> Result<Span, String> {
    let ms = ago_ms(text).ok_or_else(|| "expected a duration such as 90d, 12w or 36h".to_owned())?;
    Ok(Span::millis(ms))
}
