//! Flags and environment variables of the gateway, resolved and validated before anything is opened.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use synapsor_chassis::grpc_channel::Endpoint;
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::sandbox::SandboxPolicy;
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::tool::AliasMode;

use crate::http::{HttpFlags, HttpProtocol, HttpSettings};

const DATABASE_SCHEMES: [&str; 5] = ["postgres", "postgresql", "mysql", "mariadb", "sqlite"];

/// Transport between client and gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportName {
    /// JSON lines on stdin and stdout, launched by an MCP client
    Stdio,
    /// Streamable HTTP at /mcp
    StreamableHttp,
    /// Legacy: plain JSON-RPC by HTTP POST at /mcp, as in 0.1.x
    HttpBridge,
}

/// Event that stops the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GatewayExitTrigger {
    /// Exit when stdin closes; for HTTP
    Stdin,
    /// Exit when the parent process exits
    Parent,
}

/// Serve the reviewed tools of one reader over MCP. Holds no database credential and cannot approve changes
#[derive(Debug, Parser)]
#[command(name = "synapsor-gateway", version)]
pub struct GatewayArgs {
    /// Client transport [env: SYNAPSOR_GATEWAY_TRANSPORT] [default: stdio]
    #[arg(long, value_enum)]
    transport: Option<TransportName>,
    /// Reader address, host:port [env: SYNAPSOR_GATEWAY_READER]
    #[arg(long, value_name = "ADDR")]
    reader: Option<String>,
    /// Ledger address, host:port; required for resources and tasks [env: SYNAPSOR_GATEWAY_LEDGER]
    #[arg(long, value_name = "ADDR")]
    ledger: Option<String>,
    /// CA certificate, PEM [env: SYNAPSOR_GATEWAY_TLS_CA]
    #[arg(long, value_name = "PATH")]
    tls_ca: Option<PathBuf>,
    /// Gateway certificate, PEM [env: SYNAPSOR_GATEWAY_TLS_CERT]
    #[arg(long, value_name = "PATH")]
    tls_cert: Option<PathBuf>,
    /// Key of the gateway certificate, PEM, mode 0600 [env: SYNAPSOR_GATEWAY_TLS_KEY]
    #[arg(long, value_name = "PATH")]
    tls_key: Option<PathBuf>,
    /// Deployment id that peer certificates must carry [env: SYNAPSOR_GATEWAY_DEPLOYMENT]
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
    /// Result format 1 or 2; 0 uses the contract's setting [env: SYNAPSOR_GATEWAY_RESULT_FORMAT]
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u8).range(0..=2))]
    result_format: Option<u8>,
    /// Listed tool names: canonical, openai (without dots) or both; calls accept either
    /// [env: SYNAPSOR_GATEWAY_ALIAS_MODE] [default: canonical]
    #[arg(long, value_name = "MODE")]
    alias_mode: Option<AliasMode>,
    /// Run file with the gateway's address, written once it serves [env: SYNAPSOR_GATEWAY_RUN_FILE]
    #[arg(long, value_name = "PATH")]
    run_file: Option<PathBuf>,
    /// Exit when the parent closes stdin (HTTP only), or when the parent exits
    #[arg(long, value_enum)]
    lifeline: Option<GatewayExitTrigger>,
    #[command(flatten)]
    http: HttpFlags,
}

/// Validated settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) transport: Transport,
    pub(crate) reader: Endpoint,
    /// Ledger for record reads, if configured.
    pub(crate) ledger: Option<Endpoint>,
    pub(crate) tls: TlsMaterial,
    /// `None` uses the contract's setting.
    pub(crate) result_format: Option<ResultFormat>,
    /// Listed tool names.
    pub(crate) alias_mode: AliasMode,
    pub(crate) run_file: Option<PathBuf>,
    pub(crate) ends_with_parent: bool,
}

/// Transport with its settings.
#[derive(Debug)]
pub(crate) enum Transport {
    Stdio,
    Http(Box<HttpSettings>),
}

