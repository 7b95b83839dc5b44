//! The ledger of a state directory: the first process that needs it starts it, all share it, and it exits
//! without connections. The ledger's own lock decides which process owns the store.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use synapsor_chassis::files;
use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::RunFile;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_codes::ErrorCode;

use super::budget::StartPacing;
use super::child::{Child, ChildSpec, POLL_PAUSE, READY_TIMEOUT};
use super::environment::{self, Process};
use super::instance::Instance;
use crate::Context;
use crate::clients::MaintenanceClient;
use crate::connection::ServiceChannel;
use crate::state::{ServiceKeyName, StateDir};

pub(super) const BINARY: &str = "synapsor-ledger";
const RUN_FILE: &str = "ledger.json";
/// One log for all starts: a command that runs alone starts a ledger each time.
const LOG: &str = "ledger.log";
const LAST_ADDRESS_FILE: &str = "ledger.address";
const ADDRESS_BYTES_MAX: u64 = 64;
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// A running ledger.
#[derive(Debug)]
pub(crate) struct RunningLedger {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    /// Names of its variables; empty when another process started it.
    pub(crate) environment: Vec<String>,
    /// Present when this process started it. Dropping it leaves the ledger to its other clients.
    child: Option<Child>,
}

impl RunningLedger {
    /// Returns the ledger that runs on `state`; starts one if there is none.
    pub(crate) async fn ensure(
        context: &Context,
        state: &StateDir,
        instance: &Instance,
    ) -> Result<Self, ExitError> {
        ensure(context, state, instance).await
    }

    /// Ends the ledger if this process started it.
    pub(crate) async fn stop(self) {
        if let Some(child) = self.child {
            child.stop().await;
        }
    }

    pub(crate) fn target(&self) -> Endpoint {
        Endpoint::new(Role::Ledger, self.address.to_string())
    }
}

/// Asks the running ledger of `state`, if there is one, to end when this command is its only client. Returns whether it
/// ends; whatever prevents that shows when the store is still locked.
pub(crate) async fn end_unused_ledger(state: &StateDir, context: &Context) -> bool {
    let Some(found) = RunFile::read(&state.run_dir().join(RUN_FILE)).filter(RunFile::is_alive) else {
        return false;
    };
    let Ok(tls) = Instance::new(state).and_then(|instance| instance.operator(&context.env)) else {
        return false;
    };
    let Some(address) = found.address else {
        return false;
    };
    let target = Endpoint::new(Role::Ledger, address.to_string());
    let Ok(channel) = grpc_channel::connect(&tls, &target) else {
        return false;
    };
    let mut client = MaintenanceClient::new(&ServiceChannel { channel, target });
    client.end_if_unused().await.unwrap_or(false)
}

/// Returns the ledger that runs on `state`; starts one if there is none.
///
/// A new ledger reuses the last listen address if possible, so that processes which knew it can reconnect.
async fn ensure(
    context: &Context,
    state: &StateDir,
    instance: &Instance,
) -> Result<RunningLedger, ExitError> {
    ensure_by(&instance.operator(&context.env)?, context, state, instance).await
}

/// Certificate `tls` is that of this command.
async fn ensure_by(
    tls: &TlsMaterial,
    context: &Context,
    state: &StateDir,
    instance: &Instance,
) -> Result<RunningLedger, ExitError> {
    let start = Instant::now();
    let run_file = state.run_dir().join(RUN_FILE);
    let mut listen = last_address(state);
    let (mut child, mut pacing): (Option<Child>, _) = (None, StartPacing::default());
    // Why the ledger of the run file did not answer.
    let mut silence: Option<ExitError> = None;
    loop {
        if let Some(found) = RunFile::read(&run_file).filter(RunFile::is_alive) {
            match answering(&found, tls).await {
                Ok(running) => {
                    remember(state, running.address);
                    return Ok(ours(running, child));
                }
                Err(Some(failure)) if failure.code() == ErrorCode::TlsCertificateRejected => {
                    return Err(rejected(&failure));
                }
                Err(failure) => silence = failure.or(silence),
            }
        }
        match child.as_mut().and_then(Child::ended) {
            // Another ledger owns the store: it publishes its run file soon, or is about to exit.
            Some(failure) if failure.code() == ErrorCode::StoreLocked => child = None,
            // Another process uses the port.
            Some(_) if listen.is_some() => (child, listen) = (None, None),
            Some(failure) => return Err(failure),
            None if child.is_none() && start.elapsed() < READY_TIMEOUT && pacing.take(start.elapsed()) => {
                child = Some(Child::start_detached(&spec(context, state, instance, listen)?)?);
            }
            None => {}
        }
        if start.elapsed() > READY_TIMEOUT {
            return Err(not_ready(state, silence.as_ref()));
        }
        tokio::time::sleep(POLL_PAUSE * if child.is_none() { 10 } else { 1 }).await;
    }
}

fn last_address(state: &StateDir) -> Option<SocketAddr> {
    let bytes = files::read_bounded(&state.run_dir().join(LAST_ADDRESS_FILE), ADDRESS_BYTES_MAX).ok()?;
    let address: SocketAddr = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
    address.ip().is_loopback().then_some(address)
}

fn remember(state: &StateDir, address: SocketAddr) {
    if last_address(state) != Some(address) {
        let path = state.run_dir().join(LAST_ADDRESS_FILE);
        // Without this file the next ledger uses another address, which only affects processes that still have
        // this one.
        let _ = files::write_atomic(&path, address.to_string().as_bytes(), files::MODE_PRIVATE);
    }
}

