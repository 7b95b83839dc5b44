//! References in Markdown: links, paths of files and names of tests.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::Violation;
use super::source::Source;

static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s]+)\)").expect("a literal"));
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`([^`]+)`").expect("a literal"));
/// A directory of source code in the tree.
static DIR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\w.-]+/(?:src|tests)(?:/[\w.-]+)*/?$").expect("a literal"));
/// A path in the tree: has a slash and a known ending, perhaps with a line or an item behind it.
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([\w.-]+(?:/[\w.-]+)+\.(?:rs|md|sh|sql|proto|toml))(?:::(\w+))?$").expect("a literal")
});

pub(super) fn check(root: &Path, path: &Path, text: &str, sources: &[Source], found: &mut Vec<Violation>) {
    let mut is_fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        }
        if is_fenced {
            continue;
        }
        let mut broken = |what: String| {
            found.push(Violation {
                path: path.to_string_lossy().into_owned(),
                line: number + 1,
                text: what,
            });
        };
        for link in LINK.captures_iter(line).map(|captures| captures[1].to_owned()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_elsewhere = link.contains("://") || link.starts_with("mailto:") || file.is_empty();
            let folder = path.parent().unwrap_or_else(|| Path::new(""));
            if !is_elsewhere && !root.join(folder).join(file).exists() {
                broken(format!("link `{link}` does not resolve"));
            }
        }
        for code in CODE.captures_iter(line).map(|captures| captures[1].to_owned()) {
            let Some(captures) = PATH.captures(&code) else {
                if DIR.is_match(&code) && !root.join(&code).exists() {
                    broken(format!("directory `{code}` does not exist"));
                }
                continue;
            };
            let file = &captures[1];
            if !root.join(file).exists() {
                broken(format!("file `{file}` does not exist"));
                continue;
            }
            let Some(item) = captures.get(2).map(|item| item.as_str()) else {
                continue;
            };
            let source = sources.iter().find(|source| source.path == *file);
            let is_defined = source.is_some_and(|source| {
                source.text.contains(&format!("fn {item}(")) || source.text.contains(&format!("fn {item}<"))
            });
            if !is_defined {
                broken(format!("`{item}` is not a function of {file}"));
            }
        }
    }
}
