//! Part of a list that a command prints: its options, and the note on the rest.

use clap::Args;
use serde_json::{Value as Json, json};

use crate::output::shape::LIST_ROWS_MAX;
use crate::workflows::ListPart;

/// Default number of rows of a list.
const LIST_ROWS: u32 = 20;

#[derive(Debug, Args)]
pub(super) struct RangeArgs {
    /// Maximum number of rows
    #[arg(long, default_value_t = LIST_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIST_ROWS_MAX))]
    pub(super) limit: u32,
    /// Continue an earlier list: the position that its last line names (`next_before` with --json)
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(..=POSITION_MAX))]
    pub(super) before: Option<u64>,
}

/// Number of matches up to which a ledger counts.
const COUNTED_MAX: u32 = 10_000;
/// Maximum log position that a ledger accepts.
const POSITION_MAX: u64 = (1 << 53) - 1;

impl RangeArgs {
    /// Returns the note that older rows are not printed, and how to see them.
    pub(super) fn more<T>(&self, part: &ListPart<T>) -> Option<String> {
        self.more_of(part, None)
    }

    /// As [`Self::more`], with the number of all rows if it is known.
    pub(super) fn more_of<T>(&self, part: &ListPart<T>, total: Option<u32>) -> Option<String> {
        let next = part.next_before?;
        let count = part.rows.len();
        let shown = match (total, self.before) {
            (Some(total), _) if total > COUNTED_MAX => format!("{count} of more than {COUNTED_MAX}"),
            (Some(total), _) => format!("{count} of {total}"),
            (None, None) => format!("the newest {count}"),
            (None, Some(before)) => format!("{count} before {before}"),
        };
        let all = total.filter(|total| i64::from(*total) <= LIST_ROWS_MAX);
        let fix = match all {
            Some(total) => format!("--limit {total} shows all, --before {next} shows the next ones"),
            None if i64::from(self.limit) < LIST_ROWS_MAX => {
                format!("--limit {LIST_ROWS_MAX} shows more, --before {next} the next ones")
            }
            None => format!("--before {next} shows the next ones"),
        };
        Some(format!("{shown}; {fix}"))
    }
}

/// Returns the printed part as JSON, with its rows under `name`.
pub(super) fn object<T>(name: &str, rows: Vec<Json>, part: &ListPart<T>) -> Json {
    let next = part.next_before;
    json!({ name: rows, "has_more": next.is_some(), "next_before": next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_list_names_the_position_of_the_rest() {
        let part = |next: Option<u64>| ListPart {
            rows: vec![(); 20],
            next_before: next,
        };
        let range = |limit, before| RangeArgs { limit, before };
        assert_eq!(range(20, None).more(&part(None)), None);
        let rest = part(Some(71));
        let more = |limit, before, total| range(limit, before).more_of(&rest, total).unwrap();
        for (note, expected) in [
            (
                more(20, None, None),
                "the newest 20; --limit 200 shows more, --before 71 the next ones",
            ),
            (
                more(200, Some(90), None),
                "20 before 90; --before 71 shows the next ones",
            ),
            (
                more(20, None, Some(50)),
                "20 of 50; --limit 50 shows all, --before 71 shows the next ones",
            ),
            (
                more(20, None, Some(300)),
                "20 of 300; --limit 200 shows more, --before 71 the next ones",
            ),
            (
                more(200, None, Some(10_001)),
                "20 of more than 10000; --before 71 shows the next ones",
            ),
        ] {
            assert_eq!(note, expected);
        }
        let shown = object("evidence", Vec::new(), &rest);
        assert_eq!(
            shown,
            json!({ "evidence": [], "has_more": true, "next_before": 71 })
        );
    }
}
