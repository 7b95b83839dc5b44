//! From an envelope to an MCP tool result, and the envelope for calls that no reader answered.

use rmcp::model::{CallToolResult, ContentBlock, ErrorData};
use serde_json::Value as Json;
use synapsor_chassis::random;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::error::PublicError;
use synapsor_domain::result_envelope::{CallOutcome, FailureResult};
use synapsor_proto::executor::v1::CallCapabilityResponse;

use crate::catalog::Listing;

const CORRELATION_DIGITS: usize = 20;

/// The result of a call that the reader answered.
pub(crate) fn of_reader(answer: &CallCapabilityResponse) -> Result<CallToolResult, PublicError> {
    let envelope: Json = serde_json::from_slice(&answer.envelope_json)
        .map_err(|_| PublicError::new("INTERNAL", "the reader's answer is not an envelope"))?;
    if !envelope.is_object() {
        return Err(PublicError::new(
            "INTERNAL",
            "the reader's answer is not an envelope",
        ));
    }
    Ok(result(envelope, answer.is_error))
}

/// The result of a call that no reader answered.
pub(crate) fn of_refusal(
    listing: &Listing,
    capability: &str,
    format: ResultFormat,
    refusal: &PublicError,
) -> CallToolResult {
    let correlation_id = random::hex_id(CORRELATION_DIGITS);
    tracing::warn!(code = %refusal.code, detail = refusal.detail, correlation_id, "a call failed");
    let failure = CallOutcome::Failure(FailureResult {
        capability,
        kind: listing.kind(capability),
        context: None,
        refusal,
        correlation_id: &correlation_id,
    });
    result(failure.to_json(format), true)
}

/// The same words for a record that is not there, for another tenant's, and for an address that is none.
pub(crate) fn no_such_record() -> ErrorData {
    ErrorData::resource_not_found("no such record", None)
}

/// What a client is told of a record that could not be read.
pub(crate) fn error_of(refusal: &PublicError) -> ErrorData {
    match refusal.code.as_ref() {
        "RECORD_NOT_FOUND" => no_such_record(),
        "LEDGER_UNAVAILABLE" | "EXECUTOR_UNAVAILABLE" | "TOKEN_KEYS_UNAVAILABLE" => {
            ErrorData::internal_error("the records cannot be reached now; try again later", None)
        }
        "WATCHES_EXCEEDED" => ErrorData::internal_error("too many subscriptions are open; end some", None),
        code => {
            tracing::warn!(code, detail = refusal.detail, "records were refused");
            ErrorData::internal_error(
                "the records were refused; the operator finds the reason in the log",
                None,
            )
        }
    }
}

/// The envelope as structured content, and the same as text for clients that read only that.
pub(crate) fn result(envelope: Json, is_error: bool) -> CallToolResult {
    let text = ContentBlock::text(format!("{envelope:#}"));
    let mut result = if is_error {
        CallToolResult::error(vec![text])
    } else {
        CallToolResult::success(vec![text])
    };
    result.structured_content = Some(envelope);
    result
}
