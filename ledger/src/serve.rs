//! Runs the ledger process: lock, keys, store, services, run file, sweeps, and graceful shutdown.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use synapsor_anchors::trust::TrustFileCache;
use synapsor_chassis::background::{Background, TaskEnd, task_ended};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::{self, FileLock};
use synapsor_chassis::grpc_server::{GrpcServer, ServerLimits};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::RunFile;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{DeploymentEnvironment, TrustFile};
use synapsor_outbound::AddressPolicy;
use tokio_util::sync::CancellationToken;

use crate::settings::{LedgerArgs, LedgerCommand, Settings};
use crate::store::{Store, StoreError, StoreTxError};
use crate::webhooks::{self, WebhookSource, WebhooksLoaded};
use crate::{Ledger, RequestContext, STREAMING_METHODS, Trust, access_table, refusal_of, restore, routes};

/// Time after the last connection at which a ledger started on demand ends.
const IDLE: Duration = Duration::from_secs(5);

/// Interval of the sweep that applies deadlines without a request.
const SWEEP: Duration = Duration::from_secs(60);
/// Interval at which recording the start is retried while the disk is full.
const START_AGAIN: Duration = Duration::from_secs(2);

/// Time for deliveries to end at shutdown.
const WEBHOOKS_END: Duration = Duration::from_secs(1);

const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Runs what the command line names.
///
/// # Errors
/// Those of serving and of a restore.
pub async fn run(args: LedgerArgs, stop: CancellationToken) -> Result<(), ExitError> {
    match args.command {
        Some(LedgerCommand::Restore(flags)) => {
            let now = Timestamp::from_unix_millis(SystemClock.now_ms());
            tokio::task::spawn_blocking(move || restore::run(&flags, now))
                .await
                .map_err(|_| task_ended("restore", TaskEnd::Panicked))?
                .inspect_err(|error| {
                    // The parent process reads the error here; it is also printed to stderr.
                    let printed = serde_json::json!({ "error": error });
                    let _ = writeln!(std::io::stdout(), "{printed}");
                })
        }
        None => serve(args, stop).await,
    }
}

/// Runs the ledger until `stop`, or until it is no longer needed.
///
/// # Errors
/// When a setting is missing, a file is invalid, the store belongs to another process, or the listen address is
/// not available.
async fn serve(flags: LedgerArgs, stop: CancellationToken) -> Result<(), ExitError> {
    let settings = Settings::resolve(flags)?;
    let lock = own_store(&settings.store)?;
    let trust = TrustFileCache::new(&settings.trust);
    let current = Trust::current(&trust).map_err(|e| from_refusal(&e))?;
    let key = signing_key(&settings.signing_key, &current.file)?;
    let webhooks = load_webhooks(&settings, &current.file)?;
    let tls = settings.tls.load()?;
    let access = access_table(&current.file.deployment_id);
    let limits = ServerLimits::default().with_streaming(&STREAMING_METHODS);
    let server = GrpcServer::bind(settings.listen, &tls, access, limits).await?;
    let store = open_store(&settings.store, &current.file, key, lock)?;
    let ledger = Ledger::new(store, trust, Arc::new(SystemClock));
    let own = RequestContext {
        identity: tls.identity().uri(),
        trace_id: None,
        known: 0,
    };
    let is_start_recorded = match ledger.record_start(own.clone(), current.digest).await {
        Ok(()) => true,
        // Existing records stay readable; nothing is accepted until the disk has space.
        Err(StoreTxError::Store(error @ (StoreError::Full | StoreError::FullAtStart))) => {
            tracing::error!(code = %error.code(), "no event can be recorded; {}", error.fix());
            false
        }
        Err(error) => return Err(from_refusal(&refusal_of(error))),
    };
    let _published = settings
        .run_file
        .as_deref()
        .map(|path| RunFile::of_this_process("ledger", Some(server.local_addr())).publish(path))
        .transpose()?;
    tracing::info!(address = %server.local_addr(), "ledger ready");

    let end = stop.child_token();
    let mut background = Background::default();
    background.spawn("expiry sweep", sweep(ledger.clone(), end.clone()));
    if !is_start_recorded {
        let (ledger, end) = (ledger.clone(), end.clone());
        background.spawn("record of the start", async move {
            record_start_later(&ledger, own, current.digest, &end).await;
        });
    }
    let webhooks_ended = CancellationToken::new();
    match webhooks {
        Some(loaded) => {
            let (ledger, end, ended) = (ledger.clone(), end.clone(), webhooks_ended.clone().drop_guard());
            background.spawn("webhooks", async move {
                webhooks::maintain(ledger, loaded, end).await;
                drop(ended);
            });
        }
        None => webhooks_ended.cancel(),
    }
    let on_demand = settings.on_demand.then(|| server.connections());
    if let Some(connections) = on_demand.clone() {
        let end = end.clone();
        background.spawn("idle check", async move {
            connections.idle_shutdown(IDLE).await;
            end.cancel();
        });
    }
    let served = tokio::select! {
        served = server.serve(routes(&ledger, &end, on_demand), end.clone()) => served.map_err(ExitError::from),
        failure = background.failed(&end) => Err(failure),
        () = ledger.store.writer_ended() => Err(task_ended("store's writing thread", TaskEnd::Returned)),
    };
    end.cancel();
    // The positions are stored, so that the next start repeats no delivery. A slow receiver does not delay the end.
    let _ = tokio::time::timeout(WEBHOOKS_END, webhooks_ended.cancelled()).await;
    served
}

