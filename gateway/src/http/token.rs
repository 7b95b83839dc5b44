//! The bearer token in front of MCP. It opens the door and goes no further: the header is taken off before
//! anything else sees the request, and what is left of it is who the caller is.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::refused;
use super::static_tokens::StaticTokens;
use crate::caller::Caller;

/// Who gets in.
#[derive(Debug)]
pub(super) struct Gate {
    /// `None` lets everybody in; that was asked for explicitly.
    tokens: Option<Arc<StaticTokens>>,
}

impl Gate {
    pub(super) fn new(tokens: Option<Arc<StaticTokens>>) -> Self {
        Self { tokens }
    }

    fn admits(&self, headers: &HeaderMap) -> Option<Caller> {
        let Some(tokens) = &self.tokens else {
            return Some(Caller::Anonymous);
        };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        match (given.next().and_then(bearer), given.next()) {
            (Some(given), None) => tokens.holder(given),
            (Some(_) | None, _) => None,
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Answers 401 without a token, and 400 if the target has a query: nothing here takes one, and tokens in URLs
/// end in logs.
pub(super) async fn authenticate(
    State(gate): State<Arc<Gate>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = gate.admits(request.headers()) else {
        let mut response = refused(StatusCode::UNAUTHORIZED, "unauthorized");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    };
    if request.uri().query().is_some() {
        return refused(StatusCode::BAD_REQUEST, "query_not_allowed");
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

    use super::*;

    #[tokio::test]
    async fn token_opens_the_door_and_goes_no_further() {
        let tokens = StaticTokens::load(Some(&Secret::new("t")), None).unwrap();
        let gate = Arc::new(Gate::new(Some(Arc::new(tokens))));
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
            .header("authorization", "Bearer t")
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
