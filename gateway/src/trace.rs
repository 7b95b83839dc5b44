//! Trace of a request, as its client names it. A malformed value counts as absent.

use http::HeaderMap;
use synapsor_chassis::trace_context::{TRACEPARENT, TraceParent};

/// Returns the trace of the header; several headers count as none.
pub(crate) fn of_headers(headers: &HeaderMap) -> Option<TraceParent> {
    let mut named = headers.get_all(TRACEPARENT).iter();
    match (named.next(), named.next()) {
        (Some(only), None) => only.to_str().ok()?.parse().ok(),
        _ => None,
    }
}
