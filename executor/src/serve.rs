//! Runs a process of one role: loads files, opens databases, connects to the ledger, serves, and drains calls at
//! shutdown.

use std::collections::BTreeMap;
use std::sync::Arc;

use synapsor_chassis::background::task_ended;
use synapsor_chassis::clock::{Clock, SystemClock};
use synapsor_chassis::files;
use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::grpc_server::{AccessTable, GrpcServer, MESSAGE_BYTES_MAX, ServerLimits};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::join::join_all;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::{RunFile, RunFileGuard};
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::shutdown;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, Mode, Source};
use synapsor_domain::signing::SigningKey;
use synapsor_domain::tool::Catalog;
use synapsor_domain::trust::TrustFile;
use synapsor_proto::executor::v1::agent_service_server::{AgentServiceServer, SERVICE_NAME as AGENT_SERVICE};
use synapsor_proto::executor::v1::schema_service_server::{
    SERVICE_NAME as SCHEMA_SERVICE, SchemaServiceServer,
};
use synapsor_proto::executor::v1::writer_service_server::{
    SERVICE_NAME as WRITER_SERVICE, WriterServiceServer,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Channel;

use crate::rpc::writer_service::WriterRpc;
use crate::settings::{RoleName, Settings, refuse_foreign_credentials};
use crate::writeback::{
    self, ChangedRows, ReceiptProblems, WritebackClient, Writer, WriterControls, unusable_trust,
};
use synapsor_anchors::failure;
use synapsor_anchors::pinned_checkpoint::CheckpointPinFile;
use synapsor_anchors::trust::{TrustFileCache, load_contract, load_signing_key};
use synapsor_engine::{Credential, EngineConfig};
use synapsor_reader::callers::CallerAuthenticator;
use synapsor_reader::clients::intake::IntakeClient;
use synapsor_reader::context::ContextResolver;
use synapsor_reader::role::{CapabilityDigests, ReaderRole};
use synapsor_reader::rpc::agent_service::AgentRpc;
use synapsor_reader::rpc::schema_service::SchemaRpc;
use synapsor_source::Engine;
use synapsor_source::error::EngineErrorKind;
use synapsor_writeback::{Database, SeenFiles, WriteCore};

/// State that both roles share.
struct ProcessContext {
    settings: Settings,
    env: EnvVars,
    contract: Arc<Contract>,
    trust: TrustFileCache,
    tls: TlsMaterial,
    key: Arc<SigningKey>,
    pinned: CheckpointPinFile,
    ledger: Channel,
}

/// Serves one role until `stop` is canceled.
///
/// # Errors
/// When settings, files or environment do not fit the role, or the listen address is not available.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), ExitError> {
    let base = ProcessContext::load(settings)?;
    if base.settings.has_lifeline {
        let stop = stop.clone();
        tokio::spawn(async move {
            shutdown::wait_for_stdin_close().await;
            stop.cancel();
        });
    }
    match base.settings.role {
        RoleName::Reader => Box::pin(serve_reader(base, stop)).await,
        RoleName::Writer => Box::pin(serve_writer(base, stop)).await,
    }
}

impl ProcessContext {
    fn load(settings: Settings) -> Result<Self, ExitError> {
        let env = EnvVars::of_process();
        let contract = Arc::new(load_contract(&settings.contract)?);
        refuse_foreign_credentials(settings.role, &contract, &env)?;
        let trust = TrustFileCache::new(&settings.trust);
        let (file, digest) = trust.read().map_err(|r| failure(&r))?;
        tracing::info!(%digest, "trust file loaded");
        let tls = settings.tls.load()?;
        check_identity(&settings, &tls, &file)?;
        let key = Arc::new(load_signing_key(&settings.signing_key)?);
        check_key(settings.role, &key, &file)?;
        files::create_private_dir(&settings.state_dir)?;
        let witness_path = settings
            .state_dir
            .join(format!("{}.witness", tls.identity().role()));
        let pinned = CheckpointPinFile::load(witness_path, &file.ledger_origin()).map_err(|r| failure(&r))?;
        let source = pinned.clone();
        trust.pin_by(move || source.pin());
        let ledger = grpc_channel::connect(&tls, &Endpoint::new(Role::Ledger, &settings.ledger))?;
        Ok(Self {
            settings,
            env,
            contract,
            trust,
            tls,
            key,
            pinned,
            ledger,
        })
    }

