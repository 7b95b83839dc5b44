//! Access control in front of every service: identity from the certificate, access table, deadline. It sees
//! headers only; the message of a denied call is never read.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use synapsor_codes::{ERROR_DOMAIN, ErrorCode};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::incoming::ConnectedPeer;
use super::{AccessDenied, AccessTable, ServerLimits};
use crate::identity::PeerIdentity;
use crate::release;
use crate::trace_context::TraceParent;

const GRPC_TIMEOUT: &str = "grpc-timeout";
/// Maximum number of digits in a timeout, as the protocol defines it.
const TIMEOUT_DIGITS_MAX: usize = 8;

/// Deadline of a call. Handlers find it in the request's extensions and use the remaining time for their own
/// calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline of a request, if it has one.
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Self> {
        request.extensions().get::<Self>().copied()
    }

    /// Returns the remaining time; zero after the deadline.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Maximum number of cached certificates; a server has few peers, and they reconnect often.
const PEERS_KEPT_MAX: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct AdmissionLayer {
    access: Arc<AccessTable>,
    limits: Arc<ServerLimits>,
    peers: Arc<PeerIdentityCache>,
}

impl AdmissionLayer {
    pub(super) fn new(access: Arc<AccessTable>, limits: Arc<ServerLimits>) -> Self {
        Self {
            access,
            limits,
            peers: Arc::default(),
        }
    }
}

/// Cache of the identity in each peer certificate. The handshake has verified the certificate, and its content
/// never changes.
#[derive(Debug, Default)]
struct PeerIdentityCache(Mutex<Vec<(CertificateDer<'static>, PeerIdentity)>>);

impl PeerIdentityCache {
    fn identity(&self, certificate: &CertificateDer<'static>) -> Option<PeerIdentity> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, identity)) = kept.iter().find(|(known, _)| known == certificate) {
            return Some(identity.clone());
        }
        let identity = PeerIdentity::from_certificate(certificate).ok()?;
        if kept.len() >= PEERS_KEPT_MAX {
            kept.clear();
        }
        kept.push((certificate.clone(), identity.clone()));
        Some(identity)
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = AccessControl<S>;

    fn layer(&self, inner: S) -> AccessControl<S> {
        AccessControl {
            inner,
            access: self.access.clone(),
            limits: self.limits.clone(),
            peers: self.peers.clone(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct AccessControl<S> {
    inner: S,
    access: Arc<AccessTable>,
    limits: Arc<ServerLimits>,
    peers: Arc<PeerIdentityCache>,
}

type CallResult = Result<http::Response<Body>, Infallible>;

impl<S> Service<http::Request<Body>> for AccessControl<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = CallResult> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let peer = match self.admit(&request) {
            Ok(peer) => peer,
            Err((denied, peer)) => {
                let peer = peer.map(|p| p.uri());
                tracing::warn!(path = request.uri().path(), peer, reason = %denied, "call denied");
                return Box::pin(std::future::ready(Ok(refusal(denied).into_http())));
            }
        };
        if let Some(other) = release::other_release(request.headers()) {
            let why = format!(
                "{peer} is of release {other}, this server of release {}",
                release::RELEASE
            );
            tracing::warn!(path = request.uri().path(), "call denied: {why}");
            let denied = with_code(Code::FailedPrecondition, ErrorCode::PeerReleaseDiffers, why);
            return Box::pin(std::future::ready(Ok(denied.into_http())));
        }
        let span = self.span(&request, &peer);
        let deadline = self.timeout(&request).map(|timeout| Instant::now() + timeout);
        request.extensions_mut().insert(peer);
        if let Some(due) = deadline {
            request.extensions_mut().insert(Deadline(due));
        }
        // Tonic reports its own timeout as `CANCELLED`. This timer is created and polled before tonic's, so the
        // caller gets `DEADLINE_EXCEEDED`.
        let timer = deadline.map(tokio::time::sleep_until);
        let answer = self.inner.call(request);
        Box::pin(within(timer, answer).instrument(span))
    }
}

impl<S> AccessControl<S> {
    fn admit(
        &self,
        request: &http::Request<Body>,
    ) -> Result<PeerIdentity, (AccessDenied, Option<PeerIdentity>)> {
        let peer = peer_of(request, &self.peers).ok_or((AccessDenied::NoIdentity, None))?;
        match self.access.check(request.uri().path(), &peer) {
            Ok(()) => Ok(peer),
            Err(denied) => Err((denied, Some(peer))),
        }
    }

    fn span(&self, request: &http::Request<Body>, peer: &PeerIdentity) -> tracing::Span {
        let metadata = MetadataMap::from_headers(request.headers().clone());
        let trace = TraceParent::extract(&metadata);
        let trace_id = trace.as_ref().map(TraceParent::trace_id);
        tracing::info_span!("call", path = request.uri().path(), %peer, trace_id)
    }

    /// Returns the shorter of the caller's timeout and the server's; streams have only the caller's.
    fn timeout(&self, request: &http::Request<Body>) -> Option<Duration> {
        let wanted = request
            .headers()
            .get(GRPC_TIMEOUT)
            .and_then(|v| v.to_str().ok())
            .and_then(parse_timeout);
        if self.limits.streaming_methods.contains(request.uri().path()) {
            return wanted;
        }
        let ours = self.limits.request_timeout;
        Some(wanted.map_or(ours, |wanted| wanted.min(ours)))
    }
}

async fn within<F>(timer: Option<tokio::time::Sleep>, answer: F) -> CallResult
where
    F: Future<Output = CallResult>,
{
    let Some(timer) = timer else { return answer.await };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = timer => Ok(Status::deadline_exceeded("the call exceeded its deadline").into_http()),
    }
}

fn peer_of(request: &http::Request<Body>, peers: &PeerIdentityCache) -> Option<PeerIdentity> {
    let peer = request.extensions().get::<ConnectedPeer>()?;
    peers.identity(&peer.certificate)
}

fn refusal(denied: AccessDenied) -> Status {
    let code = match denied {
        AccessDenied::NoIdentity => Code::Unauthenticated,
        AccessDenied::OtherDeployment
        | AccessDenied::UnknownService
        | AccessDenied::Role
        | AccessDenied::NotListed => Code::PermissionDenied,
    };
    with_code(code, denied.code(), denied.to_string())
}

fn with_code(status: Code, code: ErrorCode, message: String) -> Status {
    let details = ErrorDetails::with_error_info(code.as_str(), ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(status, message, details)
}

/// Parses `grpc-timeout`: up to eight digits and a unit. Any other value counts as absent.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > TIMEOUT_DIGITS_MAX || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_protocol_timeouts_and_ignores_others() {
        assert_eq!(parse_timeout("2000000u"), Some(Duration::from_secs(2)));
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(
            parse_timeout("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3_600))
        );
        for bad in ["", "S", "5", "123456789S", "-1S", "+1S", "5s", "5é"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }
}
