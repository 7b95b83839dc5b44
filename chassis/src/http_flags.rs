//! Flags of the HTTP server, declared once: the gateway resolves them, and the command line that starts a gateway
//! passes them on.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use synapsor_codes::ErrorCode;

use crate::exposure::ListenPolicy;
use crate::run::ExitError;

/// Default port of streamable HTTP.
pub const PORT_DEFAULT: u16 = 8766;
/// Default port of the JSON-RPC bridge.
pub const BRIDGE_PORT_DEFAULT: u16 = 8765;
/// Default variable of the bearer token.
pub const AUTH_TOKEN_ENV_DEFAULT: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";

/// Variable of the static bearer token.
#[derive(Debug, Clone, clap::Args)]
pub struct AuthTokenFlags {
    /// Environment variable with the bearer token; NAME_FILE names a file instead
    #[arg(long, value_name = "NAME", default_value = AUTH_TOKEN_ENV_DEFAULT)]
    pub auth_token_env: String,
}

/// Options of an HTTP server, except address and authentication method.
#[derive(Debug, Clone, clap::Args)]
pub struct HttpServerFlags {
    /// File with more bearer tokens, one `name token` per line, mode 0600; reloaded on change
    #[arg(long, value_name = "PATH")]
    pub auth_tokens_file: Option<PathBuf>,
    /// Serve without a token; for development on loopback
    #[arg(long)]
    pub dev_no_auth: bool,
    /// Accept remote connections; requires a token, and TLS here or in a proxy
    #[arg(long)]
    pub allow_remote: bool,
    /// TLS is terminated by a reverse proxy
    #[arg(long)]
    pub tls_terminated: bool,
    /// TLS server certificate, PEM, leaf first; reloaded on change; with --tls-server-key
    #[arg(long, value_name = "PATH")]
    pub tls_server_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM, mode 0600
    #[arg(long, value_name = "PATH")]
    pub tls_server_key: Option<PathBuf>,
    /// Additional allowed Host header value, HOST or HOST:PORT; repeatable
    #[arg(long = "allowed-host", value_name = "HOST")]
    pub allowed_hosts: Vec<String>,
    /// Additional allowed Origin header value, SCHEME://HOST[:PORT]; repeatable
    #[arg(long = "allowed-origin", value_name = "ORIGIN")]
    pub allowed_origins: Vec<String>,
    /// Origin allowed by CORS [default: none]
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Option<String>,
    /// Session idle timeout in seconds [default: 1800]
    #[arg(long, value_name = "SECONDS")]
    pub session_idle_seconds: Option<u64>,
    /// Per-caller rate limit in requests per second (burst: 4x) [default: 50]
    #[arg(long, value_name = "COUNT")]
    pub rate_per_second: Option<NonZeroU32>,
}

impl HttpServerFlags {
    /// Returns the policy for an address; `has_tls` if the server has a certificate.
    pub fn listen_policy(&self, listen: SocketAddr, has_tls: bool) -> ListenPolicy {
        ListenPolicy {
            listen,
            is_authenticated: !self.dev_no_auth,
            is_remote_allowed: self.allow_remote,
            has_tls,
            is_tls_terminated: self.tls_terminated,
            allowed_hosts: self.allowed_hosts.len(),
        }
    }

    /// Returns certificate and key of the server, if it has them.
    ///
    /// # Errors
    /// `HTTP_TLS_INCOMPLETE` if only one of them is set.
    pub fn tls_files(&self) -> Result<Option<(&Path, &Path)>, ExitError> {
        match (&self.tls_server_cert, &self.tls_server_key) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (Some(_), None) | (None, Some(_)) => Err(ExitError::new(
                ErrorCode::HttpTlsIncomplete,
                "TLS certificate and key must be set together",
            )
            .with_fix("set both --tls-server-cert and --tls-server-key")),
        }
    }

    /// Returns the flags as arguments of a gateway, except the authentication method.
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: Option<OsString>| {
            arguments.extend(value.into_iter().flat_map(|value| [name.into(), value]));
        };
        let path = |path: &Option<PathBuf>| path.clone().map(OsString::from);
        flag("--auth-tokens-file", path(&self.auth_tokens_file));
        flag("--tls-server-cert", path(&self.tls_server_cert));
        flag("--tls-server-key", path(&self.tls_server_key));
        for host in &self.allowed_hosts {
            flag("--allowed-host", Some(host.into()));
        }
        for origin in &self.allowed_origins {
            flag("--allowed-origin", Some(origin.into()));
        }
        flag("--cors-origin", self.cors_origin.as_ref().map(OsString::from));
        let number = |number: Option<String>| number.map(OsString::from);
        flag(
            "--session-idle-seconds",
            number(self.session_idle_seconds.map(|n| n.to_string())),
        );
        flag(
            "--rate-per-second",
            number(self.rate_per_second.map(|n| n.to_string())),
        );
        let words = [
            ("--allow-remote", self.allow_remote),
            ("--tls-terminated", self.tls_terminated),
        ];
        let set = words.iter().filter(|(_, is_set)| *is_set);
        arguments.extend(set.map(|(word, _)| OsString::from(word)));
        arguments
    }
}

/// Returns the error for a server whose variable `name` has no bearer token.
pub fn missing_bearer_token(name: &str) -> ExitError {
    let text = format!("HTTP requires a bearer token, but {name} is not set");
    ExitError::new(ErrorCode::HttpAuthTokenMissing, text).with_fix(format!(
        "set {name} to a long random string, or {name}_FILE to the path of a 0600 file"
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        http: HttpServerFlags,
    }

    #[test]
    fn arguments_parse_back_to_the_same_flags() {
        let words = [
            "x",
            "--auth-tokens-file=a",
            "--allow-remote",
            "--tls-terminated",
            "--tls-server-cert=b",
            "--tls-server-key=c",
            "--allowed-host=h1",
            "--allowed-host=h2",
            "--allowed-origin=https://o",
            "--cors-origin=https://c",
            "--session-idle-seconds=5",
            "--rate-per-second=7",
        ];
        let given = Arguments::try_parse_from(words).unwrap().http;
        let again = std::iter::once("x".into()).chain(given.to_arguments());
        let again = Arguments::try_parse_from(again).unwrap().http;
        assert_eq!(format!("{given:?}"), format!("{again:?}"));
    }
}
