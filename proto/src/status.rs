//! The only mapping between errors and gRPC statuses. The code is sent as `ErrorInfo.reason` and the public text
//! as the message; the detail is not sent.

use std::collections::HashMap;

use synapsor_codes::{ERROR_DOMAIN, ErrorCode, RpcStatus};
use synapsor_domain::error::PublicError;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Converts an error to a gRPC status.
pub fn to_status(refusal: &PublicError) -> Status {
    let details = ErrorDetails::with_error_info(refusal.code.to_string(), ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(
        grpc_code(refusal.code.rpc_status()),
        refusal.public.clone(),
        details,
    )
}

/// Converts a status to an error. A status without an `ErrorInfo` of this product is classified by its gRPC
/// code.
pub fn from_status(status: &Status) -> PublicError {
    let details = status.get_error_details();
    match details.error_info() {
        Some(info) if info.domain == ERROR_DOMAIN => from_wire(&info.reason, status.message()),
        Some(_) | None => from_transport(status),
    }
}

/// Converts an error that a message carries as text. Only a server of another release sends an unknown code.
pub fn from_wire(code: &str, message: impl Into<String>) -> PublicError {
    match ErrorCode::from_text(code) {
        Some(code) => PublicError::new(code, message),
        None => PublicError::new(ErrorCode::Internal, "the server failed; see its log")
            .with_detail(format!("unknown code {code}: {}", message.into())),
    }
}

const LATE: (ErrorCode, &str) = (ErrorCode::DeadlineExceeded, "the server did not respond in time");

fn from_transport(status: &Status) -> PublicError {
    let (code, public) = match status.code() {
        Code::DeadlineExceeded => LATE,
        // tonic reports its own timeout as a canceled call, and also a connection that breaks during a call.
        Code::Cancelled if status.message() == TimeoutExpired(()).to_string() => LATE,
        Code::Unavailable | Code::Unknown | Code::Cancelled => (
            ErrorCode::Unreachable,
            "the server is unreachable, or the connection broke",
        ),
        Code::PermissionDenied => (
            ErrorCode::IdentityNotAllowed,
            "permission denied for this certificate's role",
        ),
        Code::Unauthenticated => (
            ErrorCode::IdentityMissing,
            "missing or invalid client certificate",
        ),
        Code::ResourceExhausted => (
            ErrorCode::TooLargeOrBusy,
            "the message is too large, or the server is at its limit",
        ),
        Code::Unimplemented => (
            ErrorCode::ServiceNotServed,
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
        | Code::DataLoss => (ErrorCode::Internal, "the server failed; see its log"),
    };
    PublicError::new(code, public).with_detail(format!("{:?}: {}", status.code(), status.message()))
}

const fn grpc_code(status: RpcStatus) -> Code {
    match status {
        RpcStatus::InvalidArgument => Code::InvalidArgument,
        RpcStatus::NotFound => Code::NotFound,
        RpcStatus::AlreadyExists => Code::AlreadyExists,
        RpcStatus::PermissionDenied => Code::PermissionDenied,
        RpcStatus::ResourceExhausted => Code::ResourceExhausted,
        RpcStatus::FailedPrecondition => Code::FailedPrecondition,
        RpcStatus::OutOfRange => Code::OutOfRange,
        RpcStatus::Internal => Code::Internal,
        RpcStatus::Unavailable => Code::Unavailable,
        RpcStatus::DataLoss => Code::DataLoss,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_connection_differs_from_late_response() {
        for (status, code) in [
            (
                Status::cancelled("operation was canceled"),
                ErrorCode::Unreachable,
            ),
            (Status::unavailable("tcp connect error"), ErrorCode::Unreachable),
            (
                Status::cancelled(TimeoutExpired(()).to_string()),
                ErrorCode::DeadlineExceeded,
            ),
            (
                Status::deadline_exceeded("no answer in time"),
                ErrorCode::DeadlineExceeded,
            ),
        ] {
            assert_eq!(from_status(&status).code, code, "{status:?}");
        }
    }

    #[test]
    fn status_carries_code_and_public_text_without_detail() {
        let refusal =
            PublicError::new(ErrorCode::ProposalNotFound, "no such proposal").with_detail("disk text");
        let status = to_status(&refusal);
        assert_eq!(status.code(), Code::NotFound);
        assert!(!format!("{status:?}").contains("disk text"));
        let back = from_status(&status);
        assert_eq!(
            (back.code, back.public.as_str()),
            (ErrorCode::ProposalNotFound, "no such proposal")
        );
    }
}
