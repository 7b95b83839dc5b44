//! Host and origin check. A browser page can make a DNS name resolve to this machine (DNS rebinding); the exact
//! list of hosts and origins rejects such requests.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Version, header};
use synapsor_codes::{ErrorCode, HttpError};

use super::cors::Cors;
use super::refused;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Exact hosts and origins that are accepted.
#[derive(Debug)]
pub(super) struct HostPolicy {
    hosts: Vec<String>,
    origins: Vec<String>,
    cors: Option<Cors>,
}

impl HostPolicy {
    /// Returns the loopback names and the address itself, with the port.
    pub(super) fn of(address: SocketAddr, is_https: bool) -> Self {
        let own = match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        let mut bare = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        if !bare.contains(&own) && !address.ip().is_unspecified() {
            bare.push(own);
        }
        let mut hosts: Vec<String> = bare
            .iter()
            .map(|name| format!("{name}:{}", address.port()))
            .collect();
        let (scheme, port) = if is_https {
            ("https", HTTPS_PORT)
        } else {
            ("http", HTTP_PORT)
        };
        if address.port() == port {
            hosts.extend(bare);
        }
        let origins = hosts.iter().map(|host| format!("{scheme}://{host}")).collect();
        Self {
            hosts,
            origins,
            cors: None,
        }
    }

    /// Adds hosts, origins and the CORS origin.
    pub(super) fn with(mut self, hosts: &[String], origins: &[String], cors: Option<Cors>) -> Self {
        self.hosts.extend_from_slice(hosts);
        self.origins.extend_from_slice(origins);
        self.origins
            .extend(cors.as_ref().map(|cors| cors.origin().to_owned()));
        self.cors = cors;
        self
    }

    fn accepts_host(&self, request: &Request) -> bool {
        let hosts = values(request, header::HOST);
        let in_target = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        // HTTP/2 names the host in the target and may omit the header.
        let is_named = match request.version() {
            Version::HTTP_2 => hosts.len() <= 1 && in_target.is_some(),
            _ => hosts.len() == 1,
        };
        is_named
            && hosts
                .into_iter()
                .chain(in_target)
                .all(|host| is_listed(host, &self.hosts))
    }
}

/// Accepts only requests with one allowed host and at most one `Origin`, which must be allowed. Answers CORS
/// preflight requests.
pub(super) async fn check(State(names): State<Arc<HostPolicy>>, request: Request, next: Next) -> Response {
    if !names.accepts_host(&request) {
        return with_security_headers(not_allowed(ErrorCode::HostNotAllowed, HttpError::HostNotAllowed));
    }
    let origins = values(&request, header::ORIGIN);
    if origins.len() > 1 || !origins.iter().all(|origin| is_listed(origin, &names.origins)) {
        return with_security_headers(not_allowed(
            ErrorCode::OriginNotAllowed,
            HttpError::OriginNotAllowed,
        ));
    }
    let cors = names
        .cors
        .as_ref()
        .filter(|cors| origins.iter().any(|origin| cors.is_for(origin)));
    let Some(cors) = cors else {
        return with_security_headers(next.run(request).await);
    };
    if let Some(answer) = cors.preflight(&request) {
        return with_security_headers(answer);
    }
    let mut response = next.run(request).await;
    cors.open(response.headers_mut());
    with_security_headers(response)
}

fn not_allowed(code: ErrorCode, error: HttpError) -> Response {
    tracing::info!(
        %code,
        status = error.status(),
        reason = error.as_str(),
        "request rejected"
    );
    refused(error)
}

fn with_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn values(request: &Request, name: HeaderName) -> Vec<&[u8]> {
    request
        .headers()
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect()
}

fn is_listed(value: &[u8], list: &[String]) -> bool {
    list.iter()
        .any(|listed| listed.as_bytes().eq_ignore_ascii_case(value))
}
