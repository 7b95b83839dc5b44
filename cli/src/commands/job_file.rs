//! Job files of `validate --job` and `apply --job`. Not a command of its own.

use std::path::Path;

use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::writeback_job::{JobIssue, WritebackJob, difference, read_job};

use crate::output::safe;
use crate::workflows::{self, ProposalView};

/// Maximum size of a job file, in bytes.
const JOB_BYTES_MAX: u64 = 512 * 1024;

/// Reads a job file; the inner error has every error of its content.
pub(super) fn read(path: &Path) -> Result<Result<WritebackJob, Vec<JobIssue>>, ExitError> {
    Ok(read_job(&files::read_bounded(path, JOB_BYTES_MAX)?))
}

/// Reads a job file that must be valid.
pub(super) fn read_valid(path: &Path) -> Result<WritebackJob, ExitError> {
    read(path)?.map_err(|issues| {
        let first = issues.first().map(line).unwrap_or_default();
        let fix = "see every error with `synapsor-runner validate --job FILE`";
        ExitError::new(ErrorCode::JobInvalid, format!("job file is invalid: {first}")).with_fix(fix)
    })
}

/// Formats an error of a job.
pub(super) fn line(issue: &JobIssue) -> String {
    format!("{}: {}", safe(&issue.path), safe(&issue.message))
}

/// Checks that a job agrees with the signed proposal in every field. Nothing else of it is used.
pub(super) fn check(job: &WritebackJob, view: &ProposalView) -> Result<(), ExitError> {
    let proposal = view.attested.proposal();
    if let Some(field) = difference(job, proposal, &view.attested.digest()) {
        let text = format!("job field `{}` differs from the signed proposal", safe(&field));
        return Err(ExitError::new(ErrorCode::JobDiffers, text).with_fix(format!(
            "compare it with `synapsor-runner proposals writeback-job {}`, and apply by the proposal's id",
            proposal.id
        )));
    }
    if job.expires_at <= workflows::now() {
        let text = format!("the job expired at {}", job.expires_at);
        return Err(
            ExitError::new(ErrorCode::WritebackLeaseExpired, text).with_fix(format!(
                "export it again with `synapsor-runner proposals writeback-job {}`",
                proposal.id
            )),
        );
    }
    Ok(())
}
