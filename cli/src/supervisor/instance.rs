//! One start of local processes: an instance id and its short-lived certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files;
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::tls::dev_ca::{self, DevCa, LEAF_TTL};
use synapsor_chassis::tls::{TlsFiles, TlsMaterial};

use crate::state::{StateDir, operator_person};

/// Directory within that of the gateway's certificate; the gateway itself writes to it.
const GATEWAY_RUN_DIR: &str = "run";
/// Number of logs of earlier starts that are kept.
const LOGS_KEPT: usize = 32;

/// An instance and the CA that signs its certificates.
#[derive(Debug)]
pub(crate) struct Instance {
    id: String,
    authority: DevCa,
    certs_dir: PathBuf,
    issued: Mutex<Vec<TlsFiles>>,
}

impl Instance {
    pub(crate) fn new(state: &StateDir) -> Result<Self, ExitError> {
        let instance = Self {
            id: random::hex_id(12),
            authority: state.authority()?,
            certs_dir: state.certs_dir(),
            issued: Mutex::default(),
        };
        instance.remove_expired();
        remove_old_logs(&state.logs_dir());
        Ok(instance)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn deployment(&self) -> &str {
        self.authority.deployment()
    }

    /// Certificate identity of this instance's process of a role.
    pub(crate) fn identity(&self, role: Role) -> Result<PeerIdentity, ExitError> {
        let instance = role.has_instance().then_some(self.id.as_str());
        Ok(PeerIdentity::new(self.authority.deployment(), role, instance)?)
    }

    /// Issues a certificate for a child, as files. A gateway's files have a directory of their own: the only
    /// one of the state directory that a gateway can access.
    pub(crate) fn leaf_files(&self, role: Role) -> Result<TlsFiles, ExitError> {
        let instance = role.has_instance().then_some(self.id.as_str());
        let leaf = self
            .authority
            .issue(role, instance, LEAF_TTL, SystemClock.now_ms())?;
        let dir = match role {
            Role::Gateway => self.gateway_dir(),
            _ => self.certs_dir.clone(),
        };
        let files = leaf.write(&dir, &format!("{role}-{}", self.id))?;
        self.issued
            .lock()
            .expect("pushing does not panic")
            .push(files.clone());
        Ok(files)
    }

    fn gateway_dir(&self) -> PathBuf {
        self.certs_dir.join(format!("gateway-{}", self.id))
    }

    /// Directory for the run file of this instance's gateway; removed with the instance.
    pub(crate) fn gateway_run_dir(&self) -> Result<PathBuf, ExitError> {
        let dir = self.gateway_dir().join(GATEWAY_RUN_DIR);
        files::create_private_dir(&self.gateway_dir())?;
        files::create_private_dir(&dir)?;
        Ok(dir)
    }

    /// Issues a certificate for this process, in memory only.
    pub(crate) fn operator(&self, env: &EnvVars) -> Result<TlsMaterial, ExitError> {
        let now_ms = SystemClock.now_ms();
        let leaf = self
            .authority
            .issue(Role::Operator, Some(&operator_person(env)), LEAF_TTL, now_ms)?;
        Ok(leaf.material(now_ms)?)
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
            let leaves = dev_ca::list(&folder.path()).unwrap_or_default();
            if leaves.iter().all(|leaf| leaf.not_after_ms < now_ms) {
                let _ = fs::remove_dir_all(folder.path());
            }
        }
    }
}

/// Removes the files of an instance; its processes have read them at their start.
impl Drop for Instance {
    fn drop(&mut self) {
        for files in self.issued.get_mut().expect("pushing does not panic") {
            let _ = fs::remove_file(&files.cert);
            let _ = fs::remove_file(&files.key);
        }
        let _ = fs::remove_dir_all(self.gateway_dir());
    }
}

/// Removes logs of earlier starts, except the newest. Best effort.
fn remove_old_logs(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut logs: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    logs.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    for (_, path) in logs.into_iter().skip(LOGS_KEPT) {
        let _ = fs::remove_file(path);
    }
}
