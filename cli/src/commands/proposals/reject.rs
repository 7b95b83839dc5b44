//! `proposals reject`: one proposal after its review, or several, each with a signature of its own.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::writeback::RejectEffect;

use super::check_review_mode;
use super::decide::reason;
use super::list::{self, FilterArgs};
use super::page;
use crate::Context;
use crate::commands::confirm::{self, ConfirmOptions};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::{self, safe, shape};
use crate::workflows::{self, ProposalView, Rejected};

/// Note before a rejection is signed.
pub(super) const READABLE: &str = "the agent that proposed this can read the reason";

#[derive(Debug, Args)]
pub(crate) struct Reject {
    /// Proposal ids, id prefixes, short codes, or `latest`
    proposals: Vec<String>,
    /// Every open proposal that the filters select; without filters, every open one
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only proposals in this state; with filters [default: every open one]
    #[arg(long, visible_alias = "status")]
    state: Option<ProposalState>,
    /// Reason, signed and stored with each decision; agents can read it
    #[arg(long, value_parser = reason)]
    reason: String,
    #[command(flatten)]
    confirm: ConfirmOptions,
}

pub(super) async fn reject(
    args: &Reject,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let is_filtered = args.all || !args.filter.is_empty() || args.state.is_some();
    match args.proposals.as_slice() {
        [] if !is_filtered => Err(
            ExitError::new(ErrorCode::ProposalNameInvalid, "no proposal selected").with_fix(
                "name proposals, filter with --principal, --tenant, --capability, --state, --from or --to, or pass --all",
            ),
        ),
        [_, ..] if is_filtered => Err(ExitError::new(
            ErrorCode::ProposalNameInvalid,
            "proposals are named and filtered at once",
        )
        .with_fix("name proposals, or pass filters")),
        [only] => reject_one(only, args, session, context).await,
        named => Box::pin(reject_all(named, args, session, context)).await,
    }
}

async fn reject_one(
    reference: &str,
    args: &Reject,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, reference).await?;
    page::show(&view, context.global.json)?;
    check_review_mode(&view)?;
    workflows::still_open(&view, ErrorCode::ProposalNotRejectable)?;
    output::note(READABLE);
    args.confirm
        .prompt(reference, &view, session.trust(), "reject this")?;
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.confirm.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let rejected = workflows::reject(session, context, &view, &signer, &args.reason).await?;
    if context.global.json {
        output::json(&object(&view, &rejected))?;
    } else {
        output::line(reject_message(&rejected))?;
    }
    Ok(exit_of(&rejected))
}

/// Rejects each named or matching proposal. An error about one does not keep the others from being rejected; the
/// exit code is that of the first error.
async fn reject_all(
    named: &[String],
    args: &Reject,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    check_consent(&args.confirm, named, session.trust().environment)?;
    let selected = selected(named, args, session).await?;
    let question = format!("reject these {} proposals", selected.len());
    output::note(READABLE);
    confirm::confirm(args.confirm.yes, &question)?;
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.confirm.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let (mut exit, mut done, mut objects) = (Exit::Ok, 0, Vec::new());
    for id in &selected {
        let (object, line, result) = match one_of_all(id, args, &signer, session, context).await {
            Ok((view, rejected)) => {
                let line = reject_message(&rejected);
                (Json::Object(object(&view, &rejected)), line, exit_of(&rejected))
            }
            Err(error) => {
                let line = format!("not rejected: {}: {}", error.code(), error.message());
                (json!({ "proposal_id": id, "error": error }), line, error.exit())
            }
        };
        done += u32::from(result == Exit::Ok);
        if exit == Exit::Ok {
            exit = result;
        }
        if context.global.json {
            objects.push(object);
        } else {
            output::line(format!("{}  {line}", safe(id)))?;
        }
    }
    let total = selected.len();
    if context.global.json {
        output::json(&json!({ "rejected": done, "of": total, "proposals": objects }))?;
    } else {
        output::line(format!("rejected {done} of {total}"))?;
    }
    Ok(exit)
}

async fn one_of_all(
    id: &str,
    args: &Reject,
    signer: &Signer,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<(ProposalView, Rejected), ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, id).await?;
    check_review_mode(&view)?;
    workflows::still_open(&view, ErrorCode::ProposalNotRejectable)?;
    let rejected = workflows::reject(session, context, &view, signer, &args.reason).await?;
    Ok((view, rejected))
}

