//! `proposals approve`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::REASON_CHARS_MAX;

use super::own_contract::OwnContract;
use super::page;
use crate::Context;
use crate::commands::apply;
use crate::commands::confirm::{self, ConfirmOptions};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::{self, shape};
use crate::workflows::{self, Approved, ProposalView};

/// Maximum wait of `--apply` for a writer, in seconds.
const APPLY_WAIT_SECONDS: u64 = 30;

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// Proposal id, id prefix, short code, or `latest`
    proposal: String,
    /// Reason, signed and stored with the decision
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Approval validity in minutes [default: the deployment's default]
    #[arg(long, value_name = "MINUTES")]
    expires: Option<u32>,
    /// Also sign the apply order and wait for the outcome
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    confirm: ConfirmOptions,
}

pub(super) async fn approve(
    args: &Approve,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, &args.proposal).await?;
    page::show(&view, context.global.json)?;
    workflows::still_open(&view, ErrorCode::ProposalNotPendingReview)?;
    let own = OwnContract::of(view.attested.proposal(), &context.global);
    own.warn(view.attested.proposal(), &context.global);
    // Prompts for the passphrase of a protected key here, after the document was shown.
    args.confirm
        .prompt(&args.proposal, &view, session.trust(), "approve exactly this")?;
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.confirm.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let approved = workflows::approve(session, &view, &signer, args.reason.as_deref(), args.expires).await?;
    if !args.apply {
        if context.global.json {
            let mut object = approved_json(&view, &approved, &signer);
            object["own_contract"] = json!(own.as_str());
            output::json(&object)?;
        } else {
            print_approved(&view, &approved, context)?;
        }
        return Ok(Exit::Ok);
    }
    if !context.global.json {
        print_approved(&view, &approved, context)?;
    }
    // Fetches the proposal again, so that the order names every approval that is in the log by now.
    let again = workflows::fetch_proposal_by_reference(session, view.attested.proposal().id.as_str()).await?;
    let wait = std::time::Duration::from_secs(APPLY_WAIT_SECONDS);
    let applied = workflows::apply(session, context, &again, &signer, wait).await?;
    if context.global.json {
        let mut object = approved_json(&again, &approved, &signer);
        object["own_contract"] = json!(own.as_str());
        object["apply"] = shape::applied(&again, &applied);
        output::json(&object)?;
    } else {
        apply::print_outcome(&again, &applied)?;
    }
    Ok(applied.status.exit())
}

fn approved_json(view: &ProposalView, approved: &Approved, signer: &Signer) -> Json {
    let mut object = shape::proposal_head(&view.attested);
    object.insert("state".to_owned(), json!(approved.state));
    object.insert("decision_digest".to_owned(), json!(approved.decision_digest));
    object.insert("person".to_owned(), json!(approved.person));
    object.insert("key_id".to_owned(), json!(approved.key_id));
    object.insert("role".to_owned(), json!(approved.role));
    object.insert("expires_at".to_owned(), json!(approved.expires_at));
    object.insert(
        "approvals".to_owned(),
        json!({ "have": approved.approvals, "need": approved.quorum }),
    );
    object.insert("posture".to_owned(), json!(signer.posture()));
    Json::Object(object)
}

fn print_approved(view: &ProposalView, approved: &Approved, context: &Context) -> Result<(), ExitError> {
    let id = &view.attested.proposal().id;
    output::line(format!(
        "Approved by {} as {} ({})",
        approved.person, approved.role, approved.key_id
    ))?;
    output::line(format!("  decision   {}", approved.decision_digest))?;
    output::line(format!("  valid      until {}", approved.expires_at))?;
    output::line(format!(
        "  approvals  {} of {}, now {}",
        approved.approvals, approved.quorum, approved.state
    ))?;
    let next = context.global.command(&format!("apply {id}"));
    output::line(format!("next: {next}"))
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("reason must not be empty".to_owned()),
        t if t.chars().count() > REASON_CHARS_MAX => Err(format!("at most {REASON_CHARS_MAX} characters")),
        t => Ok(t.to_owned()),
    }
}
