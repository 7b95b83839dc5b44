//! How a command reaches the services: those that run on this machine, started on demand, or those that the command
//! line names. What is asked of them is the commands' business.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};
use synapsor_domain::trust::TrustFile;
use tonic::transport::Channel;

use crate::state::{self, StateFolder};
use crate::supervisor::{
    Child, Executor, Instance, Process, RunFile, RunningLedger, Supervisor, missing, requirements,
};
use crate::{Context, contract_file, witness};

/// The pinned checkpoint of this machine's deployment, in the state folder.
const LOCAL_WITNESS: &str = "cli.witness";
/// The pinned checkpoint of a remote deployment, beside its trust file.
const REMOTE_WITNESS: &str = "synapsor.witness";

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a writer that has the state directory may take to serve, or to end.
const OTHER_WRITER: Duration = Duration::from_secs(15);
const OTHER_WRITER_PAUSE: Duration = Duration::from_millis(100);

/// A service that can be called.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) channel: Channel,
    pub(crate) target: Endpoint,
}

/// An open way to the ledger, and to a writer when one is asked for.
#[derive(Debug)]
pub(crate) struct Session {
    trust: TrustFile,
    trust_path: PathBuf,
    tls: TlsMaterial,
    ledger: Link,
    place: Place,
    /// A writer that was started for this command.
    writer: Option<Child>,
    writer_link: Option<Link>,
}

/// Where the services are.
#[derive(Debug)]
enum Place {
    /// On this machine, by this state folder.
    Local {
        state: StateFolder,
        ledger: Box<RunningLedger>,
    },
    /// Where the command line says.
    Remote,
}

