//! `proposals writeback-job`: the job of 0.1.x of an approved proposal. An export: nothing is claimed, leased or applied.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::timestamp::Span;
use synapsor_domain::writeback_job::{JobLease, job_view};

use super::check_review_mode;
use crate::Context;
use crate::commands::replay;
use crate::connection::LedgerConnection;
use crate::output;
use crate::workflows;

/// Seconds between the export and the end of the job.
const LEASE_SECONDS: u32 = 300;
const LEASE_SECONDS_MIN: u32 = 15;
const LEASE_SECONDS_MAX: u32 = 3_600;

#[derive(Debug, Args)]
pub(crate) struct WritebackJobArgs {
    /// Proposal id, id prefix, short code, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
    /// Project that the job names
    #[arg(long, value_name = "ID", default_value = "local")]
    project: String,
    /// Accepted for 0.1.x, no effect: a job names no runner
    #[arg(long, value_name = "ID")]
    runner: Option<String>,
    /// Seconds until the job expires, at least 15 and at most 3600
    #[arg(long, value_name = "SECONDS", default_value_t = LEASE_SECONDS)]
    lease_seconds: u32,
    /// Output file [default: stdout]
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn export(
    args: &WritebackJobArgs,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, &args.proposal).await?;
    check_review_mode(&view)?;
    workflows::still_open(&view, ErrorCode::ProposalNotApproved)?;
    let proposal = view.attested.proposal();
    if !view.is_approved() {
        let fix = context
            .global
            .command(&format!("proposals approve {}", proposal.id));
        let text = "the job of a proposal exists when it is approved";
        return Err(ExitError::new(ErrorCode::ProposalNotApproved, text).with_fix(fix));
    }
    let seconds = args.lease_seconds.clamp(LEASE_SECONDS_MIN, LEASE_SECONDS_MAX);
    let lease = JobLease {
        project_id: args.project.clone(),
        expires_at: workflows::now() + Span::seconds(i64::from(seconds)),
    };
    let job = job_view(proposal, &view.attested.digest(), &lease);
    match &args.output {
        None => output::json(&job)?,
        Some(path) => {
            let text = json!(job).to_string() + "\n";
            replay::write(Some(path), text.as_bytes(), context)?;
        }
    }
    Ok(Exit::Ok)
}
