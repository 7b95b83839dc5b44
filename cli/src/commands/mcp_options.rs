//! Options that the commands for MCP servers and clients share: transport, tools, HTTP listener and
//! authentication.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::ValueEnum;
use synapsor_chassis::http_flags::{
    AuthTokenFlags, BRIDGE_PORT_DEFAULT, HttpServerFlags, PORT_DEFAULT, missing_bearer_token,
};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;

use super::tool_names::NameOptions;
use crate::Context;
use crate::supervisor::{GatewayAuth, GatewayProtocol, Http, ToolListOptions};

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
    #[arg(long, value_name = "1|2", value_parser = result_format)]
    pub(super) result_format: Option<u8>,
    /// Accepted for 0.1.x; servers of one store share its ledger
    #[arg(long, hide = true)]
    allow_concurrent_store: bool,
    /// Accepted for 0.1.x; every command is local unless it names running services
    #[arg(long, hide = true)]
    local: bool,
    #[command(flatten)]
    pub(super) names: NameOptions,
}

/// Reads a result format as here and in 0.1.x.
pub(super) fn result_format(text: &str) -> Result<u8, String> {
    match text {
        "1" | "v1" => Ok(1),
        "2" | "v2" => Ok(2),
        _ => Err("1 or 2".to_owned()),
    }
}

impl ToolOptions {
    pub(super) fn shown(&self) -> ToolListOptions {
        ToolListOptions {
            format: self.result_format,
            names: self.names.mode(),
            profile: self.names.profile(),
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
    #[command(flatten)]
    token: AuthTokenFlags,
    #[command(flatten)]
    server: HttpServerFlags,
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
        let has_tls = self.server.tls_files()?.is_some();
        let exposure = self.server.listen_policy(listen, has_tls);
        exposure.check()?;
        Ok(Http {
            wire,
            listen,
            is_https: has_tls,
            auth: self.auth(context, contract)?,
            more: self.server.to_arguments(),
            shown,
        })
    }

    /// Selects the authentication: access tokens if the contract requires them, else the variable with the
    /// token if set, else the token file, which is then required.
    fn auth(&self, context: &Context, contract: &Contract) -> Result<GatewayAuth, ExitError> {
        if let Some(source) = contract.tokens() {
            if self.server.dev_no_auth || self.server.auth_tokens_file.is_some() {
                let text = "the contract takes tenant and principal from callers' access tokens";
                return Err(ExitError::new(ErrorCode::HttpAccessTokensRequired, text)
                    .with_fix("remove --dev-no-auth and --auth-tokens-file"));
            }
            return Ok(GatewayAuth::AccessTokens {
                issuer: source.policy.issuer.clone(),
            });
        }
        if self.server.dev_no_auth {
            return Ok(GatewayAuth::Open);
        }
        let name = &self.token.auth_token_env;
        let file = context.env.get(&format!("{name}_FILE"))?;
        if file.is_some() || context.env.get(name)?.is_some() {
            return Ok(GatewayAuth::Token {
                variable: name.clone(),
                file,
            });
        }
        if self.server.auth_tokens_file.is_some() {
            return Ok(GatewayAuth::TokensFile);
        }
        Err(missing_bearer_token(name))
    }
}
