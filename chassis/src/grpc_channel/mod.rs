//! gRPC client connections: mutual TLS to a server of a given role, opened on first use, with deadlines and clear
//! errors for unreachable servers.

mod channel;

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use synapsor_codes::{ERROR_DOMAIN, ErrorCode};
use tonic::transport;
use tonic::{Code, Request, Status, TimeoutExpired};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::identity::{PeerIdentity, Role};
use crate::release;
use crate::run::ExitError;
use crate::tls::failure::{CauseKind, certificate_cause};
use crate::tls::{TlsError, TlsMaterial};

pub use channel::Channel;

/// Default call timeout.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;

/// Server address and expected identity. Displays as `<role> at <address>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Role that the server's certificate must carry.
    pub role: Role,
    /// Address as `host:port`.
    pub address: String,
    /// Instance that the server's certificate must carry; `None` accepts every instance of the role.
    pub instance: Option<String>,
}

impl Endpoint {
    /// Returns an endpoint for any server of `role` at `address` (`host:port`).
    pub fn new(role: Role, address: impl Into<String>) -> Self {
        Self {
            role,
            address: address.into(),
            instance: None,
        }
    }

    /// Restricts the endpoint to one instance.
    #[must_use]
    pub fn of_instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.role, self.address)
    }
}

/// Reason why a channel cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The address is not `host:port`.
    #[error("the address of the {role} is not host:port")]
    BadAddress { role: Role },
    /// No server exists in this role.
    #[error("a {0} serves no connections")]
    NoServer(Role),
    /// The certificates are invalid.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The transport rejects the settings.
    #[error("cannot create the channel: {0}")]
    Transport(String),
}

impl ChannelError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::BadAddress { .. } | Self::NoServer(_) => ErrorCode::AddressInvalid,
            Self::Tls(error) => error.code(),
            Self::Transport(_) => ErrorCode::ChannelUnusable,
        }
    }
}

impl From<ChannelError> for ExitError {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Tls(inner) => inner.into(),
            ChannelError::BadAddress { .. } | ChannelError::NoServer(_) => {
                ExitError::new(error.code(), error.to_string())
                    .with_fix("pass host:port, for example 127.0.0.1:7443")
            }
            ChannelError::Transport(_) => ExitError::new(error.code(), error.to_string()),
        }
    }
}

/// Creates a channel to `target`. It connects on the first call and reconnects after a failure. The server must
/// present a certificate of a trusted CA with the role's DNS name. Its identity must match the deployment, the target's
/// role and, if given, its instance.
///
/// # Errors
/// When the address is malformed. An unreachable server fails at the first call; see [`status_to_error`].
pub fn connect(tls: &TlsMaterial, target: &Endpoint) -> Result<Channel, ChannelError> {
    if !target.role.serves() {
        return Err(ChannelError::NoServer(target.role));
    }
    let address = checked(target)?;
    // The connector encrypts: for the transport the stream is plain.
    let endpoint = transport::Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| ChannelError::BadAddress { role: target.role })?
        .user_agent(release::user_agent())
        .map_err(|e| ChannelError::Transport(e.to_string()))?
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX);
    Ok(Channel::new(endpoint, tls.clone(), target))
}

fn checked(target: &Endpoint) -> Result<&str, ChannelError> {
    let bad = ChannelError::BadAddress { role: target.role };
    let authority: http::uri::Authority = match target.address.parse() {
        Ok(authority) => authority,
        Err(_) => return Err(bad),
    };
    let usable = authority.port_u16().is_some_and(|port| port != 0)
        && !authority.host().is_empty()
        && !target.address.contains('@');
    if usable { Ok(&target.address) } else { Err(bad) }
}

/// Builds a request with a deadline that is sent to the server. It starts when the connection is established; wrap
/// the call in [`with_timeout`] to include connecting.
pub fn with_deadline<T>(message: T, within: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(within);
    request
}

/// Limits `call`, including connecting, to `limit`. On a timeout, also one reported by tonic, the status is
/// `DEADLINE_EXCEEDED`.
///
/// # Errors
/// The status of the call.
pub async fn with_timeout<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(Err(status)) if is_timeout(&status) => Err(Status::deadline_exceeded("no response in time")),
        Ok(outcome) => outcome,
        Err(_) => Err(Status::deadline_exceeded("no response in time")),
    }
}

