//! Guard: a change affects one row. Statements fetch at most two, to detect more than one.

use crate::value::ColumnValue;

/// Number of rows that a key matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowCount<'a> {
    None,
    One(&'a [ColumnValue]),
    More,
}

/// Counts the rows that a statement by key returned.
pub fn single_row(rows: &[Vec<ColumnValue>]) -> RowCount<'_> {
    match rows {
        [] => RowCount::None,
        [row] => RowCount::One(row),
        _ => RowCount::More,
    }
}
