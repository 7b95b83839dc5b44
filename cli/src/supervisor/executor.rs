//! Starts reader and writer: two processes of one binary that share no credential.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;

use super::child::{Child, ChildSpec};
use super::environment::{self, Process};
use super::{RunningLedger, Supervisor};
use crate::state::ServiceKeyName;

const BINARY: &str = "synapsor-executor";
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Role and settings of an executor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExecutorLaunch {
    pub(super) role: ExecutorRole,
    pub(super) ledger: SocketAddr,
    /// Port 0 picks a free one.
    pub(super) listen: SocketAddr,
}

/// The two roles of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExecutorRole {
    /// Accepts this instance's gateway only; exposes no proposal tools when `read_only`.
    Reader {
        read_only: bool,
    },
    Writer,
}

impl ExecutorLaunch {
    pub(crate) fn reader(ledger: &RunningLedger, read_only: bool) -> Self {
        Self {
            role: ExecutorRole::Reader { read_only },
            ledger: ledger.address,
            listen: ANY_PORT,
        }
    }

    pub(crate) fn writer(ledger: &RunningLedger) -> Self {
        Self {
            role: ExecutorRole::Writer,
            ledger: ledger.address,
            listen: ANY_PORT,
        }
    }

    /// Returns the same settings with a fixed listen address, so that clients find it after a restart.
    pub(super) fn at(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }

    const fn parts(self) -> (Process, Role, ServiceKeyName) {
        match self.role {
            ExecutorRole::Reader { .. } => (Process::Reader, Role::Reader, ServiceKeyName::Reader),
            ExecutorRole::Writer => (Process::Writer, Role::Writer, ServiceKeyName::Writer),
        }
    }
}

/// Starts an executor and waits until it is ready.
pub(super) async fn start(supervisor: &Supervisor<'_>, executor: ExecutorLaunch) -> Result<Child, ExitError> {
    let (process, role, _) = executor.parts();
    environment::require(process, &supervisor.context.env, &supervisor.contract.contract)?;
    let mut child = Child::start(&spec(supervisor, executor)?)?;
    child.wait_ready().await?;
    let target = Endpoint::new(role, child.address()?.to_string()).of_instance(supervisor.instance.id());
    let channel = grpc_channel::connect(&supervisor.instance.operator(&supervisor.context.env)?, &target)?;
    grpc_channel::check_health(&channel, &target, PROBE_TIMEOUT).await?;
    Ok(child)
}

fn spec(supervisor: &Supervisor<'_>, executor: ExecutorLaunch) -> Result<ChildSpec, ExitError> {
    let (process, role, key) = executor.parts();
    let state = supervisor.state;
    let tls = supervisor.instance.leaf_files(role)?;
    let name = format!("{}-{}", process.as_str(), supervisor.instance.id());
    let run_file = state.run_dir().join(format!("{name}.json"));
    let mut arguments: Vec<OsString> = vec!["--role".into(), process.as_str().into()];
    let mut path = |flag: &str, value: PathBuf| arguments.extend([flag.into(), value.into_os_string()]);
    path("--contract", supervisor.contract.path.clone());
    path("--trust", state.trust_path().to_owned());
    path("--signing-key", state.service_key(key));
    path("--tls-ca", tls.ca);
    path("--tls-cert", tls.cert);
    path("--tls-key", tls.key);
    path("--state-dir", state.witness_dir());
    path("--run-file", run_file.clone());
    arguments.extend(["--lifeline", "stdin", "--listen"].map(OsString::from));
    arguments.extend([
        executor.listen.to_string().into(),
        "--ledger".into(),
        executor.ledger.to_string().into(),
    ]);
    if let ExecutorRole::Reader { read_only } = executor.role {
        arguments.extend([
            "--allow-gateway".into(),
            supervisor.instance.identity(Role::Gateway)?.uri().into(),
        ]);
        if read_only {
            arguments.push("--read-only".into());
        }
    }
    let names = environment::allowed(process, Some(&supervisor.contract.contract), None);
    Ok(ChildSpec {
        process,
        binary: BINARY,
        arguments,
        environment: environment::take(&supervisor.context.env, &names)?,
        log: Some(supervisor.log(&name)),
        run_file,
    })
}
