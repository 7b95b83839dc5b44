//! Publishes what each behaviour gave on each engine. The page is written from the results of a run.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::behaviours::ALL;

/// Columns of the page. The page is written when all of them have results.
pub(super) const ENGINES: [&str; 5] = ["SQLite", "PostgreSQL 15", "PostgreSQL 18", "MySQL", "MariaDB"];

/// Result of one behaviour on one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BehaviourResult {
    Holds,
    Fails,
    NotApplicable(&'static str),
}

tokio::task_local! {
    static REASON: Cell<Option<&'static str>>;
}

/// Results of the engines that ran in this process, in the order of [`ALL`].
static RESULTS: Mutex<BTreeMap<&str, Vec<BehaviourResult>>> = Mutex::new(BTreeMap::new());

/// Marks the running behaviour as not applicable to its engine.
pub(super) fn not_applicable(reason: &'static str) {
    let _ = REASON.try_with(|cell| cell.set(Some(reason)));
}

/// Runs one behaviour; returns why it did not apply, if it did not.
pub(super) async fn observed(behaviour: impl Future<Output = ()>) -> Option<&'static str> {
    REASON
        .scope(Cell::new(None), async {
            behaviour.await;
            REASON.with(Cell::get)
        })
        .await
}

/// Adds the results of an engine. Returns whether the page matches, which is known when all engines have theirs;
/// a page that does not match is rewritten.
#[must_use]
pub(super) fn record(engine: &'static str, results: Vec<BehaviourResult>) -> bool {
    let mut all = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    all.insert(engine, results);
    if !ENGINES.iter().all(|engine| all.contains_key(engine)) {
        return true;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/engine-conformance.md");
    let page = rendered(&all);
    let is_current = std::fs::read_to_string(&path).ok().as_deref() == Some(&page);
    if !is_current {
        std::fs::write(&path, page).unwrap();
    }
    is_current
}

fn rendered(results: &BTreeMap<&str, Vec<BehaviourResult>>) -> String {
    let mut page = format!(
        "# Engine conformance\n\n{} behaviours, each run against a real database of every engine. \
         `yes`: it holds. `no`: it does not.\nA number: the behaviour is not applicable, for the reason below the \
         table. The conformance tests in\n`writeback/src/conformance` write this page from their results when all \
         engines ran.\n\n| behaviour | {} |\n|---|{}\n",
        ALL.len(),
        ENGINES.join(" | "),
        "---|".repeat(ENGINES.len())
    );
    let mut reasons: Vec<&str> = Vec::new();
    for (row, (name, _)) in ALL.iter().enumerate() {
        write!(page, "| {name} |").unwrap();
        for engine in ENGINES {
            let cell = match results[engine][row] {
                BehaviourResult::Holds => "yes".to_owned(),
                BehaviourResult::Fails => "no".to_owned(),
                BehaviourResult::NotApplicable(reason) => {
                    let known = reasons.iter().position(|other| *other == reason);
                    let number = known.unwrap_or_else(|| {
                        reasons.push(reason);
                        reasons.len() - 1
                    });
                    (number + 1).to_string()
                }
            };
            write!(page, " {cell} |").unwrap();
        }
        page.push('\n');
    }
    page.push('\n');
    for (number, reason) in (1..).zip(reasons) {
        writeln!(page, "{number}. Not applicable: {reason}.").unwrap();
    }
    page
}
