//! `receipts give-up`, `receipts adopt` and `receipts archive`: operator orders about receipts.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::ReceiptAction;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::writeback::{RECEIPT_TABLE, ReceiptRef};

use crate::commands::confirm::{confirm, posture};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::{self, safe};
use crate::time_filter::parse_time;
use crate::workflows::{self, OrderedReceipts, Ordering, now};
use crate::{Context, contract_file};

/// Options of every order.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// Skip the prompt
    #[arg(long)]
    yes: bool,
    /// Fail unless the signing key belongs to this operator
    #[arg(long, value_name = "PERSON")]
    actor: Option<String>,
    /// Reason, signed and stored with the order
    #[arg(long, value_parser = crate::commands::proposals::reason)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct GiveUp {
    /// Source that lost the receipts
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Proposals whose receipts are lost: ids, id prefixes, or short codes
    #[arg(required_unless_present = "all_lost", conflicts_with = "all_lost")]
    proposals: Vec<String>,
    /// Give up every receipt that a complete comparison finds missing
    #[arg(long)]
    all_lost: bool,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// Proposal id or id prefix
    proposal: String,
    /// Digest of the receipt in the database, when several are reported
    #[arg(long, value_name = "DIGEST")]
    receipt: Option<Digest>,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, Args)]
pub(crate) struct Archive {
    /// Source whose receipts are archived
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Receipts created before this time, as 2026-03-01 or 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    before: Timestamp,
    #[command(flatten)]
    signing: Signing,
}

pub(super) async fn give_up(
    args: &GiveUp,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let receipts = if args.all_lost {
        all_lost(&args.source, session, context).await?
    } else {
        named_lost(args, session, context).await?
    };
    if !context.global.json {
        list(&args.source, &receipts)?;
    }
    let ordering = Ordering {
        source: args.source.clone(),
        action: ReceiptAction::GiveUp,
        receipts,
        before: None,
        reason: args.signing.reason.clone(),
    };
    let count = ordering.receipts.len();
    let act = format!("give up {count} receipt(s): their effects are lost, and nothing is applied again");
    let done = sign(&ordering, &args.signing, &act, session, context).await?;
    report(
        &ordering,
        &done,
        json!({}),
        &["Writeback to the source resumes. Submit a new proposal for each change that is still needed."],
        context,
    )
}

