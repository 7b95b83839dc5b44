//! `apply`: signs an apply order and shows the outcome.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::{Value as Json, json};
use synapsor_chassis::refusal_cause::RefusalCause;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::proposal::GuardKind;
use synapsor_domain::review::{SHORT_VALUE_CHARS, change_lines, shown};
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::value::{Value, find};
use synapsor_domain::writeback::DryRunVerdict;

use super::confirm::ConfirmOptions;
use super::job_file;
use super::proposals::{check_review_mode, page};
use super::smoke;
use crate::Context;
use crate::clients::DryRunOutcome;
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::shape;
use crate::output::{self, safe};
use crate::workflows::{self, ApplyOutcome, ProposalView, Status};

/// Maximum wait for a writer, in seconds.
const WAIT_SECONDS_MAX: u64 = 600;

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  synapsor-runner apply latest\n  synapsor-runner apply wrp_4f2a --dry-run\n  \
    synapsor-runner apply --job job.json\n\n\
    Exit codes: 0 applied or applied before, 1 failed, 2 usage, 3 conflict: nothing was written, 4 rejected or not \
    approved, 5 in doubt, 6 no writer: the order stays recorded, 10 tampered, 11 rolled back, 12 forked"
)]
pub(crate) struct Args {
    /// Proposal id, id prefix, short code, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
    /// Same as the PROPOSAL argument
    #[arg(long = "proposal", value_name = "ID", conflicts_with = "proposal")]
    named: Option<String>,
    /// Job file that names the proposal; every field must be that of the signed proposal
    #[arg(long, value_name = "FILE", conflicts_with_all = ["proposal", "named"])]
    job: Option<PathBuf>,
    /// Run the writeback in a transaction that is rolled back
    #[arg(long, env = "SYNAPSOR_DRY_RUN", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    dry_run: bool,
    /// Seconds to wait for the outcome
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=WAIT_SECONDS_MAX))]
    wait: u64,
    #[command(flatten)]
    confirm: ConfirmOptions,
    #[command(flatten)]
    earlier: EarlierOptions,
}

/// Options of 0.1.x without effect: the ledger grants leases and names the writer.
#[derive(Debug, ClapArgs)]
struct EarlierOptions {
    /// Accepted for 0.1.x, no effect: the certificate of the writer is its name
    #[arg(long, value_name = "ID")]
    runner: Option<String>,
    /// Accepted for 0.1.x, no effect: the trust file names the deployment
    #[arg(long, value_name = "ID")]
    project: Option<String>,
    /// Accepted for 0.1.x, no effect: the ledger grants leases
    #[arg(long, value_name = "SECONDS")]
    lease_seconds: Option<u32>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, ExitError> {
    let mut session = LedgerConnection::open(context).await?;
    let done = Box::pin(work(&args, &mut session, context)).await;
    session.close().await;
    done
}

async fn work(args: &Args, session: &mut LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let job = args.job.as_deref().map(job_file::read_valid).transpose()?;
    let reference = match &job {
        Some(job) => job.proposal_id.as_str(),
        None => args.named.as_deref().unwrap_or(&args.proposal),
    };
    let view = workflows::fetch_proposal_by_reference(session, reference).await?;
    check_review_mode(&view)?;
    if let Some(job) = &job {
        job_file::check(job, &view)?;
    }
    if args.dry_run {
        let preview = workflows::preview(session, context, &view).await?;
        let cause = session.writer_cause();
        let cause = cause.filter(|_| matches!(preview.verdict, DryRunVerdict::WouldNotApply(_)));
        return print_dry_run(&view, &preview, cause.as_ref(), context);
    }
    // In dev the approval is the review; elsewhere the apply order is confirmed separately.
    if view.receipt.is_none() && session.trust().environment != DeploymentEnvironment::Dev {
        page::show(&view, context.global.json)?;
        args.confirm
            .prompt(reference, &view, session.trust(), "apply exactly this change")?;
    }
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.confirm.actor.as_deref())?;
    let applied = workflows::apply(session, context, &view, &signer, Duration::from_secs(args.wait)).await?;
    if context.global.json {
        output::json(&shape::applied(&view, &applied))?;
    } else {
        print_outcome(&view, &applied)?;
    }
    Ok(applied.status.exit())
}

/// Prints the outcome.
pub(super) fn print_outcome(view: &ProposalView, applied: &ApplyOutcome) -> Result<(), ExitError> {
    output::line(title(applied))?;
    for line in checklist(view, applied) {
        output::line(format!("  {line}"))?;
    }
    if let (Some(until), false) = (applied.order_valid_until, ends(applied.status)) {
        output::line(format!("  the order is valid until {until}"))?;
    }
    if let Some(cause) = &applied.cause {
        smoke::show_cause(cause)?;
    }
    if let Some(fix) = &applied.fix {
        output::line(format!("fix: {fix}"))?;
    }
    output::line(format!(
        "replay: synapsor-runner replay show {}",
        view.attested.proposal().id
    ))
}

