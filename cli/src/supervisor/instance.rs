//! One start of local processes: an instance id and its short-lived certificates, which are renewed while the
//! processes run.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files;
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::tls::dev_ca::{self, DevCa, LEAF_TTL};
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};
use tokio::task::JoinHandle;

use super::logs;
use crate::state::{StateDir, operator_person, wait_for_lock};

/// Directories of a gateway: of its certificate, which it reads, and of its run file, which it writes.
const GATEWAY_TLS_DIR: &str = "tls";
const GATEWAY_RUN_DIR: &str = "run";
/// Name of the ledger's certificate: one for all instances, because they share the ledger.
const LEDGER_LEAF: &str = "ledger";
/// Lock of the ledger's certificate, in its directory.
const LEDGER_LEAF_LOCK: &str = "ledger.lock";
/// Interval at which certificates are checked for renewal.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(60);

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
    issued: Mutex<Vec<IssuedFiles>>,
}

/// Certificate files of one process.
#[derive(Debug, Clone)]
struct IssuedFiles {
    role: Role,
    instance: Option<String>,
    dir: PathBuf,
    name: String,
    files: TlsFiles,
    renew_at_ms: i64,
}

impl Instance {
    pub(crate) fn new(state: &StateDir) -> Result<Self, ExitError> {
        let leaves = Arc::new(Leaves {
            authority: Arc::new(state.authority()?),
            certs_dir: state.certs_dir(),
            issued: Mutex::default(),
        });
        leaves.remove_expired();
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
        self.leaves.certs_dir.join(format!("gateway-{}", self.id))
    }

    /// Directory for the run file of this instance's gateway; removed with the instance.
    pub(crate) fn gateway_run_dir(&self) -> Result<PathBuf, ExitError> {
        self.gateway_subdir(GATEWAY_RUN_DIR)
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
            renew_at_ms: half_life_ms(now_ms),
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

    /// Renews the certificates of which half of the lifetime has passed. A failure is logged and tried again.
    fn renew_due(&self, now_ms: i64) {
        let has_ledger = self.certs_dir.join(format!("{LEDGER_LEAF}.pem")).exists();
        let renewed = has_ledger.then(|| self.ledger_files(now_ms));
        let due: Vec<IssuedFiles> = {
            let issued = self.issued();
            let due = issued.iter().filter(|issued| issued.renew_at_ms <= now_ms);
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
        leaf.write(&due.dir, &due.name)?;
        for issued in self.issued().iter_mut().filter(|issued| issued.name == due.name) {
            issued.renew_at_ms = half_life_ms(now_ms);
        }
        Ok(())
    }

    fn issued(&self) -> std::sync::MutexGuard<'_, Vec<IssuedFiles>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes expired certificates that killed supervisors left behind. Best effort.
    fn remove_expired(&self) {
        let now_ms = SystemClock.now_ms();
        let leaves = dev_ca::list(&self.certs_dir).unwrap_or_default();
        for leaf in leaves.into_iter().filter(|leaf| leaf.not_after_ms < now_ms) {
            let _ = fs::remove_file(self.certs_dir.join(format!("{}.pem", leaf.name)));
            let _ = fs::remove_file(self.certs_dir.join(format!("{}.key", leaf.name)));
        }
        let folders = fs::read_dir(&self.certs_dir).into_iter().flatten().flatten();
        for folder in folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("gateway-")) {
            // A directory without a certificate is just being made, or its owner removes it.
            let leaves = dev_ca::list(&folder.path().join(GATEWAY_TLS_DIR)).unwrap_or_default();
            if !leaves.is_empty() && leaves.iter().all(|leaf| leaf.not_after_ms < now_ms) {
                let _ = fs::remove_dir_all(folder.path());
            }
        }
    }
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
        for issued in self.leaves.issued().iter() {
            let _ = fs::remove_file(&issued.files.cert);
            let _ = fs::remove_file(&issued.files.key);
        }
        let _ = fs::remove_dir_all(self.gateway_dir());
        logs::remove_old(&self.logs_dir);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HOUR_MS: i64 = 60 * 60 * 1_000;

    fn leaves() -> (tempfile::TempDir, Leaves) {
        let dir = tempfile::tempdir().unwrap();
        let authority = DevCa::create(&dir.path().join("ca"), "d1", SystemClock.now_ms()).unwrap();
        let certs_dir = dir.path().join("certs");
        files::create_private_dir(&certs_dir).unwrap();
        let leaves = Leaves {
            authority: Arc::new(authority),
            certs_dir,
            issued: Mutex::default(),
        };
        (dir, leaves)
    }

    #[test]
    fn certificate_of_a_child_is_renewed_after_half_of_its_lifetime() {
        let (_dir, leaves) = leaves();
        let dir = leaves.certs_dir.clone();
        let issued = leaves.issue(Role::Reader, Some("i1".to_owned()), dir, "reader-i1".to_owned());
        let cert = issued.unwrap().cert;
        let (now_ms, first) = (SystemClock.now_ms(), fs::read(&cert).unwrap());
        leaves.renew_due(now_ms + 11 * HOUR_MS);
        assert_eq!(fs::read(&cert).unwrap(), first);
        leaves.renew_due(now_ms + 13 * HOUR_MS);
        let second = fs::read(&cert).unwrap();
        assert_ne!(second, first);
        leaves.renew_due(now_ms + 14 * HOUR_MS);
        assert_eq!(fs::read(&cert).unwrap(), second);
    }

    #[test]
    fn only_directories_of_ended_gateways_are_removed() {
        let (_dir, leaves) = leaves();
        let gateway = |name: &str| {
            let dir = leaves.certs_dir.join(name).join(GATEWAY_TLS_DIR);
            files::create_private_dir(&leaves.certs_dir.join(name)).unwrap();
            files::create_private_dir(&dir).unwrap();
            dir
        };
        let issue = |dir: &Path, issued_ms: i64| {
            let leaf = leaves
                .authority
                .issue(Role::Gateway, Some("g"), LEAF_TTL, issued_ms);
            leaf.unwrap().write(dir, "gateway").unwrap();
        };
        let now_ms = SystemClock.now_ms();
        let (started, running, ended) = (gateway("gateway-1"), gateway("gateway-2"), gateway("gateway-3"));
        issue(&running, now_ms);
        issue(&ended, now_ms - 48 * HOUR_MS);
        leaves.remove_expired();
        assert!(started.exists() && running.exists() && !ended.exists());
    }

    #[test]
    fn certificate_of_a_shared_ledger_is_renewed_by_any_instance() {
        let (_dir, leaves) = leaves();
        let now_ms = SystemClock.now_ms();
        leaves.renew_due(now_ms);
        let files = TlsFiles::in_dir(&leaves.certs_dir, LEDGER_LEAF);
        assert!(!files.cert.exists(), "no ledger was started here");
        leaves.ledger_files(now_ms).unwrap();
        let first = fs::read(&files.cert).unwrap();
        leaves.ledger_files(now_ms).unwrap();
        assert_eq!(fs::read(&files.cert).unwrap(), first);
        leaves.renew_due(now_ms + 13 * HOUR_MS);
        assert_ne!(fs::read(&files.cert).unwrap(), first);
    }
}