/// Reads the webhooks file, if there is one. In environment `dev`, receivers may have loopback addresses.
fn load_webhooks(settings: &Settings, trust: &TrustFile) -> Result<Option<WebhooksLoaded>, ExitError> {
    let Some(path) = settings.webhooks.clone() else {
        return Ok(None);
    };
    let policy = AddressPolicy {
        loopback: trust.environment == DeploymentEnvironment::Dev,
        ranges: settings.webhook_ranges.clone(),
    };
    WebhookSource { path, policy }
        .load(SystemClock.now_ms())
        .map(Some)
}

/// Takes the file lock beside the store: one ledger per store.
pub(crate) fn own_store(store: &Path) -> Result<FileLock, ExitError> {
    let beside = beside(store, "lock");
    match FileLock::try_exclusive(&beside)? {
        Some(lock) => {
            // Names the holder for operators only. The kernel holds the lock itself.
            let own = rustix::process::getpid().as_raw_nonzero().to_string();
            let _ = std::fs::write(&beside, own);
            Ok(lock)
        }
        None => {
            let holder = std::fs::read_to_string(&beside).unwrap_or_default();
            let holder = holder
                .trim()
                .parse::<u32>()
                .map_or_else(|_| "another process".to_owned(), |pid| format!("process {pid}"));
            Err(ExitError::new(
                ErrorCode::StoreLocked,
                format!("the store {} is held by {holder}", store.display()),
            )
            .with_fix("use the running ledger or stop it first"))
        }
    }
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    store.with_file_name(name)
}

fn open_store(path: &Path, trust: &TrustFile, key: SigningKey, lock: FileLock) -> Result<Store, ExitError> {
    Store::open_locked(path, trust, key, lock).map_err(|error: StoreError| {
        ExitError::new(error.code(), format!("{error} ({})", path.display())).with_fix(error.fix())
    })
}

/// Reads the signing key, which the trust file must list.
fn signing_key(path: &Path, trust: &TrustFile) -> Result<SigningKey, ExitError> {
    let bytes = files::read_private(path, KEY_BYTES_MAX)?;
    let pem = std::str::from_utf8(&bytes).unwrap_or_default();
    let key = SigningKey::from_pem(pem).map_err(|e| {
        ExitError::new(
            ErrorCode::KeyUnusable,
            format!("the ledger's signing key {}: {e}", path.display()),
        )
        .with_fix("use an Ed25519 key in PKCS#8 PEM without a passphrase")
    })?;
    let mut ledgers = trust.ledgers.iter();
    if ledgers.any(|k| k.key_id == key.key_id() && !k.is_retired()) {
        return Ok(key);
    }
    let text = "the ledger's signing key is not in the trust file";
    Err(ExitError::new(ErrorCode::WrongKey, text)
        .with_fix("use the key whose id is listed under `ledgers` in the trust file"))
}

/// Records the start as soon as the disk has space.
async fn record_start_later(
    ledger: &Ledger,
    own: RequestContext,
    trust_digest: Digest,
    end: &CancellationToken,
) {
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(START_AGAIN) => {}
        }
        if ledger.record_start(own.clone(), trust_digest).await.is_ok() {
            // A task that returns counts as failed.
            end.cancelled().await;
            return;
        }
    }
}

async fn sweep(ledger: Ledger, end: CancellationToken) {
    loop {
        if let Err(error) = ledger.sweep().await {
            tracing::warn!(code = %refusal_of(error).code, "a sweep failed");
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

/// Splits the text of a public error into the problem and, after a semicolon, the fix.
pub(crate) fn from_refusal(refusal: &PublicError) -> ExitError {
    let (problem, fix) = refusal
        .public
        .split_once("; ")
        .unwrap_or((&refusal.public, "see the ledger's log"));
    ExitError::new(refusal.code, problem).with_fix(fix)
}
