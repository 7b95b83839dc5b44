//! `proposals`: list, show, approve, reject.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{EXIT_OK, Exit, Failure};
use synapsor_domain::approval::Verdict;
use synapsor_domain::limits::REASON_CHARS_MAX;
use synapsor_domain::review;
use synapsor_domain::timestamp::Timestamp;

use super::confirm::{self, Confirm};
use crate::Context;
use crate::clients::{DenyEffect, ProposalFilter};
use crate::operations::{self, Approved, Looked, Rejected};
use crate::operator_key::{Signer, posture_here};
use crate::output::shape::{self, moment, time_left};
use crate::output::{self, Table, safe};
use crate::session::Session;

/// Rows of a list unless asked otherwise, and at most.
const LIST_ROWS: u32 = 20;
const LIST_ROWS_MAX: i64 = 200;
/// Seconds that `--apply` waits for a writer.
const APPLY_WAIT_SECONDS: u64 = 30;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Newest first
    #[command(
        after_help = "Example:\n  synapsor-runner proposals list --state pending_review --tenant acme\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered"
    )]
    List(List),
    /// The review document of one proposal, verified on this machine
    #[command(
        after_help = "Examples:\n  synapsor-runner proposals show latest\n  synapsor-runner proposals show wrp_4f --json\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked"
    )]
    Show(Show),
    /// Review one proposal and sign a yes
    #[command(
        after_help = "Examples:\n  synapsor-runner proposals approve latest --reason \"customer is right\"\n  \
        synapsor-runner proposals approve wrp_4f2a --yes --code ABCD-EFGH-IJKL --apply\n\n\
        Exit codes: 0 ok, 2 usage, 4 refused, 6 unreachable, 10 tampered, 11 rolled back, 12 forked; \
        with --apply those of apply"
    )]
    Approve(Approve),
    /// Sign a no; stops a writer that may have started
    #[command(
        after_help = "Example:\n  synapsor-runner proposals reject latest --reason \"wrong invoice\"\n\n\
        Exit codes: 0 rejected, 2 usage, 4 too late: it had ended, 5 in flight: the outcome is pending, 6 unreachable, 10 tampered"
    )]
    Reject(Reject),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long)]
    principal: Option<String>,
    #[arg(long, visible_alias = "action")]
    capability: Option<String>,
    /// A business object, TYPE:ID; the type is a table in singular or plural
    #[arg(long, value_name = "TYPE:ID", conflicts_with_all = ["object_type", "object_id"])]
    object: Option<String>,
    #[arg(long, value_name = "TYPE")]
    object_type: Option<String>,
    /// The row's primary key
    #[arg(long, value_name = "ID")]
    object_id: Option<String>,
    #[arg(long, visible_alias = "status")]
    state: Option<String>,
    #[arg(long)]
    source: Option<String>,
    #[arg(long)]
    table: Option<String>,
    /// Made at or after, 2026-01-02 or 2026-01-02T03:04:05Z
    #[arg(long, value_parser = moment)]
    from: Option<Timestamp>,
    /// Made before
    #[arg(long, value_parser = moment)]
    to: Option<Timestamp>,
    #[arg(long, default_value_t = LIST_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIST_ROWS_MAX))]
    limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// An id, a prefix of one, a short code, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
    /// Also digests, keys and the state of the log
    #[arg(long, visible_alias = "debug")]
    details: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// An id, a prefix of one, a short code, or `latest`
    proposal: String,
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Minutes that the approval lasts [default: as long as usual here]
    #[arg(long, value_name = "MINUTES")]
    expires: Option<u32>,
    /// Sign the apply order as well and wait for the outcome
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Debug, Args)]
pub(crate) struct Reject {
    /// An id, a prefix of one, a short code, or `latest`
    proposal: String,
    #[arg(long, value_parser = reason)]
    reason: String,
    #[command(flatten)]
    confirm: Confirm,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let mut session = Session::open(context).await?;
    let done = match command {
        Command::List(args) => list(&args, &session, context).await,
        Command::Show(args) => show(&args, &session, context).await,
        Command::Approve(args) => Box::pin(approve(&args, &mut session, context)).await,
        Command::Reject(args) => Box::pin(reject(&args, &mut session, context)).await,
    };
    session.close().await;
    done
}

