//! One start of local processes: an instance id and its short-lived certificates, which are renewed while the
//! processes run.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::{self, FileLock};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::RunFile;
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::tls::dev_ca::{self, DevCa, LEAF_TTL};
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};
use tokio::task::JoinHandle;

use super::logs;
use crate::state::{StateDir, operator_person, wait_for_lock};

/// Directories of a gateway: of its certificate, which it reads, and of its run file, which it writes.
const GATEWAY_TLS_DIR: &str = "tls";
const GATEWAY_RUN_DIR: &str = "run";
const GATEWAY_RUN_FILE: &str = "gateway.json";
/// Name of the ledger's certificate: one for all instances, because they share the ledger.
const LEDGER_LEAF: &str = "ledger";
/// Lock of the ledger's certificate, in its directory.
const LEDGER_LEAF_LOCK: &str = "ledger.lock";
/// Roles whose certificate and run file have the id of their instance in their names.
const INSTANCE_ROLES: [Role; 2] = [Role::Reader, Role::Writer];
/// Interval at which certificates are checked for renewal; short, because a clock may be set forward.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// An instance and the CA that signs its certificates.
#[derive(Debug)]
pub(crate) struct Instance {
    id: String,
    leaves: Arc<Leaves>,
    renewal: JoinHandle<()>,
    logs_dir: PathBuf,
    rotation: JoinHandle<()>,
}

/// Certificates of the processes of one instance.
#[derive(Debug)]
struct Leaves {
    authority: Arc<DevCa>,
    certs_dir: PathBuf,
    run_dir: PathBuf,
    issued: Mutex<Vec<IssuedFiles>>,
    /// Lock of this instance, from its first certificate file on: other commands keep the files of a locked instance.
    lock: Mutex<Option<FileLock>>,
}

/// Certificate files of one process.
#[derive(Debug, Clone)]
struct IssuedFiles {
    role: Role,
    instance: Option<String>,
    dir: PathBuf,
    name: String,
    files: TlsFiles,
    issued_ms: i64,
}

impl IssuedFiles {
    /// Also after the clock was set back before the issue, and when another process removed the files.
    fn is_due(&self, now_ms: i64) -> bool {
        !(self.issued_ms..half_life_ms(self.issued_ms)).contains(&now_ms)
            || !self.files.cert.exists()
            || !self.files.key.exists()
    }
}

