//! Clients of ledger, reader and writer, in domain types. Generated types are not used outside this module.

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
    EvidenceQuery, FoundEvidence, LedgerClient, LedgerSwitches, ProposalQuery, ProposalRecord,
    ProposalWithProofs, ReceiptIncident,
};
pub(crate) use reader::SchemaClient;
pub(crate) use tail::{EventQuery, EventStream};
pub(crate) use writer::{AuditedPage, Preview, RejectEffect, SwitchAnswer, Times, WriterClient};

/// Exit code of a rejected or unapproved request.
pub(crate) const EXIT_REFUSED: u8 = 4;
/// Exit code of evidence that fails verification.
pub(crate) const EXIT_TAMPERED: u8 = 10;

/// Runs one call with a timeout.
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

/// Parses a receipt reference from a response.
fn receipt_ref(proposal: &str, digest: &str) -> Result<ReceiptRef, PublicError> {
    let malformed =
        |field: &str, problem: String| PublicError::new("MALFORMED", format!("{field}: {problem}"));
    Ok(ReceiptRef {
        proposal_id: ProposalId::from_str(proposal).map_err(|e| malformed("proposal_id", e.to_string()))?,
        receipt_digest: Digest::from_str(digest).map_err(|e| malformed("receipt_digest", e.to_string()))?,
    })
}

/// Converts a status to the error that the operator sees.
fn failure(status: &Status, target: &Endpoint) -> ExitError {
    let refusal = from_status(status);
    match status_to_error(status, target) {
        // Our own reason is more specific than the transport's.
        Some(failure) if refusal.code == "UNREACHABLE" || refusal.code == "DEADLINE_EXCEEDED" => failure,
        Some(failure) if refusal.code.starts_with("IDENTITY_") => failure,
        Some(_) | None => refused(refusal),
    }
}

/// Converts a public error to an exit error with the exit code of its kind.
pub(crate) fn refused(refusal: PublicError) -> ExitError {
    let exit = exit_of(&refusal.code);
    let fix = fix_of(&refusal.code);
    let failure = ExitError::new(refusal.code, refusal.public).with_exit(exit);
    match fix {
        Some(fix) => failure.with_fix(fix),
        None => failure,
    }
}

/// Returns the fix for an error about receipts.
pub(crate) fn fix_of(code: &str) -> Option<&'static str> {
    match code {
        "refused:effect_lost" => Some(
            "list missing receipts with `synapsor-runner receipts audit`; restore the newest state of the database, or \
             sign what is lost with `synapsor-runner receipts give-up`",
        ),
        "refused:receipt_unproven" => Some(
            "check the receipt and its row in the database, then sign `synapsor-runner receipts adopt PROPOSAL`",
        ),
        "refused:row_changed_in_commit" => {
            Some("check the row, then sign `synapsor-runner receipts adopt PROPOSAL`")
        }
        "refused:receipt_unknown" => {
            Some("list the findings of the writers with `synapsor-runner receipts audit`")
        }
        _ => None,
    }
}

/// Names the requested id and adds a fix when the ledger found no match, or more than one.
fn not_found(failure: ExitError, name: &str) -> ExitError {
    let (problem, fix) = match failure.code() {
        "PROPOSAL_NOT_FOUND" if name == "latest" => (
            "no proposals exist".to_owned(),
            "create one with `synapsor-runner propose` or through an agent",
        ),
        "PROPOSAL_NOT_FOUND" => (
            format!("proposal `{name}` not found"),
            "list proposals with `synapsor-runner proposals list`",
        ),
        "AMBIGUOUS_PROPOSAL" => (
            format!("ambiguous proposal id prefix `{name}`"),
            "use more characters of the id",
        ),
        "EVIDENCE_NOT_FOUND" => (
            format!("evidence `{name}` not found"),
            "list evidence with `synapsor-runner evidence list`",
        ),
        "AMBIGUOUS_EVIDENCE" => (
            format!("ambiguous evidence id prefix `{name}`"),
            "use more characters of the id",
        ),
        _ => return failure,
    };
    ExitError::new(failure.code().to_owned(), problem)
        .with_fix(fix)
        .with_exit(failure.exit())
}

/// Error for a response that fails verification.
pub(crate) fn verification_failed(code: &'static str, problem: impl std::fmt::Display) -> ExitError {
    ExitError::new(code, format!("response failed verification: {problem}")).with_exit(EXIT_TAMPERED)
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
    fn error_kind_maps_to_exit_code() {
        let exit = |code| refused(PublicError::new(code, "x")).exit();
        assert_eq!(exit("refused:quorum"), 4);
        assert_eq!(exit("PROPOSAL_NOT_APPROVED"), 4);
        assert_eq!(exit("STORE_TAMPERED"), 10);
        assert_eq!(exit("PROPOSAL_NOT_FOUND"), 1);
    }
}