async fn list(args: &List, session: &Session, context: &Context) -> Result<Exit, Failure> {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let (kind, id) = match args.object.as_deref() {
        Some(object) => {
            let (kind, id) = object.split_once(':').ok_or_else(|| {
                Failure::usage(
                    "OBJECT_INVALID",
                    "--object is TYPE:ID, as in --object invoice:INV-3001",
                )
            })?;
            (Some(kind.to_owned()), id.to_owned())
        }
        None => (args.object_type.clone(), own(&args.object_id)),
    };
    let filter = ProposalFilter {
        tenant: own(&args.tenant),
        principal: own(&args.principal),
        capability: own(&args.capability),
        state: own(&args.state),
        source_id: own(&args.source),
        table: own(&args.table),
        object_id: id,
        created_from: args.from,
        created_to: args.to,
    };
    let mut rows = operations::list_proposals(session, &filter, args.limit).await?;
    if let Some(kind) = kind {
        rows.retain(|row| is_of_type(&row.attested.proposal().target.table, &kind));
    }
    if context.global.json {
        let line = |row: &operations::ListedProposal| {
            let proposal = row.attested.proposal();
            let mut object = shape::proposal_head(&row.attested);
            object.insert("state".to_owned(), json!(row.state));
            object.insert("proposal".to_owned(), json!(proposal));
            object.insert("updated_at".to_owned(), json!(row.updated_at));
            Json::Object(object)
        };
        let proposals: Vec<Json> = rows.iter().map(line).collect();
        output::json(&json!({ "proposals": proposals }))?;
        return Ok(Exit(EXIT_OK));
    }
    let now = operations::now();
    let mut table = Table::new(&[
        "PROPOSAL",
        "STATE",
        "ACTION",
        "ROW",
        "TENANT",
        "ASKED BY",
        "TIME LEFT",
    ]);
    for row in &rows {
        let proposal = row.attested.proposal();
        let key = &proposal.target.primary_key;
        let object = format!(
            "{} {}",
            proposal.target.table,
            key.value.as_text().unwrap_or("NULL")
        );
        let left = if row.state.is_terminal() {
            "ended".to_owned()
        } else {
            time_left(now, proposal.not_after)
        };
        let by = &proposal.requested_by;
        table.row([
            proposal.id.as_str(),
            row.state.as_str(),
            &proposal.capability,
            &object,
            &by.tenant,
            &by.principal,
            &left,
        ]);
    }
    output::line(table)?;
    Ok(Exit(EXIT_OK))
}

async fn show(args: &Show, session: &Session, context: &Context) -> Result<Exit, Failure> {
    let looked = operations::look(session, &args.proposal).await?;
    if context.global.json {
        output::json(&shown(&looked))?;
        return Ok(Exit(EXIT_OK));
    }
    output::text(&document(&looked))?;
    output::text(&beside(&looked, args.details))?;
    let posture = posture_here(context, session.trust()).unwrap_or("no signing key here");
    output::line(format!("posture: {posture}"))?;
    if looked.state.is_terminal() {
        output::line(format!(
            "next: synapsor-runner replay show {}",
            looked.attested.proposal().id
        ))?;
    } else if looked.is_approved() {
        output::line(format!(
            "next: synapsor-runner apply {}",
            looked.attested.proposal().id
        ))?;
    } else {
        output::line(format!(
            "next: synapsor-runner proposals approve {}",
            looked.attested.proposal().id
        ))?;
    }
    Ok(Exit(EXIT_OK))
}

async fn approve(args: &Approve, session: &mut Session, context: &Context) -> Result<Exit, Failure> {
    let looked = operations::look(session, &args.proposal).await?;
    let page = document(&looked) + &beside(&looked, false);
    if context.global.json {
        output::note(page.trim_end())
    } else {
        output::text(&page)?
    }
    operations::still_open(&looked, "PROPOSAL_NOT_PENDING_REVIEW")?;
    // The passphrase of a protected key is asked for here, after the document was shown.
    args.confirm
        .obtain(&args.proposal, &looked, session.trust(), "approve exactly this")?;
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.confirm.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let approved =
        operations::approve(session, &looked, &signer, args.reason.as_deref(), args.expires).await?;
    if !args.apply {
        if context.global.json {
            output::json(&approved_json(&looked, &approved, &signer))?;
        } else {
            say_approved(&looked, &approved)?;
        }
        return Ok(Exit(EXIT_OK));
    }
    if !context.global.json {
        say_approved(&looked, &approved)?;
    }
    // Looked at again, so that the order counts on every approval that is in the log by now.
    let again = operations::look(session, looked.attested.proposal().id.as_str()).await?;
    let wait = std::time::Duration::from_secs(APPLY_WAIT_SECONDS);
    let applied = operations::apply(session, context, &again, &signer, wait).await?;
    if context.global.json {
        let mut object = approved_json(&again, &approved, &signer);
        object["apply"] = shape::applied(&again, &applied);
        output::json(&object)?;
    } else {
        super::apply::say(&again, &applied)?;
    }
    Ok(Exit(applied.status.exit()))
}

