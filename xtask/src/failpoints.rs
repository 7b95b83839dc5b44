//! `failpoints`: builds the binaries with crash points into a separate directory beside the plain ones.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};

/// Binaries of a deployment.
const BINARIES: [&str; 4] = [
    "synapsor-executor",
    "synapsor-gateway",
    "synapsor-ledger",
    "synapsor-runner",
];
const FEATURES: &str = "synapsor-executor/failpoints,synapsor-ledger/failpoints";
/// Directories whose files become binaries. The last build of any of them may be older than the proofs' directory.
const SOURCES: [&str; 14] = [
    "codes",
    "domain",
    "proto",
    "chassis",
    "gateway",
    "source",
    "engine",
    "writeback",
    "anchors",
    "outbound",
    "reader",
    "executor",
    "ledger",
    "cli",
];

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    ensure!(arguments.is_empty(), "usage: cargo xtask failpoints");
    build().map(|_| ())
}

/// Builds both kinds and returns the plain binaries' directory. The plain ones are built last, so that they remain
/// there.
pub(crate) fn build() -> Result<PathBuf> {
    let target = target()?;
    let folder = target.join("failpoints");
    if !is_fresh(&folder)? {
        let binaries = BINARIES.iter().flat_map(|name| ["--bin", name]);
        let build = ["build", "--locked", "--workspace", "--features", FEATURES];
        cargo(&build.into_iter().chain(binaries).collect::<Vec<_>>())?;
        fs::create_dir_all(&folder)?;
        for name in BINARIES {
            // A running copy keeps its file; the new one takes the name.
            let new = folder.join(format!("{name}.new"));
            fs::copy(target.join(name), &new).with_context(|| format!("{name} was not built"))?;
            fs::rename(&new, folder.join(name))?;
        }
    }
    cargo(&["build", "--locked", "--workspace"])?;
    Ok(target)
}

/// Returns the directory of this program, where Cargo puts the other binaries too.
fn target() -> Result<PathBuf> {
    let own = env::current_exe()?;
    Ok(own
        .parent()
        .context("program without a parent directory")?
        .to_owned())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ended = Command::new(cargo).args(arguments).current_dir(root()).status()?;
    if ended.success() {
        return Ok(());
    }
    bail!("`cargo {}` failed", arguments.join(" "))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is in the workspace")
}

/// Returns whether every binary exists and is newer than every source.
fn is_fresh(folder: &Path) -> Result<bool> {
    let built = |name: &str| {
        fs::metadata(folder.join(name))
            .and_then(|found| found.modified())
            .ok()
    };
    let built: Option<Vec<SystemTime>> = BINARIES.into_iter().map(built).collect();
    let Some(oldest) = built.and_then(|times| times.into_iter().min()) else {
        return Ok(false);
    };
    let mut newest = SystemTime::UNIX_EPOCH;
    for file in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        newest = newest.max(fs::metadata(root().join(file))?.modified()?);
    }
    for source in SOURCES {
        newest = newest.max(newest_below(&root().join(source))?);
    }
    Ok(newest < oldest)
}

fn newest_below(folder: &Path) -> Result<SystemTime> {
    let mut newest = fs::metadata(folder)?.modified()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        newest = newest.max(if kind.is_dir() {
            newest_below(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        });
    }
    Ok(newest)
}
