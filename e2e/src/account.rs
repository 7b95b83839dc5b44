//! User account of the processes under test. Root switches to an ordinary user, so that checks between processes
//! of one user run without root's privileges.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;

use crate::binaries::Build;

/// Uid of the unprivileged system account, which owns only the files that a test gives it.
const ORDINARY: u32 = 65_534;
const BINARIES: [&str; 4] = [
    "synapsor-runner",
    "synapsor-gateway",
    "synapsor-executor",
    "synapsor-ledger",
];

/// User that processes run as.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// `None` is the user of this process.
    user: Option<u32>,
    /// Copy of the binaries, for a build directory that the user cannot read.
    binaries: Option<Arc<tempfile::TempDir>>,
}

impl Account {
    /// Returns an ordinary user: the current one, or the unprivileged account when this process is root.
    pub fn ordinary() -> anyhow::Result<Self> {
        if !is_root() {
            return Ok(Self::default());
        }
        let mut account = Self {
            user: Some(ORDINARY),
            binaries: None,
        };
        let mut attempt = Command::new(Build::Plain.binary(BINARIES[0])?);
        account.step_down(attempt.arg("--version").env_clear().stdout(Stdio::null()));
        if attempt.status().is_err() {
            account.binaries = Some(Arc::new(copied()?));
        }
        Ok(account)
    }

    /// Path of a binary that this user can run.
    pub fn binary(&self, build: Build, name: &str) -> anyhow::Result<PathBuf> {
        match &self.binaries {
            Some(folder) => Ok(folder.path().join(name)),
            None => build.binary(name),
        }
    }

    /// Makes the command run as this user, without root's groups.
    pub fn step_down<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self.user {
            Some(user) => command.uid(user).gid(user),
            None => command,
        }
    }

    /// Makes this user the owner of a directory and its contents.
    pub fn own(&self, folder: &Path) -> anyhow::Result<()> {
        let Some(user) = self.user else {
            return Ok(());
        };
        std::os::unix::fs::lchown(folder, Some(user), Some(user))?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.own(&entry.path())?;
            } else {
                // Running processes create and remove files meanwhile.
                let _ = std::os::unix::fs::lchown(entry.path(), Some(user), Some(user));
            }
        }
        Ok(())
    }

    /// Makes root the owner of the directory itself, so that the test can create root-owned files in it.
    pub fn disown(&self, folder: &Path) -> anyhow::Result<()> {
        if self.user.is_some() {
            std::os::unix::fs::lchown(folder, Some(0), Some(0))?;
        }
        Ok(())
    }

    /// Describes the user.
    pub fn describe(&self) -> String {
        match self.user {
            Some(user) => format!("user {user}, an ordinary one"),
            None => format!("this user, {}", rustix::process::geteuid().as_raw()),
        }
    }
}

/// Checks whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn copied() -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    for name in BINARIES {
        std::fs::copy(Build::Plain.binary(name)?, folder.path().join(name))
            .with_context(|| name.to_owned())?;
    }
    Ok(folder)
}