async fn reject(args: &Reject, session: &mut Session, context: &Context) -> Result<Exit, Failure> {
    let looked = operations::look(session, &args.proposal).await?;
    let page = document(&looked) + &beside(&looked, false);
    if context.global.json {
        output::note(page.trim_end())
    } else {
        output::text(&page)?
    }
    operations::still_open(&looked, "PROPOSAL_NOT_REJECTABLE")?;
    args.confirm
        .obtain(&args.proposal, &looked, session.trust(), "reject this")?;
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.confirm.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let rejected = operations::reject(session, context, &looked, &signer, &args.reason).await?;
    if context.global.json {
        let mut object = shape::proposal_head(&looked.attested);
        object.insert("state".to_owned(), json!(rejected.state));
        object.insert("decision_digest".to_owned(), json!(rejected.decision_digest));
        object.insert("person".to_owned(), json!(rejected.person));
        object.insert("key_id".to_owned(), json!(rejected.key_id));
        object.insert(
            "writer".to_owned(),
            json!(rejected.writer.map(DenyEffect::as_str)),
        );
        object.insert(
            "receipt".to_owned(),
            rejected.receipt.as_ref().map_or(Json::Null, shape::receipt),
        );
        output::json(&object)?;
    } else {
        output::line(said(&rejected))?;
    }
    Ok(Exit(exit_of(&rejected)))
}

fn exit_of(rejected: &Rejected) -> u8 {
    match rejected.writer {
        None | Some(DenyEffect::Killed | DenyEffect::BlockedHere) => EXIT_OK,
        Some(DenyEffect::EndedBefore) => crate::clients::EXIT_REFUSED,
        Some(DenyEffect::InFlight) => 5,
    }
}

fn said(rejected: &Rejected) -> String {
    let ended = rejected
        .receipt
        .as_ref()
        .map_or("unknown".to_owned(), |r| r.receipt.outcome.to_string());
    match rejected.writer {
        None => format!("Rejected by {}; no writer had started on it.", rejected.person),
        Some(DenyEffect::Killed) => {
            "Killed: the target database records that it can never be applied.".to_owned()
        }
        Some(DenyEffect::EndedBefore) => format!("Too late: it had ended before as {ended}."),
        Some(DenyEffect::InFlight) => {
            "In flight: an attempt is past the point of no return, outcome pending.".to_owned()
        }
        Some(DenyEffect::BlockedHere) => {
            "Blocked on this writer: its database is away, so nothing is recorded there yet.".to_owned()
        }
    }
}

fn document(looked: &Looked) -> String {
    review::document(looked.attested.proposal(), looked.attested.digest())
}

/// What is true now and not signed: state, approvals so far, time left.
fn beside(looked: &Looked, details: bool) -> String {
    let now = operations::now();
    let proposal = looked.attested.proposal();
    let mut page = String::from("\n");
    let mut field = |name: &str, value: String| page.push_str(&format!("{name:<16}{value}\n"));
    field("state", looked.state.to_string());
    field("source changed", source_changed(looked));
    if !looked.state.is_terminal() {
        field("time left", time_left(now, proposal.not_after));
    }
    let needed = proposal.approval.quorum.max(1);
    field("approvals", format!("{} of {needed}", looked.approvers().len()));
    for decision in &looked.decisions {
        let d = decision.decision();
        let text = match d.decision {
            Verdict::Approve => format!(
                "{} approved, counts for {}",
                decision.person(),
                time_left(now, d.expires_at)
            ),
            Verdict::Deny => format!("{} rejected", decision.person()),
        };
        field("", text);
    }
    for lapsed in &looked.lapsed {
        let d = &lapsed.decision;
        field(
            "",
            format!(
                "{} does not count: {}",
                safe(&d.approver.person),
                lapsed.refusal.code
            ),
        );
    }
    for reason in looked
        .decisions
        .iter()
        .filter_map(|d| d.decision().reason.as_ref())
    {
        field("reason", safe(reason));
    }
    if let Some(attempt) = &looked.attempt {
        field(
            "last attempt",
            format!("{} {}", attempt.result, safe(&attempt.message)),
        );
    }
    if details {
        field(
            "log",
            format!(
                "{} events, root {}",
                looked.checkpoint.size,
                hex::encode(looked.checkpoint.root)
            ),
        );
        field("orders", looked.orders.to_string());
        for d in &looked.decisions {
            field(
                "decision",
                format!("{} {}", d.digest(), d.decision().approver.key_id),
            );
        }
        for e in &proposal.evidence {
            field("evidence", format!("{} {}", e.id, e.digest));
        }
        if let Some(r) = &looked.receipt {
            field(
                "receipt",
                format!("{} {} {}", r.digest, r.receipt.outcome, r.writer_key),
            );
        }
    }
    page.push('\n');
    page
}