    async fn bind(&self, access: AccessTable) -> Result<(GrpcServer, Option<RunFileGuard>), ExitError> {
        let server =
            GrpcServer::bind(self.settings.listen, &self.tls, access, ServerLimits::default()).await?;
        let run_file = match &self.settings.run_file {
            Some(path) => {
                let role = self.tls.identity().role();
                Some(RunFile::of_this_process(role.as_str(), Some(server.local_addr())).publish(path)?)
            }
            None => None,
        };
        tracing::info!(address = %server.local_addr(), role = %self.tls.identity().role(), "serving");
        Ok((server, run_file))
    }

    /// Creates the read engines of the sources.
    fn engines(&self, sources: &[&Source]) -> Result<BTreeMap<String, Arc<dyn Engine>>, ExitError> {
        let mut engines: BTreeMap<String, Arc<dyn Engine>> = BTreeMap::new();
        for source in sources {
            let credential = Credential::for_reading(source, &self.env);
            let opening = EngineConfig::of_source(source, credential, &self.settings.receipt_table);
            engines.insert(source.name.clone(), opening.open()?);
        }
        Ok(engines)
    }

    /// Opens the databases of the sources that have a write URL variable in the contract and a value in the
    /// environment.
    fn databases(&self) -> Result<BTreeMap<String, Database>, ExitError> {
        let mut databases = BTreeMap::new();
        for source in self.contract.sources() {
            if let Some(database) = Database::of_source(source, &self.env, &self.settings.receipt_table)? {
                databases.insert(source.name.clone(), database);
            }
        }
        Ok(databases)
    }
}

fn check_identity(settings: &Settings, tls: &TlsMaterial, trust: &TrustFile) -> Result<(), ExitError> {
    let expected = match settings.role {
        RoleName::Reader => Role::Reader,
        RoleName::Writer => Role::Writer,
    };
    let own = tls.identity();
    if own.role() != expected || own.deployment() != trust.deployment_id {
        let text = format!(
            "certificate is for {own}, but this is a {expected} of `{}`",
            trust.deployment_id
        );
        return Err(ExitError::new(ErrorCode::TlsCertificateWrongRole, text)
            .with_fix("issue a certificate for this role and this deployment"));
    }
    Ok(())
}

fn check_key(role: RoleName, key: &SigningKey, trust: &TrustFile) -> Result<(), ExitError> {
    let (list, keys) = match role {
        RoleName::Reader => ("readers", &trust.readers),
        RoleName::Writer => ("writers", &trust.writers),
    };
    if keys.iter().any(|k| k.key_id == key.key_id() && !k.is_retired()) {
        return Ok(());
    }
    let text = format!(
        "the signing key {} is missing or retired in `{list}` of the trust file",
        key.key_id()
    );
    Err(ExitError::new(ErrorCode::SigningKeyNotTrusted, text)
        .with_fix("add its public key to the trust file"))
}

