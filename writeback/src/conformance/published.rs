//! Publishes what each behavior gave on each server. The page is written from the results of runs: a table for the
//! servers of `make test`, and one for the further servers of `make prove`, which a run without them leaves as it is.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::behaviors::ALL;
use super::servers::{self, did_not_run};

/// Column of the engine without a server.
pub(super) const SQLITE: &str = "SQLite";
const INTRODUCTION: &str = "# Engine conformance

Behaviors, each run against a real database of every listed version. `yes`: it holds. `no`: it does not. A number: the
behavior is not applicable, for the reason below the table. The conformance tests in `writeback/src/conformance` write
each table from the results of their servers.
";
/// Titles of the tables, with whether their servers run in every run and the command that runs them.
const TABLES: [(&str, bool, &str); 2] = [
    ("Servers of every run", true, "make test"),
    ("Further servers", false, "make prove"),
];
const VERSIONS_TITLE: &str = "Supported versions";
/// Supported versions, which the last table compares with the columns of the others.
const SUPPORTED: [&str; 16] = [
    SQLITE,
    "PostgreSQL 13",
    "PostgreSQL 14",
    "PostgreSQL 15",
    "PostgreSQL 16",
    "PostgreSQL 17",
    "PostgreSQL 18",
    "Aurora PostgreSQL",
    "MySQL 8.0",
    "MySQL 8.4",
    "MySQL 9",
    "Aurora MySQL",
    "MariaDB 10.6",
    "MariaDB 10.11",
    "MariaDB 11.4",
    "MariaDB 11.8",
];

/// Result of one behavior on one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BehaviorResult {
    Holds,
    Fails,
    NotApplicable(&'static str),
}

tokio::task_local! {
    static REASON: Cell<Option<&'static str>>;
}

/// Results of the versions that ran in this process, in the order of [`ALL`].
static RESULTS: Mutex<BTreeMap<&str, Vec<BehaviorResult>>> = Mutex::new(BTreeMap::new());

/// Marks the running behavior as not applicable to its engine.
pub(super) fn not_applicable(reason: &'static str) {
    let _ = REASON.try_with(|cell| cell.set(Some(reason)));
}

/// Runs one behavior; returns why it did not apply, if it did not.
pub(super) async fn observed(behavior: impl Future<Output = ()>) -> Option<&'static str> {
    REASON
        .scope(Cell::new(None), async {
            behavior.await;
            REASON.with(Cell::get)
        })
        .await
}

/// Adds the results of a version; a product of another version is not published. Returns whether the page matches, which
/// is known for each table when all of its versions have results; a page that does not match is rewritten.
#[must_use]
pub(super) fn record(label: &'static str, product: &str, results: Vec<BehaviorResult>) -> bool {
    if !is_of(label, product) {
        did_not_run(&format!(
            "the column `{label}` of docs/engine-conformance.md: the server is {product}"
        ));
        return true;
    }
    let mut all = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert(label, results);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/engine-conformance.md");
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let page = rendered(&found, &all);
    if page != found {
        std::fs::write(&path, &page).unwrap();
    }
    page == found
}

/// Whether a product with its whole version is the version of a column.
fn is_of(label: &str, product: &str) -> bool {
    let rest = product.strip_prefix(label);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ']))
}

/// Returns the page, with the tables of a found page where results are missing.
fn rendered(found: &str, results: &BTreeMap<&str, Vec<BehaviorResult>>) -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut versions = String::from("| version | runs in |\n|---|---|\n");
    let mut ran_in = BTreeMap::new();
    for (title, is_in_every_run, command) in TABLES {
        let columns = columns(is_in_every_run);
        let table = if columns.iter().all(|column| results.contains_key(column)) {
            table(&columns, results)
        } else {
            section(found, title).to_owned()
        };
        ran_in.extend(columns_of(&table).map(|column| (column.to_owned(), command)));
        write!(page, "\n## {title}\n\n{table}").unwrap();
    }
    for version in SUPPORTED {
        let command = ran_in.get(version).map(|command| format!("`{command}`"));
        let command = command.unwrap_or_else(|| "not run against this version".to_owned());
        writeln!(versions, "| {version} | {command} |").unwrap();
    }
    write!(page, "\n## {VERSIONS_TITLE}\n\n{versions}").unwrap();
    page
}

