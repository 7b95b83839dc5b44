//! Connects a command to the services: local ones, started on demand, or services that the command line names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::identity::Role;
use synapsor_chassis::refusal_cause::RefusalCause;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};
use synapsor_codes::ErrorCode;
use synapsor_domain::trust::TrustFile;

use crate::state::{self, StateDir};
use crate::supervisor::{Child, Instance, RunningLedger};
use crate::{Context, local_writer, pinned_checkpoint};

/// Pinned checkpoint of the local deployment, in the state directory.
const LOCAL_PIN_FILE: &str = "cli.witness";
/// Pinned checkpoint of a remote deployment, beside its trust file.
const REMOTE_PIN_FILE: &str = "synapsor.witness";

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A reachable service.
#[derive(Debug, Clone)]
pub(crate) struct ServiceChannel {
    pub(crate) channel: Channel,
    pub(crate) target: Endpoint,
}

/// Connection to the ledger and, optionally, a writer.
#[derive(Debug)]
pub(crate) struct LedgerConnection {
    trust: TrustFile,
    trust_path: PathBuf,
    tls: TlsMaterial,
    ledger: ServiceChannel,
    mode: ConnectionMode,
    /// A writer that was started for this command.
    writer: Option<Child>,
    writer_link: Option<ServiceChannel>,
}

/// Location of the services.
#[derive(Debug)]
enum ConnectionMode {
    /// On this machine, in this state directory.
    Local {
        state: StateDir,
        ledger: Box<RunningLedger>,
    },
    /// At the addresses of the command line.
    Remote,
}

impl LedgerConnection {
    /// Connects to the ledger. Locally the state directory must exist, and a ledger is started if none runs.
    ///
    /// # Errors
    /// `STATE_NOT_FOUND`; an invalid trust file or certificate; an unreachable ledger (exit 6).
    pub(crate) async fn open(context: &Context) -> Result<Self, ExitError> {
        let is_remote = context.global.remote.ledger.is_some();
        context
            .unless_stopped(async {
                if is_remote {
                    Self::open_remote(context).await
                } else {
                    Self::open_local(context).await
                }
            })
            .await
    }

    async fn open_local(context: &Context) -> Result<Self, ExitError> {
        let state = state::find(context)?;
        let instance = Instance::new(&state)?;
        let mut trust = state::load_trust(state.trust_path())?;
        let pinned = pinned_checkpoint::pinned(&state.pinned(LOCAL_PIN_FILE), &trust);
        trust.pin_retirements(pinned, None);
        let tls = instance.operator(&context.env)?;
        let ledger = RunningLedger::ensure(context, &state, &instance).await?;
        let link = link(&tls, ledger.target())?;
        Ok(Self {
            trust,
            trust_path: state.trust_path().to_owned(),
            tls,
            ledger: link,
            mode: ConnectionMode::Local {
                state,
                ledger: Box::new(ledger),
            },
            writer: None,
            writer_link: None,
        })
    }

    /// As [`Self::open`], for freezes: an unreachable remote ledger must not prevent a freeze of the writers.
    ///
    /// # Errors
    /// As [`Self::open`], without an unreachable remote ledger.
    pub(crate) async fn open_to_stop(context: &Context) -> Result<Self, ExitError> {
        if context.global.remote.ledger.is_none() {
            return Self::open(context).await;
        }
        Self::unchecked(context)
    }

    async fn open_remote(context: &Context) -> Result<Self, ExitError> {
        let session = Self::unchecked(context)?;
        grpc_channel::check_health(&session.ledger.channel, &session.ledger.target, PROBE_TIMEOUT).await?;
        Ok(session)
    }

    fn unchecked(context: &Context) -> Result<Self, ExitError> {
        let remote = &context.global.remote;
        let address = remote.ledger.as_deref().unwrap_or_default();
        let tls = remote_certificate(context)?;
        let trust_path = state::trust_path(context)?;
        let mut trust = state::load_trust(&trust_path)?;
        let pinned = pinned_checkpoint::pinned(&trust_path.with_file_name(REMOTE_PIN_FILE), &trust);
        trust.pin_retirements(pinned, None);
        let ledger = link(&tls, Endpoint::new(Role::Ledger, address))?;
        Ok(Self {
            trust,
            trust_path,
            tls,
            ledger,
            mode: ConnectionMode::Remote,
            writer: None,
            writer_link: None,
        })
    }

    pub(crate) fn ledger(&self) -> &ServiceChannel {
        &self.ledger
    }

    pub(crate) fn trust(&self) -> &TrustFile {
        &self.trust
    }

