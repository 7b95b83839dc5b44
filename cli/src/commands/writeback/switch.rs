//! `writeback freeze` and `writeback unfreeze`: sign the order, list confirmations, and print until when
//! earlier orders can apply.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::digest::Digest;

use crate::Context;
use crate::connection::LedgerConnection;
use crate::output::{self, safe};
use crate::workflows::{self, Switched};

#[derive(Debug, Args)]
pub(crate) struct FreezeArgs {
    /// Reason, signed and stored with the freeze
    #[arg(long, value_parser = crate::commands::proposals::reason)]
    reason: Option<String>,
    /// Send an unsigned freeze; each reachable writer freezes only itself
    #[arg(long, conflicts_with = "reason")]
    unsigned: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnfreezeArgs {
    /// Digest of the freeze to end [default: every freeze in force]
    #[arg(value_name = "DIGEST")]
    freeze: Option<Digest>,
}

pub(super) async fn freeze(args: &FreezeArgs, context: &Context) -> Result<Exit, ExitError> {
    let mut session = LedgerConnection::open_to_stop(context).await?;
    let switched = if args.unsigned {
        workflows::freeze_unsigned(&mut session, context).await
    } else {
        workflows::freeze(&mut session, context, args.reason.as_deref()).await
    };
    session.close().await;
    print_switched(&[switched?], context)
}

pub(super) async fn unfreeze(args: &UnfreezeArgs, context: &Context) -> Result<Exit, ExitError> {
    let mut session = LedgerConnection::open_to_stop(context).await?;
    let switched = workflows::unfreeze(&mut session, context, args.freeze).await;
    session.close().await;
    print_switched(&switched?, context)
}

fn print_switched(all: &[Switched], context: &Context) -> Result<Exit, ExitError> {
    if context.global.json {
        output::json(&as_json(all))?;
    } else {
        for switched in all {
            for line in lines(switched) {
                output::line(line)?;
            }
        }
    }
    let complete = all.iter().all(Switched::is_complete);
    Ok(if complete { Exit::Ok } else { Exit::Unreachable })
}

/// `writer` and `frozen` describe the first writer, for compatibility.
fn as_json(all: &[Switched]) -> Json {
    let first = all.first();
    let writers: Vec<Json> = all
        .iter()
        .flat_map(|s| &s.confirmed)
        .map(|c| {
            json!({
                "writer": c.writer,
                "key_id": c.key_id,
                "frozen": c.is_frozen,
                "signed": c.signed.is_some(),
                "committing": c.signed.as_ref().map(|s| &s.committing),
                "recorded": c.signed.as_ref().map(|s| &s.recorded),
                "unrecorded": c.signed.as_ref().map(|s| &s.unrecorded),
                "at": c.signed.as_ref().map(|s| s.at),
            })
        })
        .collect();
    let missing: Vec<Json> = all
        .iter()
        .flat_map(|s| &s.missing)
        .map(|m| json!({ "writer": m.writer, "error": m.problem }))
        .collect();
    json!({
        "writer": first.and_then(|s| s.confirmed.first()).map(|c| &c.writer),
        "frozen": first.is_some_and(|s| s.freezes),
        "signed": first.is_some_and(|s| s.digest.is_some()),
        "switches": all.iter().map(|s| json!({
            "digest": s.digest,
            "freeze": s.freeze,
            "person": s.person,
            "in_ledger": s.ledger_problem.is_none(),
            "ledger_error": s.ledger_problem,
        })).collect::<Vec<_>>(),
        "writers": writers,
        "missing": missing,
        "ordered_until": all.iter().filter_map(Switched::still_possible_until).max(),
    })
}

fn lines(switched: &Switched) -> Vec<String> {
    let mut lines = Vec::new();
    let person = switched.person.as_deref().unwrap_or_default();
    lines.push(match (switched.freezes, switched.digest, switched.freeze) {
        (true, Some(digest), _) => format!("Frozen by {person}: {digest}"),
        (true, None, _) => "Frozen without a signature: only the writers listed below.".to_owned(),
        (false, Some(_), Some(freeze)) => format!("Unfrozen by {person}: {freeze}"),
        (false, _, _) => format!("Unfrozen by {person}: unsigned freeze of a writer"),
    });
    for confirmed in &switched.confirmed {
        let state = if confirmed.is_frozen {
            "is frozen: no writes until it is unfrozen"
        } else {
            "is active"
        };
        lines.push(format!("writer {} {state}", safe(&confirmed.writer)));
        let Some(signed) = &confirmed.signed else { continue };
        if !signed.committing.is_empty() {
            let ids: Vec<_> = signed.committing.iter().map(ToString::to_string).collect();
            lines.push(format!("    commit in progress: {}", ids.join(", ")));
        }
        if !signed.unrecorded.is_empty() {
            lines.push(format!(
                "    not yet in the receipt table of: {}",
                safe(&signed.unrecorded.join(", "))
            ));
        }
    }
    for missing in &switched.missing {
        lines.push(format!(
            "writer {} did not confirm: {}",
            safe(&missing.writer),
            safe(&missing.problem)
        ));
    }
    if let Some(problem) = &switched.ledger_problem {
        lines.push(format!("not recorded by the ledger: {}", safe(problem)));
    }
    if let Some(until) = switched.still_possible_until() {
        lines.push(format!(
            "Earlier apply orders can still be applied until {until} by a writer that did not confirm."
        ));
    }
    lines
}
