//! Starts a gateway: over HTTP as a service, or on pipes for one client. It never gets a database variable.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use synapsor_chassis::identity::Role;
use synapsor_chassis::refusal_cause::{self, RefusalCause};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::TlsFiles;
use synapsor_domain::tool::{AliasMode, SchemaProfile};

use super::child::{self, Child, ChildSpec};
use super::environment::{self, Process};
use super::logs::LogFile;
use super::{RunningLedger, Supervisor};
use crate::Context;

const BINARY: &str = "synapsor-gateway";
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// MCP transport over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GatewayProtocol {
    Streamable,
    /// Plain JSON-RPC, as in 0.1.x.
    Bridge,
}

/// Format of tools and results for a client.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ToolListOptions {
    /// Result envelope version, 1 or 2; `None` uses the contract's.
    pub(crate) format: Option<u8>,
    pub(crate) names: AliasMode,
    pub(crate) profile: SchemaProfile,
}

/// HTTP settings of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) wire: GatewayProtocol,
    pub(crate) listen: SocketAddr,
    pub(crate) is_https: bool,
    pub(crate) auth: GatewayAuth,
    /// Additional flags of the gateway.
    pub(crate) more: Vec<OsString>,
    pub(crate) shown: ToolListOptions,
}

impl Http {
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// Describes the authentication for the operator.
    pub(crate) fn who_may_call(&self) -> String {
        match &self.auth {
            GatewayAuth::Token { variable, file: None } => {
                format!("clients send the token in {variable} as a bearer token")
            }
            GatewayAuth::Token {
                variable,
                file: Some(file),
            } => {
                format!("clients send the token in the file {file} of {variable}_FILE as a bearer token")
            }
            GatewayAuth::TokensFile => {
                "clients send one of the tokens of the file as a bearer token".to_owned()
            }
            GatewayAuth::AccessTokens { issuer } => format!("clients send access tokens of {issuer}"),
            GatewayAuth::Open => "every local process may call: no token".to_owned(),
        }
    }
}

/// Authentication over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GatewayAuth {
    /// Variable with the bearer token, or with `_FILE` the path of its file; a file with more tokens is optional.
    Token {
        variable: String,
        file: Option<String>,
    },
    TokensFile,
    /// Access tokens by the contract's policy.
    AccessTokens {
        issuer: String,
    },
    /// No authentication, on loopback only.
    Open,
}

/// Services that a gateway calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upstream {
    pub(crate) reader: SocketAddr,
    pub(crate) ledger: SocketAddr,
}

impl Upstream {
    pub(crate) fn new(reader: &Child, ledger: &RunningLedger) -> Result<Self, ExitError> {
        Ok(Self {
            reader: reader.address()?,
            ledger: ledger.address,
        })
    }
}

/// A gateway that serves MCP on its stdin and stdout.
#[derive(Debug)]
pub(crate) struct StdioGateway {
    pub(crate) handle: tokio::process::Child,
    pid: u32,
    environment: Vec<String>,
    /// Log file of its stderr, unless it shares this process's.
    log: Option<LogFile>,
    run_file: PathBuf,
}

impl StdioGateway {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns the newest cause that it recorded, of this call if its id is known.
    pub(crate) fn cause(&self, correlation_id: Option<&str>) -> Option<RefusalCause> {
        refusal_cause::newest(&self.run_file, self.pid, correlation_id)
    }

    /// Names of all its variables, sorted.
    pub(crate) fn environment(&self) -> &[String] {
        &self.environment
    }

    /// Requests its exit, and kills it after the timeout.
    pub(crate) async fn end(&mut self) {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.handle.id().is_some()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(END_TIMEOUT, self.handle.wait())
            .await
            .is_err()
        {
            let _ = self.handle.kill().await;
        }
    }

    /// Returns the error with which the gateway ended.
    pub(crate) async fn last_failure(&mut self) -> ExitError {
        let status = self.handle.wait().await.ok();
        child::last_failure(
            &self.run_file,
            self.pid,
            self.log.as_ref().map(LogFile::path),
            Process::Gateway.as_str(),
            status,
        )
    }
}

pub(super) async fn http(
    supervisor: &Supervisor<'_>,
    upstream: Upstream,
    http: &Http,
) -> Result<Child, ExitError> {
    let transport = match http.wire {
        GatewayProtocol::Streamable => "streamable-http",
        GatewayProtocol::Bridge => "http-bridge",
    };
    let mut arguments: Vec<OsString> = ["--transport", transport, "--lifeline", "stdin", "--listen"]
        .map(OsString::from)
        .to_vec();
    arguments.push(http.listen.to_string().into());
    let token_env = match &http.auth {
        GatewayAuth::Token { variable, .. } => {
            arguments.extend(["--auth-token-env".into(), variable.into()]);
            Some(variable.as_str())
        }
        GatewayAuth::AccessTokens { .. } => {
            arguments.push("--access-tokens".into());
            None
        }
        GatewayAuth::Open => {
            arguments.push("--dev-no-auth".into());
            None
        }
        GatewayAuth::TokensFile => None,
    };
    arguments.extend(http.more.iter().cloned());
    let mut child = Child::start(&spec(supervisor, upstream, http.shown, token_env, arguments)?)?;
    child.wait_ready().await?;
    Ok(child)
}

