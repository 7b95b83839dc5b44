//! Table of results: the number of attempts and their ends, by moment and kind of definition.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::cases::CaseKind;

/// Moment at which the definition is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// Under a writer that had applied before.
    Running,
    /// As [`Moment::Running`], with a proposal that was created afterwards.
    Next,
    /// Before the writer started.
    Before,
    /// While the writer was halted in its transaction, before the receipt's INSERT.
    Between,
    /// While the writer was halted at one of all points between its lock and COMMIT.
    EveryPoint,
    /// The contract acknowledges the code.
    Acknowledged,
    /// The definition is dropped again.
    Repaired,
}

impl Moment {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Running => "under a running writer",
            Self::Next => "as the next proposal",
            Self::Before => "before the writer starts",
            Self::Between => "between lock and insert",
            Self::EveryPoint => "at every point between lock and COMMIT",
            Self::Acknowledged => "acknowledged by the contract",
            Self::Repaired => "after the repair",
        }
    }
}

/// Counts of ends by moment and kind.
#[derive(Debug, Default)]
pub(super) struct Tally {
    ends: BTreeMap<String, BTreeMap<String, usize>>,
    pub(super) cells: usize,
    /// Receipt tables that even their owner cannot read.
    pub(super) unreadable: usize,
}

impl Tally {
    pub(super) fn add(&mut self, moment: Moment, kind: CaseKind, end: &str) {
        let line = format!("{} {}", kind.name(), moment.name());
        *self
            .ends
            .entry(line)
            .or_default()
            .entry(end.to_owned())
            .or_default() += 1;
        self.cells += 1;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (line, ends) in &other.ends {
            let own = self.ends.entry(line.clone()).or_default();
            for (end, number) in ends {
                *own.entry(end.clone()).or_default() += number;
            }
        }
        self.cells += other.cells;
        self.unreadable += other.unreadable;
    }

    pub(super) fn to_json(&self) -> Json {
        json!(self.ends)
    }
}
