//! Flags of the HTTP server and their variables, validated before anything is opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Uri};
use synapsor_chassis::http_flags::{
    AuthTokenFlags, BRIDGE_PORT_DEFAULT, HttpServerFlags, PORT_DEFAULT, missing_bearer_token,
};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::sandbox::SandboxPolicy;
use synapsor_chassis::secret::{Secret, SecretError};
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;

use super::authentication::Authenticator;
use super::cors::Cors;
use super::origin::HostPolicy;
use super::static_tokens::{StaticTokens, VariableToken};
use super::tls::{ServerTls, ServerTlsFiles};
use crate::access_tokens::AccessTokenAuthenticator;

const NAMES_MAX: usize = 64;
const SESSION_IDLE_SECONDS_DEFAULT: u64 = 30 * 60;
const SESSION_IDLE_SECONDS_MAX: u64 = 24 * 60 * 60;
const PER_SECOND_DEFAULT: NonZeroU32 = NonZeroU32::new(50).expect("50 is not zero");
const PER_SECOND_MAX: u32 = 100_000;

/// HTTP server options.
#[derive(Debug, clap::Args)]
pub struct HttpFlags {
    /// HTTP listen address; port 0 selects a free port [default: 127.0.0.1:8766, the bridge 127.0.0.1:8765]
    #[arg(long, value_name = "ADDR", env = "SYNAPSOR_GATEWAY_LISTEN")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    token: AuthTokenFlags,
    /// Authenticate callers by access tokens of the issuer in the reader's contract
    #[arg(long, conflicts_with_all = ["auth_token_env", "auth_tokens_file", "dev_no_auth"])]
    access_tokens: bool,
    #[command(flatten)]
    server: HttpServerFlags,
}

/// MCP over HTTP: streamable HTTP or the JSON-RPC bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpProtocol {
    Streamable,
    /// Plain JSON-RPC, as in 0.1.x.
    Bridge,
}

impl HttpProtocol {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Streamable => "streamable-http",
            Self::Bridge => "http-bridge",
        }
    }
}

/// Validated settings of the HTTP server.
#[derive(Debug)]
pub struct HttpSettings {
    pub(crate) wire: HttpProtocol,
    pub(super) listen: SocketAddr,
    pub(super) has_lifeline: bool,
    pub(super) session_idle: Duration,
    pub(super) per_second: NonZeroU32,
    auth: AuthMode,
    tls: Option<ServerTlsFiles>,
    is_https_outside: bool,
    hosts: Vec<String>,
    origins: Vec<String>,
    cors: Option<Cors>,
}

/// Authentication method.
#[derive(Debug)]
enum AuthMode {
    /// No authentication, by explicit flag.
    Open,
    /// Access tokens; `None` until the reader has sent its token policy.
    Issued(Option<Arc<AccessTokenAuthenticator>>),
    Tokens {
        of_variable: Option<VariableToken>,
        file: Option<PathBuf>,
    },
}

/// Flags of [`HttpServerFlags`] that a variable of the gateway can set. Flags that widen access have none.
const VARIABLES: [(&str, &str); 6] = [
    ("auth_token_env", "SYNAPSOR_GATEWAY_AUTH_TOKEN_ENV"),
    ("auth_tokens_file", "SYNAPSOR_GATEWAY_AUTH_TOKENS_FILE"),
    ("tls_server_cert", "SYNAPSOR_GATEWAY_TLS_SERVER_CERT"),
    ("tls_server_key", "SYNAPSOR_GATEWAY_TLS_SERVER_KEY"),
    ("session_idle_seconds", "SYNAPSOR_GATEWAY_SESSION_IDLE_SECONDS"),
    ("rate_per_second", "SYNAPSOR_GATEWAY_RATE_PER_SECOND"),
];

impl HttpFlags {
    /// Adds the variables of the shared flags to a command with these options. The gateway's parent declares the same
    /// flags and passes them on, so they carry no variable themselves.
    pub(crate) fn with_variables(command: clap::Command) -> clap::Command {
        VARIABLES.iter().fold(command, |command, (id, variable)| {
            command.mut_arg(id, |argument| argument.env(variable).hide_env_values(true))
        })
    }

    /// Whether the flag that disables authentication is set; it is valid for HTTP only.
    pub(crate) fn opens_without_token(&self) -> bool {
        self.server.dev_no_auth
    }

    /// Validates the flags for streamable HTTP, and reads the bearer token. With a lifeline the server ends when its
    /// stdin closes.
    ///
    /// # Errors
    /// When a setting is invalid, or settings conflict.
    pub fn resolve(&self, env: &EnvVars, has_lifeline: bool) -> Result<HttpSettings, ExitError> {
        self.resolve_for(HttpProtocol::Streamable, env, has_lifeline)
    }

