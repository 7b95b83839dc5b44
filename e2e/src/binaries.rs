//! Paths of the binaries under test: beside the test itself, or in the directory of the proof builds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Build of the executor and the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Build {
    /// Build that users run.
    #[default]
    Plain,
    /// The same build with crash points compiled in.
    Failpoints,
}

impl Build {
    /// Directory with all four binaries and the CLI of this build.
    pub fn folder(self) -> anyhow::Result<PathBuf> {
        let own = std::env::current_exe().context("the test's own path")?;
        // target/debug/deps/test or target/debug/prove
        let mut folder = own.parent().context("a parent directory")?;
        if folder.file_name().is_some_and(|n| n == "deps") {
            folder = folder.parent().context("a directory above deps")?;
        }
        let folder = match self {
            Self::Plain => folder.to_owned(),
            Self::Failpoints => folder.join("failpoints"),
        };
        ensure!(
            folder.join("synapsor-ledger").exists(),
            "no binaries in {}: run `make build` and `cargo xtask failpoints` first",
            folder.display()
        );
        Ok(folder)
    }

    /// One binary of this build.
    pub fn binary(self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder()?.join(name);
        ensure!(
            Path::new(&path).exists(),
            "{} is missing: run `make build` and `cargo xtask failpoints` first",
            path.display()
        );
        Ok(path)
    }
}
