//! A change is of one row. Statements fetch two at most, so that "more than one" can be told.

use crate::value::ColumnValue;

/// How many rows a key led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowCount<'a> {
    None,
    One(&'a [ColumnValue]),
    More,
}

/// Counts the rows that a statement by key gave.
pub fn single_row(rows: &[Vec<ColumnValue>]) -> RowCount<'_> {
    match rows {
        [] => RowCount::None,
        [row] => RowCount::One(row),
        _ => RowCount::More,
    }
}