    pub(crate) fn resolve_for(
        &self,
        wire: HttpProtocol,
        env: &EnvVars,
        has_lifeline: bool,
    ) -> Result<HttpSettings, ExitError> {
        let listen = self.listen(wire);
        let tls = self.tls_files()?;
        let exposure = self.server.listen_policy(listen, tls.is_some());
        exposure.check()?;
        let hosts = checked(&self.server.allowed_hosts, "--allowed-host", is_host)?;
        let origins = checked(&self.server.allowed_origins, "--allowed-origin", is_origin)?;
        let cors: Vec<String> = self.server.cors_origin.iter().cloned().collect();
        let cors = checked(&cors, "--cors-origin", is_origin)?;
        Ok(HttpSettings {
            wire,
            listen,
            has_lifeline,
            session_idle: self.session_idle()?,
            per_second: self.per_second()?,
            auth: self.auth(env)?,
            is_https_outside: tls.is_some() || self.server.tls_terminated,
            tls,
            hosts,
            origins,
            cors: cors.into_iter().next().and_then(Cors::new),
        })
    }

    /// Adds the files and ports that the HTTP server uses to the sandbox policy. Reloaded files may be replaced by
    /// new files, so the policy includes their directories.
    pub(crate) fn needs(
        &self,
        wire: HttpProtocol,
        env: &EnvVars,
        needs: &mut SandboxPolicy,
    ) -> Result<(), ExitError> {
        needs.listened.push(self.listen(wire).port());
        if let Some(files) = self.tls_files()? {
            needs.folder_of(&files.cert);
            needs.folder_of(&files.key);
        }
        if let Some(path) = &self.server.auth_tokens_file {
            needs.folder_of(path);
        }
        let token_file = env.get(&format!("{}_FILE", self.token.auth_token_env))?;
        needs.files.extend(token_file.map(PathBuf::from));
        Ok(())
    }