fn source_changed(looked: &Looked) -> String {
    match &looked.receipt {
        Some(r) if r.receipt.rows_affected > 0 => format!("yes, once, at {}", r.receipt.created_at),
        Some(_) => "no".to_owned(),
        None if looked.started => "not known: a writer has started on it".to_owned(),
        None => "no".to_owned(),
    }
}

fn shown(looked: &Looked) -> Json {
    let mut object = shape::proposal_head(&looked.attested);
    let decision = |d: &synapsor_domain::approval::VerifiedDecision| json!({ "digest": d.digest(), "person": d.person(), "counts": true, "decision": d.decision() });
    let lapsed = |l: &operations::Lapsed| json!({ "person": l.decision.approver.person, "counts": false, "code": l.refusal.code, "decision": l.decision });
    let decisions: Vec<Json> = looked
        .decisions
        .iter()
        .map(decision)
        .chain(looked.lapsed.iter().map(lapsed))
        .collect();
    let quorum = looked.attested.proposal().approval.quorum.max(1);
    object.insert("state".to_owned(), json!(looked.state));
    object.insert("started".to_owned(), json!(looked.started));
    object.insert("proposal".to_owned(), json!(looked.attested.proposal()));
    object.insert("review_document".to_owned(), json!(document(looked)));
    object.insert(
        "approvals".to_owned(),
        json!({ "have": looked.approvers().len(), "need": quorum }),
    );
    object.insert("decisions".to_owned(), Json::Array(decisions));
    object.insert("attempt".to_owned(), json!(looked.attempt));
    object.insert(
        "receipt".to_owned(),
        looked.receipt.as_ref().map_or(Json::Null, shape::receipt),
    );
    object.insert("updated_at".to_owned(), json!(looked.updated_at));
    let checkpoint = &looked.checkpoint;
    let root = hex::encode(checkpoint.root);
    object.insert(
        "log".to_owned(),
        json!({ "origin": checkpoint.origin, "size": checkpoint.size, "root": root }),
    );
    Json::Object(object)
}

fn approved_json(looked: &Looked, approved: &Approved, signer: &Signer) -> Json {
    let mut object = shape::proposal_head(&looked.attested);
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

fn say_approved(looked: &Looked, approved: &Approved) -> Result<(), Failure> {
    let id = &looked.attested.proposal().id;
    output::line(format!(
        "Approved by {} as {} ({})",
        approved.person, approved.role, approved.key_id
    ))?;
    output::line(format!("  decision   {}", approved.decision_digest))?;
    output::line(format!("  counts     until {}", approved.expires_at))?;
    output::line(format!(
        "  approvals  {} of {}, now {}",
        approved.approvals, approved.quorum, approved.state
    ))?;
    output::line(format!("next: synapsor-runner apply {id}"))
}

/// Whether a table is of a business type: with or without its schema, in singular or plural.
fn is_of_type(table: &str, kind: &str) -> bool {
    let kind = kind.rsplit('.').next().unwrap_or(kind).to_ascii_lowercase();
    let table = table.to_ascii_lowercase();
    let singular = |text: &str| text.strip_suffix('s').unwrap_or(text).to_owned();
    singular(&table) == singular(&kind)
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why in a few words".to_owned()),
        t if t.chars().count() > REASON_CHARS_MAX => Err(format!("at most {REASON_CHARS_MAX} characters")),
        t => Ok(t.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_matches_its_table_in_singular_and_plural_and_with_a_schema() {
        for kind in ["invoice", "invoices", "public.invoices", "Invoice"] {
            assert!(is_of_type("invoices", kind), "{kind}");
        }
        assert!(!is_of_type("invoices", "customer"));
    }
}
