//! `proposals approve`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::REASON_CHARS_MAX;

use super::approve_several::approve_several;
use super::check_review_mode;
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
    /// Proposal ids, id prefixes, short codes, or `latest`; at most 20 of one contract digest
    #[arg(required = true, value_name = "PROPOSAL")]
    pub(super) proposals: Vec<String>,
    /// Reason, signed and stored with the decision
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Approval validity in minutes [default: the deployment's default]
    #[arg(long, value_name = "MINUTES")]
    expires: Option<u32>,
    /// Also sign the apply order and wait for the outcome
    #[arg(long)]
    pub(super) apply: bool,
    #[command(flatten)]
    pub(super) confirm: ConfirmOptions,
}

impl Approve {
    /// Returns the options of an approval without a reason and with the default validity.
    pub(super) fn of(proposal: &str, confirm: ConfirmOptions) -> Self {
        Self {
            proposals: vec![proposal.to_owned()],
            reason: None,
            expires: None,
            apply: false,
            confirm,
        }
    }
}

pub(super) async fn approve(
    args: &Approve,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let [reference] = args.proposals.as_slice() else {
        return Box::pin(approve_several(args, session, context)).await;
    };
    let view = workflows::fetch_proposal_by_reference(session, reference).await?;
    page::show(&view, context.global.json)?;
    let (approved, signer, own) = signed_approval((reference, &view), args, session, context).await?;
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

/// Signs and submits the approval of a proposal whose review was printed, after its confirmation.
pub(super) async fn signed_approval(
    (reference, view): (&str, &ProposalView),
    args: &Approve,
    session: &LedgerConnection,
    context: &Context,
) -> Result<(Approved, Signer, OwnContract), ExitError> {
    check_review_mode(view)?;
    workflows::still_open(view, ErrorCode::ProposalNotPendingReview)?;
    let own = OwnContract::of(view.attested.proposal(), &context.global);
    own.warn(view.attested.proposal(), &context.global);
    let act = "approve exactly this";
    // Prompts for the passphrase of a protected key below, after the document was shown.
    if args.proposals.len() > 1 {
        args.confirm
            .prompt_for_one_of_several(view, session.trust(), act)?;
    } else {
        args.confirm.prompt(reference, view, session.trust(), act)?;
    }
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.confirm.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let approved = workflows::approve(session, view, &signer, args.reason.as_deref(), args.expires).await?;
    Ok((approved, signer, own))
}

pub(super) fn approved_json(view: &ProposalView, approved: &Approved, signer: &Signer) -> Json {
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

pub(super) fn print_approved(
    view: &ProposalView,
    approved: &Approved,
    context: &Context,
) -> Result<(), ExitError> {
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

pub(in crate::commands) fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("reason must not be empty".to_owned()),
        t if t.chars().count() > REASON_CHARS_MAX => Err(format!("at most {REASON_CHARS_MAX} characters")),
        t => Ok(t.to_owned()),
    }
}
