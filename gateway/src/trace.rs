//! Trace of a request, as its client names it. A malformed value counts as absent.

use http::{HeaderMap, HeaderName};
use synapsor_chassis::trace_context::{TRACEPARENT, TraceParent};

use crate::headers::sole;

/// Returns the trace of the header; several headers count as none.
pub(crate) fn of_headers(headers: &HeaderMap) -> Option<TraceParent> {
    let named = sole(headers, &HeaderName::from_static(TRACEPARENT)).ok()??;
    named.parse().ok()
}