async fn serve_reader(base: ProcessContext, stop: CancellationToken) -> Result<(), ExitError> {
    let names = ReaderRole::sources_in_use(&base.contract);
    let sources: Vec<&Source> = base
        .contract
        .sources()
        .iter()
        .filter(|s| names.contains(&s.name.as_str()))
        .collect();
    let engines = base.engines(&sources)?;
    refuse_unusable(
        engines
            .iter()
            .map(|(name, engine)| (name.as_str(), engine.as_ref())),
    )
    .await?;
    let own = base.tls.identity();
    let intake = IntakeClient::new(base.ledger.clone(), base.pinned.clone());
    let (trust, _) = base.trust.read().map_err(|r| failure(&r))?;
    if let Err(refusal) = intake.refresh_checkpoint(&trust).await {
        let detail = refusal.detail.unwrap_or_default();
        tracing::warn!(code = %refusal.code, detail, "ledger not reachable yet; rejecting calls until it is");
    }
    let gateways = allowed_gateways(&base.settings.allow_gateway, own)?;
    let access = AccessTable::new(own.deployment())
        .allow(AGENT_SERVICE, &[Role::Gateway])
        .allow(SCHEMA_SERVICE, &[Role::Operator])
        .only(Role::Gateway, gateways);
    let read_only = base.settings.read_only;
    let callers = CallerAuthenticator::of_contract(
        &base.contract,
        base.settings.jwks_file.clone(),
        trust.environment,
        Arc::new(SystemClock),
    )?;
    let filing = intake.clone();
    let reader = Arc::new(ReaderRole {
        callers,
        contexts: ContextResolver::resolve(&base.contract, own.uri(), &base.env)?,
        catalog: Catalog::from_contract(&base.contract, read_only),
        seals: CapabilityDigests::all(&base.contract),
        contract: base.contract.clone(),
        trust: base.trust.clone(),
        engines,
        key: base.key.clone(),
        intake,
        clock: Arc::new(SystemClock),
        read_only,
    });
    let agents = AgentServiceServer::new(AgentRpc::new(reader.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let schemas = SchemaServiceServer::new(SchemaRpc::new(reader))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (server, _run_file) = base.bind(access).await?;
    let served = tokio::select! {
        served = server.serve(Routes::new(agents).add_service(schemas), stop) => served.map_err(ExitError::from),
        () = filing.ended() => Err(task_ended("queue to the ledger", "ended")),
    };
    base.pinned.keep_now().map_err(|r| failure(&r))?;
    served
}

async fn serve_writer(base: ProcessContext, stop: CancellationToken) -> Result<(), ExitError> {
    let own = base.tls.identity();
    if base.contract.mode() != Mode::Review {
        tracing::warn!(
            mode = base.contract.mode().as_str(),
            "the contract's mode does not allow writeback"
        );
    }
    let databases = base.databases()?;
    if databases.is_empty() {
        let text = "no write URL in the contract or in the environment";
        return Err(ExitError::new(ErrorCode::WriteUrlMissing, text)
            .with_fix("set the variable that `write_url_env` of a source names"));
    }
    refuse_unusable(
        databases
            .iter()
            .map(|(name, database)| (name.as_str(), database.reading())),
    )
    .await?;
    let (trust, core_trust) = (base.trust.clone(), base.trust.clone());
    let name = own.instance().unwrap_or_default().to_owned();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ledger = WritebackClient::new(base.ledger.clone(), base.pinned.clone(), clock.clone());
    let switches = WriterControls::open(base.settings.state_dir.clone())?;
    let changed_rows = ChangedRows::open(&base.settings.state_dir)?;
    let core = WriteCore::new(
        databases,
        Box::new(move || core_trust.read().map_err(|refusal| unusable_trust(&refusal))),
        base.key.clone(),
        name.clone(),
        (clock.clone(), Box::new(ledger.clocks(switches.clone()))),
    )
    .with_seen_files(SeenFiles::open(&base.settings.state_dir)?);
    let writer = Arc::new(Writer {
        contract: base.contract.clone(),
        trust: Box::new(move || trust.read()),
        core,
        key: base.key.clone(),
        name,
        ledger,
        switches,
        changed_rows,
        receipts: ReceiptProblems::default(),
        clock,
    });
    let access = AccessTable::new(own.deployment()).allow(WRITER_SERVICE, &[Role::Operator]);
    let service = WriterServiceServer::new(WriterRpc::new(writer.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (server, _run_file) = base.bind(access).await?;
    let end = stop.child_token();
    let durable = writer.switches.durable();
    let mut working = tokio::spawn(writeback::run(writer, end.clone()));
    let served = tokio::select! {
        served = server.serve_while(Routes::new(service), durable, end.clone()) => served.map_err(ExitError::from),
        ended = &mut working => return ended.map_err(|_| worker_ended())?,
    };
    end.cancel();
    // Running attempts are not interrupted: each ends by itself, within its own limits.
    let worked = working.await.map_err(|_| worker_ended())?;
    served.and(worked)
}

fn worker_ended() -> ExitError {
    ExitError::new(ErrorCode::WorkerEnded, "writeback ended unexpectedly")
}

/// Ends the process if a source is reachable but must not be used; an unreachable source may return. All are
/// checked at once: one that hangs delays the start by its own timeout, whatever their number.
async fn refuse_unusable<'a>(
    engines: impl Iterator<Item = (&'a str, &'a dyn Engine)>,
) -> Result<(), ExitError> {
    let asked = engines.map(|(name, engine)| async move { (name, engine.identity().await) });
    for (name, answer) in join_all(asked).await {
        match answer {
            Ok(_) => {}
            Err(error) if error.kind == EngineErrorKind::Denied => {
                let text = format!("source `{name}`: {}", error.detail);
                return Err(ExitError::new(ErrorCode::SourceRefused, text)
                    .with_fix("set the URL of the application's database"));
            }
            Err(error) => {
                tracing::warn!(source = %name, reason = error.reason(), detail = %error.detail, "source not usable now");
            }
        }
    }
    Ok(())
}

/// Returns the gateways that may call; without a list, only the gateway of this reader's own instance.
fn allowed_gateways(listed: &[String], own: &PeerIdentity) -> Result<Vec<PeerIdentity>, ExitError> {
    if listed.is_empty() {
        return Ok(vec![PeerIdentity::new(
            own.deployment(),
            Role::Gateway,
            own.instance(),
        )?]);
    }
    listed
        .iter()
        .map(|san| san.parse().map_err(ExitError::from))
        .collect()
}
