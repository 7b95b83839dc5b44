//! Command line of the gateway: a flag overrides the environment, which overrides the default. Everything is
//! validated before anything is opened.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser, ValueEnum};
use synapsor_chassis::grpc_channel::Endpoint;
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::sandbox::SandboxPolicy;
use synapsor_chassis::settings::{EnvVars, SettingError, required};
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::tool::{AliasMode, SchemaProfile};

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
    /// Client transport
    #[arg(long, value_enum, default_value = "stdio", env = "SYNAPSOR_GATEWAY_TRANSPORT")]
    transport: TransportName,
    /// Reader address, host:port
    #[arg(long, value_name = "ADDR", env = "SYNAPSOR_GATEWAY_READER")]
    reader: Option<String>,
    /// Ledger address, host:port; required for resources and tasks
    #[arg(long, value_name = "ADDR", env = "SYNAPSOR_GATEWAY_LEDGER")]
    ledger: Option<String>,
    /// CA certificate, PEM
    #[arg(
        long,
        value_name = "PATH",
        env = "SYNAPSOR_GATEWAY_TLS_CA",
        hide_env_values = true
    )]
    tls_ca: Option<PathBuf>,
    /// Gateway certificate, PEM
    #[arg(
        long,
        value_name = "PATH",
        env = "SYNAPSOR_GATEWAY_TLS_CERT",
        hide_env_values = true
    )]
    tls_cert: Option<PathBuf>,
    /// Key of the gateway certificate, PEM, mode 0600
    #[arg(
        long,
        value_name = "PATH",
        env = "SYNAPSOR_GATEWAY_TLS_KEY",
        hide_env_values = true
    )]
    tls_key: Option<PathBuf>,
    /// Deployment id that peer certificates must carry
    #[arg(long, value_name = "ID", env = "SYNAPSOR_GATEWAY_DEPLOYMENT")]
    deployment: Option<String>,
    /// Result format 1 or 2; 0 uses the contract's setting
    #[arg(
        long,
        value_name = "0|1|2",
        default_value = "0",
        value_parser = clap::value_parser!(u8).range(0..=2),
        env = "SYNAPSOR_GATEWAY_RESULT_FORMAT"
    )]
    result_format: u8,
    /// Listed tool names: canonical, openai (without dots) or both; calls accept either
    #[arg(
        long,
        value_name = "MODE",
        default_value = "canonical",
        env = "SYNAPSOR_GATEWAY_ALIAS_MODE"
    )]
    alias_mode: AliasMode,
    /// Form of the listed tools: full, lean, gemini or openai-strict
    #[arg(
        long,
        value_name = "PROFILE",
        default_value = "full",
        env = "SYNAPSOR_GATEWAY_SCHEMA_PROFILE"
    )]
    schema_profile: SchemaProfile,
    /// Run file with the gateway's address, written once it serves
    #[arg(
        long,
        value_name = "PATH",
        env = "SYNAPSOR_GATEWAY_RUN_FILE",
        hide_env_values = true
    )]
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
    /// Form of the listed tools.
    pub(crate) schema_profile: SchemaProfile,
    pub(crate) run_file: Option<PathBuf>,
    pub(crate) ends_with_parent: bool,
}

/// Transport with its settings.
#[derive(Debug)]
pub(crate) enum Transport {
    Stdio,
    Http(Box<HttpSettings>),
}

impl Transport {
    /// Whether MCP clients connect; programs written for 0.1.x use the bridge.
    pub(crate) fn has_mcp_clients(&self) -> bool {
        match self {
            Self::Stdio => true,
            Self::Http(settings) => settings.wire == HttpProtocol::Streamable,
        }
    }
}

impl GatewayArgs {
    /// Returns the command line, with the variables of the flags that the gateway shares with its parent's command.
    pub fn command_line() -> clap::Command {
        HttpFlags::with_variables(Self::command())
    }

