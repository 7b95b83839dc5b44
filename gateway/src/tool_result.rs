//! Converts result envelopes to MCP tool results, and builds the envelope of calls that the reader did not answer.

use rmcp::model::{CallToolResult, ContentBlock, ErrorData, MetaObject};
use serde_json::Value as Json;
use serde_json::value::{RawValue, to_raw_value};
use synapsor_chassis::random;
use synapsor_chassis::refusal_cause::{self, RefusalCause};
use synapsor_codes::ErrorCode;
use synapsor_domain::agent_view::status_envelope;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::error::PublicError;
use synapsor_domain::result_envelope::{CallOutcome, FailureResult, model_text};
use synapsor_proto::executor::v1::CapabilityResult;
use synapsor_proto::ledger::v1::AgentRecordServiceGetProposalResponse as Record;

use crate::catalog::ToolList;
use crate::http::PlainResult;

const CORRELATION_DIGITS: usize = 20;

/// Result envelope as the bytes of the reader or of this process, and its text for models and for clients that read
/// text only.
#[derive(Debug)]
pub(crate) struct EnvelopeResult {
    envelope: Box<RawValue>,
    text: String,
    is_error: bool,
}

impl EnvelopeResult {
    /// Takes the reader's response, without changing a byte.
    pub(crate) fn of_reader(answer: CapabilityResult) -> Result<Self, PublicError> {
        let envelope = String::from_utf8(answer.envelope_json).ok();
        let envelope = envelope.and_then(|text| RawValue::from_string(text).ok());
        let is_complete =
            |envelope: &RawValue| envelope.get().starts_with('{') && !answer.model_text.is_empty();
        let envelope = envelope.filter(|envelope| is_complete(envelope));
        let invalid = || {
            PublicError::new(
                ErrorCode::Internal,
                "the reader's response is not a result envelope",
            )
        };
        Ok(Self {
            envelope: envelope.ok_or_else(invalid)?,
            text: answer.model_text,
            is_error: answer.is_error,
        })
    }

    /// Converts the ledger's record of a proposal to the result of the status tool.
    pub(crate) fn of_status(record: &Record, format: ResultFormat) -> Result<Self, PublicError> {
        let json: Option<Json> = serde_json::from_slice(&record.record_json).ok();
        let envelope = json.and_then(|json| status_envelope(&json, format));
        let invalid = || PublicError::new(ErrorCode::Internal, "the record of the proposal is invalid");
        envelope
            .map(|envelope| Self::of_envelope(&envelope, format, false))
            .ok_or_else(invalid)
    }

    /// Builds the result of a call that the reader did not answer.
    pub(crate) fn of_refusal(
        listing: &ToolList,
        capability: &str,
        format: ResultFormat,
        refusal: &PublicError,
    ) -> Self {
        let correlation_id = random::hex_id(CORRELATION_DIGITS);
        tracing::warn!(code = %refusal.code, detail = refusal.detail, correlation_id, "call failed");
        refusal_cause::record(RefusalCause {
            code: refusal.code,
            correlation_id: Some(correlation_id.clone()),
            text: refusal.detail.clone(),
            fix: refusal.operator_fix.clone(),
        });
        let failure = CallOutcome::Failure(FailureResult {
            capability,
            kind: listing.kind(capability),
            context: None,
            refusal,
            correlation_id: &correlation_id,
        });
        Self::of_envelope(&failure.to_json(format), format, true)
    }

    fn of_envelope(envelope: &Json, format: ResultFormat, is_error: bool) -> Self {
        Self {
            text: model_text(envelope, format),
            envelope: to_raw_value(envelope).expect("JSON values have a text"),
            is_error,
        }
    }

    /// Converts it to the result of a request that rmcp serves.
    pub(crate) fn into_mcp(self, meta: MetaObject) -> CallToolResult {
        let envelope: Option<Json> = serde_json::from_str(self.envelope.get()).ok();
        if envelope.is_none() {
            tracing::error!(
                "the result envelope is deeper than the parser's limit; only its text is returned"
            );
        }
        let mut result = mcp_result(self.text, envelope, self.is_error);
        result.meta = Some(meta);
        result
    }

    /// Converts it to the result of a plain call.
    pub(crate) fn into_plain(self, meta: MetaObject) -> PlainResult {
        PlainResult {
            content: vec![ContentBlock::text(self.text)],
            structured_content: Some(self.envelope),
            is_error: self.is_error,
            meta: Some(meta),
        }
    }
}

/// Same error for missing, foreign-tenant and malformed ids.
pub(crate) fn no_such_record() -> ErrorData {
    ErrorData::resource_not_found("no such record", None)
}

/// Converts an error of a record read to an MCP error.
pub(crate) fn error_of(refusal: &PublicError) -> ErrorData {
    match refusal.code {
        ErrorCode::RecordNotFound => no_such_record(),
        ErrorCode::LedgerUnavailable
        | ErrorCode::ExecutorUnavailable
        | ErrorCode::TokenKeysUnavailable
        | ErrorCode::TokenKeysUnreadable => {
            ErrorData::internal_error("the records cannot be reached now; try again later", None)
        }
        ErrorCode::WatchesExceeded => {
            ErrorData::internal_error("too many open subscriptions; close some", None)
        }
        code => {
            tracing::warn!(%code, detail = refusal.detail, "ledger request rejected");
            ErrorData::internal_error("ledger request rejected; see the gateway log", None)
        }
    }
}

/// Returns the envelope as structured content, and as text for models and for clients that read text only.
pub(crate) fn result(envelope: Json, format: ResultFormat, is_error: bool) -> CallToolResult {
    mcp_result(model_text(&envelope, format), Some(envelope), is_error)
}

fn mcp_result(text: String, envelope: Option<Json>, is_error: bool) -> CallToolResult {
    let text = ContentBlock::text(text);
    let mut result = if is_error {
        CallToolResult::error(vec![text])
    } else {
        CallToolResult::success(vec![text])
    };
    result.structured_content = envelope;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_keys_that_cannot_be_used_are_unavailable() {
        for code in [ErrorCode::TokenKeysUnavailable, ErrorCode::TokenKeysUnreadable] {
            let message = error_of(&PublicError::new(code, "")).message;
            assert!(message.contains("try again later"), "{code}: {message}");
        }
    }

    #[test]
    fn only_complete_responses_of_the_reader_are_results() {
        let of = |envelope: &str, text: &str| {
            EnvelopeResult::of_reader(CapabilityResult {
                envelope_json: envelope.as_bytes().to_vec(),
                model_text: text.to_owned(),
                is_error: false,
                code: None,
            })
        };
        let result = of(r#"{"n":1.50}"#, "text")
            .unwrap()
            .into_plain(MetaObject::default());
        assert_eq!(result.structured_content.unwrap().get(), r#"{"n":1.50}"#);
        for (envelope, text) in [("{}", ""), ("[]", "text"), ("{", "text"), ("", "text")] {
            assert_eq!(
                of(envelope, text).unwrap_err().code,
                ErrorCode::Internal,
                "{envelope}"
            );
        }
    }
}
