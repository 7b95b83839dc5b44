//! Starts a process of one role: loads files, connects to the ledger, and binds the listen address. What a role
//! serves is in `reader` and `writer`.

use std::sync::Arc;

use synapsor_anchors::failure;
use synapsor_anchors::pinned_checkpoint::CheckpointPinFile;
use synapsor_anchors::trust::{TrustFileCache, load_contract, load_signing_key};
use synapsor_chassis::files;
use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::grpc_server::{AccessTable, GrpcServer, ServerLimits};
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::{RunFile, RunFileGuard};
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::shutdown;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::trust::TrustFile;
use synapsor_source::Engine;
use synapsor_source::db_error_message::explain;
use tokio_util::sync::CancellationToken;

use crate::settings::{RoleName, Settings, refuse_foreign_credentials};
use crate::{reader, writer};

/// State that both roles share.
pub(crate) struct ProcessContext {
    pub(crate) settings: Settings,
    pub(crate) env: EnvVars,
    pub(crate) contract: Arc<Contract>,
    pub(crate) trust: TrustFileCache,
    pub(crate) tls: TlsMaterial,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) pinned: CheckpointPinFile,
    pub(crate) ledger: Channel,
}

/// Serves one role until `stop` is canceled.
///
/// # Errors
/// When settings, files or environment do not fit the role, or the listen address is not available.
pub(crate) async fn run(settings: Settings, stop: CancellationToken) -> Result<(), ExitError> {
    let base = ProcessContext::load(settings)?;
    if base.settings.has_lifeline {
        let stop = stop.clone();
        tokio::spawn(async move {
            shutdown::wait_for_stdin_close().await;
            stop.cancel();
        });
    }
    match base.settings.role {
        RoleName::Reader => Box::pin(reader::serve(base, stop)).await,
        RoleName::Writer => Box::pin(writer::serve::serve(base, stop)).await,
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
        let pin_path = settings
            .state_dir
            .join(format!("{}.witness", tls.identity().role()));
        let pinned = CheckpointPinFile::load(pin_path, &file.ledger_origin()).map_err(|r| failure(&r))?;
        pinned.recover(&file).map_err(|r| failure(&r))?;
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

    /// Binds the listen address, and publishes it in the run file.
    pub(crate) async fn bind(
        &self,
        access: AccessTable,
        limits: ServerLimits,
    ) -> Result<(GrpcServer, Option<RunFileGuard>), ExitError> {
        let server = GrpcServer::bind(self.settings.listen, &self.tls, access, limits).await?;
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

/// Logs which sources cannot be used now, beside the serving: one that is dead, silent, denied or has unusable settings
/// must not keep the others from being served. Every call of such a source is refused until it works.
pub(crate) fn report_unusable(engines: impl Iterator<Item = (String, Arc<dyn Engine>)>) {
    for (name, engine) in engines {
        tokio::spawn(async move {
            let Err(error) = engine.identity().await else {
                return;
            };
            let explained = explain(&error);
            tracing::warn!(
                source = %name, code = %explained.code, detail = %error.detail,
                fix = %explained.fix, "source not usable now: the database {}", explained.text
            );
        });
    }
}
