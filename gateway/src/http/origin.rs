//! Under which names the gateway answers. A page in a browser can make a name of its own point at this machine;
//! the exact list of hosts and origins is what keeps it out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::refused;

const HTTP_PORT: u16 = 80;

/// The exact hosts and origins that are accepted.
#[derive(Debug)]
pub(super) struct Names {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Names {
    /// The loopback names and the address itself, with the port.
    pub(super) fn of(address: SocketAddr) -> Self {
        let own = match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        let mut bare = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        if !bare.contains(&own) {
            bare.push(own);
        }
        let mut hosts: Vec<String> = bare
            .iter()
            .map(|name| format!("{name}:{}", address.port()))
            .collect();
        if address.port() == HTTP_PORT {
            hosts.extend(bare);
        }
        let origins = hosts.iter().map(|host| format!("http://{host}")).collect();
        Self { hosts, origins }
    }

    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    pub(super) fn origins(&self) -> &[String] {
        &self.origins
    }
}

/// Lets a request through only with one accepted `Host` and, if it has one, one accepted `Origin`.
pub(super) async fn check(State(names): State<Arc<Names>>, request: Request, next: Next) -> Response {
    let hosts = values(&request, header::HOST);
    let named_in_target = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let mut named = hosts.iter().copied().chain(named_in_target);
    if hosts.len() != 1 || !named.all(|host| is_listed(host, &names.hosts)) {
        return refused(StatusCode::FORBIDDEN, "host_not_allowed");
    }
    let origins = values(&request, header::ORIGIN);
    if origins.len() > 1 || !origins.iter().all(|origin| is_listed(origin, &names.origins)) {
        return refused(StatusCode::FORBIDDEN, "origin_not_allowed");
    }
    let mut response = next.run(request).await;
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
