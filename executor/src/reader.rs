//! Serves the reader role of `synapsor-reader` to the gateway and to operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use synapsor_anchors::failure;
use synapsor_chassis::background::{TaskEnd, task_ended};
use synapsor_chassis::clock::SystemClock;
use synapsor_chassis::grpc_server::{AccessTable, MESSAGE_BYTES_MAX, ServerLimits};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::run::ExitError;
use synapsor_domain::contract::Source;
use synapsor_domain::tool::Catalog;
use synapsor_engine::lazy::{LazyEngine, LazyOpening};
use synapsor_engine::{Credential, EngineConfig};
use synapsor_proto::executor::v1::agent_service_server::{AgentServiceServer, SERVICE_NAME as AGENT_SERVICE};
use synapsor_proto::executor::v1::schema_service_server::{
    SERVICE_NAME as SCHEMA_SERVICE, SchemaServiceServer,
};
use synapsor_reader::callers::CallerAuthenticator;
use synapsor_reader::clients::intake::IntakeClient;
use synapsor_reader::context::ContextResolver;
use synapsor_reader::role::{CapabilityDigests, ReaderRole};
use synapsor_reader::rpc::agent_service::AgentRpc;
use synapsor_reader::rpc::schema_service::SchemaRpc;
use synapsor_source::Engine;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::serve::{ProcessContext, report_unusable};

/// Serves until `stop` is canceled.
pub(crate) async fn serve(base: ProcessContext, stop: CancellationToken) -> Result<(), ExitError> {
    let names = ReaderRole::sources_in_use(&base.contract);
    let sources: Vec<&Source> = base
        .contract
        .sources()
        .iter()
        .filter(|s| names.contains(&s.name.as_str()))
        .collect();
    let engines = open_engines(&base, &sources)?;
    report_unusable(
        engines
            .iter()
            .map(|(name, engine)| (name.clone(), engine.clone())),
    );
    let own = base.tls.identity();
    let intake = IntakeClient::new(base.ledger.clone(), base.pinned.clone(), base.key.clone());
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
    let submissions = intake.clone();
    let reader = Arc::new(ReaderRole {
        callers,
        contexts: ContextResolver::resolve(&base.contract, own.uri(), &base.env)?,
        catalog: Catalog::from_contract(&base.contract, read_only),
        digests: CapabilityDigests::all(&base.contract),
        contract: base.contract.clone(),
        trust: base.trust.clone(),
        engines,
        key: base.key.clone(),
        intake,
        clock: Arc::new(SystemClock),
        read_only,
    });
    let agents = AgentServiceServer::new(AgentRpc::new(reader.clone(), stop.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let schemas = SchemaServiceServer::new(SchemaRpc::new(reader))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let limits = ServerLimits::default().with_streaming(&[(AGENT_SERVICE, "CallCapabilities")]);
    let (server, _run_file) = base.bind(access, limits).await?;
    let served = tokio::select! {
        served = server.serve(Routes::new(agents).add_service(schemas), stop) => served.map_err(ExitError::from),
        () = submissions.ended() => Err(task_ended("queue to the ledger", TaskEnd::Returned)),
    };
    base.pinned.write_now().map_err(|r| failure(&r))?;
    served
}

type Engines = BTreeMap<String, Arc<dyn Engine>>;

/// Creates the read engines of the sources. A source with unusable settings is refused alone, until they are
/// corrected.
///
/// # Errors
/// That of the first source, if none can be opened.
fn open_engines(base: &ProcessContext, sources: &[&Source]) -> Result<Engines, ExitError> {
    let mut engines = Engines::new();
    let mut failed = Vec::new();
    for source in sources {
        let credential = Credential::for_reading(source, &base.env);
        let config = EngineConfig::of_source(source, credential, &base.settings.receipt_table);
        match config.clone().open() {
            Ok(engine) => {
                engines.insert(source.name.clone(), engine);
            }
            Err(error) => failed.push((source, config, error)),
        }
    }
    if engines.is_empty() && !failed.is_empty() {
        return Err(failed.swap_remove(0).2);
    }
    for (source, config, error) in failed {
        let opening = LazyOpening::after(&error, &source.name, move || config.clone().open());
        let engine = LazyEngine::new(source.engine, move || opening.get());
        engines.insert(source.name.clone(), Arc::new(engine));
    }
    Ok(engines)
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
