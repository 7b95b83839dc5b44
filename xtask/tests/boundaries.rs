//! The check of crate boundaries, against copies of the workspace's manifests with one violation in each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A copy of all manifests with empty sources, removed on drop.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn new(name: &str) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let root =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boundaries-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        for file in ["Cargo.toml", "Cargo.lock"] {
            fs::copy(workspace.join(file), root.join(file)).unwrap();
        }
        for entry in fs::read_dir(workspace).unwrap() {
            let folder = entry.unwrap().path();
            let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
                continue;
            };
            let target = root.join(folder.file_name().unwrap());
            fs::create_dir_all(target.join("src")).unwrap();
            fs::write(target.join("src/lib.rs"), "").unwrap();
            fs::write(target.join("src/main.rs"), "fn main() {}").unwrap();
            for path in manifest
                .lines()
                .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'))
            {
                let file = target.join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "fn main() {}").unwrap();
            }
            fs::write(target.join("Cargo.toml"), manifest).unwrap();
        }
        Self { root }
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.root.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn check(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["boundaries", "--manifest-path"])
            .arg(self.root.join("Cargo.toml"))
            .output()
            .unwrap()
    }

    fn refusal(&self) -> String {
        let output = self.check();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        text
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

#[test]
fn workspace_respects_its_boundaries() {
    let copy = Copy::new("clean");
    let output = copy.check();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn rejects_optional_driver_in_every_crate_without_one() {
    for folder in ["gateway", "cli", "proto", "chassis", "domain"] {
        let copy = Copy::new(folder);
        let driver = "[dependencies]\nrusqlite = { version = \"0.41.1\", optional = true }";
        copy.edit(&format!("{folder}/Cargo.toml"), "[dependencies]", driver);
        let text = copy.refusal();
        assert!(
            text.contains(&format!("synapsor-{folder} -> rusqlite (optional dependency)")),
            "{text}"
        );
    }
}

#[test]
fn rejects_driver_in_dev_dependencies() {
    let copy = Copy::new("dev");
    copy.edit(
        "domain/Cargo.toml",
        "[dev-dependencies]",
        "[dev-dependencies]\nrusqlite.workspace = true",
    );
    assert!(
        copy.refusal()
            .contains("synapsor-domain -> rusqlite (dev-dependency)")
    );
}

#[test]
fn rejects_renamed_driver() {
    let copy = Copy::new("renamed");
    let disguise =
        "[dependencies]\nstorage = { package = \"tokio-postgres\", version = \"0.7\", optional = true }";
    copy.edit("proto/Cargo.toml", "[dependencies]", disguise);
    assert!(copy.refusal().contains("synapsor-proto -> tokio-postgres"));
}

#[test]
fn rejects_driver_behind_another_crate_with_its_path() {
    let copy = Copy::new("behind");
    let lock = fs::read_to_string(copy.root.join("Cargo.lock")).unwrap();
    let start = lock.find("name = \"clap_complete\"").unwrap();
    let at = start + lock[start..].find("dependencies = [").unwrap() + "dependencies = [".len();
    fs::write(
        copy.root.join("Cargo.lock"),
        format!("{}\n \"rusqlite\",{}", &lock[..at], &lock[at..]),
    )
    .unwrap();
    let text = copy.refusal();
    assert!(
        text.contains("synapsor-cli -> clap_complete -> rusqlite: database driver is reachable"),
        "{text}"
    );
    assert!(!text.contains("synapsor-gateway"), "{text}");
}

#[test]
fn rejects_dependency_between_processes() {
    let copy = Copy::new("arrow");
    let arrow = "[dependencies]\nsynapsor-ledger = { path = \"../ledger\" }";
    copy.edit("cli/Cargo.toml", "[dependencies]", arrow);
    assert!(
        copy.refusal()
            .contains("synapsor-cli -> synapsor-ledger (dependency): dependency not allowed")
    );
}

#[test]
fn rejects_dependency_missing_from_the_lock_file() {
    let copy = Copy::new("stale");
    copy.edit(
        "chassis/Cargo.toml",
        "[dependencies]",
        "[dependencies]\nitoa = { version = \"1\", optional = true }",
    );
    assert!(
        copy.refusal()
            .contains("synapsor-chassis -> itoa: not in Cargo.lock")
    );
}
