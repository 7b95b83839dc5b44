//! The client side of a gRPC connection: mutual TLS to a server of a stated role, opened when first needed, with
//! deadlines and plain words when nobody answers.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use tonic::transport::{self, Channel};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::identity::{PeerIdentity, Role};
use crate::run::ExitError;
use crate::tls::{TlsError, TlsMaterial};

/// How long a call may take unless the caller says otherwise.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;

/// A server to be dialled. Displays as `<role> at <address>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The role that the server's certificate must state.
    pub role: Role,
    /// `host:port`.
    pub address: String,
    /// The instance that the server's certificate must state; `None` accepts every instance of the role.
    pub instance: Option<String>,
}

impl Endpoint {
    /// Any server of `role` at `address` (`host:port`).
    pub fn new(role: Role, address: impl Into<String>) -> Self {
        Self {
            role,
            address: address.into(),
            instance: None,
        }
    }

    /// The same target, of one instance only.
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

/// Why no channel can be made.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The address is not `host:port`.
    #[error("the address of the {role} is not host:port")]
    BadAddress { role: Role },
    /// Nobody serves in this role.
    #[error("a {0} serves no connections")]
    NoServer(Role),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The transport refuses the settings.
    #[error("the channel cannot be made: {0}")]
    Transport(String),
}

impl ChannelError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadAddress { .. } | Self::NoServer(_) => "ADDRESS_INVALID",
            Self::Tls(error) => error.code(),
            Self::Transport(_) => "CHANNEL_UNUSABLE",
        }
    }
}

impl From<ChannelError> for ExitError {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Tls(inner) => inner.into(),
            ChannelError::BadAddress { .. } | ChannelError::NoServer(_) => {
                ExitError::usage(error.code(), error.to_string())
                    .with_fix("give host:port, for example 127.0.0.1:7443")
            }
            ChannelError::Transport(_) => ExitError::new(error.code(), error.to_string()),
        }
    }
}

/// A channel to `target`. Nothing is dialled before the first call, and the connection is made anew when it
/// breaks. The server must present a certificate of our authority with the role's DNS name and an identity of our
/// deployment, the target's role and, when given, its instance.
///
/// # Errors
/// When the address has no usable form. An unreachable server shows at the first call; see [`explain`].
pub fn connect(tls: &TlsMaterial, target: &Endpoint) -> Result<Channel, ChannelError> {
    if !target.role.serves() {
        return Err(ChannelError::NoServer(target.role));
    }
    let address = checked(target)?;
    let verifier = tls.peer_verifier(target.role, target.instance.clone())?;
    let endpoint = transport::Endpoint::from_shared(format!("https://{address}"))
        .map_err(|_| ChannelError::BadAddress { role: target.role })?
        .tls_config_with_verifier(tls.client_config(target.role), verifier)
        .map_err(|e| ChannelError::Transport(e.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX);
    Ok(endpoint.connect_lazy())
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

/// A request with a deadline that the server is told. It counts from the moment at which the connection stands;
/// put [`within`] around the call to count the dialling as well.
pub fn with_deadline<T>(message: T, within: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(within);
    request
}

/// Gives `call`, with the dialling that it may need, `limit` to answer; afterwards, and when tonic reports a
/// timeout of its own, the status is `DEADLINE_EXCEEDED`.
///
/// # Errors
/// The status of the call.
pub async fn with_timeout<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(Err(status)) if is_timeout(&status) => Err(Status::deadline_exceeded("no answer in time")),
        Ok(outcome) => outcome,
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

/// Whether `status` says that no answer came from the server itself: nobody listens, the handshake failed, or
/// the connection broke. The call may or may not have had an effect.
pub fn is_unreachable(status: &Status) -> bool {
    // What a server sends has no local cause; what the transport makes up has one.
    status.source().is_some() && !is_timeout(status)
}

/// Whether the call ran out of time, in any of the forms in which that is reported.
pub fn is_timeout(status: &Status) -> bool {
    let local = status.code() == Code::Cancelled && status.message().contains("Timeout expired");
    local || status.code() == Code::DeadlineExceeded
}

/// The failure to show when a call to `target` did not reach it, was too slow or was not admitted; `None` when
/// the server gave an answer of its own.
pub fn status_to_error(status: &Status, target: &Endpoint) -> Option<ExitError> {
    if is_timeout(status) {
        let failure = ExitError::unreachable(
            "DEADLINE_EXCEEDED",
            format!("the {target} did not answer in time"),
        );
        return Some(failure.with_fix("try again; look at its log when it happens again"));
    }
    if is_unreachable(status) {
        let failure = ExitError::unreachable("UNREACHABLE", format!("the {target} cannot be reached"));
        return Some(failure.with_fix(format!(
            "check that the {} runs there, and that its certificate and yours come from the same authority and \
             are not expired",
            target.role
        )));
    }
    let refused = match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => status.message().split_once(": "),
        _ => None,
    };
    let (code, why) = refused.filter(|(code, _)| code.starts_with("PEER_") || *code == "SERVICE_UNKNOWN")?;
    let failure = ExitError::new(
        code.to_owned(),
        format!("the {target} refuses this certificate: {why}"),
    );
    Some(failure.with_fix("use a certificate of a role that may call this service"))
}

/// Asks the server's health service for anything; the quickest way to find out whether the server can be reached.
/// A server that answers is reached, whatever it reports: one that is not healthy can still be stopped.
///
/// # Errors
/// What [`explain`] says.
pub async fn check_health(channel: &Channel, target: &Endpoint, limit: Duration) -> Result<(), ExitError> {
    is_serving(channel, target, limit).await.map(drop)
}

/// Whether the server reports that it is healthy.
///
/// # Errors
/// As [`probe`].
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
            ExitError::unreachable("NOT_SERVING", format!("the {target} answers but does not serve"))
        })),
    }
}

/// The identity of the caller, as the server's gate found it. `None` only outside a server of ours.
pub fn caller<T>(request: &Request<T>) -> Option<&PeerIdentity> {
    request.extensions().get::<PeerIdentity>()
}
