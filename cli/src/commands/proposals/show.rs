//! `proposals show`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::proposal::ProposalMode;
use synapsor_domain::replay::Entry;

use super::page::{document, in_full, status_fields};
use crate::Context;
use crate::clients::{EventQuery, LedgerClient, verification_failed};
use crate::commands::evidence::exported;
use crate::connection::LedgerConnection;
use crate::operator_key::posture_here;
use crate::output::{self, shape};
use crate::readable;
use crate::workflows::{self, ProposalView};

/// Maximum number of events that are shown with a proposal; `events_next_seq` is the position of the next one, for
/// `events tail --proposal ID --from SEQ`.
const EVENTS_SHOWN: usize = 200;
/// One more, to know whether there is a next one.
const EVENTS_READ: u32 = 201;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Proposal id, id prefix, short code, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
    /// Include digests, keys and the tree head
    #[arg(long, visible_alias = "debug")]
    details: bool,
    /// Show every value in full, for a pager; this is not the document that is signed
    #[arg(long)]
    full: bool,
}

pub(super) async fn show(
    args: &Show,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, &args.proposal).await?;
    if context.global.json {
        let mut object = shown(&view);
        add_records(&mut object, &view, session).await?;
        output::json(&object)?;
        return Ok(Exit::Ok);
    }
    if args.full {
        output::text(&in_full(&view))?;
    } else {
        output::text(&document(&view).text)?;
        output::text(&readable::document(view.attested.proposal(), false))?;
    }
    output::text(&status_fields(&view, args.details))?;
    let posture = posture_here(context, session.trust()).unwrap_or("no local signing key");
    output::line(format!("posture: {posture}"))?;
    let command = if view.attested.proposal().mode == ProposalMode::Shadow {
        "shadow compare"
    } else if view.state.is_terminal() {
        "replay show"
    } else if view.is_approved() {
        "apply"
    } else {
        "proposals approve"
    };
    let next = format!("{command} {}", view.attested.proposal().id);
    output::line(format!("next: {}", context.global.command(&next)))?;
    Ok(Exit::Ok)
}

/// Adds what 0.1.x shows beside the proposal: its events, receipts and evidence.
async fn add_records(
    object: &mut Json,
    view: &ProposalView,
    session: &LedgerConnection,
) -> Result<(), ExitError> {
    let proposal = view.attested.proposal();
    let of_proposal = EventQuery {
        proposal_id: proposal.id.to_string(),
        limit: EVENTS_READ,
        ..EventQuery::default()
    };
    let mut stream = LedgerClient::of(session).tail(&of_proposal).await?;
    let mut events = Vec::new();
    while let Some(shown) = stream.next().await? {
        let entry = Entry::read(&shown.event, &shown.body).map_err(|e| verification_failed(e.code(), e))?;
        events.push(entry);
    }
    // A proposal that is proposed again and again has any number of events.
    let next = events.get(EVENTS_SHOWN).map(|entry| entry.event.seq);
    let shown = events.iter().take(EVENTS_SHOWN).map(shape::event);
    let mut evidence = Vec::new();
    for cited in &proposal.evidence {
        evidence.push(exported(cited.id.as_str(), session).await?);
    }
    object["events"] = shown.collect();
    object["events_next_seq"] = json!(next);
    object["receipts"] = view.receipt.iter().map(shape::receipt).collect();
    object["evidence"] = Json::Array(evidence);
    Ok(())
}

fn shown(view: &ProposalView) -> Json {
    let mut object = shape::proposal_head(&view.attested);
    let decision = |d: &synapsor_domain::approval::VerifiedDecision| json!({ "digest": d.digest(), "person": d.person(), "counts": true, "decision": d.decision() });
    let lapsed = |l: &workflows::IneffectiveDecision| json!({ "person": l.decision.approver.person, "counts": false, "code": l.refusal.code, "decision": l.decision });
    let decisions: Vec<Json> = view
        .decisions
        .iter()
        .map(decision)
        .chain(view.lapsed.iter().map(lapsed))
        .collect();
    let quorum = view.attested.proposal().approval.quorum.max(1);
    object.insert("state".to_owned(), json!(view.state));
    object.insert("started".to_owned(), json!(view.started));
    let proposal = shape::proposal(&view.attested, view.state, view.updated_at);
    object.insert("proposal".to_owned(), proposal);
    let document = document(view);
    object.insert("review_document".to_owned(), json!(document.text));
    object.insert("review_is_abbreviated".to_owned(), json!(document.is_abbreviated));
    object.insert(
        "approvals".to_owned(),
        json!({ "have": view.approvers().len(), "need": quorum }),
    );
    object.insert("decisions".to_owned(), Json::Array(decisions));
    object.insert("attempt".to_owned(), json!(view.attempt));
    object.insert(
        "receipt".to_owned(),
        view.receipt.as_ref().map_or(Json::Null, shape::receipt),
    );
    object.insert("withdrawal".to_owned(), json!(view.withdrawal));
    object.insert("updated_at".to_owned(), json!(view.updated_at));
    let checkpoint = &view.checkpoint;
    let root = hex::encode(checkpoint.root);
    object.insert(
        "log".to_owned(),
        json!({ "origin": checkpoint.origin, "size": checkpoint.size, "root": root }),
    );
    Json::Object(object)
}
