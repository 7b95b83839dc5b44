//! Who runs the processes: the user of the test, or the ordinary user that root steps down to, so that what one
//! process of a user may see of another is judged without root's powers.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;

use crate::binaries::Build;

/// `nobody`, who owns nothing that is not given to it.
const ORDINARY: u32 = 65_534;
const BINARIES: [&str; 4] = [
    "synapsor-runner",
    "synapsor-gateway",
    "synapsor-executor",
    "synapsor-ledger",
];

/// A user that processes are started as.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// `None` is the user of this process.
    user: Option<u32>,
    /// A copy of the binaries, where the build's own folder is closed to the user.
    binaries: Option<Arc<tempfile::TempDir>>,
}

impl Account {
    /// An ordinary user: this one, or `nobody` when this one is root.
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

    /// One binary, where this user can run it.
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

    /// Gives a folder and everything in it to this user.
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
                // Running processes come and go with their files.
                let _ = std::os::unix::fs::lchown(entry.path(), Some(user), Some(user));
            }
        }
        Ok(())
    }

    /// Takes a folder itself back, so that files which must be the writer's own can be made in it.
    pub fn disown(&self, folder: &Path) -> anyhow::Result<()> {
        if self.user.is_some() {
            std::os::unix::fs::lchown(folder, Some(0), Some(0))?;
        }
        Ok(())
    }

    /// The user in words.
    pub fn describe(&self) -> String {
        match self.user {
            Some(user) => format!("user {user}, an ordinary one"),
            None => format!("this user, {}", rustix::process::geteuid().as_raw()),
        }
    }
}

/// Whether this process may look into processes that are closed to everybody else.
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
