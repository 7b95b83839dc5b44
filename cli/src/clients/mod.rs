//! Calls to ledger and writer, in the domain's own words. Generated types end here.

mod ledger;
mod reader;
mod tail;
mod writer;

use std::str::FromStr as _;
use std::time::Duration;

use synapsor_chassis::grpc_channel::{CALL_TIMEOUT, Endpoint, status_to_error, with_deadline, with_timeout};
use synapsor_chassis::run::{EXIT_FAILURE, ExitError};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::writeback::ReceiptRef;
use synapsor_proto::status::from_status;
use tonic::{Request, Response, Status};

pub(crate) use ledger::{
    EvidenceFilter, FoundEvidence, Incident, Ledger, LedgerSwitches, ProposalFilter, ProposalRecord, Shown,
};
pub(crate) use reader::Reader;
pub(crate) use tail::{Tail, TailFilter};
pub(crate) use writer::{AuditPage, DenyEffect, Preview, SwitchAnswer, Times, Writer};

/// Exit code of a refusal, or of something that is not approved.
pub(crate) const EXIT_REFUSED: u8 = 4;
/// Exit code of evidence that does not verify.
pub(crate) const EXIT_TAMPERED: u8 = 10;

/// One call, bounded in time.
async fn call<M, T>(
    target: &Endpoint,
    message: M,
    send: impl AsyncFnOnce(Request<M>) -> Result<Response<T>, Status>,
) -> Result<T, ExitError> {
    call_within(target, CALL_TIMEOUT, message, send).await
}

async fn call_within<M, T>(
    target: &Endpoint,
    limit: Duration,
    message: M,
    send: impl AsyncFnOnce(Request<M>) -> Result<Response<T>, Status>,
) -> Result<T, ExitError> {
    match with_timeout(limit, send(with_deadline(message, limit))).await {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => Err(failure(&status, target)),
    }
}

/// A receipt that an answer names.
fn receipt_ref(proposal: &str, digest: &str) -> Result<ReceiptRef, PublicError> {
    let malformed =
        |field: &str, problem: String| PublicError::new("MALFORMED", format!("{field}: {problem}"));
    Ok(ReceiptRef {
        proposal_id: ProposalId::from_str(proposal).map_err(|e| malformed("proposal_id", e.to_string()))?,
        receipt_digest: Digest::from_str(digest).map_err(|e| malformed("receipt_digest", e.to_string()))?,
    })
}

/// What a status means to the person at the terminal.
fn failure(status: &Status, target: &Endpoint) -> ExitError {
    let refusal = from_status(status);
    match status_to_error(status, target) {
        // A reason of ours says more than the transport does.
        Some(failure) if refusal.code == "UNREACHABLE" || refusal.code == "DEADLINE_EXCEEDED" => failure,
        Some(failure) if refusal.code.starts_with("IDENTITY_") => failure,
        Some(_) | None => refused(refusal),
    }
}

/// A refusal with the exit code that its kind has.
pub(crate) fn refused(refusal: PublicError) -> ExitError {
    let exit = exit_of(&refusal.code);
    let fix = fix_of(&refusal.code);
    let failure = ExitError::new(refusal.code, refusal.public).with_exit(exit);
    match fix {
        Some(fix) => failure.with_fix(fix),
        None => failure,
    }
}

/// What ends a refusal about receipts.
pub(crate) fn fix_of(code: &str) -> Option<&'static str> {
    match code {
        "refused:effect_lost" => Some(
            "see what is missing with `synapsor-runner receipts audit`; bring the database back to its newest state, or \
             sign what is lost with `synapsor-runner receipts give-up`",
        ),
        "refused:receipt_unproven" => Some(
            "look at the receipt and its row in the database, then sign `synapsor-runner receipts adopt PROPOSAL`",
        ),
        "refused:row_changed_in_commit" => {
            Some("look at the row, then sign `synapsor-runner receipts adopt PROPOSAL`")
        }
        "refused:receipt_unknown" => Some("see what writers found with `synapsor-runner receipts audit`"),
        _ => None,
    }
}

/// The ledger found nothing, or more than one thing, under a name: said with the name and a way on.
fn not_found(failure: ExitError, name: &str) -> ExitError {
    let (problem, fix) = match failure.code() {
        "PROPOSAL_NOT_FOUND" if name == "latest" => (
            "there is no proposal yet".to_owned(),
            "`synapsor-runner propose` makes one, as does an agent",
        ),
        "PROPOSAL_NOT_FOUND" => (
            format!("no proposal is called `{name}`"),
            "`synapsor-runner proposals list` shows what there is",
        ),
        "AMBIGUOUS_PROPOSAL" => (
            format!("more than one proposal begins with `{name}`"),
            "give more of the id",
        ),
        "EVIDENCE_NOT_FOUND" => (
            format!("no evidence is called `{name}`"),
            "`synapsor-runner evidence list` shows what there is",
        ),
        "AMBIGUOUS_EVIDENCE" => (
            format!("more than one evidence record begins with `{name}`"),
            "give more of the id",
        ),
        _ => return failure,
    };
    ExitError::new(failure.code().to_owned(), problem)
        .with_fix(fix)
        .with_exit(failure.exit())
}

/// An answer that is not what a ledger or writer of ours would give.
pub(crate) fn not_believed(code: &'static str, problem: impl std::fmt::Display) -> ExitError {
    ExitError::new(code, format!("the answer is not believed: {problem}")).with_exit(EXIT_TAMPERED)
}

fn exit_of(code: &str) -> u8 {
    match code {
        "STORE_TAMPERED" => EXIT_TAMPERED,
        "UNREACHABLE"
        | "DEADLINE_EXCEEDED"
        | "STORE_UNAVAILABLE"
        | "STORE_VANISHED"
        | "DATABASE_UNAVAILABLE" => 6,
        "PROPOSAL_NOT_APPROVED"
        | "PROPOSAL_NOT_PENDING_REVIEW"
        | "PROPOSAL_NOT_REJECTABLE"
        | "PROPOSAL_ENDED"
        | "WRITEBACK_STARTED"
        | "IDENTITY_NOT_ALLOWED" => EXIT_REFUSED,
        other if other.starts_with("refused:") => EXIT_REFUSED,
        _ => EXIT_FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_refusal_has_its_exit_code() {
        let exit = |code| refused(PublicError::new(code, "x")).exit();
        assert_eq!(exit("refused:quorum"), 4);
        assert_eq!(exit("PROPOSAL_NOT_APPROVED"), 4);
        assert_eq!(exit("STORE_TAMPERED"), 10);
        assert_eq!(exit("PROPOSAL_NOT_FOUND"), 1);
    }
}
