//! The bearer token in front of MCP. It opens the door and goes no further: the header is taken off before
//! anything else sees the request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq as _;
use synapsor_chassis::secret::Secret;

use super::refused;

/// Who gets in.
#[derive(Debug)]
pub(super) struct Gate {
    /// `None` lets everybody in; that was asked for explicitly.
    token: Option<Secret>,
}

impl Gate {
    pub(super) fn new(token: Option<Secret>) -> Self {
        Self { token }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        match (given.next().and_then(bearer), given.next()) {
            // Unequal lengths differ at once; only the length of the token can be learned by that.
            (Some(given), None) => bool::from(given.ct_eq(token.expose().as_bytes())),
            (Some(_) | None, _) => false,
        }
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Answers 401 without the token, and 400 if the target has a query: nothing here takes one, and tokens in URLs
/// end in logs.
pub(super) async fn authenticate(
    State(gate): State<Arc<Gate>>,
    mut request: Request,
    next: Next,
) -> Response {
    if !gate.admits(request.headers()) {
        let mut response = refused(StatusCode::UNAUTHORIZED, "unauthorized");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    if request.uri().query().is_some() {
        return refused(StatusCode::BAD_REQUEST, "query_not_allowed");
    }
    request.headers_mut().remove(header::AUTHORIZATION);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn token_opens_the_door_and_goes_no_further() {
        let gate = Arc::new(Gate::new(Some(Secret::new("t"))));
        let inside = |headers: HeaderMap| async move { format!("{headers:?}") };
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
            seen.contains("x-kept") && !seen.contains("authorization"),
            "{seen}"
        );
    }
}
