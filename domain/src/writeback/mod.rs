//! From an approved proposal to one effect: jobs, attempts, receipts, and the only way to an authorization.


mod outcome;
mod receipt;


pub use outcome::{AttemptReport, AttemptResult, Outcome};
pub use receipt::{RECEIPT_TABLE, Receipt};
