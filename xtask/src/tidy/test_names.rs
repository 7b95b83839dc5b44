//! Names of tests are sentences that fit a line of a report.

use super::Violation;
use super::source::Source;

/// Maximum length of a test's name, in characters.
const CHARS_MAX: usize = 60;

/// Tests whose names are longer.
pub(super) fn too_long(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut is_test = false;
    for (index, line) in source.text.lines().enumerate() {
        let line = line.trim_start();
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) else {
            continue;
        };
        is_test = false;
        let name = rest.split('(').next().unwrap_or_default();
        if name.chars().count() > CHARS_MAX {
            found.push(Violation {
                path: source.path.clone(),
                line: index + 1,
                text: format!("test name `{name}` is longer than {CHARS_MAX} characters"),
            });
        }
    }
    found
}
