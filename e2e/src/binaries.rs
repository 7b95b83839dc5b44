//! Where the binaries under test are: beside the test itself, or in the folder of the proof builds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// Which build of executor and ledger runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Build {
    /// What users run.
    #[default]
    Plain,
    /// The same with crash points compiled in.
    Failpoints,
}

impl Build {
    /// The folder with all four binaries and the CLI of this build.
    pub fn folder(self) -> anyhow::Result<PathBuf> {
        let own = std::env::current_exe().context("the test's own path")?;
        // target/debug/deps/test or target/debug/prove
        let mut folder = own.parent().context("a folder")?;
        if folder.file_name().is_some_and(|n| n == "deps") {
            folder = folder.parent().context("a folder above deps")?;
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