/// Returns the ledger of a run file, or why it does not answer; `None` while it has no address.
async fn answering(found: &RunFile, tls: &TlsMaterial) -> Result<RunningLedger, Option<ExitError>> {
    let address = found.address.ok_or(None)?;
    let target = Endpoint::new(Role::Ledger, address.to_string());
    let channel = grpc_channel::connect(tls, &target).map_err(ExitError::from)?;
    grpc_channel::check_health(&channel, &target, PROBE_TIMEOUT).await?;
    Ok(RunningLedger {
        address,
        pid: found.pid,
        environment: Vec::new(),
        child: None,
    })
}

fn not_ready(state: &StateDir, silence: Option<&ExitError>) -> ExitError {
    let text = "the ledger of this state directory does not respond";
    let logs = format!("check the logs in {}", state.logs_dir().display());
    match silence {
        Some(failure) => {
            let fix = failure.fix().map_or(logs.clone(), |fix| format!("{fix}; {logs}"));
            ExitError::new(
                ErrorCode::LedgerNotReady,
                format!("{text}: {}", failure.message()),
            )
            .with_fix(fix)
        }
        None => ExitError::new(ErrorCode::LedgerNotReady, text).with_fix(logs),
    }
}

/// Error for a ledger that rejects the certificate of this command: no wait and no start of another ledger helps.
fn rejected(failure: &ExitError) -> ExitError {
    let text = format!("{}; this command issued it just now", failure.message());
    ExitError::new(failure.code(), text).with_fix(
        "correct the clock of this command or of the ledger, which differ by more than 5 minutes; if they do not, \
         the CA of the state directory was replaced: restart the processes that use it",
    )
}

fn ours(mut running: RunningLedger, child: Option<Child>) -> RunningLedger {
    if let Some(child) = child.filter(|child| child.pid() == running.pid) {
        running.environment = child.environment().to_vec();
        running.child = Some(child);
    }
    running
}

fn spec(
    context: &Context,
    state: &StateDir,
    instance: &Instance,
    listen: Option<SocketAddr>,
) -> Result<ChildSpec, ExitError> {
    let tls = instance.leaf_files(Role::Ledger)?;
    let run_file = state.run_dir().join(RUN_FILE);
    let mut arguments: Vec<OsString> = vec!["--on-demand".into()];
    let mut path = |flag: &str, value: PathBuf| arguments.extend([flag.into(), value.into_os_string()]);
    path("--store", state.store().to_owned());
    path("--trust", state.trust_path().to_owned());
    path("--signing-key", state.service_key(ServiceKeyName::Ledger));
    path("--tls-ca", tls.ca);
    path("--tls-cert", tls.cert);
    path("--tls-key", tls.key);
    path("--run-file", run_file.clone());
    let webhooks = state.webhooks();
    if webhooks.exists() {
        path("--webhooks", webhooks);
    }
    if let Some(listen) = listen {
        arguments.extend(["--listen".into(), listen.to_string().into()]);
    }
    Ok(ChildSpec {
        process: Process::Ledger,
        binary: BINARY,
        arguments,
        environment: environment::take(&context.env, &environment::allowed(Process::Ledger, None, None))?,
        log: Some(state.logs_dir().join(LOG)),
        run_file,
    })
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::clock::{Clock as _, SystemClock};
    use synapsor_chassis::grpc_server::{AccessTable, GrpcServer, ServerLimits};
    use synapsor_chassis::settings::EnvVars;
    use synapsor_chassis::tls::dev_ca::LEAF_TTL;
    use tokio_util::sync::CancellationToken;
    use tonic::service::Routes;

    use super::*;
    use crate::supervisor::CommandLogs;
    use crate::{Global, state};

    fn context(dir: &std::path::Path) -> Context {
        Context {
            global: Global {
                store: Some(dir.join(".synapsor").join("local.db")),
                ..Global::default()
            },
            env: EnvVars::fixed([("USER", "ann")]),
            stop: CancellationToken::new(),
            logs: CommandLogs::default(),
        }
    }

    #[tokio::test]
    async fn rejected_certificate_ends_the_wait_for_a_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let state = state::find_or_create(&context).unwrap();
        let (instance, authority) = (Instance::new(&state).unwrap(), state.authority().unwrap());
        let material = |role, name, now_ms| {
            let leaf = authority.issue(role, name, LEAF_TTL, now_ms);
            leaf.unwrap().material(now_ms).unwrap()
        };
        let now_ms = SystemClock.now_ms();
        let of_ledger = material(Role::Ledger, None, now_ms);
        let (any, access) = (
            "127.0.0.1:0".parse().unwrap(),
            AccessTable::new(authority.deployment()),
        );
        let server = GrpcServer::bind(any, &of_ledger, access, ServerLimits::default())
            .await
            .unwrap();
        let published = RunFile::of_this_process("ledger", Some(server.local_addr()));
        let _run_file = published.publish(&state.run_dir().join(RUN_FILE)).unwrap();
        let serving = tokio::spawn(server.serve(Routes::default(), CancellationToken::new()));
        let ahead = material(Role::Operator, Some("ann"), now_ms + 400_000);
        let start = Instant::now();
        let failure = ensure_by(&ahead, &context, &state, &instance).await.unwrap_err();
        assert_eq!(failure.code(), ErrorCode::TlsCertificateRejected);
        assert!(
            failure.message().contains("clock of this machine is at"),
            "{failure}"
        );
        assert!(failure.fix().unwrap().contains("clock"), "{failure}");
        assert!(start.elapsed() < READY_TIMEOUT);
        serving.abort();
    }
}
