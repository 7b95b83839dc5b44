//! `store restore`: builds the store of this machine from a backup file, and refuses to forget unseen what reader, writer
//! and this command have seen.

use std::ffi::OsString;

use serde::Deserialize;
use serde_json::json;
use synapsor_chassis::files::FileLock;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::log::TreeHead;

use super::backup::{self, VerifiedBackup};
use super::{RestoreArgs, reset};
use crate::Context;
use crate::output::{self, safe};
use crate::state::{self, StateDir};
use crate::supervisor::run_ledger_command;
use crate::workflows::{Pin, pins_of_dir};

/// What the ledger prints about a restored store.
#[derive(Debug, Deserialize)]
struct Restored {
    events: u64,
    checkpoints: u64,
    root: String,
    replaced: Option<String>,
}

pub(super) async fn run(args: &RestoreArgs, context: &Context) -> Result<Exit, ExitError> {
    if context.global.remote.ledger.is_some() {
        let text = "a store is restored on the machine of its ledger";
        return Err(ExitError::new(ErrorCode::NotAvailable, text)
            .with_fix("leave out --ledger, and run the command where the store is"));
    }
    let state = state::find(context)?;
    let trust = state::load_trust(state.trust_path())?;
    let pins = pins_of_dir(&state.witness_dir(), &trust.ledger_origin())?;
    let heads: Vec<TreeHead> = pins.iter().map(|pin| pin.head).collect();
    let verified = backup::check(&args.file, &trust, &heads)?;
    let ahead = ahead(&pins, &verified)?;
    if !ahead.is_empty() && !args.accept_loss {
        return Err(loses(&ahead, &verified));
    }
    state::complete(&state, &trust.deployment_id)?;
    // Ends a ledger that waits for its next client. The child takes the lock itself.
    let lock = reset::beside(state.store(), ".lock");
    drop::<FileLock>(
        context
            .unless_stopped(reset::unused(&lock, &state, context))
            .await?,
    );
    let restoring = run_ledger_command(context, arguments(args, &state)?);
    let printed = output::waiting("restoring the store", restoring).await?;
    let restored: Restored = serde_json::from_slice(&printed).map_err(|_| {
        ExitError::new(ErrorCode::ChildEnded, "the restore printed no valid result")
            .with_fix("run `synapsor-runner ledger verify` before anything else")
    })?;
    print(&restored, &ahead, &state, context)
}

/// Returns the pins that have seen more than the backup has.
fn ahead<'p>(pins: &'p [Pin], verified: &VerifiedBackup) -> Result<Vec<&'p Pin>, ExitError> {
    let mut ahead = Vec::new();
    for pin in pins {
        if pin.head.size > verified.head.size {
            ahead.push(pin);
        } else if !verified.extended.contains(&pin.head) {
            return Err(backup::not_extended(pin.head, verified.head));
        }
    }
    Ok(ahead)
}

fn loses(ahead: &[&Pin], verified: &VerifiedBackup) -> ExitError {
    let most = ahead.iter().map(|pin| pin.head.size).max().unwrap_or_default();
    let text = format!(
        "the backup has {} events, {} has seen {most}: the events after it would be lost",
        verified.head.size,
        holders(ahead)
    );
    ExitError::new(ErrorCode::RestoreLosesEvents, text)
        .with_fix("restore a newer backup; if there is none, pass --accept-loss")
}

fn arguments(args: &RestoreArgs, state: &StateDir) -> Result<Vec<OsString>, ExitError> {
    let file = std::path::absolute(&args.file).map_err(|error| {
        let text = format!("cannot find {}: {}", args.file.display(), error.kind());
        ExitError::new(ErrorCode::FileUnusable, text).with_fix("name the file by its full path")
    })?;
    let mut arguments: Vec<OsString> = vec!["restore".into(), "--backup".into(), file.into()];
    arguments.extend(["--to".into(), state.store().into()]);
    arguments.extend(["--under".into(), state.trust_path().into()]);
    if args.replace {
        arguments.push("--replace".into());
    }
    Ok(arguments)
}

fn print(
    restored: &Restored,
    ahead: &[&Pin],
    state: &StateDir,
    context: &Context,
) -> Result<Exit, ExitError> {
    let store = state.store().to_string_lossy();
    if context.global.json {
        output::json(&json!({
            "ok": true,
            "store": store,
            "events": restored.events,
            "checkpoints": restored.checkpoints,
            "root": restored.root,
            "replaced": restored.replaced,
            "ahead": ahead
                .iter()
                .map(|pin| json!({ "holder": pin.holder, "size": pin.head.size }))
                .collect::<Vec<_>>(),
            "source_database_changed": false,
        }))?;
        return Ok(Exit::Ok);
    }
    output::line(format!(
        "{} restored with {} events, each verified.",
        safe(&store),
        restored.events
    ))?;
    if let Some(replaced) = &restored.replaced {
        output::line(format!("The store before it is {}.", safe(replaced)))?;
    }
    output::line("The source databases were not changed.")?;
    if !ahead.is_empty() {
        output::line(format!(
            "{} has seen later events and refuses this ledger until operators sign their loss: \
             synapsor-runner ledger recover",
            holders(ahead)
        ))?;
    }
    output::line("Next: synapsor-runner ledger verify")?;
    Ok(Exit::Ok)
}

fn holders(pins: &[&Pin]) -> String {
    let names: Vec<_> = pins.iter().map(|pin| pin.holder.as_str()).collect();
    safe(&names.join(", "))
}
