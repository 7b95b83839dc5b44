//! The number of violations that each file still has: it may shrink and never grow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::Violation;

const FILE: &str = "xtask/tidy-baseline.txt";

#[derive(Debug, Default)]
pub(super) struct Baseline {
    counts: BTreeMap<String, usize>,
}

impl Baseline {
    /// Lines of `COUNT PATH`; a missing file is an empty baseline.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let Ok(text) = std::fs::read_to_string(root.join(FILE)) else {
            return Ok(Self::default());
        };
        let count = |line: &str| {
            let (count, path) = line.split_once(' ').context("a line is `COUNT PATH`")?;
            Ok((path.to_owned(), count.parse().context("a count is a number")?))
        };
        let counts = text.lines().map(count).collect::<Result<_>>().context(FILE)?;
        Ok(Self { counts })
    }

    pub(super) fn total(&self) -> usize {
        self.counts.values().sum()
    }

    fn allowance(&self, path: &str) -> usize {
        self.counts.get(path).copied().unwrap_or(0)
    }

    /// Fails for files with more violations than the baseline has, and for a baseline that is too large.
    pub(super) fn compare(&self, found: &[Violation]) -> Result<()> {
        let now = by_file(found);
        let mut text = String::new();
        for (path, violations) in &now {
            if violations.len() > self.allowance(path) {
                for violation in violations {
                    writeln!(text, "{violation}")?;
                }
            }
        }
        if !text.is_empty() {
            bail!("{text}tidy: rewrite these, or add `tidy:allow(WORD)` with the reason");
        }
        let is_larger =
            |(path, count): (&String, &usize)| *count > now.get(path.as_str()).map_or(0, Vec::len);
        ensure!(
            !self.counts.iter().any(is_larger),
            "tidy: fewer violations than {FILE} allows; run `cargo xtask tidy --update`"
        );
        Ok(())
    }

    /// Writes the counts of today; refuses a count that grew.
    pub(super) fn update(&self, root: &Path, found: &[Violation]) -> Result<()> {
        let now = by_file(found);
        let mut text = String::new();
        for (path, violations) in &now {
            let grew = root.join(FILE).exists() && violations.len() > self.allowance(path);
            ensure!(
                !grew,
                "tidy: {path} has more violations than before: {}",
                violations[0]
            );
            writeln!(text, "{} {path}", violations.len())?;
        }
        if text.is_empty() {
            return match std::fs::remove_file(root.join(FILE)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context(FILE),
                _ => Ok(()),
            };
        }
        std::fs::write(root.join(FILE), text).context(FILE)
    }
}

fn by_file(found: &[Violation]) -> BTreeMap<&str, Vec<&Violation>> {
    let mut files: BTreeMap<&str, Vec<&Violation>> = BTreeMap::new();
    for violation in found {
        files.entry(&violation.path).or_default().push(violation);
    }
    files
}
