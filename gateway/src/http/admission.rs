//! Limits on what is admitted: requests at once, seconds and bytes of a body, the shape of its JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};
use synapsor_domain::limits::MCP_BODY_BYTES_MAX;
use tokio::sync::Semaphore;

use super::refused;
use crate::inbound;

const REQUESTS_IN_FLIGHT_MAX: usize = 64;
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The places for requests that are under way.
#[derive(Debug)]
pub(super) struct Admission(Semaphore);

impl Admission {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(REQUESTS_IN_FLIGHT_MAX))
    }
}

/// Reads and checks the body of a POST; other methods have none that counts.
pub(super) async fn admit(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    let Ok(_place) = admission.0.try_acquire() else {
        let mut response = refused(StatusCode::SERVICE_UNAVAILABLE, "busy");
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(response) => return *response,
    };
    match inbound::check(&body) {
        Ok(arguments) => {
            let mut request = Request::from_parts(parts, Body::from(body));
            request.extensions_mut().insert(arguments);
            next.run(request).await
        }
        Err(bad) => {
            let headers = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::BAD_REQUEST, headers, inbound::error_line(&body, bad)).into_response()
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Box<Response>> {
    let mut request = Request::new(body);
    DefaultBodyLimit::max(MCP_BODY_BYTES_MAX).apply(&mut request);
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Box::new(refused(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")))
        }
        Ok(Err(_)) => Err(Box::new(refused(StatusCode::BAD_REQUEST, "body_unreadable"))),
        Err(_) => Err(Box::new(refused(StatusCode::REQUEST_TIMEOUT, "body_timeout"))),
    }
}
