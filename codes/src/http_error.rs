//! Errors of the HTTP endpoint that are not MCP messages: `{"ok": false, "error": "…"}` with a status.

macro_rules! http_errors {
    ($($(#[doc = $meaning:literal])+ $name:ident = $text:literal, $status:literal;)+) => {
        /// Error word of an HTTP response, with its status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum HttpError {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl HttpError {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the word in the response.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Returns the HTTP status.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }

            /// Returns what the error means, as one sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($meaning),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

http_errors! {
    /// The request target has a query string.
    QueryNotAllowed = "query_not_allowed", 400;
    /// The request body cannot be read.
    BodyUnreadable = "body_unreadable", 400;
    /// The session id is not one that this gateway issues.
    SessionIdInvalid = "session_id_invalid", 400;
    /// The bearer token is missing or invalid.
    Unauthorized = "unauthorized", 401;
    /// The access token lacks the scope that this message needs.
    InsufficientScope = "insufficient_scope", 403;
    /// The `Host` header is not on the list of allowed hosts.
    HostNotAllowed = "host_not_allowed", 403;
    /// The `Origin` header is not on the list of allowed origins.
    OriginNotAllowed = "origin_not_allowed", 403;
    /// No such path.
    NotFound = "not_found", 404;
    /// The session is unknown, has ended, or belongs to another caller.
    SessionNotFound = "session_not_found", 404;
    /// The path does not serve this HTTP method.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The request body did not arrive in time.
    BodyTimeout = "body_timeout", 408;
    /// The request body is larger than the limit.
    BodyTooLarge = "body_too_large", 413;
    /// The request body is compressed.
    ContentEncodingNotAccepted = "content_encoding_not_accepted", 415;
    /// The content type is not `application/json`.
    ContentTypeNotJson = "content_type_not_json", 415;
    /// The caller has too many requests in progress.
    CallerBusy = "busy", 429;
    /// The caller sent more requests than its rate limit.
    RateLimited = "rate_limited", 429;
    /// The session has too many open streams.
    TooManyStreams = "too_many_streams", 429;
    /// The gateway has too many requests or callers in progress.
    GatewayBusy = "busy", 503;
    /// The gateway has its maximum number of sessions.
    TooManySessions = "too_many_sessions", 503;
    /// The keys that verify access tokens are unavailable.
    TokensUnavailable = "tokens_unavailable", 503;
    /// The request was not answered in time.
    RequestTimeout = "request_timeout", 504;
}
