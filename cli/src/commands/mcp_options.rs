//! Options that the commands for MCP servers and clients share: transport, tools, HTTP listener and
//! authentication.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::ValueEnum;
use synapsor_chassis::exposure::ListenPolicy;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;

use super::tool_names::NameOptions;
use crate::Context;
use crate::supervisor::{GatewayAuth, GatewayProtocol, Http, ToolListOptions};

pub(super) const PORT_DEFAULT: u16 = 8766;
const BRIDGE_PORT_DEFAULT: u16 = 8765;
pub(super) const TOKEN_ENV_DEFAULT: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportArg {
    /// JSON lines on stdin and stdout
    Stdio,
    /// HTTP at /mcp
    #[value(alias = "http")]
    StreamableHttp,
}

impl TransportArg {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable-http",
        }
    }
}

/// Exposed tools and result format.
#[derive(Debug, clap::Args)]
pub(crate) struct ToolOptions {
    /// Expose read tools only
    #[arg(long)]
    pub(super) read_only: bool,
    /// Result envelope version, 1 or 2 [default: the contract's]
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(super) result_format: Option<u8>,
    #[command(flatten)]
    pub(super) names: NameOptions,
}

impl ToolOptions {
    pub(super) fn shown(&self) -> ToolListOptions {
        ToolListOptions {
            format: self.result_format,
            names: self.names.mode(),
        }
    }
}

/// HTTP listener and authentication.
#[derive(Debug, clap::Args)]
pub(crate) struct HttpOptions {
    /// Listen address
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Listen port; 0 picks a free one [default: 8766, with serve-http 8765]
    #[arg(long)]
    port: Option<u16>,
    /// Variable with the bearer token; NAME_FILE names a file instead
    #[arg(long, value_name = "NAME", default_value = TOKEN_ENV_DEFAULT)]
    auth_token_env: String,
    /// File with more bearer tokens, one `name token` per line, mode 0600; reloaded on change
    #[arg(long, value_name = "PATH")]
    auth_tokens_file: Option<PathBuf>,
    /// Serve without a token; for development on loopback
    #[arg(long)]
    dev_no_auth: bool,
    /// Accept remote connections; requires a token, and TLS here or in a proxy
    #[arg(long)]
    allow_remote: bool,
    /// TLS is terminated by a reverse proxy
    #[arg(long)]
    tls_terminated: bool,
    /// TLS server certificate, PEM, leaf first; reloaded on change
    #[arg(long, value_name = "PATH", requires = "tls_server_key")]
    tls_server_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM, mode 0600
    #[arg(long, value_name = "PATH", requires = "tls_server_cert")]
    tls_server_key: Option<PathBuf>,
    /// Additional allowed Host header value; repeatable
    #[arg(long = "allowed-host", value_name = "HOST")]
    allowed_hosts: Vec<String>,
    /// Additional allowed Origin header value; repeatable
    #[arg(long = "allowed-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<String>,
    /// Origin allowed by CORS [default: none]
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Option<String>,
    /// Session idle timeout in seconds [default: 1800]
    #[arg(long, value_name = "SECONDS")]
    session_idle_seconds: Option<u64>,
    /// Per-caller rate limit in requests per second (burst: 4x) [default: 50]
    #[arg(long, value_name = "COUNT")]
    rate_per_second: Option<u32>,
}

impl HttpOptions {
    /// Resolves the HTTP settings of the gateway; invalid settings are rejected before anything is started.
    pub(super) fn resolve(
        &self,
        wire: GatewayProtocol,
        context: &Context,
        contract: &Contract,
        shown: ToolListOptions,
    ) -> Result<Http, ExitError> {
        let port = self.port.unwrap_or(match wire {
            GatewayProtocol::Streamable => PORT_DEFAULT,
            GatewayProtocol::Bridge => BRIDGE_PORT_DEFAULT,
        });
        let listen = SocketAddr::new(self.host, port);
        let exposure = ListenPolicy {
            listen,
            is_authenticated: !self.dev_no_auth,
            is_remote_allowed: self.allow_remote,
            has_tls: self.tls_server_cert.is_some(),
            is_tls_terminated: self.tls_terminated,
            allowed_hosts: self.allowed_hosts.len(),
        };
        exposure.check()?;
        Ok(Http {
            wire,
            listen,
            is_https: self.tls_server_cert.is_some(),
            auth: self.auth(context, contract)?,
            more: self.more(),
            shown,
        })
    }

    /// Selects the authentication: access tokens if the contract requires them, else the variable with the
    /// token if set, else the token file, which is then required.
    fn auth(&self, context: &Context, contract: &Contract) -> Result<GatewayAuth, ExitError> {
        if let Some(source) = contract.tokens() {
            if self.dev_no_auth || self.auth_tokens_file.is_some() {
                let text = "the contract takes tenant and principal from callers' access tokens";
                return Err(ExitError::new(ErrorCode::HttpAccessTokensRequired, text)
                    .with_fix("remove --dev-no-auth and --auth-tokens-file"));
            }
            return Ok(GatewayAuth::AccessTokens {
                issuer: source.policy.issuer.clone(),
            });
        }
        if self.dev_no_auth {
            return Ok(GatewayAuth::Open);
        }
        let name = &self.auth_token_env;
        let is_set = context.env.get(name)?.is_some() || context.env.get(&format!("{name}_FILE"))?.is_some();
        if is_set {
            return Ok(GatewayAuth::Token(name.clone()));
        }
        if self.auth_tokens_file.is_some() {
            return Ok(GatewayAuth::TokensFile);
        }
        let text = format!("HTTP needs a bearer token, and {name} is not set");
        Err(
            ExitError::new(ErrorCode::HttpAuthTokenMissing, text).with_fix(format!(
                "set {name} to a long random string, or {name}_FILE to the path of a 0600 file"
            )),
        )
    }

    /// Flags that are passed to the gateway unchanged.
    fn more(&self) -> Vec<OsString> {
        let mut more = Vec::new();
        let mut flag = |name: &str, value: OsString| more.extend([name.into(), value]);
        let paths = [
            ("--auth-tokens-file", &self.auth_tokens_file),
            ("--tls-server-cert", &self.tls_server_cert),
            ("--tls-server-key", &self.tls_server_key),
        ];
        for (name, path) in paths {
            path.iter().for_each(|path| flag(name, path.clone().into()));
        }
        for host in &self.allowed_hosts {
            flag("--allowed-host", host.into());
        }
        for origin in &self.allowed_origins {
            flag("--allowed-origin", origin.into());
        }
        self.cors_origin
            .iter()
            .for_each(|origin| flag("--cors-origin", origin.into()));
        self.session_idle_seconds
            .iter()
            .for_each(|seconds| flag("--session-idle-seconds", seconds.to_string().into()));
        self.rate_per_second
            .iter()
            .for_each(|rate| flag("--rate-per-second", rate.to_string().into()));
        let words = [
            ("--allow-remote", self.allow_remote),
            ("--tls-terminated", self.tls_terminated),
        ];
        more.extend(
            words
                .iter()
                .filter(|(_, is_set)| *is_set)
                .map(|(word, _)| word.into()),
        );
        more
    }
}
