//! Authenticates the bearer token and strips the `Authorization` header. Later layers see only the [`Caller`].

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use synapsor_codes::{ErrorCode, HttpError};
use synapsor_domain::access_token::TokenScope;

use super::static_tokens::StaticTokens;
use super::{refused, refused_for_now};
use crate::access_tokens::{AccessTokenAuthenticator, Rejection};
use crate::caller::Caller;
use crate::message_validation::ValidatedMessage;

/// Authentication of requests.
#[derive(Debug)]
pub(super) enum Authenticator {
    /// No authentication; requires an explicit flag.
    Open,
    /// Static tokens that the operator configured.
    Static(Arc<StaticTokens>),
    /// Access tokens of the issuer that the contract names.
    Issued(Arc<AccessTokenAuthenticator>),
}

impl Authenticator {
    /// Authenticates a request. The error is the response to send.
    async fn admit(&self, headers: &HeaderMap) -> Result<Caller, Box<Response>> {
        let given = match self {
            Self::Open => return Ok(Caller::Anonymous),
            Self::Static(_) | Self::Issued(_) => single_bearer_header(headers),
        };
        match (self, given) {
            (Self::Open, _) => Ok(Caller::Anonymous),
            (Self::Static(tokens), given) => given
                .and_then(|given| tokens.find_caller(given).ok_or("unknown static token"))
                .map_err(|reason| Box::new(no_token(reason, "Bearer"))),
            (Self::Issued(tokens), Err(reason)) => {
                Err(Box::new(no_token(reason, &tokens.challenge(None, None))))
            }
            (Self::Issued(tokens), Ok(given)) => {
                let token = std::str::from_utf8(given).unwrap_or_default();
                tokens.identify(token).await.map_err(|rejection| {
                    Box::new(match rejection {
                        Rejection::Refused(why) => {
                            unauthorized(&tokens.challenge(Some(("invalid_token", why)), None))
                        }
                        Rejection::Unavailable => refused_for_now(HttpError::TokensUnavailable, 1),
                    })
                })
            }
        }
    }

    /// Returns an error response if the caller's token lacks the scope for this message. The message itself
    /// decides, not a header that describes it.
    pub(super) fn refusal(&self, caller: &Caller, message: &ValidatedMessage) -> Option<Response> {
        let (Self::Issued(tokens), Caller::Bearer(bearer)) = (self, caller) else {
            return None;
        };
        let needed = tokens.needed(message.method.as_deref()?, message.name.as_deref())?;
        let is_open = match needed {
            TokenScope::Read => bearer.may_read,
            TokenScope::Propose => bearer.may_propose,
        };
        if is_open {
            return None;
        }
        tracing::info!(
            code = %ErrorCode::ScopeInsufficient,
            status = HttpError::InsufficientScope.status(),
            scope = tokens.scope_name(needed),
            reason = bearer.shortfall,
            "access token lacks a scope"
        );
        let why = ("insufficient_scope", "insufficient scope");
        let challenge = tokens.challenge(Some(why), Some(needed));
        Some(challenged(HttpError::InsufficientScope, &challenge))
    }
}

/// Rejects several `Authorization` headers, because a proxy could use another one than the gateway. The error is the
/// reason for the log.
fn single_bearer_header(headers: &HeaderMap) -> Result<&[u8], &'static str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => Err("the request has no `Authorization` header"),
        (Some(_), Some(_)) => Err("the request has several `Authorization` headers"),
        (Some(one), None) => bearer(one).ok_or("the `Authorization` header has another scheme than `Bearer`"),
    }
}

fn no_token(reason: &str, challenge: &str) -> Response {
    tracing::info!(
        code = %ErrorCode::BearerTokenRefused,
        status = HttpError::Unauthorized.status(),
        reason,
        "request rejected"
    );
    unauthorized(challenge)
}

fn unauthorized(challenge: &str) -> Response {
    challenged(HttpError::Unauthorized, challenge)
}

fn challenged(error: HttpError, challenge: &str) -> Response {
    let mut response = refused(error);
    // Issuers, audiences and scopes of a contract are printable ASCII.
    if let Ok(challenge) = HeaderValue::from_str(challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Rejects requests without a valid token (401) and requests whose target has a query (400). No route takes a
/// query, and tokens in URLs end up in logs.
pub(super) async fn authenticate(
    State(gate): State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match gate.admit(request.headers()).await {
        Ok(caller) => caller,
        Err(response) => return *response,
    };
    if request.uri().query().is_some() {
        return refused(HttpError::QueryNotAllowed);
    }
    request.headers_mut().remove(header::AUTHORIZATION);
    request.extensions_mut().insert(caller);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use synapsor_chassis::secret::Secret;
    use tower::ServiceExt as _;

    use super::super::static_tokens::VariableToken;
    use super::*;

    #[tokio::test]
    async fn bearer_header_is_stripped_after_authentication() {
        let given = VariableToken {
            token: Secret::new("a-token-of-this-test"),
            origin: String::new(),
        };
        let tokens = StaticTokens::load(Some(&given), None).unwrap();
        let gate = Arc::new(Authenticator::Static(Arc::new(tokens)));
        let inside = |request: Request| async move {
            format!(
                "{:?} {:?}",
                request.extensions().get::<Caller>(),
                request.headers()
            )
        };
        let routes = Router::new()
            .route("/", get(inside))
            .layer(from_fn_with_state(gate, authenticate));
        let request = Request::builder()
            .header("authorization", "Bearer a-token-of-this-test")
            .header("x-kept", "1");
        let response = routes
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        let seen = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            seen.contains("token:default") && seen.contains("x-kept") && !seen.contains("authorization"),
            "{seen}"
        );
    }
}
