//! `boundaries`: tables of the allowed dependencies between crates and of the crates that may use a database
//! driver, and the check of the workspace against them.
//!
//! Declarations come from `cargo metadata`, including optional ones and all kinds and platforms. Reachability
//! comes from `Cargo.lock`, which contains cargo's resolution for all platforms and all features of all workspace
//! crates. The tree of one crate would miss a driver that a feature of another crate enables.

mod lock;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use lock::Lock;
use serde_json::Value as Json;

/// Workspace crates, and the workspace crates that each may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("synapsor-codes", &[]),
    ("synapsor-domain", &["synapsor-codes"]),
    ("synapsor-chassis", &["synapsor-codes"]),
    ("synapsor-proto", &["synapsor-domain", "synapsor-codes"]),
    (
        "synapsor-gateway",
        &[
            "synapsor-proto",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    ("synapsor-source", &["synapsor-domain", "synapsor-codes"]),
    (
        "synapsor-engine",
        &[
            "synapsor-source",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    (
        "synapsor-writeback",
        &[
            "synapsor-engine",
            "synapsor-source",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    (
        "synapsor-anchors",
        &[
            "synapsor-proto",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    // Only for processes that send requests to configured URLs; the gateway is not one of them.
    ("synapsor-outbound", &["synapsor-chassis"]),
    (
        "synapsor-reader",
        &[
            "synapsor-anchors",
            "synapsor-outbound",
            "synapsor-source",
            "synapsor-proto",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    (
        "synapsor-executor",
        &[
            "synapsor-reader",
            "synapsor-writeback",
            "synapsor-engine",
            "synapsor-source",
            "synapsor-anchors",
            "synapsor-proto",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    (
        "synapsor-ledger",
        &[
            "synapsor-anchors",
            "synapsor-outbound",
            "synapsor-proto",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    (
        "synapsor-cli",
        &[
            "synapsor-anchors",
            "synapsor-outbound",
            "synapsor-proto",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
        ],
    ),
    (
        "synapsor-e2e",
        &[
            "synapsor-proto",
            "synapsor-chassis",
            "synapsor-domain",
            "synapsor-codes",
            "synapsor-gateway",
            "synapsor-writeback",
            "synapsor-engine",
            "synapsor-source",
            "synapsor-executor",
            "synapsor-ledger",
            "synapsor-cli",
        ],
    ),
    ("xtask", &["synapsor-domain", "synapsor-codes"]),
];

/// Crates that may reach a database driver.
const DRIVER_OWNERS: &[&str] = &[
    "synapsor-engine",
    "synapsor-writeback",
    "synapsor-executor",
    "synapsor-ledger",
    "synapsor-e2e",
];

/// Database drivers; a `*` matches any characters at that end of the name.
const DRIVERS: &[&str] = &[
    "*rusqlite*",
    "*sqlite*",
    "sqlx*",
    "*postgres*",
    "*mysql*",
    "mariadb*",
    "diesel*",
    "sea-orm*",
    "sea-query*",
    "libpq*",
    "pq-sys",
    "pgwire",
    "tiberius",
    "oracle*",
    "odbc*",
    "duckdb*",
    "libduckdb*",
    "mongodb",
    "redis",
    "libsql*",
    "limbo*",
    "turso*",
];

/// One declared dependency of a workspace crate.
struct Declared {
    crate_name: String,
    dependency: String,
    is_optional: bool,
    /// `dev` or `build`; empty for a normal dependency.
    kind: String,
}

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let manifest = match arguments {
        [] => PathBuf::from(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml"),
        ["--manifest-path", file] => PathBuf::from(file),
        _ => bail!("usage: cargo xtask boundaries [--manifest-path FILE]"),
    };
    let (crates, declared) = workspace(&manifest)?;
    let lock = Lock::read(&manifest.with_file_name("Cargo.lock"))?;
    let mut problems = unknown_crates(&crates);
    problems.extend(forbidden_declarations(&declared));
    problems.extend(stale_lock(&declared, &lock));
    problems.extend(forbidden_reach(&crates, &lock));
    problems.sort();
    problems.dedup();
    if problems.is_empty() {
        return Ok(());
    }
    bail!("crate boundaries violated:\n  {}", problems.join("\n  "))
}

/// Returns the names of the workspace crates and everything that they declare.
fn workspace(manifest: &PathBuf) -> Result<(Vec<String>, Vec<Declared>)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(manifest)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Json = serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")?;
    let mut crates = Vec::new();
    let mut declared = Vec::new();
    for package in metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?
    {
        let crate_name = package["name"].as_str().context("package without a name")?;
        crates.push(crate_name.to_owned());
        for dependency in package["dependencies"]
            .as_array()
            .context("package without dependencies")?
        {
            declared.push(Declared {
                crate_name: crate_name.to_owned(),
                dependency: dependency["name"]
                    .as_str()
                    .context("dependency without a name")?
                    .to_owned(),
                is_optional: dependency["optional"].as_bool().unwrap_or(false),
                kind: dependency["kind"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok((crates, declared))
}

fn unknown_crates(crates: &[String]) -> Vec<String> {
    let is_unknown = |name: &&String| !ARROWS.iter().any(|(known, _)| known == name);
    let message =
        |name: &String| format!("{name}: not in the table of allowed dependencies; add a row for it");
    crates.iter().filter(is_unknown).map(message).collect()
}

fn forbidden_declarations(declared: &[Declared]) -> Vec<String> {
    let mut problems = Vec::new();
    for Declared {
        crate_name,
        dependency,
        is_optional,
        kind,
    } in declared
    {
        let optional = if *is_optional { "optional " } else { "" };
        let kind = if kind.is_empty() {
            String::new()
        } else {
            format!("{kind}-")
        };
        let what = format!("{crate_name} -> {dependency} ({optional}{kind}dependency)");
        let allowed = ARROWS
            .iter()
            .find(|(name, _)| name == crate_name)
            .map_or(&[][..], |(_, allowed)| allowed);
        let is_ours = ARROWS.iter().any(|(name, _)| name == dependency);
        if is_ours && !allowed.contains(&dependency.as_str()) {
            problems.push(format!("{what}: dependency not allowed"));
        }
        if is_driver(dependency) && !DRIVER_OWNERS.contains(&crate_name.as_str()) {
            problems.push(format!(
                "{what}: database driver, allowed only in {}",
                DRIVER_OWNERS.join(", ")
            ));
        }
    }
    problems
}

/// Checks that each declared dependency is in the lock file, because the reachability check relies on it.
fn stale_lock(declared: &[Declared], lock: &Lock) -> Vec<String> {
    let is_missing = |entry: &&Declared| !lock.depends(&entry.crate_name, &entry.dependency);
    let message = |entry: &Declared| {
        format!(
            "{} -> {}: not in Cargo.lock; run `cargo check` first",
            entry.crate_name, entry.dependency
        )
    };
    declared.iter().filter(is_missing).map(message).collect()
}

fn forbidden_reach(crates: &[String], lock: &Lock) -> Vec<String> {
    let may_not = |name: &&String| !DRIVER_OWNERS.contains(&name.as_str());
    let reach = |name: &String| lock.path_to(name, is_driver);
    let message = |path: Vec<String>| format!("{}: database driver is reachable", path.join(" -> "));
    crates
        .iter()
        .filter(may_not)
        .filter_map(reach)
        .map(message)
        .collect()
}

fn is_driver(name: &str) -> bool {
    DRIVERS.iter().any(
        |pattern| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
            (Some(end), None) => name.ends_with(end),
            (None, Some(start)) => name.starts_with(start),
            (None, None) => name == *pattern,
        },
    )
}