fn columns(is_in_every_run: bool) -> Vec<&'static str> {
    let servers = servers::ALL.into_iter();
    let labels = servers.filter(|server| server.is_in_every_run == is_in_every_run);
    let sqlite = is_in_every_run.then_some(SQLITE);
    sqlite
        .into_iter()
        .chain(labels.map(|server| server.label))
        .collect()
}

/// Returns the text of a section, without its title.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let start = format!("\n## {title}\n\n");
    let text = page.split_once(&start).map_or("", |(_, text)| text);
    text.split_once("\n## ").map_or(text, |(text, _)| text)
}

/// Returns the versions that a table has results of.
fn columns_of(table: &str) -> impl Iterator<Item = &str> {
    let head = table.lines().find(|line| line.starts_with("| behavior |"));
    head.into_iter()
        .flat_map(|head| head.split('|').skip(2).map(str::trim))
}

fn table(columns: &[&str], results: &BTreeMap<&str, Vec<BehaviorResult>>) -> String {
    let mut text = format!(
        "{} behaviors.\n\n| behavior | {} |\n|---|{}\n",
        ALL.len(),
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    let mut reasons: Vec<&str> = Vec::new();
    for (row, (name, _)) in ALL.iter().enumerate() {
        write!(text, "| {name} |").unwrap();
        for column in columns {
            let cell = match results[column][row] {
                BehaviorResult::Holds => "yes".to_owned(),
                BehaviorResult::Fails => "no".to_owned(),
                BehaviorResult::NotApplicable(reason) => {
                    let known = reasons.iter().position(|other| *other == reason);
                    let number = known.unwrap_or_else(|| {
                        reasons.push(reason);
                        reasons.len() - 1
                    });
                    (number + 1).to_string()
                }
            };
            write!(text, " {cell} |").unwrap();
        }
        text.push('\n');
    }
    text.push('\n');
    for (number, reason) in (1..).zip(reasons) {
        writeln!(text, "{number}. Not applicable: {reason}.").unwrap();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(columns: &[&'static str]) -> BTreeMap<&'static str, Vec<BehaviorResult>> {
        let all_hold = vec![BehaviorResult::Holds; ALL.len()];
        columns.iter().map(|column| (*column, all_hold.clone())).collect()
    }

    #[test]
    fn table_of_servers_that_did_not_run_stays() {
        let (every, further) = (results(&columns(true)), results(&columns(false)));
        let both = every.clone().into_iter().chain(further).collect();
        let whole = rendered("", &both);
        assert!(whole.contains("| PostgreSQL 14 | `make prove` |"), "{whole}");
        assert_eq!(rendered(&whole, &every), whole);
        let mut fails = every.clone();
        fails.get_mut("PostgreSQL 13").unwrap()[0] = BehaviorResult::Fails;
        let changed = rendered(&whole, &fails);
        assert_ne!(changed, whole);
        assert_eq!(
            section(&changed, "Further servers"),
            section(&whole, "Further servers")
        );
    }

    #[test]
    fn version_without_results_did_not_run() {
        let page = rendered("", &results(&columns(true)));
        assert!(page.contains("| PostgreSQL 13 | `make test` |"), "{page}");
        for version in ["PostgreSQL 14", "PostgreSQL 16", "MySQL 8.0", "Aurora MySQL"] {
            let line = format!("| {version} | not run against this version |");
            assert!(page.contains(&line), "{page}");
        }
    }

    #[test]
    fn every_column_is_a_supported_version() {
        for column in [columns(true), columns(false)].concat() {
            assert!(SUPPORTED.contains(&column), "{column}");
        }
    }

    #[test]
    fn server_of_another_version_is_not_published() {
        assert!(is_of("PostgreSQL 13", "PostgreSQL 13.16"));
        assert!(is_of("MySQL 9", "MySQL 9.7.4") && is_of("SQLite", "SQLite 3.50.4"));
        assert!(!is_of("PostgreSQL 13", "PostgreSQL 15.18") && !is_of("MariaDB 11.8", "MariaDB 11.80"));
    }
}