const fn ends(status: Status) -> bool {
    match status {
        Status::Applied | Status::AlreadyApplied | Status::Conflict | Status::Failed | Status::Canceled => {
            true
        }
        Status::Refused | Status::Retryable | Status::InDoubt | Status::NoWriter => false,
    }
}

fn title(applied: &ApplyOutcome) -> String {
    let message = safe(&applied.message);
    match applied.status {
        Status::Applied => "Applied: one row changed, once".to_owned(),
        Status::AlreadyApplied => "Already applied: nothing was written again".to_owned(),
        Status::Conflict => format!("Conflict, nothing was written: {} ({message})", applied.result),
        Status::Refused => format!("Refused, nothing was written: {} ({message})", applied.result),
        Status::Retryable => format!("Not applied, nothing was written: {} ({message})", applied.result),
        Status::InDoubt => format!("In doubt: {message}; a writer resolves the outcome as soon as it can"),
        Status::NoWriter => format!("Not applied yet: {message}"),
        Status::Failed => format!("Failed: {} ({message})", applied.result),
        Status::Canceled => format!("Ended without an effect: {} ({message})", applied.result),
    }
}

fn checklist(view: &ProposalView, applied: &ApplyOutcome) -> Vec<String> {
    let proposal = view.attested.proposal();
    let mut lines = Vec::new();
    let done = matches!(applied.status, Status::Applied | Status::AlreadyApplied);
    if done {
        let column =
            |c: &synapsor_domain::value::ColumnValue| format!("{} = {}", safe(&c.column), shown(&c.value));
        let approvers: Vec<&str> = view.approvers().into_iter().collect();
        if !approvers.is_empty() {
            lines.push(format!("ok  approved by {}", approvers.join(", ")));
        }
        let keys: Vec<String> = proposal.target.keys.iter().map(column).collect();
        lines.push(format!("ok  row matched: {}", keys.join(", ")));
        if let Some(tenant) = &proposal.target.tenant {
            lines.push(format!("ok  tenant matched: {}", column(tenant)));
        }
        let columns: Vec<String> = proposal.set.iter().map(|c| safe(&c.column)).collect();
        lines.push(format!("ok  allowed columns only: {}", columns.join(", ")));
        lines.push(match (proposal.guard.kind, &proposal.guard.version) {
            (GuardKind::VersionColumn, Some(version)) if proposal.guard.is_weak() => {
                format!("ok  conflict guard: WEAK, {}", column(version))
            }
            (GuardKind::VersionColumn, Some(version)) => format!("ok  conflict guard: {}", column(version)),
            (GuardKind::VersionColumn | GuardKind::Weak, _) => {
                "ok  conflict guard: WEAK, every value that was read".to_owned()
            }
        });
    }
    if let Some(signed) = &applied.receipt {
        let mark = if done { "ok  " } else { "" };
        let when = match applied.status {
            Status::AlreadyApplied => "affected rows at that time",
            _ => "affected rows",
        };
        lines.push(format!("{mark}{when}: {}", signed.receipt.rows_affected));
        lines.push(format!(
            "{mark}receipt {} of {}",
            signed.digest, signed.receipt.created_at
        ));
        lines.push(format!("{mark}signed by the writer's key {}", signed.writer_key));
    }
    lines
}

fn print_dry_run(
    view: &ProposalView,
    preview: &DryRunOutcome,
    cause: Option<&RefusalCause>,
    context: &Context,
) -> Result<Exit, ExitError> {
    let after: Option<Json> = preview
        .after_json
        .as_ref()
        .and_then(|bytes| serde_json::from_slice(bytes).ok());
    if context.global.json {
        let mut object = shape::proposal_head(&view.attested);
        object.insert("dry_run".to_owned(), json!(true));
        object.insert("result".to_owned(), json!(preview.verdict.to_string()));
        object.insert("message".to_owned(), json!(preview.message));
        object.insert("cause".to_owned(), json!(cause));
        object.insert("after".to_owned(), after.unwrap_or(Json::Null));
        output::json(&object)?;
    } else {
        output::line(format!("Dry run (rolled back): {}", preview.verdict))?;
        output::line(format!("  {}", safe(&preview.message)))?;
        if let Some(cause) = cause {
            smoke::show_cause(cause)?;
        }
        let proposal = view.attested.proposal();
        for change in &proposal.set {
            let spelled = shown(&change.value);
            if spelled.len() <= SHORT_VALUE_CHARS {
                output::line(format!("  {} = {spelled}", safe(&change.column)))?;
                continue;
            }
            let null = Value::null();
            let before = find(&proposal.before, &change.column).unwrap_or(&null);
            output::line(format!("  {}:", safe(&change.column)))?;
            output::text(&change_lines(before, &change.value))?;
        }
        output::line("    no data was changed")?;
    }
    Ok(match preview.verdict {
        DryRunVerdict::WouldApply | DryRunVerdict::AlreadyFinal(_) => Exit::Ok,
        DryRunVerdict::WouldNotApply(code) => code.exit(),
        DryRunVerdict::InDoubt => Exit::Failure,
    })
}
