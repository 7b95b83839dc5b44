//! Converts numbers and strings between records and columns.

use super::error::StoreError;

/// Converts a size, index or counter to a column value. All of them stay far below 2^63.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).expect("sizes and counters are below 2^53")
}

/// Converts a column value to a size, index or counter.
pub(crate) fn from_sql(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Tampered("a counter is negative".to_owned()))
}
