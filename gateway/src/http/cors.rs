//! CORS for one configured origin. Never allows `*` or browser credentials: the page must hold a bearer token
//! itself.

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, DELETE, OPTIONS");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, mcp-session-id, mcp-protocol-version, last-event-id, mcp-method, mcp-name",
);
const RESPONSE_HEADERS: HeaderValue =
    HeaderValue::from_static("mcp-session-id, mcp-protocol-version, www-authenticate, retry-after");
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// CORS response headers for the allowed origin.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    origin: String,
    value: HeaderValue,
}

impl Cors {
    /// Returns `None` if the origin is not a valid header value.
    pub(super) fn new(origin: String) -> Option<Self> {
        let value = HeaderValue::from_str(&origin).ok()?;
        Some(Self { origin, value })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn is_for(&self, origin: &[u8]) -> bool {
        self.origin.as_bytes().eq_ignore_ascii_case(origin)
    }

    /// Returns the response to a CORS preflight request.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        self.open(headers);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
        Some(response)
    }

    /// Allows the page to read a response.
    pub(super) fn open(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.value.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}
