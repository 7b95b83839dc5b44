//! Reads `Cargo.lock` as a graph. It supports only the line forms that cargo writes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Packages by `name version`, each with the `name` or `name version` of its dependencies.
#[derive(Debug)]
pub(super) struct Lock {
    packages: HashMap<String, Vec<String>>,
}

impl Lock {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut packages = HashMap::new();
        for block in text.split("[[package]]").skip(1) {
            let field = |key: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
            };
            let name = field("name").context("package without a name in Cargo.lock")?;
            let version = field("version").context("package without a version in Cargo.lock")?;
            let in_list = block
                .lines()
                .skip_while(|line| *line != "dependencies = [")
                .skip(1);
            let dependencies = in_list
                .take_while(|line| *line != "]")
                .map(|line| line.trim().trim_matches(['"', ',']).to_owned())
                .map(|entry| entry.split(" (").next().unwrap_or_default().to_owned())
                .collect();
            packages.insert(format!("{name} {version}"), dependencies);
        }
        if packages.is_empty() {
            bail!("{} lists no packages", path.display());
        }
        Ok(Self { packages })
    }

    /// Returns whether the package of this name has a dependency of that name.
    pub(super) fn depends(&self, package: &str, dependency: &str) -> bool {
        let of_package = self.packages.iter().filter(|(key, _)| name_of(key) == package);
        of_package
            .flat_map(|(_, dependencies)| dependencies)
            .any(|entry| name_of(entry) == dependency)
    }

    /// Returns the shortest chain of names from a package to one that matches `is_wanted`.
    pub(super) fn path_to(&self, package: &str, is_wanted: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        let mut queue: VecDeque<Vec<&str>> = self
            .packages
            .keys()
            .filter(|key| name_of(key) == package)
            .map(|key| vec![key.as_str()])
            .collect();
        let mut seen = HashSet::new();
        while let Some(path) = queue.pop_front() {
            let last = *path.last()?;
            if is_wanted(name_of(last)) {
                return Some(path.into_iter().map(|key| name_of(key).to_owned()).collect());
            }
            for entry in self.packages.get(last).into_iter().flatten() {
                // An entry has no version if only one version of the package is in the file.
                let keys = self
                    .packages
                    .keys()
                    .filter(|key| *key == entry || name_of(key) == entry);
                for key in keys {
                    if seen.insert(key.as_str()) {
                        queue.push_back(path.iter().copied().chain([key.as_str()]).collect());
                    }
                }
            }
        }
        None
    }
}

fn name_of(key: &str) -> &str {
    key.split(' ').next().unwrap_or_default()
}