impl Settings {
    /// Resolves flags, then environment variables, then defaults.
    pub(crate) fn resolve(flags: GatewayArgs, env: &EnvVars) -> Result<Self, ExitError> {
        let tls = TlsFiles {
            ca: env.require(flags.tls_ca.clone(), "SYNAPSOR_GATEWAY_TLS_CA")?,
            cert: env.require(flags.tls_cert.clone(), "SYNAPSOR_GATEWAY_TLS_CERT")?,
            key: env.require(flags.tls_key.clone(), "SYNAPSOR_GATEWAY_TLS_KEY")?,
        };
        let deployment: String = env.require(flags.deployment.clone(), "SYNAPSOR_GATEWAY_DEPLOYMENT")?;
        let reader: String = env.require(flags.reader.clone(), "SYNAPSOR_GATEWAY_READER")?;
        let format = match flags.result_format {
            Some(format) => format,
            None => env.parse("SYNAPSOR_GATEWAY_RESULT_FORMAT")?.unwrap_or(0),
        };
        let run_file = run_file(&flags, env)?;
        Ok(Self {
            transport: transport(&flags, env)?,
            ends_with_parent: flags.lifeline == Some(GatewayExitTrigger::Parent),
            reader: Endpoint::new(Role::Reader, reader),
            ledger: ledger(&flags, env)?.map(|address| Endpoint::new(Role::Ledger, address)),
            tls: own_certificate(&tls, &deployment)?,
            result_format: wished_format(format)?,
            alias_mode: env.choose(
                flags.alias_mode,
                "SYNAPSOR_GATEWAY_ALIAS_MODE",
                AliasMode::Canonical,
            )?,
            run_file,
        })
    }
}

/// Returns the sandbox policy that these settings require; opens nothing.
pub(crate) fn needs(flags: &GatewayArgs, env: &EnvVars) -> Result<SandboxPolicy, ExitError> {
    let own = [
        env.require(flags.tls_ca.clone(), "SYNAPSOR_GATEWAY_TLS_CA")?,
        env.require(flags.tls_cert.clone(), "SYNAPSOR_GATEWAY_TLS_CERT")?,
        env.require(flags.tls_key.clone(), "SYNAPSOR_GATEWAY_TLS_KEY")?,
    ];
    let mut needs = SandboxPolicy {
        files: own.to_vec(),
        ..SandboxPolicy::default()
    };
    needs.allow_connect(&env.require::<String>(flags.reader.clone(), "SYNAPSOR_GATEWAY_READER")?);
    if let Some(address) = ledger(flags, env)? {
        needs.allow_connect(&address);
    }
    if let Some(path) = run_file(flags, env)? {
        needs.allow_write_dir_of(&path);
    }
    match transport_name(flags, env)? {
        TransportName::Stdio => {}
        TransportName::StreamableHttp => flags.http.needs(HttpProtocol::Streamable, env, &mut needs)?,
        TransportName::HttpBridge => flags.http.needs(HttpProtocol::Bridge, env, &mut needs)?,
    }
    Ok(needs)
}

fn ledger(flags: &GatewayArgs, env: &EnvVars) -> Result<Option<String>, ExitError> {
    match &flags.ledger {
        Some(address) => Ok(Some(address.clone())),
        None => Ok(env.get("SYNAPSOR_GATEWAY_LEDGER")?),
    }
}

impl GatewayArgs {
    /// Returns the path of the run file; `None` also if its variable is not readable, which [`Settings`] reports.
    pub fn run_file(&self) -> Option<PathBuf> {
        run_file(self, &EnvVars::of_process()).ok().flatten()
    }
}

fn run_file(flags: &GatewayArgs, env: &EnvVars) -> Result<Option<PathBuf>, ExitError> {
    match &flags.run_file {
        Some(path) => Ok(Some(path.clone())),
        None => Ok(env.parse("SYNAPSOR_GATEWAY_RUN_FILE")?),
    }
}

fn transport_name(flags: &GatewayArgs, env: &EnvVars) -> Result<TransportName, ExitError> {
    if let Some(name) = flags.transport {
        return Ok(name);
    }
    match env.get("SYNAPSOR_GATEWAY_TRANSPORT")? {
        None => Ok(TransportName::Stdio),
        Some(text) => TransportName::from_str(&text, false).map_err(|_| {
            ExitError::new(
                ErrorCode::SettingInvalid,
                "SYNAPSOR_GATEWAY_TRANSPORT: unknown transport",
            )
            .with_fix("set it to stdio, streamable-http or http-bridge")
        }),
    }
}