/// Whether no response came from the server itself: connection refused, handshake failed, or connection lost. The
/// call may or may not have had an effect.
pub fn is_unreachable(status: &Status) -> bool {
    // A status that the transport creates has a local cause; a status from the server has none.
    status.source().is_some() && !is_timeout(status)
}

/// Whether the call timed out, in any of the forms in which that is reported.
pub fn is_timeout(status: &Status) -> bool {
    // A server sends its own timeout as a canceled call, distinguished only by this text.
    let expired = TimeoutExpired(()).to_string();
    (status.code() == Code::Cancelled && status.message() == expired)
        || status.code() == Code::DeadlineExceeded
}

/// Returns the error for a call to `target` that was not delivered, timed out or was denied; `None` if the server
/// sent its own response.
pub fn status_to_error(status: &Status, target: &Endpoint) -> Option<ExitError> {
    if is_timeout(status) {
        let failure = ExitError::new(ErrorCode::DeadlineExceeded, format!("{target} timed out"));
        return Some(failure.with_fix("retry; check its log if the timeout repeats"));
    }
    if is_unreachable(status) {
        return Some(unreachable(status, target));
    }
    let code = denied_code(status)?;
    let why = status.message();
    if code == ErrorCode::PeerReleaseDiffers {
        let failure = ExitError::new(code, format!("{target} rejected the call: {why}"));
        return Some(failure.with_fix("install the same release of all processes, and restart them"));
    }
    let failure = ExitError::new(code, format!("{target} rejected this certificate: {why}"));
    Some(failure.with_fix("use a certificate of a role that may call this service"))
}

fn unreachable(status: &Status, target: &Endpoint) -> ExitError {
    let Some(cause) = certificate_cause(status) else {
        return ExitError::new(ErrorCode::Unreachable, format!("{target} is unreachable")).with_fix(format!(
            "check that the {} is running, and its address",
            target.role
        ));
    };
    let text = &cause.text;
    match cause.kind {
        CauseKind::OwnRejected => ExitError::new(
            ErrorCode::TlsCertificateRejected,
            format!("no connection to the {target}: {text}"),
        )
        .with_fix("issue a new certificate, or correct the clock of this machine or of the server"),
        CauseKind::OwnEnded | CauseKind::Peer => {
            ExitError::new(ErrorCode::Unreachable, format!("{target} is unreachable: {text}"))
                .with_fix("issue a new certificate, or correct the clock or the CA")
        }
    }
}

/// Returns the code with which the server's access table denied the call.
fn denied_code(status: &Status) -> Option<ErrorCode> {
    let info = status.get_details_error_info()?;
    let code = ErrorCode::from_text(&info.reason).filter(|_| info.domain == ERROR_DOMAIN)?;
    let is_denial = matches!(
        code,
        ErrorCode::PeerIdentityInvalid
            | ErrorCode::PeerDeploymentRefused
            | ErrorCode::PeerRoleRefused
            | ErrorCode::PeerNotListed
            | ErrorCode::ServiceUnknown
            | ErrorCode::PeerReleaseDiffers
    );
    is_denial.then_some(code)
}

/// Calls the server's health service, to check that the server is reachable. An unhealthy server also counts as
/// reachable: it can still be stopped.
///
/// # Errors
/// As [`status_to_error`].
pub async fn check_health(channel: &Channel, target: &Endpoint, limit: Duration) -> Result<(), ExitError> {
    is_serving(channel, target, limit).await.map(drop)
}

/// Whether the server reports that it is healthy.
///
/// # Errors
/// As [`check_health`].
pub async fn is_serving(channel: &Channel, target: &Endpoint, limit: Duration) -> Result<bool, ExitError> {
    let mut health = HealthClient::new(channel.clone());
    let request = with_deadline(
        HealthCheckRequest {
            service: String::new(),
        },
        limit,
    );
    match with_timeout(limit, health.check(request)).await {
        Ok(answer) => Ok(answer.into_inner().status() == ServingStatus::Serving),
        Err(status) => Err(status_to_error(&status, target).unwrap_or_else(|| {
            ExitError::new(
                ErrorCode::NotServing,
                format!("{target} is reachable but NOT_SERVING"),
            )
        })),
    }
}

/// Returns the identity of the peer, as the server's access control found it. `None` only outside a
/// [`GrpcServer`](crate::grpc_server::GrpcServer).
pub fn caller<T>(request: &Request<T>) -> Option<&PeerIdentity> {
    request.extensions().get::<PeerIdentity>()
}