impl Session {
    /// Opens the way to the ledger. Locally the state folder must exist; a ledger that does not run is started.
    ///
    /// # Errors
    /// `STATE_NOT_FOUND`; what is wrong with the trust file or certificates; a ledger that does not answer (exit 6).
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
        let pinned = witness::pinned(&state.witness(LOCAL_WITNESS), &trust);
        trust.pin_retirements(pinned, None);
        let tls = instance.operator(&context.env)?;
        let ledger = RunningLedger::ensure(context, &state, &instance).await?;
        let link = link(&tls, ledger.target())?;
        Ok(Self {
            trust,
            trust_path: state.trust_path().to_owned(),
            tls,
            ledger: link,
            place: Place::Local {
                state,
                ledger: Box::new(ledger),
            },
            writer: None,
            writer_link: None,
        })
    }

    /// As [`Self::open`], for stops: a remote ledger that does not answer is no reason not to reach the writers.
    ///
    /// # Errors
    /// As [`Self::open`], without the remote ledger.
    pub(crate) async fn open_to_stop(context: &Context) -> Result<Self, ExitError> {
        if context.global.remote.ledger.is_none() {
            return Self::open(context).await;
        }
        Self::unprobed(context)
    }

    async fn open_remote(context: &Context) -> Result<Self, ExitError> {
        let session = Self::unprobed(context)?;
        grpc_channel::check_health(&session.ledger.channel, &session.ledger.target, PROBE_TIMEOUT).await?;
        Ok(session)
    }

    fn unprobed(context: &Context) -> Result<Self, ExitError> {
        let remote = &context.global.remote;
        let address = remote.ledger.as_deref().unwrap_or_default();
        let tls = remote_certificate(context)?;
        let trust_path = state::trust_path(context)?;
        let mut trust = state::load_trust(&trust_path)?;
        let pinned = witness::pinned(&trust_path.with_file_name(REMOTE_WITNESS), &trust);
        trust.pin_retirements(pinned, None);
        let ledger = link(&tls, Endpoint::new(Role::Ledger, address))?;
        Ok(Self {
            trust,
            trust_path,
            tls,
            ledger,
            place: Place::Remote,
            writer: None,
            writer_link: None,
        })
    }

    pub(crate) fn ledger(&self) -> &Link {
        &self.ledger
    }

    pub(crate) fn trust(&self) -> &TrustFile {
        &self.trust
    }

    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.place, Place::Remote)
    }

    /// The file in which this command remembers the log: in the state folder, or beside the trust file.
    pub(crate) fn witness_path(&self) -> PathBuf {
        match &self.place {
            Place::Local { state, .. } => state.witness(LOCAL_WITNESS),
            Place::Remote => self.trust_path.with_file_name(REMOTE_WITNESS),
        }
    }

    /// Makes sure that somebody applies what is ordered: a running writer, or one for the duration of this command.
    /// Of a remote deployment only the ledger knows.
    ///
    /// # Errors
    /// `NO_WRITER` (exit 6) when none runs and none can be started.
    pub(crate) async fn ensure_writer(&mut self, context: &Context) -> Result<(), ExitError> {
        if self.is_remote() {
            Ok(())
        } else {
            self.writer(context).await.map(|_| ())
        }
    }

    /// The writer, for preview, deny and status: the first that the command line names, or one of this machine.
    ///
    /// # Errors
    /// `NO_WRITER` (exit 6) when none runs and none can be started, or a remote one is not named.
    pub(crate) async fn writer(&mut self, context: &Context) -> Result<Link, ExitError> {
        if let Some(link) = &self.writer_link {
            return Ok(link.clone());
        }
        let named = self.named_writers(context)?.into_iter().next();
        let link = match (&self.place, named) {
            (_, Some(named)) => named,
            (Place::Remote, None) => return Err(no_remote_writer()),
            (Place::Local { state, ledger }, None) => match running_writer(state, &self.tls).await? {
                Some(link) => link,
                None => {
                    let (child, link) = start_or_find_writer(context, state, ledger, &self.tls).await?;
                    self.writer = child;
                    link
                }
            },
        };
        self.writer_link = Some(link.clone());
        Ok(link)
    }

    /// Every writer that is to be reached: exactly those that the command line names, or else those that run on this
    /// machine, of which one is started when none runs.
    ///
    /// # Errors
    /// As [`Self::writer`].
    pub(crate) async fn writers(&mut self, context: &Context) -> Result<Vec<Link>, ExitError> {
        let named = self.named_writers(context)?;
        match &self.place {
            _ if !named.is_empty() => Ok(named),
            Place::Remote => Err(no_remote_writer()),
            Place::Local { state, .. } => {
                let running = running_writers(state, &self.tls, usize::MAX).await?;
                if running.is_empty() {
                    return Ok(vec![self.writer(context).await?]);
                }
                Ok(running)
            }
        }
    }

    /// The writers that the command line names; none when it names none. They are shown the certificate that is
    /// given, and on this machine without one the state folder's.
    ///
    /// # Errors
    /// `WRITER_ADDRESS_INVALID` (exit 2); what is wrong with the certificate.
    pub(crate) fn named_writers(&self, context: &Context) -> Result<Vec<Link>, ExitError> {
        let remote = &context.global.remote;
        let addresses = remote.named_writers()?;
        let given = match self.place {
            Place::Local { .. } if !addresses.is_empty() && remote.has_certificate() => {
                Some(remote_certificate(context)?)
            }
            Place::Local { .. } | Place::Remote => None,
        };
        let tls = given.as_ref().unwrap_or(&self.tls);
        addresses
            .into_iter()
            .map(|address| link(tls, Endpoint::new(Role::Writer, address)))
            .collect()
    }

    /// Ends what was started for this command. The ledger ends by itself when nobody uses it.
    pub(crate) async fn close(self) {
        if let Some(writer) = self.writer {
            writer.stop().await;
        }
    }
}

fn link(tls: &TlsMaterial, target: Endpoint) -> Result<Link, ExitError> {
    Ok(Link {
        channel: grpc_channel::connect(tls, &target)?,
        target,
    })
}

/// The way to a service that the command line names, without a ledger.
///
/// # Errors
/// What is wrong with the certificate; a service that does not answer (exit 6).
pub(crate) async fn remote(context: &Context, role: Role, address: &str) -> Result<Link, ExitError> {
    let found = link(&remote_certificate(context)?, Endpoint::new(role, address))?;
    context
        .unless_stopped(async {
            grpc_channel::check_health(&found.channel, &found.target, PROBE_TIMEOUT).await?;
            Ok(())
        })
        .await?;
    Ok(found)
}

/// The writer that already runs on this machine's state folder, if there is one. Starts and makes nothing.
pub(crate) async fn local_writer(context: &Context) -> Result<Option<Link>, ExitError> {
    let Ok(state) = state::find(context) else {
        return Ok(None);
    };
    let tls = Instance::new(&state)?.operator(&context.env)?;
    context.unless_stopped(running_writer(&state, &tls)).await
}