pub(super) fn stdio(
    supervisor: &Supervisor<'_>,
    upstream: Upstream,
    shown: ToolListOptions,
    is_inherited: bool,
) -> Result<StdioGateway, ExitError> {
    let arguments = ["--transport", "stdio"].map(OsString::from).to_vec();
    let mut spec = spec(supervisor, upstream, shown, None, arguments)?;
    if is_inherited {
        spec.log = None;
        // Its stdin belongs to the client and outlives this process.
        spec.arguments
            .extend(["--lifeline", "parent"].map(OsString::from));
    }
    start_stdio(&spec, is_inherited)
}

/// Starts a gateway for a remote reader, with a certificate from the command line.
pub(crate) fn remote(context: &Context, reader: &str, tls: TlsFiles) -> Result<StdioGateway, ExitError> {
    let deployment = tls.load()?.identity().deployment().to_owned();
    let mut arguments = ["--transport", "stdio"].map(OsString::from).to_vec();
    connection(&mut arguments, reader, &deployment, tls);
    if let Some(ledger) = &context.global.remote.ledger {
        arguments.extend(["--ledger".into(), ledger.into()]);
    }
    let names = environment::allowed(Process::Gateway, None, None);
    let spec = ChildSpec {
        process: Process::Gateway,
        binary: BINARY,
        arguments,
        environment: environment::take(&context.env, &names)?,
        log: None,
        run_file: PathBuf::new(),
    };
    start_stdio(&spec, false)
}

/// Starts the gateway on this process's own streams if `is_inherited`, else on pipes.
fn start_stdio(spec: &ChildSpec, is_inherited: bool) -> Result<StdioGateway, ExitError> {
    let (mut command, log) = child::command(spec)?;
    if is_inherited {
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit());
    } else {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
    }
    let handle = command
        .spawn()
        .map_err(|error| child::not_started(spec, &error))?;
    Ok(StdioGateway {
        pid: handle.id().unwrap_or_default(),
        environment: spec.environment.keys().cloned().collect(),
        handle,
        log,
        run_file: spec.run_file.clone(),
    })
}

fn connection(arguments: &mut Vec<OsString>, reader: &str, deployment: &str, tls: TlsFiles) {
    let mut option = |flag: &str, value: OsString| arguments.extend([flag.into(), value]);
    option("--reader", reader.into());
    option("--deployment", deployment.into());
    option("--tls-ca", tls.ca.into());
    option("--tls-cert", tls.cert.into());
    option("--tls-key", tls.key.into());
}

fn spec(
    supervisor: &Supervisor<'_>,
    upstream: Upstream,
    shown: ToolListOptions,
    token_env: Option<&str>,
    mut arguments: Vec<OsString>,
) -> Result<ChildSpec, ExitError> {
    let tls = supervisor.instance.leaf_files(Role::Gateway)?;
    let name = format!("gateway-{}", supervisor.instance.id());
    let run_file = supervisor.instance.gateway_run_file()?;
    connection(
        &mut arguments,
        &upstream.reader.to_string(),
        supervisor.instance.deployment(),
        tls,
    );
    arguments.extend(["--ledger".into(), upstream.ledger.to_string().into()]);
    arguments.extend(["--run-file".into(), run_file.clone().into()]);
    if let Some(format) = shown.format {
        arguments.extend(["--result-format".into(), format.to_string().into()]);
    }
    arguments.extend(["--alias-mode".into(), shown.names.as_str().into()]);
    arguments.extend(["--schema-profile".into(), shown.profile.as_str().into()]);
    let names = environment::allowed(Process::Gateway, None, token_env);
    Ok(ChildSpec {
        process: Process::Gateway,
        binary: BINARY,
        arguments,
        environment: environment::take(&supervisor.context.env, &names)?,
        log: Some(supervisor.log(&name)),
        run_file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_names_the_variable_or_the_file_of_the_token() {
        let printed = |file: Option<&str>| {
            let http = Http {
                wire: GatewayProtocol::Streamable,
                listen: SocketAddr::from(([127, 0, 0, 1], 8766)),
                is_https: false,
                auth: GatewayAuth::Token {
                    variable: "TOKEN".to_owned(),
                    file: file.map(str::to_owned),
                },
                more: Vec::new(),
                shown: ToolListOptions::default(),
            };
            http.who_may_call()
        };
        assert_eq!(printed(None), "clients send the token in TOKEN as a bearer token");
        assert!(printed(Some("/etc/token")).contains("the file /etc/token of TOKEN_FILE"));
    }
}