    /// Returns the path of the run file.
    pub fn run_file(&self) -> Option<PathBuf> {
        self.run_file.clone()
    }

    fn tls_files(&self) -> Result<TlsFiles, SettingError> {
        Ok(TlsFiles {
            ca: required(self.tls_ca.clone(), "SYNAPSOR_GATEWAY_TLS_CA")?,
            cert: required(self.tls_cert.clone(), "SYNAPSOR_GATEWAY_TLS_CERT")?,
            key: required(self.tls_key.clone(), "SYNAPSOR_GATEWAY_TLS_KEY")?,
        })
    }

    fn reader(&self) -> Result<String, SettingError> {
        required(self.reader.clone(), "SYNAPSOR_GATEWAY_READER")
    }
}

impl Settings {
    /// Validates the flags.
    pub(crate) fn resolve(flags: &GatewayArgs, env: &EnvVars) -> Result<Self, ExitError> {
        let tls = flags.tls_files()?;
        let deployment = required(flags.deployment.clone(), "SYNAPSOR_GATEWAY_DEPLOYMENT")?;
        let ledger = flags.ledger.clone();
        Ok(Self {
            reader: Endpoint::new(Role::Reader, flags.reader()?),
            transport: transport(flags, env)?,
            ends_with_parent: flags.lifeline == Some(GatewayExitTrigger::Parent),
            ledger: ledger.map(|address| Endpoint::new(Role::Ledger, address)),
            tls: own_certificate(&tls, &deployment)?,
            result_format: wanted_format(flags.result_format),
            alias_mode: flags.alias_mode,
            schema_profile: flags.schema_profile,
            run_file: flags.run_file(),
        })
    }
}

/// Returns the sandbox policy that these settings require; opens nothing.
pub(crate) fn needs(flags: &GatewayArgs, env: &EnvVars) -> Result<SandboxPolicy, ExitError> {
    let mut needs = SandboxPolicy::default();
    allow_certificates(&flags.tls_files()?, &mut needs);
    needs.allow_connect(&flags.reader()?);
    if let Some(address) = &flags.ledger {
        needs.allow_connect(address);
    }
    if let Some(path) = &flags.run_file {
        needs.allow_write_dir_of(path);
    }
    match flags.transport {
        TransportName::Stdio => {}
        TransportName::StreamableHttp => flags.http.needs(HttpProtocol::Streamable, env, &mut needs)?,
        TransportName::HttpBridge => flags.http.needs(HttpProtocol::Bridge, env, &mut needs)?,
    }
    Ok(needs)
}

/// Allows reading the certificates, and what replaces them: renewed ones are new files, which only access to their
/// directory covers. A directory that holds anything else is not opened, because the gateway must not read what belongs
/// to another process.
fn allow_certificates(tls: &TlsFiles, needs: &mut SandboxPolicy) {
    let own = [&tls.ca, &tls.cert, &tls.key];
    for path in own {
        // A link to another directory is followed by the rule of the file only.
        needs.files.push(path.clone());
        if holds_only(dir_of(path), &own) {
            needs.folder_of(path);
        } else {
            tracing::warn!(
                path = %path.display(),
                "its directory holds other files: a renewed certificate takes effect at the next start only"
            );
        }
    }
}

/// Returns whether a directory holds no other file than these, their unfinished replacements, and the data of a mounted
/// secret, to which these link.
fn holds_only(dir: &Path, own: &[&PathBuf]) -> bool {
    let names: Vec<&[u8]> = own
        .iter()
        .filter(|path| dir_of(path) == dir)
        .filter_map(|path| Some(path.file_name()?.as_encoded_bytes()))
        .collect();
    let is_mount = own.iter().any(|path| dir_of(path) == dir && path.is_symlink());
    let is_own = |name: &[u8]| {
        let is_replacement = |own: &&[u8]| name.starts_with(own) && name.ends_with(b".tmp");
        names.contains(&name) || names.iter().any(is_replacement) || (is_mount && name.starts_with(b".."))
    };
    std::fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| is_own(entry.file_name().as_encoded_bytes())))
    })
}

