//! After the update the row is what was requested: set columns as set, all others as before, save those that
//! the database manages itself.

use crate::value::{ColumnValue, find};
use crate::writeback::Rehearsal;

/// The first column that is not as the change should have left it.
pub fn find_surprise<'a>(rehearsal: &Rehearsal, row: &'a [ColumnValue]) -> Option<&'a str> {
    let surprises = row.iter().filter(|now| !is_expected(rehearsal, now));
    surprises.map(|column| column.column.as_str()).next()
}

fn is_expected(rehearsal: &Rehearsal, now: &ColumnValue) -> bool {
    let proposal = rehearsal.proposal();
    if let Some(wanted) = find(&proposal.set, &now.column) {
        return now.value == *wanted;
    }
    rehearsal.is_db_managed(&now.column) || find(&proposal.before, &now.column) == Some(&now.value)
}
