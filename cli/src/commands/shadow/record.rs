//! `shadow record-human-action`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value as Json, json};
use synapsor_chassis::files;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::json;
use synapsor_domain::shadow::typed_patch;

use super::check_shadow_mode;
use crate::Context;
use crate::commands::confirm;
use crate::commands::proposals::reason;
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::{self, safe, shape};
use crate::workflows::{self, ProposalView, RecordedHumanAction};

/// Maximum size of a patch file, in bytes.
const PATCH_BYTES_MAX: u64 = 256 * 1024;
/// Maximum depth of a patch file: an object of values.
const PATCH_DEPTH_MAX: usize = 2;

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// Proposal id, id prefix, short code, or `latest`
    proposal: String,
    /// JSON file with the columns that the person changed and their values
    #[arg(long, value_name = "FILE")]
    patch: PathBuf,
    /// Notes, signed and stored with the record
    #[arg(long, value_parser = reason)]
    notes: Option<String>,
    /// Fail unless the signing key belongs to this operator
    #[arg(long, value_name = "PERSON")]
    actor: Option<String>,
}

pub(super) async fn record(
    args: &RecordArgs,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let patch = read(&args.patch)?;
    let view = workflows::fetch_proposal_by_reference(session, &args.proposal).await?;
    check_shadow_mode(&view)?;
    let patch = typed_patch(view.attested.proposal(), &patch).map_err(|why| invalid(&safe(&why)))?;
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let notes = args.notes.as_deref();
    let recorded = workflows::record_human_action(session, &view, &signer, (patch, notes)).await?;
    let Some(action) = &recorded.human_action else {
        let text = "the ledger accepted the human action and does not return it";
        return Err(crate::clients::verification_failed(
            ErrorCode::HumanActionNotGenuine,
            text,
        ));
    };
    if context.global.json {
        output::json(&object(&recorded, action))?;
    } else {
        let id = &recorded.attested.proposal().id;
        output::line(format!(
            "Recorded by {} at {}",
            action.verified.person(),
            action.at
        ))?;
        output::line(format!("  digest   {}", action.verified.digest()))?;
        let next = context.global.command(&format!("shadow compare {id}"));
        output::line(format!("next: {next}"))?;
    }
    Ok(Exit::Ok)
}

/// Returns a human action with the keys of 0.1.x.
fn object(view: &ProposalView, action: &RecordedHumanAction) -> Json {
    let signed = action.verified.action();
    let mut object = shape::proposal_head(&view.attested);
    object.insert("action_id".to_owned(), json!(action.seq));
    object.insert("actor".to_owned(), json!(action.verified.person()));
    object.insert("patch".to_owned(), Json::Object(shape::columns(&signed.patch)));
    object.insert("notes".to_owned(), json!(signed.notes));
    object.insert("created_at".to_owned(), json!(action.at));
    object.insert("action_digest".to_owned(), json!(action.verified.digest()));
    object.insert("key_id".to_owned(), json!(signed.operator.key_id));
    Json::Object(object)
}

fn read(path: &Path) -> Result<Map<String, Json>, ExitError> {
    let bytes = files::read_bounded(path, PATCH_BYTES_MAX)?;
    json::read(&bytes, PATCH_DEPTH_MAX).map_err(|error| {
        invalid(&format!(
            "{} (line {}, column {})",
            error.reason, error.line, error.column
        ))
    })?;
    serde_json::from_slice(&bytes).map_err(|_| invalid("not a JSON object"))
}

fn invalid(why: &str) -> ExitError {
    ExitError::new(ErrorCode::InputInvalid, format!("patch file: {why}"))
        .with_fix("write one object of columns and values, such as {\"late_fee_cents\": 0}")
}
