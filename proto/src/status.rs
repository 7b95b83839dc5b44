//! Refusals and gRPC statuses: the only mapping between them. The code crosses as `ErrorInfo.reason`; the
//! public text as the message; the detail stays behind.

use std::collections::HashMap;

use synapsor_domain::error::PublicError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of every `ErrorInfo` of ours.
pub const ERROR_DOMAIN: &str = "synapsor.runner";

/// A refusal as it crosses.
pub fn to_status(refusal: &PublicError) -> Status {
    let details = ErrorDetails::with_error_info(refusal.code.to_string(), ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(grpc_code(&refusal.code), refusal.public.clone(), details)
}

/// A status as a refusal. One that carries no reason of ours is named by what went wrong with the call.
pub fn from_status(status: &Status) -> PublicError {
    let details = status.get_error_details();
    match details.error_info() {
        Some(info) if info.domain == ERROR_DOMAIN => {
            PublicError::from_peer(info.reason.clone(), status.message().to_owned())
        }
        Some(_) | None => from_transport(status),
    }
}

const LATE: (&str, &str) = ("DEADLINE_EXCEEDED", "the service did not answer in time");

fn from_transport(status: &Status) -> PublicError {
    let (code, public) = match status.code() {
        Code::DeadlineExceeded => LATE,
        // tonic's own time limit surfaces as a cancelled call, and so does a connection that broke under one.
        Code::Cancelled if status.message().contains("Timeout expired") => LATE,
        Code::Unavailable | Code::Unknown | Code::Cancelled => (
            "UNREACHABLE",
            "the service cannot be reached, or the connection broke",
        ),
        Code::PermissionDenied => (
            "IDENTITY_NOT_ALLOWED",
            "the certificate does not open this service",
        ),
        Code::Unauthenticated => ("IDENTITY_MISSING", "the connection carries no usable certificate"),
        Code::ResourceExhausted => (
            "TOO_LARGE_OR_BUSY",
            "the message is too large, or the service is at its limit",
        ),
        Code::Unimplemented => (
            "SERVICE_NOT_SERVED",
            "the process at this address does not serve that",
        ),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => ("INTERNAL", "the service failed; its log has the cause"),
    };
    PublicError::new(code, public).with_detail(format!("{:?}: {}", status.code(), status.message()))
}

fn grpc_code(code: &str) -> Code {
    match code {
        "PROPOSAL_NOT_FOUND" | "EVIDENCE_NOT_FOUND" | "RECEIPT_NOT_FOUND" | "RECORD_NOT_FOUND" => {
            Code::NotFound
        }
        "MALFORMED" | "AMBIGUOUS_PROPOSAL" | "UNKNOWN_STATE" | "SECRET_MATERIAL_REJECTED" => {
            Code::InvalidArgument
        }
        "OPEN_PROPOSALS_EXCEEDED" | "STORE_BUSY" | "WATCHES_EXCEEDED" => Code::ResourceExhausted,
        "STORE_TAMPERED" => Code::DataLoss,
        "STORE_VANISHED"
        | "STORE_LOCKED"
        | "STORE_FULL"
        | "STORE_READ_ONLY"
        | "STORE_CLOSED"
        | "STORE_FAILED"
        | "DATABASE_UNAVAILABLE" => Code::Unavailable,
        "LEASE_NOT_HELD" | "IDENTITY_NOT_ALLOWED" => Code::PermissionDenied,
        "WATCH_OUT_OF_RANGE" => Code::OutOfRange,
        "RECEIPT_DIFFERS" | "ALREADY_RECORDED" => Code::AlreadyExists,
        "INTERNAL" => Code::Internal,
        _ => Code::FailedPrecondition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_broke_is_told_from_an_answer_that_came_too_late() {
        for (status, code) in [
            (Status::cancelled("operation was canceled"), "UNREACHABLE"),
            (Status::unavailable("tcp connect error"), "UNREACHABLE"),
            (Status::cancelled("Timeout expired"), "DEADLINE_EXCEEDED"),
            (
                Status::deadline_exceeded("no answer in time"),
                "DEADLINE_EXCEEDED",
            ),
        ] {
            assert_eq!(from_status(&status).code, code, "{status:?}");
        }
    }

    #[test]
    fn a_refusal_crosses_with_code_and_public_text_and_without_its_detail() {
        let refusal = PublicError::new("PROPOSAL_NOT_FOUND", "no such proposal").with_detail("disk text");
        let status = to_status(&refusal);
        assert_eq!(status.code(), Code::NotFound);
        assert!(!format!("{status:?}").contains("disk text"));
        let back = from_status(&status);
        assert_eq!(
            (back.code.as_ref(), back.public.as_str()),
            ("PROPOSAL_NOT_FOUND", "no such proposal")
        );
    }
}