impl Instance {
    pub(crate) fn new(state: &StateDir) -> Result<Self, ExitError> {
        let leaves = Arc::new(Leaves {
            authority: Arc::new(state.authority()?),
            certs_dir: state.certs_dir(),
            run_dir: state.run_dir(),
            issued: Mutex::default(),
            lock: Mutex::default(),
        });
        leaves.remove_expired(SystemClock.now_ms());
        logs::remove_old(&state.logs_dir());
        let renewed = Arc::clone(&leaves);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL_INTERVAL).await;
                let leaves = Arc::clone(&renewed);
                // Files are written durably, which may take a while.
                let _ = tokio::task::spawn_blocking(move || leaves.renew_due(SystemClock.now_ms())).await;
            }
        });
        Ok(Self {
            id: random::hex_id(12),
            leaves,
            renewal,
            rotation: logs::rotate_while_running(state.logs_dir()),
            logs_dir: state.logs_dir(),
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn deployment(&self) -> &str {
        self.leaves.authority.deployment()
    }

    /// Certificate identity of this instance's process of a role.
    pub(crate) fn identity(&self, role: Role) -> Result<PeerIdentity, ExitError> {
        let instance = role.has_instance().then_some(self.id.as_str());
        Ok(PeerIdentity::new(self.deployment(), role, instance)?)
    }

    /// Issues a certificate for a child, as files that are renewed at half of its lifetime. A gateway's files have a
    /// directory of their own: the only one of the state directory that a gateway can access.
    pub(crate) fn leaf_files(&self, role: Role) -> Result<TlsFiles, ExitError> {
        if role == Role::Ledger {
            return self.leaves.ledger_files(SystemClock.now_ms());
        }
        self.leaves.lock(&self.id)?;
        let dir = match role {
            Role::Gateway => self.gateway_subdir(GATEWAY_TLS_DIR)?,
            _ => self.leaves.certs_dir.clone(),
        };
        self.leaves.issue(
            role,
            role.has_instance().then(|| self.id.clone()),
            dir,
            format!("{role}-{}", self.id),
        )
    }

    fn gateway_dir(&self) -> PathBuf {
        self.leaves.gateway_dir(&self.id)
    }

    /// Path of the run file of this instance's gateway, in a directory that is removed with the instance.
    pub(crate) fn gateway_run_file(&self) -> Result<PathBuf, ExitError> {
        Ok(self.gateway_subdir(GATEWAY_RUN_DIR)?.join(GATEWAY_RUN_FILE))
    }

    fn gateway_subdir(&self, name: &str) -> Result<PathBuf, ExitError> {
        let dir = self.gateway_dir().join(name);
        files::create_private_dir(&self.gateway_dir())?;
        files::create_private_dir(&dir)?;
        Ok(dir)
    }

    /// Issues a certificate for this process, in memory only; it is renewed while it is in use.
    pub(crate) fn operator(&self, env: &EnvVars) -> Result<TlsMaterial, ExitError> {
        let person = operator_person(env);
        Ok(DevCa::renewing(
            &self.leaves.authority,
            Role::Operator,
            Some(&person),
            LEAF_TTL,
        )?)
    }
}

impl Leaves {
    fn gateway_dir(&self, id: &str) -> PathBuf {
        self.certs_dir.join(format!("gateway-{id}"))
    }

    fn lock_path(&self, id: &str) -> PathBuf {
        self.certs_dir.join(format!("{id}.lock"))
    }

    /// Locks the instance until this is dropped or the process ends.
    fn lock(&self, id: &str) -> Result<(), ExitError> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            *lock = Some(wait_for_lock(&self.lock_path(id))?);
        }
        Ok(())
    }

    fn issue(
        &self,
        role: Role,
        instance: Option<String>,
        dir: PathBuf,
        name: String,
    ) -> Result<TlsFiles, ExitError> {
        let now_ms = SystemClock.now_ms();
        let leaf = self
            .authority
            .issue(role, instance.as_deref(), LEAF_TTL, now_ms)?;
        let files = leaf.write(&dir, &name)?;
        let issued = IssuedFiles {
            role,
            instance,
            dir,
            name,
            files: files.clone(),
            issued_ms: now_ms,
        };
        let mut all = self.issued();
        all.retain(|other| other.name != issued.name);
        all.push(issued);
        Ok(files)
    }

    /// Returns the ledger's certificate; issues one if there is none that is usable for at least half of its lifetime.
    fn ledger_files(&self, now_ms: i64) -> Result<TlsFiles, ExitError> {
        let _lock = wait_for_lock(&self.certs_dir.join(LEDGER_LEAF_LOCK))?;
        let files = TlsFiles::in_dir(&self.certs_dir, LEDGER_LEAF);
        match files.load() {
            Ok(found) if half_life_ms(now_ms) <= found.not_after_ms() => Ok(files),
            _ => {
                let leaf = self.authority.issue(Role::Ledger, None, LEAF_TTL, now_ms)?;
                Ok(leaf.write(&self.certs_dir, LEDGER_LEAF)?)
            }
        }
    }

    /// Renews the certificates of which half of the lifetime has passed, or whose files are missing. A failure is logged
    /// and tried again.
    fn renew_due(&self, now_ms: i64) {
        let has_ledger = self.certs_dir.join(format!("{LEDGER_LEAF}.pem")).exists();
        let renewed = has_ledger.then(|| self.ledger_files(now_ms));
        let due: Vec<IssuedFiles> = {
            let issued = self.issued();
            let due = issued.iter().filter(|issued| issued.is_due(now_ms));
            due.cloned().collect()
        };
        let others = due.into_iter().map(|due| self.renew(&due, now_ms));
        for outcome in renewed.into_iter().map(|renewed| renewed.map(drop)).chain(others) {
            if let Err(failure) = outcome {
                tracing::error!(code = %failure.code(), "certificate not renewed: {}", failure.message());
            }
        }
    }

    fn renew(&self, due: &IssuedFiles, now_ms: i64) -> Result<(), ExitError> {
        let leaf = self
            .authority
            .issue(due.role, due.instance.as_deref(), LEAF_TTL, now_ms)?;
        if let Some(parent) = due.dir.parent() {
            files::create_private_dir(parent)?;
        }
        leaf.write(&due.dir, &due.name)?;
        for issued in self.issued().iter_mut().filter(|issued| issued.name == due.name) {
            issued.issued_ms = now_ms;
        }
        Ok(())
    }

    fn issued(&self) -> std::sync::MutexGuard<'_, Vec<IssuedFiles>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the files of instances that killed supervisors left behind. Best effort. An expired certificate alone
    /// proves no end: the clock may have been set forward, or the machine suspended.
    fn remove_expired(&self, now_ms: i64) {
        for (id, not_after_ms) in self.instances() {
            if not_after_ms < now_ms && !self.has_process(&id) {
                // The lock of an instance that runs is held.
                if let Ok(Some(_lock)) = FileLock::try_exclusive(&self.lock_path(&id)) {
                    self.remove(&id);
                }
            }
        }
    }

    /// Returns the ids of all instances with certificate files, each with its latest expiry. The ledger's certificate
    /// belongs to no instance. A directory without a certificate is just being made, or its owner removes it.
    fn instances(&self) -> BTreeMap<String, i64> {
        let mut found = BTreeMap::new();
        let mut add = |id: &str, not_after_ms: i64| {
            let latest = found.entry(id.to_owned()).or_insert(not_after_ms);
            *latest = not_after_ms.max(*latest);
        };
        for leaf in dev_ca::list(&self.certs_dir).unwrap_or_default() {
            let of_role = |role: Role| leaf.name.strip_prefix(role.as_str())?.strip_prefix('-');
            if let Some(id) = INSTANCE_ROLES.into_iter().find_map(of_role) {
                add(id, leaf.not_after_ms);
            }
        }
        let entries = fs::read_dir(&self.certs_dir).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_prefix("gateway-")) else {
                continue;
            };
            for leaf in dev_ca::list(&entry.path().join(GATEWAY_TLS_DIR)).unwrap_or_default() {
                add(id, leaf.not_after_ms);
            }
        }
        found
    }

    /// Whether a process of the instance still runs, by the run files: an earlier release takes no lock.
    fn has_process(&self, id: &str) -> bool {
        let executors = INSTANCE_ROLES.map(|role| self.run_dir.join(format!("{role}-{id}.json")));
        let gateway = self.gateway_dir(id).join(GATEWAY_RUN_DIR).join(GATEWAY_RUN_FILE);
        let mut run_files = executors.into_iter().chain([gateway]);
        run_files.any(|path| RunFile::read(&path).is_some_and(|found| found.is_alive()))
    }

    /// Removes the files of an instance, the lock last.
    fn remove(&self, id: &str) {
        for role in INSTANCE_ROLES {
            remove_pair(&TlsFiles::in_dir(&self.certs_dir, &format!("{role}-{id}")));
        }
        let _ = fs::remove_dir_all(self.gateway_dir(id));
        let _ = fs::remove_file(self.lock_path(id));
    }
}

fn remove_pair(files: &TlsFiles) {
    let _ = fs::remove_file(&files.cert);
    let _ = fs::remove_file(&files.key);
}

/// Returns when half of the lifetime of a certificate issued at `now_ms` has passed.
fn half_life_ms(now_ms: i64) -> i64 {
    let half = LEAF_TTL.as_millis() / 2;
    now_ms.saturating_add(i64::try_from(half).unwrap_or(i64::MAX))
}

/// Removes the files of an instance, whose processes end with it. The ledger's files stay: it may outlive the instance.
impl Drop for Instance {
    fn drop(&mut self) {
        self.renewal.abort();
        self.rotation.abort();
        self.leaves.remove(&self.id);
        logs::remove_old(&self.logs_dir);
    }
}

#[cfg(test)]
mod tests;