pub(super) async fn adopt(
    args: &Adopt,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let (source, named, kinds) = workflows::adoptable(session, &args.proposal, args.receipt).await?;
    if !context.global.json {
        output::line(format!(
            "source {}: {} {}",
            safe(&source),
            named.proposal_id,
            named.receipt_digest
        ))?;
        output::line(format!(
            "  reported as {}",
            kinds
                .iter()
                .map(|kind| kind.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ))?;
    }
    let ordering = Ordering {
        source,
        action: ReceiptAction::Adopt,
        receipts: BTreeSet::from([named]),
        before: None,
        reason: args.signing.reason.clone(),
    };
    let act = "accept this receipt as the outcome of its proposal";
    let done = sign(&ordering, &args.signing, act, session, context).await?;
    report(&ordering, &done, json!({ "kinds": kinds }), &[], context)
}

pub(super) async fn archive(
    args: &Archive,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    if args.before > now() {
        return Err(
            ExitError::new(ErrorCode::BeforeInvalid, "--before is in the future")
                .with_fix("pass a time in the past"),
        );
    }
    check_source(&args.source, session, context).await?;
    let ordering = Ordering {
        source: args.source.clone(),
        action: ReceiptAction::Archive,
        receipts: BTreeSet::new(),
        before: Some(args.before),
        reason: args.signing.reason.clone(),
    };
    let trust = session.trust();
    let safe_before = now() + Span::seconds(-2 * trust.decision_ceiling().as_seconds());
    if args.before > safe_before {
        output::note(format!(
            "warning: approvals may last {} hours; do not delete receipts created after {safe_before}: such a receipt \
             prevents a second apply under an approval that is still valid",
            trust.decision_ceiling().as_seconds() / 3600
        ));
    }
    let act = format!(
        "allow receipts of `{}` created before {} to be missing",
        safe(&args.source),
        args.before
    );
    let done = sign(&ordering, &args.signing, &act, session, context).await?;
    let statement = statement(&args.source, args.before, session.trust(), context);
    let mut lines = vec![
        "Receipts before that time may now be missing and are no longer compared.".to_owned(),
        "Nothing was deleted. The database owner can delete the rows:".to_owned(),
    ];
    lines.push(format!("  {statement}"));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    report(
        &ordering,
        &done,
        json!({ "statement": statement }),
        &lines,
        context,
    )
}

/// Returns the receipts of the named proposals; a complete comparison must find each of them missing.
async fn named_lost(
    args: &GiveUp,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<BTreeSet<ReceiptRef>, ExitError> {
    let named = workflows::held_receipts(session, &args.source, &args.proposals).await?;
    let lost = find_lost(&args.source, session, context).await?;
    let Some(present) = named.difference(&lost).next() else {
        return Ok(named);
    };
    let text = format!(
        "source `{}` does not lack the receipt of {}: it is present or was already given up",
        safe(&args.source),
        present.proposal_id
    );
    Err(ExitError::new(ErrorCode::ReceiptNotLost, text)
        .with_fix("list missing receipts with `synapsor-runner receipts audit --all`; nothing was signed"))
}

async fn all_lost(
    source: &str,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<BTreeSet<ReceiptRef>, ExitError> {
    let lost = find_lost(source, session, context).await?;
    if lost.is_empty() {
        let text = format!("no receipt is missing in source `{}`", safe(source));
        return Err(ExitError::new(ErrorCode::NothingLost, text));
    }
    Ok(lost)
}

/// Returns the receipts that a complete comparison finds missing.
async fn find_lost(
    source: &str,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<BTreeSet<ReceiptRef>, ExitError> {
    let sources = [source.to_owned()];
    let audited = context
        .unless_stopped(workflows::audit(session, context, &sources, true))
        .await?;
    let found = audited.into_iter().next().unwrap_or_default();
    if let Some(reason) = &found.unavailable {
        let text = format!("cannot read receipts in `{}`: {}", safe(source), safe(reason));
        return Err(ExitError::new(ErrorCode::ReceiptsUnchecked, text)
            .with_fix("make the database reachable for the writer, then retry"));
    }
    Ok(found.lost)
}

/// Rejects a source without writeback: by the contract locally, by asking a writer remotely.
async fn check_source(
    source: &str,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<(), ExitError> {
    if session.is_remote() {
        let sources = [source.to_owned()];
        let asked = context.unless_stopped(workflows::audit(session, context, &sources, false));
        return asked.await.map(|_| ());
    }
    let loaded = contract_file::load(&context.global)?;
    let written = loaded
        .contract
        .sources()
        .iter()
        .filter(|s| s.write_url_env.is_some());
    let names: Vec<&str> = written.map(|source| source.name.as_str()).collect();
    if names.contains(&source) {
        return Ok(());
    }
    let text = format!("contract has no source `{}` with writeback", safe(source));
    Err(ExitError::new(ErrorCode::SourceUnknown, text)
        .with_fix(format!("expected one of: {}", names.join(", "))))
}

fn list(source: &str, receipts: &BTreeSet<ReceiptRef>) -> Result<(), ExitError> {
    output::line(format!("source {}: {} receipt(s)", safe(source), receipts.len()))?;
    for named in receipts {
        output::line(format!(
            "  lost      {} {}",
            named.proposal_id, named.receipt_digest
        ))?;
    }
    Ok(())
}

async fn sign(
    ordering: &Ordering,
    signing: &Signing,
    act: &str,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Vec<OrderedReceipts>, ExitError> {
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(signing.actor.as_deref())?;
    if !context.global.json {
        posture(&signer, session.trust());
    }
    confirm(signing.yes, act)?;
    workflows::order_receipts(session, &signer, ordering).await
}

fn report(
    ordering: &Ordering,
    done: &[OrderedReceipts],
    more: Json,
    lines: &[&str],
    context: &Context,
) -> Result<Exit, ExitError> {
    let word = match ordering.action {
        ReceiptAction::GiveUp => "given up",
        ReceiptAction::Adopt => "adopted",
        ReceiptAction::Archive => "archived",
    };
    if context.global.json {
        let orders: Vec<Json> = done
            .iter()
            .map(|order| json!({ "digest": order.digest, "seq": order.seq, "receipts": order.receipts }))
            .collect();
        let mut object = json!({
            "source": ordering.source,
            "action": ordering.action,
            "before": ordering.before,
            "person": done.first().map(|order| &order.person),
            "receipts": ordering.receipts,
            "orders": orders,
        });
        if let (Json::Object(object), Json::Object(more)) = (&mut object, more) {
            object.extend(more);
        }
        output::json(&object)?;
        return Ok(Exit::Ok);
    }
    for order in done {
        output::line(format!(
            "{} receipt(s) {word} by {}: {}",
            order.receipts, order.person, order.digest
        ))?;
    }
    for line in lines {
        output::line(line)?;
    }
    Ok(Exit::Ok)
}

/// Builds the statement with which the database owner deletes archived rows: receipts of this deployment, no
/// freezes. `created_at` is text in a fixed format, so it sorts by time.
fn statement(source: &str, before: Timestamp, trust: &TrustFile, context: &Context) -> String {
    let contract = contract_file::load(&context.global).ok();
    let found = contract.as_ref().and_then(|loaded| {
        let mut sources = loaded.contract.sources().iter();
        sources.find(|found| found.name == source)
    });
    let quote = match found.map(|source| source.engine) {
        Some(EngineKind::Mysql) => '`',
        _ => '"',
    };
    let name = |text: &str| {
        let doubled = format!("{quote}{quote}");
        format!("{quote}{}{quote}", text.replace(quote, &doubled))
    };
    let table = found.and_then(|source| source.receipt_table.as_deref());
    let table = name(table.unwrap_or(RECEIPT_TABLE));
    let schema = found.and_then(|source| source.receipt_schema.as_deref());
    let qualified = schema.map_or_else(|| table.clone(), |schema| format!("{}.{table}", name(schema)));
    let keys: Vec<String> = trust
        .writers
        .iter()
        .map(|key| format!("'{}'", key.key_id))
        .collect();
    format!(
        "DELETE FROM {qualified} WHERE created_at < '{before}' AND substr(proposal_id, 1, 4) = 'wrp_' \
         AND executor_key IN ({});",
        keys.join(", ")
    )
}
