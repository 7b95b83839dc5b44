//! Numbers and texts between records and columns.

use super::error::StoreError;

/// A size, index or counter as a column. All of them stay far below 2^63.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).expect("sizes and counters stay below 2^53")
}

/// A size, index or counter from a column.
pub(crate) fn from_sql(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Tampered("a counter is negative".to_owned()))
}
