//! The table of defects of 0.1.x in the documentation: each names a test that exists, or the reason why it needs none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken fixture ends the test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/compatibility.md");
const HEADING: &str = "## Defects of 0.1.x";
/// Begins the reason of a row without a test.
const REASON: &str = "cannot exist: ";
/// Fewer rows are not the whole table.
const ROWS_MIN: usize = 50;

/// Names of all tests below a directory: functions whose attribute is on a line before.
fn tests_below(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                tests_below(&path, found);
            }
        } else if name.ends_with(".rs") {
            tests_in(&std::fs::read_to_string(&path).unwrap(), found);
        }
    }
}

fn tests_in(source: &str, found: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && !line.starts_with("#[") {
            let name = line.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            found.extend(name.map(str::to_owned));
            is_test = false;
        }
    }
}

/// Rows of the table: the defect, what this version does, and tests or a reason.
fn rows() -> Vec<[&'static str; 3]> {
    let section = PAGE.split(HEADING).nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|'));
    let cells = lines.skip(2).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().expect("three cells")
    });
    cells.collect()
}

#[test]
fn each_earlier_defect_has_a_test_or_a_reason() {
    let mut tests = BTreeSet::new();
    tests_below(
        &PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")),
        &mut tests,
    );
    let rows = rows();
    assert!(rows.len() >= ROWS_MIN, "{} rows", rows.len());
    for [defect, here, proof] in rows {
        assert!(!defect.is_empty());
        if let Some(reason) = proof.strip_prefix(REASON) {
            assert!(here.is_empty() && !reason.is_empty(), "{defect}");
            continue;
        }
        let named: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(
            !here.is_empty() && !named.is_empty(),
            "{defect}: neither a test nor a reason"
        );
        for name in named {
            assert!(tests.contains(name), "{defect}: there is no test `{name}`");
        }
    }
}