fn dir_of(path: &Path) -> &Path {
    path.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn transport(flags: &GatewayArgs, env: &EnvVars) -> Result<Transport, ExitError> {
    let ends_with_stdin = flags.lifeline == Some(GatewayExitTrigger::Stdin);
    let http = |wire| {
        let settings = flags.http.resolve_for(wire, env, ends_with_stdin)?;
        Ok(Transport::Http(Box::new(settings)))
    };
    match flags.transport {
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

/// Returns the format of a number that the command line has checked; `None` for the contract's setting.
const fn wanted_format(number: u8) -> Option<ResultFormat> {
    match number {
        1 => Some(ResultFormat::V1),
        2 => Some(ResultFormat::V2),
        _ => None,
    }
}

/// Returns the result format: the setting, else the contract's, else 1 as in 0.1.x, with a warning.
pub(crate) fn result_format(wanted: Option<ResultFormat>, of_contract: Option<ResultFormat>) -> ResultFormat {
    let format = wanted.or(of_contract).unwrap_or(ResultFormat::V1);
    if wanted.is_none() && format == ResultFormat::V1 {
        tracing::warn!(
            "using result format 1; set \"result_format\": 2 in the contract or pass --result-format 2"
        );
    }
    format
}

/// Rejects environment variables whose value looks like a database URL, whatever their name: a process that serves
/// agents must not hold one.
pub(crate) fn refuse_database_urls(env: &EnvVars) -> Result<(), ExitError> {
    let names = env.names_with(has_database_url);
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

    /// Access to certificates in a directory that holds these files too.
    fn needs_beside(others: &[&str]) -> (SandboxPolicy, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let tls = TlsFiles::in_dir(dir.path(), "own");
        for path in [&tls.ca, &tls.cert, &tls.key] {
            std::fs::write(path, "").unwrap();
        }
        for other in others {
            std::fs::write(dir.path().join(other), "").unwrap();
        }
        let mut needs = SandboxPolicy::default();
        allow_certificates(&tls, &mut needs);
        (needs, dir.path().to_owned())
    }

    #[test]
    fn directory_is_opened_only_if_it_holds_nothing_of_others() {
        for others in [&[][..], &["own.key.0a1b.tmp"]] {
            let (needs, dir) = needs_beside(others);
            assert_eq!(needs.folders, vec![dir; 3], "{others:?}");
            assert_eq!(needs.files.len(), 3);
        }
        for other in [
            "alice.key",
            "own.key.bak",
            "reader-1.pem",
            "run",
            "..data",
            ".hidden",
        ] {
            let (needs, _) = needs_beside(&[other]);
            assert!(needs.folders.is_empty(), "{other}");
            assert_eq!(needs.files.len(), 3);
        }
    }

    #[test]
    fn directory_of_a_mounted_secret_is_opened_with_its_data() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("..2026");
        std::fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink("..2026", dir.path().join("..data")).unwrap();
        let tls = TlsFiles::in_dir(dir.path(), "own");
        for path in [&tls.ca, &tls.cert, &tls.key] {
            let name = path.file_name().unwrap();
            std::fs::write(data.join(name), "").unwrap();
            std::os::unix::fs::symlink(Path::new("..data").join(name), path).unwrap();
        }
        let mut needs = SandboxPolicy::default();
        allow_certificates(&tls, &mut needs);
        assert_eq!(needs.folders, vec![dir.path().to_owned(); 3]);
    }

    #[test]
    fn finds_database_urls_under_any_name_and_spelling() {
        for value in [
            "postgres://u:p@h/d",
            "PostgreSQL://h/d",
            "jdbc:mysql://h/d",
            "mysql+pymysql://h/d",
            "x mariadb://h",
            "sqlite:///tmp/x.db",
            "\u{feff}postgres://h/d",
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
