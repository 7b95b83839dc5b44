//! Landlock sandbox: the process can open only listed files, execute nothing, connect only to listed ports, and
//! signal only processes in the sandbox. The kernel enforces this, and it cannot be undone. Each process supplies
//! its own policy.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use synapsor_codes::ErrorCode;

use crate::run::ExitError;

/// Access that the process keeps. All other access to files, TCP and signals is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxPolicy {
    /// Readable files.
    pub files: Vec<PathBuf>,
    /// Directories whose files are readable, including files created later.
    pub folders: Vec<PathBuf>,
    /// Directories in which files are created, replaced and removed, but not read; no other process should use
    /// them.
    pub outboxes: Vec<PathBuf>,
    /// Ports that the process connects to, on any host.
    pub dialled: Vec<u16>,
    /// Listen ports; 0 lets the kernel select one.
    pub listened: Vec<u16>,
    /// Whether host names are resolved, which requires the system's settings and libraries.
    pub names: bool,
}

/// Level of the sandbox that this kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxLevel {
    /// Files, execution, TCP and signals.
    Fully,
    /// Older kernel: files and execution, possibly not the rest.
    FilesOnly,
    /// Kernel without Landlock.
    Not,
}

impl SandboxLevel {
    /// Returns the posture line for operators.
    pub const fn posture(self) -> &'static str {
        match self {
            SandboxLevel::Fully => "sandboxed: files, ports and signals restricted by Landlock",
            SandboxLevel::FilesOnly => {
                "sandboxed: files restricted by Landlock; the kernel is too old to restrict ports and signals"
            }
            SandboxLevel::Not => "not sandboxed: this kernel has no Landlock",
        }
    }
}

impl SandboxPolicy {
    /// Allows the port of an endpoint such as `reader:50051`; allows name resolution if its host is a name.
    pub fn allow_connect(&mut self, target: &str) {
        if let Some((host, port)) = target.rsplit_once(':') {
            self.dialled.extend(port.parse::<u16>());
            let is_address = target.parse::<SocketAddr>().is_ok();
            self.names |= !is_address && !host.is_empty();
        }
    }

    /// Allows reading the directory of a file that may be replaced while the process runs.
    pub fn folder_of(&mut self, file: &Path) {
        self.folders.push(folder(file).to_owned());
    }

    /// Allows writing in the directory of a file that the process itself creates and removes.
    pub fn allow_write_dir_of(&mut self, file: &Path) {
        self.outboxes.push(folder(file).to_owned());
    }
}

fn folder(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Restricts this thread and all threads and processes that it starts later. Call it while the process has one
/// thread.
///
/// # Errors
/// `CONFINEMENT_FAILED` when the kernel has Landlock and rejects the sandbox.
#[cfg(target_os = "linux")]
pub fn enter_sandbox(needs: &SandboxPolicy) -> Result<SandboxLevel, ExitError> {
    linux::enter_sandbox(needs).map_err(|why| {
        ExitError::new(
            ErrorCode::ConfinementFailed,
            format!("cannot enter the sandbox: {why}"),
        )
        .with_fix("allow the Landlock system calls in the sandbox or seccomp profile of this process")
    })
}

/// Does nothing: only Linux has Landlock.
///
/// # Errors
/// Never fails.
#[cfg(not(target_os = "linux"))]
pub fn enter_sandbox(_: &SandboxPolicy) -> Result<SandboxLevel, ExitError> {
    Ok(SandboxLevel::Not)
}

#[cfg(target_os = "linux")]
mod linux {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
        NetPort, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
    };

    use super::{SandboxLevel, SandboxPolicy};

    /// Newest Landlock ABI that this code supports; older kernels enforce the subset that they support.
    const KNOWN: ABI = ABI::V6;
    /// DNS over TCP, for responses that are too large for a datagram.
    const DNS_PORT: u16 = 53;
    /// Files that the C library reads to resolve names; not all of them exist on every system.
    const NAME_LOOKUP: [&str; 10] = [
        "/etc/hosts",
        "/etc/resolv.conf",
        "/etc/nsswitch.conf",
        "/etc/host.conf",
        "/etc/gai.conf",
        "/etc/ld.so.cache",
        "/run/systemd/resolve",
        "/usr/lib",
        "/lib",
        "/lib64",
    ];

    pub(super) fn enter_sandbox(needs: &SandboxPolicy) -> Result<SandboxLevel, Box<dyn std::error::Error>> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let make: BitFlags<AccessFs> = AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::MakeReg
            | AccessFs::RemoveFile
            | AccessFs::Truncate;
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?
            .create()?;
        // Paths that cannot be opened now are not granted; a later access reports a more precise error.
        let files = landlock::path_beneath_rules(&needs.files, AccessFs::ReadFile);
        let folders = landlock::path_beneath_rules(&needs.folders, read);
        let outboxes = landlock::path_beneath_rules(&needs.outboxes, make);
        ruleset = ruleset.add_rules(files.chain(folders).chain(outboxes))?;
        if needs.names {
            ruleset = ruleset.add_rules(landlock::path_beneath_rules(NAME_LOOKUP, read))?;
            ruleset = ruleset.add_rule(NetPort::new(DNS_PORT, AccessNet::ConnectTcp))?;
        }
        for port in &needs.dialled {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        for port in &needs.listened {
            ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
        }
        let status = ruleset.restrict_self()?;
        Ok(match (status.ruleset, status.landlock) {
            (RulesetStatus::FullyEnforced, _) => SandboxLevel::Fully,
            (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => SandboxLevel::Not,
            (RulesetStatus::PartiallyEnforced, _) => SandboxLevel::FilesOnly,
            (RulesetStatus::NotEnforced, _) => SandboxLevel::Not,
        })
    }
}
