//! From an envelope to an MCP tool result, and the envelope for calls that no reader answered.

use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::Value as Json;
use synapsor_chassis::random;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::envelope::{Failure, Outcome};
use synapsor_domain::refusal::Refusal;
use synapsor_proto::executor::v1::CallCapabilityResponse;

use crate::catalog::Listing;

const CORRELATION_DIGITS: usize = 20;

/// The result of a call that the reader answered.
pub(crate) fn of_reader(answer: &CallCapabilityResponse) -> Result<CallToolResult, Refusal> {
    let envelope: Json = serde_json::from_slice(&answer.envelope_json)
        .map_err(|_| Refusal::new("INTERNAL", "the reader's answer is not an envelope"))?;
    if !envelope.is_object() {
        return Err(Refusal::new("INTERNAL", "the reader's answer is not an envelope"));
    }
    Ok(result(envelope, answer.is_error))
}

/// The result of a call that no reader answered.
pub(crate) fn of_refusal(
    listing: &Listing,
    capability: &str,
    format: ResultFormat,
    refusal: &Refusal,
) -> CallToolResult {
    let correlation_id = random::hex_id(CORRELATION_DIGITS);
    tracing::warn!(code = %refusal.code, detail = refusal.detail, correlation_id, "a call failed");
    let failure = Outcome::Failure(Failure {
        capability,
        kind: listing.kind(capability),
        context: None,
        refusal,
        correlation_id: &correlation_id,
    });
    result(failure.to_json(format), true)
}

/// The envelope as structured content, and the same as text for clients that read only that.
fn result(envelope: Json, is_error: bool) -> CallToolResult {
    let text = ContentBlock::text(format!("{envelope:#}"));
    let mut result = if is_error {
        CallToolResult::error(vec![text])
    } else {
        CallToolResult::success(vec![text])
    };
    result.structured_content = Some(envelope);
    result
}