    pub(crate) fn trust_file(&self) -> &Path {
        &self.trust_path
    }

    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.mode, ConnectionMode::Remote)
    }

    /// Path of the pinned checkpoint: in the state directory, or beside the trust file.
    pub(crate) fn pin_path(&self) -> PathBuf {
        match &self.mode {
            ConnectionMode::Local { state, .. } => state.pinned(LOCAL_PIN_FILE),
            ConnectionMode::Remote => self.trust_path.with_file_name(REMOTE_PIN_FILE),
        }
    }

    /// Ensures that a writer can apply the order: a running one, or one for the duration of this command. For a
    /// remote deployment only the ledger knows its writers.
    ///
    /// # Errors
    /// `NO_WRITER` (exit 6) when no writer runs and none can be started.
    pub(crate) async fn ensure_writer(&mut self, context: &Context) -> Result<(), ExitError> {
        if self.is_remote() {
            Ok(())
        } else {
            self.writer(context).await.map(|_| ())
        }
    }

    /// Newest cause of a writer that was started for this command.
    pub(crate) fn writer_cause(&self) -> Option<RefusalCause> {
        self.writer.as_ref().and_then(|writer| writer.cause(None))
    }

    /// Returns the writer for dry run, reject and status: the first in `--writer`, or a local one.
    ///
    /// # Errors
    /// `NO_WRITER` (exit 6) when no writer runs and none can be started, or no remote address is set.
    pub(crate) async fn writer(&mut self, context: &Context) -> Result<ServiceChannel, ExitError> {
        if let Some(link) = &self.writer_link {
            return Ok(link.clone());
        }
        let named = self.named_writers(context)?.into_iter().next();
        let link = match (&self.mode, named) {
            (_, Some(named)) => named,
            (ConnectionMode::Remote, None) => return Err(no_remote_writer()),
            (ConnectionMode::Local { state, ledger }, None) => {
                let search = local_writer::running(state, &self.tls, 1).await?;
                match search.running.into_iter().next() {
                    Some(link) => link,
                    None => {
                        let (child, link) =
                            local_writer::start_or_find(context, state, ledger, &self.tls).await?;
                        self.writer = child;
                        link
                    }
                }
            }
        };
        self.writer_link = Some(link.clone());
        Ok(link)
    }

    /// Returns every writer to call: exactly those in `--writer`, or else the local running ones; starts one if
    /// none runs.
    ///
    /// # Errors
    /// As [`Self::writer`].
    pub(crate) async fn writers(&mut self, context: &Context) -> Result<Vec<ServiceChannel>, ExitError> {
        let named = self.named_writers(context)?;
        match &self.mode {
            _ if !named.is_empty() => Ok(named),
            ConnectionMode::Remote => Err(no_remote_writer()),
            ConnectionMode::Local { state, .. } => {
                let running = local_writer::running(state, &self.tls, usize::MAX).await?.running;
                if running.is_empty() {
                    return Ok(vec![self.writer(context).await?]);
                }
                Ok(running)
            }
        }
    }

    /// Returns the writers in `--writer`; empty if it is not set. Uses the given certificate, or without one
    /// the state directory's.
    ///
    /// # Errors
    /// `WRITER_ADDRESS_INVALID` (exit 2); an invalid certificate.
    pub(crate) fn named_writers(&self, context: &Context) -> Result<Vec<ServiceChannel>, ExitError> {
        let remote = &context.global.remote;
        let addresses = remote.named_writers()?;
        let given = match self.mode {
            ConnectionMode::Local { .. } if !addresses.is_empty() && remote.has_certificate() => {
                Some(remote_certificate(context)?)
            }
            ConnectionMode::Local { .. } | ConnectionMode::Remote => None,
        };
        let tls = given.as_ref().unwrap_or(&self.tls);
        addresses
            .into_iter()
            .map(|address| link(tls, Endpoint::new(Role::Writer, address)))
            .collect()
    }

    /// Ends the processes started for this command. The ledger exits by itself without clients.
    pub(crate) async fn close(self) {
        if let Some(writer) = self.writer {
            writer.stop().await;
        }
    }
}

pub(crate) fn link(tls: &TlsMaterial, target: Endpoint) -> Result<ServiceChannel, ExitError> {
    Ok(ServiceChannel {
        channel: grpc_channel::connect(tls, &target)?,
        target,
    })
}

/// Connects to a service that the command line names, without a ledger.
///
/// # Errors
/// An invalid certificate; an unreachable service (exit 6).
pub(crate) async fn remote(
    context: &Context,
    role: Role,
    address: &str,
) -> Result<ServiceChannel, ExitError> {
    let found = link(&remote_certificate(context)?, Endpoint::new(role, address))?;
    context
        .unless_stopped(async {
            grpc_channel::check_health(&found.channel, &found.target, PROBE_TIMEOUT).await?;
            Ok(())
        })
        .await?;
    Ok(found)
}

/// Returns the writer that already runs on the local state directory, if any. Starts and creates nothing.
pub(crate) async fn local_writer(context: &Context) -> Result<Option<ServiceChannel>, ExitError> {
    let Ok(state) = state::find(context) else {
        return Ok(None);
    };
    let tls = Instance::new(&state)?.operator(&context.env)?;
    let search = context
        .unless_stopped(local_writer::running(&state, &tls, 1))
        .await?;
    Ok(search.running.into_iter().next())
}

pub(crate) fn no_writer(text: impl AsRef<str>) -> ExitError {
    ExitError::new(ErrorCode::NoWriter, text)
}

fn no_remote_writer() -> ExitError {
    no_writer("address of the remote writer not set").with_fix("pass --writer ADDR or set SYNAPSOR_WRITER")
}

fn remote_certificate(context: &Context) -> Result<TlsMaterial, ExitError> {
    let remote = &context.global.remote;
    let (Some(ca), Some(cert), Some(key)) = (&remote.ca, &remote.cert, &remote.key) else {
        return Err(ExitError::new(
            ErrorCode::CertificateMissing,
            "running services require a client certificate",
        )
        .with_fix(
            "pass --ca, --cert and --key; create them with `synapsor-runner certs issue operator NAME`",
        ));
    };
    let tls = TlsFiles {
        ca: ca.clone(),
        cert: cert.clone(),
        key: key.clone(),
    }
    .load_operator()
    .map_err(|error| {
        let failure = ExitError::from(error);
        let files = format!(
            "--ca {}, --cert {} and --key {}",
            ca.display(),
            cert.display(),
            key.display()
        );
        let fix = format!(
            "{}; given were {files}",
            failure.fix().unwrap_or("check the files")
        );
        failure.with_fix(fix)
    })?;
    if tls.identity().role() == Role::Operator {
        return Ok(tls);
    }
    Err(ExitError::new(
        ErrorCode::TlsCertificateWrongRole,
        format!("the certificate names {}", tls.identity()),
    )
    .with_fix("pass an operator certificate: `synapsor-runner certs issue operator NAME`"))
}