/// A short code belongs to one proposal. Outside dev a filter could select proposals that arrived since the operator
/// looked.
fn check_consent(
    confirm: &ConfirmOptions,
    named: &[String],
    environment: DeploymentEnvironment,
) -> Result<(), ExitError> {
    if confirm.code.is_some() {
        return Err(ExitError::new(
            ErrorCode::CodeMismatch,
            "--code belongs to one proposal, but several are selected",
        )
        .with_fix("omit --code, or name one proposal"));
    }
    let is_vague = named.is_empty() || named.iter().any(|name| name == "latest");
    if confirm.yes && is_vague && environment != DeploymentEnvironment::Dev {
        return Err(ExitError::new(
            ErrorCode::LatestRefused,
            "outside dev, --yes accepts only proposals that are named by id: a newer one may have arrived",
        )
        .with_fix("name each proposal, or omit --yes and answer the prompt"));
    }
    Ok(())
}

/// Returns the named proposals, or the ids of the open ones that match; prints the matches.
async fn selected(
    named: &[String],
    args: &Reject,
    session: &LedgerConnection,
) -> Result<Vec<String>, ExitError> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let found = args.filter.find_open(session, args.state).await?;
    if found.is_empty() {
        return Err(
            ExitError::new(ErrorCode::ProposalNotFound, "no open proposal matches")
                .with_fix("look with `synapsor-runner proposals list` and the same filters"),
        );
    }
    output::note(list::table(&found));
    let ids = found
        .iter()
        .map(|row| row.attested.proposal().id.as_str().to_owned());
    Ok(ids.collect())
}

fn object(view: &ProposalView, rejected: &Rejected) -> serde_json::Map<String, Json> {
    let mut object = shape::proposal_head(&view.attested);
    object.insert("state".to_owned(), json!(rejected.state));
    object.insert("decision_digest".to_owned(), json!(rejected.decision_digest));
    object.insert("person".to_owned(), json!(rejected.person));
    object.insert("key_id".to_owned(), json!(rejected.key_id));
    object.insert(
        "writer".to_owned(),
        json!(rejected.writer.map(RejectEffect::as_str)),
    );
    object.insert("writer_error".to_owned(), json!(rejected.writer_problem));
    object.insert(
        "receipt".to_owned(),
        rejected.receipt.as_ref().map_or(Json::Null, shape::receipt),
    );
    object
}

fn exit_of(rejected: &Rejected) -> Exit {
    match rejected.writer {
        None | Some(RejectEffect::Tombstoned | RejectEffect::BlockedLocally) => Exit::Ok,
        Some(RejectEffect::AlreadyFinal) => Exit::Refused,
        Some(RejectEffect::CommitInProgress) => Exit::InDoubt,
    }
}

pub(super) fn reject_message(rejected: &Rejected) -> String {
    let ended = rejected
        .receipt
        .as_ref()
        .map_or("unknown".to_owned(), |r| r.receipt.outcome.to_string());
    match (rejected.writer, &rejected.writer_problem) {
        (None, None) => format!("Rejected by {}; no attempt had started.", rejected.person),
        (None, Some(problem)) => format!(
            "Rejected by {}: the ledger prevents any new attempt. The writer could not be notified: {}",
            rejected.person,
            safe(problem)
        ),
        (Some(RejectEffect::Tombstoned), _) => {
            "Rejected: a tombstone receipt in the source database prevents it from ever being applied."
                .to_owned()
        }
        (Some(RejectEffect::AlreadyFinal), _) => format!("Too late: it had already ended as {ended}."),
        (Some(RejectEffect::CommitInProgress), _) => {
            "Too late: the commit is in progress; outcome pending.".to_owned()
        }
        (Some(RejectEffect::BlockedLocally), _) => {
            "Blocked on this writer only: the source database is unreachable, so no tombstone was written."
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_rejected_without_prompt_only_by_id_outside_dev() {
        let confirm = |yes, code: Option<&str>| ConfirmOptions {
            yes,
            code: code.map(str::to_owned),
            actor: None,
        };
        let named = ["wrp_01".to_owned(), "wrp_02".to_owned()];
        let latest = ["wrp_01".to_owned(), "latest".to_owned()];
        let code = |confirm, named: &[String], environment| {
            check_consent(&confirm, named, environment).map_err(|error| error.code())
        };
        for environment in [DeploymentEnvironment::Staging, DeploymentEnvironment::Production] {
            assert_eq!(code(confirm(true, None), &named, environment), Ok(()));
            for vague in [&[][..], &latest] {
                let refused = code(confirm(true, None), vague, environment);
                assert_eq!(refused, Err(ErrorCode::LatestRefused));
                assert_eq!(code(confirm(false, None), vague, environment), Ok(()));
            }
        }
        assert_eq!(code(confirm(true, None), &[], DeploymentEnvironment::Dev), Ok(()));
        let coded = code(confirm(true, Some("ABCD")), &named, DeploymentEnvironment::Dev);
        assert_eq!(coded, Err(ErrorCode::CodeMismatch));
    }
}
