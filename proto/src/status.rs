//! The only mapping between errors and gRPC statuses. The code is sent as `ErrorInfo.reason` and the public text
//! as the message; the detail is not sent.

use std::collections::HashMap;

use synapsor_domain::error::PublicError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Domain of every `ErrorInfo` that this product sends.
pub const ERROR_DOMAIN: &str = "synapsor.runner";

/// Converts an error to a gRPC status.
pub fn to_status(refusal: &PublicError) -> Status {
    let details = ErrorDetails::with_error_info(refusal.code.to_string(), ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(grpc_code(&refusal.code), refusal.public.clone(), details)
}

/// Converts a status to an error. A status without an `ErrorInfo` of this product is classified by its gRPC
/// code.
pub fn from_status(status: &Status) -> PublicError {
    let details = status.get_error_details();
    match details.error_info() {
        Some(info) if info.domain == ERROR_DOMAIN => {
            PublicError::from_peer(info.reason.clone(), status.message().to_owned())
        }
        Some(_) | None => from_transport(status),
    }
}

const LATE: (&str, &str) = ("DEADLINE_EXCEEDED", "the server did not respond in time");

fn from_transport(status: &Status) -> PublicError {
    let (code, public) = match status.code() {
        Code::DeadlineExceeded => LATE,
        // tonic reports its own timeout as a canceled call, and also a connection that breaks during a call.
        Code::Cancelled if status.message().contains("Timeout expired") => LATE,
        Code::Unavailable | Code::Unknown | Code::Cancelled => (
            "UNREACHABLE",
            "the server is unreachable, or the connection broke",
        ),
        Code::PermissionDenied => (
            "IDENTITY_NOT_ALLOWED",
            "permission denied for this certificate's role",
        ),
        Code::Unauthenticated => ("IDENTITY_MISSING", "missing or invalid client certificate"),
        Code::ResourceExhausted => (
            "TOO_LARGE_OR_BUSY",
            "the message is too large, or the server is at its limit",
        ),
        Code::Unimplemented => (
            "SERVICE_NOT_SERVED",
            "the server at this address does not implement this RPC",
        ),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => ("INTERNAL", "the server failed; see its log"),
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
    fn broken_connection_differs_from_late_response() {
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
    fn status_carries_code_and_public_text_without_detail() {
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
