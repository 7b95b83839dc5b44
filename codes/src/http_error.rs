//! Errors of the HTTP endpoint that are not MCP messages: `{"ok": false, "error": "…", "message": "…"}` with a status.

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

            /// Returns the cause and the next step, as one sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($meaning),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

http_errors! {
    /// The request target has a query string: call `/mcp` without one.
    QueryNotAllowed = "query_not_allowed", 400;
    /// The request body cannot be read: send it whole.
    BodyUnreadable = "body_unreadable", 400;
    /// The session id is not one that this gateway issues: send one `Mcp-Session-Id`, as `initialize` returned it.
    SessionIdInvalid = "session_id_invalid", 400;
    /// The `MCP-Protocol-Version` header names a revision that is not served: send the one that `initialize` returned.
    RevisionNotServed = "protocol_version_not_served", 400;
    /// The bearer token is missing or invalid: send one `Authorization: Bearer` header with a valid token.
    Unauthorized = "unauthorized", 401;
    /// The access token lacks the scope that this message needs: request the scope that `WWW-Authenticate` names.
    InsufficientScope = "insufficient_scope", 403;
    /// The `Host` header is not on the list of allowed hosts: start the server with `--allowed-host`.
    HostNotAllowed = "host_not_allowed", 403;
    /// The `Origin` header is not on the list of allowed origins: start the server with `--allowed-origin`.
    OriginNotAllowed = "origin_not_allowed", 403;
    /// No such path: the MCP endpoint is `/mcp`.
    NotFound = "not_found", 404;
    /// The session is unknown, has ended, or belongs to another caller: call `initialize` without `Mcp-Session-Id`.
    SessionNotFound = "session_not_found", 404;
    /// The path does not serve this HTTP method: send MCP messages by `POST`.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The `Accept` header does not accept the types of the response: send `Accept: application/json, text/event-stream`, or
    /// `*/*`.
    NotAcceptable = "not_acceptable", 406;
    /// The request body did not arrive in time: send the request again.
    BodyTimeout = "body_timeout", 408;
    /// The request body is larger than the limit of 1 MiB: send a smaller one.
    BodyTooLarge = "body_too_large", 413;
    /// The request body is compressed: send it without `Content-Encoding`.
    ContentEncodingNotAccepted = "content_encoding_not_accepted", 415;
    /// The content type is not `application/json`: send JSON with this content type.
    ContentTypeNotJson = "content_type_not_json", 415;
    /// The caller has too many requests in progress: wait for one to end.
    CallerBusy = "busy", 429;
    /// The session, or the caller outside its sessions, sent more requests than its rate limit: wait as long as `Retry-After` states.
    RateLimited = "rate_limited", 429;
    /// The session has too many open streams: close one.
    TooManyStreams = "too_many_streams", 429;
    /// The gateway failed to process the request: its log has the cause.
    GatewayFailed = "gateway_failed", 500;
    /// The gateway has too many requests or callers in progress: wait as long as `Retry-After` states.
    GatewayBusy = "busy", 503;
    /// The gateway has its maximum number of sessions: wait as long as `Retry-After` states.
    TooManySessions = "too_many_sessions", 503;
    /// The keys that verify access tokens are unavailable: wait as long as `Retry-After` states.
    TokensUnavailable = "tokens_unavailable", 503;
    /// The request was not answered in time: send it again; a repeated proposal finds the open one.
    RequestTimeout = "request_timeout", 504;
}