fn transport(flags: &GatewayArgs, env: &EnvVars) -> Result<Transport, ExitError> {
    let ends_with_stdin = flags.lifeline == Some(GatewayExitTrigger::Stdin);
    let http = |wire| {
        let settings = flags.http.resolve_for(wire, env, ends_with_stdin)?;
        Ok(Transport::Http(Box::new(settings)))
    };
    match transport_name(flags, env)? {
        TransportName::StreamableHttp => http(HttpProtocol::Streamable),
        TransportName::HttpBridge => http(HttpProtocol::Bridge),
        TransportName::Stdio if ends_with_stdin || flags.http.opens_without_token() => Err(ExitError::new(
            ErrorCode::FlagNeedsHttp,
            "--lifeline stdin and --dev-no-auth require HTTP",
        )
        .with_fix("omit them, or add --transport streamable-http")),
        TransportName::Stdio => Ok(Transport::Stdio),
    }
}

fn own_certificate(files: &TlsFiles, deployment: &str) -> Result<TlsMaterial, ExitError> {
    let tls = files.load()?;
    let identity = tls.identity();
    if identity.role() == Role::Gateway && identity.deployment() == deployment {
        return Ok(tls);
    }
    let message = format!("the certificate identifies {identity}, not a gateway of deployment {deployment}");
    Err(ExitError::new(ErrorCode::TlsCertificateWrongRole, message)
        .with_fix("set the gateway's own certificate and its deployment"))
}

fn wished_format(number: u8) -> Result<Option<ResultFormat>, ExitError> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(ResultFormat::V1)),
        2 => Ok(Some(ResultFormat::V2)),
        _ => Err(ExitError::new(
            ErrorCode::SettingInvalid,
            "SYNAPSOR_GATEWAY_RESULT_FORMAT: expected 0, 1 or 2",
        )
        .with_fix("set it to 2")),
    }
}

/// Returns the result format: the setting, else the contract's, else 1 as in 0.1.x, with a warning.
pub(crate) fn result_format(wished: Option<ResultFormat>, of_contract: Option<ResultFormat>) -> ResultFormat {
    let format = wished.or(of_contract).unwrap_or(ResultFormat::V1);
    if wished.is_none() && format == ResultFormat::V1 {
        tracing::warn!(
            "using result format 1; set \"result_format\": 2 in the contract or pass --result-format 2"
        );
    }
    format
}

/// Rejects environment variables whose value looks like a database URL, whatever their name: a process that serves
/// agents must not hold one.
pub(crate) fn refuse_database_urls(env: &EnvVars) -> Result<(), ExitError> {
    let holds_url = |name: &String| matches!(env.get(name), Ok(Some(value)) if has_database_url(&value));
    let names: Vec<String> = env.names().into_iter().filter(holds_url).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the gateway's environment contains database URLs: {}",
        names.join(", ")
    );
    Err(ExitError::new(ErrorCode::GatewayHoldsDatabaseUrl, message)
        .with_fix(format!("start it without them: env -u {} …", names.join(" -u "))))
}

fn has_database_url(value: &str) -> bool {
    let is_scheme_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    value.match_indices("://").any(|(at, _)| {
        let before = &value[..at];
        let scheme = &before[before.trim_end_matches(is_scheme_char).len()..];
        // `mysql+driver://` begins with the database name.
        let database = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
        DATABASE_SCHEMES.contains(&database.as_str())
    })
}

#[cfg(test)]
mod tests {
    use synapsor_codes::Exit;

    use super::*;

    #[test]
    fn finds_database_urls_under_any_name_and_spelling() {
        for value in [
            "postgres://u:p@h/d",
            "PostgreSQL://h/d",
            "jdbc:mysql://h/d",
            "mysql+pymysql://h/d",
            "x mariadb://h",
            "sqlite:///tmp/x.db",
        ] {
            let error = refuse_database_urls(&EnvVars::fixed([("INNOCENT", value)])).unwrap_err();
            assert_eq!(
                (error.code(), error.exit()),
                (ErrorCode::GatewayHoldsDatabaseUrl, Exit::Usage),
                "{value}"
            );
            assert!(
                error.message().contains("INNOCENT") && !error.message().contains("://"),
                "{error}"
            );
        }
        let harmless = [
            ("B", "postgres"),
            ("C", "://"),
            ("D", "http://mysql"),
            ("E", "notmysql://h"),
        ];
        assert!(refuse_database_urls(&EnvVars::fixed(harmless)).is_ok());
    }

    #[test]
    fn result_format_setting_overrides_contract_default_is_1() {
        assert_eq!(
            result_format(Some(ResultFormat::V2), Some(ResultFormat::V1)),
            ResultFormat::V2
        );
        assert_eq!(result_format(None, Some(ResultFormat::V2)), ResultFormat::V2);
        assert_eq!(result_format(None, None), ResultFormat::V1);
    }
}
