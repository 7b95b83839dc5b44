//! A process locks itself in: from here on it opens only the files that it named, executes nothing, connects only to
//! ports that it named, and signals nobody outside. The kernel holds it to that (Landlock), and nothing can undo it.
//! What a process needs is its own business.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::run::ExitError;

/// What a process keeps. Everything else of files, TCP and signals is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxPolicy {
    /// Files that are read.
    pub files: Vec<PathBuf>,
    /// Folders of which every file is read, also such that come later.
    pub folders: Vec<PathBuf>,
    /// Folders in which files are made, replaced and removed, but not read; nobody else should use them.
    pub outboxes: Vec<PathBuf>,
    /// Ports that are dialled, anywhere.
    pub dialled: Vec<u16>,
    /// Ports that are listened on; 0 lets the kernel choose one.
    pub listened: Vec<u16>,
    /// Whether names of hosts are looked up, for which the system's own settings and libraries are read.
    pub names: bool,
}

/// How much of the confinement this kernel upholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxLevel {
    /// Files, execution, TCP and signals.
    Fully,
    /// An older kernel: files and execution, perhaps not the rest.
    FilesOnly,
    /// Not a kernel with Landlock.
    Not,
}

impl SandboxLevel {
    /// One line for people who look at how a process is protected.
    pub const fn posture(self) -> &'static str {
        match self {
            SandboxLevel::Fully => "confined by the kernel to its own files, ports and signals",
            SandboxLevel::FilesOnly => {
                "confined by the kernel to its own files; it is too old to confine ports and signals as well"
            }
            SandboxLevel::Not => "not confined: this kernel has no Landlock",
        }
    }
}

impl SandboxPolicy {
    /// The port of a target such as `reader:50051`, and whether its host is a name that has to be looked up.
    pub fn allow_connect(&mut self, target: &str) {
        if let Some((host, port)) = target.rsplit_once(':') {
            self.dialled.extend(port.parse::<u16>());
            let is_address = target.parse::<SocketAddr>().is_ok();
            self.names |= !is_address && !host.is_empty();
        }
    }

    /// The folder of a file that may be replaced while the process runs.
    pub fn folder_of(&mut self, file: &Path) {
        self.folders.push(folder(file).to_owned());
    }

    /// The folder of a file that the process itself writes and removes.
    pub fn allow_write_dir_of(&mut self, file: &Path) {
        self.outboxes.push(folder(file).to_owned());
    }
}

fn folder(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Locks this thread, and all that it starts from now on, in. To be called while the process has one thread.
///
/// # Errors
/// `CONFINEMENT_FAILED` when the kernel has Landlock and refuses.
#[cfg(target_os = "linux")]
pub fn enter_sandbox(needs: &SandboxPolicy) -> Result<SandboxLevel, ExitError> {
    linux::confine(needs).map_err(|why| {
        ExitError::new(
            "CONFINEMENT_FAILED",
            format!("this process cannot lock itself in: {why}"),
        )
        .with_fix("allow the Landlock system calls in the sandbox or seccomp profile of this process")
    })
}

/// Locks nothing: only Linux has Landlock.
///
/// # Errors
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn confine(_: &SandboxPolicy) -> Result<SandboxLevel, ExitError> {
    Ok(SandboxLevel::Not)
}

#[cfg(target_os = "linux")]
mod linux {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
        NetPort, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
    };

    use super::{SandboxLevel, SandboxPolicy};

    /// The newest interface that this code was written for; older kernels uphold what they know of it.
    const KNOWN: ABI = ABI::V6;
    /// DNS, when an answer is too large for a datagram.
    const DNS_PORT: u16 = 53;
    /// What the C library reads to look names up; not all of it exists everywhere.
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

    pub(super) fn confine(needs: &SandboxPolicy) -> Result<SandboxLevel, Box<dyn std::error::Error>> {
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
        // What cannot be opened now is not granted; whoever needs it says better than this what is wrong with it.
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