/// A writer of this state folder that somebody else runs.
async fn running_writer(state: &StateFolder, tls: &TlsMaterial) -> Result<Option<Link>, ExitError> {
    Ok(running_writers(state, tls, 1).await?.pop())
}

/// Writers of this state folder that run, at most `limit`.
async fn running_writers(
    state: &StateFolder,
    tls: &TlsMaterial,
    limit: usize,
) -> Result<Vec<Link>, ExitError> {
    let Ok(entries) = std::fs::read_dir(state.run_dir()) else {
        return Ok(Vec::new());
    };
    let mut running = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(instance) = name
            .strip_prefix("writer-")
            .and_then(|rest| rest.strip_suffix(".json"))
        else {
            continue;
        };
        let Some(address) = RunFile::read(&entry.path())
            .filter(RunFile::is_alive)
            .and_then(|f| f.address)
        else {
            // A killed writer leaves its file behind.
            let _ = std::fs::remove_file(entry.path());
            continue;
        };
        let found = link(
            tls,
            Endpoint::new(Role::Writer, address.to_string()).of_instance(instance),
        )?;
        if grpc_channel::check_health(&found.channel, &found.target, PROBE_TIMEOUT)
            .await
            .is_ok()
        {
            running.push(found);
            if running.len() == limit {
                break;
            }
        }
    }
    Ok(running)
}

/// Starts a writer, or finds the one that another command started at the same time: a state directory has one.
async fn start_or_find_writer(
    context: &Context,
    state: &StateFolder,
    ledger: &RunningLedger,
    tls: &TlsMaterial,
) -> Result<(Option<Child>, Link), ExitError> {
    let start = Instant::now();
    loop {
        match start_writer(context, state, ledger, tls).await {
            Ok((child, link)) => return Ok((Some(child), link)),
            Err(failure) if failure.code() == "STATE_DIR_IN_USE" && start.elapsed() < OTHER_WRITER => {
                if let Some(link) = running_writer(state, tls).await? {
                    return Ok((None, link));
                }
                tokio::time::sleep(OTHER_WRITER_PAUSE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

async fn start_writer(
    context: &Context,
    state: &StateFolder,
    ledger: &RunningLedger,
    tls: &TlsMaterial,
) -> Result<(Child, Link), ExitError> {
    let contract = contract_file::load_runnable(&context.global)?;
    let missing = missing(&context.env, requirements(Process::Writer, &contract.contract))?;
    if let Some(first) = missing.first() {
        let text = format!(
            "no writer runs here, and none can be started: {} is not set",
            first.name
        );
        return Err(no_writer(text).with_fix(format!(
            "run `synapsor-runner up` where {} is set, or here: export {}={}",
            first.name, first.name, first.example
        )));
    }
    let supervisor = Supervisor::new(context, state, &contract)?;
    let child = supervisor.executor(Executor::writer(ledger)).await?;
    let target =
        Endpoint::new(Role::Writer, child.address()?.to_string()).of_instance(supervisor.instance.id());
    let link = link(tls, target)?;
    Ok((child, link))
}

fn no_writer(text: impl AsRef<str>) -> ExitError {
    ExitError::unreachable("NO_WRITER", text)
}

fn no_remote_writer() -> ExitError {
    no_writer("the remote writer's address is not known")
        .with_fix("give --writer ADDR or set SYNAPSOR_WRITER")
}

fn remote_certificate(context: &Context) -> Result<TlsMaterial, ExitError> {
    let remote = &context.global.remote;
    let (Some(ca), Some(cert), Some(key)) = (&remote.ca, &remote.cert, &remote.key) else {
        return Err(ExitError::usage(
            "CERTIFICATE_MISSING",
            "running services are reached with a certificate",
        )
        .with_fix("give --ca, --cert and --key; `synapsor-runner certs issue operator NAME` makes them"));
    };
    let tls = TlsFiles {
        ca: ca.clone(),
        cert: cert.clone(),
        key: key.clone(),
    }
    .load()
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
    Err(ExitError::usage(
        "TLS_CERTIFICATE_WRONG_ROLE",
        format!("the certificate is of {}", tls.identity()),
    )
    .with_fix("give an operator's certificate: `synapsor-runner certs issue operator NAME`"))
}
