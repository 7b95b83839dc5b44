//! `tidy`: checks the language of the tree: banned words, duplicate type names, module docs, error codes as text,
//! lengths of test names, and references.
//!
//! Violations per file are kept in a baseline that may only shrink, so that a rule can be added before the
//! whole tree follows it.

mod baseline;
mod codes;
mod links;
mod source;
mod test_names;
#[cfg(test)]
mod tests;
mod types;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use self::baseline::Baseline;
use self::source::Source;

/// Maximum number of lines that opt out of a banned word.
const ALLOWED_LINES_MAX: usize = 20;

/// `xtask/tidy.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// Banned phrase to its replacement.
    banned: BTreeMap<String, String>,
    /// Path prefixes whose text is fixed: signed, stored or quoted from elsewhere.
    skipped: Vec<String>,
    /// Type names that may be defined more than once, each with the reason.
    duplicate_types: BTreeMap<String, String>,
}

/// One violation: where, and what to do.
#[derive(Debug)]
struct Violation {
    path: String,
    line: usize,
    text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// Checks the tree; `--update` writes a smaller baseline, `--list` prints what the baseline holds as well.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let (is_update, is_list) = match arguments {
        [] => (false, false),
        ["--update"] => (true, false),
        ["--list"] => (false, true),
        _ => bail!("usage: cargo xtask tidy [--update | --list]"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rules = std::fs::read_to_string(root.join("xtask/tidy.toml")).context("reading xtask/tidy.toml")?;
    let rules: Rules = toml::from_str(&rules).context("xtask/tidy.toml")?;
    let files = tracked(&root, &rules)?;
    let sources = files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| Source::read(&root, path))
        .collect::<Result<Vec<_>>>()?;
    let banned = words::Banned::new(&rules.banned)?;
    let mut found = Vec::new();
    let mut allowed = 0;
    for source in &sources {
        allowed += banned.check_source(source, &mut found);
        found.extend(types::missing_module_doc(source));
        found.extend(codes::as_text(source));
        found.extend(test_names::too_long(source));
    }
    for path in files.iter().filter(|path| is_text(path)) {
        let text = std::fs::read_to_string(root.join(path))?;
        allowed += banned.check_text(path, &text, &mut found);
        if path.extension().is_some_and(|ending| ending == "md") {
            links::check(&root, path, &text, &sources, &mut found);
        }
    }
    found.extend(types::duplicates(&sources, &rules.duplicate_types));
    ensure!(
        allowed <= ALLOWED_LINES_MAX,
        "{allowed} lines opt out with `tidy:allow`; at most {ALLOWED_LINES_MAX} may"
    );
    let baseline = Baseline::read(&root)?;
    if is_list {
        found.iter().for_each(|violation| println!("{violation}"));
    }
    if is_update {
        return baseline.update(&root, &found);
    }
    baseline.compare(&found)?;
    println!(
        "tidy: {} files, {} in the baseline, {allowed} lines opt out",
        files.len(),
        baseline.total()
    );
    Ok(())
}

fn is_text(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ["md", "proto", "sh", "toml"].iter().any(|known| ending == *known))
}

/// Files under version control, without those whose text is fixed.
fn tracked(root: &Path, rules: &Rules) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    ensure!(output.status.success(), "git ls-files failed");
    let mut files: Vec<PathBuf> = String::from_utf8(output.stdout)?
        .split('\0')
        .filter(|path| !path.is_empty())
        .filter(|path| {
            !rules
                .skipped
                .iter()
                .any(|prefix| path.starts_with(prefix.as_str()))
        })
        .map(PathBuf::from)
        .filter(|path| root.join(path).is_file())
        .collect();
    files.sort();
    Ok(files)
}