    fn listen(&self, wire: HttpProtocol) -> SocketAddr {
        let port = match wire {
            HttpProtocol::Streamable => PORT_DEFAULT,
            HttpProtocol::Bridge => BRIDGE_PORT_DEFAULT,
        };
        self.listen
            .unwrap_or_else(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    fn tls_files(&self) -> Result<Option<ServerTlsFiles>, ExitError> {
        let files = self.server.tls_files()?;
        Ok(files.map(|(cert, key)| ServerTlsFiles {
            cert: cert.to_owned(),
            key: key.to_owned(),
        }))
    }

    fn session_idle(&self) -> Result<Duration, ExitError> {
        let seconds = self
            .server
            .session_idle_seconds
            .unwrap_or(SESSION_IDLE_SECONDS_DEFAULT);
        if (1..=SESSION_IDLE_SECONDS_MAX).contains(&seconds) {
            return Ok(Duration::from_secs(seconds));
        }
        let text = "session idle timeout out of range";
        Err(ExitError::new(ErrorCode::SettingInvalid, text).with_fix(format!(
            "set --session-idle-seconds to a number from 1 to {SESSION_IDLE_SECONDS_MAX}"
        )))
    }

    fn per_second(&self) -> Result<NonZeroU32, ExitError> {
        let rate = self.server.rate_per_second.unwrap_or(PER_SECOND_DEFAULT);
        if rate.get() <= PER_SECOND_MAX {
            return Ok(rate);
        }
        let text = "request rate out of range";
        Err(ExitError::new(ErrorCode::SettingInvalid, text).with_fix(format!(
            "set --rate-per-second to a number from 1 to {PER_SECOND_MAX}"
        )))
    }

    fn auth(&self, env: &EnvVars) -> Result<AuthMode, ExitError> {
        if self.server.dev_no_auth {
            return Ok(AuthMode::Open);
        }
        if self.access_tokens {
            return Ok(AuthMode::Issued(None));
        }
        let name = &self.token.auth_token_env;
        let file = self.server.auth_tokens_file.clone();
        let token = if file.is_some() {
            Secret::read_optional(env, name)?
        } else {
            Some(Secret::read(env, name).map_err(token_failure)?)
        };
        let variable = format!("{name}_FILE");
        let origin = match env.get(&variable)? {
            Some(path) => format!("the file {path} of {variable}"),
            None => name.clone(),
        };
        let of_variable = token.map(|token| VariableToken { token, origin });
        Ok(AuthMode::Tokens { of_variable, file })
    }
}

impl HttpSettings {
    /// Sets the access-token verifier, if the reader's contract has a token policy.
    ///
    /// # Errors
    /// `HTTP_ACCESS_TOKENS_REQUIRED` and `HTTP_ACCESS_TOKENS_UNUSED` if the flags and the contract conflict.
    pub(crate) fn require_access_tokens(
        &mut self,
        issued: Option<Arc<AccessTokenAuthenticator>>,
    ) -> Result<(), ExitError> {
        match (&mut self.auth, issued) {
            (AuthMode::Issued(verifier), Some(tokens)) => {
                *verifier = Some(tokens);
                Ok(())
            }
            (AuthMode::Issued(_), None) => {
                let text = "the reader's contract does not take tenant and principal from access tokens";
                Err(ExitError::new(ErrorCode::HttpAccessTokensUnused, text)
                    .with_fix("omit --access-tokens and set a bearer token"))
            }
            (AuthMode::Open | AuthMode::Tokens { .. }, Some(_)) => {
                let text = "the reader's contract takes tenant and principal from callers' access tokens";
                Err(ExitError::new(ErrorCode::HttpAccessTokensRequired, text)
                    .with_fix("pass --access-tokens instead of another authentication method"))
            }
            (AuthMode::Open | AuthMode::Tokens { .. }, None) => Ok(()),
        }
    }

    /// Returns the authentication gate, and the static tokens to reload when their file changes.
    pub(super) fn gate(&self) -> Result<(Arc<Authenticator>, Option<Arc<StaticTokens>>), ExitError> {
        match &self.auth {
            AuthMode::Open => Ok((Arc::new(Authenticator::Open), None)),
            AuthMode::Issued(Some(tokens)) => Ok((Arc::new(Authenticator::Issued(tokens.clone())), None)),
            AuthMode::Issued(None) => Err(ExitError::new(
                ErrorCode::HttpAccessTokensUnused,
                "no access-token policy received from the reader",
            )),
            AuthMode::Tokens { of_variable, file } => {
                let tokens = Arc::new(StaticTokens::load(of_variable.as_ref(), file.as_deref())?);
                Ok((Arc::new(Authenticator::Static(tokens.clone())), Some(tokens)))
            }
        }
    }

    pub(super) fn server_tls(&self) -> Result<Option<ServerTls>, ExitError> {
        self.tls.clone().map(ServerTls::load).transpose()
    }

    /// Returns the hosts and origins that a server at `address` accepts.
    pub(super) fn names(&self, address: SocketAddr) -> HostPolicy {
        HostPolicy::of(address, self.is_https_outside).with(&self.hosts, &self.origins, self.cors.clone())
    }
}

fn token_failure(error: SecretError) -> ExitError {
    match error {
        SecretError::Missing { name } => missing_bearer_token(&name),
        other => other.into(),
    }
}

fn checked(
    values: &[String],
    flag: &'static str,
    is_good: impl Fn(&str) -> bool,
) -> Result<Vec<String>, ExitError> {
    let refused = |text: String| {
        ExitError::new(ErrorCode::SettingInvalid, text).with_fix(match flag {
            "--allowed-host" => "pass HOST or HOST:PORT in lower case, for example mcp.example.com",
            _ => {
                "pass SCHEME://HOST or SCHEME://HOST:PORT in lower case, for example https://app.example.com"
            }
        })
    };
    if values.len() > NAMES_MAX {
        return Err(refused(format!("{flag} is set more than {NAMES_MAX} times")));
    }
    match values.iter().find(|value| !is_good(value)) {
        Some(value) => Err(refused(format!("invalid {flag} {value:?}"))),
        None => Ok(values.to_vec()),
    }
}

/// Accepts exact names only: no pattern, no user info, no form that a client would not send.
fn is_host(text: &str) -> bool {
    let is_plain = text.bytes().all(|b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':' | b'[' | b']')
    });
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let host = authority.host();
    let is_whole = match authority.port_u16() {
        None => text == host,
        Some(port) => text == format!("{host}:{port}"),
    };
    is_plain && is_whole && !host.is_empty()
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    matches!(scheme, "http" | "https") && is_host(host) && text.parse::<Uri>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins_are_exact_names() {
        for host in [
            "mcp.example.com",
            "mcp.example.com:8443",
            "[fd00::1]:1",
            "10.0.0.1",
        ] {
            assert!(is_host(host), "{host}");
            assert!(is_origin(&format!("https://{host}")), "{host}");
        }
        for host in [
            "",
            "*",
            "*.example.com",
            "user@host",
            "host/path",
            "host?x",
            "HOST",
            "a b",
            ":1",
            "host:port",
        ] {
            assert!(!is_host(host), "{host}");
            assert!(!is_origin(&format!("https://{host}")), "{host}");
        }
        for origin in [
            "null",
            "*",
            "example.com",
            "ftp://example.com",
            "file://",
            "https://a/",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}
