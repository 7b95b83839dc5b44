//! Clients of ledger, reader and writer, in domain types. Generated types are not used outside this module.

mod ledger;
mod maintenance;
mod reader;
mod tail;
mod webhooks;
mod writer;

use std::str::FromStr as _;
use std::time::Duration;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::grpc_channel::{CALL_TIMEOUT, Endpoint, status_to_error, with_deadline, with_timeout};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::ReceiptRef;
use synapsor_proto::status::from_status;
use tonic::{Request, Response, Status};

pub(crate) use ledger::{
    AuditQuery, CurrentLease, EvidenceQuery, FoundEvidence, LedgerClient, LedgerSwitches, ProposalQuery,
    ProposalRecord, ProposalWithProofs, ReceiptIncident, ReceiptQuery,
};
pub(crate) use maintenance::{ErasedRecords, ErasurePreview, FileSize, MaintenanceClient, StoreContents};
pub(crate) use reader::SchemaClient;
pub(crate) use tail::{EventQuery, EventStream};
pub(crate) use webhooks::{
    DeadLetterView, Redelivery, WaitingDelivery, WebhookClient, WebhookList, WebhookState,
};
pub(crate) use writer::{AuditedPage, DryRunOutcome, SwitchAnswer, Times, WriterClient};

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
        |field: &str, problem: String| PublicError::new(ErrorCode::Malformed, format!("{field}: {problem}"));
    Ok(ReceiptRef {
        proposal_id: ProposalId::from_str(proposal).map_err(|e| malformed("proposal_id", e.to_string()))?,
        receipt_digest: Digest::from_str(digest).map_err(|e| malformed("receipt_digest", e.to_string()))?,
    })
}

/// Converts a status to the error that the operator sees.
fn failure(status: &Status, target: &Endpoint) -> ExitError {
    status_to_error(status, target).unwrap_or_else(|| {
        let failure = refused(from_status(status));
        match failure.code() {
            ErrorCode::RefusedFuture => failure.with_fix(clock_fix(target, SystemClock.now_ms())),
            _ => failure,
        }
    })
}

/// Names whose clock an error about a time of issue shows, and the time of this machine.
fn clock_fix(target: &Endpoint, now_ms: i64) -> String {
    let now = Timestamp::from_unix_millis(now_ms);
    format!(
        "correct the clock that is wrong, then sign again: the {target} verified it, and the clock of this machine shows {now}"
    )
}

/// Converts a public error to an exit error with the exit code of its kind.
pub(crate) fn refused(refusal: PublicError) -> ExitError {
    let fix = fix_of(refusal.code);
    let failure = ExitError::new(refusal.code, refusal.public);
    match fix {
        Some(fix) => failure.with_fix(fix),
        None => failure,
    }
}

/// Returns the fix for an error about receipts or erased records.
pub(crate) const fn fix_of(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::RefusedEffectLost => Some(
            "list missing receipts with `synapsor-runner receipts audit`; restore the newest state of the database, or \
             sign what is lost with `synapsor-runner receipts give-up`",
        ),
        ErrorCode::RefusedReceiptUnproven => Some(
            "check the receipt and its row in the database, then sign `synapsor-runner receipts adopt PROPOSAL`",
        ),
        ErrorCode::RefusedRowChangedInCommit => {
            Some("check the row, then sign `synapsor-runner receipts adopt PROPOSAL`")
        }
        ErrorCode::RefusedReceiptUnknown => {
            Some("list the findings of the writers with `synapsor-runner receipts audit`")
        }
        ErrorCode::RecordErased => {
            Some("find the order that erased it with `synapsor-runner events tail --kind bodies_erased`")
        }
        _ => None,
    }
}

/// Names the requested id and adds a fix when the ledger found no match, or more than one.
fn not_found(failure: ExitError, name: &str) -> ExitError {
    let (problem, fix) = match failure.code() {
        ErrorCode::ProposalNotFound if name == "latest" => (
            "no proposals exist".to_owned(),
            "create one with `synapsor-runner propose` or through an agent",
        ),
        ErrorCode::ProposalNotFound => (
            format!("proposal `{name}` not found"),
            "list proposals with `synapsor-runner proposals list`",
        ),
        ErrorCode::AmbiguousProposal => (
            format!("ambiguous proposal id prefix `{name}`"),
            "use more characters of the id",
        ),
        ErrorCode::EvidenceNotFound => (
            format!("evidence `{name}` not found"),
            "list evidence with `synapsor-runner evidence list`",
        ),
        ErrorCode::AmbiguousEvidence => (
            format!("ambiguous evidence id prefix `{name}`"),
            "use more characters of the id",
        ),
        _ => return failure,
    };
    ExitError::new(failure.code(), problem).with_fix(fix)
}

/// Error for a response that fails verification.
pub(crate) fn verification_failed(code: ErrorCode, problem: impl std::fmt::Display) -> ExitError {
    ExitError::new(code, format!("response failed verification: {problem}"))
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::identity::Role;
    use synapsor_codes::Exit;
    use synapsor_proto::status::to_status;

    use super::*;

    #[test]
    fn error_about_a_clock_names_both_machines() {
        let ledger = Endpoint::new(Role::Ledger, "ledger.example:7300");
        let refusal = PublicError::new(ErrorCode::RefusedFuture, "issued at a, and the clock shows b");
        let failure = failure(&to_status(&refusal), &ledger);
        assert_eq!(failure.code(), ErrorCode::RefusedFuture);
        let fix = failure.fix().unwrap();
        assert!(
            fix.contains("the ledger at ledger.example:7300 verified it"),
            "{fix}"
        );
        let fix = clock_fix(&ledger, 0);
        assert!(
            fix.ends_with("this machine shows 1970-01-01T00:00:00.000Z"),
            "{fix}"
        );
    }

    #[test]
    fn error_kind_maps_to_exit_code() {
        let exit = |code| refused(PublicError::new(code, "x")).exit();
        assert_eq!(exit(ErrorCode::RefusedQuorum), Exit::Refused);
        assert_eq!(exit(ErrorCode::ProposalNotApproved), Exit::Refused);
        assert_eq!(exit(ErrorCode::StoreTampered), Exit::Tampered);
        assert_eq!(exit(ErrorCode::ProposalNotFound), Exit::Failure);
    }
}
